/* conf/scan.h: is this text JSON, to the letter?
 *
 * Spec: RFC 8259. cJSON reads more than JSON (a byte order mark, 01, 1., raw
 * control characters, lone surrogates, any bytes in strings), cuts numbers
 * after 63 characters, and says of an error only where it gave up. So the text
 * is checked here first, and cJSON gets what passed. Threads: any. */
#ifndef VUB_CONF_SCAN_H
#define VUB_CONF_SCAN_H

#include "base/err.h"

/* Objects and arrays inside each other. */
#define SCAN_DEPTH_MAX 32

/* 0, or -EINVAL with "line 3, column 5" as the place; columns are counted in
 * characters. More than JSON asks: nesting is bounded, and strings hold no
 * NUL. */
int scan_json(const char *text, size_t len, struct err *e);

#endif
