/* front/scsi.h: the driver's side of a SCSI controller.
 *
 * Spec: virtio, "SCSI Host Device". Ring 0 takes task management, ring 1 brings
 * events, the others take commands.
 *
 *     struct scsi *s = scsi_open(v, "san", NULL, 4);
 *     struct vq *q = s->queue[0];
 *     struct scsi_lun disk = scsi_at(0, 0);
 *     struct scsi_answer a;
 *
 *     scsi_attend(q, disk);                    its unit attentions are told
 *     a = scsi_in(q, disk, CDB(SCSI_INQUIRY, 0, 0, 0, 96, 0), buf, 96);
 *     scsi_write(q, disk, 0, buf, 4096);       fails the test unless GOOD
 *     scsi_close(s);
 *
 * A request has its head, its answer and its data in guest memory, made once
 * by scsi_new; scsi_go puts it on a ring. scsi_do is one from beginning to end,
 * scsi_cut the same in any layout of descriptors, with guard bytes around every
 * piece.
 *
 * Whoever waits here for a command checks what must be true of every answer:
 * sense within bounds, sense with CHECK CONDITION only, a residual that fits
 * the data and the used length. */
#ifndef FRONT_SCSI_H
#define FRONT_SCSI_H

#include "base/scsi.h"
#include "front/session.h"
#include "front/vq.h"

#define SCSI_R_NONE 0xee /* a response that no device writes */
#define SCSI_QUEUES_MAX 8
#define SCSI_CDB_ROOM 255   /* as large as a test may say that CDBs are */
#define SCSI_SENSE_ROOM 255 /* likewise, sense */

/* ---- Addresses ---- */

/* As requests carry it. */
struct scsi_lun {
    uint8_t b[8];
};

/* As Linux writes it: flat space addressing for every number. */
struct scsi_lun scsi_at(unsigned target, unsigned lun);
/* Peripheral device addressing, for numbers below 256. */
struct scsi_lun scsi_at_peripheral(unsigned target, unsigned lun);
/* The REPORT LUNS well-known logical unit. */
struct scsi_lun scsi_well_known(void);

/* ---- A session ---- */

struct scsi {
    struct front *f;
    struct vq *control, *events, *queue[SCSI_QUEUES_MAX];
    unsigned num_queues;
    uint32_t cdb_size, sense_size, event_size; /* of the config space */
    struct scsi_req *reqs, *spare;
};

/* A session of device `id` with so many event buffers; conf NULL: all zero,
 * one request queue. conf->queues counts request queues. */
struct scsi *scsi_open(struct vub *v, const char *id,
                       const struct front_conf *conf, unsigned event_buffers);
/* The same on a session that is set up, with 2 queues more than for requests;
 * it ends with the front-end. */
struct scsi *scsi_on(struct front *f, unsigned event_buffers);
/* Disconnects and frees; s may be NULL. */
void scsi_close(struct scsi *s);
void scsi_config(struct scsi *s, struct virtio_scsi_config *c);

/* ---- Commands ---- */

/* The bytes of a CDB and their number, as two arguments. */
#define CDB(...)                                                               \
    (const uint8_t[]){__VA_ARGS__},                                            \
        (unsigned)sizeof((const uint8_t[]){__VA_ARGS__})
#define BE16(v) (uint8_t)((v) >> 8), (uint8_t)(v)
#define BE32(v) BE16((v) >> 16), BE16(v)
#define BE64(v) BE32((uint64_t)(v) >> 32), BE32(v)
/* READ and WRITE (16), VERIFY (16) and their like. */
#define CDB_16(op, lba, blocks) CDB(op, 0, BE64(lba), BE32(blocks), 0, 0)
#define TEST_UNIT_READY CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0)

/* What came of a command. */
struct scsi_answer {
    uint8_t response; /* VIRTIO_SCSI_S_* */
    uint8_t status;   /* SCSI_GOOD, ... */
    uint32_t residual, written;
    uint32_t sense_len;
    uint8_t sense[SCSI_SENSE_ROOM];
    uint8_t key;  /* of the sense, if there is any */
    uint16_t asc; /* likewise: code << 8 | qualifier */
};

struct scsi_req {
    struct scsi_lun lun;
    uint64_t tag;                /* scsi_new gives it one of its own */
    uint8_t attr;                /* SCSI_SIMPLE */
    uint8_t *head, *resp, *data; /* in guest memory */
    uint64_t head_gpa, resp_gpa, data_gpa;
    uint32_t room; /* for data */
    uint32_t out_len, in_len;
    struct scsi *s;
    bool done;      /* scsi_wait saw its answer */
    unsigned order; /* the how-manieth answer of all it was */
    struct scsi_answer answer;
    int id; /* on the ring */
    struct scsi_req *next, *next_spare;
};

/* Room for len bytes of data. Freed with s at the latest. */
struct scsi_req *scsi_new(struct scsi *s, struct scsi_lun lun, uint32_t len);
/* May be given out again by scsi_new. Not while it is on a ring. */
void scsi_free(struct scsi_req *r);

/* Puts r on the ring, with what the device reads (out) or writes (in) from the
 * start of its data; not shown before vq_kick. False: the ring is full. */
