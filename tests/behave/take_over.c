/* One vub takes over from another one: guests go on as if nothing had been. */
#include <fcntl.h>
#include <inttypes.h>
#include <time.h>

#include "between.h"
#include "front/input.h"
#include "front/scsi.h"
#include "screen.h"

#define KEYBOARD_OF(more)                                                      \
    "{'id': 'k', 'type': 'input', " more "'source': {'type': 'virtual', "      \
    "'preset': 'keyboard'}}"
#define KEYBOARD KEYBOARD_OF("")
#define HOST                                                                   \
    "{'id': 'h', 'type': 'scsi', 'luns': [{'target': 0, 'lun': 0, "            \
    "'store': " MEMORY "}]}"
#define FILE_STORE "{'type': 'file', 'path': 'img'}"

enum { EV_SYN, EV_KEY };
enum { KEY_A = 30, KEY_B = 48 };

/* ---- load ---- */

#define SLOTS 8
#define BLOCK 4096u

/* So many requests of a queue are always under way, of which each write is read
 * again and compared. */
struct load {
    struct vq *q;
    struct blk_req *r[SLOTS];
    bool reads[SLOTS];
    uint64_t round[SLOTS], seed, first;
    unsigned next;
    int64_t longest_us; /* that one of them has taken to be answered */
    uint64_t done;
};

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t sector_of(const struct load *l, unsigned i)
{
    return l->first + (i + SLOTS * (l->round[i] % 64)) * (BLOCK / 512);
}

static void issue(struct load *l, unsigned i)
{
    if (!l->reads[i])
        front_fill(l->r[i]->data, BLOCK, l->seed + i + l->round[i] * SLOTS);
    else
        memset(l->r[i]->data, 0, BLOCK);
    blk_go(l->q, l->r[i], l->reads[i] ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
           sector_of(l, i), BLOCK);
}

static void load_begin(struct load *l, struct vq *q, uint64_t first)
{
    *l = (struct load){.q = q, .seed = first * 7919 + 1, .first = first};
    for (unsigned i = 0; i < SLOTS; i++) {
        l->r[i] = blk_new(q->f, BLOCK);
        issue(l, i);
    }
}

static void check(struct load *l, unsigned i)
{
    uint8_t want[BLOCK];

    if (!l->reads[i])
        return;
    front_fill(want, BLOCK, l->seed + i + l->round[i] * SLOTS);
    assert_memory_equal(l->r[i]->data, want, BLOCK);
}

/* One is answered, and the next issued. */
static void load_step(struct load *l)
{
    unsigned i = l->next++ % SLOTS;
    int64_t began = now_us(), took;

    assert_int_equal(blk_wait(l->q, l->r[i]), VIRTIO_BLK_S_OK);
    took = now_us() - began;
    l->longest_us = took > l->longest_us ? took : l->longest_us;
    check(l, i);
    l->done++;
    l->round[i] += l->reads[i];
    l->reads[i] = !l->reads[i];
    issue(l, i);
}

static void load_end(struct load *l)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        assert_int_equal(blk_wait(l->q, l->r[i]), VIRTIO_BLK_S_OK);
        check(l, i);
        blk_free(l->r[i]);
    }
}

/* ---- taking over ---- */

