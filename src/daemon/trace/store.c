/* Which store a trace is replayed against: one that is given as JSON, or that
 * of a device of a config. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/trace/impl.h"

struct wanted {
    struct conf_any store;
};

static const struct conf_key wanted_keys[] = {
    {"store", CONF_UNION, CONF_AT(struct wanted, store), .required = true,
     .of = &store_union, .help = "The store."},
    {NULL},
};

static void wanted_check(void *data, const char *at, struct errs *e)
{
    const struct wanted *w = data;

    (void)at;
    store_check_stack(&w->store, e);
}

static const struct conf_table wanted_table = {
    .name = "replay",
    .size = sizeof(struct wanted),
    .keys = wanted_keys,
    .check = wanted_check,
    .help = "What a trace is replayed against.",
};

static int first_of(const struct errs *es, const char *file, struct err *e)
{
    const struct err *first = &es->list[0];

    return err_set(e, first->code, file, "%s%s%s", first->where,
                   first->where[0] ? ": " : "", first->text);
}

static int read_store(const struct trace_options *o, struct conf_doc **doc,
                      const struct conf_any **out, struct err *e)
{
    struct errs errs = ERRS_EMPTY;
    struct wanted *w;
    char *text, *dir = realpath(".", NULL);
    int n = asprintf(&text, "{\"store\": %s}", o->store), rc;

    if (n < 0 || !dir) {
        free(dir);
        return err_nomem(e);
    }
    rc = conf_read_text(doc, (void **)&w, &wanted_table, text, (size_t)n, dir,
                        NULL, &errs);
    if (rc < 0)
        first_of(&errs, "--store", e);
    else
        *out = &w->store;
    errs_free(&errs);
    free(text);
    free(dir);
    return rc;
}

/* The store that a key of an object names; NULL: there is no such key. */
static const struct conf_any *store_at(const struct conf_any *o,
                                       const char *key)
{
    for (const struct conf_key *k = o->table->keys; k && k->name; k++)
        if (k->type == CONF_UNION && k->of == &store_union &&
            strcmp(k->name, key) == 0)
            return (const void *)((const char *)o->data + k->offset);
    return NULL;
}

static int find_store(const struct config *c, const char *id,
                      const struct conf_any **out, struct err *e)
{
    const struct conf_any *s = NULL;
    int i = 0;

    while (i < c->devices.count && strcmp(config_device(c, i)->id, id) != 0)
        i++;
    if (i == c->devices.count)
        return err_set(e, -ENOENT, "--device",
                       "there is no device \"%.64s\" in this config", id);
    s = store_at(&c->devices.list[i], "store");
    if (!s)
        return err_set(e, -EINVAL, "--device", "\"%.64s\" has no store", id);
    /* What it would write over is perhaps what is replayed. */
    while (strcmp(s->table->name, "trace") == 0)
        s = store_at(s, "next");
    *out = s;
    return 0;
}

static int read_config(const struct trace_options *o, struct conf_doc **doc,
                       const struct conf_any **out, struct err *e)
{
    const struct config_source source = {
        .path = o->config, .log_level = -1, .log_format = -1};
    struct errs errs = ERRS_EMPTY;
    const struct config *c;
    int rc = config_read(doc, &c, &source, &errs);

    if (rc < 0)
        first_of(&errs, o->config, e);
    else
        rc = find_store(c, o->device, out, e);
    errs_free(&errs);
    return rc;
}

int trace_open_store(const struct trace_options *o, struct conf_doc **doc,
                     struct store **out, bool *acquired, struct err *e)
{
    const struct conf_any *c = NULL;
    struct errs errs = ERRS_EMPTY;
    int rc = o->store ? read_store(o, doc, &c, e) : read_config(o, doc, &c, e);

    if (rc < 0)
        return rc;
    rc = store_open(out, c, !o->write, "replay", &errs);
    if (rc < 0)
        first_of(&errs, o->store ? "--store" : o->config, e);
    errs_free(&errs);
    if (rc < 0)
        return rc;
    rc = store_acquire(*out, e);
    *acquired = rc == 0;
    return rc;
}
