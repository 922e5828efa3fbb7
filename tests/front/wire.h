/* front/wire.h: vhost-user on the wire, as a front-end reads the spec.
 *
 * Written from the specification alone, apart from src/vhost/msg.h on
 * purpose: two readings of it that agree are worth more than one used twice.
 * Numbers are in the byte order of the machine. */
#ifndef FRONT_WIRE_H
#define FRONT_WIRE_H

#include <stddef.h>
#include <stdint.h>

/* vhost-user, "Front-end message types" */
enum wire_request {
    WIRE_GET_FEATURES = 1,
    WIRE_SET_FEATURES = 2,
    WIRE_SET_OWNER = 3,
    WIRE_RESET_OWNER = 4,
    WIRE_SET_MEM_TABLE = 5,
    WIRE_SET_LOG_BASE = 6,
    WIRE_SET_LOG_FD = 7,
    WIRE_SET_VRING_NUM = 8,
    WIRE_SET_VRING_ADDR = 9,
    WIRE_SET_VRING_BASE = 10,
    WIRE_GET_VRING_BASE = 11,
    WIRE_SET_VRING_KICK = 12,
    WIRE_SET_VRING_CALL = 13,
    WIRE_SET_VRING_ERR = 14,
    WIRE_GET_PROTOCOL_FEATURES = 15,
    WIRE_SET_PROTOCOL_FEATURES = 16,
    WIRE_GET_QUEUE_NUM = 17,
    WIRE_SET_VRING_ENABLE = 18,
    WIRE_SEND_RARP = 19,
    WIRE_NET_SET_MTU = 20,
    WIRE_SET_BACKEND_REQ_FD = 21,
    WIRE_IOTLB_MSG = 22,
    WIRE_SET_VRING_ENDIAN = 23,
    WIRE_GET_CONFIG = 24,
    WIRE_SET_CONFIG = 25,
    WIRE_GET_INFLIGHT_FD = 31,
    WIRE_SET_INFLIGHT_FD = 32,
    WIRE_GPU_SET_SOCKET = 33,
    WIRE_RESET_DEVICE = 34,
    WIRE_GET_MAX_MEM_SLOTS = 36,
    WIRE_ADD_MEM_REG = 37,
    WIRE_REM_MEM_REG = 38,
    WIRE_SET_STATUS = 39,
    WIRE_GET_STATUS = 40,
};

/* "Back-end message types" */
enum { WIRE_BACKEND_CONFIG_CHANGE = 2 };

/* "Header" */
#define WIRE_VERSION 0x1u
#define WIRE_REPLY 0x4u
#define WIRE_NEED_REPLY 0x8u

struct wire_header {
    uint32_t request, flags, size;
};

/* "Protocol features": bit numbers */
#define WIRE_PF_MQ 0
#define WIRE_PF_LOG_SHMFD 1
#define WIRE_PF_REPLY_ACK 3
#define WIRE_PF_BACKEND_REQ 5
#define WIRE_PF_CONFIG 9
#define WIRE_PF_BACKEND_SEND_FD 10
#define WIRE_PF_INFLIGHT_SHMFD 12
#define WIRE_PF_RESET_DEVICE 13
#define WIRE_PF_CONFIGURE_MEM_SLOTS 15
#define WIRE_PF_STATUS 16

/* "A vring state description" */
struct wire_state {
    uint32_t index, num;
};

/* "A vring address description" */
struct wire_addr {
    uint32_t index, flags;
    uint64_t desc, used, avail, log;
};

#define WIRE_VRING_F_LOG 1u

/* Payload of SET_VRING_KICK, CALL and ERR: bits 0 to 7 the index, and: */
#define WIRE_VRING_NOFD 0x100u

/* "Memory regions description" */
struct wire_region {
    uint64_t gpa, len, uva, offset;
};

#define WIRE_TABLE_MAX 8

struct wire_table {
    uint32_t num, padding;
    struct wire_region regions[WIRE_TABLE_MAX];
};

/* "Single memory region description" */
struct wire_one_region {
    uint64_t padding;
    struct wire_region region;
};

/* "Log description" */
struct wire_log {
    uint64_t size, offset;
};

/* "Virtio device config space" */
#define WIRE_CONFIG_MAX 256

struct wire_config {
    uint32_t offset, size, flags;
    uint8_t bytes[WIRE_CONFIG_MAX];
};

#define WIRE_CONFIG_HEADER 12

/* "Inflight description": 20 bytes; QEMU's struct has 24. */
struct wire_inflight {
    uint64_t mmap_size, mmap_offset;
    uint16_t num_queues, queue_size;
};

#define WIRE_INFLIGHT_BYTES 20

/* "Inflight I/O tracking", both layouts. */
struct wire_inflight_split {
    uint64_t features;
    uint16_t version, desc_num, last_batch_head, used_idx;
    struct {
        uint8_t inflight, padding[5];
        uint16_t next;
        uint64_t counter;
    } desc[];
};

struct wire_inflight_packed {
    uint64_t features;
    uint16_t version, desc_num, free_head, old_free_head;
    uint16_t used_idx, old_used_idx;
    uint8_t used_wrap, old_used_wrap, padding[7];
    struct {
        uint8_t inflight, padding;
        uint16_t next, last, num;
        uint64_t counter;
        uint16_t id, flags;
        uint32_t len;
        uint64_t addr;
    } desc[];
};

_Static_assert(sizeof(struct wire_header) == 12, "spec");
_Static_assert(sizeof(struct wire_addr) == 40, "spec");
_Static_assert(sizeof(struct wire_table) == 8 + 8 * 32, "spec");
_Static_assert(sizeof(struct wire_one_region) == 40, "spec");
_Static_assert(offsetof(struct wire_config, bytes) == WIRE_CONFIG_HEADER,
               "spec");

#endif
