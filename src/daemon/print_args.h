/* daemon/print_args.h: --print-args: how a VMM is started that uses the devices
 * of a config.
 *
 * What is printed can be pasted, and be added to; a device that the VMM cannot
 * use has a comment in its place, which says why. Threads: the main one. */
#ifndef VUB_DAEMON_PRINT_ARGS_H
#define VUB_DAEMON_PRINT_ARGS_H

#include <stdio.h>

#include "daemon/config.h"

enum vmm {
    VMM_QEMU,
    VMM_LIBVIRT,
    VMM_CLOUD_HYPERVISOR,
    VMM_CROSVM,
    VMM_LIBKRUN,
};

/* NULL-ended. */
extern const char *const vmm_words[];

/* Nothing is opened; sockets need not be there yet. */
int print_args(FILE *f, enum vmm vmm, const struct config *c, struct errs *e);

#endif
