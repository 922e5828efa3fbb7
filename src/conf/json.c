/* The only file that names cJSON. Spec of pointers: RFC 6901. */
#include "conf/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/utf8.h"
#include "conf/scan.h"

static cJSON *item(const struct json *n)
{
    return (cJSON *)(uintptr_t)n;
}

static struct json *node(cJSON *i)
{
    return (struct json *)i;
}

struct json *json_parse(const char *text, size_t len, struct err *e)
{
    cJSON *root;

    if (scan_json(text, len, e) < 0)
        return NULL;
    root = cJSON_ParseWithLength(text, len);
    if (!root)
        err_nomem(e); /* nothing else is left that could be wrong */
    return node(root);
}

void json_free(struct json *root)
{
    cJSON_Delete(item(root));
}

enum json_type json_type(const struct json *n)
{
    switch (item(n)->type & 0xff) {
    case cJSON_False:
    case cJSON_True:
        return JSON_BOOL;
    case cJSON_Number:
        return JSON_NUMBER;
    case cJSON_String:
        return JSON_STRING;
    case cJSON_Array:
        return JSON_ARRAY;
    case cJSON_Object:
        return JSON_OBJECT;
    default:
        return JSON_NULL;
    }
}

bool json_bool(const struct json *n)
{
    return cJSON_IsTrue(item(n));
}

double json_number(const struct json *n)
{
    return item(n)->valuedouble;
}

const char *json_string(const struct json *n)
{
    return item(n)->valuestring;
}

const struct json *json_first(const struct json *n)
{
    return node(item(n)->child);
}

const struct json *json_next(const struct json *n)
{
    return node(item(n)->next);
}

const char *json_name(const struct json *n)
{
    return item(n)->string;
}

const struct json *json_member(const struct json *object, const char *name)
{
    if (!object || json_type(object) != JSON_OBJECT)
        return NULL;
    for (const struct json *m = json_first(object); m; m = json_next(m))
        if (strcmp(json_name(m), name) == 0)
            return m;
    return NULL;
}

const char *json_member_string(const struct json *object, const char *name)
{
    const struct json *m = json_member(object, name);

    return m && json_type(m) == JSON_STRING ? json_string(m) : "";
}

double json_member_number(const struct json *object, const char *name)
{
    const struct json *m = json_member(object, name);

    return m && json_type(m) == JSON_NUMBER ? json_number(m) : 0;
}

bool json_member_true(const struct json *object, const char *name)
{
    const struct json *m = json_member(object, name);

    return m && json_type(m) == JSON_BOOL && json_bool(m);
}

/* cJSON itself writes 15 digits of a number: some whole ones become others. */
static void write_number(struct json_out *o, const char *key, double d)
{
    char text[40];

    if (d > -JSON_EXACT_LIMIT && d < JSON_EXACT_LIMIT &&
        (double)(int64_t)d == d) {
        json_add_i64(o, key, (int64_t)d);
        return;
    }
    snprintf(text, sizeof(text), isfinite(d) ? "%.17g" : "null", d);
    json_add_raw(o, key, text);
}

static void write_value(struct json_out *o, const char *key,
                        const struct json *n)
{
    bool is_object = json_type(n) == JSON_OBJECT;

    switch (json_type(n)) {
    case JSON_NULL:
        json_add_null(o, key);
        break;
    case JSON_BOOL:
        json_add_bool(o, key, json_bool(n));
        break;
    case JSON_NUMBER:
        write_number(o, key, json_number(n));
        break;
    case JSON_STRING:
        json_add_str(o, key, json_string(n));
        break;
    default:
        json_begin(o, key, is_object ? '{' : '[');
        for (const struct json *m = json_first(n); m; m = json_next(m))
            write_value(o, is_object ? json_name(m) : NULL, m);
        json_end(o, is_object ? '}' : ']');
        break;
    }
}

char *json_text(const struct json *n)
{
    struct json_out o = JSON_OUT_EMPTY;

    write_value(&o, NULL, n);
    if (o.failed)
        json_out_free(&o);
    return o.text;
}

#define QUOTE_ROOM 48

/* A text of the user's, in quotes; the start of one that is long. */
static void quote(const char *s, char *out, size_t room)
{
    size_t len = strlen(s), shown = len > 40 ? utf8_cut(s, 40) : len;

    snprintf(out, room, "\"%.*s%s\"", (int)shown, s, shown < len ? "..." : "");
}

void json_describe(const struct json *n, char *out, size_t room)
{
    switch (json_type(n)) {
    case JSON_NULL:
        snprintf(out, room, "null");
        break;
    case JSON_BOOL:
        snprintf(out, room, "%s", json_bool(n) ? "true" : "false");
        break;
    case JSON_NUMBER:
        if (isinf(json_number(n)))
            snprintf(out, room, "a number beyond all bounds");
        else
            snprintf(out, room, "%.15g", json_number(n));
        break;
    case JSON_STRING:
        quote(json_string(n), out, room);
        break;
    case JSON_ARRAY:
        snprintf(out, room, "a list");
        break;
    case JSON_OBJECT:
        snprintf(out, room, "an object");
        break;
    }
}

/* ---- --set ---- */

/* Takes the part of a pointer at *p, which is behind its slash, into `out` of
 * the same size as the pointer, and moves *p behind it. */
static int take_part(const char **p, const char *end, char *out, bool *last)
{
    const char *c = *p;

    for (; c < end && *c != '/'; c++) {
        if (*c != '~') {
            *out++ = *c;
            continue;
        }
        if (c + 1 == end || (c[1] != '0' && c[1] != '1'))
            return -EINVAL;
        *out++ = *++c == '0' ? '~' : '/';
    }
    *out = '\0';
    *last = c == end;
    *p = *last ? c : c + 1;
    return 0;
}

