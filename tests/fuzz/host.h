/* tests/fuzz/host.h: what the files of the fuzz target `host` share. */
#ifndef VUB_TESTS_FUZZ_HOST_H
#define VUB_TESTS_FUZZ_HOST_H

#include <stdlib.h>

#include "device/scsi/impl.h"
#include "fuzz.h"
#include "virtio/spec.h"

#define RINGS 4
#define PLACES 8 /* of a ring, with as many descriptors each */
#define RING_SIZE (PLACES * PLACES)
#define RING_BYTES 0x1000
#define PLACE_BYTES 2048
#define MEMORY_BYTES (RINGS * (RING_BYTES + PLACES * PLACE_BYTES))
#define UVA 0x100000
#define TARGETS 2
#define LUNS 4
#define FAKE 2 /* the first LUN that is one */

/* host_fuzz.c: the input, and what there is one of. */
uint8_t u8(void);
extern struct loop loop;
extern uint8_t *memory; /* the guest's, as it sees it */
extern struct mem *mem;
extern struct device *device;
extern bool has_started;

/* host_guest.c */
enum { CONTROL, EVENTS, FIRST };

/* A request that the guest may have on a ring. */
struct place {
    bool out;   /* the device has it, or may have it */
    bool taken; /* it was kicked since */
    uint8_t target, lun, tag;
    uint16_t asked, room; /* bytes out and in */
    bool gone;            /* its unit was removed meanwhile */
    unsigned number;      /* of all requests */
    /* Of task management: which commands were to end, by ring and place. */
    bool ends;
    unsigned wants[RINGS][PLACES]; /* their numbers; 0: not that one */
};

struct side {
    struct ring ring;
    struct ring_stats stats;
    bool runs, kick, flush;
    uint16_t used; /* seen */
    struct place place[PLACES];
};

extern struct side side[RINGS];

/* A request of chance is put on a ring, if there is a place for it. */
void guest_command(void);
void guest_manage(void);
void guest_event_buffer(void);
void guest_kick(unsigned r);
/* What has been answered, and what must be true of it. */
void guest_look(void);
/* The loop turns. */
void guest_turn(void);
void ring_begin(unsigned r);
void ring_drain(unsigned r, enum drain how);
void ring_end(unsigned r);

/* host_units.c */
struct fake {
    struct list tasks, tmfs; /* by unit_node */
    uint64_t next;
    struct lun *lun; /* while it has any */
};

extern const struct lun_ops fake_ops;
extern struct fake fakes[TARGETS][LUNS];
extern uint8_t mood; /* how they behave just now */

void fake_end(struct scsi_task *t, uint8_t how);
/* What they are to end ends; all: all that they have does. */
void fakes_go_on(bool all);

#endif
