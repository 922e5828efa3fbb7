/* A SCSI host as its guest, its front-end and the control socket see it, all
 * at once: rings, commands, task management, drains, resets, units that come
 * and go.
 *
 * Two targets may have four units each: a disk in memory, one of which a part
 * is stuck, and two (FAKE) that are ours, and end their tasks when the input
 * says so. The input is a list of steps; a step is a byte:
 *
 *     0..119    a command is put on a ring: 8 places, each with descriptors
 *               and memory of its own
 *     120..143  a request for task management, or what looks like one
 *     144..151  a buffer for an event
 *     152..183  a ring is kicked
 *     184..203  the loop turns
 *     204..223  one of ours ends a task, or task management
 *     224..231  a drain of a ring that goes on, or stops and starts again
 *     232..247  a unit is added, removed, or resized
 *     248..251  the config space is written to
 *     252..     a session ends, and another one begins
 *
 * What must hold: each chain is answered once; of its memory nothing is written
 * to beyond the used length, nor anything at all after that; task management
 * that is complete has no task of its left; whoever removes a unit is told. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host.h"

#define STEPS_MAX 400

struct loop loop;
uint8_t *memory;
struct mem *mem;
struct device *device;
bool has_started;

static struct loop *ring_loops[RINGS];
static unsigned calls; /* not answered yet */

static const uint8_t *in_at, *in_end;

uint8_t u8(void)
{
    return in_at < in_end ? *in_at++ : 0;
}

static const char config[] =
    "{\"device\": {\"type\": \"scsi\", \"id\": \"fuzz\", \"queues\": 2, "
    "\"luns\": ["
    "{\"lun\": 0, \"store\": {\"type\": \"memory\", \"size\": \"64K\"}},"
    "{\"lun\": 2, \"store\": {\"type\": \"memory\", \"size\": \"64K\"}}]}}";

static const struct conf_key root_keys[] = {
    {"device", CONF_UNION, 0, .required = true, .of = &device_union},
    {NULL},
};

static const struct conf_table root_table = {
    .name = "fuzz",
    .size = sizeof(struct conf_any),
    .keys = root_keys,
};

static const char *const stores[LUNS] = {
    "{\"type\": \"memory\", \"size\": \"64K\"}",
    "{\"type\": \"fault\", \"rules\": ["
    "{\"op\": \"any\", \"offset\": 8192, \"stuck\": true},"
    "{\"op\": \"flush\", \"stuck\": true}],"
    " \"next\": {\"type\": \"memory\", \"size\": \"64K\"}}",
    "{\"type\": \"memory\", \"size\": \"64K\"}",
    "{\"type\": \"memory\", \"size\": \"64K\"}",
};

/* What the control socket can ask for, read once. */
static struct {
    const void *add, *remove, *resize;
    struct conf_doc *add_doc;
} args[TARGETS][LUNS];
static const struct conf_any *conf;

/* ---- the control socket ---- */

static void on_answered(struct call *c, const struct err *e)
{
    (void)e;
    json_out_free(&c->out);
    free(c);
    calls--;
}

static void call(const char *name, const void *what, struct conf_doc *doc)
{
    const struct command *row = scsi_commands;
    struct call *c = calloc(1, sizeof(*c));

    CHECK(c != NULL);
    while (strcmp(row->name, name) != 0)
        row++;
    c->args = what;
    c->doc = doc;
    c->answered = on_answered;
    calls++;
    row->run(device, c);
}

static void make_fake(unsigned target, unsigned number)
{
    struct lun *l =
        luns_find(scsi_of(device), (uint8_t)target, (uint16_t)number, NULL);
    struct fake *f = &fakes[target][number];

    if (!l || number < FAKE)
        return;
    l->ops = &fake_ops;
    CHECK(list_empty(&f->tasks) && list_empty(&f->tmfs));
}

static void change_units(uint8_t b)
{
    unsigned target = b & 1, number = b >> 1 & 3;
    struct fake *f = &fakes[target][number];

    if (b & 8) {
        bool there = luns_find(scsi_of(device), (uint8_t)target,
                               (uint16_t)number, NULL) != NULL;

        /* The one before has its place in fakes until it is gone. */
        if (!there && list_empty(&f->tasks) && list_empty(&f->tmfs)) {
            call("scsi.lun_add", args[target][number].add,
                 args[target][number].add_doc);
            make_fake(target, number);
        } else if (there) {
            call("scsi.lun_add", args[target][number].add,
                 args[target][number].add_doc);
        }
    } else if (b & 16) {
        call("scsi.resize", args[target][number].resize, NULL);
    } else {
        for (unsigned k = 0; k < RINGS * PLACES; k++) {
            struct place *p = &side[k / PLACES].place[k % PLACES];

            if (p->taken && p->target == target && p->lun == number)
                p->gone = true;
        }
        call("scsi.lun_remove", args[target][number].remove, NULL);
    }
}

/* ---- sessions ---- */

static void on_device_started(struct device *d, const struct err *e)
{
    (void)d;
    CHECK(!e && !has_started);
    has_started = true;
}

static void session_begin(bool recovered)
{
    const struct device_start start = {
        .features =
            FEATURE(VIRTIO_SCSI_F_HOTPLUG) | FEATURE(VIRTIO_SCSI_F_CHANGE),
        .recovered = recovered,
    };

    has_started = false;
    device->ops->start(device, &start);
    for (int i = 0; !has_started; i++) {
        CHECK(i < 100);
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    }
    for (unsigned r = 0; r < RINGS; r++)
        ring_begin(r);
}

