/* Text of strangers, for HTML and XML alike.
 *
 * XML forbids most control characters, even as entities, and a browser would
 * show none. So what a terminal would have obeyed is left out as a whole (the
 * rest of a color's sequence is noise to a reader), and what else there is
 * becomes a character that can be seen: U+2400 and following have pictures of
 * the controls. Overrides of direction could make a text read as another than
 * it is; they become U+FFFD. */
#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"
#include "daemon/scenario/report_impl.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define STRING_MAX 512 /* bytes that a title or the like may have */

enum lines {
    LINES_KEPT,
    LINES_ENCODED, /* an attribute's are blanks, unless they are entities */
    LINES_JOINED,
};

/* ---- sequences for terminals: ECMA-48 ---- */

static bool between(char c, unsigned low, unsigned high)
{
    return (unsigned char)c >= low && (unsigned char)c <= high;
}

/* The end of a control sequence whose parameters begin at i. */
static size_t csi_end(const char *s, size_t i, size_t len)
{
    while (i < len && between(s[i], 0x30, 0x3f))
        i++;
    while (i < len && between(s[i], 0x20, 0x2f))
        i++;
    return i < len && between(s[i], 0x40, 0x7e) ? i + 1 : i;
}

/* The end of a command string that begins at i; i: it has none, and what
 * follows is text. */
static size_t string_end(const char *s, size_t i, size_t len)
{
    size_t most = MIN(len, i + STRING_MAX);

    for (size_t at = i; at < most; at++) {
        if (s[at] == '\a')
            return at + 1;
        if (s[at] == '\033' && at + 1 < len && s[at + 1] == '\\')
            return at + 2;
        if ((unsigned char)s[at] < 0x20)
            break;
    }
    return i;
}

/* How many bytes at s are such a sequence; 0: none are. */
static size_t sequence(const char *s, size_t len)
{
    size_t i = 2;

    if (len >= 2 && s[0] == '\xc2' && (unsigned char)s[1] == 0x9b)
        return csi_end(s, i, len);
    if (len >= 2 && s[0] == '\xc2' && strchr("\x90\x98\x9d\x9e\x9f", s[1]))
        return string_end(s, i, len);
    if (s[0] != '\033')
        return 0;
    if (len < 2)
        return 1;
    if (s[1] == '[')
        return csi_end(s, i, len);
    if (strchr("]PX^_", s[1]))
        return string_end(s, i, len);
    for (i = 1; i < len && between(s[i], 0x20, 0x2f);)
        i++;
    return i < len && between(s[i], 0x30, 0x7e) ? i + 1 : i;
}

/* ---- characters ---- */

