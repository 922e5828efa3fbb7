#include "whole.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "device_text.h"

#define RING_SIZE 16
#define SLOTS (RING_SIZE / 2) /* two descriptors each */
#define SLOT_BYTES (REQUEST_MAX + RESPONSE_MAX)

_Static_assert(GUEST_DATA + SLOTS * SLOT_BYTES <= GUEST_SECOND,
               "there is room");

/* ---- the script ---- */

static void *add(struct script *s, unsigned ring, uint32_t type, size_t len)
{
    struct command_step *step = &s->steps[s->num++];
    struct virtio_gpu_ctrl_hdr *hdr = (void *)step->request;

    assert_true(s->num <= SCRIPT_MAX && len <= REQUEST_MAX);
    memset(step, 0, sizeof(*step));
    step->ring = ring;
    step->len = len;
    hdr->type = htole32(type);
    hdr->flags = htole32(VIRTIO_GPU_FLAG_FENCE);
    hdr->fence_id = htole64(s->num);
    return hdr;
}

static struct virtio_gpu_rect rect_of(const struct rect *r)
{
    return (struct virtio_gpu_rect){htole32(r->x), htole32(r->y),
                                    htole32(r->width), htole32(r->height)};
}

static void put_entries(void *to, uint64_t from, unsigned num, uint32_t len)
{
    struct virtio_gpu_mem_entry *e = to;

    for (unsigned i = 0; i < num; i++)
        e[i] = (struct virtio_gpu_mem_entry){
            .addr = htole64(SCRIPT_PIXELS + from + (uint64_t)i * len),
            .length = htole32(len),
        };
}

void script_create(struct script *s, uint32_t id, uint32_t width,
                   uint32_t height)
{
    struct virtio_gpu_resource_create_2d *c =
        add(s, 0, VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, sizeof(*c));

    c->resource_id = htole32(id);
    c->format = htole32(VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM);
    c->width = htole32(width);
    c->height = htole32(height);
}

void script_create_blob(struct script *s, uint32_t id, uint64_t size,
                        uint64_t from, unsigned entries, uint32_t piece_bytes)
{
    struct virtio_gpu_resource_create_blob *c =
        add(s, 0, VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
            sizeof(*c) + entries * sizeof(struct virtio_gpu_mem_entry));

    c->resource_id = htole32(id);
    c->blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST);
    c->nr_entries = htole32(entries);
    c->size = htole64(size);
    put_entries(c + 1, from, entries, piece_bytes);
}

void script_attach(struct script *s, uint32_t id, uint64_t from,
                   unsigned entries, uint32_t piece_bytes)
{
    struct virtio_gpu_resource_attach_backing *c =
        add(s, 0, VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
            sizeof(*c) + entries * sizeof(struct virtio_gpu_mem_entry));

    c->resource_id = htole32(id);
    c->nr_entries = htole32(entries);
    put_entries(c + 1, from, entries, piece_bytes);
}

void script_ref(struct script *s, uint32_t command, uint32_t id)
{
    struct virtio_gpu_resource_ref *c = add(s, 0, command, sizeof(*c));

    c->resource_id = htole32(id);
}

void script_scanout(struct script *s, unsigned scanout, uint32_t id,
                    const struct rect *r)
{
    struct virtio_gpu_set_scanout *c =
        add(s, 0, VIRTIO_GPU_CMD_SET_SCANOUT, sizeof(*c));

    c->scanout_id = htole32(scanout);
    c->resource_id = htole32(id);
    c->r = rect_of(r);
}

void script_scanout_blob(struct script *s, unsigned scanout, uint32_t id,
                         const struct rect *r, uint32_t stride)
{
    struct virtio_gpu_set_scanout_blob *c =
        add(s, 0, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, sizeof(*c));

    c->scanout_id = htole32(scanout);
    c->resource_id = htole32(id);
    c->r = rect_of(r);
    c->width = htole32(r->x + r->width);
    c->height = htole32(r->y + r->height);
    c->format = htole32(VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM);
    c->strides[0] = htole32(stride);
}

void script_transfer(struct script *s, uint32_t id, const struct rect *r,
                     uint64_t offset)
{
    struct virtio_gpu_transfer_to_host_2d *c =
        add(s, 0, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, sizeof(*c));

    c->resource_id = htole32(id);
    c->r = rect_of(r);
    c->offset = htole64(offset);
}

void script_flush(struct script *s, uint32_t id, const struct rect *r)
{
    struct virtio_gpu_resource_flush *c =
        add(s, 0, VIRTIO_GPU_CMD_RESOURCE_FLUSH, sizeof(*c));

    c->resource_id = htole32(id);
    c->r = rect_of(r);
}

void script_display_info(struct script *s)
{
    add(s, 0, VIRTIO_GPU_CMD_GET_DISPLAY_INFO,
        sizeof(struct virtio_gpu_ctrl_hdr));
}

