/* daemon/iscsi_list.h: vub iscsi-list: what an iSCSI portal has. Threads: the
 * only one. */
#ifndef VUB_DAEMON_ISCSI_LIST_H
#define VUB_DAEMON_ISCSI_LIST_H

#include "daemon/option_rows.h"

extern const struct option_row iscsi_list_rows[];

/* argv[0] is "iscsi-list". The exit status of the program: 0 listed, 1 not, 2
 * asked wrongly. */
int iscsi_list_main(int argc, char **argv);

#endif
