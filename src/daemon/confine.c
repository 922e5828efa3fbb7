/* Rules come from the config's own tables: each path that it names may be
 * opened again, for reading where nobody writes; and types of devices and
 * stores say by their names which system calls they need. Devices and units may
 * come later. What they need is there if it is common; the network and SCSI
 * nodes are for those who start with such a device, or with a SCSI host that
 * can be told of one. Files that the config names by then are the broker's to
 * open: it reads the config itself. */
#include "daemon/confine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/isolate.h"
#include "iscsi/unit.h"
#include "os/broker.h"
#include "os/file.h"
#include "os/library.h"
#include "os/uring.h"
#include "store/engine.h"

static struct sandbox_state in_force; /* of the process */

/* ---- config ---- */

static const struct conf_key sandbox_keys[] = {
    {"enabled", CONF_BOOL, CONF_AT(struct sandbox_config, enabled),
     .def = "true", .help = "Whether there is a sandbox."},
    {"paths", CONF_STRS, CONF_AT(struct sandbox_config, paths),
     .help = "Files and directories, relative to the config, that may be read "
             "and written beside those that the config names: for pictures, "
             "and images that are added while vub runs."},
    {"user", CONF_STR, CONF_AT(struct sandbox_config, user), .min = 1,
     .help = "The user, a name or number, that vub becomes when all sockets "
             "and devices are open. Only root can become another. Not with "
             "--run."},
    {"group", CONF_STR, CONF_AT(struct sandbox_config, group), .min = 1,
     .help = "The group that it becomes. Default: that of the user."},
    {"system_calls", CONF_BOOL, CONF_AT(struct sandbox_config, system_calls),
     .def = "true",
     .help = "Whether system calls are filtered too: without, libraries that "
             "were loaded into vub from outside can do what they are used "
             "to."},
    {NULL},
};

const struct conf_table sandbox_table = {
    .name = "sandbox",
    .size = sizeof(struct sandbox_config),
    .keys = sandbox_keys,
    .help = "What vub may not do any more once it has started.",
};

/* ---- rules ---- */

static int add_path(struct confine *c, const char *path, unsigned may)
{
    struct sandbox_path *more;

    if (c->rules.num_paths == c->room) {
        c->room = c->room ? 2 * c->room : 32;
        more = realloc(c->paths, c->room * sizeof(*more));
        if (!more)
            return -ENOMEM;
        c->rules.paths = c->paths = more;
    }
    c->paths[c->rules.num_paths++] = (struct sandbox_path){path, may};
    return 0;
}

static int add_listed(struct confine *c, const char *path, const char *dir)
{
    char **more = realloc(c->owned, (c->num_owned + 1) * sizeof(*more));
    char *whole;
    int n;

    if (!more)
        return -ENOMEM;
    c->owned = more;
    n = path[0] == '/' ? asprintf(&whole, "%s", path)
                       : asprintf(&whole, "%s/%s", dir, path);
    if (n < 0)
        return -ENOMEM;
    c->owned[c->num_owned++] = whole;
    return add_path(c, whole, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_MAKE);
}

/* Who looks at the config. */
struct look {
    struct confine *confine;
    const struct config *conf;
    bool read_only; /* the disk or unit that is looked at */
    int rc;
};

static void note_path(struct look *l, const char *path, unsigned may)
{
    int rc = add_path(l->confine, path, may);

    if (rc < 0)
        l->rc = rc;
}

static bool is_device(const struct config *conf, const void *data)
{
    for (int i = 0; i < conf->devices.count; i++) {
        if (conf->devices.list[i].data == data)
            return true;
    }
    return false;
}

/* A disk or a unit says it, for all that it is made of. */
static void look_whether_read_only(struct look *l, const struct conf_any *o)
{
    const struct conf_key *k = o->table->keys;

    while (k && k->name &&
           (k->type != CONF_BOOL || strcmp(k->name, "read_only") != 0))
        k++;
    if (k && k->name)
        l->read_only = *(const bool *)((const char *)o->data + k->offset);
    else if (is_device(l->conf, o->data))
        l->read_only = false;
}

