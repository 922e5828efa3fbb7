/* scenario/unit.h: what the unit tests of scenarios begin with. */
#ifndef UNIT_SCENARIO_UNIT_H
#define UNIT_SCENARIO_UNIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/json.h"

/* A text with ' for "; good until the fourth after. */
static inline const char *quoted(const char *text)
{
    static char all[4][4096];
    static unsigned next;
    char *out = all[next++ % 4];

    snprintf(out, sizeof(all[0]), "%s", text);
    for (char *c = out; *c; c++)
        if (*c == '\'')
            *c = '"';
    return out;
}

static inline struct json *parsed(const char *text)
{
    const char *json = quoted(text);
    struct json *n = json_parse(json, strlen(json), NULL);

    assert_non_null(n);
    return n;
}

#endif
