#include "rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "conf/json.h"
#include "store/command.h"

struct root {
    struct conf_any store;
};

static const struct conf_key root_keys[] = {
    {"store", CONF_UNION, CONF_AT(struct root, store), .required = true,
     .of = &store_union},
    {NULL},
};

static const struct conf_table root_table = {
    .name = "test",
    .size = sizeof(struct root),
    .keys = root_keys,
};

void rig_init(struct rig *rig, const char *parent)
{
    memset(rig, 0, sizeof(*rig));
    rig->errs = ERRS_EMPTY;
    if (!parent)
        parent = getenv("TMPDIR");
    snprintf(rig->dir, sizeof(rig->dir), "%s/vub-store-XXXXXX",
             parent ? parent : "/tmp");
    assert_non_null(mkdtemp(rig->dir));
    assert_int_equal(loop_open(&rig->loop, "test"), 0);
}

const char *rig_path(const struct rig *rig, const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", rig->dir, name);
    return path;
}

void rig_file(const struct rig *rig, const char *name, uint64_t size)
{
    int fd = open(rig_path(rig, name), O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

void rig_numbers(const struct rig *rig, const char *name, uint64_t size)
{
    int fd = open(rig_path(rig, name), O_RDWR | O_CREAT | O_TRUNC, 0600);
    char buf[4096];

    assert_true(fd >= 0);
    for (uint64_t at = 0; at < size; at += sizeof(buf)) {
        rig_pattern(buf, sizeof(buf), at, 0);
        assert_int_equal(pwrite(fd, buf, sizeof(buf), (off_t)at), sizeof(buf));
    }
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

void rig_target(struct rig *rig, const char *options)
{
    char command[512], line[64] = "";
    const char *file = rig_path(rig, "target");
    FILE *out;

    snprintf(command, sizeof(command), "exec python3 %s %s > %s", VUB_TARGET,
             options, file);
    assert_int_equal(mkfifo(file, 0600), 0);
    rig->target = popen(command, "we");
    assert_non_null(rig->target);
    out = fopen(file, "re");
    assert_non_null(out);
    assert_non_null(fgets(line, sizeof(line), out));
    assert_int_equal(sscanf(line, "port %d", &rig->port), 1);
    rig->answers = out;
}

void rig_say(struct rig *rig, const char *command)
{
    char line[64];

    fprintf(rig->target, "%s\n", command);
    fflush(rig->target);
    assert_non_null(fgets(line, sizeof(line), rig->answers));
}

static void on_changed(void *arg)
{
    ((struct rig *)arg)->changes++;
}

static void on_dropped(void *arg, const char *why)
{
    assert_non_null(why);
    ((struct rig *)arg)->drops++;
}

static void on_ended(void *arg)
{
    ((struct rig *)arg)->ended = true;
}

int rig_open(struct rig *rig, const char *config, bool read_only)
{
    struct err e;
    char text[2048];
    size_t n = 0;
    void *root;
    int rc;

    n += (size_t)snprintf(text, sizeof(text), "{\"store\": ");
    for (const char *c = config; *c; c++) {
        assert_true(n + sizeof(rig->dir) < sizeof(text));
        if (*c == '@')
            n += (size_t)sprintf(text + n, "%s", rig->dir);
        else if (*c == '#')
            n += (size_t)sprintf(text + n, "%d", rig->port);
        else
            text[n++] = *c == '\'' ? '"' : *c;
    }
    text[n++] = '}';
    rc = conf_read_text(&rig->doc, &root, &root_table, text, n, rig->dir, NULL,
                        &rig->errs);
    for (int i = 0; rc < 0 && i < rig->errs.count; i++)
        print_message("%s: %s\n", rig->errs.list[i].where,
                      rig->errs.list[i].text);
    assert_int_equal(rc, 0);
    rc = store_open(&rig->store, &((struct root *)root)->store, read_only,
                    "test", &rig->errs);
    if (rc < 0) {
        assert_true(rig->errs.count > 0);
        rig->store = NULL;
        return rc;
    }
    rc = store_begin(rig->store, &rig->loop, on_changed, rig, &e);
    assert_int_equal(rc, 0);
    store_on_drop(rig->store, on_dropped, rig);
    return 0;
}

/* ---- commands ---- */

struct told {
    struct call call;
    struct rig *rig;
    bool answered;
    int rc;
};

static void keep_told(struct rig *rig, const char *text)
{
    snprintf(rig->told, sizeof(rig->told), "%s", text ? text : "");
    for (char *c = rig->told; *c; c++)
        if (*c == '"')
            *c = '\'';
}

static void on_answered(struct call *c, const struct err *e)
{
    struct told *t = container_of(c, struct told, call);

    t->answered = true;
    t->rc = e ? e->code : 0;
    if (e)
        print_message("%s: %s\n", e->where, e->text);
    keep_told(t->rig, c->out.text);
}

static const struct store_command *command_named(const char *name,
                                                 const char **type)
{
    const struct store_command *c;

    for (unsigned i = 0; (c = store_command_at(i, type)) != NULL; i++)
        if (strcmp(c->name, name) == 0)
            return c;
    fail_msg("there is no command %s", name);
    return NULL;
}

struct common {
    const char *filter;
};

static const struct conf_key common_keys[] = {
    {"filter", CONF_STR, CONF_AT(struct common, filter)},
    {NULL},
};

static const struct conf_table common_table = {
    .name = "command",
    .size = sizeof(struct common),
    .keys = common_keys,
};

int rig_tell(struct rig *rig, const char *command, const char *params)
{
    const char *type;
    const struct store_command *c = command_named(command, &type);
    const struct conf_table *const tables[] = {&common_table, c->params};
    struct store_search search = {.type = type};
    struct told t = {.rig = rig};
    struct conf_doc *doc = conf_new();
    struct errs es = ERRS_EMPTY;
    struct json *tree;
    char text[512];
    void *out[2];
    struct err e;
    int rc;

    snprintf(text, sizeof(text), "{%s}", params);
    for (char *p = text; *p; p++)
        if (*p == '\'')
            *p = '"';
    tree = json_parse(text, strlen(text), &e);
    assert_non_null(tree);
    rc = conf_read_object(doc, out, tables, tree, "params", rig->dir, &es);
    if (rc < 0)
        print_message("%s: %s\n", es.list[0].where, es.list[0].text);
    errs_free(&es);
    if (rc == 0) {
        search.name = ((struct common *)out[0])->filter;
        store_search(&search, rig->store);
        rc = store_search_over(&search, &e);
        assert_int_equal(rc, 0);
        t.call.args = out[1];
        t.call.doc = doc;
        t.call.params = tree;
        t.call.dir = rig->dir;
        t.call.answered = on_answered;
        c->run(search.found, &t.call);
        while (!t.answered)
            uv_run(&rig->loop.uv, UV_RUN_ONCE);
        json_out_free(&t.call.out);
        rc = t.rc;
    }
    json_free(tree);
    conf_free(doc);
    return rc;
}

const char *rig_status(struct rig *rig)
{
    struct json_out o = JSON_OUT_EMPTY;

    store_status(rig->store, &o);
    keep_told(rig, o.text);
    json_out_free(&o);
    return rig->told;
}

void rig_known(struct rig *rig)
{
    while (store_is_pending(rig->store))
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
}

void rig_channel(struct rig *rig, bool alone)
{
    struct err e;

    rig->loop.devices = alone ? 1 : 2;
    rig->loop.block_devices = 1;
    assert_int_equal(store_channel_open(&rig->ch, rig->store, &rig->loop, &e),
                     0);
}

void rig_open_with(struct rig *rig, const char *config)
{
    assert_int_equal(rig_open(rig, config, false), 0);
    rig_channel(rig, true);
}

void rig_close(struct rig *rig)
{
    if (rig->ch)
        store_channel_close(rig->ch);
    rig->ch = NULL;
    rig->ended = !rig->store;
    if (rig->store)
        store_end(rig->store, on_ended, rig);
    while (!rig->ended)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    store_close(rig->store);
    rig->store = NULL;
    if (rig->doc)
        conf_free(rig->doc);
    rig->doc = NULL;
    errs_free(&rig->errs);
}

void rig_fini(struct rig *rig)
{
    char command[160];

    rig_close(rig);
    loop_close(&rig->loop);
    if (rig->target) {
        pclose(rig->target);
        fclose(rig->answers);
    }
    snprintf(command, sizeof(command), "rm -rf '%s'", rig->dir);
    assert_int_equal(system(command), 0);
}

int rig_setup(void **state)
{
    static struct rig rig;

    rig_init(&rig, NULL);
    *state = &rig;
    return 0;
}

int rig_teardown(void **state)
{
    rig_fini(*state);
    return 0;
}

static void on_done(struct store_req *r)
{
    struct ask *a = container_of(r, struct ask, req);

    assert_false(a->done);
    a->done = true;
}

void rig_ask(struct ask *a, enum store_op op, unsigned flags, uint64_t offset,
             void *buf, uint64_t len, uint64_t piece)
{
    bool moves = op == STORE_READ || op == STORE_WRITE;

    memset(a, 0, sizeof(*a));
    a->req.op = op;
    a->req.flags = flags;
    a->req.offset = offset;
    a->req.len = len;
    a->req.iov = a->iov;
    a->req.done = on_done;
    for (uint64_t at = 0; moves && at < len; at += piece) {
        assert_true(a->req.iov_num < (int)ARRAY_LEN(a->iov));
        a->iov[a->req.iov_num].iov_base = (char *)buf + at;
        a->iov[a->req.iov_num++].iov_len = MIN(piece, len - at);
    }
}

void rig_submit(struct rig *rig, struct ask *a)
{
    int rc = store_submit(rig->ch, &a->req);

    assert_false(a->done); /* never from inside */
    a->done = rc == STORE_DONE;
    store_kick(rig->ch);
}

int rig_wait(struct rig *rig, struct ask *a)
{
    while (!a->done)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    return a->req.result;
}

int rig_do(struct rig *rig, enum store_op op, unsigned flags, uint64_t offset,
           void *buf, uint64_t len)
{
    struct ask *a = malloc(sizeof(*a));
    int rc;

    rig_ask(a, op, flags, offset, buf, len, len);
    rig_submit(rig, a);
    rc = rig_wait(rig, a);
    free(a);
    return rc;
}

static uint8_t pattern_at(uint64_t at, unsigned seed)
{
    return (uint8_t)(at / 512 * 7 + at % 251 + seed * 31 + 1);
}

void rig_pattern(void *buf, uint64_t len, uint64_t offset, unsigned seed)
{
    uint8_t *p = buf;

    for (uint64_t i = 0; i < len; i++)
        p[i] = pattern_at(offset + i, seed);
}

bool rig_is_pattern(const void *buf, uint64_t len, uint64_t offset,
                    unsigned seed)
{
    const uint8_t *p = buf;

    for (uint64_t i = 0; i < len; i++)
        if (p[i] != pattern_at(offset + i, seed))
            return false;
    return true;
}

bool rig_is_zero(const void *buf, uint64_t len)
{
    const uint8_t *p = buf;

    for (uint64_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

uint64_t rig_allocated(const struct rig *rig, const char *name)
{
    struct stat st;

    assert_int_equal(stat(rig_path(rig, name), &st), 0);
    return (uint64_t)st.st_blocks * 512;
}
