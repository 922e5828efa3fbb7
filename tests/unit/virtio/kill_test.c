/* SIGKILL between any two stores: no request is lost, none is answered twice,
 * order is kept.
 *
 * A child serves requests of a recorded ring. The memory it shares with the
 * guest, and the record, are write-protected there, so that it stops before
 * every store to them: a moment at which it could have died. The memory is
 * kept, the store made (one instruction is stepped), the protection put back.
 * Afterwards each moment is brought back, a successor opens the ring, and the
 * guest counts. Then the same with a guest that was quick: what was answered
 * it has offered again before the successor came; and with a successor that
 * dies too, at each store of its recovery. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "stores.h"
#include "virtio/inflight_impl.h"

#define RING_SIZE 8
#define RECORD_BYTES 320 /* all of it: a packed one of 8 takes 288 */
#define MOMENTS_MAX 1024

struct story {
    const char *name;
    unsigned before; /* requests served before, to be somewhere in the ring */
    const char *offered; /* descriptors of each request */
    /* p takes a request, 0 to 9 does that one taken, f flushes */
    const char *prelude; /* by the parent */
    const char *script;  /* by the child */
};

static const struct story stories[] = {
    {"three are taken", 0, "312", "", "ppp"},
    {"three are taken across the end", 6, "312", "", "ppp"},
    {"one is answered", 0, "12", "pp", "0f"},
    {"a batch in another order", 0, "3121", "pppp", "20f13f"},
    {"a batch across the end", 5, "212", "ppp", "102f"},
    {"a batch of a whole lap", 0, "11111111", "pppppppp", "31407652f"},
    {"a batch of a whole lap in the middle", 3, "2222", "pppp", "2031f"},
    {"some are taken while some are answered", 7, "12311", "pp", "1pf0pf2pf"},
    {"answers with no flush", 2, "221", "ppp", "01"},
};

/* ---- what is shared, and moments of it ---- */

struct moment {
    uint8_t desc[16 * RING_SIZE], driver[6 + 2 * RING_SIZE];
    uint8_t device[6 + 8 * RING_SIZE], record[RECORD_BYTES];
};

/* Shared with the child, which fills it. */
static struct {
    unsigned num;
    struct moment list[MOMENTS_MAX];
} * kept;

static uint8_t *record; /* the test's own mapping of the file */

static void parts(struct guest *g, void *p[4])
{
    p[0] = guest_at(g, GUEST_DESC);
    p[1] = guest_at(g, GUEST_DRIVER);
    p[2] = guest_at(g, GUEST_DEVICE);
    p[3] = record;
}

static bool same(void *const p[4], const struct moment *m)
{
    return !memcmp(p[0], m->desc, sizeof(m->desc)) &&
           !memcmp(p[1], m->driver, sizeof(m->driver)) &&
           !memcmp(p[2], m->device, sizeof(m->device)) &&
           !memcmp(p[3], m->record, sizeof(m->record));
}

static void save(void *const p[4], struct moment *m)
{
    memcpy(m->desc, p[0], sizeof(m->desc));
    memcpy(m->driver, p[1], sizeof(m->driver));
    memcpy(m->device, p[2], sizeof(m->device));
    memcpy(m->record, p[3], sizeof(m->record));
}

static void restore(struct guest *g, const struct moment *m)
{
    void *p[4];

    parts(g, p);
    memcpy(p[0], m->desc, sizeof(m->desc));
    memcpy(p[1], m->driver, sizeof(m->driver));
    memcpy(p[2], m->device, sizeof(m->device));
    memcpy(p[3], m->record, sizeof(m->record));
}

/* ---- the child ---- */

static struct {
    void *parts[4];
    void *guarded[2];
    size_t len[2];
} child;

static void keep(void)
{
    if (kept->num > 0 && same(child.parts, &kept->list[kept->num - 1]))
        return;
    if (kept->num == MOMENTS_MAX)
        abort();
    save(child.parts, &kept->list[kept->num++]);
}

static void guard(int prot)
{
    for (int i = 0; i < 2; i++)
        if (mprotect(child.guarded[i], child.len[i], prot) < 0)
            abort();
}

/* Before a store to what is shared. */
static enum stores_way on_store(uint8_t *at)
{
    for (int i = 0; i < 2; i++) {
        uint8_t *from = child.guarded[i];

        if (at < from || at >= from + child.len[i])
            continue;
        keep();
        guard(PROT_READ | PROT_WRITE);
        return STORES_STEP;
    }
    return STORES_FAULT;
}

/* After it. */
static void on_stored(void)
{
    guard(PROT_READ);
}

