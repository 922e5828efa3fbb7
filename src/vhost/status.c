/* What there is to tell of a session. Of a ring on another loop only what the
 * front-end has said is told, and counters: those may be read by anybody. */
#include <inttypes.h>
#include <stdio.h>

#include "base/json_out.h"
#include "vhost/endpoint_impl.h"
#include "vhost/session.h"
#include "virtio/spec.h"

/* The bits that are not the device type's. */
static const char *const ring_features[64] = {
    [VHOST_F_LOG_ALL] = "LOG_ALL",
    [VIRTIO_F_INDIRECT_DESC] = "INDIRECT_DESC",
    [VIRTIO_F_EVENT_IDX] = "EVENT_IDX",
    [VHOST_USER_F_PROTOCOL_FEATURES] = "PROTOCOL_FEATURES",
    [VIRTIO_F_VERSION_1] = "VERSION_1",
    [VIRTIO_F_ACCESS_PLATFORM] = "ACCESS_PLATFORM",
    [VIRTIO_F_RING_PACKED] = "RING_PACKED",
    [VIRTIO_F_IN_ORDER] = "IN_ORDER",
    [VIRTIO_F_ORDER_PLATFORM] = "ORDER_PLATFORM",
    [VIRTIO_F_SR_IOV] = "SR_IOV",
    [VIRTIO_F_NOTIFICATION_DATA] = "NOTIFICATION_DATA",
    [VIRTIO_F_NOTIF_CONFIG_DATA] = "NOTIF_CONFIG_DATA",
    [VIRTIO_F_RING_RESET] = "RING_RESET",
};

static const char *const protocol_features[64] = {
    [0] = "MQ",
    [1] = "LOG_SHMFD",
    [3] = "REPLY_ACK",
    [5] = "BACKEND_REQ",
    [9] = "CONFIG",
    [10] = "BACKEND_SEND_FD",
    [12] = "INFLIGHT_SHMFD",
    [13] = "RESET_DEVICE",
    [15] = "CONFIGURE_MEM_SLOTS",
};

static const char *name_of(const char *const *names, unsigned count,
                           unsigned bit)
{
    return names && bit < count ? names[bit] : NULL;
}

/* of: of the device type, for the bits that are its own; may be NULL. */
static void add_bits(struct json_out *o, const char *key, uint64_t bits,
                     const char *const *names, const char *const *of)
{
    char text[24];
    const char *name;

    json_begin(o, key, '{');
    snprintf(text, sizeof(text), "0x%" PRIx64, bits);
    json_add_str(o, "hex", text);
    json_begin(o, "names", '[');
    for (unsigned i = 0; i < 64; i++) {
        if (!(bits >> i & 1))
            continue;
        name = name_of(of, 24, i);
        if (!name)
            name = names[i];
        snprintf(text, sizeof(text), "bit %u", i);
        json_add_str(o, NULL, name ? name : text);
    }
    json_end(o, ']');
    json_end(o, '}');
}

static void add_rings(struct json_out *o, struct endpoint *ep,
                      const struct session *s)
{
    unsigned count = endpoint_device(ep)->num_queues;

    json_begin(o, "rings", '[');
    for (unsigned i = 0; i < count; i++) {
        const struct vring *v = s ? &s->vrings[i] : NULL;

        json_begin(o, NULL, '{');
        json_add_u64(o, "index", i);
        if (v) {
            json_add_u64(o, "size", v->set.size);
            json_add_bool(o, "started", v->set.started);
            json_add_bool(o, "enabled", v->set.enabled);
            json_add_bool(o, "packed", s->features >> VIRTIO_F_RING_PACKED & 1);
        }
        stats_add_counters(o, endpoint_ring_stats(ep, i));
        json_end(o, '}');
    }
    json_end(o, ']');
}

const char *endpoint_state(struct endpoint *ep)
{
    const struct session *s = endpoint_session(ep);

    if (!s)
        return "none";
    return session_runs(s) ? "running" : "connected";
}

void endpoint_status(struct endpoint *ep, struct json_out *o)
{
    const struct session *s = endpoint_session(ep);
    unsigned draining = endpoint_draining(ep);

    json_add_str(o, "state", endpoint_state(ep));
    if (draining)
        json_add_u64(o, "draining", draining);
    if (s) {
        json_begin(o, "front_end", '{');
        json_add_i64(o, "pid", s->peer_pid);
        json_add_u64(o, "uid", s->peer_uid);
        json_end(o, '}');
        add_bits(o, "features", s->features, ring_features,
                 endpoint_device(ep)->ops->feature_names);
        add_bits(o, "protocol_features", s->protocol, protocol_features, NULL);
    }
    add_rings(o, ep, s);
}
