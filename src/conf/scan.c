/* A recursive descent over the grammar that keeps nothing but its place. The
 * sentences name the slips people make: a comma too many, a comment, a word
 * of another language, a mode written as a number. */
#include "conf/scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* What cJSON can hold of one number, and more than a double needs. */
#define NUMBER_MAX_BYTES 60

struct scan {
    const unsigned char *start, *at, *end;
    int depth;
    struct err *e;
};

/* Fails at p. The place is worked out only now. */
static int fail_at(struct scan *s, const unsigned char *p, const char *text)
{
    unsigned line = 1, column = 1;
    char where[64];

    for (const unsigned char *c = s->start; c < p; c++) {
        if (*c == '\n') {
            line++;
            column = 1;
        } else if ((*c & 0xc0) != 0x80) {
            column++;
        }
    }
    snprintf(where, sizeof(where), "line %u, column %u", line, column);
    return err_set(s->e, -EINVAL, where, "%s", text);
}

static int fail(struct scan *s, const char *text)
{
    return fail_at(s, s->at, text);
}

static int peek(const struct scan *s)
{
    return s->at < s->end ? *s->at : -1;
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' ||
                              *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

/* What stands where something else was wanted. */
static int unexpected(struct scan *s, const char *wanted)
{
    char text[160];
    int c = peek(s);

    if (c < 0)
        snprintf(text, sizeof(text), "the text ends where %s is wanted",
                 wanted);
    else if (c == 0)
        return fail(s, "there is a NUL byte: is this a text file in UTF-8?");
    else if (c == '/' || c == '#')
        return fail(s, "JSON has no comments");
    else if (c == '\'')
        return fail(s, "strings are written in double quotes");
    else if (c > 0x20 && c < 0x7f)
        snprintf(text, sizeof(text), "%s is wanted here, not %c", wanted, c);
    else
        snprintf(text, sizeof(text), "%s is wanted here", wanted);
    return fail(s, text);
}

static int hex4(struct scan *s, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        int c = peek(s);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;

        if (digit < 0)
            return fail(s, "\\u is followed by four hexadecimal digits");
        *value = *value << 4 | (unsigned)digit;
        s->at++;
    }
    return 0;
}

/* At the backslash. */
static int scan_escape(struct scan *s)
{
    const unsigned char *start = s->at++;
    unsigned high, low;
    int c = peek(s), rc;

    if (c < 0 || !strchr("\"\\/bfnrtu", c) || c == 0)
        return fail_at(s, start,
                       "there is no such escape: a backslash is "
                       "written as two");
    s->at++;
    if (c != 'u')
        return 0;
    rc = hex4(s, &high);
    if (rc < 0)
        return rc;
    if (high == 0)
        return fail_at(s, start, "a string may not hold a NUL character");
    if (high >= 0xdc00 && high < 0xe000)
        return fail_at(s, start, "half of a surrogate pair stands alone");
    if (high < 0xd800 || high >= 0xdc00)
        return 0;
    if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
        return fail_at(s, start, "half of a surrogate pair stands alone");
    s->at += 2;
    rc = hex4(s, &low);
    if (rc < 0)
        return rc;
    if (low < 0xdc00 || low >= 0xe000)
        return fail_at(s, start, "half of a surrogate pair stands alone");
    return 0;
}

/* At the opening quote. */
static int scan_string(struct scan *s)
{
    const unsigned char *start = s->at++;
    size_t n;
    int rc = 0;

    while (rc == 0) {
        int c = peek(s);

        if (c < 0 || c == '\n')
            return fail_at(s, start, "this string is not closed");
        if (c < 0x20)
            return fail(s, "a control character in a string is written as an "
                           "escape");
        if (c == '"') {
            s->at++;
            return 0;
        }
        if (c == '\\') {
            rc = scan_escape(s);
            continue;
        }
        n = utf8_char((const char *)s->at, (size_t)(s->end - s->at));
        if (n == 0)
            return fail(s, "the text is not valid UTF-8");
        s->at += n;
    }
    return rc;
}

static bool skip_digits(struct scan *s)
{
    const unsigned char *start = s->at;

    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return s->at > start;
}

