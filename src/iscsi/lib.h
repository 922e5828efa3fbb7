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

#include "os/library.h"

/* Guest memory goes to the library as it is. */
_Static_assert(sizeof(struct scsi_iovec) == sizeof(struct iovec) &&
                   offsetof(struct scsi_iovec, iov_base) ==
                       offsetof(struct iovec, iov_base) &&
                   offsetof(struct scsi_iovec, iov_len) ==
                       offsetof(struct iovec, iov_len),
               "libiscsi's iovec is the system's");

/* What of it is called, as libiscsi.create_context() and so on, by those who
 * have asked: iscsi_ready. */
#define LIBISCSI(CALL)                                                         \
    CALL(iscsi_, connect_async)                                                \
    CALL(iscsi_, create_context)                                               \
    CALL(iscsi_, destroy_context)                                              \
    CALL(iscsi_, discovery_async)                                              \
    CALL(iscsi_, get_error)                                                    \
    CALL(iscsi_, get_fd)                                                       \
    CALL(iscsi_, get_target_address)                                           \
    CALL(iscsi_, login_async)                                                  \
    CALL(iscsi_, logout_async)                                                 \
    CALL(iscsi_, nop_out_async)                                                \
    CALL(iscsi_, scsi_cancel_task)                                             \
    CALL(iscsi_, scsi_command_async)                                           \
    CALL(iscsi_, service)                                                      \
    CALL(iscsi_, set_header_digest)                                            \
    CALL(iscsi_, set_initiator_username_pwd)                                   \
    CALL(iscsi_, set_isid_random)                                              \
    CALL(iscsi_, set_log_level)                                                \
    CALL(iscsi_, set_noautoreconnect)                                          \
    CALL(iscsi_, set_session_type)                                             \
    CALL(iscsi_, set_target_username_pwd)                                      \
    CALL(iscsi_, set_targetname)                                               \
    CALL(iscsi_, set_tcp_keepcnt)                                              \
    CALL(iscsi_, set_tcp_keepidle)                                             \
    CALL(iscsi_, set_tcp_keepintvl)                                            \
    CALL(iscsi_, set_timeout)                                                  \
    CALL(iscsi_, task_mgmt_async)                                              \
    CALL(iscsi_, which_events)

LIBRARY_CALLS(libiscsi, LIBISCSI);
extern LIBRARY_TABLE(libiscsi);

#endif
