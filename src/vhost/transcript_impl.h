/* vhost/transcript_impl.h: a transcript from inside: transcript.c hears,
 * transcript_tell.c tells. */
#ifndef VUB_VHOST_TRANSCRIPT_IMPL_H
#define VUB_VHOST_TRANSCRIPT_IMPL_H

#include "vhost/transcript.h"
#include "virtio/device.h"
#include "virtio/mem.h"
#include "virtio/spec.h"

/* SET_VRING_KICK, CALL or ERR. */
struct notifier {
    bool said;
    int fd; /* -1: none, and NOFD was said */
};

struct ring_words {
    bool has_num, has_base, has_addr;
    uint32_t num, base;
    struct msg_vring_addr addr;
    struct notifier kick, call, err;
    enum { AS_ALL, DISABLED, ENABLED } enabled; /* AS_ALL: not said of it */
};

struct region {
    struct msg_region at;
    int fd;
};

struct config_byte {
    bool said;
    uint8_t value;
    uint32_t flags;
};

struct transcript {
    struct closer *closer;
    bool has_protocol, has_features;
    uint64_t protocol, features;
    bool all_enabled; /* rings of which nothing else was said */
    int channel_fd, log_fd, record_fd, display_fd; /* -1: not said */
    struct msg_log log;
    struct msg_inflight record;
    uint32_t record_bytes; /* of the payload, which has two sizes */
    struct config_byte config[MSG_CONFIG_BYTES_MAX];
    struct ring_words rings[DEVICE_MAX_QUEUES];
    struct region regions[MEM_REGIONS_MAX];
    unsigned num_regions;
    bool hears;
    struct msg heard; /* with copies of its fds */
    struct msg told;
};

#endif
