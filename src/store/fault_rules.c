/* Rules of the filter `fault`: their keys, whom they are about, and when. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/fault.h"
#include "store/metrics.h"
#include "store/powercut.h"

/* In the order of error_words. */
static const int errors[] = {EIO,    ENOSPC,    ENOMEM, EDQUOT,
                             ENODEV, ETIMEDOUT, EROFS};
static const char *const error_words[] = {
    "EIO", "ENOSPC", "ENOMEM", "EDQUOT", "ENODEV", "ETIMEDOUT", "EROFS", NULL};
/* In the order of enum store_op. */
static const char *const op_words[] = {"read", "write", "flush", "discard",
                                       "zero", "any",   NULL};
/* In the order of enum fault_outcome. */
const char *const fault_outcome_words[] = {
    "error", "short",      "flip",  "garbage",  "drop", "misdirect",
    "stuck", "disconnect", "break", "powercut", NULL};

#define OPS(op) (1u << (op))
#define OPS_ALL                                                                \
    (OPS(STORE_READ) | OPS(STORE_WRITE) | OPS(STORE_FLUSH) |                   \
     OPS(STORE_DISCARD) | OPS(STORE_ZERO))

/* What an outcome can become of. */
static unsigned ops_of(unsigned outcome)
{
    switch (outcome) {
    case FAULT_FLIP:
    case FAULT_GARBAGE:
        return OPS(STORE_READ);
    case FAULT_SHORT:
    case FAULT_MISDIRECT:
        return OPS(STORE_READ) | OPS(STORE_WRITE);
    case FAULT_DROP:
        return OPS_ALL & ~OPS(STORE_READ);
    default:
        return OPS_ALL;
    }
}

int fault_error(const struct fault_rule *rule)
{
    return -errors[rule->conf->error];
}

/* ---- which requests ---- */

static bool matches(const struct fault_rule_conf *c, const struct store_req *r)
{
    if (c->op != FAULT_OP_ANY && c->op != (unsigned)r->op)
        return false;
    if (!(ops_of(c->outcome) & OPS(r->op)))
        return false;
    if (!c->length && !c->offset)
        return true;
    if (r->op == STORE_FLUSH)
        return false;
    return ranges_meet(r->offset, r->len, c->offset,
                       c->length ? c->length : UINT64_MAX - c->offset);
}

/* Counts the request; is it the rule's? */
static bool is_due(struct fault_rule *rule, const struct store_req *r)
{
    const struct fault_rule_conf *c = rule->conf;
    struct fault_state *now = &rule->now;
    uint64_t nth;

    if (!now->armed || !matches(c, r))
        return false;
    if (c->outcome == FAULT_POWERCUT && !fault_can_cut(rule))
        return false;
    now->matched++;
    nth = now->seen++;
    if (nth < now->after || (now->count && now->done >= now->count) ||
        (nth - now->after) % c->every != 0)
        return false;
    if (c->per_million < 1000000 && !prng_happens(&now->prng, c->per_million))
        return false;
    now->done++;
    now->fired++;
    return true;
}

struct fault_rule *fault_decide(struct fault *f, const struct store_req *r)
{
    for (int i = 0; i < f->num_rules; i++) {
        struct fault_rule *rule = &f->rules[i];
        uint64_t matched = rule->now.matched;
        bool due = is_due(rule, r);

        if (rule->now.matched != matched)
            fault_keep_rule(f, rule);
        if (due)
            return rule;
    }
    return NULL;
}

void fault_begin_anew(struct fault *f, uint64_t seed)
{
    f->seed = seed;
    for (int i = 0; i < f->num_rules; i++) {
        struct fault_rule *rule = &f->rules[i];

        rule->now = (struct fault_state){
            .prng = prng_of(seed, (uint64_t)i),
            .after = rule->conf->after,
            .count = rule->conf->count,
            .armed = rule->conf->armed,
            .of = conf_digest(&f->conf->rules.list[i], NULL)};
        fault_keep_rule(f, rule);
    }
}

/* ---- what outlives the process ---- */

static uint8_t *place(const struct fault *f, const struct fault_rule *rule)
{
    return f->kept.at + (uint64_t)(rule - f->rules) *
                            keep_pair_bytes(sizeof(struct fault_state));
}

