/* Before it sleeps, the loop looks at the words on its list: avail indices,
 * completion heads, its mailbox. Sleeping and being woken costs tens of
 * microseconds on either side, so work that comes sooner is cheaper to wait
 * for. How long is learnt from the sleeps: one shorter than the most we may
 * spin would have been caught by spinning, so the budget grows; a longer one
 * says that spinning was a waste, so it shrinks, to nothing on an idle loop.
 *
 * There are two budgets, for what follows a short wait and for what follows a
 * long one. A guest with a queue on a disk makes both take turns: the disk
 * answers after long, the guest asks again at once, the disk answers after
 * long. With one budget the short wait undoes what the long one taught.
 *
 * While words keep having work, fds are looked at every SOCKETS_NS. Who waits
 * for an fd, say for the answer of an iSCSI target, would have it that much
 * later: meanwhile (loop_unseen) nobody spins. */
#include "loop/spin.h"

#define SOCKETS_NS 50000
#define GROW_FROM_NS 10000
#define ROUNDS_PER_CLOCK 32

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t max_us(const struct loop *l)
{
    return __atomic_load_n(&l->spin_max_us, __ATOMIC_RELAXED);
}

static uint64_t budget_max_ns(const struct loop *l)
{
    return (uint64_t)max_us(l) * 1000;
}

/* It has waited, for so long. */
static void learn(struct loop *l, uint64_t waited_ns)
{
    uint64_t *budget_ns = &l->spin_ns[l->waited_long];
    uint64_t max_ns = budget_max_ns(l);

    l->waited_long = waited_ns >= max_ns;
    if (l->waited_long)
        *budget_ns = *budget_ns > GROW_FROM_NS ? *budget_ns / 2 : 0;
    else
        *budget_ns = MIN(max_ns, MAX(*budget_ns * 2, GROW_FROM_NS));
}

void loop_woke(struct loop *l)
{
    loop_begins(l);
    if (!l->slept_at_ns)
        return;
    learn(l, loop_now_ns() - l->slept_at_ns);
    l->slept_at_ns = 0;
}

/* Each once. Who is called may take others off the list, whose turn does not
 * come then, or put more on it, whose turn is the next. */
static bool each(struct loop *l, bool arm)
{
    struct list todo, *node;
    bool work = false;

    list_init(&todo);
    list_move(&todo, &l->spins);
    while ((node = list_pop(&todo)) != NULL) {
        struct spin *s = container_of(node, struct spin, node);

        list_add(&l->spins, node);
        work |= arm ? s->arm(s) : s->poll(s);
    }
    return work;
}

/* Looks once at each word. True if one had work. */
static bool look(struct loop *l)
{
    bool hit = each(l, false);

    if (UNLIKELY(__atomic_load_n(&l->mail, __ATOMIC_RELAXED) != NULL)) {
        loop_run_mail(l);
        hit = true;
    }
    if (hit || !list_empty(&l->defers))
        loop_run_defers(l);
    return hit;
}

static uint64_t budget_ns(const struct loop *l)
{
    return max_us(l) == LOOP_SPIN_ALWAYS ? UINT64_MAX
                                         : l->spin_ns[l->waited_long];
}

/* Spins until the budget is used up without a hit, or an fd is awaited (false),
 * or the sockets want a look (true). */
static bool spin(struct loop *l)
{
    uint64_t start = loop_now_ns(), last_hit = start, now;
    unsigned round = 0;
    bool hit = false;

    for (;;) {
        if (look(l))
            hit = true;
        else
            relax();
        if (l->unseen)
            return false;
        if (++round % ROUNDS_PER_CLOCK && !hit)
            continue;
        now = loop_now_ns();
        if (hit) {
            last_hit = now;
            l->waited_long = false;
        }
        hit = false;
        if (l->stopping || now - start >= SOCKETS_NS)
            return l->stopping || now - last_hit < budget_ns(l);
        if (now - last_hit >= budget_ns(l))
            return false;
    }
}

bool spin_turn(struct loop *l)
{
    bool work = false;

    if (UNLIKELY(!list_empty(&l->defers))) {
        look(l); /* nothing is armed, for the loop will not sleep */
        return true;
    }
    if (list_empty(&l->spins))
        return false;
    if (max_us(l) == LOOP_SPIN_ALWAYS) {
        spin(l);
        return true;
    }
    if (l->unseen == 0 && budget_ns(l) && spin(l))
        return true;
    work = each(l, true);
    if (work)
        learn(l, 0); /* it was there at once */
    if (work || !list_empty(&l->defers)) {
        loop_run_defers(l);
        return true;
    }
    if (max_us(l))
        l->slept_at_ns = loop_now_ns();
    return false;
}

void loop_unseen(struct loop *l, bool waits)
{
    l->unseen += waits ? 1 : -1u;
}

void loop_spin_add(struct loop *l, struct spin *s)
{
    list_add(&l->spins, &s->node);
}

void loop_spin_del(struct spin *s)
{
    list_del(&s->node);
}
