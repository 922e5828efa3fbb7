/* Rules of the filter `fault` that cut the power of a filter `powercut` of the
 * same stack, which stands above or below. Which one is said by its name, or
 * there is just one.
 *
 * From the request on that fires such a rule, which fails, the power is off for
 * all that come, whatever batch they are in: so the same requests have the same
 * outcome. While the power is off, or what it has left is being written, there
 * is nothing to cut, and the rule is not asked: what a powercut above it writes
 * then does not count. */
#include <string.h>

#include "store/fault.h"
#include "store/powercut.h"

void fault_find_power(struct fault *f)
{
    struct store *top = &f->filter.store;

    while (top->above)
        top = top->above;
    for (int i = 0; i < f->num_rules; i++) {
        struct fault_rule *rule = &f->rules[i];
        struct store_search search = {.type = "powercut",
                                      .name = rule->conf->filter};

        if (rule->conf->outcome != FAULT_POWERCUT)
            continue;
        store_search(&search, top);
        rule->power = search.count == 1 ? search.found : NULL;
    }
}

bool fault_can_cut(const struct fault_rule *rule)
{
    return rule->power && !powercut_is_off(rule->power);
}

static bool is_above(const struct store *s, const struct store *below)
{
    while (below && below != s)
        below = below->above;
    return below;
}

void fault_cut(const struct fault *f, const struct fault_rule *rule)
{
    powercut_trip(rule->power, (enum power_outcome)rule->conf->power,
                  is_above(&f->filter.store, rule->power));
}

/* ---- the config ---- */

struct stack_check {
    const char *filter; /* that a rule names; NULL: any */
    unsigned count;
    const struct conf_any *stack;
    struct errs *e;
};

static void count_power(const struct conf_any *o, void *arg)
{
    struct stack_check *c = arg;
    const char *name;

    if (!powercut_named(o, &name))
        return;
    c->count += !c->filter || (name && strcmp(name, c->filter) == 0);
}

static void check_rule(struct stack_check *c, const struct conf_any *o)
{
    const struct conf_visitor count = {.object = count_power, .arg = c};
    const struct fault_rule_conf *rule = o->data;

    if (rule->outcome != FAULT_POWERCUT)
        return;
    c->filter = rule->filter;
    c->count = 0;
    conf_visit(c->stack->table, c->stack->data, &count);
    if (c->count > 1 && rule->filter)
        errs_at(c->e, o->at, "filter",
                "%u filters powercut of these stores have the name \"%.64s\"",
                c->count, rule->filter);
    else if (c->count > 1)
        errs_at(c->e, o->at, "outcome",
                "there are %u filters powercut among these stores: say which "
                "by its name, as \"filter\"",
                c->count);
    else if (c->count == 0 && rule->filter)
        errs_at(c->e, o->at, "filter",
                "none of these stores is a powercut with the name \"%.64s\"",
                rule->filter);
    else if (c->count == 0)
        errs_at(c->e, o->at, "outcome",
                "none of these stores is a powercut, whose power could be cut");
}

static void look_at(const struct conf_any *o, void *arg)
{
    if (o->table == &fault_rule_table && o->at)
        check_rule(arg, o);
}

void store_check_stack(const struct conf_any *c, struct errs *e)
{
    struct stack_check check = {.stack = c, .e = e};
    const struct conf_visitor v = {.object = look_at, .arg = &check};

    if (c->table && c->data)
        conf_visit(c->table, c->data, &v);
}
