/* Source `evdev`: a device of this machine.
 *
 *     {"type": "evdev", "path": "/dev/input/by-id/usb-X-event-kbd",
 *      "hotkey": ["KEY_LEFTCTRL", "KEY_RIGHTCTRL"]}
 *     {"type": "evdev", "match": {"name": "Some Keyboard"}, "grab": false}
 *
 * What a guest has been told of the device stays so: a device that goes may
 * come back, at the same path or matching the same, and must be the same. While
 * it is away we follow the directories where it would appear; a node that has
 * just appeared may not be opened yet (udev sets its mode later), so each
 * sign of life is followed by some attempts.
 *
 * The device is grabbed while a driver listens and the hot-key has not given
 * it back to the host; but not before all keys are up: the host, which saw
 * them go down, would never see them come up. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"
#include "device/input/codes.h"
#include "device/input/describe.h"
#include "device/input/evdev_impl.h"
#include "device/input/names.h"
#include "os/watchdir.h"

#define DEVICES_DIR "/dev/input"
#define TURN_EVENTS 512  /* that are read in one turn of the loop */
#define FIRST_WAIT_MS 25 /* doubled each time: */
#define ATTEMPTS_MAX 8   /* 6 s in all */
#define BLIND_WAIT_MS                                                          \
    2000 /* between attempts if directories cannot be                          \
          * followed */

/* ---- is it the device that the guest knows? ---- */

static bool is_ours(struct evdev_node *n, void *arg)
{
    struct evdev *v = arg;
    struct source_desc is;
    char why[120];

    node_describe(n, &is);
    if (desc_fits(&v->source.desc, &is, v->conf->has_describe, why,
                  sizeof(why)))
        return true;
    if (!v->other_told)
        log_warn(v->id,
                 "%s (\"%s\") is another device than the guest was "
                 "told of: %s. It is not used",
                 node_path(n), is.name, why);
    v->other_told = true;
    return false;
}

/* ---- grab and hot-key ---- */

/* at_once: the host has seen no key go down. */
void evdev_mind_grab(struct evdev *v, bool at_once)
{
    bool want = v->conf->grab && v->attended && !v->given_back;
    int rc;

    if (!v->node || want == v->grabbed || (want && v->grab_refused) ||
        (want && !at_once && node_any_key_is_down(v->node)))
        return;
    rc = node_grab(v->node, want);
    if (rc == 0) {
        v->grabbed = want;
        return;
    }
    v->grab_refused = true;
    log_limited(&v->limit, LOG_WARN, v->id, "cannot %s %s: %s: %s",
                want ? "grab" : "give back", node_path(v->node), strerror(-rc),
                "this machine and the guest both get its events");
}

static void mind_grab(struct evdev *v)
{
    evdev_mind_grab(v, false);
}

static void write_status(struct evdev *v, uint16_t type, uint16_t code,
                         int32_t value)
{
    int rc = node_write(v->node, type, code, value);

    if (rc < 0 && rc != -ENODEV)
        log_limited(&v->limit, LOG_WARN, v->id,
                    "what the guest has set (LEDs, sounds, key repeat, force "
                    "feedback) cannot be written to %s: %s",
                    node_path(v->node), strerror(-rc));
}

void evdev_show_leds(struct evdev *v)
{
    for (uint16_t code = 0; code < LED_CNT; code++) {
        if (v->leds_set & 1u << code)
            write_status(v, EV_LED, code, v->leds >> code & 1);
    }
}

static bool is_hotkey(const struct evdev *v, const struct input_event16 *ev)
{
    bool among = false;

    if (ev->type != EV_KEY || ev->value != 1)
        return false;
    for (int i = 0; i < v->conf->hotkey.count; i++) {
        if (!node_key_is_down(v->node, v->hotkey[i]))
            return false;
        among = among || ev->code == v->hotkey[i];
    }
    return among;
}

/* The guest must not hear of keys that it has not seen go down. */
static bool is_stale(struct evdev *v, const struct input_event16 *ev)
{
    uint8_t bit = (uint8_t)(1u << ev->code % 8);

    if (ev->type != EV_KEY || !(v->stale[ev->code / 8] & bit))
        return false;
    if (ev->value == 0) {
        v->stale[ev->code / 8] &= (uint8_t)~bit;
        evdev_note(v);
    }
    return true;
}