static void make_image(struct vub *v)
{
    int fd = open(vub_path(v, "img"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    assert_int_equal(ftruncate(fd, 16 << 20), 0);
    close(fd);
}

static struct vub *start(const char *devices)
{
    struct vub *v = vub_new();

    make_image(v);
    ctl_config(v, devices);
    vub_run(v);
    return v;
}

/* The next one's word for "isolation" of the first two devices; NULL: as the
 * config. */
static const char *more;

static struct vub *next(struct vub *first)
{
    struct vub *v = vub_beside(first);

    vub_arg(v, "--take-over");
    for (unsigned i = 0; more && i < 3; i++) {
        vub_arg(v, "--set");
        vub_arg(v, "/devices/%u/isolation=%s", i, more);
    }
    return v;
}

/* A display that reads while one vub takes over from another; NULL: none. */
static struct display *display;

/* first: that has made the directory. old is freed, unless it is that. */
static struct vub *handed_over(struct vub *first, struct vub *old,
                               struct load *loads, unsigned num)
{
    struct vub *v = next(first);

    vub_spawn(v);
    do {
        for (unsigned i = 0; i < num; i++)
            load_step(&loads[i]);
        while (display && display_step(display, 0))
            ;
    } while (!vub_is_ready(v));
    for (unsigned n = 0; n < 100; n++)
        for (unsigned i = 0; i < num; i++)
            load_step(&loads[i]);
    if (vub_wait(old))
        front_fail("the old one has ended badly");
    if (old != first)
        vub_free(old);
    return v;
}

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

        front_note("%s%s%s", c.packed ? "packed" : "split",
                   c.event_idx ? ", event index" : "",
                   c.indirect ? ", indirect" : "");
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

static void ask(struct vub *v, const char *method, const char *params)
{
    struct ctl c;

    ctl_open(&c, v);
    ctl_call(&c, method, params);
    ctl_need(&c, "\"result\":{");
    ctl_close(&c);
}

/* It comes to the guest, before it is answered, and nothing else does. */
static void key(struct vub *v, struct input *in, unsigned code, int value)
{
    char params[160];
    struct ctl c;

    snprintf(params, sizeof(params),
             "{'device': 'k', 'events': [{'code': '%s', 'value': %d}]}",
             code == KEY_A ? "KEY_A" : "KEY_B", value);
    ctl_open(&c, v);
    ctl_call(&c, "input.send", params);
    input_need_frame(in, EV_KEY, code, value);
    ctl_need(&c, "\"result\":{");
    ctl_close(&c);
}

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

#define ISOLATED "'isolation': 'process', "

/* From one process to the next, and back, and to none: isolated or not is a
 * matter of the config that is new. */
static void isolated_devices_go_on(void **state)
{
    static const char *const how[] = {"process", "none", "none", "process",
                                      "process"};
    struct vub *first = start(DISK("f", ISOLATED, FILE_STORE) "," DISK(
                   "m", ISOLATED, MEMORY) "," KEYBOARD_OF(ISOLATED)),
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

/* ---- who dies, and when ---- */

static bool has_hung_up(struct front *f)
{
    return front_wait_fd(f->sock, POLLIN, 0);
}

static const struct front_conf recorded = {.queues = 1, .inflight = true};

/* Goes on with whoever is there, as QEMU would. */
static void reconnect(struct front *f)
{
    f->vq[0]->base = le16_load(&f->vq[0]->used->idx);
    front_resume(f);
}

#define VICTIMS DISK("f", "", FILE_STORE) "," KEYBOARD

static unsigned packets_of_one(void)
{
    struct vub *first = start(VICTIMS), *v = vub_beside(first);
    const char *path = vub_path(first, "between");
    struct front *f = front_new(first, "f", &recorded);
    pid_t pid = between(first, path, 0, NOBODY);
    unsigned count;

    vub_arg(v, "--take-over=%s", path);
    vub_run(v);
    assert_int_equal(vub_wait(first), 0);
    count = between_end(pid);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_free(v);
    vub_free(first);
    return count;
}

static void the_new_one_may_be_killed_at_any_point(void **state)
{
    unsigned count = packets_of_one();
    struct vub *first = start(VICTIMS);
    const char *path = vub_path(first, "between");
    struct front *f = front_new(first, "f", &recorded);
    struct load l;

    (void)state;
    print_message("%u packets\n", count);
    load_begin(&l, f->vq[0], 0);
    /* The last is GO: then it is the new one's. */
    for (unsigned at = 0; at < count; at++) {
        struct vub *v = vub_beside(first);
        pid_t pid = between(first, path, at, THE_NEW);

        front_note("at %u", at);
        vub_arg(v, "--take-over=%s", path);
        vub_spawn(v);
        while (vub_alive(v))
            load_step(&l);
        vub_wait(v);
        vub_free(v);
        between_end(pid);
        for (unsigned n = 0; n < 50; n++)
            load_step(&l);
        ask(first, "config.reload", "{}"); /* it is over by then */
        assert_false(has_hung_up(f));
    }
    load_end(&l);
    front_free(f);
    vub_free(first);
}

static void the_old_one_may_be_killed_at_any_point(void **state)
{
    unsigned count = packets_of_one(), lost = 0;

    (void)state;
    for (unsigned at = 0; at <= count; at++) {
        struct vub *first = start(VICTIMS), *v = vub_beside(first);
        const char *path = vub_path(first, "between");
        struct front *f = front_new(first, "f", &recorded);
        pid_t pid = between(first, path, at, THE_OLD);
        struct load l;

        front_note("at %u", at);
        load_begin(&l, f->vq[0], 0);
        for (unsigned n = 0; n < 20; n++)
            load_step(&l);
        vub_arg(v, "--take-over=%s", path);
        vub_run(v);
        vub_wait(first);
        between_end(pid);
        if (has_hung_up(f)) {
            lost++;
            reconnect(f);
        }
        for (unsigned n = 0; n < 50; n++)
            load_step(&l);
        load_end(&l);
        front_free(f);
        vub_free(v);
        vub_free(first);
    }
    print_message("at %u of %u packets its front-end had to connect again\n",
                  lost, count + 1);
    assert_true(lost > 0 && lost < count);
}

/* ---- what comes to nothing ---- */

static void need_failure(struct vub *first, struct vub *v, struct load *l,
                         const char *why)
{
    vub_spawn(v);
    while (vub_alive(v))
        load_step(l);
    assert_true(vub_wait(v) > 0);
    vub_log_wait(v, why);
    vub_log_wait(first, why);
    vub_free(v);
    for (unsigned n = 0; n < 100; n++)
        load_step(l);
}

static void suits_not(const char *devices)
{
    static const struct {
        const char *set, *why;
    } cases[] = {
        {"/devices/0/queues=1", "are not offered here"},
        {"/devices/0/queue_size=16", "SET_VRING_NUM"},
        {"/devices/0/store/path=other", "other"},
    };
    struct vub *first = start(devices);
    struct front *f = front_new(first, "f", &(struct front_conf){.queues = 2});
    struct input *in = input_new(first, "k", NULL, 64);
    struct load l;

    key(first, in, KEY_A, 1);
    load_begin(&l, f->vq[1], 0);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct vub *v = next(first);

        front_note("%s", cases[i].set);
        vub_arg(v, "--set");
        vub_arg(v, "%s", cases[i].set);
        vub_log_mark(first);
        need_failure(first, v, &l, cases[i].why);
        ask(first, "config.reload", "{}");
    }
    key(first, in, KEY_A, 0);
    load_end(&l);
    front_free(f);
    input_free(in);
    vub_free(first);
}

static void another_config_may_not_suit_the_guest(void **state)
{
    (void)state;
    suits_not(DISK("f", "'queues': 2, ", FILE_STORE) "," KEYBOARD);
}

static void nor_one_of_an_isolated_device(void **state)
{
    (void)state;
    suits_not(DISK("f", "'queues': 2, " ISOLATED, FILE_STORE) "," KEYBOARD);
}

#define MUCH (32 << 20) /* guest memory: a thread closes it */

/* Of an isolated device that was opened and never started. */
static void one_that_gives_up_ends_its_processes_at_once(void **state)
{
    struct vub *first = start(DISK("f", "'queues': 2, ",
                                   FILE_STORE) "," DISK("m", ISOLATED, MEMORY)),
               *v = next(first);
    struct front *f = front_new(first, "f", &(struct front_conf){.queues = 2});
    struct front *m =
        front_new(first, "m", &(struct front_conf){.mem_bytes = 2 * MUCH});
    struct load loads[2];

    (void)state;
    memset(front_ptr(m, front_alloc(m, MUCH, 16)), 1, MUCH);
    load_begin(&loads[0], f->vq[1], 0);
    load_begin(&loads[1], m->vq[0], 0);
    vub_arg(v, "--set");
    vub_arg(v, "/devices/0/queues=1");
    vub_spawn(v);
    assert_true(vub_wait(v) > 0);
    vub_log_wait(v, "are not offered here");
    assert_int_equal(vub_log_count(v, "stopping without"), 0);
    vub_free(v);
    ask(first, "config.reload", "{}"); /* it is over by then */
    for (unsigned n = 0; n < 100; n++) {
        load_step(&loads[0]);
        load_step(&loads[1]);
    }
    load_end(&loads[0]);
    load_end(&loads[1]);
    front_free(f);
    front_free(m);
    vub_free(first);
}

BEHAVE_MAIN(T(verified_load_goes_on), T(twenty_times_in_a_row),
            T(a_key_that_is_held_stays_held), T(what_is_in_memory_survives),
            T(a_picture_stays), T(all_types_go_on_together),
            T(isolated_devices_go_on),
            T(the_new_one_may_be_killed_at_any_point),
            T(the_old_one_may_be_killed_at_any_point),
            T(another_config_may_not_suit_the_guest),
            T(nor_one_of_an_isolated_device),
            T(one_that_gives_up_ends_its_processes_at_once))
