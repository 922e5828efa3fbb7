/* vhost/msg.h: vhost-user messages as they are on the wire.
 *
 * Spec: vhost-user, "Message Specification". Both ends are on one machine:
 * numbers are in its byte order. A payload is read once from the socket into
 * our memory, so nothing in it changes while it is checked. */
#ifndef VUB_VHOST_MSG_H
#define VUB_VHOST_MSG_H

#include "base/base.h"
#include "os/sock.h"

enum {
    MSG_GET_FEATURES = 1,
    MSG_SET_FEATURES = 2,
    MSG_SET_OWNER = 3,
    MSG_RESET_OWNER = 4,
    MSG_SET_MEM_TABLE = 5,
    MSG_SET_LOG_BASE = 6,
    MSG_SET_LOG_FD = 7,
    MSG_SET_VRING_NUM = 8,
    MSG_SET_VRING_ADDR = 9,
    MSG_SET_VRING_BASE = 10,
    MSG_GET_VRING_BASE = 11,
    MSG_SET_VRING_KICK = 12,
    MSG_SET_VRING_CALL = 13,
    MSG_SET_VRING_ERR = 14,
    MSG_GET_PROTOCOL_FEATURES = 15,
    MSG_SET_PROTOCOL_FEATURES = 16,
    MSG_GET_QUEUE_NUM = 17,
    MSG_SET_VRING_ENABLE = 18,
    MSG_SET_BACKEND_REQ_FD = 21,
    MSG_GET_CONFIG = 24,
    MSG_SET_CONFIG = 25,
    MSG_GET_INFLIGHT_FD = 31,
    MSG_SET_INFLIGHT_FD = 32,
    MSG_GPU_SET_SOCKET = 33,
    MSG_RESET_DEVICE = 34,
    MSG_GET_MAX_MEM_SLOTS = 36,
    MSG_ADD_MEM_REG = 37,
    MSG_REM_MEM_REG = 38,
};

/* From the back-end, on its own channel. */
enum { MSG_BACKEND_CONFIG_CHANGE = 2 };

/* Protocol feature bits. */
#define PROTO_MQ (1ull << 0)
#define PROTO_LOG_SHMFD (1ull << 1)
#define PROTO_REPLY_ACK (1ull << 3)
#define PROTO_BACKEND_REQ (1ull << 5)
#define PROTO_CONFIG (1ull << 9)
#define PROTO_BACKEND_SEND_FD (1ull << 10)
#define PROTO_INFLIGHT_SHMFD (1ull << 12)
#define PROTO_RESET_DEVICE (1ull << 13)
#define PROTO_CONFIGURE_MEM_SLOTS (1ull << 15)

#define MSG_VERSION 1u
#define MSG_VERSION_MASK 3u
#define MSG_REPLY (1u << 2)
#define MSG_NEED_REPLY (1u << 3)
/* Ours, of a GET_VRING_BASE from a relay to its child: the ring stops because
 * another process goes on with it, and the guest is to notice nothing. */
#define MSG_SUSPENDS (1u << 16)
/* Likewise: the relay asks that, and no front-end. */
#define MSG_OF_RELAY (1u << 17)

struct msg_header {
    uint32_t request, flags, size; /* size: of the payload, bytes */
};

struct msg_vring_state {
    uint32_t index, num;
};

#define MSG_VRING_LOG (1u << 0)

struct msg_vring_addr {
    uint32_t index, flags;
    uint64_t desc, used, avail, log;
};

/* SET_VRING_KICK, CALL, ERR: a u64. */
#define MSG_VRING_INDEX_MASK 0xffu
#define MSG_VRING_NOFD (1u << 8)

struct msg_region {
    uint64_t gpa, len, uva, offset;
};

#define MSG_REGIONS_MAX 8

struct msg_mem_table {
    uint32_t num, padding;
    struct msg_region regions[MSG_REGIONS_MAX];
};

struct msg_mem_reg {
    uint64_t padding;
    struct msg_region region;
};

struct msg_log {
    uint64_t size, offset;
};

#define MSG_CONFIG_BYTES_MAX 256

struct msg_config {
    uint32_t offset, size, flags;
    uint8_t bytes[MSG_CONFIG_BYTES_MAX];
};

#define MSG_CONFIG_HEADER offsetof(struct msg_config, bytes)

/* 20 bytes by the spec, 24 from front-ends that send the C struct. */
struct msg_inflight {
    uint64_t mmap_size, mmap_offset;
    uint16_t num_queues, queue_size;
    uint32_t padding;
};

#define MSG_INFLIGHT_BYTES 20

union msg_payload {
    uint64_t u64;
    struct msg_vring_state state;
    struct msg_vring_addr addr;
    struct msg_mem_table table;
    struct msg_mem_reg reg;
    struct msg_log log;
    struct msg_config config;
    struct msg_inflight inflight;
};

/* A message received. Its fds are its own until msg_take_fd; those that nobody
 * takes are closed when it is dealt with. */
struct msg {
    struct msg_header header;
    union msg_payload payload;
    int fds[SOCK_FDS_ROOM]; /* -1: taken */
    unsigned num_fds;
};

/* fd i, now the caller's. */
static inline int msg_take_fd(struct msg *m, unsigned i)
{
    int fd = m->fds[i];

    m->fds[i] = -1;
    return fd;
}

bool msg_is_known(uint32_t request);
/* "SET_VRING_NUM", or "request 99" for one that we do not know. */
const char *msg_name(uint32_t request, char buf[32]);

#endif