static void on_object(const struct conf_any *o, void *arg)
{
    static const struct {
        const char *name; /* of a table */
        unsigned needs;
    } rows[] = {
        {"iscsi", SANDBOX_NETWORK},
        {"sg", SANDBOX_HOST_SCSI},
    };
    const char *name = o->table->name;
    struct look *l = arg;
    unsigned *needs = &l->confine->rules.needs;

    look_whether_read_only(l, o);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(name, rows[i].name) == 0)
            *needs |= rows[i].needs;
    }
    /* Units that it may be told of. */
    if (strcmp(name, "scsi") == 0 && l->conf->has_control)
        *needs |= SANDBOX_NETWORK;
    /* Devices that match may have any name there. */
    if (strcmp(name, "match") == 0)
        note_path(l, "/dev/input", SANDBOX_READ | SANDBOX_WRITE);
}

static void on_path(const struct conf_key *k, const char *path, void *arg)
{
    struct look *l = arg;
    bool writes = !k->only_read && !l->read_only;

    /* Nothing is opened in runtime_dir: sockets are bound before, or by the
     * broker, which removes them too. */
    if (strcmp(k->name, "runtime_dir") != 0)
        note_path(l, path, SANDBOX_READ | (writes ? SANDBOX_WRITE : 0));
}

/* Those devices that are served here. */
static int filter(struct config *out, const struct config *conf,
                  const char *isolated)
{
    const struct conf_anys *all = &conf->devices;

    *out = *conf;
    out->devices = (struct conf_anys){
        calloc((size_t)all->count + 1, sizeof(*all->list)), 0};
    if (!out->devices.list)
        return -ENOMEM;
    for (int i = 0; i < all->count; i++) {
        const struct conf_any *d = &all->list[i];

        if (isolated ? strcmp(config_device(conf, i)->id, isolated) == 0
                     : !isolate_wanted(d))
            out->devices.list[out->devices.count++] = *d;
    }
    return 0;
}

/* Beside what the config names. */
static void add_common(struct look *l)
{
    note_path(l, "/dev/udmabuf", SANDBOX_READ | SANDBOX_WRITE);
    if (l->confine->rules.needs & SANDBOX_NETWORK)
        note_path(l, "/etc/machine-id", SANDBOX_READ);
}

static int find_user(struct confine *c, const struct sandbox_config *s,
                     struct errs *e)
{
    struct sandbox_rules *r = &c->rules;

    if (s->user && sandbox_find_user(s->user, &r->uid, &r->gid) < 0)
        return errs_at(e, "/sandbox", "user", "there is no user \"%.64s\"",
                       s->user);
    if (s->group && sandbox_find_group(s->group, &r->gid) < 0)
        return errs_at(e, "/sandbox", "group", "there is no group \"%.64s\"",
                       s->group);
    r->user = s->user;
    r->has_user = s->user != NULL;
    r->has_group = s->group != NULL;
    return 0;
}

/* What the config names for those served here. */
static int add_config(struct confine *c, const struct config *all,
                      const char *dir)
{
    const struct config *conf = &c->own;
    struct look l = {.confine = c, .conf = conf};
    const struct conf_visitor visitor = {on_object, on_path, &l};

    l.rc = filter(&c->own, all, c->isolated);
    for (int i = 0; i < conf->sandbox.paths.count && l.rc == 0; i++)
        l.rc = add_listed(c, conf->sandbox.paths.list[i], dir);
    if (l.rc == 0)
        conf_visit(&config_table, conf, &visitor);
    add_common(&l);
    return l.rc;
}

/* The config itself, to be read again. */
static int add_source(struct confine *c)
{
    char *here = c->source->text ? NULL : getcwd(NULL, 0);
    int rc;

    if (!here)
        return 0;
    rc = add_listed(c, c->source->path, here);
    if (rc == 0)
        c->paths[c->rules.num_paths - 1].may = SANDBOX_READ;
    free(here);
    return rc;
}

