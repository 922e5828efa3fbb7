/* The throttles of the process, by their names. Whoever says limits says the
 * same as the others, or leaves it to them: what is compared is what configs
 * say, so that one more may come after limits have been changed, and gets the
 * changed ones. Configs may come to say something else; that is in force when
 * all of them have. */
#include "store/throttle_name.h"

#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "store/throttle.h"

struct throttle_name {
    struct list node;
    char *name;
    struct list members;
    struct limits said; /* by a config at last; all 0: by none yet */
    bool unsettled;     /* something else is said than was at last */
    struct budget budget;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list names = {&names, &names};

static struct throttle_name *name_at(struct list *node)
{
    return container_of(node, struct throttle_name, node);
}

static struct throttle_member *member_at(struct list *node)
{
    return container_of(node, struct throttle_member, node);
}

static struct throttle_name *find(const char *name)
{
    LIST_EACH (&names, node)
        if (strcmp(name_at(node)->name, name) == 0)
            return name_at(node);
    return NULL;
}

static void free_name(struct throttle_name *n)
{
    free(n->name);
    free(n);
}

static struct throttle_name *make(const char *name)
{
    struct throttle_name *n = calloc(1, sizeof(*n));

    if (!n)
        return NULL;
    n->name = strdup(name);
    if (!n->name || budget_init(&n->budget) < 0) {
        free_name(n);
        return NULL;
    }
    list_init(&n->members);
    list_add(&names, &n->node);
    return n;
}

/* The limits that somebody says; NULL: nobody does. */
static const struct limits *said_by_one(const struct throttle_name *n)
{
    LIST_EACH (&n->members, node)
        if (!limits_are_none(&member_at(node)->says))
            return &member_at(node)->says;
    return NULL;
}

/* The first to say any does not undo what has been set before. */
static void say_first(struct throttle_name *n, const struct limits *l)
{
    bool is_news = !limits_are_none(&n->said);
    struct limits now;

    if (limits_are_same(l, &n->said))
        return;
    n->said = *l;
    budget_get(&n->budget, &now);
    if (is_news || limits_are_none(&now))
        budget_set(&n->budget, l, loop_now_ns());
}

int throttle_disagree(const char *name, struct err *e)
{
    return err_set(e, -EBUSY, "",
                   "another throttle \"%.64s\" has other limits, and those of "
                   "one name are one: say the same here, or none, or give it "
                   "another name",
                   name);
}

static int agree(struct throttle_name *n, const struct limits *l,
                 const char *at, struct errs *e)
{
    const struct limits *said = said_by_one(n);
    struct err why;

    if (limits_are_none(l))
        return 0;
    if (!said)
        say_first(n, l);
    if (!said || limits_are_same(l, said))
        return 0;
    throttle_disagree(n->name, &why);
    return errs_adopt(e, at, NULL, &why);
}

/* ---- what outlives the process ---- */

/* In the memory of each member. */
struct kept_limits {
    struct limits said, now;
};

static void keep(struct throttle_name *n)
{
    struct kept_limits k;

    memset(&k, 0, sizeof(k));
    k.said = n->said;
    budget_get(&n->budget, &k.now);
    LIST_EACH (&n->members, node) {
        struct throttle_member *m =
            container_of(node, struct throttle_member, node);

        if (m->kept.at)
            keep_pair_write(m->kept.at, &k, sizeof(k));
    }
}

int throttle_join(struct throttle_member *m, const char *name, const char *at,
                  struct errs *e)
{
    struct throttle_name *n;
    int rc;

