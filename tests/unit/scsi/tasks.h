/* tests/unit/scsi/tasks.h: tasks for a unit's task set, and the order in which
 * they end. */
#ifndef VUB_TESTS_UNIT_SCSI_TASKS_H
#define VUB_TESTS_UNIT_SCSI_TASKS_H

#include "unit.h"

#define LONG_BYTES (3u << 20) /* more than the store does at once */
#define LONG_UNIT "'store': {'type': 'memory', 'size': '16M'}"
/* All reads of the second half of 1M hang, and so do flushes. */
#define STUCK_UNIT                                                             \
    "'store': {'type': 'fault', 'rules': ["                                    \
    "{'op': 'read', 'offset': '512K', 'stuck': true},"                         \
    "{'op': 'zero', 'stuck': true},"                                           \
    "{'op': 'flush', 'stuck': true}],"                                         \
    "'next': {'type': 'memory', 'size': '1M'}}"

extern uint8_t data[65536], back[65536];
extern uint8_t *big; /* [LONG_BYTES] */

/* Of cmocka: for each test. */
int tasks_setup(void **state);
int tasks_teardown(void **state);

/* number: one digit, for tasks_order. */
void ask_ready(struct ask *a, enum scsi_attr attr, unsigned number);
void ask_rw(struct ask *a, uint8_t opcode, uint64_t lba, void *buf, size_t len,
            unsigned number);
/* Takes a few turns of the loop. */
void ask_long(struct ask *a, unsigned number);
/* Of STUCK_UNIT: never ends by itself. */
void ask_stuck(struct ask *a, unsigned number);

/* The numbers of what has ended, in order, as text. */
const char *tasks_order(const struct unit *u);
void tasks_wait(struct unit *u, struct ask *a, unsigned n);
/* A file whose loop serves others too: nothing is done at once. */
struct unit *file_unit(void);

#endif
