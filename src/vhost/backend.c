/* The back-end channel: one message of ours at a time, and the newest only: a
 * CONFIG_CHANGE that waits for room stands for all that come meanwhile.
 *
 * It is never read: we ask for no answers, and with what is said there fds may
 * come, which may take long to close. The socket is the front-end's as well as
 * ours, so nobody can tell what is in it, and the closer's thread has it in the
 * end. */
#include "vhost/backend.h"

#include <errno.h>
#include <stdlib.h>

#include "loop/watch.h"
#include "vhost/msg.h"

struct backend {
    struct watch watch;
    struct closer *closer;
    int fd;
    bool wanted; /* a CONFIG_CHANGE waits for room */
    struct msg_header out;
    size_t sent; /* bytes of out; its size: none under way */
};

static void send_more(struct backend *b)
{
    while (b->wanted || b->sent < sizeof(b->out)) {
        ssize_t n;

        if (b->sent == sizeof(b->out)) {
            b->out =
                (struct msg_header){MSG_BACKEND_CONFIG_CHANGE, MSG_VERSION, 0};
            b->sent = 0;
            b->wanted = false;
        }
        n = sock_send(b->fd, (uint8_t *)&b->out + b->sent,
                      sizeof(b->out) - b->sent, NULL, 0);
        if (n == -EAGAIN) {
            watch_start(&b->watch, UV_WRITABLE);
            return;
        }
        if (n < 0) {
            b->wanted = false; /* the channel is gone; nobody to tell */
            b->sent = sizeof(b->out);
            return;
        }
        b->sent += (size_t)n;
    }
    watch_stop(&b->watch);
}

static void on_ready(struct watch *w, int status, int events)
{
    struct backend *b = container_of(w, struct backend, watch);

    if (status < 0) {
        watch_stop(&b->watch); /* closed with the session */
        return;
    }
    if (events & UV_WRITABLE)
        send_more(b);
}

static void on_gone(struct watch *w)
{
    free(container_of(w, struct backend, watch));
}

int backend_open(struct backend **out, struct loop *loop, int fd,
                 struct closer *closer)
{
    struct backend *b = NULL;
    int rc = -ENOTSOCK;

    if (!sock_adopt(fd) || sock_is_own(fd))
        goto out;
    rc = -ENOMEM;
    b = calloc(1, sizeof(*b));
    if (!b)
        goto out;
    b->sent = sizeof(b->out);
    b->watch.ready = on_ready;
    b->watch.gone = on_gone;
    rc = watch_open(&b->watch, loop, fd);
    if (rc < 0)
        goto out;
    b->closer = closer;
    b->fd = fd;
    fd = -1;
    *out = b;
    b = NULL;
    rc = 0;
out:
    free(b);
    if (fd >= 0)
        closer_fd(closer, fd);
    return rc;
}

void backend_close(struct backend *b)
{
    if (!b)
        return;
    watch_close(&b->watch);
    closer_fd(b->closer, b->fd);
}

void backend_config_change(struct backend *b)
{
    b->wanted = true;
    send_more(b);
}
