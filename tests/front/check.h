/* front/check.h: what to do when something is not as it should be.
 *
 * Everything in this library that can go wrong for a reason that is not the
 * subject of a test (no memory, a time-out, a message refused in set-up)
 * ends in front_fail: it prints the sentence and the log of every back-end
 * that runs, then calls front_on_failure. Tests set that to leave the test;
 * a program leaves it alone and exits. So no caller checks for errors.
 *
 * There are no sleeps: whatever is waited for has an fd, and poll with a
 * generous time-out waits for it. */
#ifndef FRONT_CHECK_H
#define FRONT_CHECK_H

#include "base/base.h"

/* How long anything may take before it is called hung: 20 s, or what the
 * environment's VUB_TEST_TIMEOUT_MS says. */
int front_timeout_ms(void);

/* Does not return. NULL: exit(1). */
extern void (*front_on_failure)(const char *file, int line);

#define front_fail(...) front_fail_at(__FILE__, __LINE__, __VA_ARGS__)
void front_fail_at(const char *file, int line, const char *fmt, ...)
    PRINTF_LIKE(3, 4) __attribute__((noreturn));

/* What the test is at, for those that run through many cases: said when it
 * fails. */
void front_note(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Prints that, and the logs. */
void front_explain(void);

/* Waits until fd is ready for `events`. False: the time is up. */
bool front_wait_fd(int fd, short events, int timeout_ms);
/* The same with the usual time-out; fails, naming `what`, when it is up. */
void front_need_fd(int fd, short events, const char *what);

/* Ends and frees every back-end and front-end there is: after a failed test.
 * (vub_free and front_free are for those that went well.) Explains, if there
 * was one and nobody has explained yet. */
void front_cleanup(void);

/* calloc that fails loudly. */
void *front_calloc(size_t n, size_t size);

/* Bytes that depend on seed, never the same for two places in 64 KiB. */
void front_fill(void *buf, size_t len, uint64_t seed);

/* Monotonic, milliseconds. */
int64_t front_now_ms(void);

#endif
