/* The table of messages, and those that are about the session as a whole.
 *
 * What a message must look like (size, fds, the protocol feature it needs) is
 * in the table and checked before its handler runs; what it says is checked by
 * the handler. A wrong form ends the session; what cannot be done is refused.
 */
#include "vhost/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vhost/backend.h"
#include "vhost/endpoint_impl.h"
#include "virtio/spec.h"

#define PROTOCOL_OFFERED                                                       \
    (PROTO_MQ | PROTO_LOG_SHMFD | PROTO_REPLY_ACK | PROTO_BACKEND_REQ |        \
     PROTO_CONFIG | PROTO_BACKEND_SEND_FD | PROTO_INFLIGHT_SHMFD |             \
     PROTO_RESET_DEVICE | PROTO_CONFIGURE_MEM_SLOTS)

static int reply_u64(struct session *s, uint64_t value)
{
    session_reply(s, &value, sizeof(value), -1);
    return 0;
}

static int get_features(struct session *s, struct msg *m)
{
    (void)m;
    return reply_u64(s, session_offered(s->device));
}

static int set_features(struct session *s, struct msg *m)
{
    uint64_t asked = m->payload.u64;
    uint64_t more = asked & ~session_offered(s->device);
    uint64_t changed;

    if (more && s->telling)
        return err_set(&s->err, -EINVAL, "",
                       "features 0x%" PRIx64 " are not offered here", more);
    /* QEMU acks transport bits for devices that never offered them. */
    if (more && !s->warned_features) {
        s->warned_features = true;
        log_limited(
            endpoint_limit(s->endpoint, LINE_ODD), LOG_WARN, s->device->id,
            "the front-end acks features that were not offered: 0x%" PRIx64
            "; ignored",
            more);
    }
    asked &= ~more;
    transcript_narrow(s->said, ~more);
    changed = asked ^ s->features;
    if (changed & ~(FEATURE(VHOST_F_LOG_ALL) |
                    FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)) &&
        session_runs(s))
        return err_set(&s->err, -EBUSY, "",
                       "rings run: only logging may change, not 0x%" PRIx64,
                       changed);
    s->features = asked;
    s->has_features = true;
    /* Spec, "Ring states": without it there is no SET_VRING_ENABLE. */
    if (!(asked & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)))
        for (unsigned i = 0; i < s->num_vrings; i++)
            s->vrings[i].set.enabled = true;
    if (changed)
        message_update_rings(s);
    return 0;
}

static int set_owner(struct session *s, struct msg *m)
{
    (void)s;
    (void)m;
    return 0; /* the session is the owner */
}

static int get_protocol_features(struct session *s, struct msg *m)
{
    (void)m;
    return reply_u64(s, PROTOCOL_OFFERED);
}

static int set_protocol_features(struct session *s, struct msg *m)
{
    uint64_t more = m->payload.u64 & ~PROTOCOL_OFFERED;

    if (more && s->telling)
        return err_set(&s->err, -EINVAL, "",
                       "protocol features 0x%" PRIx64 " are not offered here",
                       more);
    transcript_narrow(s->said, ~more);
    if (more && !s->warned_protocol) {
        s->warned_protocol = true;
        log_limited(
            endpoint_limit(s->endpoint, LINE_ODD), LOG_WARN, s->device->id,
            "the front-end acks protocol features that were not offered: "
            "0x%" PRIx64 "; ignored",
            more);
    }
    s->protocol = m->payload.u64 & ~more;
    return 0;
}

static int get_queue_num(struct session *s, struct msg *m)
{
    (void)m;
    return reply_u64(s, s->num_vrings);
}

static int set_backend_req_fd(struct session *s, struct msg *m)
{
    struct backend *b;

    if (backend_open(&b, s->device->home, msg_take_fd(m, 0),
                     endpoint_closer(s->endpoint)) < 0)
        return err_set(&s->err, -ENOTSOCK, "",
                       "its fd is not a connected unix stream socket");
    backend_close(s->backend);
    s->backend = b;
    return 0;
}

