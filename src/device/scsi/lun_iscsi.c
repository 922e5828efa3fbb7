/* A unit of an iSCSI target: comes next. */
#include <errno.h>

#include "device/scsi/lun.h"

static int iscsi_open_unit(struct lun **out, const struct lun_conf *c,
                           const char *at, const char *id, struct errs *e)
{
    (void)out;
    (void)c;
    (void)id;
    return errs_at(e, at, "iscsi", "is not there yet");
}

const struct lun_ops lun_iscsi_ops = {.type = "iscsi", .open = iscsi_open_unit};
