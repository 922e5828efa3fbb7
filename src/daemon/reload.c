/* What differs is found key by key, in what was read and not in the text. A
 * device that is served and is not in the file goes, whoever has added it:
 * afterwards what is served is what the file says.
 *
 * Devices that stay look at their sources again, whatever comes of the rest:
 * that changes nothing that the config says. */
#include "daemon/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct conf_any *find(const struct config *c, const char *id)
{
    for (int i = 0; i < c->devices.count; i++)
        if (strcmp(config_device(c, i)->id, id) == 0)
            return &c->devices.list[i];
    return NULL;
}

/* ---- what cannot change ---- */

static bool same_dir(const struct config *a, const struct config *b)
{
    char *x = config_runtime_dir(a), *y = config_runtime_dir(b);
    bool same = x && y && strcmp(x, y) == 0;

    free(x);
    free(y);
    return same;
}

static bool same_control(const struct config *a, const struct config *b)
{
    if (!a->has_control || !b->has_control)
        return a->has_control == b->has_control;
    return strcmp(a->control.path, b->control.path) == 0 &&
           a->control.mode == b->control.mode;
}

static int check_root(const struct config *was, const struct config *is,
                      struct errs *e)
{
    int rc = 0;

    if (!same_dir(was, is))
        rc = errs_at(e, "", "runtime_dir",
                     "cannot change while vub runs: start it again for that");
    if (!same_control(was, is))
        rc = errs_at(e, "", "control",
                     "cannot change while vub runs: start it again for that");
    return rc;
}

/* ---- what differs ---- */

enum fate { ADDED, REMOVED, CHANGED, ADJUSTED, KEPT };

static enum fate fate_of(const struct served *s, const struct config *is)
{
    const struct conf_any *any = find(is, s->common->id);

    if (!any)
        return REMOVED;
    if (s->closing)
        return CHANGED;
    if (conf_same(s->conf, any, &device_union))
        return KEPT;
    return served_can_adjust(s, any) ? ADJUSTED : CHANGED;
}

static void list_fate(struct json_out *o, const char *name, enum fate fate,
                      const struct devices *ds, const struct config *is)
{
    json_begin(o, name, '[');
    for (int i = 0; i < ds->count && fate != ADDED; i++)
        if (fate_of(ds->list[i], is) == fate)
            json_add_str(o, NULL, ds->list[i]->common->id);
    for (int i = 0; i < is->devices.count && fate == ADDED; i++)
        if (!devices_find(ds, config_device(is, i)->id))
            json_add_str(o, NULL, config_device(is, i)->id);
    json_end(o, ']');
}

/* A socket that was given to us ends with its device. */
static int check_given(const struct served *s, const struct conf_any *is,
                       struct errs *e)
{
    if (s->place.given < 0)
        return 0;
    return errs_at(e, is->at, NULL,
                   "the socket of this device was given to vub when it "
                   "started, so it cannot change while vub runs");
}

static int compare(const struct reload *r, struct change *c, struct errs *e)
{
    const struct devices *ds = r->changer->devices;
    int rc = check_root(r->changer->conf, r->conf, e), one;

    for (int i = 0; i < ds->count; i++) {
        struct served *s = ds->list[i];
        const struct conf_any *any = find(r->conf, s->common->id);
        enum fate fate = fate_of(s, r->conf);

        one = 0;
        if (fate == CHANGED)
            one = check_given(s, any, e);
        if (one == 0 && fate == CHANGED)
            one = change_come(c, any, r->doc, s);
        else if (fate == ADJUSTED)
            one = change_adjust(c, s, any, r->doc);
        else if (one == 0 && fate == REMOVED)
            one = change_leave(c, s);
        if (one == -ENOMEM)
            errs_nomem(e);
        rc = one < 0 ? one : rc;
    }
    for (int i = 0; i < r->conf->devices.count; i++) {
        const struct conf_any *any = &r->conf->devices.list[i];

        if (devices_find(ds, config_device(r->conf, i)->id))
            continue;
        if (change_come(c, any, r->doc, NULL) < 0)
            rc = errs_nomem(e);
    }
    one = change_check(c, e);
    return one < 0 ? one : rc;
}

/* ---- doing it ---- */

