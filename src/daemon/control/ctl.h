/* daemon/control/ctl.h: vub ctl: the other end of the control socket.
 *
 * It has nothing else to do, so it blocks. Threads: the only one. */
#ifndef VUB_DAEMON_CONTROL_CTL_H
#define VUB_DAEMON_CONTROL_CTL_H

#include <stdbool.h>
#include <stdio.h>

#include "daemon/option_rows.h"

struct json;

extern const struct option_row ctl_rows[];

/* argv[0] is "ctl". The exit status of the program: 0 done, 1 not done, 2
 * asked wrongly. */
int ctl_main(int argc, char **argv);

/* show.c: for people. method: the command whose result it is. */
void show_result(FILE *f, const char *method, const struct json *result);
void show_event(FILE *f, const struct json *params);
/* One line, for a terminal: without control characters. */
void show_text(FILE *f, const char *text);
/* The same, and blanks up to so many characters. */
void show_padded(FILE *f, const char *text, int width);
/* "vub: where: text" to standard error, on one line; where NULL or "": "vub:
 * text". */
void show_failure(const char *where, const char *text);
/* "12.3 us". */
void show_time(double ns, char *out, size_t room);

#endif
