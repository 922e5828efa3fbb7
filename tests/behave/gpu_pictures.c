/* Pictures of a GPU over the control socket: files, hashes, and calls that wait
 * until a guest shows what is wanted. What conditions there are, and what is
 * said when they do not come, is tests/unit/gpu/wait_test.c's; here a guest
 * draws. */
#include <errno.h>
#include <sys/stat.h>

#include "headless.h"

#define WIDTH 100u
#define HEIGHT 80u

/* A picture of WIDTH times HEIGHT on scanout 0, resource 1. */
static struct gpu_fb *show(struct screen *s, uint64_t seed)
{
    struct gpu_fb *fb = gpu_fb_new(s->g, WIDTH, HEIGHT, 4096);

    gpu_fb_fill(fb, seed);
    gpu_show(s->g, 0, 1, XRGB, fb);
    gpu_draw(s->g, 1, fb, 0, 0, WIDTH, HEIGHT);
    return fb;
}

static void set(struct screen *s, struct gpu_fb *fb, uint32_t x, uint32_t y,
                uint32_t rgb)
{
    const uint8_t bytes[] = {(uint8_t)rgb, (uint8_t)(rgb >> 8),
                             (uint8_t)(rgb >> 16), 0};

    gpu_fb_write(fb, y * fb->stride + x * 4, bytes, 4);
    gpu_draw(s->g, 1, fb, x, y, 1, 1);
}

/* Another client, which has asked for this. */
static void ask(struct screen *s, struct ctl *c, const char *method,
                const char *params)
{
    ctl_open(c, s->v);
    ctl_call(c, method, params);
}

/* params: beside the device and the scanout's cursor. */
static void wait_for(struct screen *s, struct ctl *c, const char *params)
{
    char text[512];

    snprintf(text, sizeof(text), "{'device': 'screen', %s}", params);
    ask(s, c, "gpu.wait", text);
}

static void need_answer(struct ctl *c, const char *text)
{
    ctl_need(c, text);
    ctl_close(c);
}

/* Whoever was asked for before has looked at what is shown now, or is behind
 * what has not been shown yet: one look after the other. */
static void all_looked(struct screen *s)
{
    for (int i = 0; i < 2; i++) {
        ctl_call(&s->c, "gpu.wait",
                 "{'device': 'screen', 'changed': true, 'timeout_ms': 0}");
        ctl_need(&s->c, "it has not changed");
    }
}

static const char *hash_of(const char *answer)
{
    static char hash[40];
    const char *at = strstr(answer, "\"hash\":\"");

    if (!at || sscanf(at + 8, "%32[0-9a-f]", hash) != 1)
        front_fail("no hash in %s", answer);
    return hash;
}

static const char *hash_now(struct screen *s)
{
    ctl_call(&s->c, "gpu.hash", "{'device': 'screen', 'cursor': false}");
    return hash_of(ctl_answer(&s->c));
}

/* ---- files ---- */

static void a_picture_has_one_hash_however_it_is_asked_for(void **state)
{
    static const char *const paths[] = {"a.png", "a.ppm"};
    struct screen s;
    char hash[40], params[128];
    struct stat st;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    show(&s, 1);
    strcpy(hash, hash_now(&s));
    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        /* relative: from the config's directory */
        snprintf(params, sizeof(params), "{'device': 'screen', 'path': '%s'}",
                 paths[i]);
        ctl_call(&s.c, "gpu.screenshot", params);
        assert_string_equal(hash_of(ctl_answer(&s.c)), hash);
        assert_int_equal(stat(vub_path(s.v, "%s", paths[i]), &st), 0);
        assert_int_equal(stat(vub_path(s.v, "%s.part", paths[i]), &st), -1);
        snprintf(params, sizeof(params),
                 "{'device': 'screen', 'timeout_ms': 0, 'picture': '%s'}",
                 paths[i]);
        ctl_call(&s.c, "gpu.wait", params);
        assert_string_equal(hash_of(ctl_answer(&s.c)), hash);
    }
    screen_close(&s);
}

