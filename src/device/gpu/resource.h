/* device/gpu/resource.h: resources: pictures that the guest makes.
 *
 * Spec: virtio, "Device Operation: controlq". A 2D resource has pixels of its
 * own, which TRANSFER_TO_HOST_2D fills from its backing; a blob is the guest's
 * memory itself. A resource is found by the guest's id while the table has it;
 * whoever sends or shows it has a ref, and it may outlive its id.
 * Threads: the device's. */
#ifndef VUB_DEVICE_GPU_RESOURCE_H
#define VUB_DEVICE_GPU_RESOURCE_H

#include "base/list.h"
#include "device/gpu/backing.h"
#include "device/gpu/rect.h"

/* More than drivers have; they all go in one turn, when the driver is another.
 */
#define RESOURCES_MAX 4096u
#define RESOURCES_ENTRIES_MAX (4 * BACKING_ENTRIES_MAX) /* of all of them */
/* Files, of which the process has not so many; others do without. */
#define RESOURCES_FILES_MAX 64u

/* The system gives memory for pixels in pieces of up to that size. */
#define RESOURCE_BLOCK_BYTES (UINT64_C(2) << 20)
#define RESOURCE_BLOCKS_MAX                                                    \
    (GPU_SIDE_MAX * GPU_SIDE_MAX / (RESOURCE_BLOCK_BYTES / 4))

struct arena;
struct extent;
struct ledger;
struct resources;

struct resource {
    uint32_t id;
    unsigned refs;
    bool is_blob;
    bool has_uuid;
    uint8_t uuid[16];
    struct backing backing;
    uint64_t bytes; /* a blob's size; else of pixels */

    /* 2D */
    uint32_t format, width, height, stride; /* stride: bytes, no gaps */
    uint8_t *pixels; /* [bytes], page aligned; zeros at first */
    uint64_t made[RESOURCE_BLOCKS_MAX / 64]; /* blocks that were written to:
                                              * bits */
    struct extent *extent; /* the pixels are in the arena; NULL: they are not */
    int fd;     /* of a file in memory with the pixels, for dma-bufs; -1 */
    int dmabuf; /* of that file, made when it is shown so; -1: none */
    bool dmabuf_tried;

    int slot; /* the ledger's; -1: none */
    struct resources *owner;
    struct list node; /* of its bucket */
};

#define RESOURCE_BUCKETS 256

struct resources {
    struct list buckets[RESOURCE_BUCKETS];
    uint32_t count; /* those with an id */
    uint64_t bytes; /* of pixels, in whole pages; those without an id too */
    uint64_t max_bytes;
    uint64_t entries; /* of all backings */
    unsigned files;   /* with pixels; of those without an id too */
    bool in_files;    /* pixels are made for dma-bufs */
    bool in_arena;    /* pixels are made there, which does for dma-bufs too */
    struct arena *arena;   /* NULL: there is none */
    struct ledger *ledger; /* NULL: nothing is written down */
};

void resources_init(struct resources *rs, uint64_t max_bytes, bool in_files);

/* NULL: the guest has none of that id. Not a ref. */
struct resource *resource_find(const struct resources *rs, uint32_t id);
/* The table's ref. id is free and not 0; format is known, and the sides are
 * 1..GPU_SIDE_MAX. NULL: it would be beyond what there may be, or there is no
 * memory. */
struct resource *resource_new_2d(struct resources *rs, uint32_t id,
                                 uint32_t format, uint32_t width,
                                 uint32_t height);
struct resource *resource_new_blob(struct resources *rs, uint32_t id,
                                   uint64_t bytes);
/* One that another process has made, whose pixels are in that extent: which is
 * the resource's, or returned. */
struct resource *resource_found_2d(struct resources *rs, uint32_t id,
                                   uint32_t format, uint32_t width,
                                   uint32_t height, struct extent *x);
/* The pixels of a 2D resource that are in no arena move to the owner's. False:
 * there is no room; they are where they were. */
bool resource_move(struct resource *r);
/* The file that has the pixels of a 2D resource, from *at on; -1: none. */
int resource_file(const struct resource *r, uint64_t *at);
/* len bytes from `from` on of a 2D resource's pixels are about to be written.
 * How many bytes of memory the system may have to make for that: most of the
 * time none. */
uint64_t resource_make(struct resource *r, uint64_t from, uint64_t len);
/* Its id is free again, and its backing detached: those who still show or send
 * it keep no memory of the guest's. The table's ref is given back. */
void resource_forget(struct resource *r);

struct resource *resource_ref(struct resource *r);
void resource_unref(struct resource *r); /* r may be NULL */

/* As backing_attach; -E2BIG: there would be too many entries. */
int resource_attach(struct resource *r, struct backing_entry *entries,
                    uint32_t num, struct mem *mem);
void resource_detach(struct resource *r);
/* Those with an id that have a backing: by another map, NULL: by none. */
void resources_resolve(struct resources *rs, struct mem *mem);
/* Forgets all; those who have refs keep them. */
void resources_clear(struct resources *rs);

#endif
