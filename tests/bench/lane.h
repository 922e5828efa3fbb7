/* tests/bench/lane.h: requests at a fixed depth, by one thread.
 *
 * A lane drives some rings of a session: it keeps `depth` requests in each,
 * and puts the next one in the place of each that ends. It never allocates,
 * looks up or logs while it measures, so that it is faster than what it
 * measures; `busy` says how much of its time it had work to do: near 1 it is
 * the load that is the bottleneck, not the back-end. */
#ifndef VUB_BENCH_LANE_H
#define VUB_BENCH_LANE_H

#include "front/front.h"
#include "meter.h"

struct load {
    /* what to ask */
    bool write, sequential;
    uint32_t block;  /* bytes */
    unsigned depth;  /* per ring */
    uint64_t blocks; /* of the disk */
    bool by_call;    /* sleep until called; else spin on the used ring */
    bool event_idx;
    bool scsi; /* a unit of a SCSI host, else a block device */
    uint8_t lun[8];
    pid_t pid; /* the back-end: its CPU is counted */
};

struct slot {
    void *head;
    uint8_t *status; /* SCSI: status and response, 2 bytes */
    uint64_t ticks;  /* of its start */
    struct vq_buf head_buf, data_buf, status_buf;
};

struct lane_ring {
    struct vq *q;
    struct slot *slots; /* [depth] */
    uint64_t next;      /* block, if sequential */
};

struct lane {
    const struct load *load;
    struct lane_ring *rings;
    unsigned num_rings;
    uint64_t random;

    struct meter meter;
    uint64_t busy_ticks;
    uint64_t kicks, calls; /* of the last run */
    unsigned in_flight;
};

/* Takes ring `index` of f too: makes its requests, touches their memory. */
void lane_add_ring(struct lane *l, struct front *f, unsigned index);

/* Until `ticks` have passed, or `ops` requests are done if that is not 0.
 * Nothing is in flight before and after; the meter stops before the last
 * ones are waited for. */
void lane_run(struct lane *l, bool write, bool sequential, uint64_t ticks,
              uint64_t ops);

#endif