void fault_keep_rule(struct fault *f, const struct fault_rule *rule)
{
    if (f->kept.at)
        keep_pair_write(place(f, rule), &rule->now, sizeof(rule->now));
}

/* Whatever is there is only numbers, all of which are good. The seed is the
 * config's, unless it was reset to another: it is not told then. */
int fault_keep(struct store *s, const char *name, struct err *e)
{
    struct fault *f = fault_of(s);
    char whole[KEEP_NAME_MAX + 1];
    int rc = store_keep_name(whole, name, "fault.1", e);

    if (rc == 0 && f->num_rules)
        rc = keep_get(&f->kept, s->id, whole,
                      (uint64_t)f->num_rules *
                          keep_pair_bytes(sizeof(struct fault_state)),
                      e);
    if (rc < 0)
        return rc;
    for (int i = 0; i < f->num_rules; i++) {
        struct fault_rule *rule = &f->rules[i];
        struct fault_state was;

        if (f->kept.found &&
            keep_pair_read(place(f, rule), &was, sizeof(was)) &&
            was.of == rule->now.of)
            rule->now = was;
        else
            fault_keep_rule(f, rule);
    }
    return store_filter_keep(s, name, e);
}

/* ---- what there is to know ---- */

void fault_status(const struct store *s, struct json_out *o)
{
    const struct fault *f = fault_of(s);

    json_add_u64(o, "seed", f->seed);
    json_add_u64(o, "held", f->held);
    json_begin(o, "rules", '[');
    for (int i = 0; i < f->num_rules; i++) {
        const struct fault_rule *rule = &f->rules[i];

        json_begin(o, NULL, '{');
        if (rule->conf->name)
            json_add_str(o, "name", rule->conf->name);
        json_add_str(o, "op", op_words[rule->conf->op]);
        json_add_str(o, "outcome", fault_outcome_words[rule->conf->outcome]);
        json_add_bool(o, "armed", rule->now.armed);
        json_add_u64(o, "matched", rule->now.matched);
        json_add_u64(o, "fired", rule->now.fired);
        json_end(o, '}');
    }
    json_end(o, ']');
}

static const struct metric_family matched = {
    "vub_fault_matched", METRIC_COUNTER, NULL,
    "Requests that a rule of a filter fault was about."};
static const struct metric_family fired = {
    "vub_fault_fired", METRIC_COUNTER, NULL,
    "Requests that a rule of a filter fault has done wrongly."};
static const struct metric_family held = {
    "vub_fault_held", METRIC_GAUGE, NULL,
    "Requests that are stuck in a filter fault."};

/* The name of a rule that no other has, if it can stand in a text as it is. */
static const char *label_of(const struct fault *f, const struct fault_rule *r,
                            char number[16])
{
    const char *name = r->conf->name;
    bool is_good = store_is_label(name) && strlen(name) <= 32;

    for (const char *c = name; is_good && *c; c++)
        is_good = *c >= ' ' && *c <= '~' && *c != '"' && *c != '\\';
    for (int i = 0; is_good && i < f->num_rules; i++) {
        const char *other = f->rules[i].conf->name;

        is_good = &f->rules[i] == r || !other || strcmp(other, name) != 0;
    }
    snprintf(number, 16, "%d", (int)(r - f->rules));
    return is_good ? name : number;
}

void fault_metrics(const struct store *s, const struct store_metrics_to *to)
{
    const struct fault *f = fault_of(s);
    char number[16];

    for (int i = 0; i < f->num_rules; i++) {
        const struct fault_rule *rule = &f->rules[i];
        const char *label = label_of(f, rule, number);

        store_metric_of(to, &matched, rule->now.matched, "rule", label);
        store_metric_of(to, &fired, rule->now.fired, "rule", label);
    }
    store_metric(to, &held, f->held);
}

/* ---- the config ---- */

static void rule_check(void *data, const char *at, struct errs *e)
{
    struct fault_rule_conf *c = data;

    if (c->stuck) {
        if (c->has_outcome && c->outcome != FAULT_STUCK)
            errs_at(e, at, "stuck",
                    "what is stuck has no other outcome: leave one out");
        c->outcome = FAULT_STUCK;
    }
    if (c->op != FAULT_OP_ANY && !(ops_of(c->outcome) & OPS(c->op)))
        errs_at(e, at, "outcome", "\"%s\" is nothing that a %s can become",
                fault_outcome_words[c->outcome], op_words[c->op]);
}