static void a_picture_is_of_the_moment_of_the_call(void **state)
{
    char params[64];
    struct gpu_fb *fb;
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    fb = show(&s, 1);
    for (uint32_t i = 0; i < 20; i++) {
        unsigned w, h;
        uint32_t *rgb;

        /* Asked for, and drawn over while it may not yet be written. */
        set(&s, fb, 7, 7, 0x100 + i);
        snprintf(params, sizeof(params),
                 "{'device': 'screen', 'path': 'shot%u.ppm'}", i);
        ctl_call(&s.c, "gpu.screenshot", params);
        ctl_need(&s.c, "\"result\"");
        set(&s, fb, 7, 7, 0xffffff);
        rgb = screen_shot(&s, 0, false, &w, &h);
        assert_int_equal(rgb[7 * WIDTH + 7], 0xffffff);
        free(rgb);
    }
    screen_close(&s);
}

static void a_blob_is_seen_while_its_memory_is_there(void **state)
{
    struct gpu_fb *fb;
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    fb = gpu_fb_new(s.g, WIDTH, HEIGHT, 4096);
    gpu_fb_fill(fb, 3);
    gpu_show_blob(s.g, 0, 1, XRGB, fb);
    hash_now(&s);
    vq_stop(s.g->control);
    screen_need_nothing(&s, 0, "which is not there while the guest is stopped");
    vq_start(s.g->control);
    front_settle(s.g->f);
    hash_now(&s);
    screen_close(&s);
}

/* ---- waiting ---- */

static void a_change_is_what_a_guest_has_flushed(struct screen *s)
{
    struct gpu_fb *fb = show(s, 1);
    const uint8_t white[] = {255, 255, 255, 0};
    struct ctl c;

    wait_for(s, &c, "'changed': true");
    all_looked(s);
    gpu_draw(s->g, 1, fb, 0, 0, WIDTH, HEIGHT); /* the same again */
    all_looked(s);
    gpu_fb_write(fb, 0, white, 4);
    gpu_need(gpu_transfer(s->g, 1, 0, 0, 1, 1, 0), OK_NODATA);
    front_settle(s->g->f);
    assert_false(ctl_has_answer(&c));
    gpu_need(gpu_flush(s->g, 1, 0, 0, 1, 1), OK_NODATA);
    need_answer(&c, "\"result\"");
    gpu_need(gpu_unref(s->g, 1), OK_NODATA);
}

static void a_change_is_waited_for(void **state)
{
    (void)state;
    on_all_rings(SCREEN(""), a_change_is_what_a_guest_has_flushed);
}

static void a_change_before_the_call_is_not_missed(void **state)
{
    char params[128];
    struct gpu_fb *fb;
    struct screen s;
    struct ctl c;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    fb = show(&s, 1);
    snprintf(params, sizeof(params),
             "'cursor': false, 'changed': true, 'from': '%s'", hash_now(&s));
    set(&s, fb, 1, 1, 0x123456);
    wait_for(&s, &c, params);
    need_answer(&c, hash_now(&s));
    screen_close(&s);
}

static void a_guest_that_draws_settles_when_it_stops(void **state)
{
    struct gpu_fb *fb;
    struct screen s;
    struct ctl c;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    fb = show(&s, 1);
    wait_for(&s, &c, "'settled_ms': 60000, 'timeout_ms': 200");
    need_answer(&c, "it has been so for ");
    wait_for(&s, &c, "'settled_ms': 200");
    for (uint32_t i = 0; i < 300; i++)
        set(&s, fb, i % WIDTH, i / WIDTH, i);
    need_answer(&c, hash_now(&s));
    screen_close(&s);
}

static void a_reference_is_waited_for(void **state)
{
    struct gpu_fb *fb;
    struct screen s;
    struct ctl c;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    fb = show(&s, 1);
    set(&s, fb, 5, 5, 0x404040);
    ctl_call(&s.c, "gpu.screenshot", "{'device': 'screen', 'path': 'a.png'}");
    ctl_need(&s.c, "\"result\"");
    set(&s, fb, 5, 5, 0);
    wait_for(&s, &c, "'picture': 'a.png', 'tolerance': 2, 'timeout_ms': 0");
    need_answer(&c, "differ from the reference by more than 2: 1");
    wait_for(&s, &c, "'picture': 'a.png', 'tolerance': 2");
    for (uint32_t i = 1; i <= 0x3e; i++)
        set(&s, fb, 5, 5, i * 0x10101);
    need_answer(&c, "\"result\"");
    screen_close(&s);
}

