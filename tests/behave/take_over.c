/* One vub takes over from another one: guests go on as if nothing had been. */
#include <inttypes.h>

#include "front/scsi.h"
#include "heirs.h"
#include "screen.h"

static void verified_load_goes_on(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front_conf c = ring_modes[mode];
        struct vub *first =
            start(DISK("f", "'queues': 2, ", FILE_STORE) "," DISK(
                "m", "'queues': 2, 'worker': ['a', 'b'], ", MEMORY));
        struct vub *v = first;
        struct front *f, *m;
        struct load loads[4];

        front_note("%s", mode_name(&c));
        c.inflight = mode % 2;
        f = front_new(first, "f", &c);
        m = front_new(first, "m", &c);
        for (unsigned i = 0; i < 2; i++) {
            load_begin(&loads[i], f->vq[i], i * 8192);
            load_begin(&loads[2 + i], m->vq[i], i * 8192);
        }
        for (unsigned n = 0; n < 3; n++)
            v = handed_over(first, v, loads, ARRAY_LEN(loads));
        for (unsigned i = 0; i < ARRAY_LEN(loads); i++)
            load_end(&loads[i]);
        assert_int_equal(vq_used(f->vq[0]), 0);
        front_free(f);
        front_free(m);
        vub_free(v);
        vub_free(first);
    }
}

static void twenty_times_in_a_row(void **state)
{
    struct vub *first = start(DISK("f", "", FILE_STORE)), *v = first;
    struct front *f = front_new(first, "f", &(struct front_conf){.packed = 1});
    int64_t longest = 0, sum = 0;
    struct load l;

    (void)state;
    load_begin(&l, f->vq[0], 0);
    for (unsigned n = 0; n < 20; n++) {
        l.longest_us = 0;
        v = handed_over(first, v, &l, 1);
        sum += l.longest_us;
        longest = l.longest_us > longest ? l.longest_us : longest;
    }
    load_end(&l);
    print_message("a request took %" PRId64 " us at the most, %" PRId64
                  " us on average of the worst of each of 20\n",
                  longest, sum / 20);
    front_free(f);
    vub_free(v);
    vub_free(first);
}

/* ---- each type ---- */

static void a_key_that_is_held_stays_held(void **state)
{
    struct vub *first = start(KEYBOARD), *v = first;
    struct input *in = input_new(first, "k", NULL, 64);

    (void)state;
    for (unsigned n = 0; n < 4; n++) {
        key(v, in, KEY_A, 1);
        v = handed_over(first, v, NULL, 0);
        /* Nothing was let go, and what is pressed again is no news. */
        key(v, in, KEY_B, 1);
        key(v, in, KEY_A, 0);
        v = handed_over(first, v, NULL, 0);
        key(v, in, KEY_B, 0);
    }
    input_free(in);
    vub_free(v);
    vub_free(first);
}

static void what_is_in_memory_survives(void **state)
{
    struct vub *first = start(DISK("m", "", MEMORY) "," HOST), *v = first;
    struct front *m = front_new(first, "m", NULL);
    struct scsi *s = scsi_open(first, "h", NULL, 4);
    struct scsi_lun disk = scsi_at(0, 0);
    uint8_t want[BLOCK], got[BLOCK];

    (void)state;
    scsi_attend(s->queue[0], disk);
    for (unsigned n = 0; n < 4; n++) {
        front_fill(want, BLOCK, n);
        blk_write(m->vq[0], n * 1000, want, BLOCK);
        scsi_write(s->queue[0], disk, n * 1000, want, BLOCK);
        v = handed_over(first, v, NULL, 0);
        for (unsigned i = 0; i <= n; i++) {
            front_fill(want, BLOCK, i);
            blk_read(m->vq[0], i * 1000, got, BLOCK);
            assert_memory_equal(got, want, BLOCK);
            /* And no unit attention: nothing was reset. */
            scsi_read(s->queue[0], disk, i * 1000, got, BLOCK);
            assert_memory_equal(got, want, BLOCK);
        }
    }
    /* Without a front-end, too. */
    front_free(m);
    v = handed_over(first, v, NULL, 0);
    m = front_new(first, "m", NULL);
    front_fill(want, BLOCK, 3);
    blk_read(m->vq[0], 3000, got, BLOCK);
    assert_memory_equal(got, want, BLOCK);
    front_free(m);
    scsi_close(s);
    vub_free(v);
    vub_free(first);
}

