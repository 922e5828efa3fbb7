#include "rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

#define WAIT_MS 20000

static void on_bark(struct timer *t)
{
    (void)t;
    fprintf(stderr, "what the test waits for has not come\n");
    abort();
}

void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    signal(SIGPIPE, SIG_IGN);
    if (getenv("VUB_TEST_LOUD"))
        log_set(LOG_DEBUG, LOG_TEXT);
    else
        log_set(LOG_ERROR, LOG_TEXT);
    assert_int_equal(loop_open(&rig->loop, "test"), 0);
    rig->bark.fire = on_bark;
    timer_open(&rig->bark, &rig->loop);
    timer_start(&rig->bark, WAIT_MS);
}

/* argv: NULL-ended. False: it has ended before it was ready. */
static bool spawn(struct rig *rig, const char *const *argv)
{
    int to[2], from[2];

    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    rig->target = fork();
    assert_true(rig->target >= 0);
    if (rig->target == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execvp(argv[0], (char **)argv);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    rig->to = fdopen(to[1], "w");
    rig->from = fdopen(from[0], "r");
    if (!fgets(rig->answer, sizeof(rig->answer), rig->from))
        return false;
    assert_int_equal(sscanf(rig->answer, "port %d", &rig->port), 1);
    return true;
}

void rig_target(struct rig *rig, const char *const *args)
{
    const char *argv[32] = {"python3", VUB_TARGET};

    for (int n = 0; args && args[n]; n++)
        argv[n + 2] = args[n];
    assert_true(spawn(rig, argv));
}

void rig_disks(struct rig *rig)
{
    rig_target(rig, (const char *const[]){"--lun", "4M", "--lun", "2M", NULL});
}

bool rig_tgt(struct rig *rig, const char *const *args)
{
    const char *tmp = getenv("TMPDIR");
    const char *argv[32] = {"python3", VUB_TGT, "--dir", rig->dir};
    int status;

    snprintf(rig->dir, sizeof(rig->dir), "%s/vub-tgt-XXXXXX",
             tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(rig->dir));
    for (int n = 0; args && args[n]; n++)
        argv[n + 4] = args[n];
    if (spawn(rig, argv))
        return true;
    waitpid(rig->target, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 77);
    rig->target = 0;
    return false;
}

const char *rig_say(struct rig *rig, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(rig->to, fmt, ap);
    va_end(ap);
    fputc('\n', rig->to);
    fflush(rig->to);
    assert_non_null(fgets(rig->answer, sizeof(rig->answer), rig->from));
    return rig->answer;
}

long rig_seen(struct rig *rig, const char *what)
{
    char key[128];
    const char *at;

    snprintf(key, sizeof(key), "\"%s\": ", what);
    at = strstr(rig_say(rig, "stats"), key);
    return at ? strtol(at + strlen(key), NULL, 10) : 0;
}

static void on_up(struct iscsi_unit *u, bool again)
{
    struct rig_unit *ru = container_of(u, struct rig_unit, unit);

    ru->ups++;
    ru->again = again;
}

static void on_down(struct iscsi_unit *u, const char *why)
{
    struct rig_unit *ru = container_of(u, struct rig_unit, unit);

    ru->downs++;
    snprintf(ru->why, sizeof(ru->why), "%s", why);
}

static void on_gone(struct iscsi_unit *u)
{
    container_of(u, struct rig_unit, unit)->gone = true;
}

int rig_try_open(struct rig *rig, const char *json, struct err *e)
{
    struct rig_unit *u = &rig->units[rig->num_units];
    struct errs errs = ERRS_EMPTY;
    void *out;
    int rc;

    memset(u, 0, sizeof(*u));
    rc = conf_read_text(&u->doc, &out, &iscsi_table, json, strlen(json), "/",
                        NULL, &errs);
    if (rc == 0) {
        unsigned lun;

        u->conf = out;
        u->unit.up = on_up;
        u->unit.down = on_down;
        u->unit.gone = on_gone;
        rc = iscsi_check(u->conf, "/iscsi", &lun, &errs);
        if (rc == 0)
            rc = iscsi_open(&u->unit, u->conf, &rig->loop,
                            rig->device ? rig->device : "san", e);
    }
    if (errs.count)
        *e = errs.list[0];
    if (rc == 0)
        rig->num_units++;
    else
        conf_free(u->doc);
    errs_free(&errs);
    return rc;
}

struct rig_unit *rig_open(struct rig *rig, unsigned lun, const char *keys)
{
    char json[1024];
    struct err e = {0};

    snprintf(
        json, sizeof(json),
        "{\"url\": \"iscsi://127.0.0.1:%d/iqn.2026-01.example:disk/%u\"%s}",
        rig->port, lun, keys);
    if (rig_try_open(rig, json, &e) < 0)
        fail_msg("%s: %s", e.where, e.text);
    return &rig->units[rig->num_units - 1];
}

void rig_turn(struct rig *rig)
{
    uv_run(&rig->loop.uv, UV_RUN_ONCE);
}

void rig_until(struct rig *rig, const int *flag, int n)
{
    timer_start(&rig->bark, WAIT_MS);
    /* What a turn has deferred is done before the next one sleeps. */
    while (uv_run(&rig->loop.uv, UV_RUN_NOWAIT), *flag < n)
        rig_turn(rig);
}

void rig_close(struct rig *rig)
{
    for (int i = 0; i < rig->num_units; i++)
        iscsi_close(&rig->units[i].unit);
    for (int i = 0; i < rig->num_units; i++) {
        while (!rig->units[i].gone)
            rig_turn(rig);
        conf_free(rig->units[i].doc);
    }
    timer_close(&rig->bark);
    loop_close(&rig->loop);
    if (rig->target) {
        fclose(rig->to);
        fclose(rig->from);
        waitpid(rig->target, NULL, 0);
    }
    if (rig->dir[0]) {
        char command[128];

        snprintf(command, sizeof(command), "rm -rf %s", rig->dir);
        assert_int_equal(system(command), 0);
    }
}

static void on_done(struct iscsi_cmd *cmd)
{
    static int order;
    struct rig_cmd *c = container_of(cmd, struct rig_cmd, cmd);

    c->done++;
    c->order = ++order;
}

void rig_cmd(struct rig_cmd *c, const void *cdb, unsigned cdb_len, bool out,
             void *buf, uint32_t len, uint32_t piece)
{
    uint8_t copy[ISCSI_CDB_MAX]; /* it may be c's */
    uint32_t at = 0;

    memcpy(copy, cdb, cdb_len);
    memset(c, 0, sizeof(*c));
    memcpy(c->cmd.cdb, copy, cdb_len);
    c->cmd.cdb_len = (uint8_t)cdb_len;
    c->cmd.out = out && len;
    c->cmd.in = !out && len;
    c->cmd.len = len;
    c->cmd.iov = c->iov;
    c->cmd.done = on_done;
    while (at < len) {
        uint32_t n =
            piece && c->cmd.iov_num < 7 ? MIN(piece, len - at) : len - at;

        c->iov[c->cmd.iov_num++] = (struct iovec){(char *)buf + at, n};
        at += n;
    }
}

void rig_read(struct rig_cmd *c, uint64_t lba, void *buf, uint32_t blocks)
{
    uint8_t cdb[16] = {SCSI_READ_16};

    be64_put(cdb + 2, lba);
    be32_put(cdb + 10, blocks);
    rig_cmd(c, cdb, 16, false, buf, blocks * 512, 0);
}

void rig_write(struct rig_cmd *c, uint64_t lba, void *buf, uint32_t blocks)
{
    uint8_t cdb[16] = {SCSI_WRITE_16};

    be64_put(cdb + 2, lba);
    be32_put(cdb + 10, blocks);
    rig_cmd(c, cdb, 16, true, buf, blocks * 512, 0);
}

void rig_ready(struct rig_cmd *c)
{
    rig_cmd(c, (uint8_t[6]){SCSI_TEST_UNIT_READY}, 6, false, NULL, 0, 0);
}

void rig_submit(struct rig_unit *u, struct rig_cmd *c)
{
    c->done = 0;
    iscsi_submit(&u->unit, &c->cmd);
}

void rig_do(struct rig *rig, struct rig_unit *u, struct rig_cmd *c)
{
    rig_submit(u, c);
    iscsi_kick(&u->unit);
    rig_until(rig, &c->done, 1);
}

void rig_settle(struct rig *rig, struct rig_unit *u)
{
    struct rig_cmd c;

    rig_until(rig, &u->ups, u->downs + 1);
    rig_ready(&c);
    rig_do(rig, u, &c);
    assert_int_equal(c.cmd.end, ISCSI_ANSWERED);
    assert_int_equal(c.cmd.status, SCSI_CHECK_CONDITION);
}

void rig_pattern(void *buf, size_t len, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;

    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        ((uint8_t *)buf)[i] = (uint8_t)(x >> 24);
    }
}