static const struct conf_key rule_keys[] = {
    {"name", CONF_STR, CONF_AT(struct fault_rule_conf, name), .min = 1,
     .help = "By which commands and events name it. Its number does too, from "
             "0 on."},
    {"op", CONF_CHOICE, CONF_AT(struct fault_rule_conf, op), .def = "\"any\"",
     .words = op_words, .help = "Which requests it is about."},
    {"offset", CONF_SIZE, CONF_AT(struct fault_rule_conf, offset), .def = "0",
     .max = STORE_SIZE_MAX,
     .help = "Only requests that touch bytes from here on."},
    {"length", CONF_SIZE, CONF_AT(struct fault_rule_conf, length), .def = "0",
     .max = STORE_SIZE_MAX,
     .help = "How many bytes from offset on; 0: to the end."},
    {"after", CONF_U32, CONF_AT(struct fault_rule_conf, after), .def = "0",
     .help = "How many of them pass first."},
    {"every", CONF_U32, CONF_AT(struct fault_rule_conf, every), .def = "1",
     .min = 1, .help = "Then it is about each of so many."},
    {"per_million", CONF_U32, CONF_AT(struct fault_rule_conf, per_million),
     .def = "1000000", .max = 1000000,
     .help = "How likely it then is, of a million, by the seed."},
    {"count", CONF_U32, CONF_AT(struct fault_rule_conf, count), .def = "0",
     .help = "How often it happens then; 0: always."},
    {"armed", CONF_BOOL, CONF_AT(struct fault_rule_conf, armed), .def = "true",
     .help = "Whether it holds from the start, or from fault.arm on."},
    {"outcome", CONF_CHOICE, CONF_AT(struct fault_rule_conf, outcome),
     .def = "\"error\"", .words = fault_outcome_words,
     .seen_offset = CONF_SEEN(struct fault_rule_conf, has_outcome),
     .help = "What becomes of them. error: they fail. short: their first bytes "
             "are moved, then they fail. flip: some bits of what is read are "
             "others; garbage: all of it is. drop: they are said to be done, "
             "and are not. misdirect: they are done at another place. stuck: "
             "they are held, until fault.release or until the device gives "
             "them up. disconnect: they are done, and the front-end is lost. "
             "break: their ring breaks. powercut: they fail, and the power of "
             "the filter powercut above or below is cut."},
    {"power", CONF_CHOICE, CONF_AT(struct fault_rule_conf, power),
     .def = "\"mixed\"", .words = powercut_outcome_words,
     .help = "What a power cut leaves of the writes that were not flushed, as "
             "powercut.cut has it."},
    {"filter", CONF_STR, CONF_AT(struct fault_rule_conf, filter), .min = 1,
     .help = "The name of the filter powercut, if there is more than one among "
             "these stores."},
    {"error", CONF_CHOICE, CONF_AT(struct fault_rule_conf, error),
     .def = "\"EIO\"", .words = error_words,
     .help = "What they fail with. A guest of a block device sees an I/O error "
             "in any case; the log says which."},
    {"stuck", CONF_BOOL, CONF_AT(struct fault_rule_conf, stuck), .def = "false",
     .help = "The same as outcome \"stuck\"."},
    {"bytes", CONF_SIZE, CONF_AT(struct fault_rule_conf, bytes),
     .seen_offset = CONF_SEEN(struct fault_rule_conf, has_bytes),
     .help = "How many bytes of a short request are moved, whole blocks; by "
             "default half of them. Of a dropped write: by default none."},
    {"bits", CONF_U32, CONF_AT(struct fault_rule_conf, bits), .def = "1",
     .min = 1, .max = 256, .help = "How many bits flip, by the seed."},
    {"distance", CONF_SIZE, CONF_AT(struct fault_rule_conf, distance),
     .def = "4096", .max = STORE_SIZE_MAX,
     .help = "How many bytes further on a misdirected request is done, or, at "
             "the end of the disk, before; whole blocks. 0: anywhere, by the "
             "seed."},
    {NULL},
};

const struct conf_table fault_rule_table = {
    .name = "rule",
    .size = sizeof(struct fault_rule_conf),
    .keys = rule_keys,
    .help = "Which requests are done wrongly, and how.",
    .check = rule_check,
};