static void refresh_all(struct reload *r)
{
    const struct devices *ds = r->changer->devices;

    for (int i = 0; i < ds->count && !r->changer->stopped; i++)
        if (!ds->list[i]->closing)
            r->refreshing += served_refresh(ds->list[i]);
}

static void finish(struct reload *r, const struct errs *e)
{
    void (*done)(void *arg, const struct errs *e) = r->done;

    conf_free(r->doc);
    r->doc = NULL;
    r->runs = false;
    refresh_all(r);
    if (r->refreshing == 0)
        service_reloaded(r->service);
    done(r->arg, e);
}

void reload_refreshed(struct reload *r)
{
    if (--r->refreshing == 0 && !r->runs)
        service_reloaded(r->service);
}

/* What is no device. */
static void adopt(struct reload *r)
{
    struct changer *ch = r->changer;
    struct conf_doc *was = ch->doc;

    if (r->conf->log.level != ch->conf->log.level ||
        r->conf->log.format != ch->conf->log.format)
        config_set_log(r->source, &r->conf->log);
    devices_set_log(ch->devices);
    ch->doc = conf_ref(r->doc);
    ch->conf = r->conf;
    conf_free(was);
}

static void on_changed(void *arg, const struct errs *e)
{
    struct reload *r = arg;

    if (errs_total(e) == 0)
        adopt(r);
    finish(r, e);
}

void reload_run(struct reload *r, struct json_out *out,
                void (*done)(void *arg, const struct errs *e), void *arg)
{
    static const char *const names[] = {
        [ADDED] = "added",       [REMOVED] = "removed", [CHANGED] = "changed",
        [ADJUSTED] = "adjusted", [KEPT] = "kept",
    };
    struct errs e = ERRS_EMPTY;
    struct change *c = NULL;
    int rc;

    r->done = done;
    r->arg = arg;
    r->runs = true;
    service_reloading(r->service);
    rc = config_read(&r->doc, &r->conf, r->source, &e);
    if (rc == 0)
        c = change_new(r->changer);
    if (rc == 0)
        rc = c ? compare(r, c, &e) : errs_nomem(&e);
    if (rc < 0) {
        if (c)
            change_free(c);
        finish(r, &e);
        errs_free(&e);
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        list_fate(out, names[i], (enum fate)i, r->changer->devices, r->conf);
    change_run(c, on_changed, r);
}

int reload_find(const struct reload *r, const char *id, struct conf_any *out,
                struct conf_doc **doc, struct errs *e)
{
    const struct config *conf;
    const struct conf_any *any;
    int rc = config_read(doc, &conf, r->source, e);

    if (rc < 0)
        return rc;
    any = find(conf, id);
    if (any) {
        *out = *any;
        return 0;
    }
    conf_free(*doc);
    return errs_add(e, -ENOENT, "/params/device",
                    "the config has no device \"%.64s\" any more", id);
}

/* ---- SIGHUP ---- */

static void log_errors(const char *path, const struct errs *e)
{
    for (int i = 0; i < e->count; i++)
        log_error(NULL, "%s: %s%s%s", path, e->list[i].where,
                  e->list[i].where[0] ? ": " : "", e->list[i].text);
    log_error(NULL, "the devices are as they were: %u error%s", errs_total(e),
              errs_total(e) == 1 ? "" : "s");
}

static void on_hangup_done(void *arg, const struct errs *e)
{
    struct reload *r = arg;

    if (errs_total(e) > 0)
        log_errors(r->source->path, e);
    else
        log_info(NULL, "the config was read again: {%s}",
                 r->lists.failed ? "" : r->lists.text);
    json_out_free(&r->lists);
    changer_over(r->changer);
}

static void on_hangup(struct turn *t)
{
    struct reload *r = container_of(t, struct reload, hangup);

    r->hangup_waits = false;
    r->lists = JSON_OUT_EMPTY;
    reload_run(r, &r->lists, on_hangup_done, r);
}

static void drop_hangup(struct turn *t)
{
    container_of(t, struct reload, hangup)->hangup_waits = false;
}

void reload_hangup(struct reload *r)
{
    if (r->hangup_waits)
        return;
    r->hangup_waits = true;
    r->hangup.run = on_hangup;
    r->hangup.drop = drop_hangup;
    changer_wait(r->changer, &r->hangup);
}