/* The index that `part` says: digits without a leading zero. */
static bool part_index(const char *part, int *index)
{
    char *end;
    long n;

    if (part[0] < '0' || part[0] > '9' || (part[0] == '0' && part[1]))
        return false;
    errno = 0;
    n = strtol(part, &end, 10);
    if (*end || errno || n > INT32_MAX)
        return false;
    *index = (int)n;
    return true;
}

/* The value's text as a tree: JSON, or a string of it. */
static cJSON *parse_value(const char *text, const char *where, struct err *e)
{
    size_t len = strlen(text);
    struct json *value;
    struct err why;
    cJSON *string;

    value = json_parse(text, len, &why);
    if (value)
        return item(value);
    if (len && strchr("{[\"", text[0])) {
        err_set(e, -EINVAL, where, "the value is not JSON: %s%s%.100s",
                why.where, why.where[0] ? ": " : "", why.text);
        return NULL;
    }
    string = cJSON_CreateString(text);
    if (!string)
        err_nomem(e);
    return string;
}

/* Puts value, which becomes the tree's, at `part` of `at`. */
static int put(cJSON *at, const char *part, cJSON *value, const char *where,
               struct err *e)
{
    int index, rc = -EINVAL;
    char shown[QUOTE_ROOM];

    quote(part, shown, sizeof(shown));
    if (cJSON_IsObject(at)) {
        if (cJSON_GetObjectItemCaseSensitive(at, part)
                ? cJSON_ReplaceItemInObjectCaseSensitive(at, part, value)
                : cJSON_AddItemToObject(at, part, value))
            return 0;
        rc = err_nomem(e);
    } else if (!cJSON_IsArray(at)) {
        err_set(e, rc, where, "there is no object or list to put %s in", shown);
    } else if (strcmp(part, "-") == 0) {
        cJSON_AddItemToArray(at, value);
        return 0;
    } else if (!part_index(part, &index)) {
        err_set(e, rc, where, "%s is no index of a list; - appends to it",
                shown);
    } else if (index >= cJSON_GetArraySize(at)) {
        err_set(e, rc, where,
                "the list ends before that, it has %d; - appends to it",
                cJSON_GetArraySize(at));
    } else {
        cJSON_ReplaceItemInArray(at, index, value);
        return 0;
    }
    cJSON_Delete(value);
    return rc;
}

/* The child of `at` named by a part that is not the last: objects are made as
 * they are missed. NULL: e is set. */
static cJSON *step(cJSON *at, const char *part, const char *where,
                   struct err *e)
{
    cJSON *child = NULL;
    char shown[QUOTE_ROOM];
    int index;

    if (cJSON_IsObject(at)) {
        child = cJSON_GetObjectItemCaseSensitive(at, part);
        if (!child)
            child = cJSON_AddObjectToObject(at, part);
        if (!child)
            err_nomem(e);
        return child;
    }
    if (cJSON_IsArray(at) && part_index(part, &index))
        child = cJSON_GetArrayItem(at, index);
    if (child)
        return child;
    quote(part, shown, sizeof(shown));
    if (cJSON_IsArray(at))
        err_set(e, -EINVAL, where, "the list has no element %s", shown);
    else
        err_set(e, -EINVAL, where, "there is no object or list with %s", shown);
    return NULL;
}

/* Is the pointer from p to end well-formed? part: room for it. */
static int check_pointer(const char *p, const char *end, char *part,
                         const char *where, struct err *e)
{
    bool last = false;

    for (int depth = 0; !last; depth++) {
        if (depth > SCAN_DEPTH_MAX)
            return err_set(e, -EINVAL, where,
                           "the pointer is deeper than %d levels",
                           SCAN_DEPTH_MAX);
        if (take_part(&p, end, part, &last) < 0)
            return err_set(e, -EINVAL, where,
                           "in a JSON Pointer ~ is written ~0 and / in a name "
                           "~1");
    }
    return 0;
}

/* What can be wrong with the text itself is found before the tree is touched:
 * objects are made on the way. */
int json_put(struct json *root, const char *pointer, size_t len,
             const char *text, bool is_string, const char *where, struct err *e)
{
    const char *p = pointer + 1, *end = pointer + len;
    cJSON *at = item(root), *value;
    char *part = NULL;
    bool last = false;
    int rc = -EINVAL;

    if (pointer[0] != '/')
        return err_set(e, rc, where, "a JSON Pointer starts with /");
    part = malloc(len + 1);
    if (!part)
        return err_nomem(e);
    if (check_pointer(p, end, part, where, e) < 0)
        goto out;
    value = is_string ? cJSON_CreateString(text) : parse_value(text, where, e);
    if (!value) {
        if (is_string)
            rc = err_nomem(e);
        goto out;
    }
    for (;;) {
        take_part(&p, end, part, &last);
        if (last)
            break;
        at = step(at, part, where, e);
        if (!at) {
            cJSON_Delete(value);
            goto out;
        }
    }
    rc = put(at, part, value, where, e);
out:
    free(part);
    return rc;
}

int json_set(struct json *root, const char *set, struct err *e)
{
    char where[ERR_WHERE_BYTES + 1]; /* err_set sees that it is cut */
    const char *equals = strchr(set, '=');

    snprintf(where, sizeof(where), "--set %s", set);
    if (!utf8_is_valid(set))
        return err_set(e, -EINVAL, where, "this is not valid UTF-8");
    if (!equals)
        return err_set(e, -EINVAL, where, "it is written as /pointer=value");
    return json_put(root, set, (size_t)(equals - set), equals + 1, false, where,
                    e);
}
