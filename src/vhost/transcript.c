/* What a transcript hears: one place for each thing that can be said, so that
 * what is said again takes the place of what was said before. What leads to
 * that by more than one message is kept as such: a front-end that acked no
 * PROTOCOL_FEATURES has enabled all rings by that, also those that it has not
 * spoken of yet. */
#include "vhost/transcript_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void drop_fd(struct transcript *t, int *fd)
{
    if (*fd < 0)
        return;
    if (t->closer)
        closer_fd(t->closer, *fd);
    else
        close(*fd);
    *fd = -1;
}

static void replace_fd(struct transcript *t, int *kept, int fd)
{
    drop_fd(t, kept);
    *kept = fd;
}

/* ---- life ---- */

struct transcript *transcript_new(struct closer *closer)
{
    struct transcript *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->closer = closer;
    t->channel_fd = t->log_fd = t->record_fd = t->display_fd = -1;
    for (unsigned i = 0; i < DEVICE_MAX_QUEUES; i++) {
        struct ring_words *r = &t->rings[i];

        r->kick.fd = r->call.fd = r->err.fd = -1;
    }
    return t;
}

void transcript_set_closer(struct transcript *t, struct closer *closer)
{
    t->closer = closer;
}

static void forget_regions(struct transcript *t)
{
    for (unsigned i = 0; i < t->num_regions; i++)
        drop_fd(t, &t->regions[i].fd);
    t->num_regions = 0;
}

void transcript_free(struct transcript *t)
{
    if (!t)
        return;
    transcript_undone(t);
    forget_regions(t);
    for (unsigned i = 0; i < DEVICE_MAX_QUEUES; i++) {
        struct ring_words *r = &t->rings[i];

        drop_fd(t, &r->kick.fd);
        drop_fd(t, &r->call.fd);
        drop_fd(t, &r->err.fd);
    }
    drop_fd(t, &t->channel_fd);
    drop_fd(t, &t->log_fd);
    drop_fd(t, &t->record_fd);
    drop_fd(t, &t->display_fd);
    free(t);
}

/* ---- hearing ---- */

/* Of the fds that come with it none may be kept for nothing: each costs the
 * whole process. */
static bool keeps_fds(uint32_t request)
{
    switch (request) {
    case MSG_SET_MEM_TABLE:
    case MSG_ADD_MEM_REG:
    case MSG_SET_LOG_BASE:
    case MSG_SET_INFLIGHT_FD:
    case MSG_SET_VRING_KICK:
    case MSG_SET_VRING_CALL:
    case MSG_SET_VRING_ERR:
    case MSG_SET_BACKEND_REQ_FD:
    case MSG_GPU_SET_SOCKET:
        return true;
    default:
        return false;
    }
}

int transcript_hear(struct transcript *t, const struct msg *m)
{
    struct msg *h = &t->heard;
    int rc;

    transcript_undone(t);
    h->header = m->header;
    h->payload = m->payload;
    h->num_fds = 0;
    t->hears = true;
    if (!keeps_fds(m->header.request))
        return 0;
    for (unsigned i = 0; i < MIN(m->num_fds, MSG_REGIONS_MAX); i++) {
        int fd = fcntl(m->fds[i], F_DUPFD_CLOEXEC, 0);

        if (fd < 0) {
            rc = -errno;
            transcript_undone(t);
            return rc;
        }
        h->fds[h->num_fds++] = fd;
    }
    return 0;
}

void transcript_narrow(struct transcript *t, uint64_t features)
{
    t->heard.payload.u64 &= features;
}

void transcript_undone(struct transcript *t)
{
    for (unsigned i = 0; i < t->heard.num_fds; i++)
        drop_fd(t, &t->heard.fds[i]);
    t->heard.num_fds = 0;
    t->hears = false;
}

/* ---- what a message leaves ---- */

static void memory_is_set(struct transcript *t, struct msg *m)
{
    const struct msg_mem_table *table = &m->payload.table;

    if (table->num > MSG_REGIONS_MAX || table->num != m->num_fds)
        return;
    forget_regions(t);
    for (unsigned i = 0; i < table->num; i++)
        t->regions[i] = (struct region){table->regions[i], msg_take_fd(m, i)};
    t->num_regions = table->num;
}

static void region_is_added(struct transcript *t, struct msg *m)
{
    if (t->num_regions == MEM_REGIONS_MAX || m->num_fds != 1)
        return;
    t->regions[t->num_regions++] =
        (struct region){m->payload.reg.region, msg_take_fd(m, 0)};
}

static void region_is_removed(struct transcript *t, const struct msg *m)
{
    const struct msg_region *gone = &m->payload.reg.region;

    for (unsigned i = 0; i < t->num_regions; i++) {
        const struct msg_region *r = &t->regions[i].at;

        if (r->gpa != gone->gpa || r->len != gone->len || r->uva != gone->uva)
            continue;
        drop_fd(t, &t->regions[i].fd);
        t->num_regions--;
        memmove(&t->regions[i], &t->regions[i + 1],
                (t->num_regions - i) * sizeof(t->regions[0]));
        return;
    }
}

static void config_is_set(struct transcript *t, const struct msg *m)
{
    const struct msg_config *c = &m->payload.config;

    if (c->size > MSG_CONFIG_BYTES_MAX ||
        c->offset > MSG_CONFIG_BYTES_MAX - c->size)
        return;
    for (uint32_t i = 0; i < c->size; i++)
        t->config[c->offset + i] =
            (struct config_byte){true, c->bytes[i], c->flags};
}

static void set_all_enabled(struct transcript *t, bool enabled)
{
    t->all_enabled = enabled;
    for (unsigned i = 0; i < DEVICE_MAX_QUEUES; i++)
        t->rings[i].enabled = AS_ALL;
}

