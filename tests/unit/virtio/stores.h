/* tests/unit/virtio/stores.h: a process that looks at each store to memory that
 * it has protected from itself.
 *
 * Before such a store a function is called, which may note what is there, or
 * end the process: that is a moment at which SIGKILL could have come. If it
 * lets the store be made, that one instruction is stepped over, and another
 * function protects the memory again. */
#ifndef VUB_TESTS_UNIT_VIRTIO_STORES_H
#define VUB_TESTS_UNIT_VIRTIO_STORES_H

#include "base/base.h"

/* Elsewhere a process cannot step itself. The order of stores is the same. */
#ifdef __x86_64__
#define STORES_CAN_STEP 1
#else
#define STORES_CAN_STEP 0
#endif

enum stores_way {
    STORES_STEP,  /* it can be made now; after() comes behind it */
    STORES_LET,   /* the same, and nothing comes */
    STORES_FAULT, /* nothing of ours is there: the process ends */
};

/* From now on, in this process and its children. at: what is stored to. */
void stores_watch(enum stores_way (*before)(uint8_t *at), void (*after)(void));

#endif
