/* What the table of a plan cannot say of names: whether devices are there and
 * of the type that a command is for, whether a device has the filter, whether
 * processes are started at all. Devices may come while a scenario runs: those
 * that a step adds are there for the steps behind it, and after config.reload
 * any may be. */
#include <stdlib.h>
#include <string.h>

#include "daemon/scenario/plan.h"

/* ---- devices ---- */

bool plan_devices_add(struct plan_devices *d, const char *id, const char *type,
                      const struct conf_any *conf)
{
    struct plan_device *more =
        realloc(d->list, (d->count + 1) * sizeof(*d->list));

    if (!more)
        return false;
    d->list = more;
    more[d->count++] = (struct plan_device){id, type, conf};
    return true;
}

bool plan_devices_of(struct plan_devices *d, const struct config *c)
{
    for (int i = 0; i < c->devices.count; i++)
        if (!plan_devices_add(d, config_device(c, i)->id,
                              c->devices.list[i].table->name,
                              &c->devices.list[i]))
            return false;
    return true;
}

/* ---- names ---- */

struct names {
    struct plan_devices devices; /* grows by device.add */
    bool any;                    /* others may be there, too */
    const struct conf_keyeds *all;
    struct errs *e;
    char at[ERR_WHERE_BYTES]; /* of the step's value */
};

static const struct plan_device *find_device(const struct names *n,
                                             const char *id)
{
    for (unsigned i = 0; i < n->devices.count; i++)
        if (strcmp(n->devices.list[i].id, id) == 0)
            return &n->devices.list[i];
    return NULL;
}

const char *plan_string(const struct conf_table *t, const void *data,
                        const char *key)
{
    for (const struct conf_key *k = t && data ? t->keys : NULL; k && k->name;
         k++)
        if (k->type == CONF_STR && strcmp(k->name, key) == 0)
            return *(const char *const *)((const char *)data + k->offset);
    return NULL;
}

/* Of a step: whichever of its tables has it. */
static const char *param(const struct conf_keyed_one *s, const char *key)
{
    const struct plan_kind *k = plan_kind(s);
    const char *value = plan_string(k->row.tables[0], s->data[0], key);

    return value ? value : plan_string(k->row.tables[1], s->data[1], key);
}

/* Stores of a device that a command may be for. */
struct store_count {
    const char *type, *name; /* name NULL: any */
    unsigned found;
};

static void on_object(const struct conf_any *o, void *arg)
{
    struct store_count *l = arg;
    const char *name;

    for (const struct conf_table *const *t = store_union.tables; *t; t++) {
        if (o->table != *t || strcmp((*t)->name, l->type) != 0)
            continue;
        name = plan_string(o->table, o->data, "name");
        l->found += !l->name || (name && strcmp(name, l->name) == 0);
    }
}

static void check_filter(struct names *n, const struct conf_keyed_one *s,
                         const struct plan_device *d)
{
    const struct command_row *c = &plan_kind(s)->command;
    struct store_count l = {c->store_type, param(s, "filter"), 0};
    const struct conf_visitor v = {.object = on_object, .arg = &l};

    if (!d->conf)
        return;
    conf_visit(d->conf->table, d->conf->data, &v);
    if (l.found == 1)
        return;
    if (l.found > 1)
        errs_at(n->e, n->at, "filter",
                "\"%s\" has %u stores of the type %s%s: give the one a "
                "\"name\" of its own, and say that",
                d->id, l.found, l.type, l.name ? " and that name" : "");
    else if (l.name)
        errs_at(n->e, n->at, "filter",
                "\"%s\" has no store of the type %s with the name \"%.64s\"",
                d->id, l.type, l.name);
    else
        errs_at(n->e, n->at, "device", "\"%s\" has no store of the type %s",
                d->id, l.type);
}

static void check_device(struct names *n, const struct conf_keyed_one *s)
{
    const struct plan_kind *k = plan_kind(s);
    const char *id = param(s, "device");
    const struct plan_device *d = id ? find_device(n, id) : NULL;
    const char *type = NULL;

    if (k->command.device)
        type = k->command.type->name;
    else if (k->run && strcmp(k->row.name, "screenshot") == 0)
        type = "gpu";
    if (!id || (!d && n->any))
        return;
    if (!d)
        errs_at(n->e, n->at, "device", "there is no device \"%.64s\"", id);
    else if (type && strcmp(d->type, type) != 0)
        errs_at(n->e, n->at, "device",
                "\"%s\" is of the type %s; this is for those of the type %s",
                id, d->type, type);
    else if (k->command.store)
        check_filter(n, s, d);
}

/* One that a command adds is there from then on. */
static void note_added(struct names *n, const struct conf_keyed_one *s)
{
    const struct plan_kind *k = plan_kind(s);

    for (int i = 0; i < 2; i++) {
        const struct conf_table *t = k->row.tables[i];

        for (const struct conf_key *key = t ? t->keys : NULL; key && key->name;
             key++) {
            const struct conf_any *a =
                (const void *)((const char *)s->data[i] + key->offset);
            const struct device_common *d;

            if (key->type != CONF_UNION || key->of != &device_union || !a->data)
                continue;
            d = a->data;
            if (!plan_devices_add(&n->devices, d->id, a->table->name, a))
                errs_nomem(n->e);
        }
    }
    n->any |= strcmp(k->row.name, "config.reload") == 0;
}

bool plan_names_process(const struct conf_keyeds *steps, const char *kind,
                        const char *process)
{
    for (int i = 0; i < steps->count; i++) {
        const struct conf_keyed_one *s = &steps->list[i];
        const struct repeat_step *r = plan_repeat(s);
        const char *name = param(s, "process");

        if (r && plan_names_process(&r->steps, kind, process))
            return true;
        if (name && strcmp(name, process) == 0 &&
            strcmp(plan_kind(s)->row.name, kind) == 0)
            return true;
    }
    return false;
}

static void check_names(struct names *n, const struct conf_keyeds *steps,
                        bool with_devices)
{
    for (int i = 0; i < steps->count; i++) {
        const struct conf_keyed_one *s = &steps->list[i];
        const struct repeat_step *r = plan_repeat(s);
        const char *process = param(s, "process");

        if (r) {
            if (((const struct plan_common *)s->common)->name)
                errs_at(n->e, s->at, "name",
                        "reports tell of a repeat by its steps: name those");
            check_names(n, &r->steps, with_devices);
            continue;
        }
        snprintf(n->at, sizeof(n->at), "%s/%s", s->at, plan_kind(s)->row.name);
        if (with_devices) {
            check_device(n, s);
            note_added(n, s);
        }
        if (process && !plan_names_process(n->all, "run", process))
            errs_at(n->e, n->at, "process", "no step runs a process \"%.64s\"",
                    process);
    }
}

int plan_check_names(const struct plan *p, const struct plan_devices *devices,
                     struct errs *e)
{
    struct names n = {.all = &p->steps, .e = e};
    unsigned before = errs_total(e);

    for (unsigned i = 0; devices && i < devices->count; i++) {
        const struct plan_device *d = &devices->list[i];

        if (!plan_devices_add(&n.devices, d->id, d->type, d->conf))
            return errs_nomem(e);
    }
    check_names(&n, &p->steps, devices != NULL);
    free(n.devices.list);
    return errs_total(e) > before ? -EINVAL : 0;
}