bool scsi_add(struct vq *q, struct scsi_req *r, const uint8_t *cdb,
              unsigned cdb_len, uint32_t out, uint32_t in);
/* scsi_add, which must succeed, and vq_kick. */
void scsi_go(struct vq *q, struct scsi_req *r, const uint8_t *cdb,
             unsigned cdb_len, uint32_t out, uint32_t in);
/* Waits until r is done; others that end meanwhile are marked. */
const struct scsi_answer *scsi_wait(struct vq *q, struct scsi_req *r);
/* Those that have ended by now are marked. Is r? */
bool scsi_is_done(struct vq *q, struct scsi_req *r);

/* The session that a ring is of. */
struct scsi *scsi_of(const struct vq *q);

/* One command from beginning to end: without data, with data to the device,
 * with data from it. */
struct scsi_answer scsi_do(struct vq *q, struct scsi_lun lun,
                           const uint8_t *cdb, unsigned cdb_len);
struct scsi_answer scsi_out(struct vq *q, struct scsi_lun lun,
                            const uint8_t *cdb, unsigned cdb_len,
                            const void *buf, uint32_t len);
struct scsi_answer scsi_in(struct vq *q, struct scsi_lun lun,
                           const uint8_t *cdb, unsigned cdb_len, void *buf,
                           uint32_t len);
/* As blk_cut does it: out_cuts of the head, the CDB and out; in_cuts of the
 * response, the sense and in. */
struct scsi_answer scsi_cut(struct vq *q, struct scsi_lun lun,
                            const uint8_t *cdb, unsigned cdb_len,
                            const void *out, uint32_t out_len, void *in,
                            uint32_t in_len, const uint32_t *out_cuts,
                            const uint32_t *in_cuts);

/* Must be: OK and GOOD; OK and CHECK CONDITION with this sense; this response
 * with no status at all. They say what it is otherwise. */
#define scsi_need_good(a) scsi_need_status(__FILE__, __LINE__, a, SCSI_GOOD)
#define scsi_need_sense(a, key, asc)                                           \
    scsi_need_check(__FILE__, __LINE__, a, key, asc)
#define scsi_need_response(a, response)                                        \
    scsi_need_resp(__FILE__, __LINE__, a, response)
void scsi_need_status(const char *file, int line, struct scsi_answer a,
                      uint8_t status);
void scsi_need_check(const char *file, int line, struct scsi_answer a,
                     uint8_t key, uint16_t asc);
void scsi_need_resp(const char *file, int line, struct scsi_answer a,
                    uint8_t response);

/* TEST UNIT READY until it says GOOD: how many unit attentions there were. */
unsigned scsi_attend(struct vq *q, struct scsi_lun lun);
/* Blocks of 512 bytes. Must succeed. */
void scsi_read(struct vq *q, struct scsi_lun lun, uint64_t lba, void *buf,
               uint32_t len);
void scsi_write(struct vq *q, struct scsi_lun lun, uint64_t lba,
                const void *buf, uint32_t len);
/* Writes random bytes there, reads them back through the ring, compares. */
void scsi_verify(struct vq *q, struct scsi_lun lun, uint64_t lba, uint32_t len,
                 uint64_t seed);
/* READ CAPACITY (16): blocks. */
uint64_t scsi_blocks(struct vq *q, struct scsi_lun lun);

/* ---- The control queue ---- */

/* A request there: several may be under way. */
struct scsi_control {
    uint8_t req[64], resp[64]; /* copies */
    uint32_t req_len, resp_len;
    bool done;
    uint32_t written;
    uint64_t gpa; /* of req; resp is behind it */
};

/* Any bytes; resp_len is the room for the answer. */
void scsi_control_go(struct scsi *s, struct scsi_control *c, const void *req,
                     uint32_t req_len, uint32_t resp_len);
void scsi_control_wait(struct scsi *s, struct scsi_control *c);
bool scsi_control_is_done(struct scsi *s, struct scsi_control *c);

void scsi_tmf_go(struct scsi *s, struct scsi_control *c, uint32_t subtype,
                 struct scsi_lun lun, uint64_t tag);
/* The response, once it is there. */
uint8_t scsi_tmf_wait(struct scsi *s, struct scsi_control *c);
/* Both. */
uint8_t scsi_tmf(struct scsi *s, uint32_t subtype, struct scsi_lun lun,
                 uint64_t tag);
/* AN_QUERY or AN_SUBSCRIBE: the response; *actual: the events. */
uint8_t scsi_an(struct scsi *s, uint32_t type, struct scsi_lun lun,
                uint32_t events, uint32_t *actual);

/* ---- Events ---- */

struct scsi_event {
    uint32_t event, reason;
    struct scsi_lun lun;
};

/* So many buffers more for the device. */
void scsi_event_give(struct scsi *s, unsigned n);
/* The next one; its buffer stays with us. False: there is none now. */
bool scsi_event_take(struct scsi *s, struct scsi_event *e);
/* Waits for the next one, which must be this. Its buffer goes back. */
void scsi_event_need(struct scsi *s, uint32_t event, uint32_t reason,
                     struct scsi_lun lun);

#endif
