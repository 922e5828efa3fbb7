/* The throttles of the process, by their names. Whoever says limits says the
 * same as the others, or leaves it to them: what is compared is what configs
 * say, so that one more may come after limits have been changed, and gets the
 * changed ones. Configs may come to say something else; that is in force when
 * all of them have. */
#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"
#include "store/throttle.h"
#include "store/throttle_impl.h"

pthread_mutex_t throttles_lock = PTHREAD_MUTEX_INITIALIZER;
struct list throttles = {&throttles, &throttles};

struct throttle_name *throttle_find(const char *name)
{
    LIST_EACH (&throttles, node)
        if (strcmp(throttle_name_at(node)->name, name) == 0)
            return throttle_name_at(node);
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
    list_add(&throttles, &n->node);
    return n;
}

/* The limits that somebody says; NULL: nobody does. */
static const struct limits *said_by_one(const struct throttle_name *n)
{
    LIST_EACH (&n->members, node)
        if (!limits_are_none(&throttle_member_at(node)->says))
            return &throttle_member_at(node)->says;
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

void throttle_keep(struct throttle_name *n)
{
    struct kept_limits k;

    memset(&k, 0, sizeof(k));
    k.said = n->said;
    budget_get(&n->budget, &k.now);
    LIST_EACH (&n->members, node) {
        struct throttle_member *m = throttle_member_at(node);

        if (m->kept.at)
            keep_pair_write(m->kept.at, &k, sizeof(k));
    }
}

int throttle_join(struct throttle_member *m, const char *name, const char *at,
                  struct errs *e)
{
    struct throttle_name *n;
    int rc;

    pthread_mutex_lock(&throttles_lock);
    n = throttle_find(name);
    if (!n)
        n = make(name);
    rc = n ? agree(n, &m->says, at, e) : errs_nomem(e);
    if (rc == 0) {
        m->name = n;
        list_add(&n->members, &m->node);
        budget_user_add(&m->user, &n->budget);
        throttle_keep(n); /* what it says, the others may not have said */
    }
    pthread_mutex_unlock(&throttles_lock);
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
    pthread_mutex_lock(&throttles_lock);
    recall(m->name, m);
    throttle_keep(m->name);
    pthread_mutex_unlock(&throttles_lock);
    return 0;
}

void throttle_leave(struct throttle_member *m)
{
    struct throttle_name *n = m->name;

    pthread_mutex_lock(&throttles_lock);
    budget_user_del(&m->user);
    list_del(&m->node);
    if (list_empty(&n->members)) {
        list_del(&n->node);
        budget_fini(&n->budget);
        free_name(n);
    }
    pthread_mutex_unlock(&throttles_lock);
    keep_drop(&m->kept);
}

/* ---- configs that change ---- */

static struct throttle_member *opened_by(const struct conf_any *o)
{
    LIST_EACH (&throttles, name)
        LIST_EACH (&throttle_name_at(name)->members, node)
            if (throttle_member_at(node)->conf == o->data)
                return throttle_member_at(node);
    return NULL;
}

bool throttle_is_open(const struct conf_any *o)
{
    bool is_open;

    pthread_mutex_lock(&throttles_lock);
    is_open = opened_by(o) != NULL;
    pthread_mutex_unlock(&throttles_lock);
    return is_open;
}

void throttle_say(const struct conf_any *o, const struct limits *l)
{
    struct throttle_member *m;

    pthread_mutex_lock(&throttles_lock);
    m = opened_by(o);
    if (m) {
        m->says = *l;
        m->name->unsettled = true;
    }
    pthread_mutex_unlock(&throttles_lock);
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
    throttle_keep(n);
}

void throttle_settle(void)
{
    pthread_mutex_lock(&throttles_lock);
    LIST_EACH (&throttles, node)
        if (throttle_name_at(node)->unsettled)
            settle(throttle_name_at(node));
    pthread_mutex_unlock(&throttles_lock);
}
