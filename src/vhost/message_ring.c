/* Messages about rings: what they say is kept in a vring's home half; a ring
 * that has all it needs is started, on its own, by session_start_rings. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "os/event.h"
#include "vhost/endpoint_impl.h"
#include "vhost/message.h"
#include "virtio/spec.h"

static bool is_packed(const struct session *s)
{
    return s->features & FEATURE(VIRTIO_F_RING_PACKED);
}

/* NULL: there is no such ring; s->err says so. */
static struct vring *find(struct session *s, uint64_t index)
{
    if (index < s->num_vrings)
        return &s->vrings[index];
    err_set(&s->err, -EINVAL, "", "ring %" PRIu64 ", but there are %u", index,
            s->num_vrings);
    return NULL;
}

/* A ring that may be changed: found and not started. */
static struct vring *find_stopped(struct session *s, uint64_t index)
{
    struct vring *v = find(s, index);

    if (!v || !v->set.started)
        return v;
    err_set(&s->err, -EBUSY, "", "ring %" PRIu64 " is started", index);
    return NULL;
}

int message_set_vring_num(struct session *s, struct msg *m)
{
    uint32_t num = m->payload.state.num;
    uint32_t max = endpoint_conf(s->endpoint)->queue_size;
    struct vring *v = find_stopped(s, m->payload.state.index);

    if (!v)
        return s->err.code;
    if (num < 1 || num > max)
        return err_set(&s->err, -EINVAL, "",
                       "a ring of %u descriptors; 1 to %u are possible", num,
                       max);
    if (s->has_features && !is_packed(s) && (num & (num - 1)))
        return err_set(&s->err, -EINVAL, "",
                       "a split ring of %u descriptors, not a power of two",
                       num);
    v->set.size = (uint16_t)num;
    return 0;
}

int message_set_vring_addr(struct session *s, struct msg *m)
{
    const struct msg_vring_addr *a = &m->payload.addr;
    bool log_used = a->flags & MSG_VRING_LOG;
    struct vring *v = find(s, a->index);

    if (!v)
        return s->err.code;
    if (v->set.started) {
        /* Only its logging may change: migration begins, or is given up. */
        if (v->set.desc != a->desc || v->set.driver != a->avail ||
            v->set.device != a->used)
            return err_set(&s->err, -EBUSY, "",
                           "ring %u is started: its addresses stay", a->index);
        v->set.log_used = log_used;
        v->set.log_gpa = a->log;
        message_update_rings(s);
        return 0;
    }
    v->set.desc = a->desc;
    v->set.driver = a->avail;
    v->set.device = a->used;
    v->set.log_used = log_used;
    v->set.log_gpa = a->log;
    v->set.has_addr = true;
    return 0;
}

int message_set_vring_base(struct session *s, struct msg *m)
{
    struct vring *v = find_stopped(s, m->payload.state.index);

    if (!v)
        return s->err.code;
    v->set.base = m->payload.state.num;
    return 0;
}

static void base_is_known(struct session *s)
{
    struct msg_vring_state state = s->msg->payload.state;

    state.num = s->vrings[state.index].set.base;
    session_rings_stopped(s);
    transcript_set_base(s->said, state.index, state.num);
    session_reply(s, &state, sizeof(state), -1);
}

int message_get_vring_base(struct session *s, struct msg *m)
{
    struct vring *v = find(s, m->payload.state.index);

    if (!v)
        return s->err.code;
    s->finish = base_is_known;
    if (s->visit && m->header.flags & MSG_SUSPENDS)
        s->device->suspends = true;
    v->set.has_kick = false; /* it would start again at once */
    if (v->set.started)
        vring_stop(v);
    return 0;
}

/* The ring and the fd of SET_VRING_KICK, CALL or ERR: fd is -1 if the message
 * says that there is none. NULL: it is refused. */
static struct vring *notifier(struct session *s, struct msg *m, int *fd)
{
    bool none = m->payload.u64 & MSG_VRING_NOFD;
    struct vring *v = find(s, m->payload.u64 & MSG_VRING_INDEX_MASK);

    if (!v)
        return NULL;
    *fd = -1;
    if (m->num_fds != (none ? 0 : 1)) {
        err_set(&s->err, -EINVAL, "", "%u fds where %d is said", m->num_fds,
                !none);
        return NULL;
    }
    if (none)
        return v;
    if (event_adopt(m->fds[0]) < 0) {
        err_set(&s->err, -EBADF, "", "its fd is not an eventfd");
        return NULL;
    }
    *fd = msg_take_fd(m, 0);
    return v;
}