void script_cursor(struct script *s, bool image, unsigned scanout, uint32_t id,
                   uint32_t x, uint32_t y)
{
    struct virtio_gpu_update_cursor *c = add(
        s, 1, image ? VIRTIO_GPU_CMD_UPDATE_CURSOR : VIRTIO_GPU_CMD_MOVE_CURSOR,
        sizeof(*c));

    c->pos.scanout_id = htole32(scanout);
    c->pos.x = htole32(x);
    c->pos.y = htole32(y);
    c->resource_id = htole32(id);
    c->hot_x = htole32(3);
    c->hot_y = htole32(60);
}

/* ---- the guest ---- */

static void *shared(size_t len)
{
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(at != MAP_FAILED);
    return at;
}

struct world *world_new(bool packed)
{
    struct world *w = shared(sizeof(*w));

    for (unsigned i = 0; i < 2; i++) {
        struct guest *g = guest_new(packed, RING_SIZE);
        uint32_t *words = guest_at(g, SCRIPT_PIXELS);

        guest_record(g);
        g->setup.chain_max = 512;
        for (uint32_t n = 0; n < 0x20000 / sizeof(*words); n++)
            words[n] = n * 2654435761u;
        w->rings[i] = *g;
        free(g);
    }
    return w;
}

void world_free(struct world *w)
{
    for (unsigned i = 0; i < 2; i++) {
        struct guest *g = calloc(1, sizeof(*g));

        assert_non_null(g);
        *g = w->rings[i];
        g->started = false; /* in whoever had it */
        guest_free(g);
    }
    munmap(w, sizeof(*w));
}

static uint64_t place_of(unsigned step)
{
    return GUEST_DATA + (uint64_t)(step % SLOTS) * SLOT_BYTES;
}

static void offer(struct world *w, const struct script *s)
{
    const struct command_step *step = &s->steps[w->offered];
    struct guest *g = &w->rings[step->ring];
    uint64_t at = place_of(w->offered);
    const struct piece pieces[] = {
        {at, (uint32_t)step->len, false},
        {at + REQUEST_MAX, RESPONSE_MAX, true},
    };
    unsigned id = w->offered % SLOTS * 2;

    memcpy(guest_at(g, at), step->request, step->len);
    memset(guest_at(g, at + REQUEST_MAX), 0xee, RESPONSE_MAX);
    w->offered++;
    guest_offer(g, (uint16_t)id, pieces, 2);
}

/* Answers come in order. */
static void take_answers(struct world *w, const struct script *s)
{
    while (w->answered < w->offered) {
        struct guest *g = &w->rings[s->steps[w->answered].ring];
        struct response *r = &w->responses[w->answered];
        uint16_t id;

        if (!guest_take(g, &id, &r->len))
            return;
        assert_int_equal(id, w->answered % SLOTS * 2);
        memcpy(r->bytes, guest_at(g, place_of(w->answered) + REQUEST_MAX),
               sizeof(r->bytes));
        w->answered++;
    }
}

/* What is under way is on one ring: there is no order between the two. */
static void offer_some(struct world *w, const struct script *s, unsigned window)
{
    while (w->offered < s->num && w->offered - w->answered < window &&
           (w->offered == w->answered ||
            s->steps[w->offered].ring == s->steps[w->answered].ring))
        offer(w, s);
}

/* ---- the device ---- */

static struct whole *current; /* there is one at a time, for what vhost does */

static void on_started(struct device *d, const struct err *e)
{
    assert_ptr_equal(d, current->device);
    assert_null(e);
}

static void on_config_changed(struct device *d)
{
    assert_ptr_equal(d, current->device);
    current->config_changes++;
}

static void on_give_back(struct device *d, int fd)
{
    assert_ptr_equal(d, current->device);
    close(fd);
}

struct whole *whole_open(const char *more)
{
    static const struct device_host host = {
        .started = on_started,
        .config_changed = on_config_changed,
        .give_back = on_give_back,
    };
    struct whole *d = calloc(1, sizeof(*d));
    struct errs errs = ERRS_EMPTY;
    struct conf_any conf;
    char text[512];
    struct err e;

    assert_non_null(d);
    assert_int_equal(loop_open(&d->loop, "whole"), 0);
    snprintf(text, sizeof(text), "'type':'gpu','id':'gpu'%s", more);
    conf = device_text(&d->doc, text, NULL);
    assert_int_equal(device_type_of(&conf)->open(&d->device, &conf, &errs), 0);
    d->gpu = gpu_of(d->device);
    d->device->home = &d->loop;
    d->device->host = &host;
    current = d;
    if (d->device->ops->begin(d->device, &e) < 0)
        fail_msg("%s", e.text);
    return d;
}

static void on_want_kick(struct ring *q)
{
    (void)q; /* whole_serve looks all the time */
}

void whole_start(struct whole *d, struct world *w, bool recovered)
{
    const struct device_start start = {
        .features = d->device->ops->features(d->device),
        .recovered = recovered,
    };

    current = d;
    d->world = w;
    d->device->ops->start(d->device, &start);
    for (unsigned i = 0; i < 2; i++) {
        struct ring *q = &w->rings[i].ring;
        struct err e;

        guest_start(&w->rings[i]);
        q->index = i;
        q->loop = &d->loop;
        q->want_kick = on_want_kick;
        assert_int_equal(d->device->ops->ring_start(d->device, q, &e), 0);
        d->started[i] = true;
    }
}

