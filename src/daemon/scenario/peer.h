/* daemon/scenario/peer.h: the connection to a vub: one call at a time, and
 * events as they come.
 *
 * It does not wait: whoever does (engine.h) has it read and write. Threads: the
 * only one. */
#ifndef VUB_DAEMON_SCENARIO_PEER_H
#define VUB_DAEMON_SCENARIO_PEER_H

#include "conf/json.h"
#include "daemon/control/ctl_impl.h"

struct peer {
    struct ctl wire;
    char *out; /* to be sent, from out_sent on; NULL: nothing is */
    size_t out_len, out_sent;
    uint64_t id;         /* of the last call */
    struct json *answer; /* to that; NULL: it has not come */
    bool gone;           /* nobody is at the other end */
    bool more;           /* lines have come that are not taken yet: there may
                          * be nothing more to wait for */
};

/* socket, config: where (ctl_impl.h). -1: it is connected; else the exit
 * status, and why has been told. */
int peer_open(struct peer *p, const char *socket, const char *config);
void peer_close(struct peer *p);
static inline int peer_fd(const struct peer *p)
{
    return p->gone ? -1 : p->wire.fd;
}
static inline bool peer_has_more(const struct peer *p)
{
    return p->out != NULL;
}
/* params: JSON; NULL: none. What came of the call before counts no more. 0 or
 * negative errno. */
int peer_ask(struct peer *p, const char *method, const char *params);
/* Sends what can be sent. */
void peer_send(struct peer *p);
/* Takes what has come. event: the params of one, good for the call. */
void peer_receive(struct peer *p,
                  void (*event)(const struct json *params, void *arg),
                  void *arg);
/* Of an answer: its result, or NULL, and e says why it is an error. */
const struct json *peer_result(const struct json *answer, struct err *e);

#endif
