/* Packets are whole or not there: the socket keeps their borders. */
#include "daemon/hand_over_wire.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HEAD offsetof(struct hand_packet, hello)

static const struct {
    uint32_t len;
    unsigned fds_min, fds_max;
} forms[HAND_KINDS] = {
    [HAND_HELLO] = {sizeof(struct hand_hello), 0, 0},
    [HAND_SOCKET] = {sizeof(struct hand_socket), 0, 1},
    [HAND_OFFERED] = {0, 0, 0},
    [HAND_WANT] = {sizeof(struct hand_want), 0, 0},
    [HAND_BEGIN] = {0, 0, 0},
    [HAND_DEVICE] = {sizeof(struct hand_device), 0, 1},
    [HAND_SAID] = {sizeof(struct hand_said), 0, SOCK_FDS_MAX},
    [HAND_KEPT] = {sizeof(struct hand_kept), 1, 1},
    [HAND_GIVEN] = {0, 0, 0},
    [HAND_READY] = {0, 0, 0},
    [HAND_GO] = {0, 0, 0},
    [HAND_MINE] = {0, 0, 0},
    [HAND_GIVE_UP] = {sizeof(struct hand_give_up), 0, 0},
};

int hand_send(int sock, struct hand_packet *p, const int *fds, unsigned num_fds)
{
    ssize_t n;

    p->len = forms[p->kind].len;
    n = sock_send(sock, p, HEAD + p->len, fds, num_fds);
    return n < 0 ? (int)n : 0;
}

static bool ends(const char *text, size_t room)
{
    return memchr(text, '\0', room) != NULL;
}

static bool texts_end(const struct hand_packet *p)
{
    switch (p->kind) {
    case HAND_HELLO:
        return ends(p->hello.version, sizeof(p->hello.version)) &&
               ends(p->hello.notify, sizeof(p->hello.notify));
    case HAND_SOCKET:
        return ends(p->socket.id, sizeof(p->socket.id)) &&
               ends(p->socket.type, sizeof(p->socket.type)) &&
               ends(p->socket.path, sizeof(p->socket.path));
    case HAND_WANT:
        return ends(p->want.id, sizeof(p->want.id));
    case HAND_DEVICE:
        return ends(p->device.id, sizeof(p->device.id));
    case HAND_KEPT:
        return ends(p->kept.name, sizeof(p->kept.name));
    case HAND_GIVE_UP:
        return ends(p->give_up.why, sizeof(p->give_up.why));
    default:
        return true;
    }
}

int hand_receive(int sock, struct hand_packet *p, struct hand_fds *fds)
{
    ssize_t n;

    fds->count = 0;
    n = sock_recv(sock, p, sizeof(*p), fds->list, &fds->count);
    if (n == -EAGAIN)
        return -EAGAIN;
    if (n == 0 || n == -ECONNRESET)
        return 0;
    if (n >= (ssize_t)HEAD && p->kind < HAND_KINDS &&
        p->len == forms[p->kind].len && (size_t)n == HEAD + p->len &&
        fds->count >= forms[p->kind].fds_min &&
        fds->count <= forms[p->kind].fds_max && texts_end(p))
        return 1;
    hand_close_fds(fds);
    return -EBADMSG;
}

int hand_take_fd(struct hand_fds *fds, unsigned i)
{
    int fd = i < fds->count ? fds->list[i] : -1;

    if (fd >= 0)
        fds->list[i] = -1;
    return fd;
}

void hand_close_fds(struct hand_fds *fds)
{
    for (unsigned i = 0; i < fds->count; i++) {
        if (fds->list[i] >= 0)
            close(fds->list[i]);
    }
    fds->count = 0;
}
