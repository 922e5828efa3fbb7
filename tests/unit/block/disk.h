/* tests/unit/block/disk.h: a block device with one guest, in this process.
 *
 * The device comes from the text of a config; ' stands for ", and @ for a
 * directory of its own. The test plays vhost: it starts device and ring, kicks
 * and flushes. */
#ifndef VUB_TESTS_UNIT_BLOCK_DISK_H
#define VUB_TESTS_UNIT_BLOCK_DISK_H

#include "../virtio/guest.h"
#include "device/block/block.h"
#include "loop/loop.h"

struct disk {
    char dir[64];
    unsigned nr; /* its id is "test", or "testN" beside N others */
    struct loop loop, other_loop;
    struct loop *ring_loop[DEVICE_MAX_QUEUES];
    struct conf_doc *doc;
    struct device *device;
    struct guest *guest;
    bool ring_runs, runs;

    /* what the device has told vhost */
    unsigned starts_answered, config_changes;
    struct err start_err; /* code 0: it was let start */
};

/* A request as a guest may lay it out. */
struct disk_call {
    uint32_t type;
    uint64_t sector;
    const void *out; /* data behind the header */
    size_t out_len;
    void *in; /* data before the status byte */
    size_t in_len;
    /* Lengths of pieces, ended by 0, of the out part and the in part; the
     * last may be longer than what is left. NULL: header, data and status are
     * a piece each. */
    const unsigned *out_cuts, *in_cuts;
    bool joined; /* pieces follow each other in memory; else there are gaps */
    uint64_t at; /* guest address of the first piece; 0: GUEST_DATA */
    uint32_t written; /* the answer's length */
};

/* Only the device, opened; config: its keys without id and type. */
struct disk *disk_open(const char *config);
/* The same, which must fail; the error is e's first. */
void disk_open_fails(const char *config, struct err *e);
/* Opened and started, and a ring that runs. */
struct disk *disk_new(const char *config, bool packed);
void disk_free(struct disk *d);

/* Starts the device with these features, waits for the answer. */
int disk_start(struct disk *d, uint64_t features, bool recovered);
/* Everything the device offers. */
uint64_t disk_features(struct disk *d);
int disk_start_ring(struct disk *d, bool packed, struct err *e);
void disk_stop_ring(struct disk *d);
void disk_stop(struct disk *d);

/* Offers a request and kicks; does not wait. Its chain has id. */
void disk_send(struct disk *d, struct disk_call *c, uint16_t id);
/* Turns the loop until all is answered. */
void disk_settle(struct disk *d);
/* The answer to the last disk_send, which must be there. */
uint8_t disk_answer(struct disk *d, struct disk_call *c);
/* All of that; returns the status. */
uint8_t disk_call(struct disk *d, struct disk_call *c);

/* Usual requests; each returns the status. */
uint8_t disk_read(struct disk *d, uint64_t sector, void *buf, size_t len);
uint8_t disk_write(struct disk *d, uint64_t sector, const void *buf,
                   size_t len);
uint8_t disk_flush(struct disk *d);

/* A request that is a list of ranges, bytes long. */
uint8_t disk_ranges(struct disk *d, uint32_t type,
                    const struct virtio_blk_range *list, size_t bytes);
static inline struct virtio_blk_range blk_range(uint64_t sector, uint32_t num,
                                                uint32_t flags)
{
    return (struct virtio_blk_range){htole64(sector), htole32(num),
                                     htole32(flags)};
}

/* Can the file system of the disks' directories? */
bool disk_can_do_direct_io(void);
void disk_file(struct disk *d, const char *name, uint64_t size);
struct virtio_blk_config disk_config(struct disk *d);

#endif
