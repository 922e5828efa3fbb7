#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <umockdev.h>
#include <unistd.h>

#include "front/front.h"

#define DEVICES_MAX 8

static UMockdevTestbed *bed;
static struct host_device *devices[DEVICES_MAX];
static unsigned num_devices;

/* ---- ioctls ---- */

/* `len` bytes are wanted; more than there are, are zero. */
static long give(UMockdevIoctlClient *client, size_t wanted, const void *data,
                 size_t len)
{
    UMockdevIoctlData *arg = umockdev_ioctl_client_get_arg(client);
    UMockdevIoctlData *to = umockdev_ioctl_data_resolve(arg, 0, wanted, NULL);
    uint8_t *all = front_calloc(1, wanted + 1);

    memcpy(all, data, MIN(wanted, len));
    umockdev_ioctl_data_update(to, 0, all, (int)wanted);
    umockdev_ioctl_data_unref(to);
    free(all);
    return (long)MIN(wanted, len);
}

static long give_abs(UMockdevIoctlClient *client, struct host_device *d,
                     unsigned code)
{
    const struct source_abs *a = &d->rec.desc.abs[code];
    struct input_absinfo info = {.minimum = a->min,
                                 .maximum = a->max,
                                 .fuzz = a->fuzz,
                                 .flat = a->flat,
                                 .resolution = a->res};

    give(client, sizeof(info), &info, sizeof(info));
    return 0;
}

static long give_bits(UMockdevIoctlClient *client, struct host_device *d,
                      unsigned type, size_t wanted)
{
    uint8_t types[4] = {1}; /* EV_SYN */

    if (type)
        return give(client, wanted, d->rec.desc.bits[type], SOURCE_BITS_BYTES);
    for (unsigned t = 1; t < SOURCE_EV_TYPES; t++) {
        for (unsigned i = 0; i < SOURCE_BITS_BYTES; i++) {
            if (d->rec.desc.bits[t][i])
                types[t / 8] |= (uint8_t)(1u << t % 8);
        }
    }
    return give(client, wanted, types, sizeof(types));
}

/* Tracking ids of slots, behind the code that is asked for: none. */
static long give_slots(UMockdevIoctlClient *client, size_t wanted)
{
    int32_t none[64];

    memset(none, 0xff, sizeof(none));
    none[0] = ABS_MT_TRACKING_ID;
    give(client, wanted, none, sizeof(none));
    return 0;
}

static long answer(UMockdevIoctlClient *client, struct host_device *d,
                   unsigned long request, int *error)
{
    const struct source_desc *desc = &d->rec.desc;
    const uint16_t ids[] = {desc->bustype, desc->vendor, desc->product,
                            desc->version};
    unsigned nr = _IOC_NR(request);
    size_t wanted = _IOC_SIZE(request);
    int version = EV_VERSION;

    *error = 0;
    if (request == EVIOCGVERSION)
        return give(client, wanted, &version, sizeof(version)) * 0;
    if (request == EVIOCGID)
        return give(client, wanted, ids, sizeof(ids)) * 0;
    if (request == EVIOCGRAB) {
        UMockdevIoctlData *arg = umockdev_ioctl_client_get_arg(client);
        void *value;
        bool grab;

        memcpy(&value, arg->data, sizeof(value));
        grab = value != NULL;
        *error = grab && d->no_grab ? EBUSY : 0;
        if (!*error)
            __atomic_store_n(&d->grabbed, grab, __ATOMIC_RELEASE);
        return *error ? -1 : 0;
    }
    if (nr == _IOC_NR(EVIOCGNAME(0)))
        return give(client, wanted, desc->name, strlen(desc->name) + 1);
    if (nr == _IOC_NR(EVIOCGPHYS(0)))
        return give(client, wanted, d->node, strlen(d->node) + 1);
    if (nr == _IOC_NR(EVIOCGUNIQ(0)))
        return give(client, wanted, "", 1);
    if (nr == _IOC_NR(EVIOCGPROP(0)))
        return give(client, wanted, desc->props, SOURCE_BITS_BYTES);
    if (nr == _IOC_NR(EVIOCGKEY(0)))
        return give(client, wanted, d->keys, sizeof(d->keys));
    if (nr == _IOC_NR(EVIOCGLED(0)) || nr == _IOC_NR(EVIOCGSW(0)))
        return give(client, wanted, "", 1);
    if (nr == _IOC_NR(EVIOCGMTSLOTS(0)))
        return give_slots(client, wanted);
    if (nr >= 0x20 && nr < 0x40 && _IOC_DIR(request) == _IOC_READ)
        return give_bits(client, d, nr - 0x20, wanted);
    if (nr >= 0x40 && nr < 0x80 && _IOC_DIR(request) == _IOC_READ)
        return give_abs(client, d, nr - 0x40);
    *error = ENOTTY;
    return -1;
}

static gboolean on_ioctl(UMockdevIoctlBase *base, UMockdevIoctlClient *client,
                         gpointer data)
{
    unsigned long request = umockdev_ioctl_client_get_request(client);
    int error = ENOTTY;
    long result = -1;

    (void)base;
    if (_IOC_TYPE(request) == 'E')
        result = answer(client, data, request, &error);
    umockdev_ioctl_client_complete(client, result, error);
    return TRUE;
}

