/* A session: connecting, messages, set-up. */
#include "front/front.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct front *all;

/* ---- Life ---- */

struct front *front_on(int sock)
{
    struct front *f = front_calloc(1, sizeof(*f));

    f->sock = sock;
    f->backend_fd = f->inflight_fd = f->log_fd = -1;
    f->next = all;
    all = f;
    return f;
}

/* A connected socket, or -1 with errno. */
static int dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        front_fail("socket: %s", strerror(errno));
    if (strlen(path) >= sizeof(a.sun_path))
        front_fail("%s: too long for a socket's name", path);
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

struct front *front_connect_path(const char *path)
{
    struct front *f;
    int fd = dial(path);

    if (fd < 0)
        front_fail("connect to %s: %s", path, strerror(errno));
    f = front_on(fd);
    snprintf(f->path, sizeof(f->path), "%s", path);
    return f;
}

struct front *front_connect(struct vub *v, const char *id)
{
    char path[108];

    snprintf(path, sizeof(path), "%s/%s.sock", v->dir, id);
    return front_connect_path(path);
}

struct front *front_connect_wait(const char *path)
{
    int64_t end = front_now_ms() + front_timeout_ms();
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), fd;
    const char *slash = strrchr(path, '/');
    struct front *f;
    char dir[128], events[1024];

    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1,
             slash ? path : ".");
    if (watch < 0 || inotify_add_watch(watch, dir, IN_CREATE | IN_ATTRIB) < 0)
        front_fail("inotify on %s: %s", dir, strerror(errno));
    while ((fd = dial(path)) < 0) {
        if (errno != ENOENT && errno != ECONNREFUSED)
            front_fail("connect to %s: %s", path, strerror(errno));
        if (front_now_ms() > end)
            front_fail("nobody listens on %s", path);
        /* Between bind and listen nothing tells us: look again soon. */
        if (front_wait_fd(watch, POLLIN, errno == ENOENT ? 1000 : 1) &&
            read(watch, events, sizeof(events)) < 0 && errno != EAGAIN)
            front_fail("inotify: %s", strerror(errno));
    }
    close(watch);
    f = front_on(fd);
    snprintf(f->path, sizeof(f->path), "%s", path);
    return f;
}

struct front *front_new(struct vub *v, const char *id,
                        const struct front_conf *conf)
{
    static const struct front_conf none;
    struct front *f = front_connect(v, id);

    front_set_up(f, conf ? conf : &none);
    return f;
}

void front_disconnect(struct front *f)
{
    if (f->sock >= 0)
        close(f->sock);
    if (f->backend_fd >= 0)
        close(f->backend_fd);
    f->sock = f->backend_fd = -1;
}

void front_reconnect(struct front *f)
{
    front_disconnect(f);
    f->sock = dial(f->path);
    if (f->sock < 0)
        front_fail("connect to %s again: %s", f->path, strerror(errno));
}

void front_resume(struct front *f)
{
    front_reconnect(f);
    front_set_up(f, &f->conf);
}

void front_free(struct front *f)
{
    struct front **at;
    struct blk_req *r;

    if (!f)
        return;
    for (at = &all; *at != f; at = &(*at)->next)
        ;
    *at = f->next;
    if (f->free_user)
        f->free_user(f->user);
    front_disconnect(f);
    for (unsigned i = 0; i < FRONT_QUEUES_MAX; i++)
        if (f->vq[i])
            vq_free(f->vq[i]);
    while ((r = f->reqs)) {
        f->reqs = r->next;
        free(r);
    }
    for (unsigned i = 0; i < f->num_regions; i++) {
        munmap(f->region[i].host, f->region[i].len);
        close(f->region[i].fd);
    }
    if (f->inflight_mem)
        munmap(f->inflight_mem, f->inflight.mmap_size);
    if (f->inflight_fd >= 0)
        close(f->inflight_fd);
    if (f->log)
        munmap(f->log, f->log_len);
    if (f->log_fd >= 0)
        close(f->log_fd);
    free(f);
}

void front_free_all(void)
{
    while (all)
        front_free(all);
}

/* ---- Messages ---- */