static void trap(struct guest *g)
{
    uintptr_t page = (uintptr_t)getpagesize() - 1;

    child.guarded[0] = mem_region(g->mem, 0)->host;
    child.len[0] = GUEST_DATA - GUEST_DESC;
    child.guarded[1] = (void *)((uintptr_t)g->setup.inflight->region & ~page);
    child.len[1] = page + 1;
    parts(g, child.parts);
    stores_watch(on_store, on_stored);
    guard(PROT_READ);
}

/* Runs f(g, arg) in a child and keeps all moments, the last one too. */
static void step_through(struct guest *g,
                         void (*f)(struct guest *g, const void *arg),
                         const void *arg)
{
    int status;
    pid_t pid;

    kept->num = 0;
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        trap(g);
        f(g, arg);
        keep();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* A copy of those kept; the caller frees it. */
static struct moment *take_moments(unsigned *n)
{
    struct moment *m = malloc(kept->num * sizeof(*m));

    assert_non_null(m);
    memcpy(m, kept->list, kept->num * sizeof(*m));
    *n = kept->num;
    return m;
}

/* ---- a story ---- */

static struct chain *taken[RING_SIZE];
static unsigned num_taken;

static void act(struct guest *g, const void *script)
{
    for (const char *s = script; *s; s++) {
        if (*s == 'p') {
            taken[num_taken] = ring_pop(&g->ring);
            if (!taken[num_taken++])
                abort();
        } else if (*s == 'f') {
            ring_flush(&g->ring);
        } else {
            struct chain *c = taken[*s - '0'];

            chain_done(c, c->in_len ? 1 : 0);
        }
    }
}

static void reopen(struct guest *g, const void *arg)
{
    struct err e;

    (void)arg;
    if (guest_try_start(g, &e) < 0)
        abort();
}

/* Requests are known by their readable length, which is their number; the
 * writable byte is for the answer. */
struct request {
    uint16_t id;
    uint32_t number;
    unsigned descs;
};

static struct request asked[4 * RING_SIZE];
static unsigned num_asked;
static uint32_t next_number;

static void ask(struct guest *g, uint16_t id, unsigned descs)
{
    uint32_t number = next_number++;
    struct piece p[] = {{GUEST_DATA, number, false},
                        {GUEST_DATA + 0x1000, 1, true},
                        {GUEST_DATA + 0x2000, 1, true}};

    /* With one descriptor it is all in that. */
    guest_offer(g, id, p, descs);
    asked[num_asked++] = (struct request){id, number, descs};
}

/* One more request; with a death while it is in flight, if so asked. */
static void one_round(struct guest *g, bool die)
{
    const struct piece p = {GUEST_DATA, 1, true};
    struct chain *c;

    guest_offer(g, 0, &p, 1);
    c = ring_pop(&g->ring);
    assert_non_null(c);
    if (die) {
        guest_crash(g);
        guest_start(g);
        assert_int_equal(g->ring.recovered, 1);
        c = ring_pop(&g->ring);
        assert_non_null(c);
    }
    chain_done(c, 1);
    ring_flush(&g->ring);
    guest_expect(g, 0, 1);
}

/* ---- the guest counts ---- */

static int find_asked(uint16_t id)
{
    for (unsigned i = 0; i < num_asked; i++)
        if (asked[i].id == id)
            return (int)i;
    return -1;
}

static void drop_asked(uint16_t id)
{
    int at = find_asked(id);

    assert_true(at >= 0); /* an answer nobody waits for */
    num_asked--;
    memmove(&asked[at], &asked[at + 1],
            (num_asked - (unsigned)at) * sizeof(asked[0]));
}

/* Takes the answers there are, and offers those again if `again`. */
static void take_answers(struct guest *g, bool again)
{
    struct request done[RING_SIZE];
    unsigned n = 0;
    uint32_t len;
    uint16_t id;

    while (guest_take(g, &id, &len)) {
        int at = find_asked(id);

        assert_true(at >= 0);
        assert_int_equal(len, asked[at].descs > 1);
        done[n++] = asked[at];
        drop_asked(id);
    }
    for (unsigned i = 0; again && i < n; i++)
        ask(g, done[i].id, done[i].descs);
}

/* A successor has opened the ring: all that is asked for and not answered
 * must come, in the order asked, and be answered once. */
static void serve_the_rest(struct guest *g)
{
    struct chain *c[RING_SIZE];
    unsigned n = num_asked;

    for (unsigned i = 0; i < n; i++) {
        c[i] = ring_pop(&g->ring);
        if (!c[i])
            fail_msg("request %u of %u is lost: %s", i, n,
                     g->ring.broken ? g->ring.broken : "there is none");
        assert_int_equal(c[i]->id, asked[i].id);
        assert_int_equal(c[i]->out_len, asked[i].number);
        assert_int_equal(c[i]->in_len, asked[i].descs - 1);
    }
    assert_null(ring_pop(&g->ring));
    assert_null(g->ring.broken);
    for (unsigned i = n; i > 0; i--) {
        /* One by one: nothing the dead left behind shows up with them. */
        uint16_t id = c[i - 1]->id;

        chain_done(c[i - 1], 0);
        ring_flush(&g->ring);
        guest_expect(g, id, 0);
        guest_expect_none(g);
        drop_asked(id);
    }
    /* And life goes on, for more than two laps. */
    for (int i = 0; i < 3 * RING_SIZE; i++)
        one_round(g, i % 7 == 0);
}

/* Everything about the guest that a moment does not have. */
struct driver {
    struct guest guest;
    struct request asked[ARRAY_LEN(asked)];
    unsigned num_asked;
};

static void save_driver(const struct guest *g, struct driver *d)
{
    d->guest = *g;
    d->num_asked = num_asked;
    memcpy(d->asked, asked, sizeof(asked));
}

static void restore_driver(struct guest *g, const struct driver *d)
{
    g->next_avail = d->guest.next_avail;
    g->next_used = d->guest.next_used;
    g->avail_wrap = d->guest.avail_wrap;
    g->used_wrap = d->guest.used_wrap;
    memcpy(g->descs, d->guest.descs, sizeof(g->descs));
    num_asked = d->num_asked;
    memcpy(asked, d->asked, sizeof(asked));
}

/* The successor dies at each step of its recovery, and has a successor. */
static void die_again(struct guest *g, bool quick)
{
    struct driver d;
    struct moment *m;
    unsigned n;

    save_driver(g, &d);
    step_through(g, reopen, NULL);
    m = take_moments(&n);
    for (unsigned i = 0; i < n; i++) {
        restore_driver(g, &d);
        restore(g, &m[i]);
        take_answers(g, quick);
        guest_start(g);
        serve_the_rest(g);
        guest_crash(g);
    }
    free(m);
}

/* The second death is of interest where recovery has something to repair. */
static bool survive(struct guest *g, const struct driver *d,
                    const struct moment *m, bool quick)
{
    struct moment before;
    void *p[4];
    bool repaired;

    parts(g, p);
    restore_driver(g, d);
    restore(g, m);
    take_answers(g, quick);
    save(p, &before);
    guest_start(g);
    repaired = !same(p, &before);
    serve_the_rest(g);
    guest_crash(g);
    if (!repaired)
        return false;

    restore_driver(g, d);
    restore(g, m);
    take_answers(g, quick);
    die_again(g, quick);
    return true;
}

static void prepare(struct guest *g, const struct story *s)
{
    uint16_t id = 0;

    guest_record(g);
    record = mmap(NULL, RECORD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                  g->inflight_fd, 0);
    assert_true(record != MAP_FAILED);
    guest_start(g);
    for (unsigned i = 0; i < s->before; i++)
        one_round(g, false);
    num_asked = num_taken = 0;
    next_number = 10;
    for (const char *o = s->offered; *o; o++) {
        ask(g, id, (unsigned)(*o - '0'));
        id = (uint16_t)(id + *o - '0');
    }
    act(g, s->prelude);
}

static void tell(struct guest *g, const struct story *s)
{
    struct driver d;
    struct moment *m;
    unsigned n, repaired = 0;

    prepare(g, s);
    save_driver(g, &d);
    step_through(g, act, s->script);
    guest_crash(g);
    m = take_moments(&n);
    /* Each step of the script made a difference, or there is no test. */
    if (strpbrk(s->script, "pf"))
        assert_true(n > strlen(s->script));
    else
        assert_int_equal(n, 1);
    for (unsigned i = 0; i < n; i++)
        for (int quick = 0; quick < 2; quick++)
            repaired += survive(g, &d, &m[i], quick);
    print_message("%u moments, %u with something to repair\n", n, repaired);
    free(m);
    munmap(record, RECORD_BYTES);
}

static void in_a_split_ring(void **state)
{
    struct guest *g = guest_new(false, RING_SIZE);

    tell(g, *state);
    guest_free(g);
}

static void in_a_packed_ring(void **state)
{
    struct guest *g = guest_new(true, RING_SIZE);

    tell(g, *state);
    guest_free(g);
}

int main(void)
{
    struct CMUnitTest tests[2 * ARRAY_LEN(stories)];

    for (size_t i = 0; i < ARRAY_LEN(stories); i++) {
        void *story = (void *)(uintptr_t)&stories[i];

        tests[2 * i] = (struct CMUnitTest){stories[i].name, in_a_split_ring,
                                           NULL, NULL, story};
        tests[2 * i + 1] = (struct CMUnitTest){
            stories[i].name, in_a_packed_ring, NULL, NULL, story};
    }
    if (!STORES_CAN_STEP) {
        print_message(
            "[  SKIPPED ] unit.virtio.kill: this processor cannot step "
            "itself\n");
        return 0;
    }
    kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (kept == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests_name("death at any moment", tests, NULL,
                                       NULL);
}
