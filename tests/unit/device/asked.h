/* tests/unit/device/asked.h: commands of a device, called as the control socket
 * would. */
#ifndef VUB_TESTS_DEVICE_ASKED_H
#define VUB_TESTS_DEVICE_ASKED_H

#include "device/devices.h"

struct asked {
    struct call call;
    struct conf_doc *doc;
    bool answered;
    struct err e; /* code 0: done */
};

/* One of these commands. params as in a call, ' standing for "; relative paths
 * start at the current directory. */
struct asked *asked_new(struct device *d, const struct command *commands,
                        const char *name, const char *params);
void asked_free(struct asked *a); /* it has been answered */
/* Nothing is called: what the parameters are refused with. */
void asked_refused(const struct command *commands, const char *name,
                   const char *params, const char *where, const char *text);

#endif
