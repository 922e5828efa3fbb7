/* base/log.h: one line per event, to stderr, in one write. A pipe that nobody
 * reads loses lines rather than stop a worker.
 *
 * Threads: any. A line names the device it is about. What a guest or a
 * front-end can trigger at will goes through a struct log_limit. */
#ifndef VUB_BASE_LOG_H
#define VUB_BASE_LOG_H

#include "base/base.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* Before other threads exist, or from the main loop. Default: info, text. */
void log_set(enum log_level level, enum log_format format);
enum log_level log_level(void);
/* Before other threads exist. put: writes bytes to stderr, by any thread;
 * false: that would have had to wait, and they are lost. NULL, the default: a
 * plain write. */
void log_set_writer(bool (*put)(const char *bytes, size_t len));
enum log_format log_format(void);
/* Before other threads exist. Text lines are for systemd's journal: each tells
 * its priority first, as "<3>" (sd-daemon(3)), and not whose it is, which the
 * journal knows. */
void log_set_journal(bool is);
bool log_is_journal(void);

/* id: the device, NULL for the program itself. No newline in fmt. */
void log_at(enum log_level level, const char *id, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#define log_error(id, ...) log_at(LOG_ERROR, id, __VA_ARGS__)
#define log_warn(id, ...) log_at(LOG_WARN, id, __VA_ARGS__)
#define log_info(id, ...) log_at(LOG_INFO, id, __VA_ARGS__)
#define log_debug(id, ...)                                                     \
    do {                                                                       \
        if (log_level() >= LOG_DEBUG)                                          \
            log_at(LOG_DEBUG, id, __VA_ARGS__);                                \
    } while (0)

/* At most LOG_BURST lines per LOG_SPAN_MS; the next line that passes says how
 * many were left out. At level debug all pass. One thread per limit; zero is a
 * good start. */
#define LOG_BURST 5
#define LOG_SPAN_MS 10000

struct log_limit {
    uint64_t since_ms;
    unsigned passed, left_out;
};

void log_limited(struct log_limit *limit, enum log_level level, const char *id,
                 const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
