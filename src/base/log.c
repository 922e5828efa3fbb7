/* A line is composed on the stack of whoever logs and goes out by one write, so
 * threads need no lock and lines do not mix. What a line says may have been
 * chosen by somebody hostile: whatever would end the line or move a terminal is
 * escaped. A line that finds no room is counted, and the next one that does
 * says so. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

#define LINE_MAX_BYTES 2048

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const unsigned char priorities[] = {3, 4, 6, 7}; /* syslog(3) */
static bool (*writer)(const char *bytes, size_t len);
static unsigned lost; /* lines that nobody read in time */
static enum log_level current_level = LOG_INFO;
static enum log_format current_format = LOG_TEXT;
static bool is_journal;

void log_set(enum log_level level, enum log_format format)
{
    __atomic_store_n(&current_level, level, __ATOMIC_RELAXED);
    __atomic_store_n(&current_format, format, __ATOMIC_RELAXED);
}

void log_set_writer(bool (*put)(const char *bytes, size_t len))
{
    writer = put;
}

void log_set_journal(bool is)
{
    is_journal = is;
}

bool log_is_journal(void)
{
    return is_journal;
}

enum log_level log_level(void)
{
    return __atomic_load_n(&current_level, __ATOMIC_RELAXED);
}

enum log_format log_format(void)
{
    return __atomic_load_n(&current_format, __ATOMIC_RELAXED);
}

/* Copies s as the inside of a JSON string, which is UTF-8 whatever s is;
 * control characters are escaped in text lines too, for names in messages may
 * come from a hostile party. */
static size_t put_escaped(char *out, size_t room, const char *s, bool json)
{
    size_t n = 0, len;

    for (; *s && n + 7 <= room; s += MAX(len, 1u)) {
        unsigned char c = (unsigned char)*s;

        len = utf8_char(s, strnlen(s, 4));
        if (len == 0 && json)
            n += (size_t)snprintf(out + n, room - n, "\\ufffd");
        else if (len == 0 || utf8_is_control(s, len))
            n += (size_t)snprintf(out + n, room - n,
                                  json ? "\\u%04x" : "\\x%02x",
                                  len == 2 ? (unsigned char)s[1] : c);
        else if (json && (c == '"' || c == '\\'))
            n += (size_t)snprintf(out + n, room - n, "\\%c", c);
        else
            n += (size_t)snprintf(out + n, room - n, "%.*s", (int)len, s);
    }
    return n;
}

/* One line as it is written; its length. */
static size_t compose(char *line, size_t room, enum log_level level,
                      const char *id, const char *text)
{
    size_t n;
    struct timespec now;
    struct tm tm;
    char stamp[40];

    if (log_format() == LOG_JSON) {
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
        n = (size_t)snprintf(line, room,
                             "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\"", stamp,
                             now.tv_nsec / 1000000, level_names[level]);
        if (id) {
            n += (size_t)snprintf(line + n, room - n, ",\"device\":\"");
            n += put_escaped(line + n, room - n - 64, id, true);
            line[n++] = '"';
        }
        n += (size_t)snprintf(line + n, room - n, ",\"text\":\"");
        n += put_escaped(line + n, room - n - 8, text, true);
        return n + (size_t)snprintf(line + n, room - n, "\"}\n");
    }
    n = is_journal ? (size_t)snprintf(line, room, "<%u>", priorities[level])
                   : (size_t)snprintf(line, room, "vub: ");
    if (id) {
        n += put_escaped(line + n, 128, id, false);
        n += (size_t)snprintf(line + n, room - n, ": ");
    }
    if (level != LOG_INFO)
        n += (size_t)snprintf(line + n, room - n, "%s: ", level_names[level]);
    n += put_escaped(line + n, room - n - 8, text, false);
    line[n++] = '\n';
    return n;
}

/* In one write with what must be said of lines before it: a small pipe has
 * room for one write at a time. */
static void write_line(enum log_level level, const char *id, const char *text)
{
    char lines[256 + LINE_MAX_BYTES], note[64];
    unsigned gone;
    size_t n = 0;

    gone = __atomic_exchange_n(&lost, 0, __ATOMIC_RELAXED);
    if (gone > 0) {
        snprintf(note, sizeof(note), "%u lines before this are lost", gone);
        n = compose(lines, 256, LOG_WARN, NULL, note);
    }
    n += compose(lines + n, LINE_MAX_BYTES, level, id, text);
    /* Nobody is left to tell if stderr is gone. */
    if (!writer && write(STDERR_FILENO, lines, n) < 0)
        return;
    if (writer && !writer(lines, n))
        __atomic_fetch_add(&lost, gone + 1, __ATOMIC_RELAXED);
}

void log_at(enum log_level level, const char *id, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES - 256];
    va_list ap;

    if (level > log_level())
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    write_line(level, id, text);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void log_limited(struct log_limit *limit, enum log_level level, const char *id,
                 const char *fmt, ...)
{
    char text[LINE_MAX_BYTES - 256];
    uint64_t now;
    size_t len;
    va_list ap;

    if (level > log_level())
        return;
    now = now_ms();
    if (!limit->since_ms || now - limit->since_ms >= LOG_SPAN_MS) {
        limit->since_ms = now;
        limit->passed = 0;
    }
    if (limit->passed >= LOG_BURST && log_level() < LOG_DEBUG) {
        limit->left_out++;
        return;
    }
    limit->passed++;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (limit->left_out) {
        len = strlen(text);
        snprintf(text + len, sizeof(text) - len,
                 " (%u lines like this were left out)", limit->left_out);
        limit->left_out = 0;
    }
    write_line(level, id, text);
}
