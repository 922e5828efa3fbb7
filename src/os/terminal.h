/* os/terminal.h: a terminal whose keys are wanted one by one, for a program
 * that shows something there until it is told to end.
 *
 * Threads: the only one of such a program. */
#ifndef VUB_OS_TERMINAL_H
#define VUB_OS_TERMINAL_H

#include <stdbool.h>

/* Are standard input and output one? */
bool terminal_is_there(void);
/* Keys come at once and are not shown. SIGINT, SIGTERM and SIGHUP are noted
 * from now on, and interrupt what waits. -errno: it cannot be. */
int terminal_open(void);
/* As it was. Safe without terminal_open. */
void terminal_close(void);
/* Has a signal come that means to end? */
bool terminal_is_over(void);
/* [blocks] The next key, at most so long; 0: none came, or a signal has. -EIO:
 * the terminal is gone. */
int terminal_key(int timeout_ms);
/* 80 and 24 where it does not say. */
void terminal_size(int *columns, int *lines);

#endif
