/* device/scsi/scsi.h: the virtio SCSI host.
 *
 * Spec: virtio, "SCSI Host Device". scsi.c is the device: features, config
 * space, start and stop; luns.c its logical units, which come and go;
 * request.c takes commands off a ring and answers them; target.c finds whom
 * they address, and answers for those who are not there; control.c does task
 * management; events.c tells the guest of what has changed; commands.c is its
 * side of the control socket. What stands behind a unit is met in lun.h. */
#ifndef VUB_DEVICE_SCSI_SCSI_H
#define VUB_DEVICE_SCSI_SCSI_H

#include "device/devices.h"

extern const struct conf_table scsi_table;

#endif
