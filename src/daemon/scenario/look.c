/* Spec of pointers: RFC 6901. */
#include "daemon/scenario/look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scenario/plan.h"

/* Is the part of a pointer, len bytes, this name? */
static bool is_part(const char *part, size_t len, const char *name)
{
    const char *end = part + len;

    for (; part < end; part++, name++) {
        char c = *part;

        if (c == '~' && part + 1 < end)
            c = *++part == '0' ? '~' : '/';
        if (*name != c)
            return false;
    }
    return *name == '\0';
}

static const struct json *element(const struct json *n, const char *part,
                                  size_t len)
{
    const struct json *m = json_first(n);
    unsigned long index;
    char *end;

    if (len == 0 || part[0] < '0' || part[0] > '9' ||
        (part[0] == '0' && len > 1))
        return NULL;
    index = strtoul(part, &end, 10);
    if (end != part + len)
        return NULL;
    while (m && index-- > 0)
        m = json_next(m);
    return m;
}

const struct json *look_at(const struct json *n, const char *pointer)
{
    while (n && *pointer == '/') {
        size_t len = strcspn(++pointer, "/");
        const struct json *m = NULL;

        if (json_type(n) == JSON_ARRAY) {
            m = element(n, pointer, len);
        } else if (json_type(n) == JSON_OBJECT) {
            m = json_first(n);
            while (m && !is_part(pointer, len, json_name(m)))
                m = json_next(m);
        }
        n = m;
        pointer += len;
    }
    return n;
}

static unsigned length(const struct json *n)
{
    unsigned count = 0;

    for (const struct json *m = json_first(n); m; m = json_next(m))
        count++;
    return count;
}

static bool same_children(const struct json *a, const struct json *b)
{
    const struct json *other = json_first(b);

    if (length(a) != length(b))
        return false;
    for (const struct json *m = json_first(a); m; m = json_next(m)) {
        if (json_type(a) == JSON_OBJECT)
            other = json_member(b, json_name(m));
        if (!other || !look_same(m, other))
            return false;
        other = json_next(other);
    }
    return true;
}

bool look_same(const struct json *a, const struct json *b)
{
    if (json_type(a) != json_type(b))
        return false;
    switch (json_type(a)) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return json_bool(a) == json_bool(b);
    case JSON_NUMBER:
        return json_number(a) == json_number(b);
    case JSON_STRING:
        return strcmp(json_string(a), json_string(b)) == 0;
    default:
        return same_children(a, b);
    }
}

bool look_has_members(const char *json, const char *wanted)
{
    struct json *n = json_parse(json, strlen(json), NULL);
    struct json *w = json_parse(wanted, strlen(wanted), NULL);
    bool has = n && w;

    for (const struct json *m = has ? json_first(w) : NULL; m && has;
         m = json_next(m)) {
        const struct json *other = json_member(n, json_name(m));

        has = other && look_same(m, other);
    }
    json_free(n);
    json_free(w);
    return has;
}

static bool is_value(const struct json *n, const char *json)
{
    struct json *w = json_parse(json, strlen(json), NULL);
    bool is = w && look_same(n, w);

    json_free(w);
    return is;
}

bool look_fits(const struct json *n, const struct expect_step *s, struct err *e)
{
    bool is_number = n && json_type(n) == JSON_NUMBER;
    char is[80];

    if (!n) {
        err_set(e, -ENOENT, "", "there is nothing at \"%.80s\"", s->at);
        return false;
    }
    json_describe(n, is, sizeof(is));
    if (s->is && !is_value(n, s->is))
        err_set(e, -ERANGE, "", "\"%.80s\" is %s, not %.80s", s->at, is, s->is);
    else if ((s->has_at_least || s->has_at_most) && !is_number)
        err_set(e, -ERANGE, "", "\"%.80s\" is %s, and no number", s->at, is);
    else if (s->has_at_least && !(json_number(n) >= s->at_least))
        err_set(e, -ERANGE, "", "\"%.80s\" is %s, and not at least %.15g",
                s->at, is, s->at_least);
    else if (s->has_at_most && !(json_number(n) <= s->at_most))
        err_set(e, -ERANGE, "", "\"%.80s\" is %s, and not at most %.15g", s->at,
                is, s->at_most);
    else
        return true;
    return false;
}
