/* daemon/control/ctl_impl.h: what the files of vub ctl share.
 *
 * ctl.c is one request and its answer, ctl_wire.c the connection, top.c a table
 * that goes on. Threads: the only one. */
#ifndef VUB_DAEMON_CONTROL_CTL_IMPL_H
#define VUB_DAEMON_CONTROL_CTL_IMPL_H

#include "base/base.h"
#include "conf/json.h"
#include "daemon/control/ctl.h"

/* The exit status. */
enum { CTL_DONE, CTL_FAILED, CTL_USAGE };

/* A line of vub's; who says more without an end to it is none. */
#define CTL_LINE_MAX (64u << 20)

struct ctl {
    const char *socket, *config; /* as given; NULL: not */
    bool json, once, help;
    int timeout_ms;  /* 0: as not given */
    int interval_ms; /* of top */
    const char *method;
    char **values; /* NULL-ended: key=value */

    char *path; /* of the socket */
    int fd;
    uint64_t deadline_ns; /* 0: none */
    /* What has come: in_len bytes, [0, line) is told, and there is no end of a
     * line in so many behind. */
    char *in;
    size_t in_len, in_room, line, seen;
};

/* As show_failure. The status to exit with. */
int ctl_fail(const char *where, const char *text);
int ctl_fail_usage(const char *where, const char *text);

/* ctl_wire.c. -1: connected; else the exit status, and why has been told. */
int ctl_connect(struct ctl *c);
/* 0 or negative errno; -ETIMEDOUT by c->deadline_ns. */
int ctl_send(struct ctl *c, const char *line);
/* The next line, without its end; good until the next. NULL: *rc says why. */
char *ctl_next_line(struct ctl *c, int *rc);
/* For who waits himself: what has come by now is taken, 0 or negative errno,
 * -EAGAIN if that is nothing; and the next line of what was, as above, NULL:
 * there is no whole one. */
int ctl_receive(struct ctl *c);
char *ctl_take_line(struct ctl *c);
/* Why the connection has failed is told. The exit status. */
int ctl_fail_wire(const struct ctl *c, int rc);
/* One call, and whatever else comes is left out. The whole line that answers;
 * NULL: *rc says why. */
struct json *ctl_call(struct ctl *c, const char *line, int *rc);
void ctl_close(struct ctl *c);

/* ctl.c: a request without an end of line; NULL: *status says why. */
char *ctl_compose(const struct ctl *c, const char *method, int *status);
/* The answer is an error, which is told. The exit status. */
int ctl_print_error(const struct ctl *c, const struct json *error);

/* top.c: shows what request asks for, again and again. c is connected. The exit
 * status. */
int top_run(struct ctl *c, const char *request);

#endif
