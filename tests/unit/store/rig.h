/* tests/unit/store/rig.h: a store on a loop, asked one thing at a time.
 *
 * The store comes from the text of a config, as it would in the program. In
 * the text, ' stands for ", and @ for the rig's directory. */
#ifndef VUB_TESTS_UNIT_STORE_RIG_H
#define VUB_TESTS_UNIT_STORE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "store/store.h"

struct rig {
    struct loop loop;
    struct conf_doc *doc;
    struct store *store;
    struct store_channel *ch;
    struct errs errs; /* of rig_open */
    FILE *target;     /* its standard input; NULL: there is none */
    FILE *answers;
    int port;
    bool ended;
    unsigned changes, drops;
    char told[2048];
    char dir[96];
};

/* A request that is waited for. */
struct ask {
    struct store_req req;
    struct iovec iov[2100];
    bool done;
};

/* A directory of its own below `parent`: NULL: TMPDIR or /tmp. */
void rig_init(struct rig *rig, const char *parent);
/* The path of a file in the directory; one of a few static buffers. */
const char *rig_path(const struct rig *rig, const char *name);
/* A file of `size` zero bytes there. */
void rig_file(const struct rig *rig, const char *name, uint64_t size);
/* One that holds numbers: see rig_pattern. */
void rig_numbers(const struct rig *rig, const char *name, uint64_t size);
/* Starts tests/iscsi/target.py; # in a config is its port from then on. */
void rig_target(struct rig *rig, const char *options);
void rig_say(struct rig *rig, const char *command); /* to it */
/* Opens the store; negative if that fails, with rig->errs. */
int rig_open(struct rig *rig, const char *config, bool read_only);
/* Turns the loop until its size is known. */
void rig_known(struct rig *rig);
/* And a channel on the loop; alone: it serves this one device only. */
void rig_channel(struct rig *rig, bool alone);
/* Both, where opening must succeed; alone. */
void rig_open_with(struct rig *rig, const char *config);
/* Closes the store. */
void rig_close(struct rig *rig);
/* And removes the directory. */
void rig_fini(struct rig *rig);

/* Submits r and kicks; does not wait. */
void rig_submit(struct rig *rig, struct ask *a);
/* Turns the loop until it is done. */
int rig_wait(struct rig *rig, struct ask *a);
/* Submit and wait for an operation on [offset, offset + len) of buf. */
int rig_do(struct rig *rig, enum store_op op, unsigned flags, uint64_t offset,
           void *buf, uint64_t len);
/* Fills r for the same, in pieces of `piece` bytes. */
void rig_ask(struct ask *a, enum store_op op, unsigned flags, uint64_t offset,
             void *buf, uint64_t len, uint64_t piece);

/* Tells the store, or what it is around, a command, by its parameters without
 * "device". Returns 0, or the code of why it was not done, which is printed;
 * members of the answer are in rig->told, with ' for ". */
int rig_tell(struct rig *rig, const char *command, const char *params);
/* What the store tells of itself in status, in rig->told. */
const char *rig_status(struct rig *rig);

/* Numbers that tell where in a disk they stand, and which writing it is. */
void rig_pattern(void *buf, uint64_t len, uint64_t offset, unsigned seed);
bool rig_is_pattern(const void *buf, uint64_t len, uint64_t offset,
                    unsigned seed);
bool rig_is_zero(const void *buf, uint64_t len);

/* Space a file takes, bytes. */
uint64_t rig_allocated(const struct rig *rig, const char *name);

/* For tests that want a rig as their state, and nothing open. */
int rig_setup(void **state);
int rig_teardown(void **state);

#define RIG_TEST(t)                                                            \
    {                                                                          \
#t, t, rig_setup, rig_teardown, NULL                                   \
    }

#endif
