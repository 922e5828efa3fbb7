/* behave/luns.h: SCSI controllers for behaviour tests. */
#ifndef BEHAVE_LUNS_H
#define BEHAVE_LUNS_H

#include "ctl.h"
#include "front/scsi.h"

#define SMALL "{'type': 'memory', 'size': '8M'}"
#define SMALL_BLOCKS 16384u
/* Its upper half never answers. */
#define STUCK                                                                  \
    "{'type': 'fault', 'next': " SMALL                                         \
    ", 'rules': [{'op': 'any', 'offset': '4M', 'stuck': true}]}"
#define STUCK_BLOCK 8192u
#define LUN(target, lun, store)                                                \
    "{'target': " #target ", 'lun': " #lun ", 'store': " store "}"
/* Device "san"; more: further keys, "" for none. */
#define SAN(more, luns)                                                        \
    "{'id': 'san', 'type': 'scsi', 'queues': 2, " more "'luns': [" luns "]}"
/* A controller that has some units at addresses of each kind. */
#define THREE_UNITS                                                            \
    SAN("", LUN(0, 0, SMALL) "," LUN(0, 300, SMALL) "," LUN(5, 7, SMALL))

/* A vub with it, its control socket, and a session. */
struct host {
    struct vub *v;
    struct ctl c;
    struct scsi *s;
};

/* Of a vub that runs; with so many buffers for events. */
static inline struct host host_on(struct vub *v, const struct front_conf *c,
                                  unsigned events)
{
    struct host h = {.v = v};

    ctl_open(&h.c, v);
    h.s = scsi_open(v, "san", c, events);
    return h;
}

static inline struct host host_open(const char *devices,
                                    const struct front_conf *c, unsigned events)
{
    return host_on(ctl_start(devices), c, events);
}

/* The session ends, and another one begins. */
static inline void host_again(struct host *h)
{
    scsi_close(h->s);
    h->s = scsi_open(h->v, "san", NULL, 4);
}

static inline void host_close(struct host *h)
{
    scsi_close(h->s);
    ctl_close(&h->c);
    vub_free(h->v);
}

#define REPORT_LUNS(select, len)                                               \
    CDB(SCSI_REPORT_LUNS, 0, select, 0, 0, 0, BE32(len), 0, 0)

/* A session of "san" over each kind of ring, one after the other on one vub,
 * with four buffers for events. */
static __attribute__((unused)) void on_all_rings(const char *devices,
                                                 void (*one)(struct scsi *s))
{
    struct vub *v = vub_start("%s", devices);

    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct scsi *s = scsi_open(v, "san", &ring_modes[mode], 4);

        front_note("%s", mode_name(&ring_modes[mode]));
        one(s);
        scsi_close(s);
    }
    front_note(" ");
    vub_free(v);
}

/* Reads a block on the stuck half. It is known to be there when what came
 * behind it on the same ring has ended. */
static __attribute__((unused)) struct scsi_req *
get_stuck(struct vq *q, struct scsi_lun lun, unsigned n)
{
    struct scsi_req *r = scsi_new(scsi_of(q), lun, 512);
    struct scsi_req *behind = scsi_new(scsi_of(q), lun, 36);

    scsi_go(q, r, CDB_16(SCSI_READ_16, STUCK_BLOCK + n, 1), 0, 512);
    scsi_go(q, behind, CDB(SCSI_INQUIRY, 0, 0, 0, 36, 0), 0, 36);
    scsi_wait(q, behind);
    scsi_free(behind);
    if (r->done)
        front_fail("it is not stuck");
    return r;
}

#endif