static void note_stale(struct evdev *v)
{
    for (unsigned code = 0; code < KEY_CNT; code++) {
        if (node_key_is_down(v->node, code))
            v->stale[code / 8] |= (uint8_t)(1u << code % 8);
    }
}

static void toggle(struct evdev *v)
{
    v->given_back = !v->given_back;
    v->grab_refused = false;
    memset(v->stale, 0, sizeof(v->stale));
    v->source.host->hold(&v->source);
    if (v->given_back) {
        framing_release(&v->framing);
    } else {
        note_stale(v);
        evdev_show_leds(v);
    }
    evdev_note(v);
    v->source.host->release(&v->source);
    log_info(v->id, "the hot-key has given it to the %s",
             v->given_back ? "host" : "guest");
    mind_grab(v);
}

/* ---- events ---- */

static void on_frame(struct framing *f, const struct input_event16 *ev,
                     unsigned n)
{
    struct evdev *v = container_of(f, struct evdev, framing);

    source_frame(&v->source, ev, n);
}

static void take(struct evdev *v, const struct input_event16 *ev)
{
    if (is_hotkey(v, ev))
        toggle(v);
    else if (!v->given_back && !is_stale(v, ev))
        framing_add(&v->framing, ev->type, ev->code, ev->value);
    if (ev->type == EV_SYN && ev->code == SYN_REPORT)
        mind_grab(v); /* keys may be up now */
}

static void lose(struct evdev *v, int why);

/* What a turn has room for. libevdev reads ahead, so what is left need not make
 * the node readable again. */
static int read_events(struct evdev *v)
{
    struct input_event16 ev;
    int rc;

    for (unsigned i = 0; i < TURN_EVENTS; i++) {
        rc = node_next(v->node, &ev, &v->dropped);
        if (rc <= 0)
            return rc;
        take(v, &ev);
    }
    loop_defer(v->loop, &v->more);
    return 0;
}

static void on_more(struct defer *d)
{
    struct evdev *v = container_of(d, struct evdev, more);
    int rc = read_events(v);

    if (rc < 0)
        lose(v, rc);
}

static void on_readable(struct watch *w, int status, int events)
{
    struct evdev *v = container_of(w, struct port, watch)->evdev;
    int rc = read_events(v); /* what it did last, even if it has gone */

    (void)events;
    if (rc < 0 || status < 0)
        lose(v, rc < 0 ? rc : -ENODEV);
}

static void evdev_status(struct source *s, uint16_t type, uint16_t code,
                         int32_t value)
{
    struct evdev *v = evdev_of(s);

    if (type == EV_LED && code < LED_CNT) {
        uint16_t bit = (uint16_t)(1u << code);

        v->leds_set |= bit;
        v->leds = (uint16_t)(value ? v->leds | bit : v->leds & ~bit);
        evdev_note(v);
    }
    /* The host's LEDs are the host's. */
    if (v->node && !v->given_back)
        write_status(v, type, code, value);
}

void evdev_attend(struct source *s, bool listens)
{
    struct evdev *v = evdev_of(s);

    v->attended = listens;
    v->grab_refused = false;
    mind_grab(v);
}

/* ---- ports ---- */

static void end_stop(struct evdev *v)
{
    if (v->gone && v->handles == 0)
        v->gone(&v->source);
}

static void on_port_gone(struct watch *w)
{
    struct port *p = container_of(w, struct port, watch);
    struct evdev *v = p->evdev;

    free(p);
    v->handles--;
    end_stop(v);
}

/* Calls ready when fd can be read. NULL: that cannot be. */
static struct port *port_open(struct evdev *v, int fd,
                              void (*ready)(struct watch *w, int status,
                                            int events))
{
    struct port *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->evdev = v;
    p->watch.ready = ready;
    p->watch.gone = on_port_gone;
    if (watch_open(&p->watch, v->loop, fd) < 0) {
        free(p);
        return NULL;
    }
    v->handles++;
    if (watch_start(&p->watch, UV_READABLE) == 0)
        return p;
    watch_close(&p->watch);
    return NULL;
}