/* ---- devices ---- */

static struct host_device *device_new(unsigned number, const char *name)
{
    struct host_device *d = front_calloc(1, sizeof(*d));
    char path[300];
    struct err e;

    snprintf(path, sizeof(path), DATA "/%s", name);
    if (recording_load(&d->rec, path, 0, &e) < 0)
        front_fail("%s: %s", path, e.text);
    snprintf(d->node, sizeof(d->node), "/dev/input/event%u", number);
    if (num_devices == DEVICES_MAX)
        front_fail("too many devices");
    return devices[num_devices++] = d;
}

struct host_device *host_add(unsigned number, const char *name)
{
    struct host_device *d = device_new(number, name);
    UMockdevIoctlBase *handler = umockdev_ioctl_base_new();
    GError *error = NULL;
    char text[300];

    snprintf(text, sizeof(text),
             "P: /devices/test/input%u/event%u\n"
             "N: input/event%u\n"
             "E: DEVNAME=/dev/input/event%u\n"
             "E: SUBSYSTEM=input\n"
             "A: dev=13:%u\n\n",
             number, number, number, number, 64 + number);
    g_signal_connect(handler, "handle-ioctl", G_CALLBACK(on_ioctl), d);
    if (!umockdev_testbed_attach_ioctl(bed, d->node, handler, &error) ||
        !umockdev_testbed_add_from_string(bed, text, &error))
        front_fail("umockdev: %s", error->message);
    g_object_unref(handler);
    d->fd = umockdev_testbed_get_dev_fd(bed, d->node);
    if (d->fd < 0)
        front_fail("umockdev has made no terminal for %s", d->node);
    fcntl(d->fd, F_SETFD, FD_CLOEXEC); /* vub must not hold its own other end */
    return d;
}

struct host_device *host_read(const char *name)
{
    return device_new(0, name);
}

void host_remove(struct host_device *d)
{
    char *root = umockdev_testbed_get_root_dir(bed), path[300], *c;
    const char *number = d->node + strlen("/dev/input/event");

    /* umockdev forgets to take the terminal's name out of its list. */
    snprintf(path, sizeof(path), "%s/dev/.ptymap/%s", root, ptsname(d->fd));
    for (c = strrchr(path, '.') + strlen(".ptymap/"); *c; c++)
        *c = *c == '/' ? '_' : *c;
    unlink(path);
    snprintf(path, sizeof(path), "/sys/devices/test/input%s/event%s", number,
             number);
    umockdev_testbed_detach_ioctl(bed, d->node, NULL);
    umockdev_testbed_remove_device(bed, path);
    close(d->fd);
    d->fd = -1;
    g_free(root);
}

void host_begin(void)
{
    static char sandbox[256];
    char *root;

    bed = umockdev_testbed_new();
    root = umockdev_testbed_get_root_dir(bed);
    setenv("LD_PRELOAD", PRELOAD, 1);
    /* Its other half makes sockets of its own in vub, and must open the nodes
     * (terminals)
     * there to know them. */
    snprintf(sandbox, sizeof(sandbox),
             "{\"system_calls\": false, \"paths\": [\"%s\", \"/dev/pts\"]}",
             root);
    g_free(root);
    vub_sandbox = sandbox;
}

void host_end(void)
{
    unsetenv("LD_PRELOAD");
    g_clear_object(&bed);
    while (num_devices > 0) {
        struct host_device *d = devices[--num_devices];

        recording_free(&d->rec);
        free(d);
    }
}

/* ---- events ---- */

void host_emit(struct host_device *d, unsigned type, unsigned code,
               int32_t value)
{
    struct input_event ev = {
        .type = (uint16_t)type, .code = (uint16_t)code, .value = value};

    if (write(d->fd, &ev, sizeof(ev)) != (ssize_t)sizeof(ev))
        front_fail("%s takes no events: %s", d->node, strerror(errno));
}

void host_expect(struct host_device *d, unsigned type, unsigned code,
                 int32_t value)
{
    struct input_event ev[2];
    size_t got = 0;

    while (got < sizeof(ev)) {
        ssize_t n;

        front_need_fd(d->fd, POLLIN, "a status event");
        n = read(d->fd, (char *)ev + got, sizeof(ev) - got);
        if (n <= 0)
            front_fail("%s: %s", d->node, strerror(errno));
        got += (size_t)n;
    }
    if (ev[0].type != type || ev[0].code != code || ev[0].value != value ||
        ev[1].type != EV_SYN || ev[1].code != SYN_REPORT)
        front_fail("%s was told %u %u %d, not %u %u %d", d->node, ev[0].type,
                   ev[0].code, ev[0].value, type, code, value);
}

void host_wait_grab(struct host_device *d, bool grabbed)
{
    int64_t end = front_now_ms() + front_timeout_ms();

    /* An ioctl has no fd to wait for. */
    while (__atomic_load_n(&d->grabbed, __ATOMIC_ACQUIRE) != grabbed) {
        if (front_now_ms() > end)
            front_fail("%s is %sgrabbed", d->node, grabbed ? "not " : "");
        poll(NULL, 0, 1);
    }
}
