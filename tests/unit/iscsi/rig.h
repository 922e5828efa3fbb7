/* A unit of iscsi/ on a loop of its own, and the scripted target that it talks
 * to (tests/iscsi/target.py). */
#ifndef VUB_TESTS_ISCSI_RIG_H
#define VUB_TESTS_ISCSI_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <cmocka.h>

#include "iscsi/unit.h"
#include "loop/loop.h"
#include "loop/timer.h"

struct rig {
    struct loop loop;
    struct timer bark; /* a test that waits for what does not come */
    pid_t target;
    FILE *to, *from;
    int port;
    char answer[65536];
    char dir[64];       /* of tgt; "": none */
    const char *device; /* whose units are opened next; NULL: "san" */

    struct rig_unit {
        struct iscsi_unit unit;
        struct conf_doc *doc;
        struct iscsi_conf *conf;
        int ups, downs;
        bool again, gone;
        char why[256];
    } units[4];
    int num_units;
};

/* A command and what is around it. */
struct rig_cmd {
    struct iscsi_cmd cmd;
    struct iovec iov[8];
    int done;
    int order; /* of the ends */
};

void rig_init(struct rig *rig);
/* args: NULL-ended, of target.py. */
void rig_target(struct rig *rig, const char *const *args);
/* The same with tgt (tests/iscsi/tgt.py), its disks in a directory of its own.
 * False: it is not there; the test says so. */
bool rig_tgt(struct rig *rig, const char *const *args);
/* A target of two disks, of 4 and of 2 MiB. */
void rig_disks(struct rig *rig);
/* One command to the target; its answer. */
const char *rig_say(struct rig *rig, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A number of its "stats"; 0: none of that name. */
long rig_seen(struct rig *rig, const char *what);
/* keys: JSON members beside the url, "" or ", \"io_timeout\": 5". The unit's
 * number is its index. */
struct rig_unit *rig_open(struct rig *rig, unsigned lun, const char *keys);
int rig_try_open(struct rig *rig, const char *json, struct err *e);
void rig_close(struct rig *rig);

/* Runs the loop until *flag is at least n. */
void rig_until(struct rig *rig, const int *flag, int n);
void rig_turn(struct rig *rig); /* once, whatever comes */

/* Fills one in. buf: `len` bytes in, or out, in pieces of `piece` (0: one). */
void rig_cmd(struct rig_cmd *c, const void *cdb, unsigned cdb_len, bool out,
             void *buf, uint32_t len, uint32_t piece);
void rig_read(struct rig_cmd *c, uint64_t lba, void *buf, uint32_t blocks);
void rig_write(struct rig_cmd *c, uint64_t lba, void *buf, uint32_t blocks);
void rig_ready(struct rig_cmd *c); /* TEST UNIT READY */
void rig_submit(struct rig_unit *u, struct rig_cmd *c);
/* Submits, kicks, waits. */
void rig_do(struct rig *rig, struct rig_unit *u, struct rig_cmd *c);
/* A new session's first unit attention is taken. */
void rig_settle(struct rig *rig, struct rig_unit *u);

/* rig_init, rig_disks, and a settled session of the first. */
struct rig_unit *rig_begin(struct rig *rig, const char *keys);

void rig_pattern(void *buf, size_t len, unsigned seed);
/* What is written is what is read, in pieces of `piece` (0: one). */
void rig_verify(struct rig *rig, struct rig_unit *u, uint32_t blocks,
                uint32_t piece);

#endif