static void replace_fd(int *kept, int fd)
{
    if (*kept >= 0)
        close(*kept);
    *kept = fd;
}

int message_set_vring_kick(struct session *s, struct msg *m)
{
    int fd;
    struct vring *v = notifier(s, m, &fd);

    if (!v)
        return s->err.code;
    if (v->set.started) {
        vring_set_kick(v, fd);
        return 0;
    }
    replace_fd(&v->set.kick_fd, fd);
    v->set.has_kick = true;
    return 0;
}

int message_set_vring_call(struct session *s, struct msg *m)
{
    int fd;
    struct vring *v = notifier(s, m, &fd);

    if (!v)
        return s->err.code;
    if (v->set.started)
        vring_set_call(v, fd);
    else
        replace_fd(&v->set.call_fd, fd);
    return 0;
}

int message_set_vring_err(struct session *s, struct msg *m)
{
    int fd;
    struct vring *v = notifier(s, m, &fd);

    if (!v)
        return s->err.code;
    if (v->set.started)
        vring_set_err(v, fd);
    else
        replace_fd(&v->set.err_fd, fd);
    return 0;
}

static void update(struct session *s, struct vring *v)
{
    if (v->set.started)
        vring_update(v,
                     s->features & FEATURE(VHOST_F_LOG_ALL) ? s->dirty : NULL);
}

void message_update_rings(struct session *s)
{
    for (unsigned i = 0; i < s->num_vrings; i++)
        update(s, &s->vrings[i]);
}

int message_set_vring_enable(struct session *s, struct msg *m)
{
    struct vring *v = find(s, m->payload.state.index);

    if (!v)
        return s->err.code;
    if (m->payload.state.num > 1)
        return err_set(&s->err, -EINVAL, "", "enable is 0 or 1, not %u",
                       m->payload.state.num);
    v->set.enabled = m->payload.state.num;
    update(s, v);
    return 0;
}

/* Spec: deprecated; "ignore this message, or use it to disable all rings". */
int message_reset_owner(struct session *s, struct msg *m)
{
    (void)m;
    for (unsigned i = 0; i < s->num_vrings; i++)
        s->vrings[i].set.enabled = false;
    message_update_rings(s);
    return 0;
}

/* All rings are as in a new session; what belongs to the connection stays:
 * protocol features, back-end channel, memory table, log. */
static void device_is_reset(struct session *s)
{
    session_rings_stopped(s);
    for (unsigned i = 0; i < s->num_vrings; i++) {
        struct vring *v = &s->vrings[i];

        replace_fd(&v->set.kick_fd, -1);
        v->set.has_kick = v->set.has_addr = v->set.enabled = false;
        v->set.size = 0;
        v->set.base = 0;
    }
    inflight_unref(s->inflight);
    s->inflight = NULL;
    if (s->device->ops->reset)
        s->device->ops->reset(s->device);
}

int message_reset_device(struct session *s, struct msg *m)
{
    (void)m;
    s->finish = device_is_reset;
    for (unsigned i = 0; i < s->num_vrings; i++) {
        s->vrings[i].set.has_kick = false;
        if (s->vrings[i].set.started)
            vring_stop(&s->vrings[i]);
    }
    return 0;
}

/* ---- start ---- */

static bool is_ready(struct session *s, const struct vring *v)
{
    if (v->set.started || !v->set.has_kick || !v->set.has_addr ||
        !v->set.size || !s->has_features)
        return false;
    if (mem_count(s->mem) > 0)
        return true;
    if (!s->warned_memory)
        log_limited(endpoint_limit(s->endpoint, LINE_ODD), LOG_WARN,
                    s->device->id,
                    "ring %u cannot start: the front-end has shared no memory "
                    "(%s)",
                    v->index, MEMORY_HINT);
    s->warned_memory = true;
    return false;
}

/* Does the device run? If not, it is asked to, and answers now or later. */
static bool device_runs(struct session *s)
{
    const struct device_start start = {
        .features = s->features & ~FEATURE(VHOST_USER_F_PROTOCOL_FEATURES),
        /* A record in use that is not of our making: a back-end before us
         * has died, with requests in flight or idle. */
        .recovered = s->telling
                         ? !endpoint_has_started(s->endpoint)
                         : s->inflight && !endpoint_has_run(s->endpoint) &&
                               inflight_in_use(s->inflight),
        .resumed = s->telling,
    };

    if (s->device_state == DEVICE_STOPPED) {
        s->recovered = start.recovered && !start.resumed;
        s->device_state = DEVICE_STARTING;
        endpoint_mark_started(s->endpoint);
        /* What has changed meanwhile nobody knows. */
        s->config_changed |= start.recovered;
        if (s->device->ops->start)
            s->device->ops->start(s->device, &start);
        else
            session_device_started(s, NULL);
        if (s->device_state == DEVICE_STARTING && start.recovered &&
            endpoint_conf(s->endpoint)->recovers_first && !s->ending) {
            s->start_held = true;
            session_hold(s);
        }
    }
    return s->device_state == DEVICE_STARTED && !s->ending;
}

