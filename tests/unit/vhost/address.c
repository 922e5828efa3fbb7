#include "address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/sock.h"

bool address_sockets_are_own;

bool __wrap_sock_is_own(int fd);

bool __wrap_sock_is_own(int fd)
{
    (void)fd;
    return __atomic_load_n(&address_sockets_are_own, __ATOMIC_RELAXED);
}

void address_open(struct address *a)
{
    struct err e;

    snprintf(a->dir, sizeof(a->dir), "/tmp/vub-vhost-XXXXXX");
    assert_non_null(mkdtemp(a->dir));
    snprintf(a->path, sizeof(a->path), "%s/d.sock", a->dir);
    a->listen_fd = sock_listen(a->path, 0600, &e);
    assert_true(a->listen_fd >= 0);
}

void address_close(struct address *a)
{
    char command[96];

    close(a->listen_fd);
    snprintf(command, sizeof(command), "rm -r '%s'", a->dir);
    assert_int_equal(system(command), 0);
}
