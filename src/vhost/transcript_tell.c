/* What a transcript tells. All of it is gone through for each message, which
 * takes no place then; there are not many, and nobody is in a hurry.
 *
 * The log is told before memory: what has been added since may lie beyond it,
 * which is no reason to refuse it now. */
#include <string.h>

#include "vhost/transcript_impl.h"

/* Goes through all messages; the one that is wanted is written down. */
struct telling {
    unsigned wanted, at;
    struct msg *m;
};

/* Bytes and fds of the message that is due; NULL: another one is wanted. */
static union msg_payload *say(struct telling *w, uint32_t request,
                              uint32_t bytes)
{
    if (w->at++ != w->wanted || !w->m)
        return NULL;
    w->m->header = (struct msg_header){request, MSG_VERSION, bytes};
    memset(&w->m->payload, 0, sizeof(w->m->payload));
    w->m->num_fds = 0;
    return &w->m->payload;
}

static void say_fd(struct telling *w, int fd)
{
    w->m->fds[w->m->num_fds++] = fd;
}

/* fd -1: none. */
static void say_u64(struct telling *w, uint32_t request, uint64_t value, int fd)
{
    union msg_payload *p = say(w, request, sizeof(p->u64));

    if (!p)
        return;
    p->u64 = value;
    if (fd >= 0)
        say_fd(w, fd);
}

static void say_state(struct telling *w, uint32_t request, uint32_t index,
                      uint32_t num)
{
    union msg_payload *p = say(w, request, sizeof(p->state));

    if (p)
        p->state = (struct msg_vring_state){index, num};
}

static void say_notifier(struct telling *w, uint32_t request, unsigned index,
                         const struct notifier *n)
{
    if (n->said)
        say_u64(w, request, index | (n->fd < 0 ? MSG_VRING_NOFD : 0), n->fd);
}

static void say_log(struct telling *w, const struct transcript *t)
{
    union msg_payload *p;

    if (t->log_fd < 0)
        return;
    p = say(w, MSG_SET_LOG_BASE, sizeof(p->log));
    if (!p)
        return;
    p->log = t->log;
    say_fd(w, t->log_fd);
}

/* And what they did to rings of which nothing else was said. */
static void say_features(struct telling *w, const struct transcript *t)
{
    const uint64_t bit = FEATURE(VHOST_USER_F_PROTOCOL_FEATURES);
    bool enables = !(t->features & bit);

    if (!t->has_features)
        return;
    if (t->all_enabled && !enables)
        say_u64(w, MSG_SET_FEATURES, t->features & ~bit, -1);
    say_u64(w, MSG_SET_FEATURES, t->features, -1);
    if (!t->all_enabled && enables)
        say(w, MSG_RESET_OWNER, 0);
}

static void say_memory(struct telling *w, const struct transcript *t)
{
    unsigned first = MIN(t->num_regions, MSG_REGIONS_MAX);
    union msg_payload *p;

    if (first == 0)
        return;
    p = say(w, MSG_SET_MEM_TABLE,
            (uint32_t)(offsetof(struct msg_mem_table, regions) +
                       first * sizeof(struct msg_region)));
    if (p) {
        p->table.num = first;
        for (unsigned i = 0; i < first; i++) {
            p->table.regions[i] = t->regions[i].at;
            say_fd(w, t->regions[i].fd);
        }
    }
    for (unsigned i = first; i < t->num_regions; i++) {
        p = say(w, MSG_ADD_MEM_REG, sizeof(p->reg));
        if (!p)
            continue;
        p->reg.region = t->regions[i].at;
        say_fd(w, t->regions[i].fd);
    }
}

static void say_record(struct telling *w, const struct transcript *t)
{
    union msg_payload *p;

    if (t->record_fd < 0)
        return;
    p = say(w, MSG_SET_INFLIGHT_FD, t->record_bytes);
    if (!p)
        return;
    p->inflight = t->record;
    say_fd(w, t->record_fd);
}

/* Bytes that lie together, and were said in the same way, in one message. */
static void say_config(struct telling *w, const struct transcript *t)
{
    const struct config_byte *c = t->config;
    union msg_payload *p;
    uint32_t end;

    for (uint32_t at = 0; at < MSG_CONFIG_BYTES_MAX; at = MAX(end, at + 1)) {
        for (end = at; end < MSG_CONFIG_BYTES_MAX && c[end].said &&
                       c[end].flags == c[at].flags;
             end++)
            ;
        if (end == at)
            continue;
        p = say(w, MSG_SET_CONFIG, (uint32_t)MSG_CONFIG_HEADER + end - at);
        if (!p)
            continue;
        p->config.offset = at;
        p->config.size = end - at;
        p->config.flags = c[at].flags;
        for (uint32_t i = at; i < end; i++)
            p->config.bytes[i - at] = c[i].value;
    }
}

static void say_ring(struct telling *w, const struct ring_words *r,
                     unsigned index)
{
    union msg_payload *p;

    if (r->has_num)
        say_state(w, MSG_SET_VRING_NUM, index, r->num);
    if (r->has_base)
        say_state(w, MSG_SET_VRING_BASE, index, r->base);
    if (r->has_addr) {
        p = say(w, MSG_SET_VRING_ADDR, sizeof(p->addr));
        if (p)
            p->addr = r->addr;
    }
    say_notifier(w, MSG_SET_VRING_CALL, index, &r->call);
    say_notifier(w, MSG_SET_VRING_ERR, index, &r->err);
    if (r->enabled != AS_ALL)
        say_state(w, MSG_SET_VRING_ENABLE, index, r->enabled == ENABLED);
    say_notifier(w, MSG_SET_VRING_KICK, index, &r->kick);
}

static unsigned tell(const struct transcript *t, struct msg *m, unsigned wanted)
{
    struct telling w = {.wanted = wanted, .m = m};

    if (t->has_protocol)
        say_u64(&w, MSG_SET_PROTOCOL_FEATURES, t->protocol, -1);
    if (t->channel_fd >= 0)
        say_u64(&w, MSG_SET_BACKEND_REQ_FD, 0, t->channel_fd);
    say_log(&w, t);
    say_features(&w, t);
    say_memory(&w, t);
    say_record(&w, t);
    say_config(&w, t);
    for (unsigned i = 0; i < DEVICE_MAX_QUEUES; i++)
        say_ring(&w, &t->rings[i], i);
    if (t->display_fd >= 0)
        say_u64(&w, MSG_GPU_SET_SOCKET, 0, t->display_fd);
    return w.at;
}

unsigned transcript_count(const struct transcript *t)
{
    return tell(t, NULL, 0);
}

const struct msg *transcript_at(struct transcript *t, unsigned i)
{
    tell(t, &t->told, i);
    return &t->told;
}

uint64_t transcript_protocol(const struct transcript *t)
{
    return t->protocol;
}

uint64_t transcript_features(const struct transcript *t)
{
    return t->features;
}

bool transcript_runs(const struct transcript *t)
{
    if (!t->has_features || t->num_regions == 0)
        return false;
    for (unsigned i = 0; i < DEVICE_MAX_QUEUES; i++) {
        const struct ring_words *r = &t->rings[i];

        if (r->kick.said && r->has_addr && r->has_num)
            return true;
    }
    return false;
}
