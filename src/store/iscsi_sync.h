/* store/iscsi_sync.h: what an iSCSI unit has cached becomes stable, for who may
 * wait for that. For store/ only. */
#ifndef VUB_STORE_ISCSI_SYNC_H
#define VUB_STORE_ISCSI_SYNC_H

#include "iscsi/unit.h"

/* [any thread, blocks] 0, or a negative errno; after io_timeout, or half a
 * minute if there is none, -ETIMEDOUT. id: of the device, for log lines. */
int iscsi_sync(const struct iscsi_conf *c, const char *id);

#endif
