/* os/sg.h: SCSI devices of the host, by their generic nodes.
 *
 * A command is handed to the kernel and fetched when it is done; neither waits
 * for the device. The node is readable (for a watch) when one is done. Data is
 * copied: out of memory when a command is sent, into it when it is fetched; so
 * memory is the command's until then.
 *
 * Threads: one per node, but for sg_reset. */
#ifndef VUB_OS_SG_H
#define VUB_OS_SG_H

#include <sys/uio.h>

#include "base/err.h"

/* Commands of one node that the kernel takes at a time. */
#define SG_QUEUE_MAX 16

struct sg_cmd {
    const uint8_t *cdb; /* as all below: the caller's, until fetched */
    unsigned cdb_len;   /* 6..32 */
    bool out, in;       /* iov is sent, or filled; neither: no data */
    const struct iovec *iov;
    int iov_num;
    uint32_t len; /* bytes of iov */
    uint8_t *sense;
    unsigned sense_room;
    uint32_t timeout_ms; /* after which the kernel gives it up */

    /* When fetched: */
    int result; /* 0: it has a status; -ETIMEDOUT, -ENODEV (unplugged), -EIO */
    uint8_t status;
    unsigned sense_len;
    uint32_t residual; /* of len */
};

/* Opens a node, close-on-exec; *fd is the caller's. -ENOTTY with a sentence if
 * it is no generic SCSI node. */
int sg_open(const char *path, int *fd, struct err *e);
/* 0, c is the kernel's; or -EAGAIN: the queue is full; -EPERM: not with our
 * rights; or another negative errno. */
int sg_send(int fd, struct sg_cmd *c);
/* One that is done, filled in; NULL: none is now. */
struct sg_cmd *sg_fetch(int fd);
/* Has the device gone? The node is readable for ever then. */
bool sg_is_gone(int fd);
/* Resets the logical unit and waits for that: seconds. [any thread] */
int sg_reset(int fd);

#endif
