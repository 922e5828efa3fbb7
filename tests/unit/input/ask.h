/* tests/unit/input/ask.h: commands to an input device, called as the control
 * socket would. */
#ifndef VUB_TESTS_UNIT_INPUT_ASK_H
#define VUB_TESTS_UNIT_INPUT_ASK_H

#include "asked.h"
#include "pad.h"

/* params as in a call, ' standing for ". Freed by what expects its answer, or
 * by asked_free. */
struct asked *ask(struct pad *p, const char *name, const char *params);
/* Turns the loop until it is answered. */
void ask_wait(struct pad *p, struct asked *a);
/* Nothing is called: the parameters are bad. */
void ask_refused(const char *name, const char *params, const char *where,
                 const char *text);
void ask_expect_error(struct asked *a, int code, const char *where,
                      const char *text);
void ask_expect_done(struct asked *a, const char *out);

/* A device whose guest listens, with 64 buffers. */
struct pad *pad_listening(const char *preset);

#endif