bool front_send_on(int sock, bool dribble, const void *buf, size_t len,
                   const int *fds, unsigned num_fds)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * FRONT_MSG_FDS)];
    } control;
    struct iovec iov = {(void *)buf, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    struct cmsghdr *c;
    ssize_t n;

    if (num_fds > FRONT_MSG_FDS)
        front_fail("%u fds in a message", num_fds);
    if (num_fds) {
        memset(&control, 0, sizeof(control));
        m.msg_control = control.room;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * num_fds);
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * num_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * num_fds);
    }
    while (len) {
        iov.iov_len = dribble ? 1 : len;
        n = sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            front_need_fd(sock, POLLOUT, "room in the socket");
            continue;
        }
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return false;
        if (n < 0)
            front_fail("sendmsg: %s", strerror(errno));
        iov.iov_base = (char *)iov.iov_base + n;
        len -= (size_t)n;
        m.msg_control = NULL;
        m.msg_controllen = 0;
    }
    return true;
}

bool front_send_bytes(struct front *f, const void *buf, size_t len,
                      const int *fds, unsigned num_fds)
{
    return front_send_on(f->sock, f->dribble, buf, len, fds, num_fds);
}

bool front_send(struct front *f, uint32_t request, uint32_t flags,
                const void *payload, uint32_t len, const int *fds,
                unsigned num_fds)
{
    struct {
        struct wire_header h;
        uint8_t payload[4096];
    } m = {.h = {request, WIRE_VERSION | flags, len}};

    if (len > sizeof(m.payload))
        front_fail("a payload of %u bytes", len);
    if (len)
        memcpy(m.payload, payload, len);
    return front_send_bytes(f, &m, sizeof(m.h) + len, fds, num_fds);
}

/* Reads len bytes; fds that come along are added to m. */
static bool recv_exact(int sock, struct front_msg *m, void *buf, size_t len)
{
    char control[CMSG_SPACE(sizeof(int) * FRONT_MSG_FDS)];
    struct iovec iov = {buf, len};
    struct msghdr h;
    ssize_t n;

    while (iov.iov_len) {
        front_need_fd(sock, POLLIN, "a message from the back-end");
        memset(&h, 0, sizeof(h));
        h.msg_iov = &iov;
        h.msg_iovlen = 1;
        h.msg_control = control;
        h.msg_controllen = sizeof(control);
        n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return false;
        if (n < 0)
            front_fail("recvmsg: %s", strerror(errno));
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
            unsigned k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

            if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                continue;
            if (m->num_fds + k > FRONT_MSG_FDS)
                front_fail("more fds than a message may have");
            memcpy(m->fds + m->num_fds, CMSG_DATA(c), k * sizeof(int));
            m->num_fds += k;
        }
        iov.iov_base = (char *)iov.iov_base + n;
        iov.iov_len -= (size_t)n;
    }
    return true;
}

bool front_recv_from(int sock, struct front_msg *m)
{
    memset(m, 0, sizeof(*m));
    if (!recv_exact(sock, m, &m->h, sizeof(m->h)))
        return false;
    if (m->h.size > sizeof(m->bytes))
        front_fail("a message of %u bytes from the back-end", m->h.size);
    return recv_exact(sock, m, m->bytes, m->h.size);
}

bool front_recv(struct front *f, struct front_msg *m)
{
    return front_recv_from(f->sock, m);
}

void front_reply(struct front *f, uint32_t request, struct front_msg *m)
{
    if (!front_recv(f, m))
        front_fail("the back-end hung up instead of answering request %u",
                   request);
    if (m->h.request != request || m->h.flags != (WIRE_VERSION | WIRE_REPLY))
        front_fail("the answer to request %u is request %u, flags %#x", request,
                   m->h.request, m->h.flags);
}

int64_t front_ack(struct front *f, uint32_t request, const void *payload,
                  uint32_t len, const int *fds, unsigned num_fds)
{
    struct front_msg m;

    if (!front_send(f, request, WIRE_NEED_REPLY, payload, len, fds, num_fds) ||
        !front_recv(f, &m))
        return -1;
    if (m.h.request != request || m.h.flags != (WIRE_VERSION | WIRE_REPLY) ||
        m.h.size != sizeof(m.u64) || m.num_fds)
        front_fail("the ack of request %u is request %u, flags %#x, %u bytes, "
                   "%u fds",
                   request, m.h.request, m.h.flags, m.h.size, m.num_fds);
    return m.u64 > INT64_MAX ? INT64_MAX : (int64_t)m.u64;
}

void front_ok(struct front *f, uint32_t request, const void *payload,
              uint32_t len, const int *fds, unsigned num_fds)
{
    int64_t rc;

    if (!(f->protocol & FEATURE(WIRE_PF_REPLY_ACK))) {
        front_send(f, request, 0, payload, len, fds, num_fds);
        front_settle(f);
        return;
    }
    rc = front_ack(f, request, payload, len, fds, num_fds);
    if (rc)
        front_fail("request %u: the ack is %lld", request, (long long)rc);
}

