/* behave/drive.h: a disk that a test has in its hands from both sides: as a
 * guest, and over the control socket. */
#ifndef BEHAVE_DRIVE_H
#define BEHAVE_DRIVE_H

#include "ctl.h"

/* A vub with disk "d", its control socket, and a session. */
struct drive {
    struct vub *v;
    struct ctl c;
    struct front *f;
};

/* Of a vub that runs. */
static inline struct drive drive_on(struct vub *v, const struct front_conf *c)
{
    struct drive d = {.v = v};

    ctl_open(&d.c, v);
    d.f = front_new(v, "d", c);
    return d;
}

static inline struct drive drive_open(const char *devices,
                                      const struct front_conf *c)
{
    return drive_on(ctl_start(devices), c);
}

/* The front-end goes, and a plain one comes. */
static inline void drive_again(struct drive *d)
{
    front_free(d->f);
    d->f = front_new(d->v, "d", NULL);
}

static inline void drive_close(struct drive *d)
{
    front_free(d->f);
    ctl_close(&d->c);
    vub_free(d->v);
}

/* What is on it: pieces of one byte, again and again. */

#define LEN 4096u

static inline void put(struct front *f, uint64_t sector, int byte)
{
    char buf[LEN];

    memset(buf, byte, LEN);
    blk_write(f->vq[0], sector, buf, LEN);
}

static inline void need_at(struct front *f, uint64_t sector, int byte)
{
    char buf[LEN], want[LEN];

    memset(want, byte, LEN);
    blk_read(f->vq[0], sector, buf, LEN);
    assert_memory_equal(buf, want, LEN);
}

#endif
