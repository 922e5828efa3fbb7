#include "lanes.h"

#include <string.h>

#include "base/prng.h"

#define SECTOR 512u
#define PIECE (3 * SECTOR)
#define PIECES (LANES_BYTES / PIECE / LANES)

struct lane {
    struct store_req req;
    struct iovec iov[2];
    struct rig *rig;
    struct prng prng;
    unsigned index, left, piece;
    uint8_t has[PIECES]; /* the byte that each piece is full of */
    uint8_t buf[PIECE];
};

static struct lane lanes[LANES];
static unsigned running;
static bool submitted; /* since the last kick */

static uint64_t place(const struct lane *l)
{
    return (uint64_t)(l->piece * LANES + l->index) * PIECE;
}

static void check(struct lane *l)
{
    assert_int_equal(l->req.result, 0);
    for (unsigned i = 0; l->req.op == STORE_READ && i < PIECE; i++)
        assert_int_equal(l->buf[i], l->has[l->piece]);
}

static void on_done(struct store_req *r);

static void ask(struct lane *l)
{
    unsigned what = (unsigned)prng_below(&l->prng, 20);
    unsigned cut = (unsigned)prng_below(&l->prng, PIECE);
    static const enum store_op ranges[] = {STORE_ZERO, STORE_DISCARD};

    l->piece = (unsigned)prng_below(&l->prng, PIECES);
    l->iov[0] = (struct iovec){l->buf, cut};
    l->iov[1] = (struct iovec){l->buf + cut, PIECE - cut};
    l->req = (struct store_req){
        .op = what < 9 ? STORE_WRITE : STORE_READ,
        .flags = what < 2 ? STORE_FUA : 0,
        .offset = place(l),
        .len = PIECE,
        .iov = l->iov,
        .iov_num = 2,
        .done = on_done,
        .owner = l,
    };
    if (what == 19) {
        l->req.op = STORE_FLUSH;
        l->req.offset = l->req.len = 0;
        l->req.iov_num = 0;
    } else if (what == 18) {
        l->req.op = ranges[prng_below(&l->prng, 2)];
        l->req.iov_num = 0;
        l->has[l->piece] = 0;
    } else if (l->req.op == STORE_WRITE) {
        l->has[l->piece] = (uint8_t)prng_next(&l->prng);
        memset(l->buf, l->has[l->piece], PIECE);
    } else {
        memset(l->buf, 0xa5, PIECE);
    }
}

/* As often as it is answered at once; then waits. */
static void go_on(struct lane *l)
{
    while (l->left) {
        l->left--;
        ask(l);
        submitted = true;
        if (store_submit(l->rig->ch, &l->req) == STORE_PENDING)
            return;
        check(l);
    }
    running--;
}

static void on_done(struct store_req *r)
{
    struct lane *l = container_of(r, struct lane, req);

    check(l);
    go_on(l);
}

void lanes_run(struct rig *rig, uint64_t seed, unsigned often)
{
    memset(lanes, 0, sizeof(lanes));
    running = LANES;
    for (unsigned i = 0; i < LANES; i++) {
        lanes[i].rig = rig;
        lanes[i].index = i;
        lanes[i].left = often;
        lanes[i].prng = prng_of(seed, i);
        go_on(&lanes[i]);
    }
    while (running) {
        while (submitted) {
            submitted = false;
            store_kick(rig->ch);
        }
        if (running)
            uv_run(&rig->loop.uv, UV_RUN_ONCE);
    }
}
