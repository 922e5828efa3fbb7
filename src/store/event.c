/* Events of stores: there is one listener in the process, the daemon. */
#include "store/event.h"

#include "loop/loop.h"
#include "store/store.h"

#define SECOND_NS UINT64_C(1000000000)

static struct {
    bool (*wanted)(void *arg);
    void (*tell)(struct json_out *members, void *arg);
    void *arg;
} listener;

void store_event_listen(bool (*wanted)(void *arg),
                        void (*tell)(struct json_out *members, void *arg),
                        void *arg)
{
    listener.wanted = wanted;
    listener.tell = tell;
    listener.arg = arg;
}

static bool may_pass(struct store_event_limit *limit)
{
    uint64_t now = loop_now_ns();

    if (now - limit->since_ns >= SECOND_NS) {
        limit->since_ns = now;
        limit->passed = 0;
    }
    if (limit->passed == STORE_EVENTS) {
        limit->left_out++;
        return false;
    }
    limit->passed++;
    return true;
}

bool store_event_begin(struct json_out *o, const char *event,
                       const struct store *s, struct store_event_limit *limit)
{
    *o = JSON_OUT_EMPTY;
    if (!listener.tell || !listener.wanted(listener.arg) || !may_pass(limit))
        return false;
    json_add_str(o, "event", event);
    json_add_str(o, "device", s->id);
    if (s->name)
        json_add_str(o, "filter", s->name);
    if (limit->left_out)
        json_add_u64(o, "left_out", limit->left_out);
    limit->left_out = 0;
    return true;
}

void store_event_end(struct json_out *o)
{
    listener.tell(o, listener.arg);
}