void front_ok_u64(struct front *f, uint32_t request, uint64_t value)
{
    front_ok(f, request, &value, sizeof(value), NULL, 0);
}

void front_ok_state(struct front *f, uint32_t request, uint32_t index,
                    uint32_t num)
{
    struct wire_state s = {index, num};

    front_ok(f, request, &s, sizeof(s), NULL, 0);
}

uint64_t front_get(struct front *f, uint32_t request)
{
    struct front_msg m;

    front_send(f, request, 0, NULL, 0, NULL, 0);
    front_reply(f, request, &m);
    if (m.h.size != sizeof(m.u64))
        front_fail("the answer to request %u has %u bytes", request, m.h.size);
    return m.u64;
}

void front_settle(struct front *f)
{
    front_get(f, WIRE_GET_FEATURES);
}

int front_fds(struct front *f, struct vub *v)
{
    front_settle(f);
    return vub_fds(v);
}

bool front_lives(struct front *f)
{
    struct front_msg m;

    return front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0) &&
           front_recv(f, &m) && m.h.request == WIRE_GET_FEATURES;
}

void front_need_hangup(struct front *f)
{
    struct front_msg m;

    while (front_recv(f, &m))
        for (unsigned i = 0; i < m.num_fds; i++)
            close(m.fds[i]);
}

/* ---- Set-up ---- */

static const uint64_t ring_bits =
    FEATURE(VIRTIO_F_INDIRECT_DESC) | FEATURE(VIRTIO_F_EVENT_IDX) |
    FEATURE(VIRTIO_F_ACCESS_PLATFORM) | FEATURE(VIRTIO_F_RING_PACKED) |
    FEATURE(VIRTIO_F_IN_ORDER) | FEATURE(VIRTIO_F_NOTIFICATION_DATA) |
    FEATURE(VIRTIO_F_NOTIF_CONFIG_DATA) | FEATURE(VIRTIO_F_RING_RESET) |
    FEATURE(VHOST_F_LOG_ALL);

/* What this library understands. */
static const uint64_t protocol_bits =
    FEATURE(WIRE_PF_MQ) | FEATURE(WIRE_PF_LOG_SHMFD) |
    FEATURE(WIRE_PF_REPLY_ACK) | FEATURE(WIRE_PF_BACKEND_REQ) |
    FEATURE(WIRE_PF_CONFIG) | FEATURE(WIRE_PF_BACKEND_SEND_FD) |
    FEATURE(WIRE_PF_INFLIGHT_SHMFD) | FEATURE(WIRE_PF_RESET_DEVICE) |
    FEATURE(WIRE_PF_CONFIGURE_MEM_SLOTS);

static void set_backend_channel(struct front *f)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        front_fail("socketpair: %s", strerror(errno));
    f->backend_fd = pair[0];
    front_ok(f, WIRE_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
    close(pair[1]);
}

void front_negotiate(struct front *f, const struct front_conf *conf)
{
    uint64_t want = 0, u64;

    f->conf = *conf;
    if (!f->conf.queues)
        f->conf.queues = 1;
    if (!f->conf.size)
        f->conf.size = 128;
    if (conf->packed)
        want |= FEATURE(VIRTIO_F_RING_PACKED);
    if (conf->event_idx)
        want |= FEATURE(VIRTIO_F_EVENT_IDX);
    if (conf->indirect)
        want |= FEATURE(VIRTIO_F_INDIRECT_DESC);

    f->offered = front_get(f, WIRE_GET_FEATURES);
    if (want & ~f->offered)
        front_fail("features %#llx are not offered",
                   (unsigned long long)(want & ~f->offered));
    f->acked = ((f->offered & ~ring_bits) | want) & ~conf->features_off;
    f->protocol = 0;
    if (f->acked & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)) {
        f->protocol_offered = front_get(f, WIRE_GET_PROTOCOL_FEATURES);
        u64 = f->protocol_offered & protocol_bits & ~conf->protocol_off;
        front_send(f, WIRE_SET_PROTOCOL_FEATURES, 0, &u64, sizeof(u64), NULL,
                   0);
        f->protocol = u64;
    }
    front_ok(f, WIRE_SET_OWNER, NULL, 0, NULL, 0);
    if (f->protocol & FEATURE(WIRE_PF_MQ))
        f->queues_offered = (unsigned)front_get(f, WIRE_GET_QUEUE_NUM);
    if (conf->backend_channel)
        set_backend_channel(f);
    front_ok_u64(f, WIRE_SET_FEATURES, f->acked);
}

