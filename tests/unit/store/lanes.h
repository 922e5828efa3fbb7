/* tests/unit/store/lanes.h: many requests at once whose outcome is known all
 * the same: each lane has sectors of its own, between those of others, and asks
 * one thing at a time. What it reads is what it wrote. */
#ifndef VUB_TESTS_UNIT_STORE_LANES_H
#define VUB_TESTS_UNIT_STORE_LANES_H

#include "rig.h"

#define LANES 16
#define LANES_BYTES (1u << 20) /* of the disk, or more */

/* Until each lane has asked so often. The disk is zeros before. */
void lanes_run(struct rig *rig, uint64_t seed, unsigned often);

#endif
