/* tests/unit/scsi/unit.h: a disk that stands alone: CDBs in, answers out.
 *
 * The unit comes from the text of a config, in which ' stands for " and @ for
 * a directory of its own. The buffers of a command are as long as the test
 * says, to the byte, with the sanitizer's guards around them. */
#ifndef VUB_TESTS_UNIT_SCSI_UNIT_H
#define VUB_TESTS_UNIT_SCSI_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "device/scsi/lun.h"
#include "loop/loop.h"

#define MEMORY_UNIT "'store': {'type': 'memory', 'size': '1M'}"
#define MEMORY_BLOCKS 2048

struct unit {
    struct loop loop;
    struct conf_doc *doc;
    struct lun *lun;
    struct err start_err; /* code 0: it has started */
    unsigned starts;      /* answers to start */
    unsigned changes;     /* times that the host was told of one */
    enum scsi_asc change; /* the last */
    bool attention, gone;
    struct ask *order[64]; /* asks in the order in which they ended */
    unsigned ended, tmfs_ended;
    char dir[96];
};

/* A command. Fill in what is not zero, by CDB(). */
struct ask {
    struct scsi_task task;
    struct iovec iov[300];
    bool done;
    unsigned number; /* of the test's */
};

struct tmf {
    struct scsi_tmf tmf;
    unsigned after; /* so many asks had ended */
    bool done;
};

/* Opened, and not started. */
struct unit *unit_open(const char *config);
void unit_open_fails(const char *config, struct err *e);
/* Waits for the answer; its code. */
int unit_start(struct unit *u, bool recovered);
/* Both; that must go well. */
struct unit *unit_new(const char *config);
void unit_free(struct unit *u);
void unit_file(const char *path, uint64_t size);

/* Makes a simple task. buf: dir's; of len bytes in pieces of `piece`; 0: one
 * piece. */
void ask_init(struct ask *a, const uint8_t *cdb, size_t cdb_len,
              enum scsi_dir dir, void *buf, size_t len, size_t piece);
#define CDB(...)                                                               \
    (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

/* Submits and kicks; does not wait. */
void unit_send(struct unit *u, struct ask *a);
/* Until it is done; its status. */
uint8_t unit_wait(struct unit *u, struct ask *a);
uint8_t unit_do(struct unit *u, struct ask *a);
/* Turns the loop until it has nothing to do at once. */
void unit_settle(struct unit *u);
void unit_tmf(struct unit *u, struct tmf *m, enum scsi_tmf_function function,
              struct ask *a);

/* A command as a whole, whose data goes with it to the end; its status. */
uint8_t unit_in(struct unit *u, struct ask *a, const uint8_t *cdb,
                size_t cdb_len, void *buf, size_t len);
uint8_t unit_out(struct unit *u, struct ask *a, const uint8_t *cdb,
                 size_t cdb_len, const void *buf, size_t len);
uint8_t unit_none(struct unit *u, struct ask *a, const uint8_t *cdb,
                  size_t cdb_len);

/* READ (16) and WRITE (16), of 512-byte blocks; GOOD, and all of it. */
void unit_read(struct unit *u, uint64_t lba, void *buf, uint32_t blocks);
void unit_write(struct unit *u, uint64_t lba, const void *buf, uint32_t blocks);

/* CHECK CONDITION with this sense, and nothing moved. */
void assert_check(const struct ask *a, enum scsi_sense_key key,
                  enum scsi_asc asc);
/* And this INFORMATION. */
void assert_info(const struct ask *a, uint32_t info);
#define assert_bad_field(a)                                                    \
    assert_check(a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB)
/* GOOD, `moved` bytes, no overflow. */
void assert_good(const struct ask *a, uint64_t moved);

/* Bytes that tell where on the disk they are, and which writing it was. */
void fill(void *buf, size_t len, unsigned seed);
bool is_filled(const void *buf, size_t len, unsigned seed);
bool is_byte(const void *buf, size_t len, uint8_t byte);

#endif