static int add_sockets(struct confine *c, const struct config *conf)
{
    char *dir = config_runtime_dir(conf);
    const char **all = calloc((size_t)conf->devices.count + 1, sizeof(*all));

    if (!dir || !all)
        return -ENOMEM;
    for (int i = 0; i < conf->devices.count; i++) {
        char *path = config_socket_path(dir, config_device(conf, i));

        if (path)
            all[c->rules.num_sockets++] = path;
    }
    c->rules.sockets = all;
    return 0;
}

/* Is it root, or below it? Both without links. */
static bool is_below(const char *path, const char *root)
{
    size_t len = strlen(root);

    return strncmp(path, root, len) == 0 &&
           (len == 1 || !path[len] || path[len] == '/');
}

static bool can_be_written(const struct confine *c, const char *path)
{
    bool can = false;

    for (unsigned i = 0; i < c->rules.num_paths && path && !can; i++) {
        bool writes = c->paths[i].may & SANDBOX_WRITE;
        char *root = writes ? file_real_path(c->paths[i].path) : NULL;

        can = root && is_below(path, root);
        free(root);
    }
    return can;
}

/* Then what it says may be what a guest has written: by its own name, where it
 * could be replaced, or that of the file that a link leads to. */
static bool source_can_be_written(const struct confine *c,
                                  const struct config_source *source)
{
    const char *slash = source->text ? NULL : strrchr(source->path, '/');
    char *dir = NULL, *real, *above, *named = NULL;
    bool can;

    if (source->text)
        return false;
    if (slash)
        dir = strndup(source->path, (size_t)(slash - source->path) + 1);
    above = file_real_path(slash && dir ? dir : ".");
    real = file_real_path(source->path);
    if (!above || asprintf(&named, "%s/%s", strcmp(above, "/") ? above : "",
                           slash ? slash + 1 : source->path) < 0)
        named = NULL;
    can = !named || can_be_written(c, named) || can_be_written(c, real);
    free(dir);
    free(above);
    free(real);
    free(named);
    return can;
}

/* In a process that ends when it has answered one question: nothing is freed.
 */
static const struct sandbox_rules *reread(const struct sandbox_rules *rules)
{
    static struct confine now;
    const struct confine *c = container_of(rules, struct confine, rules);
    const struct config *conf;
    struct errs e = ERRS_EMPTY;
    struct conf_doc *doc;

    now.isolated = c->isolated;
    if (config_read(&doc, &conf, c->source, &e) < 0 ||
        add_config(&now, conf, conf_dir(doc)) < 0 ||
        (!c->isolated && add_sockets(&now, conf) < 0) ||
        source_can_be_written(&now, c->source))
        return NULL;
    return &now.rules;
}

/* Of this process; set before others exist. */
static bool rereads;

bool confine_rereads(void)
{
    return rereads;
}

static bool any_isolated(const struct config *conf)
{
    for (int i = 0; i < conf->devices.count; i++)
        if (isolate_wanted(&conf->devices.list[i]))
            return true;
    return false;
}

static int add_rules(struct confine *c, struct errs *e)
{
    const struct sandbox_config *s = &c->conf->sandbox;
    int rc = find_user(c, s, e);

    if (rc < 0)
        return rc;
    /* What devices may need that come later, but for what few have. */
    c->rules.needs = SANDBOX_FILES | SANDBOX_INPUT | SANDBOX_GPU;
    c->socket_dir = config_runtime_dir(c->conf);
    if (!c->socket_dir || add_config(c, c->conf, conf_dir(c->doc)) < 0 ||
        add_source(c) < 0)
        return errs_nomem(e);
    if (!c->isolated)
        c->rules.socket_dir = c->socket_dir;
    if (!source_can_be_written(c, c->source))
        c->rules.reread = reread;
    c->rules.pictures = c->conf->has_control; /* by which they are asked for */
    c->rules.any_call = !s->system_calls;
    return 0;
}