/* The payload of GET and SET_CONFIG, checked: its header and `size` bytes. */
static int check_config(struct session *s, const struct msg *m)
{
    const struct msg_config *c = &m->payload.config;

    if (c->size > MSG_CONFIG_BYTES_MAX ||
        m->header.size != MSG_CONFIG_HEADER + c->size)
        return err_set(&s->err, -EINVAL, "",
                       "%u bytes of config do not fit a payload of %u", c->size,
                       m->header.size);
    if (c->offset > MSG_CONFIG_BYTES_MAX - c->size)
        return err_set(&s->err, -EINVAL, "",
                       "offset %u and size %u are beyond %d bytes", c->offset,
                       c->size, MSG_CONFIG_BYTES_MAX);
    return 0;
}

/* Front-ends ask with the size of their own struct, which may be longer than
 * ours: what we do not have reads as zeros. An error is a reply without
 * payload. */
static int get_config(struct session *s, struct msg *m)
{
    uint8_t space[MSG_CONFIG_BYTES_MAX] = {0};
    struct msg_config c = {0};

    if (check_config(s, m) < 0) {
        log_limited(endpoint_limit(s->endpoint, LINE_REFUSED), LOG_WARN,
                    s->device->id, "refused GET_CONFIG: %s", s->err.text);
        session_reply(s, NULL, 0, -1);
        return 0;
    }
    s->device->ops->config_read(s->device, space);
    c.offset = m->payload.config.offset;
    c.size = m->payload.config.size;
    c.flags = m->payload.config.flags;
    memcpy(c.bytes, space + c.offset, c.size);
    session_reply(s, &c, (uint32_t)(MSG_CONFIG_HEADER + c.size), -1);
    return 0;
}

static int set_config(struct session *s, struct msg *m)
{
    const struct msg_config *c = &m->payload.config;
    const struct device_ops *ops = s->device->ops;
    int rc = check_config(s, m);

    if (rc < 0)
        return rc;
    if (c->offset >= ops->config_len)
        rc = -EACCES;
    else
        rc = ops->config_write
                 ? ops->config_write(s->device, c->offset, c->bytes,
                                     MIN(c->size, ops->config_len - c->offset))
                 : -EACCES;
    if (rc < 0)
        return err_set(&s->err, rc, "",
                       "nothing in bytes %u to %u of the config space can be "
                       "written",
                       c->offset, c->offset + c->size);
    return 0;
}

static int gpu_set_socket(struct session *s, struct msg *m)
{
    if (!sock_adopt(m->fds[0]) || sock_is_own(m->fds[0]))
        return err_set(&s->err, -ENOTSOCK, "",
                       "its fd is not a connected unix stream socket");
    s->has_display = true;
    if (endpoint_is_suspending(s->endpoint)) {
        s->display_waits = true; /* in the transcript, for whoever goes on */
        return 0;
    }
    s->device->ops->display(s->device, msg_take_fd(m, 0));
    return 0;
}

/* ---- the table ---- */

#define U64 sizeof(uint64_t)
#define STATE sizeof(struct msg_vring_state)
#define CONFIG_MAX (MSG_CONFIG_HEADER + MSG_CONFIG_BYTES_MAX)

