/* Turns.
 *
 * A user's turn_ns is what its requests so far were worth: the time in which
 * their tokens come, of the limit that is the narrowest for them. The least is
 * next. One that begins to wait starts from nearly where the others are, so
 * that nobody can save turns up. A request of more bytes than a bucket holds is
 * saved up for in parts, each a turn: those of others come in between, and
 * nothing is ever taken that is not there.
 *
 * Who must wait for tokens that all take keeps all behind it waiting, or large
 * requests would never get theirs; who must wait for those of reads, or of
 * writes, keeps only its kind waiting.
 *
 * A drain cannot wait. What it lets go is worth some time too, times the users
 * there are, and for that time its user is given nothing more: the others are
 * not made to pay, and whoever resets its device again and again gets no more
 * than its share. */
#include "store/budget.h"

#include <assert.h>

int budget_init(struct budget *b)
{
    *b = (struct budget){0};
    list_init(&b->waiting);
    list_init(&b->seats);
    list_init(&b->users);
    return -pthread_mutex_init(&b->lock, NULL);
}

void budget_fini(struct budget *b)
{
    assert(list_empty(&b->seats) && list_empty(&b->users));
    pthread_mutex_destroy(&b->lock);
}

/* Who is away for less, as one is that asks again when it is answered, loses no
 * turn by it. */
#define AWAY_NS UINT64_C(20000000)

/* ---- what requests cost ---- */

static enum limit_kind kind_of(const struct store_req *r)
{
    return r->op == STORE_READ ? LIMIT_READS : LIMIT_WRITES;
}

/* What is discarded is not moved; zeros may be. */
static uint64_t bytes_of(const struct store_req *r)
{
    return r->op == STORE_DISCARD || r->op == STORE_FLUSH ? 0 : r->len;
}

/* Is there a limit that it counts for? */
static bool is_limited(const struct budget *b, const struct store_req *r)
{
    enum limit_kind kind = kind_of(r);

    if (b->ops[LIMIT_ALL].rate || b->ops[kind].rate)
        return true;
    return bytes_of(r) && (b->bytes[LIMIT_ALL].rate || b->bytes[kind].rate);
}

static uint64_t worth_ns(const struct budget *b, enum limit_kind kind,
                         uint64_t ops, uint64_t bytes)
{
    uint64_t all = MAX(bucket_worth_ns(&b->ops[LIMIT_ALL], ops),
                       bucket_worth_ns(&b->bytes[LIMIT_ALL], bytes));
    uint64_t own = MAX(bucket_worth_ns(&b->ops[kind], ops),
                       bucket_worth_ns(&b->bytes[kind], bytes));

    return MAX(all, own);
}

/* ---- dealing ---- */

static struct store_req *first_of(const struct budget_lane *l)
{
    return container_of(l->requests.next, struct store_req, node);
}

/* How much of the first request's bytes is asked for now: as much as a bucket
 * can have. */
static uint64_t part_of(const struct budget *b, const struct budget_lane *l)
{
    const struct store_req *r = first_of(l);
    const struct bucket *all = &b->bytes[LIMIT_ALL];
    const struct bucket *own = &b->bytes[kind_of(r)];
    uint64_t part = bytes_of(r) - l->paid;

    if (all->rate)
        part = MIN(part, all->depth);
    if (own->rate)
        part = MIN(part, own->depth);
    return part;
}

/* The lane whose turn it is, of those whose kind is not held up; which may be
 * none. next_ns: when a user that is quiet will not be. */
static struct budget_lane *next_lane(struct budget *b, const bool *held_up,
                                     uint64_t now_ns, uint64_t *next_ns)
{
    struct budget_lane *best = NULL;

    LIST_EACH (&b->waiting, node) {
        struct budget_lane *l = container_of(node, struct budget_lane, node);
        const struct budget_user *u = l->seat->user;

        if (held_up[kind_of(first_of(l))])
            continue;
        if (u->quiet_ns > now_ns)
            *next_ns = MIN(*next_ns, u->quiet_ns - now_ns);
        else if (!best || u->turn_ns < best->seat->user->turn_ns)
            best = l;
    }
    return best;
}

/* The first request of l leaves it. */
static struct store_req *leave(struct budget_lane *l)
{
    struct store_req *r = first_of(l);

    list_del(&r->node);
    l->paid = 0;
    if (list_empty(&l->requests))
        list_del(&l->node);
    return r;
}

static void is_over(struct budget_user *u, const struct store_req *r,
                    uint64_t now_ns)
{
    u->waiting--;
    if (now_ns > r->progress) {
        u->held++;
        u->held_ns += now_ns - r->progress;
    }
}

