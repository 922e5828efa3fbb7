/* tests/unit/gpu/stage.h: a GPU that shows what a test says, without a guest.
 *
 * It has two scanouts. Pixels of scanout 0 are the test's to change; what is
 * asked of the device goes as the control socket would ask it, and the loop is
 * turned until it is answered. Files are in a directory of the stage's own,
 * which is the current one. */
#ifndef VUB_TESTS_UNIT_GPU_STAGE_H
#define VUB_TESTS_UNIT_GPU_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "asked.h"
#include "device/gpu/impl.h"

struct stage {
    struct loop loop;
    struct gpu_conf conf;
    struct gpu gpu;
    struct resource res;
    uint32_t *pixels; /* of what scanout 0 shows */
    char dir[64];
};

struct stage *stage_new(void);
void stage_free(struct stage *s);

/* Of tests that want one each. */
extern struct stage *stage;
int stage_set_up(void **state);
/* The same; scanout 0 shows 40 times 30 pixels. */
int stage_show_up(void **state);
int stage_tear_down(void **state);

/* Scanout 0 shows so many pixels, of a pattern. */
void stage_show(struct stage *s, uint32_t width, uint32_t height);
void stage_off(struct stage *s);
void stage_set(struct stage *s, uint32_t x, uint32_t y, uint32_t argb);
/* Is the memory there, that pictures are in? (of all stages) */
void stage_memory(bool is_there);
void stage_turn(struct stage *s);

/* params as in a call, ' standing for ". */
struct asked *ask(struct stage *s, const char *name, const char *params, ...)
    PRINTF_LIKE(3, 4);
void answer_wait(struct stage *s, struct asked *a);
/* One of these ends it. out, pattern: of fnmatch(3). */
void expect_done(struct stage *s, struct asked *a, const char *out);
void expect_error(struct stage *s, struct asked *a, int code, const char *where,
                  const char *pattern);
/* Nobody waits for it any more. */
void expect_canceled(struct stage *s, struct asked *a);
/* What gpu.wait answers. */
#define ANSWER "{\"hash\":\"*\",\"width\":*,\"height\":*,\"waited_ms\":*}"
/* What scanout 0 shows is in a file. */
void save_picture(struct stage *s, const char *path);
/* What the parameters of a call are refused with. */
void expect_refused(const char *name, const char *params, const char *where,
                    const char *text);

/* The hash of what scanout 0 shows, by gpu.hash; good until the next call. */
const char *hash_now(struct stage *s);
/* All that was to be looked at has been. */
void all_looked(struct stage *s);

#endif