struct rig_unit *rig_begin(struct rig *rig, const char *keys)
{
    struct rig_unit *u;

    rig_init(rig);
    rig_disks(rig);
    u = rig_open(rig, 0, keys);
    rig_settle(rig, u);
    return u;
}

/* c as it is, with its data in pieces: all of it must move. */
static void move(struct rig *rig, struct rig_unit *u, struct rig_cmd *c,
                 bool write, void *data, size_t len, uint32_t piece)
{
    rig_cmd(c, c->cmd.cdb, 16, write, data, (uint32_t)len, piece);
    rig_do(rig, u, c);
    assert_int_equal(c->cmd.end, ISCSI_ANSWERED);
    assert_int_equal(c->cmd.status, SCSI_GOOD);
    assert_int_equal(c->cmd.moved, len);
}

void rig_verify(struct rig *rig, struct rig_unit *u, uint32_t blocks,
                uint32_t piece)
{
    size_t len = (size_t)blocks * 512;
    uint8_t *out = malloc(len), *in = calloc(1, len);
    struct rig_cmd c;

    rig_pattern(out, len, blocks + piece);
    rig_write(&c, 3, out, blocks);
    move(rig, u, &c, true, out, len, piece);
    rig_read(&c, 3, in, blocks);
    move(rig, u, &c, false, in, len, piece);
    assert_memory_equal(in, out, len);
    free(in);
    free(out);
}
