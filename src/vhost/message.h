/* vhost/message.h: the table of front-end messages. For vhost/.
 *
 * Spec: vhost-user, "Front-end message types". A handler gets a message of
 * the right size and number of fds. It returns 0, or a negative errno with a
 * sentence in s->err: the message is refused (an error ack if one was asked
 * for; else the session ends). A handler with an answer of its own sends it,
 * or sets s->finish when rings are to be waited for. It takes the fds it
 * keeps; the rest are closed. */
#ifndef VUB_VHOST_MESSAGE_H
#define VUB_VHOST_MESSAGE_H

#include "vhost/session.h"

typedef int message_fn(struct session *s, struct msg *m);

/* message_mem.c */
message_fn message_set_mem_table, message_add_mem_reg, message_rem_mem_reg,
    message_get_max_mem_slots, message_set_log_base, message_set_log_fd,
    message_get_inflight_fd, message_set_inflight_fd;

/* message_ring.c */
message_fn message_set_vring_num, message_set_vring_addr,
    message_set_vring_base, message_get_vring_base, message_set_vring_kick,
    message_set_vring_call, message_set_vring_err, message_set_vring_enable,
    message_reset_owner, message_reset_device;

/* ---- of messages as such, for who passes them on ---- */

/* Has it the form of its request? Else why holds a clause. */
#define MESSAGE_WHY 160
bool message_form(const struct msg *m, char why[MESSAGE_WHY]);
/* Is it one that we know, whose protocol features are there? */
bool message_is_allowed(uint32_t request, uint64_t protocol);
/* Has it an answer of its own, whether one was asked for or not? */
bool message_has_answer(uint32_t request);

/* ---- */

/* Tells started rings what their home halves say: enabled, logged. */
void message_update_rings(struct session *s);
/* Where v's three parts lie in mem, for a ring of that format (packed,
 * event_idx). -EFAULT: not in one region each; -EINVAL: not aligned. */
int message_ring_parts(const struct vring *v, const struct mem *mem,
                       const struct ring_setup *format, void *parts[3],
                       struct err *e);

#endif
