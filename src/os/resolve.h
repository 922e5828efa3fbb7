/* os/resolve.h: names of hosts become addresses, which may take long: a thread
 * asks. */
#ifndef VUB_OS_RESOLVE_H
#define VUB_OS_RESOLVE_H

#include "base/err.h"

#define RESOLVE_MAX 8         /* addresses of a name */
#define RESOLVE_TEXT_BYTES 64 /* of an address, as text */
#define RESOLVE_HOST_BYTES 256

struct resolve_answer {
    int num; /* 0: none, and why */
    char address[RESOLVE_MAX][RESOLVE_TEXT_BYTES];
    char why[128];
};

struct resolve;

/* Is host an address already? Then it is copied to out. At once. */
bool resolve_numeric(const char *host, char out[RESOLVE_TEXT_BYTES]);

/* Starts to ask. done(arg) is called once, on a thread of its own: it is to
 * wake whoever waits, and must not wait itself. *out: until resolve_end. */
int resolve_start(struct resolve **out, const char *host,
                  void (*done)(void *arg), void *arg, struct err *e);
/* After done. */
const struct resolve_answer *resolve_result(const struct resolve *r);
/* The asker's last word. True: done has been called or is being called; false:
 * it will not be. Does not wait for the answer. */
bool resolve_end(struct resolve *r);

/* The host's own name. */
void resolve_own_name(char out[RESOLVE_HOST_BYTES]);
/* What tells this installation from others, whatever they are called; "": there
 * is no such thing here. machine-id(5). */
#define RESOLVE_ID_BYTES 64
void resolve_own_id(char out[RESOLVE_ID_BYTES]);

#endif
