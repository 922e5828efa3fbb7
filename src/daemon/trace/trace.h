/* daemon/trace/trace.h: vub trace: what a trace of requests says, and the same
 * requests once more. Threads: the only one. */
#ifndef VUB_DAEMON_TRACE_TRACE_H
#define VUB_DAEMON_TRACE_TRACE_H

#include "daemon/option_rows.h"

/* argv[0] is "trace". The exit status of the program: 0 done, 1 not done, 2
 * asked wrongly. */
int trace_main(int argc, char **argv);

/* What there is behind "vub trace", for completion: false: no more than i. */
struct trace_command_row {
    const char *name, *help;
    const struct option_row *options;
};
bool trace_commands_at(unsigned i, struct trace_command_row *out);
/* All of them, in mdoc. */
void trace_man(FILE *f);

#endif