/* A guest with a clock in its corner, which never rests. */
static void what_masks_hide_is_not_waited_for(void **state)
{
#define CLOCK                                                                  \
    "'masks': [{'x': 90, 'y': 0, 'width': 10, 'height': 8},"                   \
    " {'x': 1000, 'y': 1000, 'width': 1, 'height': 1}]"
    char hash[40], params[256];
    struct gpu_fb *fb;
    struct screen s;
    struct ctl c, settled;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    fb = show(&s, 1);
    set(&s, fb, 89, 7, 0x111111);
    ctl_call(&s.c, "gpu.hash", "{'device': 'screen', " CLOCK "}");
    strcpy(hash, hash_of(ctl_answer(&s.c)));
    ctl_call(&s.c, "gpu.screenshot",
             "{'device': 'screen', 'path': 'a.png', " CLOCK "}");
    assert_string_equal(hash_of(ctl_answer(&s.c)), hash);
    wait_for(&s, &c, "'changed': true, " CLOCK);
    wait_for(&s, &settled, "'settled_ms': 100, " CLOCK);
    for (uint32_t i = 0; !ctl_has_answer(&settled); i++)
        set(&s, fb, 90 + i % 10, i / 10 % 8, i);
    need_answer(&settled, hash);
    assert_false(ctl_has_answer(&c));
    wait_for(&s, &settled, "'picture': 'a.png', 'timeout_ms': 0, " CLOCK);
    need_answer(&settled, hash);
    set(&s, fb, 89, 7, 0x222222);
    need_answer(&c, "\"result\"");
    snprintf(params, sizeof(params), "'hash': '%s', 'timeout_ms': 0, " CLOCK,
             hash);
    wait_for(&s, &c, params);
    need_answer(&c, "it is not the one that is waited for");
    screen_close(&s);
}

static void a_cursor_is_part_of_the_picture_unless_it_is_left_out(void **state)
{
    struct ctl with, without;
    struct gpu_fb *fb, *cursor;
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    fb = show(&s, 1);
    cursor = gpu_fb_new(s.g, 64, 64, 0);
    for (uint32_t at = 0; at < cursor->len; at += 4)
        gpu_fb_write(cursor, at, "\1\2\3\377", 4);
    gpu_picture(s.g, 2, ARGB, cursor);
    gpu_need(gpu_transfer(s.g, 2, 0, 0, 64, 64, 0), OK_NODATA);
    wait_for(&s, &with, "'changed': true");
    wait_for(&s, &without, "'changed': true, 'cursor': false");
    all_looked(&s);
    gpu_need(gpu_update_cursor(s.g, 0, 2, 10, 10, 3, 3), OK_NODATA);
    need_answer(&with, "\"result\"");
    wait_for(&s, &with, "'changed': true");
    all_looked(&s);
    gpu_need(gpu_move_cursor(s.g, 0, 2, 11, 10), OK_NODATA);
    need_answer(&with, "\"result\"");
    all_looked(&s);
    assert_false(ctl_has_answer(&without));
    set(&s, fb, 50, 50, 0);
    need_answer(&without, "\"result\"");
    screen_close(&s);
}

/* From before there is a guest, through its end, to the next one. */
static void whoever_waits_outlives_guests(void **state)
{
    struct screen s;
    struct ctl c, d;

    (void)state;
    screen_run(&s, SCREEN(""));
    wait_for(&s, &c, "'changed': true");
    front_settle((s.g = gpu_open(s.v, "screen", NULL))->f);
    show(&s, 1);
    need_answer(&c, "\"width\":100");
    wait_for(&s, &c, "'changed': true");
    wait_for(&s, &d, "'settled_ms': 3600000");
    all_looked(&s);
    gpu_close(s.g);
    s.g = gpu_open(s.v, "screen", NULL);
    assert_false(ctl_has_answer(&c));
    show(&s, 2);
    need_answer(&c, "\"result\"");
    assert_false(ctl_has_answer(&d));
    ctl_close(&d);
    screen_close(&s);
}

