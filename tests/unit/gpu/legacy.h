/* tests/unit/gpu/legacy.h: what one GPU leaves, and the next one finds. */
#ifndef VUB_TESTS_UNIT_GPU_LEGACY_H
#define VUB_TESTS_UNIT_GPU_LEGACY_H

#include "whole.h"

/* Two resources, a blob, two scanouts, a cursor, some errors. */
struct script *legacy_picture(void);
struct script *legacy_none(void);

/* The whole of a script, by a device that is closed then as for a hand-over. */
void legacy_leave(struct world *w, const struct script *s, const char *more);
/* What there is is marked as handed on. Returns how many pieces. */
unsigned legacy_take_all(void);
/* d is closed as for a hand-over. */
void legacy_hand_on(struct whole *d);

/* It has what the guest has, as far as that can be seen while the guest's
 * memory is not there: blobs are black then. */
void legacy_expect(struct world *w, struct gpu *g);
void legacy_expect_nothing(struct gpu *g);

/* A new guest for each test, and nothing that is left behind it. */
extern struct world *legacy_world;
int legacy_setup(void **state);
int legacy_teardown(void **state);

#define LEGACY_TEST(t)                                                         \
    cmocka_unit_test_setup_teardown(t, legacy_setup, legacy_teardown)

#endif
