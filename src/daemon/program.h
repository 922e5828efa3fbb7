/* daemon/program.h: vub as a program of one device: vub-block, vub-scsi,
 * vub-input, vub-gpu; or vub block and so on.
 *
 * Spec: vhost-user, "Backend program conventions"; beyond those, the options of
 * the daemons in QEMU's contrib folder, so that each of them may be replaced.
 * Threads: the main one. */
#ifndef VUB_DAEMON_PROGRAM_H
#define VUB_DAEMON_PROGRAM_H

#include "daemon/options.h"

struct program;

/* Which one argv asks for; what named it is taken out of argv. NULL: vub. */
const struct program *program_called(int *argc, char ***argv);
/* "vub-block". */
const char *program_name(const struct program *p);

/* As options_parse; o->text is the config that the options say. */
int program_parse(struct options *o, const struct program *p, int argc,
                  char **argv, struct err *e);
/* A place in that config becomes the option that has said it. */
void program_place(const struct program *p, const struct options *o,
                   struct err *e);

/* The options that it has. */
void program_rows(const struct program *p, struct option_scan *s);
void program_help(FILE *f, const struct program *p);
/* All programs, in mdoc. */
void program_man(FILE *f);
/* JSON: what it can do of the conventions. */
void program_capabilities(FILE *f, const struct program *p);

#endif
