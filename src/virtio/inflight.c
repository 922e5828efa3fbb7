/* The in-flight record as a file: its size, its queues, who holds it. What is
 * in a queue's part is record_split.c's and record_packed.c's. */
#include "virtio/inflight.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "os/memory.h"
#include "virtio/inflight_impl.h"

struct inflight {
    unsigned refs; /* atomic */
    struct memory memory;
    unsigned num_queues;
    struct inflight_queue queues[];
};

/* A packed entry is twice a split one, and the front-end may ask for a record
 * before it knows the format: there is always room for packed. */
static uint64_t queue_bytes(uint16_t queue_size)
{
    uint64_t bytes = sizeof(struct packed_region) +
                     (uint64_t)queue_size * sizeof(struct packed_state);

    return (bytes + INFLIGHT_ALIGN - 1) / INFLIGHT_ALIGN * INFLIGHT_ALIGN;
}

uint64_t inflight_bytes(unsigned num_queues, uint16_t queue_size)
{
    return num_queues * queue_bytes(queue_size);
}

int inflight_create(unsigned num_queues, uint16_t queue_size, int *fd,
                    struct err *e)
{
    return memory_create("vub-inflight", inflight_bytes(num_queues, queue_size),
                         fd, e);
}

int inflight_open(struct inflight **out, int fd, uint64_t mmap_size,
                  uint64_t mmap_offset, unsigned num_queues,
                  uint16_t queue_size, struct err *e)
{
    uint64_t need = inflight_bytes(num_queues, queue_size);
    struct inflight *f;
    int rc;

    if (num_queues == 0 || queue_size == 0 || mmap_size < need)
        return err_set(e, -EINVAL, "",
                       "an in-flight record of %u queues of %u descriptors "
                       "takes %" PRIu64 " bytes, not %" PRIu64,
                       num_queues, queue_size, need, mmap_size);
    if (mmap_offset % sizeof(uint64_t))
        return err_set(e, -EINVAL, "",
                       "the in-flight record is not aligned in its file: "
                       "offset %" PRIu64,
                       mmap_offset);
    f = calloc(1, sizeof(*f) + num_queues * sizeof(f->queues[0]));
    if (!f)
        return err_nomem(e);
    rc = memory_map(&f->memory, fd, mmap_offset, mmap_size, e);
    if (rc < 0) {
        free(f);
        return rc;
    }
    f->refs = 1;
    f->num_queues = num_queues;
    for (unsigned i = 0; i < num_queues; i++)
        f->queues[i] = (struct inflight_queue){
            f, f->memory.at + i * queue_bytes(queue_size), queue_size};
    *out = f;
    return 0;
}

void inflight_unref(struct inflight *f)
{
    if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    memory_unmap(&f->memory);
    free(f);
}

struct inflight_queue *inflight_queue(struct inflight *f, unsigned index)
{
    return index < f->num_queues ? &f->queues[index] : NULL;
}

bool inflight_poisoned(const struct inflight_queue *q)
{
    return UNLIKELY(memory_any_poisoned()) &&
           memory_is_poisoned(&q->record->memory);
}

bool inflight_in_use(const struct inflight *f)
{
    for (unsigned i = 0; i < f->num_queues; i++) {
        /* version lies alike in both layouts */
        const struct split_region *region = f->queues[i].region;

        if (__atomic_load_n(&region->version, __ATOMIC_RELAXED) != 0)
            return true;
    }
    return false;
}

void inflight_renew(struct inflight *f, unsigned index)
{
    struct split_region *region;

    if (index >= f->num_queues)
        return;
    region = f->queues[index].region;
    record_set_u16(&region->version, 0);
}
