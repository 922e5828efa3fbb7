/* Failure, waiting and cleaning up. */
#include "front/check.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "front/daemon.h"
#include "front/display.h"
#include "front/front.h"

void (*front_on_failure)(const char *file, int line);

static char note[256];
static bool explained;

void front_note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(note, sizeof(note), fmt, ap);
    va_end(ap);
}

void front_explain(void)
{
    if (note[0])
        fprintf(stderr, "at: %s\n", note);
    vub_log_dump_all();
    fflush(stderr);
    explained = true;
}

int front_timeout_ms(void)
{
    static int ms;
    const char *s;

    if (!ms) {
        s = getenv("VUB_TEST_TIMEOUT_MS");
        ms = s ? atoi(s) : 0;
        if (ms <= 0)
            ms = 20000;
    }
    return ms;
}

void front_fail_at(const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s:%d: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    front_explain();
    if (front_on_failure)
        front_on_failure(file, line);
    exit(1);
}

int64_t front_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool front_wait_fd(int fd, short events, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t end = front_now_ms() + timeout_ms, left = timeout_ms;
    int n;

    for (;;) {
        n = poll(&p, 1, (int)left);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            front_fail("poll: errno %d", errno);
        left = end - front_now_ms();
        if (left <= 0)
            return false;
    }
}

void front_need_fd(int fd, short events, const char *what)
{
    if (!front_wait_fd(fd, events, front_timeout_ms()))
        front_fail("%s did not come within %d ms", what, front_timeout_ms());
}

void *front_calloc(size_t n, size_t size)
{
    void *p = calloc(n, size);

    if (!p)
        front_fail("no memory for %zu times %zu bytes", n, size);
    return p;
}

void front_fill(void *buf, size_t len, uint64_t seed)
{
    uint8_t *p = buf;
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[i] = (uint8_t)x;
    }
}

void front_cleanup(void)
{
    if (!explained && vub_any())
        front_explain();
    explained = false;
    note[0] = '\0';
    display_free_all();
    front_free_all();
    vub_free_all();
}
