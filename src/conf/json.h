/* conf/json.h: a JSON document as a tree.
 *
 * A thin face over cJSON, so that nothing else depends on it. Trees are small
 * and live only while a config is read. Threads: any, one per tree. */
#ifndef VUB_CONF_JSON_H
#define VUB_CONF_JSON_H

#include "base/err.h"

struct json;

enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

/* Whole numbers below this are exact in a double; above they may have been
 * another number in the text. */
#define JSON_EXACT_LIMIT 9007199254740992.0 /* 2^53 */

/* text is text[len] = '\0' ended. NULL: e says why. */
struct json *json_parse(const char *text, size_t len, struct err *e);
void json_free(struct json *root); /* NULL is fine */

enum json_type json_type(const struct json *n);
bool json_bool(const struct json *n);
double json_number(const struct json *n);
const char *json_string(const struct json *n); /* the tree's */

/* Members of an object, elements of an array, in order; NULL at the end. */
const struct json *json_first(const struct json *n);
const struct json *json_next(const struct json *n);
const char *json_name(const struct json *n); /* of a member */

/* The member of that name; NULL: there is none, or object is NULL or no
 * object. The others: "", 0 and false then, and if it is of another type. */
const struct json *json_member(const struct json *object, const char *name);
const char *json_member_string(const struct json *object, const char *name);
double json_member_number(const struct json *object, const char *name);
bool json_member_true(const struct json *object, const char *name);

/* Applies "/json/pointer=value", as conf_read_file has it. The place of an
 * error is "--set " and the text. */
int json_set(struct json *root, const char *set, struct err *e);

/* Puts a value at a pointer of len bytes: text as JSON if it parses, else as a
 * string; is_string: as a string. Both are UTF-8. As conf_read_file has it.
 * where: the place of an error. */
int json_put(struct json *root, const char *pointer, size_t len,
             const char *text, bool is_string, const char *where,
             struct err *e);

/* n as text, on one line; the caller frees it. NULL: no memory. */
char *json_text(const struct json *n);

/* Writes what n is, for "must be ..., not %s": "abc", 4096, a list. */
void json_describe(const struct json *n, char *out, size_t room);

#endif
