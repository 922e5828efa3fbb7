/* tests/unit/vhost/address.h: where a front-end of a test finds its back-ends:
 * a directory of their own, with a socket that listens.
 *
 * Both ends of each connection are of this process then. A back-end that minds
 * (os/sock.h, sock_is_own) is told that they are not. */
#ifndef VUB_TESTS_UNIT_VHOST_ADDRESS_H
#define VUB_TESTS_UNIT_VHOST_ADDRESS_H

#include "base/base.h"

struct address {
    char dir[64], path[96];
    int listen_fd;
};

void address_open(struct address *a);
/* Whatever is there goes too. */
void address_close(struct address *a);

/* Are sockets of this process taken for its own, after all? Atomic. */
extern bool address_sockets_are_own;

#endif