static void a_picture_stays(void **state)
{
    struct vub *first = start(SCREEN()), *v = first;
    struct screen s = {.v = first, .d = display_new()};
    struct gpu_fb *fb;

    (void)state;
    screen_session(&s);
    fb = gpu_fb_new(s.g, 300, 200, 4096);
    gpu_fb_fill(fb, 1);
    gpu_show(s.g, 0, 1, BGRX, fb);
    gpu_draw(s.g, 1, fb, 0, 0, 300, 200);
    need_whole(&s, 0, fb, BGRX);
    for (unsigned n = 0; n < 4; n++) {
        struct vub *w = next(first);

        vub_spawn(w);
        /* The guest draws on, and the display reads all the time. */
        for (unsigned i = 0; !vub_is_ready(w); i++) {
            gpu_fb_fill(fb, n * 1000 + i);
            gpu_draw(s.g, 1, fb, i % 100, i % 50, 200, 150);
            while (display_step(s.d, 0))
                ;
        }
        if (vub_wait(v))
            front_fail("the old one has ended badly");
        if (v != first)
            vub_free(v);
        v = w;
        gpu_fb_fill(fb, n);
        gpu_draw(s.g, 1, fb, 0, 0, 300, 200);
        need_whole(&s, 0, fb, BGRX);
    }
    display_free(s.d);
    front_free(s.f);
    vub_free(v);
    vub_free(first);
}

static void all_types_go_on_together(void **state)
{
    struct vub *first = start(DISK("f", "", FILE_STORE) "," DISK(
                   "m", "", MEMORY) "," HOST "," KEYBOARD "," SCREEN()),
               *v = first;
    struct front *f = front_new(first, "f", NULL),
                 *m = front_new(first, "m", &(struct front_conf){.packed = 1});
    struct scsi *h = scsi_open(first, "h", NULL, 4);
    struct input *in = input_new(first, "k", NULL, 64);
    struct screen s = {.v = first, .d = display_new()};
    struct load loads[2];
    struct gpu_fb *fb;

    (void)state;
    screen_session(&s);
    display = s.d;
    fb = gpu_fb_new(s.g, 64, 64, 4096);
    gpu_fb_fill(fb, 1);
    gpu_show(s.g, 0, 1, BGRX, fb);
    scsi_attend(h->queue[0], scsi_at(0, 0));
    load_begin(&loads[0], f->vq[0], 0);
    load_begin(&loads[1], m->vq[0], 0);
    for (unsigned n = 0; n < 5; n++) {
        uint8_t want[BLOCK], got[BLOCK];

        front_fill(want, BLOCK, n);
        scsi_write(h->queue[0], scsi_at(0, 0), n, want, BLOCK);
        key(v, in, KEY_A, 1);
        gpu_fb_fill(fb, n);
        gpu_draw(s.g, 1, fb, 0, 0, 64, 64);
        v = handed_over(first, v, loads, 2);
        key(v, in, KEY_A, 0);
        scsi_read(h->queue[0], scsi_at(0, 0), n, got, BLOCK);
        assert_memory_equal(got, want, BLOCK);
        need_whole(&s, 0, fb, BGRX);
    }
    load_end(&loads[0]);
    load_end(&loads[1]);
    display = NULL;
    display_free(s.d);
    front_free(s.f);
    input_free(in);
    scsi_close(h);
    front_free(f);
    front_free(m);
    vub_free(v);
    vub_free(first);
}

/* ---- processes of their own ---- */

/* From one process to the next, and back, and to none: isolated or not is a
 * matter of the config that is new. */
static void isolated_devices_go_on(void **state)
{
    static const char *const how[] = {"process", "none", "none", "process",
                                      "process"};
    struct vub *first = start(DISK("f", ISOLATED, FILE_STORE) "," DISK(
                   "m", ISOLATED, MEMORY) "," KEY_OF("k", ISOLATED,
                                                     "keyboard")),
               *v = first;
    struct front *f = front_new(first, "f", NULL),
                 *m = front_new(first, "m", NULL);
    struct input *in = input_new(first, "k", NULL, 64);
    struct load loads[2];

    (void)state;
    load_begin(&loads[0], f->vq[0], 0);
    load_begin(&loads[1], m->vq[0], 0);
    for (unsigned n = 0; n < ARRAY_LEN(how); n++) {
        front_note("%u: %s", n, how[n]);
        key(v, in, KEY_A, 1);
        more = how[n];
        v = handed_over(first, v, loads, 2);
        key(v, in, KEY_A, 0);
    }
    more = NULL;
    load_end(&loads[0]);
    load_end(&loads[1]);
    input_free(in);
    front_free(f);
    front_free(m);
    vub_free(v);
    vub_free(first);
}

BEHAVE_MAIN(T(verified_load_goes_on), T(twenty_times_in_a_row),
            T(a_key_that_is_held_stays_held), T(what_is_in_memory_survives),
            T(a_picture_stays), T(all_types_go_on_together),
            T(isolated_devices_go_on))
