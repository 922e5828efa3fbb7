/* Values that are no objects. What is wrong is said in one way: what the key
 * wants, in the words of text_expected, and what the file has. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/reader.h"
#include "conf/text.h"

static const char *copy(struct reader *r, const char *s)
{
    size_t size = strlen(s) + 1;
    char *p = reader_alloc(r, size);

    if (p)
        memcpy(p, s, size);
    return p;
}

const char *reader_json(struct reader *r, const struct json *n)
{
    char *text = json_text(n);
    const char *mine = text ? copy(r, text) : NULL;

    r->no_memory |= !mine;
    free(text);
    return mine;
}

/* The string that n is, or NULL. */
static const char *string_of(const struct json *n)
{
    return json_type(n) == JSON_STRING ? json_string(n) : NULL;
}

static void read_str(struct reader *r, const struct json *n,
                     const struct place *p, const struct conf_key *k,
                     const char **out)
{
    const char *s = string_of(n);
    size_t len = s ? strlen(s) : 0;
    char wanted[80];

    if (!s) {
        reader_fail_type(r, p, k, n);
    } else if (len < k->min || (k->max && len > k->max)) {
        text_expected(k, wanted, sizeof(wanted));
        reader_fail(r, p, "must be %s, this has %zu", wanted, len);
    } else {
        *out = copy(r, s);
    }
}

static void read_path(struct reader *r, const struct json *n,
                      const struct place *p, const struct conf_key *k,
                      const char **out)
{
    const char *s = string_of(n), *slash;
    size_t room;
    char *path;

    if (!s || !s[0]) {
        reader_fail_type(r, p, k, n);
        return;
    }
    if (s[0] == '/') {
        *out = copy(r, s);
        return;
    }
    slash = strcmp(r->dir, "/") == 0 ? "" : "/";
    room = strlen(r->dir) + strlen(slash) + strlen(s) + 1;
    path = reader_alloc(r, room);
    if (path)
        snprintf(path, room, "%s%s%s", r->dir, slash, s);
    *out = path;
}

/* Which of the words n is; -1: none. */
static int word_index(const struct json *n, const char *const *words)
{
    const char *s = string_of(n);

    for (int i = 0; s && words && words[i]; i++) {
        if (strcmp(words[i], s) == 0)
            return i;
    }
    return -1;
}

/* A whole number of the key's range; false: it is none. */
static bool read_whole(const struct json *n, const struct conf_key *k,
                       uint64_t *value)
{
    double d;

    if (json_type(n) != JSON_NUMBER)
        return false;
    d = json_number(n);
    if (!(d >= 0 && d < JSON_EXACT_LIMIT))
        return false;
    *value = (uint64_t)d;
    return (double)*value == d && *value >= k->min && *value <= text_max(k);
}

static void read_u32(struct reader *r, const struct json *n,
                     const struct place *p, const struct conf_key *k,
                     uint32_t *out)
{
    int word = word_index(n, k->words);
    uint64_t value;

    if (word >= 0)
        *out = CONF_WORD(word);
    else if (read_whole(n, k, &value))
        *out = (uint32_t)value;
    else
        reader_fail_type(r, p, k, n);
}

static void read_i32(struct reader *r, const struct json *n,
                     const struct place *p, const struct conf_key *k,
                     int32_t *out)
{
    double d = json_type(n) == JSON_NUMBER ? json_number(n) : 0.5;

    if (d >= INT32_MIN && d <= INT32_MAX && (double)(int32_t)d == d)
        *out = (int32_t)d;
    else
        reader_fail_type(r, p, k, n);
}

static void read_hex(struct reader *r, const struct json *n,
                     const struct place *p, const struct conf_key *k,
                     uint32_t *out)
{
    const char *s = string_of(n), *digits = s ? s + 2 : "";
    uint64_t value;

    if (s && strncmp(s, "0x", 2) == 0 && digits[0] &&
        strlen(digits) <= text_hex_digits(k) &&
        !digits[strspn(digits, "0123456789abcdefABCDEF")]) {
        value = strtoul(digits, NULL, 16);
        if (value >= k->min && value <= text_max(k)) {
            *out = (uint32_t)value;
            return;
        }
    } else if (read_whole(n, k, &value)) {
        *out = (uint32_t)value;
        return;
    }
    reader_fail_type(r, p, k, n);
}

