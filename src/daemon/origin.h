/* daemon/origin.h: how this vub has come about, for as long as it runs.
 *
 * Threads: the main one. */
#ifndef VUB_DAEMON_ORIGIN_H
#define VUB_DAEMON_ORIGIN_H

#include "base/json_out.h"
#include "daemon/take_over.h"

struct origin {
    int64_t started_s; /* since 1970 */
    int pid;           /* that it has taken over from; 0: from nobody */
    char version[32];
    unsigned front_ends;
    uint64_t pause_ms; /* no guest has waited longer */
};

void origin_begin(struct origin *o);
void origin_note(struct origin *o, const struct take_over *t);
/* All runs: how long it took, and a line of the log. */
void origin_tell(struct origin *o, const struct take_over *t);
/* Adds members. */
void origin_status(const struct origin *o, struct json_out *out);

#endif