static void pay(struct budget *b, struct budget_lane *l, uint64_t ops,
                uint64_t bytes)
{
    enum limit_kind kind = kind_of(first_of(l));
    struct budget_user *u = l->seat->user;

    bucket_take(&b->ops[LIMIT_ALL], ops);
    bucket_take(&b->ops[kind], ops);
    bucket_take(&b->bytes[LIMIT_ALL], bytes);
    bucket_take(&b->bytes[kind], bytes);
    b->turn_ns = MAX(b->turn_ns, u->turn_ns);
    u->turn_ns += worth_ns(b, kind, ops, bytes);
    l->paid += bytes;
    /* Of those with the same claim another one is next. */
    list_del(&l->node);
    list_add(&b->waiting, &l->node);
}

static void fill_all(struct budget *b, uint64_t now_ns)
{
    for (unsigned i = 0; i < LIMIT_KINDS; i++) {
        bucket_fill(&b->ops[i], now_ns);
        bucket_fill(&b->bytes[i], now_ns);
    }
}

/* Gives what there is. How long until there is more for somebody. */
static uint64_t deal(struct budget *b, uint64_t now_ns)
{
    bool held_up[LIMIT_KINDS] = {false};
    uint64_t next_ns = BUDGET_NEVER_NS;
    struct budget_lane *l;

    fill_all(b, now_ns);
    while ((l = next_lane(b, held_up, now_ns, &next_ns)) != NULL) {
        struct store_req *r = first_of(l);
        enum limit_kind kind = kind_of(r);
        uint64_t ops = l->paid == 0, bytes = part_of(b, l);
        uint64_t all = MAX(bucket_wait_ns(&b->ops[LIMIT_ALL], ops),
                           bucket_wait_ns(&b->bytes[LIMIT_ALL], bytes));
        uint64_t own = MAX(bucket_wait_ns(&b->ops[kind], ops),
                           bucket_wait_ns(&b->bytes[kind], bytes));

        if (own || all)
            next_ns = MIN(next_ns, MAX(own, all));
        if (own) {
            held_up[kind] = true;
            continue;
        }
        if (all)
            break;
        pay(b, l, ops, bytes);
        if (l->paid < bytes_of(r))
            continue;
        is_over(l->seat->user, r, now_ns);
        leave(l);
        list_add(&l->seat->granted, &r->node);
    }
    return next_ns;
}

/* ---- seats ---- */

static void wake_all(struct budget *b, const struct budget_seat *but)
{
    LIST_EACH (&b->seats, node) {
        struct budget_seat *s = container_of(node, struct budget_seat, node);

        if (s != but && s->user->waiting)
            s->wake(s);
    }
}

static bool waits(const struct budget_seat *s)
{
    return !list_empty(&s->lanes[0].requests) ||
           !list_empty(&s->lanes[1].requests);
}

static void stand_in_line(struct budget_seat *s, struct store_req *r,
                          uint64_t now_ns)
{
    struct budget_user *u = s->user;
    struct budget *b = u->budget;
    struct budget_lane *l =
        &s->lanes[b->by_kind && kind_of(r) == LIMIT_WRITES ? 1 : 0];

    if (u->waiting++ == 0)
        u->turn_ns = MAX(u->turn_ns, b->turn_ns - MIN(b->turn_ns, AWAY_NS));
    r->progress = now_ns;
    if (list_empty(&l->requests))
        list_add(&b->waiting, &l->node);
    list_add(&l->requests, &r->node);
}

uint64_t budget_go(struct budget_seat *s, struct list *asked, uint64_t now_ns,
                   struct list *go)
{
    struct budget *b = s->user->budget;
    uint64_t next_ns = BUDGET_NEVER_NS;
    struct list *node;

    pthread_mutex_lock(&b->lock);
    list_move(go, &s->granted);
    while ((node = list_pop(asked)) != NULL) {
        struct store_req *r = container_of(node, struct store_req, node);

        /* Those that waited before the limits went come first. */
        if (is_limited(b, r) || (!b->limited && waits(s)))
            stand_in_line(s, r, now_ns);
        else
            list_add(go, &r->node);
    }
    if (!list_empty(&b->waiting)) {
        next_ns = deal(b, now_ns);
        list_move(go, &s->granted);
        if (!waits(s))
            next_ns = BUDGET_NEVER_NS;
    }
    pthread_mutex_unlock(&b->lock);
    return next_ns;
}

static void be_quiet(struct budget_user *u, const struct store_req *r,
                     uint64_t now_ns)
{
    uint64_t ns = worth_ns(u->budget, kind_of(r), 1, bytes_of(r));

    if (__builtin_mul_overflow(ns, u->budget->num_users, &ns))
        ns = BUCKET_FOREVER_NS;
    u->quiet_ns =
        MIN(MAX(u->quiet_ns, now_ns) + ns, now_ns + BUCKET_FOREVER_NS);
}

static bool take_one(struct list *node, const void *owner, struct list *to)
{
    if (container_of(node, struct store_req, node)->owner != owner)
        return false;
    list_del(node);
    list_add(to, node);
    return true;
}

