/* iscsi/lib.h: libiscsi, whose headers have some names that base/scsi.h has
 * too. For iscsi/ only. */
#ifndef VUB_ISCSI_LIB_H
#define VUB_ISCSI_LIB_H

#include <stddef.h>
#include <sys/uio.h>

#define scsi_status libiscsi_scsi_status
#define scsi_opcode libiscsi_scsi_opcode
#define scsi_sense_key libiscsi_scsi_sense_key
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#undef scsi_status
#undef scsi_opcode
#undef scsi_sense_key

/* Guest memory goes to the library as it is. */
_Static_assert(sizeof(struct scsi_iovec) == sizeof(struct iovec) &&
                   offsetof(struct scsi_iovec, iov_base) ==
                       offsetof(struct iovec, iov_base) &&
                   offsetof(struct scsi_iovec, iov_len) ==
                       offsetof(struct iovec, iov_len),
               "libiscsi's iovec is the system's");

#endif
