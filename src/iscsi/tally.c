/* A block device has a session with its target on each of its loops, which
 * comes with a front-end and goes with it. What is counted is counted for all
 * of them together, as long as there is one: those who draw curves want numbers
 * that only grow, and ask from another thread. */
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "iscsi/impl.h"
#include "os/thread.h"

struct tally {
    struct list node;
    char *device, *target;
    unsigned sessions;
    uint64_t counts[TALLY_COUNTS]; /* atomic */
};

static struct list tallies = {&tallies, &tallies};
/* Over all but counts. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct tally *tally_at(struct list *node)
{
    return container_of(node, struct tally, node);
}

static struct tally *find(const char *device, const char *target)
{
    LIST_EACH (&tallies, node) {
        struct tally *t = tally_at(node);

        if (strcmp(t->device, device) == 0 && strcmp(t->target, target) == 0)
            return t;
    }
    return NULL;
}

static void free_tally(struct tally *t)
{
    free(t->device);
    free(t->target);
    free(t);
}

static struct tally *make(const char *device, const char *target)
{
    struct tally *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->device = strdup(device);
    t->target = strdup(target);
    if (!t->device || !t->target) {
        free_tally(t);
        return NULL;
    }
    list_add(&tallies, &t->node);
    return t;
}

struct tally *tally_get(const char *device, const char *target)
{
    struct tally *t;

    pthread_mutex_lock(&lock);
    t = find(device, target);
    if (!t)
        t = make(device, target);
    if (t)
        t->sessions++;
    pthread_mutex_unlock(&lock);
    return t;
}

void tally_put(struct tally *t)
{
    pthread_mutex_lock(&lock);
    if (--t->sessions == 0) {
        list_del(&t->node);
        free_tally(t);
    }
    pthread_mutex_unlock(&lock);
}

void tally_add(struct tally *t, enum tally_count what, int n)
{
    __atomic_fetch_add(&t->counts[what], (uint64_t)n, __ATOMIC_RELAXED);
}

/* ---- what is told ---- */

static const struct metric_family sessions = {
    "vub_iscsi_sessions", METRIC_GAUGE, NULL,
    "Sessions that a device has, or wants, with an iSCSI target."};
static const struct metric_family families[TALLY_COUNTS] = {
    [TALLY_UP] = {"vub_iscsi_sessions_up", METRIC_GAUGE, NULL,
                  "Those of them that there are."},
    [TALLY_LOGINS] = {"vub_iscsi_logins", METRIC_COUNTER, NULL,
                      "Sessions that have begun."},
    [TALLY_LOSSES] = {"vub_iscsi_losses", METRIC_COUNTER, NULL,
                      "Sessions that were lost."},
    [TALLY_RESENT] = {"vub_iscsi_commands_resent", METRIC_COUNTER, NULL,
                      "Commands that were lost with a session, and sent "
                      "again."},
};

static const char *const names[TALLY_COUNTS] = {
    [TALLY_UP] = "up",
    [TALLY_LOGINS] = "logins",
    [TALLY_LOSSES] = "losses",
    [TALLY_RESENT] = "sent_again",
};

static uint64_t count(const struct tally *t, unsigned what)
{
    return __atomic_load_n(&t->counts[what], __ATOMIC_RELAXED);
}

void iscsi_metrics(const char *device, struct metrics *m)
{
    pthread_mutex_lock(&lock);
    LIST_EACH (&tallies, node) {
        const struct tally *t = tally_at(node);

        if (strcmp(t->device, device) != 0)
            continue;
        metrics_add_about(m, &sessions, t->sessions, "target", t->target, "%s",
                          "");
        for (unsigned i = 0; i < TALLY_COUNTS; i++)
            metrics_add_about(m, &families[i], count(t, i), "target", t->target,
                              "%s", "");
    }
    pthread_mutex_unlock(&lock);
}

void iscsi_stats(const char *device, struct json_out *o)
{
    bool any = false;

    pthread_mutex_lock(&lock);
    LIST_EACH (&tallies, node) {
        const struct tally *t = tally_at(node);

        if (strcmp(t->device, device) != 0)
            continue;
        if (!any)
            json_begin(o, "iscsi", '[');
        any = true;
        json_begin(o, NULL, '{');
        json_add_str(o, "target", t->target);
        json_add_u64(o, "sessions", t->sessions);
        for (unsigned i = 0; i < TALLY_COUNTS; i++)
            json_add_u64(o, names[i], count(t, i));
        json_end(o, '}');
    }
    if (any)
        json_end(o, ']');
    pthread_mutex_unlock(&lock);
}
