/* daemon/complete.h: what a shell may put where somebody has typed half a word.
 *
 * `vub complete PROGRAM WORD...` is asked by the shell, through a short script
 * that --print-completion prints: the words of the command line, the last one
 * as far as it is typed. It knows by the tables that the parsers use, so
 * scripts need not change when they do. Each line of its answer is a word, a
 * tab and what it means; or ":files", if a path is wanted. Threads: the only
 * one. */
#ifndef VUB_DAEMON_COMPLETE_H
#define VUB_DAEMON_COMPLETE_H

#include <stdio.h>

/* bash, zsh, fish; NULL-ended. */
extern const char *const complete_shells[];

/* The script for the shell of this index. */
void complete_print(FILE *f, int shell);

/* argv[0] is "complete". It never fails. */
int complete_main(int argc, char **argv);

#endif
