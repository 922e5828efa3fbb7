/* The display of a front-end that is handed on: whoever reads there sees whole
 * messages, and answers each question once. */
#include <errno.h>

#include "behave/behave.h"
#include "front/display.h"
#include "front/gpu.h"
#include "house.h"

#define GPU "'type': 'gpu'"
#define HEADLESS "'type': 'gpu', 'display': 'headless'"
#define XRGB VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM

struct stage {
    struct house *h;
    struct tenant *t;
    struct front *f;
    struct display *d;
    struct gpu *g;
};

static void stage_begin(struct stage *s)
{
    s->h = house_new();
    s->d = display_new();
}

/* With s->t, in the order of QEMU's. */
static void stage_connect(struct stage *s, bool greet)
{
    s->f = front_connect_path(s->h->at.path);
    front_negotiate(s->f, &(struct front_conf){.queues = 2});
    front_share(s->f);
    display_plug(s->d, s->f);
    if (greet)
        display_greet(s->d);
    front_start_rings(s->f);
    s->g = gpu_on(s->f);
}

static void stage_open(struct stage *s, const char *config)
{
    stage_begin(s);
    s->t = tenant_move_in(s->h, config, NULL);
    stage_connect(s, true);
}

static void stage_close(struct stage *s)
{
    display_free(s->d);
    front_free(s->f);
    tenant_free(s->t);
    house_free(s->h);
}

/* A new resource, shown on scanout 0; the display does not look. */
static struct gpu_fb *show(struct stage *s, uint32_t id, uint32_t width,
                           uint32_t height)
{
    struct gpu_fb *fb = gpu_fb_new(s->g, width, height, 0);

    gpu_fb_fill(fb, id);
    gpu_show(s->g, 0, id, XRGB, fb);
    gpu_draw(s->g, id, fb, 0, 0, width, height);
    return fb;
}

static void need_shown(struct stage *s, struct gpu_fb *fb)
{
    uint32_t *pixels = front_calloc(fb->width * fb->height, 4);

    gpu_fb_read(fb, 0, pixels, (uint64_t)fb->width * fb->height * 4);
    for (uint32_t i = 0; i < fb->width * fb->height; i++)
        pixels[i] = le32toh(pixels[i]) & 0xffffff;
    display_need_picture(s->d, 0, pixels, fb->width, fb->height);
    free(pixels);
}

/* The display looks meanwhile. */
static void look_while_it_moves(struct stage *s)
{
    tenant_suspend(s->t);
    while (tenant_is_moving(s->t))
        display_step(s->d, 1);
}

static void move_out(struct stage *s, struct endpoint_visitor *v)
{
    look_while_it_moves(s);
    if (!tenant_moved_out(s->t, v))
        fail_msg("%s", s->t->why.text);
}

static void a_display_goes_on_with_the_next(void **state)
{
    struct endpoint_visitor v;
    struct stage s;

    (void)state;
    stage_open(&s, GPU);
    need_shown(&s, show(&s, 1, 300, 200));
    for (uint32_t id = 2; id < 8; id++) {
        move_out(&s, &v);
        s.t = tenant_move_in(s.h, GPU, &v);
        need_shown(&s, show(&s, id, 100 * id, 70 * id));
    }
    stage_close(&s);
}

static void what_is_shown_is_shown_by_the_next(void **state)
{
    struct endpoint_visitor v;
    struct gpu_fb *fb;
    struct stage s;

    (void)state;
    stage_begin(&s);
    s.h->keeps = true;
    s.t = tenant_move_in(s.h, GPU, NULL);
    stage_connect(&s, true);
    fb = show(&s, 1, 300, 200);
    need_shown(&s, fb);
    for (unsigned i = 0; i < 4; i++) {
        unsigned updates;

        move_out(&s, &v);
        updates = s.d->view[0].updates;
        s.t = tenant_move_in(s.h, GPU, &v);
        while (s.d->view[0].updates == updates)
            display_need(s.d, DISPLAY_UPDATE);
        need_shown(&s, fb);
        gpu_fb_fill(fb, i);
        gpu_draw(s.g, 1, fb, 0, 0, 300, 200);
        need_shown(&s, fb);
    }
    stage_close(&s);
}