/* Of two or three bytes: turns the direction of text, or XML forbids it. */
static bool is_hidden(const char *s, size_t n)
{
    const unsigned char *c = (const unsigned char *)s;
    unsigned code =
        n == 2 ? (c[0] & 0x1fu) << 6 | (c[1] & 0x3fu)
               : (c[0] & 0x0fu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu);

    return code == 0x061c || code == 0x200e || code == 0x200f ||
           (code >= 0x202a && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code >= 0xfffe;
}

static void put_control(FILE *f, unsigned char c)
{
    const char picture[3] = {'\xe2', '\x90',
                             (char)(c == 0x7f ? 0xa1 : 0x80 + c)};

    fwrite(picture, 1, sizeof(picture), f);
}

static void put_end_of_line(FILE *f, enum lines lines)
{
    static const char *const ends[] = {
        [LINES_KEPT] = "\n",
        [LINES_ENCODED] = "&#10;",
        [LINES_JOINED] = " ",
    };

    fputs(ends[lines], f);
}

/* A character of n bytes, 0: a byte that is none. */
static void put_char(FILE *f, const char *s, size_t n, enum lines lines)
{
    static const char *const entities[128] = {
        ['&'] = "&amp;",  ['<'] = "&lt;",   ['>'] = "&gt;",
        ['"'] = "&quot;", ['\''] = "&#39;",
    };

    if (n == 1 && entities[(unsigned char)*s])
        fputs(entities[(unsigned char)*s], f);
    else if (n == 1 && (*s == '\n' || *s == '\r'))
        put_end_of_line(f, lines);
    else if (n == 1 && *s == '\t')
        fputs(lines == LINES_KEPT ? "\t" : " ", f);
    else if (n == 1 && utf8_is_control(s, n))
        put_control(f, (unsigned char)*s);
    else if (n == 0 || utf8_is_control(s, n) ||
             ((n == 2 || n == 3) && is_hidden(s, n)))
        fputs(REPLACEMENT, f);
    else
        fwrite(s, 1, n, f);
}

/* "\r\n", and "\r\r\n" as some consoles have it, are one end of a line. */
static bool is_before_newline(const char *s, size_t len)
{
    size_t i = 0;

    while (i < len && i < 8 && s[i] == '\r')
        i++;
    return i > 0 && i < len && s[i] == '\n';
}

static void put(FILE *f, const char *s, size_t len, enum lines lines,
                size_t characters)
{
    size_t n;

    for (; len > 0; s += n, len -= n) {
        n = sequence(s, len);
        if (n == 0 && is_before_newline(s, len))
            n = 1;
        if (n > 0)
            continue;
        if (characters-- == 0) {
            fputs("...", f);
            return;
        }
        n = utf8_char(s, len);
        put_char(f, s, n, lines);
        n = MAX(n, 1u);
    }
}

void report_put_text(FILE *f, const char *s)
{
    put(f, s, strlen(s), LINES_KEPT, SIZE_MAX);
}

void report_put_start(FILE *f, const char *s, size_t max)
{
    size_t len = strlen(s), shown = len;

    if (len > max)
        shown = utf8_cut(s, max);
    put(f, s, shown, LINES_KEPT, SIZE_MAX);
    if (shown < len)
        fprintf(f, "\n[... %zu more bytes are left out]", len - shown);
}

void report_put_end(FILE *f, const char *s, size_t max)
{
    size_t len = strlen(s), left = 0;
    const char *line;

    if (len > max) {
        left = len - max;
        /* With a whole line, if one begins soon. */
        line = memchr(s + left, '\n', MIN(max, (size_t)1024));
        if (line)
            left = (size_t)(line - s) + 1;
        fprintf(f, "[%zu bytes before this are left out ...]\n", left);
    }
    put(f, s + left, len - left, LINES_KEPT, SIZE_MAX);
}

void report_put_value(FILE *f, const char *s, size_t max)
{
    size_t len = strlen(s), shown = len > max ? utf8_cut(s, max) : len;

    put(f, s, shown, LINES_ENCODED, SIZE_MAX);
    if (shown < len)
        fputs("...", f);
}

void report_put_line(FILE *f, const char *s, unsigned characters)
{
    put(f, s, strlen(s), LINES_JOINED, characters);
}

/* ---- times ---- */

const char *report_time(uint64_t ns, char out[REPORT_TIME_BYTES])
{
    uint64_t ms = (ns + 500000) / 1000000, s = ms / 1000;

    if (ns < 1000000)
        snprintf(out, REPORT_TIME_BYTES, "%" PRIu64 " us", ns / 1000);
    else if (ms < 1000)
        snprintf(out, REPORT_TIME_BYTES, "%" PRIu64 " ms", ms);
    else if (s < 60)
        snprintf(out, REPORT_TIME_BYTES, "%" PRIu64 ".%02" PRIu64 " s", s,
                 ms % 1000 / 10);
    else if (s < 3600)
        snprintf(out, REPORT_TIME_BYTES, "%" PRIu64 " min %02" PRIu64 " s",
                 s / 60, s % 60);
    else
        snprintf(out, REPORT_TIME_BYTES, "%" PRIu64 " h %02" PRIu64 " min",
                 s / 3600, s / 60 % 60);
    return out;
}
