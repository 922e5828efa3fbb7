/* Operations and bytes, each for all, for reads and for writes: the rows below
 * are the names of both, wherever they are told or asked for. */
#include "store/limits.h"

#include "store/bucket.h"

const char *const limit_kind_words[LIMIT_KINDS] = {"all", "read", "write"};

static const char *const ops_names[LIMIT_KINDS][2] = {
    {"iops", "iops_burst"},
    {"iops_read", "iops_read_burst"},
    {"iops_write", "iops_write_burst"},
};

static const char *const bytes_names[LIMIT_KINDS][2] = {
    {"bps", "bps_burst"},
    {"bps_read", "bps_read_burst"},
    {"bps_write", "bps_write_burst"},
};

void limits_of(struct limits *l, const struct limits_conf *c)
{
    for (unsigned i = 0; i < LIMIT_KINDS; i++) {
        l->ops[i] = (struct limit){c->iops[i], c->iops_burst[i]};
        l->bytes[i] = (struct limit){c->bps[i], c->bps_burst[i]};
    }
}

/* Without its limit a burst is nothing. */
static void change(struct limit *l, const uint64_t *rate, const uint64_t *burst)
{
    if (rate)
        l->rate = *rate;
    if (rate && *rate == 0)
        l->burst = 0;
    if (burst)
        l->burst = *burst;
}

void limits_change(struct limits *l, const struct limits_conf *c)
{
    for (unsigned i = 0; i < LIMIT_KINDS; i++) {
        uint64_t iops = c->iops[i], burst = c->iops_burst[i];

        change(&l->ops[i], c->has_iops[i] ? &iops : NULL,
               c->has_iops_burst[i] ? &burst : NULL);
        change(&l->bytes[i], c->has_bps[i] ? &c->bps[i] : NULL,
               c->has_bps_burst[i] ? &c->bps_burst[i] : NULL);
    }
}

bool limits_are_none(const struct limits *l)
{
    for (unsigned i = 0; i < LIMIT_KINDS; i++)
        if (l->ops[i].rate || l->bytes[i].rate)
            return false;
    return true;
}

static bool is_same(const struct limit *a, const struct limit *b)
{
    return a->rate == b->rate && a->burst == b->burst;
}

bool limits_are_same(const struct limits *a, const struct limits *b)
{
    for (unsigned i = 0; i < LIMIT_KINDS; i++)
        if (!is_same(&a->ops[i], &b->ops[i]) ||
            !is_same(&a->bytes[i], &b->bytes[i]))
            return false;
    return true;
}

const char *limits_bad_burst(const struct limits *l)
{
    for (unsigned i = 0; i < LIMIT_KINDS; i++) {
        if (l->ops[i].burst && !l->ops[i].rate)
            return ops_names[i][1];
        if (l->bytes[i].burst && !l->bytes[i].rate)
            return bytes_names[i][1];
    }
    return NULL;
}

static void tell(const struct limit *l, const char *const names[2],
                 struct json_out *o)
{
    if (l->rate == 0)
        return;
    json_add_u64(o, names[0], l->rate);
    json_add_u64(o, names[1], bucket_depth(l->rate, l->burst));
}

static void tell_said(const struct limit *l, const char *const names[2],
                      struct json_out *o)
{
    if (l->rate)
        json_add_u64(o, names[0], l->rate);
    if (l->burst)
        json_add_u64(o, names[1], l->burst);
}

void limits_tell_said(const struct limits *l, struct json_out *o)
{
    for (unsigned i = 0; i < LIMIT_KINDS; i++) {
        tell_said(&l->ops[i], ops_names[i], o);
        tell_said(&l->bytes[i], bytes_names[i], o);
    }
}

void limits_tell(const struct limits *l, struct json_out *o)
{
    for (unsigned i = 0; i < LIMIT_KINDS; i++)
        tell(&l->ops[i], ops_names[i], o);
    for (unsigned i = 0; i < LIMIT_KINDS; i++)
        tell(&l->bytes[i], bytes_names[i], o);
}