static void session_end(void)
{
    for (unsigned r = 0; r < RINGS; r++)
        ring_end(r);
    device->ops->stop(device);
}

static void write_config(void)
{
    uint8_t b = u8();
    le32 size = htole32(b & 128 ? u8() * 8u : b & 64 ? 96 : 32);

    device->ops->config_write(
        device,
        b & 1 ? offsetof(struct virtio_scsi_config, sense_size)
              : offsetof(struct virtio_scsi_config, cdb_size),
        &size, 4);
}

static void end_one(uint8_t b)
{
    struct fake *f = &fakes[b & 1][FAKE + (b >> 1 & 1)];
    unsigned nth = u8();

    mood = u8();
    if (b & 4 && !list_empty(&f->tmfs)) {
        struct scsi_tmf *m =
            container_of(list_pop(&f->tmfs), struct scsi_tmf, unit_node);

        m->failed = true;
        lun_tmf_done(f->lun, m);
    } else {
        LIST_EACH (&f->tasks, at)
            if (nth-- % 4 == 0) {
                fake_end(container_of(at, struct scsi_task, unit_node), mood);
                break;
            }
    }
    guest_look();
}

static void step(void)
{
    uint8_t what = u8();

    if (what < 120) {
        guest_command();
    } else if (what < 144) {
        guest_manage();
    } else if (what < 152) {
        guest_event_buffer();
    } else if (what < 184) {
        guest_kick(what % RINGS);
    } else if (what < 204) {
        guest_turn();
    } else if (what < 224) {
        end_one(what);
    } else if (what < 228) {
        ring_drain(what % RINGS, u8() & 1 ? DRAIN_BEGIN : DRAIN_CANCEL);
    } else if (what < 232) {
        ring_end(what % RINGS);
        ring_begin(what % RINGS);
    } else if (what < 248) {
        change_units(u8());
        guest_look();
    } else if (what < 252) {
        write_config();
    } else {
        session_end();
        if (what & 1)
            device->ops->reset(device);
        session_begin(what & 2);
    }
}

/* ---- all of it ---- */

static const struct device_host device_host = {.started = on_device_started};

/* What is read is kept. */
static void *read_conf(const struct conf_table *t, const char *text,
                       struct conf_doc **doc)
{
    static struct conf_doc *docs[3 * TARGETS * LUNS + 1];
    static unsigned num;
    struct errs errs = ERRS_EMPTY;
    void *out;

    CHECK(conf_read_text(&docs[num], &out, t, text, strlen(text), "/", NULL,
                         &errs) == 0);
    if (doc)
        *doc = docs[num];
    num++;
    return out;
}

static const struct conf_table *params_of(const char *name)
{
    const struct command *row = scsi_commands;

    while (strcmp(row->name, name) != 0)
        row++;
    return row->params;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct mem_region_conf region = {0, MEMORY_BYTES, UVA, 0};
    int fd = memfd_create("memory", MFD_CLOEXEC);
    struct mem *empty = mem_new();
    struct err e;
    char text[512];

    (void)argc;
    (void)argv;
    log_set(LOG_ERROR, LOG_TEXT);
    CHECK(loop_open(&loop, "fuzz") == 0);
    loop.devices = loop.block_devices = 1;
    CHECK(fd >= 0 && ftruncate(fd, MEMORY_BYTES) == 0);
    memory =
        mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(memory != MAP_FAILED && empty);
    CHECK(mem_add(empty, &region, fd, &mem, &e) == 0);
    mem_unref(empty);
    conf = read_conf(&root_table, config, NULL);
    for (unsigned i = 0; i < TARGETS * LUNS; i++) {
        unsigned target = i / LUNS, number = i % LUNS;
        char at[64];

        snprintf(at, sizeof(at), "{\"target\": %u, \"lun\": %u", target,
                 number);
        snprintf(text, sizeof(text), "%s, \"store\": %s}", at, stores[number]);
        args[target][number].add = read_conf(params_of("scsi.lun_add"), text,
                                             &args[target][number].add_doc);
        snprintf(text, sizeof(text), "%s}", at);
        args[target][number].remove =
            read_conf(params_of("scsi.lun_remove"), text, NULL);
        snprintf(text, sizeof(text), "%s, \"size\": %u}", at, 65536 - 4096 * i);
        args[target][number].resize =
            read_conf(params_of("scsi.resize"), text, NULL);
        list_init(&fakes[target][number].tasks);
        list_init(&fakes[target][number].tmfs);
    }
    for (unsigned r = 0; r < RINGS; r++)
        ring_loops[r] = &loop;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct errs errs = ERRS_EMPTY;
    struct err e;

    in_at = data;
    in_end = data + size;
    mood = 0;
    CHECK(device_type_of(conf)->open(&device, conf, &errs) == 0);
    device->home = &loop;
    device->ring_loop = ring_loops;
    device->host = &device_host;
    CHECK(device->ops->begin(device, &e) == 0);
    make_fake(0, 2);
    session_begin(false);
    for (int i = 0; i < STEPS_MAX && in_at < in_end; i++)
        step();
    mood = 0;
    session_end();
    for (int i = 0; calls > 0 || !list_empty(&scsi_of(device)->tmfs); i++) {
        CHECK(i < 100);
        fakes_go_on(true);
        guest_turn();
    }
    device->ops->close(device);
    for (int i = 0; i < 3 * TARGETS * LUNS; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    return 0;
}
