/* daemon/scenario/scenario.h: vub scenario: a list of steps, run over the
 * control socket of a vub.
 *
 * A program of its own, which blocks, and does one thing at a time. `vub
 * --scenario` is a vub that starts it as --run starts a command. Threads: the
 * only one. */
#ifndef VUB_DAEMON_SCENARIO_SCENARIO_H
#define VUB_DAEMON_SCENARIO_SCENARIO_H

#include <stdio.h>

#include "daemon/config.h"
#include "daemon/option_rows.h"

/* The exit status. */
enum { SCENARIO_PASSED, SCENARIO_FAILED, SCENARIO_WRONG };

extern const struct option_row scenario_options[];
/* What a file of a scenario may say. */
extern const struct conf_table scenario_table;

/* argv[0] is "scenario". The exit status of the program. */
int scenario_main(int argc, char **argv);

/* Is the file a scenario that this config can be asked for? All that is wrong
 * is in e. again: it will be read once more, which not every file can be. */
int scenario_check(const char *path, bool again, const struct config *c,
                   struct errs *e);

/* Its options, and the kinds of steps, in mdoc. */
void scenario_man(FILE *f);

#endif