static void features_are_set(struct transcript *t, uint64_t features)
{
    t->has_features = true;
    t->features = features;
    if (!(features & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)))
        set_all_enabled(t, true);
}

/* Kick again to start it. */
static void ring_is_stopped(struct transcript *t, struct ring_words *r)
{
    drop_fd(t, &r->kick.fd);
    r->kick.said = false;
}

/* As a session has it, message_ring.c: what belongs to the connection stays,
 * and whom to call. */
static void device_is_reset(struct transcript *t)
{
    for (unsigned i = 0; i < DEVICE_MAX_QUEUES; i++) {
        struct ring_words *r = &t->rings[i];

        ring_is_stopped(t, r);
        r->has_num = r->has_base = r->has_addr = false;
    }
    set_all_enabled(t, false);
    drop_fd(t, &t->record_fd);
    memset(t->config, 0, sizeof(t->config));
}

static void notifier_is_set(struct transcript *t, struct notifier *n,
                            struct msg *m)
{
    n->said = true;
    replace_fd(t, &n->fd, m->num_fds ? msg_take_fd(m, 0) : -1);
}

/* The ring that the message is about; NULL: none, or none that is possible. */
static struct ring_words *ring_of(struct transcript *t, const struct msg *m)
{
    uint32_t index;

    switch (m->header.request) {
    case MSG_SET_VRING_NUM:
    case MSG_SET_VRING_BASE:
    case MSG_GET_VRING_BASE:
    case MSG_SET_VRING_ENABLE:
        index = m->payload.state.index;
        break;
    case MSG_SET_VRING_ADDR:
        index = m->payload.addr.index;
        break;
    case MSG_SET_VRING_KICK:
    case MSG_SET_VRING_CALL:
    case MSG_SET_VRING_ERR:
        index = m->payload.u64 & MSG_VRING_INDEX_MASK;
        break;
    default:
        return NULL;
    }
    return index < DEVICE_MAX_QUEUES ? &t->rings[index] : NULL;
}

static void ring_hears(struct transcript *t, struct ring_words *r,
                       struct msg *m, const struct msg *reply)
{
    switch (m->header.request) {
    case MSG_SET_VRING_NUM:
        r->has_num = true;
        r->num = m->payload.state.num;
        break;
    case MSG_SET_VRING_BASE:
        r->has_base = true;
        r->base = m->payload.state.num;
        break;
    case MSG_GET_VRING_BASE:
        ring_is_stopped(t, r);
        if (reply && reply->header.size == sizeof(reply->payload.state)) {
            r->has_base = true;
            r->base = reply->payload.state.num;
        }
        break;
    case MSG_SET_VRING_ENABLE:
        r->enabled = m->payload.state.num ? ENABLED : DISABLED;
        break;
    case MSG_SET_VRING_ADDR:
        r->has_addr = true;
        r->addr = m->payload.addr;
        break;
    case MSG_SET_VRING_KICK:
        notifier_is_set(t, &r->kick, m);
        break;
    case MSG_SET_VRING_CALL:
        notifier_is_set(t, &r->call, m);
        break;
    case MSG_SET_VRING_ERR:
        notifier_is_set(t, &r->err, m);
        break;
    }
}

static void connection_hears(struct transcript *t, struct msg *m)
{
    switch (m->header.request) {
    case MSG_SET_PROTOCOL_FEATURES:
        t->has_protocol = true;
        t->protocol = m->payload.u64;
        break;
    case MSG_SET_FEATURES:
        features_are_set(t, m->payload.u64);
        break;
    case MSG_SET_BACKEND_REQ_FD:
        if (m->num_fds)
            replace_fd(t, &t->channel_fd, msg_take_fd(m, 0));
        break;
    case MSG_SET_LOG_BASE:
        if (!m->num_fds)
            break;
        replace_fd(t, &t->log_fd, msg_take_fd(m, 0));
        t->log = m->payload.log;
        break;
    case MSG_SET_MEM_TABLE:
        memory_is_set(t, m);
        break;
    case MSG_ADD_MEM_REG:
        region_is_added(t, m);
        break;
    case MSG_REM_MEM_REG:
        region_is_removed(t, m);
        break;
    case MSG_SET_INFLIGHT_FD:
        if (!m->num_fds)
            break;
        replace_fd(t, &t->record_fd, msg_take_fd(m, 0));
        t->record = m->payload.inflight;
        t->record_bytes = m->header.size;
        break;
    case MSG_SET_CONFIG:
        config_is_set(t, m);
        break;
    case MSG_GPU_SET_SOCKET:
        if (m->num_fds)
            replace_fd(t, &t->display_fd, msg_take_fd(m, 0));
        break;
    case MSG_RESET_OWNER:
        set_all_enabled(t, false);
        break;
    case MSG_RESET_DEVICE:
        device_is_reset(t);
        break;
    }
}

void transcript_done(struct transcript *t, const struct msg *reply)
{
    struct ring_words *r = ring_of(t, &t->heard);

    if (!t->hears)
        return;
    if (r)
        ring_hears(t, r, &t->heard, reply);
    else
        connection_hears(t, &t->heard);
    transcript_undone(t); /* what was not kept */
}

void transcript_set_base(struct transcript *t, unsigned index, uint32_t base)
{
    if (index >= DEVICE_MAX_QUEUES)
        return;
    t->rings[index].has_base = true;
    t->rings[index].base = base;
}

void transcript_forget_kick(struct transcript *t, unsigned index)
{
    if (index < DEVICE_MAX_QUEUES)
        ring_is_stopped(t, &t->rings[index]);
}

void transcript_forget_display(struct transcript *t)
{
    drop_fd(t, &t->display_fd);
}
