/* behave/stores.h: every store and engine that a disk may stand on, for tests
 * that must hold on all of them. */
#ifndef BEHAVE_STORES_H
#define BEHAVE_STORES_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "behave.h"

#define DISK_BYTES (8u << 20)
#define DISK_SECTORS (DISK_BYTES / 512)

struct store_case {
    const char *name, *json; /* %s: the path of the image */
    bool direct;             /* needs a file system that can */
    bool tmpfs;              /* the image lies in /dev/shm */
};

static const struct store_case store_cases[] = {
    {"memory", "{'type': 'memory', 'size': '8M'}"},
    {"file", "{'type': 'file', 'path': '%s'}"},
    {"file on tmpfs", "{'type': 'file', 'path': '%s'}", .tmpfs = true},
    {"file by io_uring",
     "{'type': 'file', 'path': '%s', 'engine': 'io_uring'}"},
    {"file by threads", "{'type': 'file', 'path': '%s', 'engine': 'threads'}"},
    {"file, direct, by io_uring",
     "{'type': 'file', 'path': '%s', 'engine': 'io_uring', 'direct': true}",
     .direct = true},
    {"file, direct, by threads",
     "{'type': 'file', 'path': '%s', 'engine': 'threads', 'direct': true}",
     .direct = true},
    {"fault around memory", "{'type': 'fault', 'rules': [],"
                            " 'next': {'type': 'memory', 'size': '8M'}}"},
    {"powercut around memory", "{'type': 'powercut', 'cache': '256K',"
                               " 'next': {'type': 'memory', 'size': '8M'}}"},
    {"cow around memory",
     "{'type': 'cow', 'next': {'type': 'memory', 'size': '8M'}}"},
};

/* A disk under test: device "d" with two queues on two workers (one, where
 * the store wants it), everything split and then packed with all there is. */
struct disk {
    struct vub *v;
    struct front *f;
    struct vq *q;
    const struct store_case *store;
    const char *img;     /* NULL: no file */
    uint32_t block_size; /* logical */
};

static void make_image(const char *path, uint64_t bytes)
{
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
        front_fail("cannot make %s", path);
    close(fd);
}

/* io_uring may be forbidden here, and a file system may not know O_DIRECT. */
static bool __attribute__((unused))
can_run(const struct store_case *s, struct vub *v)
{
    const char *path;
    int fd;

    if (strstr(s->json, "io_uring")) {
        char word = '0';

        fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, &word, 1) == 1 && word == '2')
            word = '2';
        if (fd >= 0)
            close(fd);
        if (word == '2')
            return false;
    }
    if (s->tmpfs)
        return access("/dev/shm", W_OK) == 0;
    if (!s->direct)
        return true;
    path = vub_path(v, "probe");
    fd = open(path, O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* more: further keys of the device, "" for none. */
static void disk_open(struct disk *d, const struct store_case *s,
                      const struct front_conf *c, const char *more)
{
    char json[512];

    memset(d, 0, sizeof(*d));
    d->store = s;
    d->v = s->tmpfs ? vub_new_in("/dev/shm") : vub_new();
    if (strstr(s->json, "%s")) {
        d->img = vub_path(d->v, "img");
        make_image(d->img, DISK_BYTES);
    }
    snprintf(json, sizeof(json), s->json, d->img);
    vub_config(d->v,
               "{'id': 'd', 'type': 'block', 'queues': 2, %s 'store': %s}",
               more, json);
    vub_run(d->v);
    d->f = front_new(d->v, "d", c);
    d->q = d->f->vq[0];
    front_config(d->f, offsetof(struct virtio_blk_config, blk_size),
                 &d->block_size, 4);
}

static void disk_close(struct disk *d)
{
    front_free(d->f);
    vub_free(d->v);
}

static void __attribute__((unused))
on_all_stores(void (*one)(struct disk *d), const char *more)
{
    static const struct front_conf confs[] = {
        {.queues = 2},
        {.queues = 2, .packed = true, .event_idx = true, .indirect = true},
    };

    for (unsigned i = 0; i < ARRAY_LEN(store_cases); i++)
        for (unsigned k = 0; k < ARRAY_LEN(confs); k++) {
            struct vub *v = vub_new();
            bool can = can_run(&store_cases[i], v);
            struct disk d;

            vub_free(v);
            if (!can) {
                print_message("  cannot be tested here: %s\n",
                              store_cases[i].name);
                continue;
            }
            front_note("%s, %s", store_cases[i].name,
                       confs[k].packed ? "packed" : "split");
            disk_open(&d, &store_cases[i], &confs[k], more);
            one(&d);
            disk_close(&d);
        }
}

#endif