static const struct message {
    const char *name;
    uint32_t size_min, size_max; /* of the payload, bytes */
    uint8_t fds_min, fds_max;
    uint64_t needs; /* protocol features, all of them */
    message_fn *handle;
} messages[] =
    {
/* clang-format off */
#define M(name) [MSG_##name] = {#name
    M(GET_FEATURES),          0, 0, 0, 0, 0, get_features},
    M(SET_FEATURES),          U64, U64, 0, 0, 0, set_features},
    M(SET_OWNER),             0, 0, 0, 0, 0, set_owner},
    M(RESET_OWNER),           0, 0, 0, 0, 0, message_reset_owner},
    M(SET_MEM_TABLE),         8, sizeof(struct msg_mem_table), 0,
                              MSG_REGIONS_MAX, 0, message_set_mem_table},
    M(SET_LOG_BASE),          U64, sizeof(struct msg_log), 0, 1, 0,
                              message_set_log_base},
    M(SET_LOG_FD),            0, U64, 1, 1, 0, message_set_log_fd},
    M(SET_VRING_NUM),         STATE, STATE, 0, 0, 0, message_set_vring_num},
    M(SET_VRING_ADDR),        sizeof(struct msg_vring_addr),
                              sizeof(struct msg_vring_addr), 0, 0, 0,
                              message_set_vring_addr},
    M(SET_VRING_BASE),        STATE, STATE, 0, 0, 0, message_set_vring_base},
    M(GET_VRING_BASE),        STATE, STATE, 0, 0, 0, message_get_vring_base},
    M(SET_VRING_KICK),        U64, U64, 0, 1, 0, message_set_vring_kick},
    M(SET_VRING_CALL),        U64, U64, 0, 1, 0, message_set_vring_call},
    M(SET_VRING_ERR),         U64, U64, 0, 1, 0, message_set_vring_err},
    M(GET_PROTOCOL_FEATURES), 0, 0, 0, 0, 0, get_protocol_features},
    M(SET_PROTOCOL_FEATURES), U64, U64, 0, 0, 0, set_protocol_features},
    M(GET_QUEUE_NUM),         0, 0, 0, 0, PROTO_MQ, get_queue_num},
    M(SET_VRING_ENABLE),      STATE, STATE, 0, 0, 0, message_set_vring_enable},
    M(SET_BACKEND_REQ_FD),    0, U64, 1, 1, PROTO_BACKEND_REQ,
                              set_backend_req_fd},
    M(GET_CONFIG),            MSG_CONFIG_HEADER, CONFIG_MAX, 0, 0,
                              PROTO_CONFIG, get_config},
    M(SET_CONFIG),            MSG_CONFIG_HEADER, CONFIG_MAX, 0, 0,
                              PROTO_CONFIG, set_config},
    M(GET_INFLIGHT_FD),       MSG_INFLIGHT_BYTES, sizeof(struct msg_inflight),
                              0, 0, PROTO_INFLIGHT_SHMFD,
                              message_get_inflight_fd},
    M(SET_INFLIGHT_FD),       MSG_INFLIGHT_BYTES, sizeof(struct msg_inflight),
                              1, 1, PROTO_INFLIGHT_SHMFD,
                              message_set_inflight_fd},
    M(GPU_SET_SOCKET),        0, U64, 1, 1, 0, gpu_set_socket},
    M(RESET_DEVICE),          0, 0, 0, 0, PROTO_RESET_DEVICE,
                              message_reset_device},
    M(GET_MAX_MEM_SLOTS),     0, 0, 0, 0, PROTO_CONFIGURE_MEM_SLOTS,
                              message_get_max_mem_slots},
    M(ADD_MEM_REG),           sizeof(struct msg_mem_reg),
                              sizeof(struct msg_mem_reg), 0, 1,
                              PROTO_CONFIGURE_MEM_SLOTS, message_add_mem_reg},
    M(REM_MEM_REG),           sizeof(struct msg_mem_reg),
                              sizeof(struct msg_mem_reg), 0, 1,
                              PROTO_CONFIGURE_MEM_SLOTS, message_rem_mem_reg},
#undef M
/* clang-format on */
}
;

static const struct message *find(uint32_t request)
{
    if (request >= ARRAY_LEN(messages) || !messages[request].handle)
        return NULL;
    return &messages[request];
}

bool msg_is_known(uint32_t request)
{
    return find(request) != NULL;
}

const char *msg_name(uint32_t request, char buf[32])
{
    const struct message *t = find(request);

    if (t)
        return t->name;
    snprintf(buf, 32, "request %" PRIu32, request);
    return buf;
}

bool message_is_allowed(uint32_t request, uint64_t protocol)
{
    const struct message *t = find(request);

    return t && (protocol & t->needs) == t->needs;
}