static void port_close(struct port **p)
{
    if (*p)
        watch_close(&(*p)->watch);
    *p = NULL;
}

/* ---- it goes and comes ---- */

static void lookout_close(struct evdev *v)
{
    port_close(&v->lookout);
    if (v->lookout_fd >= 0)
        close(v->lookout_fd);
    v->lookout_fd = -1;
    timer_stop(&v->retry);
}

/* Its events come from now on. False: they cannot. */
static bool adopt(struct evdev *v, struct evdev_node *n)
{
    v->port = port_open(v, node_fd(n), on_readable);
    if (!v->port) {
        log_error(v->id, "%s cannot be waited for", node_path(n));
        node_close(n);
        return false;
    }
    v->node = n;
    v->grabbed = v->grab_refused = v->other_told = false;
    lookout_close(v);
    mind_grab(v);
    if (!v->given_back)
        evdev_show_leds(v);
    return true;
}

static bool attempt(struct evdev *v)
{
    struct evdev_node *n;
    struct err e;
    int rc;

    if (v->conf->path)
        rc = node_open(&n, v->conf->path, &e);
    else
        rc = node_find(&n, DEVICES_DIR, &v->conf->match, is_ours, v, &e);
    if (rc == -ENOENT && v->conf->path)
        v->other_told = false;
    if (rc < 0)
        return false;
    if (v->conf->path && !is_ours(n, v)) {
        node_close(n);
        return false;
    }
    if (!adopt(v, n))
        return false;
    v->returns++;
    log_info(v->id, "%s is there", node_path(n));
    return true;
}

static void attempt_again(struct evdev *v)
{
    if (attempt(v))
        return;
    if (v->lookout_fd < 0)
        timer_start(&v->retry, BLIND_WAIT_MS);
    else if (v->attempts < ATTEMPTS_MAX)
        timer_start(&v->retry, (uint64_t)FIRST_WAIT_MS << v->attempts++);
}

static void on_retry(struct timer *t)
{
    attempt_again(container_of(t, struct evdev, retry));
}

static void follow(struct evdev *v)
{
    watchdir_follow(v->lookout_fd, DEVICES_DIR);
    if (v->link_dir)
        watchdir_follow(v->lookout_fd, v->link_dir);
}

static void on_appears(struct watch *w, int status, int events)
{
    struct evdev *v = container_of(w, struct port, watch)->evdev;

    (void)status, (void)events;
    watchdir_clear(v->lookout_fd);
    follow(v);
    v->attempts = 0;
    attempt_again(v);
}

static void seek(struct evdev *v)
{
    int rc = watchdir_open(&v->lookout_fd);

    if (rc == 0) {
        v->lookout = port_open(v, v->lookout_fd, on_appears);
        follow(v);
    }
    if (!v->lookout) {
        log_warn(v->id,
                 "directories cannot be followed: it is looked for "
                 "every %d s",
                 BLIND_WAIT_MS / 1000);
        lookout_close(v);
    }
    v->attempts = 0;
    attempt_again(v); /* it may have come back before we followed */
}

static void lose(struct evdev *v, int why)
{
    log_info(v->id, "%s has gone: %s", node_path(v->node), strerror(-why));
    defer_cancel(&v->more);
    port_close(&v->port);
    node_close(v->node);
    v->node = NULL;
    v->grabbed = false;
    framing_forget(&v->framing);
    memset(v->stale, 0, sizeof(v->stale));
    v->source.host->hold(&v->source);
    v->source.host->lost(&v->source);
    evdev_note(v);
    v->source.host->release(&v->source);
    seek(v);
}

/* ---- life ---- */

