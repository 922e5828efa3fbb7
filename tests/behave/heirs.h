/* behave/heirs.h: vubs of which each takes over from the one before, beside
 * guests that work. */
#ifndef BEHAVE_HEIRS_H
#define BEHAVE_HEIRS_H

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "desk.h"
#include "front/display.h"

#define KEYBOARD KEY("k", "keyboard")
#define HOST                                                                   \
    "{'id': 'h', 'type': 'scsi', 'luns': [{'target': 0, 'lun': 0, "            \
    "'store': " MEMORY "}]}"
#define FILE_STORE "{'type': 'file', 'path': 'img'}"

#define ISOLATED "'isolation': 'process', "

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

static inline int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline uint64_t sector_of(const struct load *l, unsigned i)
{
    return l->first + (i + SLOTS * (l->round[i] % 64)) * (BLOCK / 512);
}

static inline void issue(struct load *l, unsigned i)
{
    if (!l->reads[i])
        front_fill(l->r[i]->data, BLOCK, l->seed + i + l->round[i] * SLOTS);
    else
        memset(l->r[i]->data, 0, BLOCK);
    blk_go(l->q, l->r[i], l->reads[i] ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
           sector_of(l, i), BLOCK);
}

static inline void load_begin(struct load *l, struct vq *q, uint64_t first)
{
    *l = (struct load){.q = q, .seed = first * 7919 + 1, .first = first};
    for (unsigned i = 0; i < SLOTS; i++) {
        l->r[i] = blk_new(q->f, BLOCK);
        issue(l, i);
    }
}

static inline void check(struct load *l, unsigned i)
{
    uint8_t want[BLOCK];

    if (!l->reads[i])
        return;
    front_fill(want, BLOCK, l->seed + i + l->round[i] * SLOTS);
    assert_memory_equal(l->r[i]->data, want, BLOCK);
}

/* One is answered, and the next issued. */
static inline void load_step(struct load *l)
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

static inline void load_end(struct load *l)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        assert_int_equal(blk_wait(l->q, l->r[i]), VIRTIO_BLK_S_OK);
        check(l, i);
        blk_free(l->r[i]);
    }
}

/* ---- taking over ---- */

static inline void make_image(struct vub *v)
{
    int fd = open(vub_path(v, "img"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    assert_int_equal(ftruncate(fd, 16 << 20), 0);
    close(fd);
}

static inline struct vub *start(const char *devices)
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

static inline struct vub *next(struct vub *first)
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
static inline struct vub *handed_over(struct vub *first, struct vub *old,
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

static inline void ask(struct vub *v, const char *method, const char *params)
{
    struct ctl c;

    ctl_open(&c, v);
    ctl_call(&c, method, params);
    ctl_need(&c, "\"result\":{");
    ctl_close(&c);
}

/* It comes to the guest, before it is answered, and nothing else does. */
static inline void key(struct vub *v, struct input *in, unsigned code,
                       int value)
{
    char params[160];
    struct ctl c;

    snprintf(params, sizeof(params),
             "{'device': 'k', 'events': [{'code': '%s', 'value': %d}]}",
             code == KEY_A ? "KEY_A" : "KEY_B", value);
    ctl_open(&c, v);
    ctl_call(&c, "input.send", params);
    input_need_frame(in, EVKEY, code, value);
    ctl_need(&c, "\"result\":{");
    ctl_close(&c);
}

#endif
