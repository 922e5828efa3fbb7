/* The table of device types, and the keys they share. */
#include "device/devices.h"

#include "device/block/block.h"
#include "device/gpu/gpu.h"
#include "device/input/input.h"
#include "device/scsi/scsi.h"

static const char *const poll_words[] = {"always", NULL};
static const char *const disconnect_words[] = {"listen", "exit", NULL};
static const char *const hang_words[] = {"never", NULL};
static const char *const isolation_words[] = {"none", "process", NULL};

/* Two ways to name a socket do not add up. */
static void check_socket(void *data, const char *at, struct errs *e)
{
    struct device_socket *s = data;

    if (s->has_fd && s->path)
        errs_at(e, at, NULL,
                "a socket has a path or an fd, not both: leave one out");
}

static const struct conf_key socket_keys[] = {
    {"path", CONF_STR, CONF_AT(struct device_socket, path),
     .help = "The socket's file, relative to runtime_dir. Without it the "
             "socket is <id>.sock there."},
    {"mode", CONF_MODE, CONF_AT(struct device_socket, mode), .def = "\"0600\"",
     .help = "Permission bits of the socket's file: who may connect owns the "
             "device."},
    {"fd", CONF_U32, CONF_AT(struct device_socket, fd), .max = INT32_MAX,
     .seen_offset = CONF_SEEN(struct device_socket, has_fd),
     .help = "An inherited socket instead of a path. If it listens it is "
             "accepted on, if it is connected it is used."},
    {NULL},
};

static const struct conf_table socket_table = {
    .name = "socket",
    .size = sizeof(struct device_socket),
    .keys = socket_keys,
    .help = "Where the front-end finds the device.",
    .check = check_socket,
};

const struct conf_key device_common_keys[] = {
    {"id", CONF_STR, CONF_AT(struct device_common, id), .required = true,
     .min = 1,
     .help = "A name of its own: in log lines, and in the name of the socket."},
    {"socket", CONF_TABLE, CONF_AT(struct device_common, socket),
     .table = &socket_table, .shorthand = "path",
     .help = "The unix socket of this device: a path, or an object."},
    {"queue_size", CONF_U32, CONF_AT(struct device_common, queue_size),
     .def = "1024", .min = 1, .max = RING_SIZE_MAX,
     .help = "The largest ring a front-end may set up; each ring's size is "
             "the front-end's choice."},
    {"worker", CONF_STRS, CONF_AT(struct device_common, worker),
     .help = "The thread that serves the device. Devices that name the same "
             "one share it; a list spreads the device's rings over several. "
             "Default: a thread of its own; input devices share one."},
    {"poll_us", CONF_U32, CONF_AT(struct device_common, poll_us), .def = "50",
     .max = 1000000, .words = poll_words,
     .help = "How many microseconds the worker looks for more work before it "
             "sleeps, at most: it adapts. 0 never looks; \"always\" never "
             "sleeps, which takes a whole core."},
    {"drain_timeout", CONF_U32, CONF_AT(struct device_common, drain_timeout),
     .def = "10000", .min = 1, .max = 600000,
     .help = "Milliseconds after which a front-end that stops the device is "
             "not kept waiting any longer: its connection ends. What can be "
             "given up is given up a little before."},
    {"any_memory", CONF_BOOL, CONF_AT(struct device_common, any_memory),
     .def = "false",
     .help = "Take guest memory in any file. By default it must be a memfd, or "
             "on tmpfs or hugetlbfs: pages of other files may take for ever "
             "to come, and the worker waits for them."},
    {"on_disconnect", CONF_CHOICE, CONF_AT(struct device_common, on_disconnect),
     .def = "\"listen\"", .words = disconnect_words,
     .help = "When the front-end goes: \"listen\" for the next one on the "
             "same socket, or \"exit\" the program."},
    {"isolation", CONF_CHOICE, CONF_AT(struct device_common, isolation),
     .def = "\"none\"", .words = isolation_words,
     .help = "\"process\": the device is served by a process of its own, in a "
             "sandbox of its own. If that ends it is started again, and the "
             "front-end does not notice."},
    {"hang_timeout", CONF_U32, CONF_AT(struct device_common, hang_timeout),
     .def = "30000", .min = 500, .max = 3600000, .words = hang_words,
     .help = "Of an isolated device: milliseconds after which its process is "
             "ended, and another one started, if it hangs: says nothing, or "
             "computes and does not come to an end. \"never\": to look at it "
             "in a debugger."},
    {NULL},
};

static const struct conf_table *const device_tables[] = {
    &block_table, &gpu_table, &input_table, &scsi_table, NULL,
};

const struct conf_union device_union = {
    .what = "device",
    .common = device_common_keys,
    .tables = device_tables,
};
