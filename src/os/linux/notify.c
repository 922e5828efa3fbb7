/* The address is kept and not connected to: a manager that starts anew binds
 * its socket again, and what we say is for the new one then. */
#include "os/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static uint64_t watchdog_us(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    char *end;
    uint64_t us;

    if (!usec || usec[0] < '0' || usec[0] > '9')
        return 0;
    if (pid && strtol(pid, NULL, 10) != getpid())
        return 0; /* that of a process before us */
    errno = 0;
    us = strtoull(usec, &end, 10);
    return *end || errno ? 0 : us;
}

static int find_socket(struct notify *n, const char *path, struct err *e)
{
    size_t len = strlen(path);

    if (path[0] != '/' && path[0] != '@')
        return err_set(e, -EINVAL, "NOTIFY_SOCKET",
                       "must be the path of a unix socket, or @ and a name, "
                       "not %.80s",
                       path);
    if (len < 2 || len >= sizeof(n->name))
        return err_set(e, -ENAMETOOLONG, "NOTIFY_SOCKET",
                       "has %zu bytes, which is no name of a socket", len);
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd < 0)
        return err_sys(e, errno, "NOTIFY_SOCKET", "cannot make a socket");
    memcpy(n->name, path, len);
    n->name_len = (unsigned)len;
    if (path[0] == '@')
        n->name[0] = '\0'; /* unix(7), "abstract" */
    return 0;
}

int notify_open(struct notify *n, struct err *e)
{
    const char *path = getenv("NOTIFY_SOCKET");
    int rc = 0;

    *n = (struct notify){.fd = -1};
    if (path && path[0]) {
        rc = find_socket(n, path, e);
        if (rc == 0)
            n->watchdog_us = watchdog_us();
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return rc;
}

bool notify_name(const struct notify *n, char *out, size_t room)
{
    if (n->fd < 0 || n->name_len >= room)
        return false;
    memcpy(out, n->name, n->name_len);
    out[n->name_len] = '\0';
    if (!out[0])
        out[0] = '@';
    return true;
}

int notify_join(struct notify *n, const char *name, uint64_t watchdog_us,
                struct err *e)
{
    int rc = n->fd < 0 && name[0] ? find_socket(n, name, e) : 0;

    if (n->fd >= 0 && !n->watchdog_us)
        n->watchdog_us = watchdog_us;
    return rc;
}

int notify_send(const struct notify *n, const char *lines)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    ssize_t sent;

    if (n->fd < 0)
        return 0;
    memcpy(addr.sun_path, n->name, n->name_len);
    do {
        sent = sendto(
            n->fd, lines, strlen(lines), MSG_DONTWAIT | MSG_NOSIGNAL,
            (struct sockaddr *)&addr,
            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n->name_len));
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}
