/* An abstract unix socket is such a name: unix(7). Nobody can send to it, for
 * nobody reads it. */
#include "os/claim.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int claim_name(const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = strnlen(name, CLAIM_NAME_MAX);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

    if (fd < 0)
        return -errno;
    memcpy(addr.sun_path + 1, name, len);
    if (bind(fd, (struct sockaddr *)&addr,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)) ==
            0 &&
        shutdown(fd, SHUT_RD) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}
