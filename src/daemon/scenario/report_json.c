/* JSON as people like to read it: broken into lines, where it is long. It is
 * looked at as text, so that numbers and strings stay as they were written;
 * that it is JSON at all is made sure of first. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "conf/json.h"
#include "daemon/scenario/report_impl.h"

#define WIDE 76  /* what is shorter stays on one line */
#define DEEP 40u /* beyond that nothing is moved further to the right */

/* The end of the string that begins at s. */
static const char *string_end(const char *s)
{
    for (s++; *s && *s != '"'; s++)
        if (*s == '\\' && s[1])
            s++;
    return *s ? s + 1 : s;
}

/* Does what opens at s close within the width? */
static bool is_short(const char *s)
{
    unsigned depth = 0;

    for (const char *c = s; *c && c - s < WIDE;) {
        if (*c == '"') {
            c = string_end(c);
            continue;
        }
        depth += *c == '{' || *c == '[';
        depth -= *c == '}' || *c == ']';
        if (depth == 0)
            return true;
        c++;
    }
    return false;
}

static void new_line(FILE *f, unsigned depth)
{
    fprintf(f, "\n%*s", (int)(2 * MIN(depth, DEEP)), "");
}

/* A comma or a colon has a blank after it, if something is there. */
static const char *blank(FILE *f, const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    if (*s)
        putc(' ', f);
    return s;
}

/* On one line, up to where it closes. */
static const char *put_short(FILE *f, const char *s)
{
    unsigned depth = 0;
    const char *end;

    do {
        if (*s == '"') {
            end = string_end(s);
            fwrite(s, 1, (size_t)(end - s), f);
            s = end;
            continue;
        }
        depth += *s == '{' || *s == '[';
        depth -= *s == '}' || *s == ']';
        if (!isspace((unsigned char)*s))
            putc(*s, f);
        s = *s == ',' || *s == ':' ? blank(f, s + 1) : s + 1;
    } while (depth > 0 && *s);
    return s;
}

static void put_lines(FILE *f, const char *s)
{
    unsigned depth = 0;
    const char *end;

    while (*s) {
        if (*s == '"') {
            end = string_end(s);
            fwrite(s, 1, (size_t)(end - s), f);
            s = end;
        } else if ((*s == '{' || *s == '[') && is_short(s)) {
            s = put_short(f, s);
        } else if (*s == '{' || *s == '[') {
            putc(*s++, f);
            new_line(f, ++depth);
        } else if (*s == '}' || *s == ']') {
            new_line(f, depth > 0 ? --depth : 0);
            putc(*s++, f);
        } else if (*s == ',') {
            putc(*s++, f);
            new_line(f, depth);
        } else if (*s == ':') {
            putc(*s, f);
            s = blank(f, s + 1);
        } else if (isspace((unsigned char)*s)) {
            s++;
        } else {
            putc(*s++, f);
        }
    }
}

/* To be freed; NULL: it is no JSON, or there is no memory. */
static char *in_lines(const char *json, size_t len)
{
    struct json *tree = json_parse(json, len, NULL);
    char *text = NULL;
    size_t room;
    FILE *lines;

    if (!tree)
        return NULL;
    json_free(tree);
    lines = open_memstream(&text, &room);
    if (!lines)
        return NULL;
    put_lines(lines, json);
    if (fclose(lines) == 0)
        return text;
    free(text);
    return NULL;
}

void report_put_json(FILE *f, const char *json, size_t max)
{
    size_t len = strlen(json);
    char *text = NULL;

    if ((*json == '{' || *json == '[') && len <= max)
        text = in_lines(json, len);
    report_put_start(f, text ? text : json, max);
    free(text);
}
