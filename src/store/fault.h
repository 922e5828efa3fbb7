/* store/fault.h: what the files of the filter `fault` share.
 *
 * fault.c is the filter; fault_rules.c says which requests a rule is about;
 * fault_job.c does what becomes of those that are done otherwise than asked;
 * fault_power.c cuts the power; fault_commands.c is what it can be told.
 *
 * Threads: all of it on the one loop of its device: info.serial. */
#ifndef VUB_STORE_FAULT_H
#define VUB_STORE_FAULT_H

#include "base/prng.h"
#include "store/command.h"
#include "store/event.h"
#include "store/filter.h"
#include "store/parts.h"
#include "store/steps.h"

enum fault_outcome {
    FAULT_ERROR,      /* it fails */
    FAULT_SHORT,      /* its first bytes are moved, then it fails */
    FAULT_FLIP,       /* a read: some bits are others */
    FAULT_GARBAGE,    /* a read: all bits are others */
    FAULT_DROP,       /* it is said to be done, and is not */
    FAULT_MISDIRECT,  /* it is done elsewhere */
    FAULT_STUCK,      /* it is held */
    FAULT_DISCONNECT, /* it is done, and the front-end is lost */
    FAULT_BREAK,      /* its ring breaks */
    FAULT_POWERCUT,   /* it fails, and the power is cut */
};

enum { FAULT_OP_ANY = STORE_ZERO + 1 };

struct fault_rule_conf {
    const char *name; /* NULL: its number is all */
    unsigned op, outcome, error, power;
    const char *filter; /* whose power: its name; NULL: the only one's */
    bool has_outcome, stuck, armed, has_bytes;
    uint32_t after, every, count, per_million, bits;
    uint64_t offset, length, bytes, distance;
};

struct fault_conf {
    struct conf_any next;
    struct conf_anys rules;
    const char *name;
    uint64_t seed;
};

/* What changes of a rule: plain numbers, which another process may go on
 * with. */
struct fault_state {
    uint64_t matched, fired; /* since it was opened, or reset */
    uint64_t seen, done;     /* of those, since it was armed */
    struct prng prng;        /* whether, and how */
    uint32_t after, count;   /* as the config has them, or as it was armed */
    uint32_t armed;
    uint64_t of; /* the digest of its config: another rule begins anew */
};

struct fault_rule {
    const struct fault_rule_conf *conf;
    struct fault_state now;
    struct store *power; /* FAULT_POWERCUT: whose; NULL: nobody's */
};

struct fault {
    struct store_filter filter;
    const struct fault_conf *conf;
    struct fault_rule *rules; /* [num_rules] */
    int num_rules;
    uint64_t seed;
    uint64_t held; /* requests that are stuck */
    struct list channels;
    struct store_event_limit limit;
    struct kept kept; /* [num_rules] pairs of struct fault_state */
};

struct fault_channel {
    struct store_filter_channel filter;
    struct list node; /* in fault->channels */
    struct list stuck;
    struct parts parts; /* what is done instead */
    struct steps steps; /* garbage that is much */
};

static inline struct fault *fault_of(const struct store *s)
{
    return container_of((struct store *)s, struct fault, filter.store);
}

static inline struct fault_channel *fault_channel_of(struct store_channel *ch)
{
    return container_of(ch, struct fault_channel, filter.ch);
}

/* ---- fault_rules.c ---- */

extern const struct conf_table fault_rule_table;
extern const char *const fault_outcome_words[];

/* The rule that decides what becomes of r; NULL: none does. Counts. */
struct fault_rule *fault_decide(struct fault *f, const struct store_req *r);
/* A negative errno, as the rule's config has it. */
int fault_error(const struct fault_rule *rule);
/* All rules are as the config has them, and begin anew by this seed. */
void fault_begin_anew(struct fault *f, uint64_t seed);
/* Something of it has changed. */
void fault_keep_rule(struct fault *f, const struct fault_rule *rule);
int fault_keep(struct store *s, const char *name, struct err *e);
void fault_status(const struct store *s, struct json_out *o);
void fault_metrics(const struct store *s, const struct store_metrics_to *to);

/* ---- fault_job.c ---- */

/* Does r otherwise than asked, as submit does: FAULT_SHORT to FAULT_MISDIRECT.
 */
int fault_do(struct fault_channel *c, struct fault_rule *rule,
             struct store_req *r);
/* Does a little of one of the channel's steps. */
void fault_step(struct store_req *r);

/* ---- fault_power.c ---- */

/* [home] The stack has been opened. */
void fault_find_power(struct fault *f);
/* Is there any power? */
bool fault_can_cut(const struct fault_rule *rule);
void fault_cut(const struct fault *f, const struct fault_rule *rule);

/* ---- fault.c ---- */

/* Lets go what is stuck by this rule (NULL: by any), to be done or (fail) to
 * fail; how many. */
unsigned fault_release(struct fault *f, const struct fault_rule *rule,
                       bool fail);

/* ---- fault_commands.c ---- */

extern const struct store_command fault_commands[];

#endif
