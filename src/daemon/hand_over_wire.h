/* daemon/hand_over_wire.h: what two vubs say to each other when the one takes
 * over from the other.
 *
 * The new one asks over the control socket (command hand-over), and gets one
 * end of a pair of sockets with the answer. Then
 *
 *     the old one                         the new one
 *     HELLO, a SOCKET each, OFFERED  ->
 *                                    <-   a WANT for each device, BEGIN
 *     for each of them: DEVICE, what      (it opens nothing before, so that
 *     was SAID, what is KEPT; GIVEN  ->    images, grabs and locks are free)
 *                                    <-   READY: all is open, nothing runs
 *     GO                             ->
 *     it ends                        <-   MINE: it listens on the sockets, and
 *                                         rings start
 *
 * Up to MINE nothing of a guest has run in the new one, so the old one can take
 * everything back: whenever the other says GIVE_UP, or is gone. The old one
 * never hangs up before it has said GIVE_UP, or heard MINE: one that hangs up
 * is dead, and the new one goes on with what it has got by then.
 *
 * Both are of one machine and one user, but not of one version: a packet of
 * another form than this end knows is the end of it. HAND_PROTOCOL is another
 * number whenever anything here changes, or what the packets carry does.
 * Threads: any. */
#ifndef VUB_DAEMON_HAND_OVER_WIRE_H
#define VUB_DAEMON_HAND_OVER_WIRE_H

#include <limits.h>

#include "os/keep.h"
#include "os/sock.h"
#include "vhost/msg.h"

#define HAND_PROTOCOL 1

#define HAND_ID_MAX 64 /* bytes of a device's id */

enum hand_kind {
    HAND_HELLO,   /* hello */
    HAND_SOCKET,  /* socket, and it */
    HAND_OFFERED, /* these were all */
    HAND_WANT,    /* want */
    HAND_BEGIN,   /* these were all; the pause of guests begins */
    HAND_DEVICE,  /* device, and the connection if there is a front-end */
    HAND_SAID,    /* said, and its fds: of the device before */
    HAND_KEPT,    /* kept, and its memory: likewise */
    HAND_GIVEN,   /* these were all */
    HAND_READY,
    HAND_GO,
    HAND_MINE,
    HAND_GIVE_UP, /* give_up */
    HAND_KINDS,
};

struct hand_hello {
    uint64_t watchdog_us; /* of the service manager; 0: none */
    uint64_t drain_ms;    /* it may take so long to let devices go */
    uint32_t sockets;     /* so many follow */
    char version[32];
    char notify[112]; /* $NOTIFY_SOCKET; "": there is none */
};

struct hand_socket {
    char id[HAND_ID_MAX + 1]; /* of the device; "": the control socket */
    char type[16];            /* of the device */
    char path[PATH_MAX];      /* "": none is known */
    uint32_t given;           /* 1: the old one was given it, by others */
    uint32_t kind;            /* enum sock_kind; one that is connected does not
                               * come here, but with its device */
};

struct hand_want {
    char id[HAND_ID_MAX + 1]; /* "": the control socket */
    uint32_t socket;          /* 1: and its socket */
};

struct hand_device {
    char id[HAND_ID_MAX + 1];
    int32_t pid; /* of the front-end, whose connection comes along */
    uint32_t uid;
    uint32_t has_run;    /* 1: rings of the device have run there */
    uint32_t said, kept; /* so many follow */
};

struct hand_said {
    struct msg_header header;
    union msg_payload payload;
};

struct hand_kept {
    char name[KEEP_NAME_MAX + 1];
    uint64_t len;
};

struct hand_give_up {
    char why[256];
};

struct hand_packet {
    uint32_t kind, len; /* len: of what is in the union, bytes */
    union {
        struct hand_hello hello;
        struct hand_socket socket;
        struct hand_want want;
        struct hand_device device;
        struct hand_said said;
        struct hand_kept kept;
        struct hand_give_up give_up;
    };
};

struct hand_fds {
    int list[SOCK_FDS_ROOM]; /* -1: taken */
    unsigned count;
};

/* 0, or negative errno; -EAGAIN: there is no room now. p->len is set here. */
int hand_send(int sock, struct hand_packet *p, const int *fds,
              unsigned num_fds);
/* 1: a packet of good form, texts ended, with so many fds as go with it, which
 * are the caller's. 0: the other end is gone. -EAGAIN: nothing there.
 * -EBADMSG: anything else. */
int hand_receive(int sock, struct hand_packet *p, struct hand_fds *fds);
/* One of them, now the caller's; -1: it is not there. */
int hand_take_fd(struct hand_fds *fds, unsigned i);
void hand_close_fds(struct hand_fds *fds);

#endif
