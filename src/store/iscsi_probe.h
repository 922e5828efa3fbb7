/* store/iscsi_probe.h: a unit of an iSCSI target, and what it can do: asked of
 * it when there is a session, and again when it says that it has changed.
 *
 * SPC-4 6.6, 7.8; SBC-3 5.16, 6.5. The target is not trusted: what makes no
 * sense is as if it had not been said. Threads: the loop's. For store/ only. */
#ifndef VUB_STORE_ISCSI_PROBE_H
#define VUB_STORE_ISCSI_PROBE_H

#include "base/log.h"
#include "iscsi/unit.h"
#include "loop/timer.h"

#define PROBE_BYTES 512

struct iscsi_limits {
    uint64_t size;             /* bytes */
    uint32_t block;            /* bytes, a power of two from 512 */
    uint32_t physical, opt_io; /* bytes; 0: not said */
    uint32_t transfer_max;     /* blocks; 0: not said */
    uint32_t unmap_max, same_max, unmap_align; /* blocks; 0: not said */
    bool unmap;                                /* it takes UNMAP */
    bool same_unmap; /* and WRITE SAME with its UNMAP bit, which leaves zeros */
    bool fua;
};

struct iscsi_probe {
    /* Set before: */
    const char *id;
    /* It is known, or known anew; or not (false), for want of a session or an
     * answer: it is asked again when there is one. */
    void (*told)(struct iscsi_probe *p, bool known);
    void (*gone)(struct iscsi_probe *p); /* of close */

    struct iscsi_limits limits; /* good when told */
    struct iscsi_unit unit;

    /* The probe's. */
    struct iscsi_limits next;
    struct iscsi_cmd cmd;
    struct iovec iov;
    struct timer timer;
    struct log_limit limit;
    uint8_t buf[PROBE_BYTES];
    unsigned step, tries, open;
    bool busy, again, closing, waits;
};

/* On failure there is nothing to close. */
int iscsi_probe_open(struct iscsi_probe *p, const struct iscsi_conf *c,
                     struct loop *loop, struct err *e);
void iscsi_probe_close(struct iscsi_probe *p);
/* Asks again. */
void iscsi_probe_again(struct iscsi_probe *p);

/* Is it an answer that says: just do it again? *asc: of a unit attention; 0:
 * it is none. */
bool iscsi_is_attention(const struct iscsi_cmd *c, uint16_t *asc);

#endif