static int open_node(struct evdev *v, const struct conf_any *c, struct errs *e)
{
    const struct evdev_conf *conf = v->conf;
    const char *key = conf->path ? "path" : "match";
    struct source_desc is;
    struct err why;
    char other[120];
    int rc;

    if (conf->has_describe)
        describe_make(&conf->describe, &v->source.desc);
    if (conf->path)
        rc = node_open(&v->node, conf->path, &why);
    else
        rc = node_find(&v->node, DEVICES_DIR, &conf->match, NULL, NULL, &why);
    if (rc == -ENOENT && conf->has_describe) {
        log_info(v->id, "%s; it may come later", why.text);
        return 0;
    }
    if (rc == -ENOENT)
        return errs_at(e, c->at, key,
                       "%s: a device that may be absent needs \"describe\"",
                       why.text);
    if (rc < 0)
        return errs_adopt(e, c->at, key, &why);
    node_describe(v->node, &is);
    if (!conf->path)
        log_info(v->id, "%s is \"%s\"", node_path(v->node), is.name);
    rc = evdev_check_hotkey(conf, c->at, &is, e);
    if (rc < 0)
        return rc;
    if (!conf->has_describe)
        v->source.desc = is;
    else if (!desc_fits(&v->source.desc, &is, true, other, sizeof(other)))
        return errs_at(e, c->at, "describe", "%s (\"%s\") is another: %s",
                       node_path(v->node), is.name, other);
    return 0;
}

static void evdev_close(struct source *s)
{
    struct evdev *v = evdev_of(s);

    node_close(v->node);
    free(v->link_dir);
    free(v);
}

static int evdev_open(struct source **out, const struct conf_any *c,
                      const char *id, struct errs *e)
{
    struct evdev *v = calloc(1, sizeof(*v));
    uint16_t type;
    char *slash;
    int rc = 0;

    if (!v)
        return errs_nomem(e);
    v->conf = c->data;
    v->id = id;
    v->lookout_fd = -1;
    framing_init(&v->framing, on_frame);
    for (int i = 0; i < v->conf->hotkey.count; i++)
        name_to_code(v->conf->hotkey.list[i], &type, &v->hotkey[i]);
    if (v->conf->path) {
        v->link_dir = strdup(v->conf->path);
        if (v->link_dir && (slash = strrchr(v->link_dir, '/')) != NULL)
            *slash = '\0';
        rc = v->link_dir ? 0 : errs_nomem(e);
    }
    if (rc == 0)
        rc = open_node(v, c, e);
    if (rc < 0)
        evdev_close(&v->source);
    else
        *out = &v->source;
    return rc;
}

static void on_retry_gone(struct timer *t)
{
    struct evdev *v = container_of(t, struct evdev, retry);

    v->handles--;
    end_stop(v);
}

static int evdev_start(struct source *s, struct loop *home, struct err *e)
{
    struct evdev *v = evdev_of(s);
    struct evdev_node *n = v->node;

    (void)e;
    v->loop = home;
    defer_init(&v->more, on_more);
    v->retry.fire = on_retry;
    v->retry.gone = on_retry_gone;
    timer_open(&v->retry, home);
    v->handles++;
    v->node = NULL;
    if (!n || !adopt(v, n))
        seek(v);
    return 0;
}

static void evdev_stop(struct source *s, void (*gone)(struct source *s))
{
    struct evdev *v = evdev_of(s);

    v->gone = gone;
    defer_cancel(&v->more);
    port_close(&v->port);
    lookout_close(v);
    timer_close(&v->retry);
}

static void evdev_describe(struct source *s, struct json_out *o)
{
    const struct evdev *v = evdev_of(s);

    if (v->node)
        json_add_str(o, "node", node_path(v->node));
    else
        json_add_null(o, "node");
    json_add_bool(o, "grabbed", v->grabbed);
    json_add_bool(o, "given_back", v->given_back);
    json_add_u64(o, "resyncs", v->dropped);
    json_add_u64(o, "returns", v->returns);
}

const struct source_ops evdev_ops = {
    .type = "evdev",
    .open = evdev_open,
    .start = evdev_start,
    .attend = evdev_attend,
    .recall = evdev_recall,
    .pause = evdev_pause,
    .go_on = evdev_go_on,
    .status = evdev_status,
    .describe = evdev_describe,
    .stop = evdev_stop,
    .close = evdev_close,
};
