/* How long the filter `delay` holds requests.
 *
 * The disk. Its arm goes from where the last read or write ended to where this
 * one begins: not at all if that is the same place, else seek_min_us and, as
 * the square root of the way, up to seek_max_us for all of it, since an arm
 * speeds up half of the way and slows down the other. Then the platter turns
 * until the place comes by, for up to a revolution, which is left to chance.
 * Then data moves at `rate`. Requests wait for one another, in the order in
 * which they come. What moves no data waits for the arm, and for the platter.
 *
 * Whole numbers only: the same on every machine. */
#include "store/delay.h"

#define US_NS UINT64_C(1000)
#define SECOND_NS UINT64_C(1000000000)
#define LONGEST_US 60000000

static uint64_t root(uint64_t x)
{
    uint64_t r = 0;

    for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1)
        if ((r | bit) * (r | bit) <= x)
            r |= bit;
    return r;
}

/* a * b / c, where the result fits. */
static uint64_t part(uint64_t a, uint64_t b, uint64_t c)
{
    return (uint64_t)(__extension__(unsigned __int128) a * b / c);
}

static uint64_t seek_ns(const struct delay_conf *c, uint64_t way, uint64_t size)
{
    uint64_t more = MAX(c->seek_max_us, c->seek_min_us) - c->seek_min_us;
    /* Of the way across, in 2^-32; its root in 2^-16, then in 2^-31. */
    uint64_t share =
        way < size ? part(way, UINT64_C(1) << 32, size) : UINT64_C(1) << 32;

    return (c->seek_min_us * US_NS) +
           part(more * US_NS, root(share << 30), UINT64_C(1) << 31);
}

/* Moves the arm. */
static uint64_t disk_until_ns(struct delay_clock *c, const struct store_req *r,
                              uint64_t size, uint64_t now_ns)
{
    const struct delay_conf *conf = c->conf;
    bool moves = r->op == STORE_READ || r->op == STORE_WRITE;
    uint64_t turn_ns = 60 * SECOND_NS / conf->rpm;
    uint64_t ns = 0;

    if (!moves || r->offset != c->arm.at)
        ns += prng_below(&c->prng, turn_ns);
    if (moves && r->offset != c->arm.at)
        ns += seek_ns(conf,
                      r->offset > c->arm.at ? r->offset - c->arm.at
                                            : c->arm.at - r->offset,
                      size);
    if (moves) {
        if (conf->rate)
            ns += part(MIN(r->len, UINT64_C(1) << 40), SECOND_NS, conf->rate);
        c->arm.at = r->offset + r->len;
    }
    ns = MIN(ns, LONGEST_US * US_NS);
    c->arm.free_ns = MAX(c->arm.free_ns, now_ns) + ns;
    return c->arm.free_ns;
}

uint64_t delay_until_ns(struct delay_clock *c, const struct store_req *r,
                        uint64_t size, uint64_t now_ns)
{
    const struct delay_conf *conf = c->conf;
    const struct delay_time_conf *t =
        conf->has_op[r->op] ? &conf->op[r->op] : &conf->all;
    uint64_t ns = t->us * US_NS, spread = t->spread_us * US_NS;
    int64_t off;

    switch (t->kind) {
    case DELAY_UNIFORM:
        spread = MIN(spread, ns); /* nothing takes less than no time */
        return now_ns + ns - spread + prng_below(&c->prng, 2 * spread + 1);
    case DELAY_NORMAL:
        /* 2^16 of the bell are a deviation. */
        off = prng_bell(&c->prng) * (int64_t)(spread / 64) / (65536 / 64);
        return now_ns +
               (off < 0 && (uint64_t)-off > ns ? 0 : ns + (uint64_t)off);
    case DELAY_DISK:
        return disk_until_ns(c, r, size, now_ns);
    default:
        return now_ns + ns;
    }
}

void delay_clock_init(struct delay_clock *c, const struct delay_conf *conf)
{
    *c = (struct delay_clock){.conf = conf, .prng = prng_of(conf->seed, 0)};
}

/* ---- the config ---- */

/* In the order of enum delay_kind. */
static const char *const kind_words[] = {"fixed", "uniform", "normal", "disk",
                                         NULL};

static const struct conf_key time_keys[] = {
    {"distribution", CONF_CHOICE, CONF_AT(struct delay_time_conf, kind),
     .def = "\"fixed\"", .words = kind_words,
     .help = "fixed: us. uniform: as likely anywhere from us - spread_us to us "
             "+ spread_us. normal: around us, with a standard deviation of "
             "spread_us. disk: as long as a disk of one arm and one platter "
             "takes."},
    {"us", CONF_U32, CONF_AT(struct delay_time_conf, us), .def = "0",
     .max = LONGEST_US, .help = "Microseconds."},
    {"spread_us", CONF_U32, CONF_AT(struct delay_time_conf, spread_us),
     .def = "0", .max = LONGEST_US, .help = "Microseconds."},
    {NULL},
};

static const struct conf_table time_table = {
    .name = "time",
    .size = sizeof(struct delay_time_conf),
    .keys = time_keys,
    .help = "How long requests are held.",
};

#define TIME_KEY(word, number, text)                                           \
    {                                                                          \
        word, CONF_TABLE, CONF_AT(struct delay_conf, op[number]),              \
            .table = &time_table,                                              \
            .seen_offset = CONF_SEEN(struct delay_conf, has_op[number]),       \
            .help = text                                                       \
    }

const struct conf_key delay_keys[] = {
    {"next", CONF_UNION, CONF_AT(struct delay_conf, next), .required = true,
     .of = &store_union, .help = "The store that does the rest."},
    {"all", CONF_TABLE, CONF_AT(struct delay_conf, all), .table = &time_table,
     .help = "How long requests are held of which nothing else is said. "
             "Default: they are not."},
    TIME_KEY("read", STORE_READ, "How long reads are held."),
    TIME_KEY("write", STORE_WRITE, "How long writes are held."),
    TIME_KEY("flush", STORE_FLUSH, "How long flushes are held."),
    TIME_KEY("discard", STORE_DISCARD, "How long discards are held."),
    TIME_KEY("zero", STORE_ZERO, "How long requests to zero are held."),
    {"rpm", CONF_U32, CONF_AT(struct delay_conf, rpm), .def = "7200", .min = 1,
     .max = 1000000, .help = "Of a disk: revolutions a minute."},
    {"seek_min_us", CONF_U32, CONF_AT(struct delay_conf, seek_min_us),
     .def = "500", .max = LONGEST_US,
     .help = "Of a disk: microseconds that its arm takes to the next track."},
    {"seek_max_us", CONF_U32, CONF_AT(struct delay_conf, seek_max_us),
     .def = "16000", .max = LONGEST_US,
     .help = "Of a disk: microseconds that its arm takes all the way across."},
    {"rate", CONF_SIZE, CONF_AT(struct delay_conf, rate), .def = "\"150M\"",
     .max = UINT64_C(1) << 40,
     .help = "Of a disk: bytes a second that move when they come by; 0: in no "
             "time."},
    {"exact", CONF_BOOL, CONF_AT(struct delay_conf, exact), .def = "false",
     .help = "Look at the clock all the time while a request is to go within "
             "the next milliseconds, which takes a whole core. Without, "
             "requests go up to a millisecond late."},
    STORE_FILTER_SEED(struct delay_conf, "each is held as long."),
    STORE_FILTER_NAME(struct delay_conf),
    {NULL},
};
