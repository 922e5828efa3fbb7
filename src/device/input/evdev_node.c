/* libevdev keeps what the device's state was at the last event that it gave,
 * and that is what is asked of it. When the kernel's buffer has run over it has
 * what is different since, which is read by other calls until there is no more:
 * `syncing`. Its log is silent: what fails is said where it is handled. */
#include "device/input/evdev_node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libevdev/libevdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/input/describe.h"
#include "os/broker.h"
#include "os/library.h"

#define LIBEVDEV(CALL)                                                         \
    CALL(libevdev_, event_type_get_max)                                        \
    CALL(libevdev_, free)                                                      \
    CALL(libevdev_, get_abs_info)                                              \
    CALL(libevdev_, get_current_slot)                                          \
    CALL(libevdev_, get_event_value)                                           \
    CALL(libevdev_, get_id_bustype)                                            \
    CALL(libevdev_, get_id_product)                                            \
    CALL(libevdev_, get_id_vendor)                                             \
    CALL(libevdev_, get_id_version)                                            \
    CALL(libevdev_, get_name)                                                  \
    CALL(libevdev_, get_num_slots)                                             \
    CALL(libevdev_, get_phys)                                                  \
    CALL(libevdev_, get_repeat)                                                \
    CALL(libevdev_, get_slot_value)                                            \
    CALL(libevdev_, get_uniq)                                                  \
    CALL(libevdev_, grab)                                                      \
    CALL(libevdev_, has_event_code)                                            \
    CALL(libevdev_, has_property)                                              \
    CALL(libevdev_, new)                                                       \
    CALL(libevdev_, next_event)                                                \
    CALL(libevdev_, set_device_log_function)                                   \
    CALL(libevdev_, set_fd)

LIBRARY_CALLS(libevdev, LIBEVDEV);
static LIBRARY(libevdev, LIBEVDEV, VUB_LIBRARY_evdev);

#define NODES_MAX 4096 /* numbers that are looked at */

struct evdev_node {
    struct libevdev *dev;
    int fd;
    bool read_only, syncing;
    char path[];
};

/* ---- open and close ---- */

static void no_log(const struct libevdev *dev,
                   enum libevdev_log_priority priority, void *data,
                   const char *file, int line, const char *func,
                   const char *format, va_list args)
{
    (void)dev, (void)priority, (void)data, (void)file, (void)line;
    (void)func, (void)format, (void)args;
}

int node_open(struct evdev_node **out, const char *path, struct err *e)
{
    const int flags = O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    int rc = library_load(&libevdev_library, e);
    struct evdev_node *n;

    if (rc < 0)
        return rc;
    n = calloc(1, sizeof(*n) + strlen(path) + 1);
    if (!n)
        return err_nomem(e);
    strcpy(n->path, path);
    n->fd = broker_open(path, O_RDWR | flags, 0);
    if (n->fd == -EACCES || n->fd == -EROFS || n->fd == -EPERM) {
        n->fd = broker_open(path, O_RDONLY | flags, 0);
        n->read_only = true;
    }
    if (n->fd < 0) {
        rc = broker_fail(e, n->fd, "open", path);
        goto out;
    }
    n->dev = libevdev.new();
    if (!n->dev) {
        rc = err_nomem(e);
        goto out;
    }
    libevdev.set_device_log_function(n->dev, no_log, LIBEVDEV_LOG_ERROR, NULL);
    rc = libevdev.set_fd(n->dev, n->fd);
    if (rc < 0) {
        /* -ENOENT would say that it is absent. */
        rc = err_set(e, -ENODEV, "", "%s is no input device: %s", path,
                     strerror(-rc));
        goto out;
    }
    *out = n;
    n = NULL; /* the caller's now */
out:
    node_close(n);
    return rc;
}

void node_close(struct evdev_node *n)
{
    if (!n)
        return;
    libevdev.free(n->dev); /* NULL is fine; ends a grab */
    if (n->fd >= 0)
        close(n->fd);
    free(n);
}

int node_fd(const struct evdev_node *n)
{
    return n->fd;
}

const char *node_path(const struct evdev_node *n)
{
    return n->path;
}

/* ---- find ---- */

static bool same(const char *wanted, const char *is)
{
    return !wanted || (is && strcmp(wanted, is) == 0);
}