/* QEMU asks for a record once and then sends the same one again. */
static void set_inflight(struct front *f)
{
    struct wire_inflight want = {.num_queues = (uint16_t)f->conf.queues,
                                 .queue_size = f->conf.size};
    struct front_msg m;

    if (f->inflight_fd < 0) {
        front_send(f, WIRE_GET_INFLIGHT_FD, 0, &want, WIRE_INFLIGHT_BYTES, NULL,
                   0);
        front_reply(f, WIRE_GET_INFLIGHT_FD, &m);
        if (m.h.size < WIRE_INFLIGHT_BYTES || m.num_fds != 1)
            front_fail("GET_INFLIGHT_FD: %u bytes, %u fds", m.h.size,
                       m.num_fds);
        f->inflight = m.inflight;
        f->inflight.num_queues = want.num_queues;
        f->inflight.queue_size = want.queue_size;
        f->inflight_fd = m.fds[0];
        f->inflight_mem =
            mmap(NULL, f->inflight.mmap_size, PROT_READ | PROT_WRITE,
                 MAP_SHARED, f->inflight_fd, (off_t)f->inflight.mmap_offset);
        if (f->inflight_mem == MAP_FAILED)
            front_fail("mmap of the in-flight record: %s", strerror(errno));
    }
    front_ok(f, WIRE_SET_INFLIGHT_FD, &f->inflight, WIRE_INFLIGHT_BYTES,
             &f->inflight_fd, 1);
}

void front_start_rings(struct front *f)
{
    for (unsigned i = 0; i < f->conf.queues; i++)
        if (!f->vq[i])
            vq_new(f, i, f->conf.size, f->conf.packed, f->conf.event_idx,
                   f->conf.indirect);
    if (f->conf.inflight)
        set_inflight(f);
    if (f->conf.rings_stopped)
        return;
    for (unsigned i = 0; i < FRONT_QUEUES_MAX; i++)
        if (f->vq[i])
            vq_start(f->vq[i]);
}

void front_set_up(struct front *f, const struct front_conf *conf)
{
    front_negotiate(f, conf);
    front_share(f);
    front_start_rings(f);
}

/* ---- Config space ---- */

void front_config(struct front *f, uint32_t offset, void *buf, uint32_t len)
{
    struct wire_config c = {.offset = offset, .size = len};
    struct front_msg m;

    front_send(f, WIRE_GET_CONFIG, 0, &c, WIRE_CONFIG_HEADER + len, NULL, 0);
    front_reply(f, WIRE_GET_CONFIG, &m);
    if (m.h.size != WIRE_CONFIG_HEADER + len || m.config.size != len ||
        m.config.offset != offset)
        front_fail("GET_CONFIG %u+%u: %u bytes came, for %u+%u", offset, len,
                   m.h.size, m.config.offset, m.config.size);
    memcpy(buf, m.config.bytes, len);
}

int64_t front_set_config(struct front *f, uint32_t offset, const void *buf,
                         uint32_t len)
{
    struct wire_config c = {.offset = offset, .size = len};

    memcpy(c.bytes, buf, len);
    return front_ack(f, WIRE_SET_CONFIG, &c, WIRE_CONFIG_HEADER + len, NULL, 0);
}

void front_need_config_change(struct front *f)
{
    struct {
        struct wire_header h;
        uint64_t u64;
    } __attribute__((packed))
    ack = {{WIRE_BACKEND_CONFIG_CHANGE, WIRE_VERSION | WIRE_REPLY, 8}, 0};
    struct front_msg m;

    if (!front_recv_from(f->backend_fd, &m))
        front_fail("the back-end closed its channel");
    if (m.h.request != WIRE_BACKEND_CONFIG_CHANGE || m.h.size || m.num_fds ||
        (m.h.flags & 3) != WIRE_VERSION || (m.h.flags & WIRE_REPLY))
        front_fail("request %u, flags %#x, %u bytes on the back-end channel",
                   m.h.request, m.h.flags, m.h.size);
    if (m.h.flags & WIRE_NEED_REPLY &&
        send(f->backend_fd, &ack, sizeof(ack), MSG_NOSIGNAL) != sizeof(ack))
        front_fail("answer on the back-end channel: %s", strerror(errno));
}
