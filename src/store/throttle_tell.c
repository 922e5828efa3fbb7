/* The throttles for those who run vub, by their names: what they hold whom to,
 * and how long who waits, in status and in metrics; and limits that are set
 * live. What is set is nobody's word: a config that says the same as before
 * leaves it in force (throttle_name.c). */
#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "store/throttle.h"
#include "store/throttle_impl.h"

/* ---- limits that are set ---- */

static int set(const char *name, const struct limits_conf *c, struct limits *l,
               struct err *e)
{
    struct throttle_name *n = throttle_find(name);
    const char *bad;

    if (!n)
        return err_set(e, -ENOENT, "name", "there is no throttle \"%.64s\"",
                       name);
    budget_get(&n->budget, l);
    limits_change(l, c);
    bad = limits_bad_burst(l);
    if (bad)
        return err_set(e, -EINVAL, bad, "a burst of what has no limit");
    budget_set(&n->budget, l, loop_now_ns());
    throttle_keep(n);
    return 0;
}

int throttle_set(const char *name, const struct limits_conf *c,
                 struct json_out *o, struct err *e)
{
    struct limits l;
    int rc;

    pthread_mutex_lock(&throttles_lock);
    rc = set(name, c, &l, e);
    pthread_mutex_unlock(&throttles_lock);
    if (rc == 0)
        limits_tell(&l, o);
    return rc;
}

/* ---- status ---- */

static bool is_used_by(const struct throttle_name *n, const char *device)
{
    LIST_EACH (&n->members, node)
        if (!device || strcmp(throttle_member_at(node)->device, device) == 0)
            return true;
    return false;
}

static void tell_member(struct throttle_member *m, struct json_out *o)
{
    struct budget_look look;

    budget_user_look(&m->user, loop_now_ns(), &look);
    json_begin(o, NULL, '{');
    json_add_str(o, "device", m->device);
    json_add_u64(o, "waiting", look.waiting);
    json_add_u64(o, "waiting_ms", look.oldest_ns / 1000000);
    json_add_u64(o, "held", look.held);
    json_add_u64(o, "held_ms", look.held_ns / 1000000);
    json_end(o, '}');
}

static void tell(struct throttle_name *n, struct json_out *o)
{
    struct limits l;

    budget_get(&n->budget, &l);
    json_begin(o, NULL, '{');
    json_add_str(o, "name", n->name);
    limits_tell(&l, o);
    json_begin(o, "users", '[');
    LIST_EACH (&n->members, node)
        tell_member(throttle_member_at(node), o);
    json_end(o, ']');
    json_end(o, '}');
}

void throttle_status(struct json_out *o, const char *device)
{
    pthread_mutex_lock(&throttles_lock);
    LIST_EACH (&throttles, node)
        if (is_used_by(throttle_name_at(node), device))
            tell(throttle_name_at(node), o);
    pthread_mutex_unlock(&throttles_lock);
}

/* ---- metrics ---- */

static const struct metric_family ops_limit = {
    "vub_throttle_operations_limit", METRIC_GAUGE, NULL,
    "Operations a second that a throttle lets pass."};
static const struct metric_family bytes_limit = {
    "vub_throttle_limit_bytes", METRIC_GAUGE, "bytes",
    "Bytes a second that a throttle lets pass."};
static const struct metric_family waiting = {
    "vub_throttle_waiting", METRIC_GAUGE, NULL,
    "Requests that wait in a throttle."};
static const struct metric_family oldest = {
    "vub_throttle_oldest_seconds", METRIC_GAUGE, "seconds",
    "How long the one has waited that waits longest."};
static const struct metric_family held = {
    "vub_throttle_held", METRIC_COUNTER, NULL,
    "Requests that had to wait in a throttle."};
static const struct metric_family held_time = {
    "vub_throttle_held_seconds", METRIC_COUNTER, "seconds",
    "How long they waited, together."};

static void add_limits(struct metrics *m, struct throttle_name *n)
{
    struct limits l;

    budget_get(&n->budget, &l);
    for (unsigned i = 0; i < LIMIT_KINDS; i++) {
        if (l.ops[i].rate)
            metrics_add_about(m, &ops_limit, l.ops[i].rate, "throttle", n->name,
                              "of=\"%s\"", limit_kind_words[i]);
        if (l.bytes[i].rate)
            metrics_add_about(m, &bytes_limit, l.bytes[i].rate, "throttle",
                              n->name, "of=\"%s\"", limit_kind_words[i]);
    }
}

void throttle_metrics(struct metrics *m, const char *device)
{
    pthread_mutex_lock(&throttles_lock);
    LIST_EACH (&throttles, node)
        if (is_used_by(throttle_name_at(node), device))
            add_limits(m, throttle_name_at(node));
    pthread_mutex_unlock(&throttles_lock);
}

/* A device may have several units that use it. */
static void add_user(struct metrics *m, const struct throttle_name *n,
                     const char *device)
{
    struct budget_look all = {0}, look;

    LIST_EACH (&n->members, node) {
        if (strcmp(throttle_member_at(node)->device, device) != 0)
            continue;
        budget_user_look(&throttle_member_at(node)->user, loop_now_ns(), &look);
        all.waiting += look.waiting;
        all.oldest_ns = MAX(all.oldest_ns, look.oldest_ns);
        all.held += look.held;
        all.held_ns += look.held_ns;
    }
    metrics_add_about(m, &waiting, all.waiting, "throttle", n->name, "%s", "");
    metrics_add_about(m, &oldest, all.oldest_ns, "throttle", n->name, "%s", "");
    metrics_add_about(m, &held, all.held, "throttle", n->name, "%s", "");
    metrics_add_about(m, &held_time, all.held_ns, "throttle", n->name, "%s",
                      "");
}

void throttle_metrics_of_user(struct metrics *m, const char *device)
{
    pthread_mutex_lock(&throttles_lock);
    LIST_EACH (&throttles, node)
        if (is_used_by(throttle_name_at(node), device))
            add_user(m, throttle_name_at(node), device);
    pthread_mutex_unlock(&throttles_lock);
}