static bool node_matches(const struct evdev_node *n,
                         const struct evdev_match *m)
{
    return same(m->name, libevdev.get_name(n->dev)) &&
           same(m->phys, libevdev.get_phys(n->dev)) &&
           same(m->uniq, libevdev.get_uniq(n->dev)) &&
           (!m->has_vendor ||
            (int)m->vendor == libevdev.get_id_vendor(n->dev)) &&
           (!m->has_product ||
            (int)m->product == libevdev.get_id_product(n->dev));
}

/* Which numbers there are. */
static int list_nodes(const char *dir, uint8_t there[NODES_MAX / 8])
{
    struct dirent *entry;
    DIR *d = opendir(dir);

    if (!d)
        return -errno;
    while ((entry = readdir(d)) != NULL) {
        char *end;
        unsigned long n;

        if (strncmp(entry->d_name, "event", 5) != 0)
            continue;
        n = strtoul(entry->d_name + 5, &end, 10);
        if (end != entry->d_name + 5 && !*end && n < NODES_MAX)
            there[n / 8] |= (uint8_t)(1u << n % 8);
    }
    closedir(d);
    return 0;
}

int node_find(struct evdev_node **out, const char *dir,
              const struct evdev_match *m,
              bool (*pass)(struct evdev_node *n, void *arg), void *arg,
              struct err *e)
{
    uint8_t there[NODES_MAX / 8] = {0};
    int denied = 0, rc = list_nodes(dir, there);
    struct evdev_node *n;
    char path[300];

    if (rc < 0)
        return err_sys(e, -rc, "", "cannot look for it in %s", dir);
    for (unsigned i = 0; i < NODES_MAX; i++) {
        if (!(there[i / 8] & 1u << i % 8))
            continue;
        snprintf(path, sizeof(path), "%s/event%u", dir, i);
        rc = node_open(&n, path, e);
        if (rc < 0) {
            denied += rc == -EACCES || rc == -EPERM;
            continue;
        }
        if (node_matches(n, m) && (!pass || pass(n, arg))) {
            *out = n;
            return 0;
        }
        node_close(n);
    }
    return err_set(e, -ENOENT, "", "no device of %s is like that%s", dir,
                   denied ? "; some may not be opened" : "");
}

/* ---- describe ---- */

/* What a guest is told of. Of force feedback it can use only what needs no
 * effect of its own: virtio-input cannot upload any. */
static bool is_offered(unsigned type)
{
    return type != EV_SYN && type <= EV_FF;
}

void node_describe(const struct evdev_node *n, struct source_desc *d)
{
    const char *name = libevdev.get_name(n->dev);
    const char *uniq = libevdev.get_uniq(n->dev);

    *d = (struct source_desc){
        .bustype = (uint16_t)libevdev.get_id_bustype(n->dev),
        .vendor = (uint16_t)libevdev.get_id_vendor(n->dev),
        .product = (uint16_t)libevdev.get_id_product(n->dev),
        .version = (uint16_t)libevdev.get_id_version(n->dev),
    };
    desc_text(d->name, name ? name : "", name ? strlen(name) : 0);
    desc_text(d->serial, uniq ? uniq : "", uniq ? strlen(uniq) : 0);
    for (unsigned prop = 0; prop <= INPUT_PROP_MAX; prop++) {
        if (libevdev.has_property(n->dev, prop))
            d->props[prop / 8] |= (uint8_t)(1u << prop % 8);
    }
    for (unsigned type = 0; type < SOURCE_EV_TYPES; type++) {
        int max = is_offered(type) ? libevdev.event_type_get_max(type) : -1;

        for (int code = 0; code <= max; code++) {
            if (libevdev.has_event_code(n->dev, type, (unsigned)code))
                source_set(d, type, (unsigned)code);
        }
    }
    for (unsigned code = 0; code < SOURCE_ABS_MAX; code++) {
        const struct input_absinfo *abs = libevdev.get_abs_info(n->dev, code);

        if (abs)
            d->abs[code] =
                (struct source_abs){abs->minimum, abs->maximum, abs->fuzz,
                                    abs->flat, abs->resolution};
    }
    libevdev.get_repeat(n->dev, &d->repeat_ms[0], &d->repeat_ms[1]);
}