static int scan_number(struct scan *s)
{
    const unsigned char *start = s->at;
    int c;

    if (peek(s) == '-')
        s->at++;
    if (peek(s) == '0') {
        s->at++;
        if (peek(s) >= '0' && peek(s) <= '9')
            return fail_at(s, start,
                           "a number does not start with 0; octal modes are "
                           "strings");
        if (peek(s) == 'x' || peek(s) == 'X')
            return fail_at(s, start, "numbers are decimal");
    } else if (!skip_digits(s)) {
        return fail_at(s, start, "this is not a number");
    }
    if (peek(s) == '.') {
        s->at++;
        if (!skip_digits(s))
            return fail_at(s, start, "a digit is wanted after the point");
    }
    c = peek(s);
    if (c == 'e' || c == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        if (!skip_digits(s))
            return fail_at(s, start, "a digit is wanted in the exponent");
    }
    c = peek(s);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return fail_at(s, start,
                       "a number with a unit is written as a string: "
                       "\"64M\"");
    if (s->at - start > NUMBER_MAX_BYTES)
        return fail_at(s, start, "this number is too long");
    return 0;
}

static int scan_word(struct scan *s)
{
    static const char *const words[] = {"true", "false", "null"};
    size_t left = (size_t)(s->end - s->at), len = 0;

    while (len < left &&
           ((s->at[len] >= 'a' && s->at[len] <= 'z') ||
            (s->at[len] >= 'A' && s->at[len] <= 'Z') ||
            (s->at[len] >= '0' && s->at[len] <= '9') || s->at[len] == '_'))
        len++;
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        if (len == strlen(words[i]) && memcmp(s->at, words[i], len) == 0) {
            s->at += len;
            return 0;
        }
    }
    return fail(s, "the words of JSON are true, false and null; others are "
                   "strings, in double quotes");
}

static int scan_value(struct scan *s);

static int scan_object(struct scan *s)
{
    int rc;

    s->at++;
    skip_space(s);
    if (peek(s) == '}') {
        s->at++;
        return 0;
    }
    for (;;) {
        const unsigned char *comma;

        if (peek(s) != '"')
            return unexpected(s, "a key in double quotes");
        rc = scan_string(s);
        if (rc < 0)
            return rc;
        skip_space(s);
        if (peek(s) != ':')
            return unexpected(s, "a colon");
        s->at++;
        rc = scan_value(s);
        if (rc < 0)
            return rc;
        comma = s->at;
        if (peek(s) == '}') {
            s->at++;
            return 0;
        }
        if (peek(s) != ',')
            return unexpected(s, "a comma or }");
        s->at++;
        skip_space(s);
        if (peek(s) == '}')
            return fail_at(s, comma, "there is a comma too many before }");
    }
}

static int scan_array(struct scan *s)
{
    int rc;

    s->at++;
    skip_space(s);
    if (peek(s) == ']') {
        s->at++;
        return 0;
    }
    for (;;) {
        const unsigned char *comma;

        rc = scan_value(s);
        if (rc < 0)
            return rc;
        comma = s->at;
        if (peek(s) == ']') {
            s->at++;
            return 0;
        }
        if (peek(s) != ',')
            return unexpected(s, "a comma or ]");
        s->at++;
        skip_space(s);
        if (peek(s) == ']')
            return fail_at(s, comma, "there is a comma too many before ]");
    }
}

/* One value and the space around it. */
static int scan_value(struct scan *s)
{
    int c, rc;

    skip_space(s);
    c = peek(s);
    if (c == '{' || c == '[') {
        if (s->depth == SCAN_DEPTH_MAX)
            return fail(s, "objects and lists are nested too deep");
        s->depth++;
        rc = c == '{' ? scan_object(s) : scan_array(s);
        s->depth--;
    } else if (c == '"') {
        rc = scan_string(s);
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        rc = scan_number(s);
    } else if (c == '+' || c == '.') {
        rc = fail(s, "a number starts with a digit or with -");
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        rc = scan_word(s);
    } else {
        rc = unexpected(s, "a value");
    }
    if (rc == 0)
        skip_space(s);
    return rc;
}

int scan_json(const char *text, size_t len, struct err *e)
{
    struct scan s = {.e = e};
    int rc;

    s.start = s.at = (const unsigned char *)text;
    s.end = s.start + len;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return fail(&s, "the file starts with a byte order mark: save it as "
                        "plain UTF-8");
    skip_space(&s);
    if (s.at == s.end)
        return err_set(e, -EINVAL, "", "the file is empty");
    rc = scan_value(&s);
    if (rc < 0)
        return rc;
    if (s.at < s.end)
        return fail(&s, "something follows the end of the document");
    return 0;
}
