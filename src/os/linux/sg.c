/* The third interface of Linux' sg driver: a header is written, and read back
 * when the command is done. */
#include "os/sg.h"

#include <errno.h>
#include <fcntl.h>
#include <scsi/sg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "os/broker.h"

/* host_status: <scsi/scsi_host.h> of the kernel, which is not for programs. */
#define DID_NO_CONNECT 0x01
#define DID_TIME_OUT 0x03

#ifndef SG_SCSI_RESET_NO_ESCALATE
#define SG_SCSI_RESET_NO_ESCALATE 0x100
#endif

int sg_open(const char *path, int *fd, struct err *e)
{
    int version = 0, rc = 0;
    int f = broker_open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);

    if (f < 0)
        return broker_fail(e, f, "open", path);
    if (ioctl(f, SG_GET_VERSION_NUM, &version) < 0 || version < 30000)
        rc = err_set(e, -ENOTTY, "",
                     "%s is no generic SCSI node: it would be called /dev/sg0 "
                     "or the like",
                     path);
    if (rc < 0)
        close(f);
    else
        *fd = f;
    return rc;
}

int sg_send(int fd, struct sg_cmd *c)
{
    struct sg_io_hdr h = {
        .interface_id = 'S',
        .dxfer_direction = c->out  ? SG_DXFER_TO_DEV
                           : c->in ? SG_DXFER_FROM_DEV
                                   : SG_DXFER_NONE,
        .cmd_len = (unsigned char)c->cdb_len,
        .mx_sb_len = (unsigned char)c->sense_room,
        .dxfer_len = c->len,
        .cmdp = (unsigned char *)c->cdb,
        .sbp = c->sense,
        .timeout = c->timeout_ms,
        .usr_ptr = c,
    };

    if (c->len && c->iov_num == 1) {
        h.dxferp = c->iov->iov_base;
    } else if (c->len) {
        h.iovec_count = (unsigned short)c->iov_num;
        h.dxferp = (void *)c->iov;
    }
    if (write(fd, &h, sizeof(h)) == (ssize_t)sizeof(h))
        return 0;
    return errno == EDOM ? -EAGAIN : -errno; /* EDOM: too many */
}

struct sg_cmd *sg_fetch(int fd)
{
    struct sg_io_hdr h = {.interface_id = 'S', .pack_id = -1};
    struct sg_cmd *c;

    /* An error with a command is that command's. */
    if (read(fd, &h, sizeof(h)) < 0 && !h.usr_ptr)
        return NULL;
    c = h.usr_ptr;
    c->status = h.status;
    c->sense_len = h.sb_len_wr;
    c->residual = h.resid < 0                  ? 0
                  : (uint32_t)h.resid > c->len ? c->len
                                               : (uint32_t)h.resid;
    c->result = 0;
    if (h.host_status == DID_NO_CONNECT)
        c->result = -ENODEV;
    else if (h.host_status == DID_TIME_OUT)
        c->result = -ETIMEDOUT;
    else if (h.host_status != 0 && h.status == 0)
        c->result = -EIO;
    return c;
}

bool sg_is_gone(int fd)
{
    struct sg_scsi_id id;

    return ioctl(fd, SG_GET_SCSI_ID, &id) < 0 && errno == ENODEV;
}

int sg_reset(int fd)
{
    int what = SG_SCSI_RESET_DEVICE | SG_SCSI_RESET_NO_ESCALATE;

    return ioctl(fd, SG_SCSI_RESET, &what) < 0 ? -errno : 0;
}
