/* iscsi/discover.h: which targets a portal has, and which units those have.
 *
 * RFC 7143, appendix C (SendTargets); then each target is logged in to, and
 * asked for its units (REPORT LUNS), and each unit what it is. For a program
 * that does nothing else: it blocks, on a loop of its own.
 *
 * The texts are the target's: any bytes but NUL. Who shows them escapes them.
 */
#ifndef VUB_ISCSI_DISCOVER_H
#define VUB_ISCSI_DISCOVER_H

#include "iscsi/unit.h"

#define FOUND_TARGETS_MAX 256
#define FOUND_PORTALS_MAX 8
#define FOUND_UNITS_MAX 256

struct iscsi_query {
    const char *portal; /* HOST[:PORT] */
    const char *initiator;
    struct iscsi_chap chap, mutual_chap;
    bool header_digest;
    uint32_t timeout; /* ms, of each step */
};

struct found_unit {
    unsigned lun;
    uint8_t type; /* peripheral device type: SPC-4, 6.6.2; 0: a disk */
    char vendor[9], product[17], revision[5];
    uint64_t size;  /* bytes; 0: it did not say */
    uint32_t block; /* bytes */
    char why[64];   /* what went wrong; "": nothing */
};

struct found_target {
    char name[256];
    char portals[FOUND_PORTALS_MAX][256]; /* with the group's tag */
    int num_portals;
    struct found_unit *units; /* owned */
    int num_units;
    char why[256]; /* why there are none */
};

struct found {
    struct found_target *targets; /* owned */
    int num_targets;
    bool more; /* than are listed */
};

/* Errors: at "portal", "initiator", "chap", ... What of a target cannot be had
 * is said at the target. */
int iscsi_discover(const struct iscsi_query *q, struct found *f,
                   struct errs *e);
void found_free(struct found *f);

#endif
