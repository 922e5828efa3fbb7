/* What is written is a buffer that doubles, and one bit: whether a comma is
 * due. A value sets it and a bracket that opens clears it, so nothing needs to
 * know how deep it is; that brackets match is the caller's. A failure makes
 * everything after it do nothing, so that one look at the end is enough. */
#include "base/json_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* Room for more bytes and a '\0'. False: it has failed. */
static bool make_room(struct json_out *o, size_t more)
{
    size_t room = o->room ? o->room : 256;
    char *text;

    if (o->failed)
        return false;
    if (o->room - o->len > more)
        return true;
    while (room - o->len <= more)
        room *= 2;
    text = realloc(o->text, room);
    if (!text) {
        o->failed = true;
        return false;
    }
    o->text = text;
    o->room = room;
    return true;
}

static void add(struct json_out *o, const char *bytes, size_t len)
{
    if (!make_room(o, len))
        return;
    memcpy(o->text + o->len, bytes, len);
    o->len += len;
    o->text[o->len] = '\0';
}

static void add_quoted(struct json_out *o, const char *s)
{
    size_t len;
    char code[8];

    add(o, "\"", 1);
    for (; *s; s += len) {
        len = utf8_char(s, strnlen(s, 4));
        if (len == 0) {
            add(o, "\xef\xbf\xbd", 3);
            len = 1;
        } else if (*s == '"' || *s == '\\') {
            add(o, "\\", 1);
            add(o, s, 1);
        } else if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            add(o, code, (size_t)snprintf(code, sizeof(code), "\\u%04x", *s));
        } else {
            add(o, s, len);
        }
    }
    add(o, "\"", 1);
}

/* What stands before a value. */
static void lead(struct json_out *o, const char *key)
{
    if (o->comma)
        add(o, ",", 1);
    o->comma = true;
    if (!key)
        return;
    add_quoted(o, key);
    add(o, ":", 1);
}

void json_begin(struct json_out *o, const char *key, char bracket)
{
    lead(o, key);
    add(o, &bracket, 1);
    o->comma = false;
}

void json_end(struct json_out *o, char bracket)
{
    add(o, &bracket, 1);
    o->comma = true;
}

void json_add_str(struct json_out *o, const char *key, const char *value)
{
    lead(o, key);
    add_quoted(o, value);
}

void json_add_raw(struct json_out *o, const char *key, const char *text)
{
    lead(o, key);
    add(o, text, strlen(text));
}

void json_add_cut(struct json_out *o, const char *text, size_t len)
{
    lead(o, NULL);
    add(o, text, len);
}

void json_add_u64(struct json_out *o, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    json_add_raw(o, key, text);
}

void json_add_i64(struct json_out *o, const char *key, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, value);
    json_add_raw(o, key, text);
}

void json_add_bool(struct json_out *o, const char *key, bool value)
{
    json_add_raw(o, key, value ? "true" : "false");
}

void json_add_null(struct json_out *o, const char *key)
{
    json_add_raw(o, key, "null");
}

void json_out_free(struct json_out *o)
{
    free(o->text);
    *o = JSON_OUT_EMPTY;
}
