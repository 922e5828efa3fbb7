/* Messages of a SOCK_SEQPACKET, each of a fixed form; what one end may say, a
 * guest may have made it say, so the bringer believes only numbers. */
#include "os/door.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/closer.h"
#include "os/sock.h"

struct brought {
    uint64_t number;
    int32_t pid;
    uint32_t uid;
};

struct ended {
    uint64_t number;
    char why[DOOR_WHY_MAX];
};

int door_pair(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                      ends) < 0
               ? -errno
               : 0;
}

int door_bring(int door, const struct door_visit *v)
{
    const struct brought b = {v->number, v->pid, v->uid};
    ssize_t n = sock_send(door, &b, sizeof(b), &v->fd, 1);

    return n < 0 ? (int)n : 0;
}

/* As door_accept has it. */
static int receive(int door, void *to, size_t room, size_t *len, int *fd)
{
    int fds[SOCK_FDS_ROOM];
    unsigned num = 0;
    ssize_t n = sock_recv(door, to, room, fds, &num);

    while (num > 1)
        close(fds[--num]);
    *fd = num ? fds[0] : -1;
    *len = n > 0 ? (size_t)n : 0;
    return n > 0 ? 1 : (int)n;
}

int door_accept(int door, struct door_visit *v)
{
    struct brought b;
    size_t len;
    int fd, rc;

    for (;;) {
        rc = receive(door, &b, sizeof(b), &len, &fd);
        if (rc > 0 && len == sizeof(b) && fd >= 0 && sock_adopt(fd))
            break;
        if (fd >= 0)
            close(fd);
        if (rc <= 0)
            return rc;
    }
    *v = (struct door_visit){b.number, fd, b.pid, b.uid};
    return 1;
}

void door_end(int door, uint64_t number, const char *why)
{
    struct ended e = {.number = number};

    snprintf(e.why, sizeof(e.why), "%s", why ? why : "");
    sock_send(door, &e, sizeof(e), NULL, 0);
}

int door_ended(int door, uint64_t *number, char why[DOOR_WHY_MAX])
{
    int fds[SOCK_FDS_ROOM];
    unsigned num = 0;
    struct ended e;
    ssize_t n = sock_recv(door, &e, sizeof(e), fds, &num);

    if (num > 0)
        n = -EPROTO;
    while (num > 0)
        closer_stray(fds[--num]);
    if (n <= 0)
        return (int)n;
    if (n != (ssize_t)sizeof(e))
        return -EPROTO;
    *number = e.number;
    memcpy(why, e.why, DOOR_WHY_MAX);
    why[DOOR_WHY_MAX - 1] = '\0';
    return 1;
}
