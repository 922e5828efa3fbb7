/* daemon/scenario/look.h: looking at JSON: what is at a place, and is it as
 * wanted. Threads: any. */
#ifndef VUB_DAEMON_SCENARIO_LOOK_H
#define VUB_DAEMON_SCENARIO_LOOK_H

#include "conf/json.h"

struct expect_step;

/* What a JSON Pointer (RFC 6901) leads to; NULL: there is nothing. */
const struct json *look_at(const struct json *n, const char *pointer);
/* Numbers by value, members in any order. */
bool look_same(const struct json *a, const struct json *b);
/* Has the object json all members of the object wanted, with their values? */
bool look_has_members(const char *json, const char *wanted);
/* Is it as the step wants? n NULL: there is nothing. False: e says what it is
 * instead. */
bool look_fits(const struct json *n, const struct expect_step *s,
               struct err *e);

#endif
