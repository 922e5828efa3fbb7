/* os/linux/broker_own.h: what this process and its broker say to each other.
 *
 * One message is one question: a struct broker_question, cut behind its texts,
 * with one fd, a socket that the answer comes by. One message there is the
 * answer, with an fd if one was asked for. The socket is closed without one if
 * the broker does not understand. */
#ifndef VUB_OS_LINUX_BROKER_OWN_H
#define VUB_OS_LINUX_BROKER_OWN_H

#include <limits.h>

#include "os/broker.h"

enum broker_op {
    BROKER_OPEN = 1,
    BROKER_RENAME,
    BROKER_UNLINK,
    BROKER_UNLINK_SOCKET,
    BROKER_LISTEN,
    BROKER_RESOLVE,
};

struct broker_question {
    uint32_t op;
    uint32_t flags, mode; /* of open; mode of listen too */
    char
        text[2 * PATH_MAX]; /* a path, or a host, NUL; of rename another, NUL */
};

struct broker_answer {
    int32_t rc;
    bool refused; /* by the rules; rc is -EACCES */
    bool has_fd;
    char why[256]; /* of listen: a sentence */
    struct resolve_answer resolved;
};

/* broker_serve.c: the broker's life, until `questions` is closed. asker: the
 * process it serves. */
_Noreturn void broker_serve(int questions, const struct sandbox_rules *rules,
                            int asker);

/* Sends a message with an fd, -1: none. */
int broker_send(int sock, const void *bytes, size_t len, int fd);
/* Bytes, 0 at the end, or a negative errno. *fd: the caller's; -1: none. */
ssize_t broker_receive(int sock, void *bytes, size_t room, int *fd);

/* resolve.c, sock.c: by this process itself. */
void resolve_here(const char *host, struct resolve_answer *a);
int sock_listen_here(const char *path, unsigned mode, struct err *e);
void sock_unlink_of(const char *path, int listener);
/* The same, and one that nobody listens on. */
void sock_unlink_stale(const char *path, int listener);

#endif
