/* What the filter `fault` can be told: rules that hold or do not, what is
 * stuck, and all as it was. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/fault.h"

struct rule_args {
    const char *rule; /* NULL: all */
    uint32_t after, count;
    bool has_after, has_count;
    bool fail;
};

/* Is it the rule that somebody means? */
static bool is_named(const struct fault *f, const struct fault_rule *rule,
                     const char *name)
{
    char number[16];

    snprintf(number, sizeof(number), "%d", (int)(rule - f->rules));
    return (rule->conf->name && strcmp(name, rule->conf->name) == 0) ||
           strcmp(name, number) == 0;
}

/* Rules of that name, in turn, from *i on; NULL: there are no more. */
static struct fault_rule *next_rule(struct fault *f, const char *name, int *i)
{
    while (*i < f->num_rules) {
        struct fault_rule *rule = &f->rules[(*i)++];

        if (!name || is_named(f, rule, name))
            return rule;
    }
    return NULL;
}

/* False: there is none, and the call has failed. */
static bool has_rule(struct fault *f, struct call *c, const char *name)
{
    struct err e;
    int i = 0;

    if (!name || next_rule(f, name, &i))
        return true;
    err_set(&e, -ENOENT, "/params/rule",
            "the filter has no rule \"%.64s\": it has %d, numbered from 0 on",
            name, f->num_rules);
    call_fail(c, &e);
    return false;
}

static void set_armed(struct store *s, struct call *c, bool armed)
{
    const struct rule_args *args = c->args;
    struct fault *f = fault_of(s);
    struct fault_rule *rule;
    uint64_t count = 0;
    int i = 0;

    if (!has_rule(f, c, args->rule))
        return;
    while ((rule = next_rule(f, args->rule, &i)) != NULL) {
        rule->now.armed = armed;
        if (armed) {
            rule->now.seen = rule->now.done = 0;
            rule->now.after = args->has_after ? args->after : rule->conf->after;
            rule->now.count = args->has_count ? args->count : rule->conf->count;
        }
        fault_keep_rule(f, rule);
        count++;
    }
    json_add_u64(&c->out, "rules", count);
    call_done(c);
}

static void run_arm(struct store *s, struct call *c)
{
    set_armed(s, c, true);
}

static void run_disarm(struct store *s, struct call *c)
{
    set_armed(s, c, false);
}

static void run_release(struct store *s, struct call *c)
{
    const struct rule_args *args = c->args;
    struct fault *f = fault_of(s);
    struct fault_rule *rule;
    uint64_t count = 0;
    int i = 0;

    if (!has_rule(f, c, args->rule))
        return;
    if (!args->rule)
        count = fault_release(f, NULL, args->fail);
    else
        while ((rule = next_rule(f, args->rule, &i)) != NULL)
            count += fault_release(f, rule, args->fail);
    json_add_u64(&c->out, "released", count);
    call_done(c);
}

struct reset_args {
    uint64_t seed;
    bool has_seed;
};

static void run_reset(struct store *s, struct call *c)
{
    const struct reset_args *args = c->args;
    struct fault *f = fault_of(s);

    fault_begin_anew(f, args->has_seed ? args->seed : f->conf->seed);
    json_add_u64(&c->out, "seed", f->seed);
    json_add_u64(&c->out, "released", fault_release(f, NULL, false));
    call_done(c);
}

#define RULE_KEY                                                               \
    {                                                                          \
        "rule", CONF_STR, CONF_AT(struct rule_args, rule),                     \
            .min = 1,                                                          \
            .help = "The name of a rule, or its number, from 0 on. Without: "  \
                    "all of them."                                             \
    }

static const struct conf_key arm_keys[] = {
    RULE_KEY,
    {"after", CONF_U32, CONF_AT(struct rule_args, after),
     .seen_offset = CONF_SEEN(struct rule_args, has_after),
     .help = "How many requests pass first, from now on. Default: what the "
             "config says."},
    {"count", CONF_U32, CONF_AT(struct rule_args, count),
     .seen_offset = CONF_SEEN(struct rule_args, has_count),
     .help = "How often it happens then; 0: always. Default: what the config "
             "says."},
    {NULL},
};

static const struct conf_table arm_table = {
    .name = "fault.arm",
    .size = sizeof(struct rule_args),
    .keys = arm_keys,
};

static const struct conf_key disarm_keys[] = {
    RULE_KEY,
    {NULL},
};

static const struct conf_table disarm_table = {
    .name = "fault.disarm",
    .size = sizeof(struct rule_args),
    .keys = disarm_keys,
};

static const struct conf_key release_keys[] = {
    RULE_KEY,
    {"fail", CONF_BOOL, CONF_AT(struct rule_args, fail), .def = "false",
     .help = "They fail with EIO. Without, they are done."},
    {NULL},
};

static const struct conf_table release_table = {
    .name = "fault.release",
    .size = sizeof(struct rule_args),
    .keys = release_keys,
};

static const struct conf_key reset_keys[] = {
    {"seed", CONF_SIZE, CONF_AT(struct reset_args, seed),
     .seen_offset = CONF_SEEN(struct reset_args, has_seed),
     .help = "Where chance begins from now on. Default: what the config says."},
    {NULL},
};

static const struct conf_table reset_table = {
    .name = "fault.reset",
    .size = sizeof(struct reset_args),
    .keys = reset_keys,
};

const struct store_command fault_commands[] = {
    {"fault.arm", &arm_table,
     "Let rules of a filter fault hold, from now on, as if no request had come "
     "before.",
     run_arm},
    {"fault.disarm", &disarm_table,
     "Let rules of a filter fault hold no more. What is stuck stays so.",
     run_disarm},
    {"fault.release", &release_table,
     "Let requests go on that are stuck in a filter fault.", run_release},
    {"fault.reset", &reset_table,
     "Let a filter fault begin anew: counters, chance, which rules are armed. "
     "What is stuck goes on.",
     run_reset},
    {NULL},
};
