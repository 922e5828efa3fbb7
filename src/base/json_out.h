/* base/json_out.h: writes JSON, one value, front to back.
 *
 *     struct json_out o = JSON_OUT_EMPTY;
 *
 *     json_begin(&o, NULL, '{');
 *     json_add_str(&o, "name", "a \"b\"");
 *     json_begin(&o, "list", '[');
 *     json_add_u64(&o, NULL, 1);
 *     json_end(&o, ']');
 *     json_end(&o, '}');
 *     ... o.text, o.len bytes, '\0' after it ...
 *     json_out_free(&o);
 *
 * key: of a member of an object; NULL for elements and the whole. On one line.
 * Bytes that are no UTF-8 become U+FFFD. Out of memory is remembered in
 * o.failed; nothing is added then. Threads: any, one per struct. */
#ifndef VUB_BASE_JSON_OUT_H
#define VUB_BASE_JSON_OUT_H

#include "base/base.h"

struct json_out {
    char *text; /* NULL: nothing yet; owned */
    size_t len, room;
    bool comma; /* one is due before the next */
    bool failed;
};

#define JSON_OUT_EMPTY ((struct json_out){NULL, 0, 0, false, false})

void json_begin(struct json_out *o, const char *key, char bracket); /* { [ */
void json_end(struct json_out *o, char bracket);                    /* } ] */
void json_add_str(struct json_out *o, const char *key, const char *value);
void json_add_u64(struct json_out *o, const char *key, uint64_t value);
void json_add_i64(struct json_out *o, const char *key, int64_t value);
void json_add_bool(struct json_out *o, const char *key, bool value);
void json_add_null(struct json_out *o, const char *key);
/* text is JSON already. */
void json_add_raw(struct json_out *o, const char *key, const char *text);
/* The same of its first len bytes. */
void json_add_cut(struct json_out *o, const char *text, size_t len);
void json_out_free(struct json_out *o); /* o is empty then */

#endif
