#include "disk.h"

#include "device_text.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PIECES 128
#define GAP 24

static struct disk *disk_of(struct device *dev)
{
    return dev->host_data;
}

static void on_started(struct device *dev, const struct err *e)
{
    struct disk *d = disk_of(dev);

    d->starts_answered++;
    if (e)
        d->start_err = *e;
    else
        d->start_err.code = 0;
}

static void on_config_changed(struct device *dev)
{
    disk_of(dev)->config_changes++;
}

static const struct device_host host = {
    .started = on_started,
    .config_changed = on_config_changed,
};

void disk_file(struct disk *d, const char *name, uint64_t size)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", d->dir, name);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

uint8_t disk_ranges(struct disk *d, uint32_t type,
                    const struct virtio_blk_range *list, size_t bytes)
{
    return disk_call(
        d, &(struct disk_call){.type = type, .out = list, .out_len = bytes});
}

bool disk_can_do_direct_io(void)
{
    struct disk *d = disk_open("'store': {'type': 'memory', 'size': '1M'}");
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/disk", d->dir);
    fd = open(path, O_RDONLY | O_DIRECT);
    if (fd >= 0)
        close(fd);
    disk_free(d);
    return fd >= 0;
}

static unsigned num_disks; /* that there are now */

static struct disk *disk_alloc(void)
{
    struct disk *d = calloc(1, sizeof(*d));
    const char *tmp = getenv("TMPDIR");

    assert_non_null(d);
    snprintf(d->dir, sizeof(d->dir), "%s/vub-block-XXXXXX",
             tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    assert_non_null(mkdtemp(d->dir));
    disk_file(d, "disk", 1 << 20);
    assert_int_equal(loop_open(&d->loop, "test"), 0);
    assert_int_equal(loop_open(&d->other_loop, "other"), 0);
    d->loop.devices = d->loop.block_devices = 1;
    d->nr = num_disks++;
    return d;
}

static int try_open(struct disk *d, const char *config, struct errs *errs)
{
    struct conf_any conf;
    char text[2048];
    int rc;

    snprintf(text, sizeof(text), "'id': 'test%.*u', 'type': 'block', %s",
             d->nr > 0, d->nr, config);
    rc = device_text_read(&conf, &d->doc, text, d->dir, errs);
    if (rc < 0)
        return rc;
    rc = device_type_of(&conf)->open(&d->device, &conf, errs);
    if (rc < 0)
        d->device = NULL;
    return rc;
}

struct disk *disk_open(const char *config)
{
    struct disk *d = disk_alloc();
    struct errs errs = ERRS_EMPTY;

    if (try_open(d, config, &errs) < 0)
        fail_msg("%s: %s", errs.list[0].where, errs.list[0].text);
    errs_free(&errs);
    d->device->home = &d->loop;
    for (unsigned i = 0; i < d->device->num_queues; i++)
        d->ring_loop[i] = &d->loop;
    d->device->ring_loop = d->ring_loop;
    d->device->host = &host;
    d->device->host_data = d;
    return d;
}

void disk_open_fails(const char *config, struct err *e)
{
    struct disk *d = disk_alloc();
    struct errs errs = ERRS_EMPTY;

    assert_true(try_open(d, config, &errs) < 0);
    assert_true(errs.count > 0);
    *e = errs.list[0];
    errs_free(&errs);
    disk_free(d);
}

uint64_t disk_features(struct disk *d)
{
    return d->device->ops->features(d->device);
}

int disk_start(struct disk *d, uint64_t features, bool recovered)
{
    const struct device_start s = {features, recovered};

    d->starts_answered = 0;
    d->runs = true;
    d->device->ops->start(d->device, &s);
    while (!d->starts_answered)
        uv_run(&d->loop.uv, UV_RUN_ONCE);
    assert_int_equal(d->starts_answered, 1);
    d->runs = d->start_err.code == 0;
    return d->start_err.code;
}

int disk_start_ring(struct disk *d, bool packed, struct err *e)
{
    int rc;

    if (!d->guest)
        d->guest = guest_new(packed, 128);
    d->guest->setup.priv_size = d->device->priv_size;
    d->guest->setup.chain_max = d->device->chain_max;
    if (!d->guest->started)
        guest_start(d->guest);
    d->guest->ring.loop = &d->loop;
    rc = d->device->ops->ring_start(d->device, &d->guest->ring, e);
    d->ring_runs = rc == 0;
    return rc;
}

struct disk *disk_new(const char *config, bool packed)
{
    struct disk *d = disk_open(config);
    struct err e = {0};