static void a_picture_that_has_begun_is_sent_to_its_end(void **state)
{
    struct endpoint_visitor v;
    struct gpu_fb *fb;
    struct stage s;

    (void)state;
    stage_open(&s, GPU);
    need_shown(&s, show(&s, 1, 16, 16));
    fb = gpu_fb_new(s.g, 2000, 2000, 0); /* more than its socket takes */
    gpu_fb_fill(fb, 2);
    gpu_picture(s.g, 2, XRGB, fb);
    gpu_need(gpu_transfer(s.g, 2, 0, 0, 2000, 2000, 0), OK_NODATA);
    gpu_need(gpu_set_scanout(s.g, 0, 2, 0, 0, 2000, 2000), OK_NODATA);
    display_need(s.d, DISPLAY_SCANOUT);
    tenant_suspend(s.t);
    /* Messages are dealt with meanwhile, and rings too. */
    front_settle(s.f);
    gpu_need(gpu_create(s.g, 3, XRGB, 16, 16), OK_NODATA);
    need_shown(&s, fb);
    assert_true(tenant_moved_out(s.t, &v));
    s.t = tenant_move_in(s.h, GPU, &v);
    need_shown(&s, show(&s, 4, 200, 100));
    stage_close(&s);
}

static void a_question_is_answered_before_it_is_handed_on(void **state)
{
    struct endpoint_visitor v;
    struct stage s;

    (void)state;
    stage_begin(&s);
    s.t = tenant_move_in(s.h, GPU, NULL);
    stage_connect(&s, false); /* what it is asked it has not read */
    move_out(&s, &v);
    assert_int_equal(s.d->count[DISPLAY_GET_PROTOCOL_FEATURES], 1);
    assert_int_equal(s.d->count[DISPLAY_GET_DISPLAY_INFO], 1);
    s.t = tenant_move_in(s.h, GPU, &v);
    need_shown(&s, show(&s, 1, 200, 100));
    assert_int_equal(s.d->count[DISPLAY_GET_PROTOCOL_FEATURES], 2);
    stage_close(&s);
}

static void a_display_that_does_not_answer_is_lost_on_the_way(void **state)
{
    struct endpoint_visitor v;
    struct stage s;

    (void)state;
    stage_begin(&s);
    s.t = tenant_move_in(s.h, GPU, NULL);
    s.d->silent = 1u << DISPLAY_GET_DISPLAY_INFO;
    stage_connect(&s, false);
    tenant_move_out(s.t, &v);
    display_need_hangup(s.d);
    s.t = tenant_move_in(s.h, GPU, &v);
    show(&s, 1, 200, 100);
    display_plug(s.d, s.f); /* another one */
    s.d->silent = 0;
    display_greet(s.d);
    stage_close(&s);
}

static void a_display_that_does_not_read_is_lost_on_the_way(void **state)
{
    struct endpoint_visitor v;
    struct stage s;

    (void)state;
    stage_open(&s, GPU);
    show(&s, 2, 2000, 2000);
    tenant_move_out(s.t, &v);
    s.t = tenant_move_in(s.h, GPU, &v);
    show(&s, 3, 200, 100);
    stage_close(&s);
}

static void a_display_that_is_not_used_stays_open(void **state)
{
    struct endpoint_visitor v;
    struct stage s;

    (void)state;
    stage_begin(&s);
    s.t = tenant_move_in(s.h, HEADLESS, NULL);
    stage_connect(&s, false);
    move_out(&s, &v);
    s.t = tenant_move_in(s.h, HEADLESS, &v);
    display_look(s.d);
    assert_true(s.d->sock >= 0);
    move_out(&s, &v);
    s.t = tenant_move_in(s.h, GPU, &v);
    need_shown(&s, show(&s, 1, 200, 100));
    stage_close(&s);
}

static int save_fails(struct device *d, struct err *e)
{
    (void)d;
    return err_set(e, -ENOSPC, "", "there is no room");
}

static void a_display_goes_on_if_it_is_not_handed_on(void **state)
{
    struct endpoint_visitor v;
    struct gpu_fb *fb;
    struct stage s;

    (void)state;
    stage_begin(&s);
    s.t = tenant_new(s.h, GPU, NULL);
    s.t->ops.save = save_fails;
    tenant_start(s.t);
    stage_connect(&s, true);
    need_shown(&s, show(&s, 1, 200, 100));
    fb = show(&s, 2, 300, 200);
    look_while_it_moves(&s);
    assert_false(tenant_moved_out(s.t, &v));
    need_shown(&s, fb);
    gpu_fb_fill(fb, 77);
    gpu_draw(s.g, 2, fb, 0, 0, fb->width, fb->height);
    need_shown(&s, fb);
    stage_close(&s);
}

BEHAVE_MAIN(T(a_display_goes_on_with_the_next),
            T(what_is_shown_is_shown_by_the_next),
            T(a_picture_that_has_begun_is_sent_to_its_end),
            T(a_question_is_answered_before_it_is_handed_on),
            T(a_display_that_does_not_answer_is_lost_on_the_way),
            T(a_display_that_does_not_read_is_lost_on_the_way),
            T(a_display_that_is_not_used_stays_open),
            T(a_display_goes_on_if_it_is_not_handed_on))
