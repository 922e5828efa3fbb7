/* tests/fuzz/messages.h: messages of a front-end as they ought to be. */
#ifndef VUB_TESTS_FUZZ_MESSAGES_H
#define VUB_TESTS_FUZZ_MESSAGES_H

#include "vhost/msg.h"

/* How many bytes of payload the spec has; where it depends on them, or may be
 * one or another, the payload decides: at most 12 + 64, or 8 + 8 * 32. */
static inline uint32_t message_bytes(uint32_t request, const uint8_t *payload)
{
    switch (request) {
    case MSG_SET_OWNER:
    case MSG_RESET_OWNER:
    case MSG_RESET_DEVICE:
    case MSG_GPU_SET_SOCKET:
    case MSG_SET_BACKEND_REQ_FD:
    case MSG_GET_FEATURES:
    case MSG_GET_PROTOCOL_FEATURES:
    case MSG_GET_QUEUE_NUM:
        return 0;
    case MSG_SET_MEM_TABLE:
        return 8 + (payload[0] % 9u) * 32u;
    case MSG_SET_LOG_BASE:
        return 16;
    case MSG_SET_VRING_ADDR:
    case MSG_ADD_MEM_REG:
    case MSG_REM_MEM_REG:
        return 40;
    case MSG_GET_CONFIG:
    case MSG_SET_CONFIG:
        return 12 + payload[4] % 64u;
    case MSG_GET_INFLIGHT_FD:
    case MSG_SET_INFLIGHT_FD:
        return payload[0] & 1 ? 24 : 20;
    default:
        return 8;
    }
}

#endif