bool message_has_answer(uint32_t request)
{
    switch (request) {
    case MSG_GET_FEATURES:
    case MSG_GET_PROTOCOL_FEATURES:
    case MSG_GET_QUEUE_NUM:
    case MSG_GET_CONFIG:
    case MSG_GET_VRING_BASE:
    case MSG_GET_INFLIGHT_FD:
    case MSG_GET_MAX_MEM_SLOTS:
    case MSG_SET_LOG_BASE:
        return true;
    default:
        return false;
    }
}

static bool has_form(const struct message *t, const struct msg *m,
                     char why[MESSAGE_WHY])
{
    const struct msg_header *h = &m->header;
    char name[32];

    why[0] = '\0';
    if ((h->flags & MSG_VERSION_MASK) != MSG_VERSION)
        snprintf(why, MESSAGE_WHY, "%s with flags 0x%x: not version 1",
                 msg_name(h->request, name), h->flags);
    else if (h->flags & MSG_REPLY)
        snprintf(why, MESSAGE_WHY, "%s is a reply to nothing",
                 msg_name(h->request, name));
    else if (t && (h->size < t->size_min || h->size > t->size_max))
        snprintf(why, MESSAGE_WHY, "%s with a payload of %u bytes, not %u",
                 t->name, h->size, t->size_min);
    else if (t && (m->num_fds < t->fds_min || m->num_fds > t->fds_max))
        snprintf(why, MESSAGE_WHY, "%s with %u fds", t->name, m->num_fds);
    return !why[0];
}

bool message_form(const struct msg *m, char why[MESSAGE_WHY])
{
    return has_form(find(m->header.request), m, why);
}

/* A front-end that gets the form wrong is not talked to any further, for what
 * it means by the rest is anybody's guess. */
static bool form_is_good(struct session *s, const struct message *t,
                         const struct msg *m)
{
    char why[MESSAGE_WHY];

    if (has_form(t, m, why))
        return true;
    session_end(s, LOG_ERROR, why);
    return false;
}

/* What is told again is in the transcript already. */
static int hear(struct session *s, const struct msg *m)
{
    int rc;

    if (s->telling ||
        (m->header.request == MSG_SET_CONFIG && s->device->ops->config_acts))
        return 0;
    rc = transcript_hear(s->said, m);
    if (rc < 0)
        err_set(&s->err, rc, "",
                "vub cannot keep copies of its file descriptors: %s",
                strerror(-rc));
    return rc;
}

void session_handle(struct session *s, struct msg *m)
{
    const struct message *t = find(m->header.request);
    char name[32];

    if (s->ending)
        return;
    if (s->holds > 0) {
        s->queued = m;
        return;
    }
    /* To a device that shows nothing it means nothing. */
    if (t == &messages[MSG_GPU_SET_SOCKET] && !s->device->ops->display)
        t = NULL;
    log_debug(s->device->id, "%s, %u bytes, %u fds, flags 0x%x",
              msg_name(m->header.request, name), m->header.size, m->num_fds,
              m->header.flags);
    s->heard |= !(m->header.flags & MSG_OF_RELAY);
    if (!form_is_good(s, t, m))
        return;
    s->msg = m;
    s->replied = false;
    s->finish = NULL;
    s->result = 0;
    s->err.text[0] = '\0';
    session_hold(s);
    if (t && (s->protocol & t->needs) == t->needs) {
        s->result = hear(s, m);
        if (s->result >= 0)
            s->result = t->handle(s, m);
    } else {
        /* Spec: "the back-end should respond with non-zero" to what it does
         * not know, where an answer was asked for; the session goes on. */
        log_limited(endpoint_limit(s->endpoint, LINE_REFUSED), LOG_WARN,
                    s->device->id,
                    t ? "%s without its protocol feature" : "unknown %s",
                    msg_name(m->header.request, name));
        if ((m->header.flags & MSG_NEED_REPLY) &&
            (s->protocol & PROTO_REPLY_ACK))
            reply_u64(s, 1);
    }
    session_release(s);
}