static void take_waiting(struct budget_lane *l, const void *owner,
                         uint64_t now_ns, struct list *to)
{
    const struct list *first = l->requests.next;

    LIST_EACH_SAFE (&l->requests, node)
        if (take_one(node, owner, to))
            is_over(l->seat->user, container_of(node, struct store_req, node),
                    now_ns);
    if (l->requests.next != first)
        l->paid = 0;
    if (list_empty(&l->requests))
        list_del(&l->node);
}

/* Others may be next now, before they would have looked. */
void budget_take_out(struct budget_seat *s, struct list *asked,
                     const void *owner, bool they_go, uint64_t now_ns,
                     struct list *to)
{
    struct budget *b = s->user->budget;
    struct list paid;

    list_init(&paid);
    pthread_mutex_lock(&b->lock);
    LIST_EACH_SAFE (&s->granted, node)
        take_one(node, owner, &paid);
    take_waiting(&s->lanes[0], owner, now_ns, to);
    take_waiting(&s->lanes[1], owner, now_ns, to);
    LIST_EACH_SAFE (asked, node)
        take_one(node, owner, to);
    if (they_go)
        LIST_EACH (to, node)
            be_quiet(s->user, container_of(node, struct store_req, node),
                     now_ns);
    list_move(&paid, to);
    list_move(to, &paid);
    wake_all(b, s);
    pthread_mutex_unlock(&b->lock);
}

void budget_hurry(struct budget_seat *s, const struct store_req *r,
                  uint64_t now_ns)
{
    struct budget *b = s->user->budget;

    if (!budget_is_limited(b))
        return;
    pthread_mutex_lock(&b->lock);
    be_quiet(s->user, r, now_ns);
    pthread_mutex_unlock(&b->lock);
}

void budget_seat_add(struct budget_seat *s, struct budget_user *u)
{
    s->user = u;
    list_init(&s->granted);
    for (unsigned i = 0; i < ARRAY_LEN(s->lanes); i++) {
        s->lanes[i] = (struct budget_lane){.seat = s};
        list_init(&s->lanes[i].node);
        list_init(&s->lanes[i].requests);
    }
    pthread_mutex_lock(&u->budget->lock);
    list_add(&u->budget->seats, &s->node);
    pthread_mutex_unlock(&u->budget->lock);
}

void budget_seat_del(struct budget_seat *s)
{
    struct budget *b = s->user->budget;

    pthread_mutex_lock(&b->lock);
    assert(!waits(s) && list_empty(&s->granted));
    list_del(&s->node);
    pthread_mutex_unlock(&b->lock);
}

/* ---- users, and limits ---- */

void budget_user_add(struct budget_user *u, struct budget *b)
{
    *u = (struct budget_user){.budget = b};
    pthread_mutex_lock(&b->lock);
    list_add(&b->users, &u->node);
    b->num_users++;
    pthread_mutex_unlock(&b->lock);
}

void budget_user_del(struct budget_user *u)
{
    pthread_mutex_lock(&u->budget->lock);
    list_del(&u->node);
    u->budget->num_users--;
    pthread_mutex_unlock(&u->budget->lock);
}

void budget_user_look(struct budget_user *u, uint64_t now_ns,
                      struct budget_look *look)
{
    struct budget *b = u->budget;

    pthread_mutex_lock(&b->lock);
    *look = (struct budget_look){
        .waiting = u->waiting, .held = u->held, .held_ns = u->held_ns};
    LIST_EACH (&b->waiting, node) {
        const struct budget_lane *l =
            container_of(node, struct budget_lane, node);
        uint64_t since_ns = first_of(l)->progress;

        if (l->seat->user == u && now_ns > since_ns)
            look->oldest_ns = MAX(look->oldest_ns, now_ns - since_ns);
    }
    pthread_mutex_unlock(&b->lock);
}

void budget_set(struct budget *b, const struct limits *l, uint64_t now_ns)
{
    pthread_mutex_lock(&b->lock);
    b->limits = *l;
    b->by_kind = false;
    for (unsigned i = 0; i < LIMIT_KINDS; i++) {
        bucket_set(&b->ops[i], l->ops[i].rate, l->ops[i].burst, now_ns);
        bucket_set(&b->bytes[i], l->bytes[i].rate, l->bytes[i].burst, now_ns);
        if (i != LIMIT_ALL)
            b->by_kind |= l->ops[i].rate || l->bytes[i].rate;
    }
    __atomic_store_n(&b->limited, !limits_are_none(l), __ATOMIC_RELAXED);
    LIST_EACH (&b->users, node)
        container_of(node, struct budget_user, node)->quiet_ns = 0;
    wake_all(b, NULL);
    pthread_mutex_unlock(&b->lock);
}

void budget_get(struct budget *b, struct limits *l)
{
    pthread_mutex_lock(&b->lock);
    *l = b->limits;
    pthread_mutex_unlock(&b->lock);
}
