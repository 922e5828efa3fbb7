/* os/linux/broker_own.h: what this process and its broker say to each other.
 *
 * One message is one question: a struct broker_question, cut behind its texts,
 * with a socket that the answer comes by, and fds of BROKER_SPAWN behind it.
 * One message there is the answer, with an fd if one was asked for. The socket
 * is closed without one if the broker does not understand.
 *
 * A process that was spawned is told of twice: by an answer when it is there,
 * and by another when it has ended, whose rc is as waitpid has it. If the asker
 * closes the socket before, or its side of it, the process is killed. */
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
    BROKER_SPAWN,
};

struct broker_question {
    uint32_t op;
    uint32_t flags, mode; /* of open; mode of listen too; flags of spawn: the
                           * config is to be read again */
    char
        text[2 * PATH_MAX]; /* a path, or a host, NUL; of rename another, NUL */
};

struct broker_answer {
    int32_t rc;   /* of spawn: the process, then its end */
    bool refused; /* by the rules; rc is -EACCES */
    bool ended;   /* of spawn: this is the second */
    bool has_fd;
    char why[256]; /* of listen: a sentence */
    struct resolve_answer resolved;
};

/* broker_serve.c: the broker's life, until `questions` is closed. asker: the
 * process it serves. */
_Noreturn void broker_serve(int questions, const struct sandbox_rules *rules,
                            int asker);
/* The same, in a process that makes the broker, and another one if that is
 * killed. */
_Noreturn void broker_serve_on(int questions, const struct sandbox_rules *rules,
                               int asker);

#define BROKER_FDS_MAX (1 + BROKER_SPAWN_FDS)

/* Sends a message with fds, at most BROKER_FDS_MAX. */
int broker_send(int sock, const void *bytes, size_t len, const int *fds,
                unsigned num_fds);
/* Bytes, 0 at the end, or a negative errno. fds: the caller's. */
ssize_t broker_receive(int sock, void *bytes, size_t room,
                       int fds[BROKER_FDS_MAX], unsigned *num_fds);

/* resolve.c, sock.c: by this process itself. */
void resolve_here(const char *host, struct resolve_answer *a);
int sock_listen_here(const char *path, unsigned mode, struct err *e);
void sock_unlink_of(const char *path, int listener);
/* The same, and one that nobody listens on. */
void sock_unlink_stale(const char *path, int listener);

#endif