int message_ring_parts(const struct vring *v, const struct mem *mem,
                       const struct ring_setup *format, void *parts[3],
                       struct err *e)
{
    const char *const names[] = {"descriptors", "driver area", "device area"};
    const uint64_t uva[] = {v->set.desc, v->set.driver, v->set.device};

    for (int i = 0; i < 3; i++) {
        uint64_t len =
            ring_part_len(format->packed, format->event_idx, v->set.size, i);
        unsigned align = ring_part_align(format->packed, i);

        parts[i] = mem_uva(mem, uva[i], len);
        if (!parts[i])
            return err_set(e, -EFAULT, "",
                           "its %s, %" PRIu64 " bytes at 0x%" PRIx64
                           ", lie in no memory region (%s)",
                           names[i], len, uva[i], MEMORY_HINT);
        if ((uintptr_t)parts[i] % align)
            return err_set(e, -EINVAL, "",
                           "its %s at 0x%" PRIx64
                           " are not aligned to %u bytes",
                           names[i], uva[i], align);
    }
    return 0;
}

static void start(struct session *s, struct vring *v)
{
    struct ring_setup *setup = &v->cmd.setup;
    void *parts[3];
    struct err e;

    *setup = (struct ring_setup){
        .size = v->set.size,
        .packed = is_packed(s),
        .event_idx = s->features & FEATURE(VIRTIO_F_EVENT_IDX),
        .chain_max = s->device->chain_max,
        .priv_size = s->device->priv_size,
        .mem = s->mem,
        .base = v->set.base,
        .inflight = s->inflight ? inflight_queue(s->inflight, v->index) : NULL,
        .dirty = s->features & FEATURE(VHOST_F_LOG_ALL) ? s->dirty : NULL,
        .log_used = v->set.log_used,
        .used_gpa = v->set.log_gpa,
    };
    if (message_ring_parts(v, s->mem, setup, parts, &e) < 0) {
        vring_refuse(v, e.text);
        return;
    }
    setup->desc = parts[0];
    setup->driver = parts[1];
    setup->device = parts[2];
    endpoint_mark_run(s->endpoint);
    s->has_run = true;
    vring_start(v);
}

/* One line says all that matters of a front-end, when that is known: most set
 * all rings up, and then enable all. One that never starts a ring has none but
 * its last; a guest that starts its driver again has another. */
static void tell_start(struct session *s)
{
    unsigned rings = 0;
    bool enabled = false;
    char who[80];

    for (unsigned i = 0; i < s->num_vrings; i++) {
        const struct vring *v = &s->vrings[i];

        rings += v->set.started;
        enabled |= v->set.started && v->set.enabled;
    }
    if (!enabled || s->start_told || s->ending)
        return;
    if (s->told)
        snprintf(who, sizeof(who), "front-end starts again");
    else if (s->resumed)
        snprintf(who, sizeof(who),
                 "front-end goes on here (process %d, user %u)", s->peer_pid,
                 s->peer_uid);
    else
        snprintf(who, sizeof(who), "front-end connected (process %d, user %u)",
                 s->peer_pid, s->peer_uid);
    log_limited(
        endpoint_limit(s->endpoint, s->told ? LINE_STARTING : LINE_CONNECTED),
        LOG_INFO, s->device->id,
        "%s: %u of %u ring%s, %s, features 0x%" PRIx64 "%s", who, rings,
        s->num_vrings, s->num_vrings == 1 ? "" : "s",
        is_packed(s) ? "packed" : "split", s->features,
        s->recovered ? ", where another back-end has ended" : "");
    s->told = s->start_told = true;
}

void session_start_rings(struct session *s)
{
    if (s->held)
        return;
    session_hold(s); /* starts may come back at once */
    for (unsigned i = 0; i < s->num_vrings; i++) {
        struct vring *v = &s->vrings[i];

        if (s->ending || s->parting || !is_ready(s, v) ||
            !endpoint_is_clear(s->endpoint, s))
            continue;
        if (!device_runs(s))
            break;
        start(s, v);
    }
    tell_start(s);
    s->holds--;
}