void whole_serve(struct whole *d)
{
    do {
        for (unsigned i = 0; i < 2; i++) {
            struct ring *q = &d->world->rings[i].ring;

            d->device->ops->ring_kick(d->device, q);
            assert_null(q->broken);
            ring_flush(q);
        }
        uv_run(&d->loop.uv, UV_RUN_NOWAIT);
        for (unsigned i = 0; i < 2; i++)
            ring_flush(&d->world->rings[i].ring);
    } while (d->gpu->control.chain);
}

void whole_run(struct whole *d, const struct script *s, unsigned window)
{
    struct world *w = d->world;

    for (;;) {
        take_answers(w, s);
        if (w->answered == s->num)
            return;
        offer_some(w, s, MIN(window, SLOTS));
        whole_serve(d);
    }
}

void whole_stop(struct whole *d)
{
    current = d;
    for (unsigned i = 0; i < 2; i++) {
        struct guest *g;

        if (!d->started[i])
            continue;
        g = &d->world->rings[i];
        d->device->ops->ring_drain(d->device, &g->ring, DRAIN_BEGIN);
        ring_flush(&g->ring);
        d->device->ops->ring_stop(d->device, &g->ring);
        guest_stop(g);
        d->started[i] = false;
    }
    if (d->world)
        d->device->ops->stop(d->device);
    d->world = NULL;
}

void whole_save(struct whole *d)
{
    struct err e;

    whole_stop(d);
    if (d->device->ops->save(d->device, &e) < 0)
        fail_msg("%s", e.text);
}

void whole_close(struct whole *d)
{
    whole_stop(d);
    d->device->ops->close(d->device);
    for (int i = 0; i < 4; i++)
        uv_run(&d->loop.uv, UV_RUN_NOWAIT);
    loop_close(&d->loop);
    conf_free(d->doc);
    free(d);
}

/* ---- what there is ---- */

static uint32_t sum(const void *at, size_t len)
{
    const uint8_t *bytes = at;
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

static void write_resource(FILE *f, const struct resource *r)
{
    uint32_t entries = 0;

    for (uint32_t i = 0; i < r->backing.num_entries; i++)
        entries = entries * 31 + (uint32_t)r->backing.entries[i].gpa * 7 +
                  r->backing.entries[i].len;
    fprintf(f, "resource %u: blob %d, uuid %d, %u %ux%u, %llu bytes\n", r->id,
            r->is_blob, r->has_uuid, r->format, r->width, r->height,
            (unsigned long long)r->bytes);
    fprintf(f, "  backing: %d, %u entries %08x, %llu bytes, there: %d\n",
            r->backing.attached, r->backing.num_entries, entries,
            (unsigned long long)r->backing.len, r->backing.mem != NULL);
    if (!r->is_blob)
        fprintf(f, "  pixels %08x\n", sum(r->pixels, r->bytes));
}

static void write_scanout(FILE *f, unsigned i, const struct scanout *s)
{
    const struct rect all = {0, 0, s->frame.width, s->frame.height};
    const struct cursor *c = &s->cursor;
    size_t bytes = (size_t)all.width * all.height * PIXEL_BYTES;
    uint32_t *pixels;

    if (s->frame.res) {
        pixels = malloc(bytes);
        assert_non_null(pixels);
        frame_read(&s->frame, &all, pixels);
        fprintf(f, "scanout %u: resource %u, %u,%u %ux%u, picture %08x\n", i,
                s->frame.res->id, s->rect.x, s->rect.y, s->rect.width,
                s->rect.height, sum(pixels, bytes));
        free(pixels);
    }
    if (c->drawn)
        fprintf(f, "cursor %u: %d, %u,%u, hot %u,%u, image %08x\n", i,
                c->visible, c->x, c->y, c->hot_x, c->hot_y,
                sum(c->image, sizeof(c->image)));
}

void world_write_state(struct world *w, struct gpu *g)
{
    FILE *f = fmemopen(w->state, sizeof(w->state), "w");
    const struct resources *rs = &g->resources;

    assert_non_null(f);
    fprintf(f, "%u resources, %llu bytes, %llu entries; events %u\n", rs->count,
            (unsigned long long)rs->bytes, (unsigned long long)rs->entries,
            g->events_read);
    for (uint32_t id = 0; id < 5000; id++)
        if (resource_find(rs, id))
            write_resource(f, resource_find(rs, id));
    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
        const struct display_one *d = &g->displays[i];

        write_scanout(f, i, &g->scanouts[i]);
        if (d->enabled)
            fprintf(f, "display %u: %u,%u %ux%u\n", i, d->r.x, d->r.y,
                    d->r.width, d->r.height);
    }
    fclose(f);
}
