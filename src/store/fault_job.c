/* Requests that the filter `fault` does otherwise than asked: a part of them,
 * at another place, or with bits of what was read changed when it is there.
 *
 * What goes down is a part (store/parts.h). The request above knows in
 * r->progress which rule it is about, and where the sequence of its own begins:
 * what chance decides is drawn when the request comes, not when it ends, since
 * the order of ends is nobody's. */
#include <string.h>

#include "base/iov.h"
#include "store/fault.h"

/* Of garbage: more than that takes some turns of the loop. */
#define INLINE_BYTES (UINT64_C(256) << 10)

/* Kept in r->one, which is free: r itself is sent nowhere. */
static void set_sequence(struct store_req *r, struct prng p)
{
    _Static_assert(sizeof(r->one) >= sizeof(p), "it has room");
    memcpy(&r->one, &p, sizeof(p));
}

static struct prng sequence_of(const struct store_req *r)
{
    struct prng p;

    memcpy(&p, &r->one, sizeof(p));
    return p;
}

static void flip(const struct store_req *r, struct prng *p, uint32_t bits)
{
    for (uint32_t i = 0; i < bits; i++) {
        uint64_t bit = prng_below(p, r->len * 8);
        uint8_t byte;

        iov_read(r->iov, r->iov_num, bit / 8, &byte, 1);
        byte ^= (uint8_t)(1u << bit % 8);
        iov_write(r->iov, r->iov_num, bit / 8, &byte, 1);
    }
}

/* Garbage by its place in the request. */
static void fill(struct store_req *r, struct iovec piece, uint64_t at)
{
    struct prng p = sequence_of(r);
    uint64_t n = at - r->offset, x = 0;

    p.state += n / 8 * PRNG_STEP;
    if (n % 8)
        x = prng_next(&p) >> n % 8 * 8;
    for (size_t i = 0; i < piece.iov_len; i++, n++, x >>= 8) {
        if (n % 8 == 0)
            x = prng_next(&p);
        ((uint8_t *)piece.iov_base)[i] = (uint8_t)x;
    }
}

void fault_step(struct store_req *r)
{
    steps_move(r, INLINE_BYTES, fill);
}

/* What was asked for instead of r has ended so: as submit has it. */
static int finish(struct fault_channel *c, struct store_req *r, int result)
{
    const struct fault_rule *rule =
        &fault_of(c->filter.ch.store)->rules[r->progress];
    enum fault_outcome outcome = (enum fault_outcome)rule->conf->outcome;
    struct prng p = sequence_of(r);

    r->result = result;
    if (result < 0)
        return STORE_DONE;
    if (outcome == FAULT_SHORT)
        r->result = fault_error(rule);
    if (outcome == FAULT_FLIP)
        flip(r, &p, rule->conf->bits);
    if (outcome != FAULT_GARBAGE)
        return STORE_DONE;
    r->progress = 0;
    if (r->len > INLINE_BYTES) {
        steps_add(&c->steps, r);
        return STORE_PENDING;
    }
    steps_move(r, r->len, fill);
    return STORE_DONE;
}

static void on_done(struct store_req *below)
{
    struct store_req *r = below->above;
    struct fault_channel *c = fault_channel_of(r->channel);
    int result = below->result;

    parts_put(&c->parts, part_of(below));
    if (finish(c, r, result) == STORE_DONE)
        store_complete(r, r->result);
}

/* Whole blocks of it that are moved all the same. */
static uint64_t moved_of(const struct fault *f, const struct fault_rule_conf *c,
                         const struct store_req *r)
{
    uint64_t bytes = 0;

    if (r->op == STORE_FLUSH)
        return 0;
    if (c->has_bytes)
        bytes = MIN(c->bytes, r->len);
    else if (c->outcome == FAULT_SHORT)
        bytes = r->len / 2;
    return bytes & ~(uint64_t)(f->filter.store.info.block_size - 1);
}

/* Where it is done. A place of a store that is as long as the request has no
 * other. */
static uint64_t other_place(const struct fault *f, struct fault_rule *rule,
                            const struct store_req *r)
{
    uint64_t block = f->filter.store.info.block_size;
    uint64_t distance = (rule->conf->distance + block - 1) & ~(block - 1);
    uint64_t size = store_size(&f->filter.store);
    uint64_t last = size > r->len ? size - r->len : 0;

    if (distance == 0)
        return prng_below(&rule->now.prng, last / block + 1) * block;
    if (r->offset <= last && distance <= last - r->offset)
        return r->offset + distance;
    return r->offset > distance ? r->offset - distance : 0;
}

int fault_do(struct fault_channel *c, struct fault_rule *rule,
             struct store_req *r)
{
    const struct fault_rule_conf *conf = rule->conf;
    struct fault *f = fault_of(c->filter.ch.store);
    uint64_t offset = r->offset, len = r->len;
    struct part *part;
    int result;

    r->progress = (uint64_t)(rule - f->rules);
    set_sequence(r, (struct prng){prng_next(&rule->now.prng)});
    if (conf->outcome == FAULT_MISDIRECT)
        offset = other_place(f, rule, r);
    else if (conf->outcome == FAULT_SHORT || conf->outcome == FAULT_DROP)
        len = moved_of(f, conf, r);
    fault_keep_rule(f, rule);
    if (len == 0) /* nothing of it is asked for, nor is a flush */
        return finish(c, r, 0);
    part = parts_of(&c->parts, r, r->offset, len);
    if (!part) {
        r->result = -ENOMEM;
        return STORE_DONE;
    }
    part->req.offset = offset;
    part->req.done = on_done;
    part->req.above = r;
    if (store_submit(c->filter.next, &part->req) == STORE_PENDING)
        return STORE_PENDING;
    result = part->req.result;
    parts_put(&c->parts, part);
    return finish(c, r, result);
}
