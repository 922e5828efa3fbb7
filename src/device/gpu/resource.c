/* Resources by id, and what they may take.
 *
 * Two things are counted that a guest could have too much of: bytes of pixels,
 * which a resource takes until nobody shows or sends it any more, whether it
 * has an id or not, and entries of backings. Pixels take no room before they
 * are written. A blob has no pixels: its memory is the guest's. */
#include "device/gpu/resource.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/gpu/arena.h"
#include "device/gpu/ledger.h"
#include "device/gpu/pixels.h"
#include "os/closer.h"
#include "os/memory.h"
#include "virtio/spec.h"

_Static_assert(RESOURCE_BLOCKS_MAX % 64 == 0, "whole words of bits");

void resources_init(struct resources *rs, uint64_t max_bytes, bool in_files)
{
    *rs = (struct resources){.max_bytes = max_bytes, .in_files = in_files};
    for (unsigned i = 0; i < RESOURCE_BUCKETS; i++)
        list_init(&rs->buckets[i]);
}

/* Drivers count from 1, or use the bits above as well. */
static unsigned bucket(uint32_t id)
{
    return (id * UINT32_C(0x9e3779b1)) >> 24;
}

_Static_assert(RESOURCE_BUCKETS == 1 << 8, "bucket() gives 8 bits");

struct resource *resource_find(const struct resources *rs, uint32_t id)
{
    const struct list *head = &rs->buckets[bucket(id)];

    LIST_EACH (head, it) {
        struct resource *r = container_of(it, struct resource, node);

        if (r->id == id)
            return r;
    }
    return NULL;
}

static struct resource *resource_new(struct resources *rs, uint32_t id)
{
    struct resource *r;

    if (rs->count >= RESOURCES_MAX)
        return NULL;
    r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->id = id;
    r->refs = 1;
    r->fd = -1;
    r->dmabuf = -1;
    r->slot = -1;
    r->owner = rs;
    list_add(&rs->buckets[bucket(id)], &r->node);
    rs->count++;
    return r;
}

/* A file is for what a scanout may show; no larger than a cursor, none is. */
#define CURSOR_BYTES                                                           \
    (VIRTIO_GPU_CURSOR_PIXELS * VIRTIO_GPU_CURSOR_PIXELS * PIXEL_BYTES)

/* What so many bytes of pixels take. */
static uint64_t room(uint64_t bytes)
{
    uint64_t page = memory_page_bytes();

    return (bytes + page - 1) / page * page;
}

static uint8_t *pixels_make(struct resources *rs, struct resource *r,
                            uint64_t bytes)
{
    uint8_t *pixels = NULL;

    if (rs->in_arena) {
        r->extent = arena_take(rs->arena, bytes);
        return r->extent ? arena_at(rs->arena, r->extent) : NULL;
    }
    if (rs->in_files && bytes > CURSOR_BYTES && rs->files < RESOURCES_FILES_MAX)
        pixels = memory_zeros_in_file("vub-gpu", bytes, &r->fd);
    return pixels ? pixels : memory_zeros(bytes);
}

/* found: where they are; NULL: they are made. */
static bool pixels_new(struct resources *rs, struct resource *r, uint64_t bytes,
                       struct extent *found)
{
    uint64_t taken = room(bytes);

    if (taken > rs->max_bytes || rs->bytes > rs->max_bytes - taken)
        return false;
    if (found) {
        r->extent = found;
        r->pixels = arena_at(rs->arena, found);
    } else {
        r->pixels = pixels_make(rs, r, bytes);
    }
    if (!r->pixels)
        return false;
    rs->files += r->fd >= 0;
    rs->bytes += taken;
    r->bytes = bytes;
    return true;
}

static struct resource *new_2d(struct resources *rs, uint32_t id,
                               uint32_t format, uint32_t width, uint32_t height,
                               struct extent *found)
{
    struct resource *r = resource_new(rs, id);

    if (!r)
        return NULL;
    r->format = format;
    r->width = width;
    r->height = height;
    r->stride = width * PIXEL_BYTES;
    if (!pixels_new(rs, r, (uint64_t)r->stride * height, found)) {
        resource_forget(r);
        return NULL;
    }
    return r;
}

struct resource *resource_new_2d(struct resources *rs, uint32_t id,
                                 uint32_t format, uint32_t width,
                                 uint32_t height)
{
    struct resource *r = new_2d(rs, id, format, width, height, NULL);

    if (r)
        ledger_resource(rs->ledger, r);
    return r;
}

struct resource *resource_found_2d(struct resources *rs, uint32_t id,
                                   uint32_t format, uint32_t width,
                                   uint32_t height, struct extent *x)
{
    struct resource *r = new_2d(rs, id, format, width, height, x);

    if (!r)
        arena_return(rs->arena, x);
    return r;
}