/* ---- many, and the end ---- */

static void many_wait_at_a_busy_guest(void **state)
{
    enum { CLIENTS = 60 };
    static struct ctl c[CLIENTS]; /* large, each */
    struct gpu_fb *fb;
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    fb = show(&s, 1);
    for (unsigned i = 0; i < CLIENTS; i++)
        wait_for(&s, &c[i],
                 i % 3 == 0   ? "'changed': true, 'timeout_ms': 3600000"
                 : i % 3 == 1 ? "'settled_ms': 3600000, 'timeout_ms': 3600000"
                              : "'settled_ms': 300, 'cursor': false");
    for (uint32_t i = 0; i < 500; i++)
        set(&s, fb, i % WIDTH, i / WIDTH, i);
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (i % 3 == 1)
            ctl_close(&c[i]); /* it hangs up */
        else
            need_answer(&c[i], "\"result\"");
    }
    /* Nobody of those is left: as many may wait again, and more may not. */
    for (unsigned i = 0; i < CLIENTS; i++)
        wait_for(&s, &c[i], "'settled_ms': 1");
    for (unsigned i = 0; i < CLIENTS; i++)
        need_answer(&c[i], "\"result\"");
    screen_close(&s);
}

static void a_client_that_hangs_up_waits_no_more(void **state)
{
    struct screen s;
    struct ctl c;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    show(&s, 1);
    for (unsigned round = 0; round < 3; round++) {
        ctl_open(&c, s.v);
        for (unsigned i = 0; i < 64; i++)
            ctl_call(&c, "gpu.wait", "{'device': 'screen', 'changed': true}");
        /* Until it is seen that there is no more room: all have begun. One
         * that met the question there begins again. */
        do {
            if (ctl_has_answer(&c)) {
                ctl_need(&c, "64 calls wait for pictures");
                ctl_call(&c, "gpu.wait",
                         "{'device': 'screen', 'changed': true}");
            }
            ctl_call(&s.c, "gpu.hash", "{'device': 'screen'}");
        } while (!strstr(ctl_answer(&s.c), "64 calls wait for pictures"));
        ctl_close(&c);
        do
            ctl_call(&s.c, "gpu.hash", "{'device': 'screen'}");
        while (!strstr(ctl_answer(&s.c), "\"result\""));
    }
    screen_close(&s);
}

/* Whatever they are at: the answer comes, and vub ends. */
static void calls_end_with_vub(void **state)
{
    struct ctl c[5];
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    show(&s, 1);
    ctl_call(&s.c, "gpu.screenshot", "{'device': 'screen', 'path': 'a.png'}");
    ctl_need(&s.c, "\"result\"");
    wait_for(&s, &c[0], "'changed': true");
    wait_for(&s, &c[1], "'settled_ms': 3600000");
    wait_for(&s, &c[2], "'picture': 'a.png', 'scanout': 0");
    wait_for(&s, &c[3], "'hash': '0123456789abcdef0123456789abcdef'");
    ask(&s, &c[4], "gpu.screenshot", "{'device': 'screen', 'path': 'b.png'}");
    ctl_call(&s.c, "quit", "{}");
    ctl_need(&s.c, "\"result\"");
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        ctl_close(&c[i]);
    ctl_close(&s.c);
    gpu_close(s.g);
    assert_int_equal(vub_wait(s.v), 0);
    vub_free(s.v);
}

BEHAVE_MAIN(T(a_picture_has_one_hash_however_it_is_asked_for),
            T(a_picture_is_of_the_moment_of_the_call),
            T(a_blob_is_seen_while_its_memory_is_there),
            T(a_change_is_waited_for),
            T(a_change_before_the_call_is_not_missed),
            T(a_guest_that_draws_settles_when_it_stops),
            T(a_reference_is_waited_for), T(what_masks_hide_is_not_waited_for),
            T(a_cursor_is_part_of_the_picture_unless_it_is_left_out),
            T(whoever_waits_outlives_guests), T(many_wait_at_a_busy_guest),
            T(a_client_that_hangs_up_waits_no_more), T(calls_end_with_vub))
