/* The command that cuts the power. */
#include <stdlib.h>

#include "store/command.h"
#include "store/event.h"
#include "store/powercut_impl.h"

/* In the order of enum power_outcome. */
const char *const powercut_outcome_words[] = {"lost",      "kept",  "torn",
                                              "reordered", "mixed", NULL};

struct cut_args {
    unsigned outcome;
    uint64_t seed;
    bool has_seed;
};

static const struct conf_key cut_keys[] = {
    {"outcome", CONF_CHOICE, CONF_AT(struct cut_args, outcome),
     .def = "\"mixed\"", .words = powercut_outcome_words,
     .help = "What becomes of the writes that were not flushed: all are lost; "
             "all are kept; of each all, some sectors or nothing is kept; each "
             "is kept or not, in any order; or both of these."},
    {"seed", CONF_SIZE, CONF_AT(struct cut_args, seed),
     .seen_offset = CONF_SEEN(struct cut_args, has_seed),
     .help = "Of this power cut. By default the config's, and which power cut "
             "of the device it is."},
    {NULL},
};

static const struct conf_table cut_table = {
    .name = "powercut.cut",
    .size = sizeof(struct cut_args),
    .keys = cut_keys,
};

/* One on its way. */
struct cutting {
    struct power_cut cut;
    struct store *store;
    struct call *call;
};

static void describe(const struct power_cut *cut, struct json_out *o)
{
    json_add_u64(o, "cut", cut->number);
    json_add_str(o, "outcome", powercut_outcome_words[cut->how]);
    json_add_u64(o, "seed", cut->seed);
    json_add_u64(o, "writes", cut->writes);
    json_add_u64(o, "kept", cut->kept);
    json_add_u64(o, "lost", cut->lost);
    json_add_u64(o, "torn", cut->torn);
    json_add_u64(o, "sectors_kept", cut->sectors_kept);
    json_add_u64(o, "sectors_lost", cut->sectors_lost);
}

void powercut_tell(struct powercut *p, const struct power_cut *cut)
{
    struct json_out o;

    if (!store_event_begin(&o, "powercut.cut", &p->filter.store, &p->limit))
        return;
    describe(cut, &o);
    store_event_end(&o);
}

static void on_over(struct power_cut *cut, int result)
{
    struct cutting *c = container_of(cut, struct cutting, cut);
    struct err e;

    if (result < 0) {
        err_sys(&e, -result, "/params/device",
                "the power was cut, but what is left could not be written");
        call_fail(c->call, &e);
        free(c);
        return;
    }
    powercut_tell(powercut_of(c->store), cut);
    describe(cut, &c->call->out);
    call_done(c->call);
    free(c);
}

static void run_cut(struct store *s, struct call *call)
{
    const struct cut_args *args = call->args;
    struct cutting *c = calloc(1, sizeof(*c));
    struct err e;

    if (!c) {
        err_nomem(&e);
        call_fail(call, &e);
        return;
    }
    c->store = s;
    c->call = call;
    c->cut.how = (enum power_outcome)args->outcome;
    c->cut.has_seed = args->has_seed;
    c->cut.seed = args->seed;
    c->cut.over = on_over;
    if (powercut_cut(s, &c->cut, &e) < 0) {
        call_fail(call, &e);
        free(c);
    }
}

const struct store_command powercut_commands[] = {
    {"powercut.cut", &cut_table,
     "Cut the power of a disk: the session ends, and the next one finds what "
     "is left of the writes that were not flushed. Answered when that is on "
     "the disk.",
     run_cut},
    {NULL},
};
