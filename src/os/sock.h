/* os/sock.h: unix stream sockets that carry fds.
 *
 * Nothing here blocks, but for sock_listen, which may wait for another process
 * that binds in the same directory, two seconds at most.
 * Threads: any, one at a time per socket. */
#ifndef VUB_OS_SOCK_H
#define VUB_OS_SOCK_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"

/* More fds than any message may have, so that "too many" can be told. */
#define SOCK_FDS_MAX 16
/* What a caller has room for: as many more as the kernel takes with one byte
 * (SCM_MAX_FD). Those it cannot give us it closes, in the middle of our call,
 * and closing some takes long. */
#define SOCK_FDS_ROOM (SOCK_FDS_MAX + 253)

/* Binds and listens at path (absolute), whose file gets `mode`. A path longer
 * than a socket address is bound through its directory's fd. A socket file
 * that nobody listens on is replaced; one that somebody listens on, or a file
 * that is no socket, is an error. Returns the fd. */
int sock_listen(const char *path, unsigned mode, struct err *e);
/* Removes the file if it is still the socket that this process listens on. */
void sock_unlink(const char *path);

/* Listens once more on a socket that listens: whoever connects from now on sees
 * that it is this process who does. 0 or negative errno. */
int sock_listen_again(int fd);
/* Two that are connected to each other and keep the borders of what is sent. */
int sock_packet_pair(int fds[2]);
/* Another descriptor of the same, close-on-exec; negative errno. */
int sock_copy(int fd);
/* Is it one of sock_packet_pair? Then non-blocking from now on. */
bool sock_is_packet(int fd);

enum sock_kind {
    SOCK_LISTENING,
    SOCK_CONNECTED,
    SOCK_DOOR, /* os/door.h: never inherited */
};
/* What an inherited fd is; it becomes non-blocking and close-on-exec. */
int sock_inherited(int fd, enum sock_kind *kind, struct err *e);
/* Where it is bound; false: at no absolute path. */
bool sock_path(int fd, char *out, size_t room);

/* The next connection, -EAGAIN if there is none. */
int sock_accept(int fd);
/* Two that are connected to each other. */
int sock_pair(int fds[2]);
/* pid 0 and uid -1 if they are not known. */
void sock_peer(int fd, int *pid, unsigned *uid);
/* Has the other end closed both ways? One way only is the end of what it
 * says. */
bool sock_is_gone(int fd);
/* Is fd a connected unix stream socket? Then non-blocking from now on. */
bool sock_adopt(int fd);

/* Is its other end of this process? Such a one, a stranger's, is our own end of
 * a connection, which would stay open for ever. */
bool sock_is_own(int fd);

/* Up to len bytes, and the fds with them, which are appended to fds
 * (SOCK_FDS_ROOM) and become the caller's, whatever is returned. 0: the other
 * end has closed. -EAGAIN: nothing there. -EMSGSIZE: there are more than
 * SOCK_FDS_MAX now, or some were lost. */
ssize_t sock_recv(int fd, void *buf, size_t len, int *fds, unsigned *num_fds);
/* Is there something that the other end has not read yet? */
bool sock_is_unread(int fd);
/* Sends what fits now; fds go with the first byte. -EAGAIN: nothing fits. */
ssize_t sock_send(int fd, const void *buf, size_t len, const int *fds,
                  unsigned num_fds);
/* The same of memory in pieces, 1 to SOCK_IOV_MAX, without fds. -EFAULT: it
 * begins with memory that is not there; nothing was sent. */
#define SOCK_IOV_MAX 1024
ssize_t sock_sendv(int fd, const struct iovec *iov, int num);

/* So many bytes may lie in it that the other end has not read, as the kernel
 * counts them, or as many as the system allows. Not less than before. */
void sock_make_room(int fd, int bytes);

/* [blocks, some seconds at most] Connects to whoever listens at path: the fd,
 * non-blocking. For those who have nothing else to do. */
int sock_connect(const char *path, struct err *e);
/* [blocks] Until fd can be read, or written: at most so long, -1: for ever.
 * 0, -ETIMEDOUT, or -EINTR after a signal. */
int sock_wait(int fd, bool write, int timeout_ms);
/* [blocks] Until one of them can be read; -1 are left out. Which is the first
 * of those, or a negative errno. */
#define SOCK_WAIT_MAX 8
int sock_wait_any(const int *fds, unsigned num);

#endif
