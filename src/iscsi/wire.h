/* iscsi/wire.h: the bytes between libiscsi and a target.
 *
 * RFC 7143, chapter 11. libiscsi speaks the protocol and believes what the
 * target says. So each PDU is looked at here first (by a tap: os/tap.h), when
 * all of its header is there and before libiscsi has seen a byte of it. What
 * breaks the rules ends the connection with a sentence; what the library cannot
 * deal with (the sense data of an answer, statuses it does not know) is taken
 * out here and kept in the flight, and the library sees a plain GOOD.
 *
 * Reads ahead: headers and small data come with one system call for many.
 * Gathers: headers and small data that libiscsi sends one by one go out
 * together, copied, by wire_leave. Larger data go between guest memory and the
 * kernel directly.
 *
 * Threads: the session's loop. */
#ifndef VUB_ISCSI_WIRE_H
#define VUB_ISCSI_WIRE_H

#include "base/list.h"
#include "base/scsi.h"
#include "os/tap.h"

#define WIRE_BUCKETS 64 /* a power of two */
#define WIRE_READ_BYTES 65536
#define WIRE_WRITE_BYTES 65536

/* A command as the wire sees it. The owner's memory, from wire_add to
 * wire_del. */
struct wire_task {
    struct list bucket;
    uint32_t itt; /* the initiator task tag that libiscsi gave it */
    uint32_t len; /* of its data */
    bool out, in;
    bool deaf; /* nobody wants its data: its iovec is not touched any more */

    /* What has happened. */
    bool started;    /* its header was written */
    bool sent;       /* and all that belongs to that PDU */
    bool writing;    /* a PDU of it is written in part */
    uint32_t bursts; /* sequences of Data-Out that libiscsi owes the target;
                      * while there are some it looks at the task */
    uint32_t got;    /* bytes of Data-In, in order */
    uint32_t asked;  /* bytes that R2Ts asked for */
    bool answered;   /* the rest is filled in */
    bool failed;     /* the target says that it could not deliver it */
    uint8_t status;
    uint8_t sense_len;
    uint8_t sense[SCSI_SENSE_MAX];
    uint32_t under, over; /* residual counts; under is at most len */
};

enum wire_phase {
    WIRE_LOGIN, /* only login responses may come */
    WIRE_FULL,
};

struct wire {
    struct tap tap;
    int sock; /* the owner's: what is read and written */
    enum wire_phase phase;
    bool mutual;             /* the target must prove who it is */
    bool challenged, proved; /* we asked it to, it did */
    char why[160];           /* "": all is well; else it is over */
    uint64_t heard;          /* PDUs */
    bool login_refused;      /* by a status of class 2 */
    int group; /* the tag of the portal's group, as it has said; -1: not */
    uint32_t max_cmdsn; /* the target's window; valid when FULL */
    unsigned strays, pings;

    struct list tasks[WIRE_BUCKETS];

    /* in */
    uint8_t *in; /* WIRE_READ_BYTES */
    size_t in_at, in_end;
    bool dry;           /* the kernel has no more, for now */
    unsigned reads;     /* of this visit */
    uint32_t data_left; /* of the PDU that libiscsi is reading */
    uint32_t pad_left;  /* its last bytes, which are no data */
    uint32_t skip_left; /* of one that it does not see */
    struct wire_task *in_task;

    /* out */
    uint8_t *out; /* WIRE_WRITE_BYTES, of which out_at..out_end are to go */
    size_t out_at, out_end;
    uint32_t out_left; /* of the PDU that libiscsi is writing */
    struct wire_task *out_task;
    bool out_command; /* that PDU is the command itself, no Data-Out */
};

int wire_init(struct wire *w, bool mutual); /* -ENOMEM */
void wire_fini(struct wire *w);

/* Around each call of libiscsi that may use its fd, and thereby sock. */
struct tap *wire_enter(struct wire *w, int fd);
/* Writes what was gathered, as far as that goes. */
void wire_leave(struct wire *w, struct tap *before);

/* Bytes are left to write: the socket is to be waited for. */
static inline bool wire_has_output(const struct wire *w)
{
    return w->out_end > w->out_at;
}

/* There is something for libiscsi that was read ahead: a whole header, or more
 * of the PDU that it is in, be it the padding. */
static inline bool wire_has_input(const struct wire *w)
{
    size_t ahead = w->in_end - w->in_at;

    return w->data_left + w->pad_left > 0 ? ahead > 0 : ahead >= 48;
}

void wire_add(struct wire *w, struct wire_task *t);
void wire_del(struct wire *w, struct wire_task *t);

/* May libiscsi forget the task now, without a trace of it? */
static inline bool wire_task_at_rest(const struct wire_task *t)
{
    return t->sent && !t->writing && t->bursts == 0;
}

void wire_fault(struct wire *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* wire.c and wire_out.c, for each other */
ssize_t wire_read(struct tap *tap, const struct iovec *iov, int num);
ssize_t wire_write(struct tap *tap, const struct iovec *iov, int num);
bool wire_flush(struct wire *w);
struct wire_task *wire_find(struct wire *w, uint32_t itt);

/* wire_pdu.c: may libiscsi see this PDU? */
enum wire_verdict {
    WIRE_PASS,
    WIRE_SKIP, /* it may not, but all is well */
    WIRE_MORE, /* not to be told before its data is there too */
    WIRE_BAD,  /* w->why says why */
};
/* h: header; have: how many bytes of its data segment follow in memory, behind
 * it and its digest. What is passed may have been changed: then *len, of data,
 * is too. */
enum wire_verdict wire_judge(struct wire *w, uint8_t *h, const uint8_t *data,
                             size_t have, uint32_t *len);
/* A header that libiscsi sends. */
void wire_note_sent(struct wire *w, const uint8_t *h, size_t len);

uint32_t wire_crc32c(const uint8_t *p, size_t len);

#endif