struct resource *resource_new_blob(struct resources *rs, uint32_t id,
                                   uint64_t bytes)
{
    struct resource *r = resource_new(rs, id);

    if (!r)
        return NULL;
    r->is_blob = true;
    r->bytes = bytes;
    ledger_resource(rs->ledger, r);
    return r;
}

uint64_t resource_make(struct resource *r, uint64_t from, uint64_t len)
{
    const uint64_t block = RESOURCE_BLOCK_BYTES;
    uint64_t bytes = 0;

    for (uint64_t i = from / block; i * block < from + len; i++) {
        uint64_t bit = UINT64_C(1) << i % 64;

        if (r->made[i / 64] & bit)
            continue;
        r->made[i / 64] |= bit;
        bytes += MIN(block, r->bytes - i * block);
    }
    return bytes;
}

void resource_forget(struct resource *r)
{
    list_del(&r->node);
    r->owner->count--;
    ledger_forget(r->owner->ledger, r);
    resource_detach(r);
    resource_unref(r);
}

struct resource *resource_ref(struct resource *r)
{
    r->refs++;
    return r;
}

int resource_file(const struct resource *r, uint64_t *at)
{
    *at = r->extent ? r->extent->at : 0;
    if (r->extent && r->bytes > CURSOR_BYTES)
        return r->owner->arena->kept.fd;
    return r->fd;
}

/* They are no more of the owner's. */
static struct closer_map pixels_leave(struct resource *r)
{
    const struct closer_map m = {r->pixels, r->bytes, r->fd};

    r->owner->files -= r->fd >= 0;
    r->owner->bytes -= room(r->bytes);
    r->pixels = NULL;
    r->fd = -1;
    return m;
}

bool resource_move(struct resource *r)
{
    struct resources *rs = r->owner;
    struct extent *x = arena_take(rs->arena, r->bytes);
    const uint64_t block = RESOURCE_BLOCK_BYTES;

    if (!x)
        return false;
    /* What was never written to is zeros there too. */
    for (uint64_t i = 0; i * block < r->bytes; i++)
        if (r->made[i / 64] >> i % 64 & 1)
            memcpy(arena_at(rs->arena, x) + i * block, r->pixels + i * block,
                   MIN(block, r->bytes - i * block));
    memory_drop(r->pixels, r->bytes, r->fd);
    rs->files -= r->fd >= 0;
    r->fd = -1;
    r->extent = x;
    r->pixels = arena_at(rs->arena, x);
    if (r->dmabuf >= 0)
        close(r->dmabuf);
    r->dmabuf = -1;
    r->dmabuf_tried = false;
    return true;
}

static void pixels_drop(struct resource *r)
{
    struct extent *x = r->extent;
    struct closer_map m = pixels_leave(r);

    r->extent = NULL;
    if (x)
        arena_return(r->owner->arena, x);
    else
        memory_drop(m.at, m.len, m.fd);
}

void resource_unref(struct resource *r)
{
    if (!r || --r->refs > 0)
        return;
    resource_detach(r);
    if (r->dmabuf >= 0)
        close(r->dmabuf);
    if (r->pixels)
        pixels_drop(r);
    free(r);
}

int resource_attach(struct resource *r, struct backing_entry *entries,
                    uint32_t num, struct mem *mem)
{
    struct resources *rs = r->owner;
    int rc;

    if (num > BACKING_ENTRIES_MAX ||
        num > RESOURCES_ENTRIES_MAX - rs->entries) {
        free(entries);
        return -E2BIG;
    }
    rc = backing_attach(&r->backing, entries, num, mem);
    if (rc < 0)
        return rc;
    rs->entries += num;
    ledger_backing(rs->ledger, r);
    return 0;
}

void resource_detach(struct resource *r)
{
    bool was_attached = r->backing.attached;

    r->owner->entries -= r->backing.num_entries;
    backing_detach(&r->backing);
    if (was_attached)
        ledger_backing(r->owner->ledger, r);
}

void resources_resolve(struct resources *rs, struct mem *mem)
{
    for (unsigned i = 0; i < RESOURCE_BUCKETS; i++) {
        LIST_EACH (&rs->buckets[i], it) {
            /* What is not there shows black and takes no transfers. */
            backing_resolve(&container_of(it, struct resource, node)->backing,
                            mem);
        }
    }
}

/* Thousands of mappings that go one by one take long, even if each is small. */
void resources_clear(struct resources *rs)
{
    struct closer_map *maps = malloc((rs->count + 1) * sizeof(*maps));
    unsigned num = 0;

    for (unsigned i = 0; i < RESOURCE_BUCKETS; i++) {
        LIST_EACH_SAFE (&rs->buckets[i], it) {
            struct resource *r = container_of(it, struct resource, node);

            if (maps && r->pixels && !r->extent && r->refs == 1)
                maps[num++] = pixels_leave(r);
            resource_forget(r);
            ledger_commit(rs->ledger);
        }
    }
    closer_unmap_all(maps, num);
}