int confine_prepare(struct confine *c, const struct config *conf,
                    struct conf_doc *doc, const struct config_source *source,
                    const char *isolated, struct errs *e)
{
    struct err why;
    int rc = 0;

    *c = (struct confine){.conf = conf,
                          .doc = doc,
                          .source = source,
                          .isolated = isolated,
                          .on = conf->sandbox.enabled};
    if (!isolated)
        c->rules.spawn = isolate_spawn;
    c->rules.only_spawns = !c->on;
    if (c->on)
        rc = add_rules(c, e);
    rereads = !c->on || c->rules.reread;
    if (!c->on && (isolated || !any_isolated(conf)))
        return 0;
    if (rc == 0)
        rc = broker_start(&c->rules, &why) < 0 ? errs_push(e, &why) : 0;
    return rc;
}

static void count_file(const struct conf_any *o, void *arg)
{
    if (strcmp(o->table->name, "file") == 0)
        ++*(unsigned *)arg;
}

#define RINGS_FOR_LATER 8u /* for devices that are added */

/* For each file, one on each worker that its device has. */
static unsigned rings_of(const struct conf_anys *devices)
{
    unsigned all = 0;

    for (int i = 0; i < devices->count; i++) {
        const struct conf_any *d = &devices->list[i];
        const struct device_common *common = d->data;
        unsigned queues = device_type_of(d)->queues(d->data), files = 0;
        const struct conf_visitor v = {.object = count_file, .arg = &files};

        conf_visit(d->table, d->data, &v);
        all += files * MIN(queues, (unsigned)MAX(common->worker.count, 1));
    }
    return all;
}

/* New code is what the sandbox keeps out: libraries that a device which comes
 * later could need are loaded now, or not at all. There is nobody to bring one
 * without a control socket but who has changed the config file, and can start
 * vub again. The process of a device has no other, but units may come. */
static void load_for_later(const struct confine *c)
{
    const struct conf_table *const *t = device_union.tables;
    struct err why; /* told by the device that needs it */

    for (; c->conf->has_control && !c->isolated && *t; t++) {
        const struct device_type *type = (*t)->ops;

        if (type->ready)
            type->ready(&why);
    }
    if (c->conf->has_control && (c->rules.needs & SANDBOX_NETWORK))
        iscsi_ready(&why);
    library_seal();
}

int confine_enter(struct confine *c, int command, struct errs *e)
{
    struct err why;
    int rc;

    if (!c->on)
        return 0;
    c->rules.command = command;
    load_for_later(c);
    if (!c->rules.any_call)
        engine_uring_reserve(rings_of(&c->own.devices) +
                             (c->conf->has_control ? RINGS_FOR_LATER : 0));
    rc = sandbox_enter(&c->rules, &in_force, &why);
    if (rc < 0)
        return errs_adopt(e, "", "sandbox", &why);
    if (in_force.missing[0])
        log_info(NULL, "the sandbox has %s", in_force.missing);
    if (!c->rules.reread)
        log_warn(NULL, "the config lies where the sandbox allows to write: "
                       "what it will say later is not believed, and files "
                       "that it does not name yet cannot be opened");
    return 0;
}

void confine_end(struct confine *c)
{
    broker_stop();
    uring_unreserve();
    for (unsigned i = 0; i < c->num_owned; i++)
        free(c->owned[i]);
    free(c->owned);
    free(c->socket_dir);
    free(c->own.devices.list);
    free(c->paths);
    *c = (struct confine){.on = false};
}

/* ---- status ---- */

void confine_status(struct json_out *o)
{
    json_begin(o, "sandbox", '{');
    json_add_bool(o, "enabled", in_force.entered);
    if (in_force.entered) {
        json_add_bool(o, "no_new_privs", in_force.no_new_privs);
        json_add_bool(o, "system_calls", in_force.seccomp);
        json_add_u64(o, "landlock", (uint64_t)in_force.landlock);
        json_add_bool(o, "dumpable", !in_force.not_dumped);
        json_begin(o, "capabilities", '[');
        for (unsigned cap = 0; cap < 64; cap++) {
            if (in_force.kept >> cap & 1)
                json_add_u64(o, NULL, cap);
        }
        json_end(o, ']');
        json_add_u64(o, "user", in_force.uid);
        json_add_u64(o, "group", in_force.gid);
        if (in_force.missing[0])
            json_add_str(o, "missing", in_force.missing);
    }
    json_end(o, '}');
}
