/* store/event.h: what a store tells of at once, for whoever listens on the
 * control socket.
 *
 *     struct json_out o;
 *
 *     if (store_event_begin(&o, "fault.fired", s, &f->limit)) {
 *         json_add_u64(&o, "offset", r->offset);
 *         store_event_end(&o);
 *     }
 *
 * A guest may cause events: more than STORE_EVENTS of a store in a second are
 * left out, and the next one says how many were.
 * Threads: any; a struct store_event_limit is used by one. */
#ifndef VUB_STORE_EVENT_H
#define VUB_STORE_EVENT_H

#include "base/json_out.h"

#define STORE_EVENTS 50

struct store;

/* Zero is a good start. */
struct store_event_limit {
    uint64_t since_ns;
    unsigned passed;
    uint64_t left_out;
};

/* [main, while no other thread is there] Who is told, of all stores of the
 * process; NULL: nobody. wanted and tell run on whatever thread an event comes
 * from. wanted: does anybody listen? tell takes members, the first of which is
 * "event". */
void store_event_listen(bool (*wanted)(void *arg),
                        void (*tell)(struct json_out *members, void *arg),
                        void *arg);

/* Begins an event of s with "event", "device" and, if it has one, "filter", its
 * name. False: nobody is to be told, and o is empty. */
bool store_event_begin(struct json_out *o, const char *event,
                       const struct store *s, struct store_event_limit *limit);
/* Tells it. o is gone. */
void store_event_end(struct json_out *o);

#endif