static void read_size(struct reader *r, const struct json *n,
                      const struct place *p, const struct conf_key *k,
                      uint64_t *out)
{
    const char *s = string_of(n);
    uint64_t value;

    if (json_type(n) == JSON_NUMBER && json_number(n) >= JSON_EXACT_LIMIT)
        reader_fail(r, p,
                    "a number of 2^53 or more is not exact in JSON: write it "
                    "as a string");
    else if (read_whole(n, k, &value) ||
             (s && conf_parse_size(s, &value) && value >= k->min &&
              value <= text_max(k)))
        *out = value;
    else
        reader_fail_type(r, p, k, n);
}

static void read_choice(struct reader *r, const struct json *n,
                        const struct place *p, const struct conf_key *k,
                        unsigned *out)
{
    int word = word_index(n, k->words);

    if (word < 0)
        reader_fail_type(r, p, k, n);
    else
        *out = (unsigned)word;
}

static void read_mode(struct reader *r, const struct json *n,
                      const struct place *p, const struct conf_key *k,
                      unsigned *out)
{
    const char *s = string_of(n);
    size_t len = s ? strspn(s, "01234567") : 0;
    unsigned long bits =
        len && !s[len] && len <= 4 ? strtoul(s, NULL, 8) : ~0ul;

    if (bits > 0777)
        reader_fail_type(r, p, k, n);
    else
        *out = (unsigned)bits;
}

static void read_strs(struct reader *r, const struct json *n,
                      const struct place *p, const struct conf_key *k,
                      struct conf_strs *out)
{
    bool is_list = json_type(n) == JSON_ARRAY;
    const struct json *first = is_list ? json_first(n) : n;
    size_t count = 0;
    int index = 0;

    if (!is_list && !string_of(n)) {
        reader_fail_type(r, p, k, n);
        return;
    }
    for (const struct json *m = first; m; m = is_list ? json_next(m) : NULL)
        count++;
    if (count == 0) {
        reader_fail(r, p, "the list is empty: leave the key out instead");
        return;
    }
    out->list = reader_alloc(r, count * sizeof(*out->list));
    if (!out->list)
        return;
    for (const struct json *m = first; m; m = is_list ? json_next(m) : NULL) {
        struct place element = {p, NULL, index++};
        const struct place *at = is_list ? &element : p;
        const char *s = string_of(m);

        if (!s)
            reader_fail(r, at, "must be a string");
        else if (!s[0])
            reader_fail(r, at, "must not be an empty string");
        else
            out->list[out->count++] = copy(r, s);
    }
}

void read_scalar(struct reader *r, const struct json *n, const struct place *p,
                 const struct conf_key *k, void *field)
{
    switch (k->type) {
    case CONF_BOOL:
        if (json_type(n) == JSON_BOOL)
            *(bool *)field = json_bool(n);
        else
            reader_fail_type(r, p, k, n);
        break;
    case CONF_STR:
        read_str(r, n, p, k, field);
        break;
    case CONF_PATH:
        read_path(r, n, p, k, field);
        break;
    case CONF_U32:
        read_u32(r, n, p, k, field);
        break;
    case CONF_I32:
        read_i32(r, n, p, k, field);
        break;
    case CONF_HEX:
        read_hex(r, n, p, k, field);
        break;
    case CONF_SIZE:
        read_size(r, n, p, k, field);
        break;
    case CONF_CHOICE:
        read_choice(r, n, p, k, field);
        break;
    case CONF_MODE:
        read_mode(r, n, p, k, field);
        break;
    case CONF_STRS:
        read_strs(r, n, p, k, field);
        break;
    case CONF_REAL:
        if (json_type(n) == JSON_NUMBER && isfinite(json_number(n)))
            *(double *)field = json_number(n);
        else
            reader_fail_type(r, p, k, n);
        break;
    case CONF_OBJECT:
        if (json_type(n) != JSON_OBJECT)
            reader_fail_type(r, p, k, n);
        else
            *(const char **)field = reader_json(r, n);
        break;
    case CONF_JSON:
        *(const char **)field = reader_json(r, n);
        break;
    case CONF_TABLE:
    case CONF_UNION:
    case CONF_UNIONS:
    case CONF_TABLES:
    case CONF_KEYED:
    case CONF_ANY:
        break;
    }
}