/* ---- events ---- */

int node_next(struct evdev_node *n, struct input_event16 *out,
              uint64_t *dropped)
{
    struct input_event ev;
    int rc;

    for (;;) {
        rc = libevdev.next_event(n->dev,
                                 n->syncing ? LIBEVDEV_READ_FLAG_SYNC
                                            : LIBEVDEV_READ_FLAG_NORMAL,
                                 &ev);
        if (rc == LIBEVDEV_READ_STATUS_SUCCESS || (n->syncing && rc >= 0))
            break;
        if (rc == LIBEVDEV_READ_STATUS_SYNC) {
            /* Events were dropped. What we have of this frame stays: the
             * differences are to that. */
            n->syncing = true;
            ++*dropped;
        } else if (rc == -EAGAIN && n->syncing) {
            n->syncing = false;
        } else if (rc == -EAGAIN || rc == -EINTR) {
            return 0;
        } else {
            return rc;
        }
    }
    *out = (struct input_event16){ev.type, ev.code, ev.value};
    return 1;
}

bool node_key_is_down(const struct evdev_node *n, unsigned code)
{
    return libevdev.get_event_value(n->dev, EV_KEY, code) > 0;
}

bool node_any_key_is_down(const struct evdev_node *n)
{
    for (unsigned code = 0; code <= KEY_MAX; code++) {
        if (node_key_is_down(n, code))
            return true;
    }
    return false;
}

struct places {
    const struct libevdev *dev;
    struct input_event16 *ev;
    unsigned n;
};

static void add_place(struct places *p, unsigned type, unsigned code, int value)
{
    if (p->n < NODE_PLACES_MAX)
        p->ev[p->n++] =
            (struct input_event16){(uint16_t)type, (uint16_t)code, value};
}

static bool is_of_contact(unsigned code)
{
    return code >= ABS_MT_SLOT && code <= ABS_MT_TOOL_Y;
}

/* Whose contact it is comes last: what is said of a slot that has none does
 * not matter. */
static void add_slot(struct places *p, unsigned slot)
{
    add_place(p, EV_ABS, ABS_MT_SLOT, (int)slot);
    for (unsigned code = ABS_MT_TOOL_Y; code > ABS_MT_SLOT; code--)
        if (libevdev.has_event_code(p->dev, EV_ABS, code))
            add_place(p, EV_ABS, code,
                      libevdev.get_slot_value(p->dev, slot, code));
}

unsigned node_places(const struct evdev_node *n,
                     struct input_event16 ev[NODE_PLACES_MAX])
{
    struct places p = {n->dev, ev, 0};
    int slots = libevdev.get_num_slots(n->dev);

    for (unsigned code = 0; code <= SW_MAX; code++)
        if (libevdev.has_event_code(n->dev, EV_SW, code))
            add_place(&p, EV_SW, code,
                      libevdev.get_event_value(n->dev, EV_SW, code));
    for (unsigned code = 0; code <= ABS_MAX; code++)
        if (!is_of_contact(code) &&
            libevdev.has_event_code(n->dev, EV_ABS, code))
            add_place(&p, EV_ABS, code,
                      libevdev.get_event_value(n->dev, EV_ABS, code));
    for (int i = 0; i < slots; i++)
        add_slot(&p, (unsigned)i);
    if (slots > 0)
        add_place(&p, EV_ABS, ABS_MT_SLOT, libevdev.get_current_slot(n->dev));
    return p.n;
}

int node_grab(struct evdev_node *n, bool grab)
{
    return libevdev.grab(n->dev, grab ? LIBEVDEV_GRAB : LIBEVDEV_UNGRAB);
}

int node_write(struct evdev_node *n, unsigned type, unsigned code,
               int32_t value)
{
    struct input_event ev[2] = {
        {.type = (uint16_t)type, .code = (uint16_t)code, .value = value},
        {.type = EV_SYN, .code = SYN_REPORT},
    };
    ssize_t done;

    if (n->read_only)
        return -EACCES;
    done = write(n->fd, ev, sizeof(ev));
    if (done < 0)
        return -errno;
    return done == (ssize_t)sizeof(ev) ? 0 : -EIO;
}