    assert_int_equal(disk_start(d, disk_features(d), false), 0);
    if (disk_start_ring(d, packed, &e) < 0)
        fail_msg("%s", e.text);
    return d;
}

void disk_stop_ring(struct disk *d)
{
    struct device *dev = d->device;

    dev->ops->ring_drain(dev, &d->guest->ring, DRAIN_BEGIN);
    dev->ops->ring_drain(dev, &d->guest->ring, DRAIN_CANCEL);
    disk_settle(d);
    dev->ops->ring_stop(dev, &d->guest->ring);
    d->ring_runs = false;
    guest_stop(d->guest);
}

void disk_stop(struct disk *d)
{
    d->device->ops->stop(d->device);
    d->runs = false;
}

void disk_free(struct disk *d)
{
    char command[128];

    if (d->ring_runs)
        disk_stop_ring(d);
    if (d->runs)
        disk_stop(d);
    if (d->guest)
        guest_free(d->guest);
    if (d->device)
        d->device->ops->close(d->device);
    loop_close(&d->loop);
    loop_close(&d->other_loop);
    if (d->doc)
        conf_free(d->doc);
    snprintf(command, sizeof(command), "rm -rf '%s'", d->dir);
    assert_int_equal(system(command), 0);
    num_disks--;
    free(d);
}

/* ---- requests ---- */

/* Lays out `len` bytes as pieces from *at on. */
static unsigned lay_out(const struct disk_call *c, size_t len,
                        const unsigned *cuts, bool write, uint64_t *at,
                        struct piece *p)
{
    unsigned n = 0;

    for (; len; n++) {
        size_t cut = MIN(cuts && cuts[n] ? cuts[n] : len, len);

        assert_true(n < MAX_PIECES);
        p[n] = (struct piece){*at, (uint32_t)cut, write};
        *at += cut + (c->joined ? 0 : GAP);
        len -= cut;
    }
    return n;
}

static uint8_t *byte_at(struct disk *d, const struct piece *p, size_t at)
{
    for (; at >= p->len; p++)
        at -= p->len;
    return guest_at(d->guest, p->gpa + at);
}

static struct piece pieces[2 * MAX_PIECES];
static unsigned num_out;

void disk_send(struct disk *d, struct disk_call *c, uint16_t id)
{
    struct virtio_blk_req_head head = {htole32(c->type), 0, htole64(c->sector)};
    const unsigned out_usual[] = {sizeof(head), 0};
    const unsigned in_usual[] = {(unsigned)c->in_len, 0};
    uint64_t at = c->at ? c->at : GUEST_DATA;
    unsigned num;

    num_out =
        lay_out(c, sizeof(head) + c->out_len,
                c->out_cuts ? c->out_cuts : out_usual, false, &at, pieces);
    num = num_out + lay_out(c, c->in_len + 1,
                            c->in_cuts  ? c->in_cuts
                            : c->in_len ? in_usual
                                        : NULL,
                            true, &at, pieces + num_out);
    for (size_t i = 0; i < sizeof(head); i++)
        *byte_at(d, pieces, i) = ((uint8_t *)&head)[i];
    for (size_t i = 0; i < c->out_len; i++)
        *byte_at(d, pieces, sizeof(head) + i) = ((const uint8_t *)c->out)[i];
    for (size_t i = 0; i <= c->in_len; i++)
        *byte_at(d, pieces + num_out, i) = 0xaa;
    guest_offer(d->guest, id, pieces, num);
    d->device->ops->ring_kick(d->device, &d->guest->ring);
    ring_flush(&d->guest->ring);
}

void disk_settle(struct disk *d)
{
    struct ring *r = &d->guest->ring;

    do {
        d->device->ops->ring_kick(d->device, r);
        ring_flush(r);
        if (r->in_flight)
            uv_run(&d->loop.uv, UV_RUN_ONCE);
        ring_flush(r);
    } while (r->in_flight || ring_has_work(r));
}

uint8_t disk_answer(struct disk *d, struct disk_call *c)
{
    uint16_t id;

    assert_true(guest_take(d->guest, &id, &c->written));
    for (size_t i = 0; i < c->in_len; i++)
        ((uint8_t *)c->in)[i] = *byte_at(d, pieces + num_out, i);
    return *byte_at(d, pieces + num_out, c->in_len);
}

uint8_t disk_call(struct disk *d, struct disk_call *c)
{
    disk_send(d, c, 0);
    disk_settle(d);
    return disk_answer(d, c);
}

uint8_t disk_read(struct disk *d, uint64_t sector, void *buf, size_t len)
{
    return disk_call(d, &(struct disk_call){.type = VIRTIO_BLK_T_IN,
                                            .sector = sector,
                                            .in = buf,
                                            .in_len = len});
}

uint8_t disk_write(struct disk *d, uint64_t sector, const void *buf, size_t len)
{
    return disk_call(d, &(struct disk_call){.type = VIRTIO_BLK_T_OUT,
                                            .sector = sector,
                                            .out = buf,
                                            .out_len = len});
}

uint8_t disk_flush(struct disk *d)
{
    return disk_call(d, &(struct disk_call){.type = VIRTIO_BLK_T_FLUSH});
}

struct virtio_blk_config disk_config(struct disk *d)
{
    struct virtio_blk_config c;

    assert_int_equal(d->device->ops->config_len, sizeof(c));
    d->device->ops->config_read(d->device, &c);
    return c;
}