    pthread_mutex_lock(&lock);
    n = find(name);
    if (!n)
        n = make(name);
    rc = n ? agree(n, &m->says, at, e) : errs_nomem(e);
    if (rc == 0) {
        m->name = n;
        list_add(&n->members, &m->node);
        budget_user_add(&m->user, &n->budget);
        keep(n); /* what it says, the others may not have said */
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

/* As a config could have them, and throttle.set. */
static bool are_possible(const struct limits *l)
{
    for (unsigned i = 0; i < LIMIT_KINDS; i++)
        if (l->ops[i].rate > UINT32_MAX || l->ops[i].burst > UINT32_MAX ||
            l->bytes[i].rate > STORE_SIZE_MAX ||
            l->bytes[i].burst > STORE_SIZE_MAX)
            return false;
    return !limits_bad_burst(l);
}

static void recall(struct throttle_name *n, const struct throttle_member *m)
{
    struct kept_limits k;

    if (m->kept.found && keep_pair_read(m->kept.at, &k, sizeof(k)) &&
        limits_are_same(&k.said, &n->said) && are_possible(&k.now))
        budget_set(&n->budget, &k.now, loop_now_ns());
}

int throttle_member_keep(struct throttle_member *m, const char *name,
                         struct err *e)
{
    char whole[KEEP_NAME_MAX + 1];
    int rc = store_keep_name(whole, name, "throttle.1", e);

    if (rc == 0)
        rc = keep_get(&m->kept, m->device, whole,
                      keep_pair_bytes(sizeof(struct kept_limits)), e);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&lock);
    recall(m->name, m);
    keep(m->name);
    pthread_mutex_unlock(&lock);
    return 0;
}

void throttle_leave(struct throttle_member *m)
{
    struct throttle_name *n = m->name;

    pthread_mutex_lock(&lock);
    budget_user_del(&m->user);
    list_del(&m->node);
    if (list_empty(&n->members)) {
        list_del(&n->node);
        budget_fini(&n->budget);
        free_name(n);
    }
    pthread_mutex_unlock(&lock);
    keep_drop(&m->kept);
}

/* ---- configs that change ---- */

static struct throttle_member *opened_by(const struct conf_any *o)
{
    LIST_EACH (&names, name)
        LIST_EACH (&name_at(name)->members, node)
            if (member_at(node)->conf == o->data)
                return member_at(node);
    return NULL;
}

bool throttle_is_open(const struct conf_any *o)
{
    bool is_open;

    pthread_mutex_lock(&lock);
    is_open = opened_by(o) != NULL;
    pthread_mutex_unlock(&lock);
    return is_open;
}

void throttle_say(const struct conf_any *o, const struct limits *l)
{
    struct throttle_member *m;

    pthread_mutex_lock(&lock);
    m = opened_by(o);
    if (m) {
        m->says = *l;
        m->name->unsettled = true;
    }
    pthread_mutex_unlock(&lock);
}

static void settle(struct throttle_name *n)
{
    static const struct limits none;
    const struct limits *l = said_by_one(n);

    n->unsettled = false;
    if (!l)
        l = &none;
    if (limits_are_same(l, &n->said))
        return;
    n->said = *l;
    budget_set(&n->budget, l, loop_now_ns());
    keep(n);
}

void throttle_settle(void)
{
    pthread_mutex_lock(&lock);
    LIST_EACH (&names, node)
        if (name_at(node)->unsettled)
            settle(name_at(node));
    pthread_mutex_unlock(&lock);
}

/* ---- for who runs vub ---- */

static int set(const char *name, const struct limits_conf *c, struct limits *l,
               struct err *e)
{
    struct throttle_name *n = find(name);
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
    keep(n);
    return 0;
}

int throttle_set(const char *name, const struct limits_conf *c,
                 struct json_out *o, struct err *e)
{
    struct limits l;
    int rc;

    pthread_mutex_lock(&lock);
    rc = set(name, c, &l, e);
    pthread_mutex_unlock(&lock);
    if (rc == 0)
        limits_tell(&l, o);
    return rc;
}

static bool is_used_by(const struct throttle_name *n, const char *device)
{
    LIST_EACH (&n->members, node)
        if (!device || strcmp(member_at(node)->device, device) == 0)
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
        tell_member(member_at(node), o);
    json_end(o, ']');
    json_end(o, '}');
}

void throttle_status(struct json_out *o, const char *device)
{
    pthread_mutex_lock(&lock);
    LIST_EACH (&names, node)
        if (is_used_by(name_at(node), device))
            tell(name_at(node), o);
    pthread_mutex_unlock(&lock);
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
    pthread_mutex_lock(&lock);
    LIST_EACH (&names, node)
        if (is_used_by(name_at(node), device))
            add_limits(m, name_at(node));
    pthread_mutex_unlock(&lock);
}

/* A device may have several units that use it. */
static void add_user(struct metrics *m, const struct throttle_name *n,
                     const char *device)
{
    struct budget_look all = {0}, look;

    LIST_EACH (&n->members, node) {
        if (strcmp(member_at(node)->device, device) != 0)
            continue;
        budget_user_look(&member_at(node)->user, loop_now_ns(), &look);
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
    pthread_mutex_lock(&lock);
    LIST_EACH (&names, node)
        if (is_used_by(name_at(node), device))
            add_user(m, name_at(node), device);
    pthread_mutex_unlock(&lock);
}
