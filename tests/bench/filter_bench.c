/* scripts/bench filters: what filters cost that do nothing, and what `cow`
 * does.
 *
 * One vub has a disk of memory, one for each filter around memory, and the same
 * of `null` where there is nothing else to be seen. What is compared is asked
 * one after the other for blocks of 4 KiB at random, 32 at a time, for a short
 * while, round after round: it stands side by side, and the ratio of a round
 * stands still when the machine does not.
 *
 * --beside PROGRAM: another vub, one without these filters: its memory and null
 * beside ours, which have none either. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/front.h"
#include "meter.h"

#define ROUNDS 15
#define DEPTH 32
#define REQUESTS 100000
#define BLOCK UINT64_C(4096)
#define BYTES (64u << 20)
#define MEMORY "{'type': 'memory', 'size': '64M'}"
#define NUL "{'type': 'null', 'size': '64M'}"

struct kind {
    const char *name, *store;
    const char *beside; /* the name of what it is compared with */
    bool is_written;    /* all of it, first */
    double wanted;      /* of its requests a second; 0: nothing is */
};

/* Memory that nobody has written to is read in no time: like is compared with
 * like. */
static const struct kind kinds[] = {
    {"memory", MEMORY, .is_written = true},
    {"null", NUL},
    {"empty", MEMORY},
    {"fault",
     "{'type': 'fault', 'rules': [{'armed': false}], 'next': " MEMORY "}",
     "memory", .is_written = true},
    {"delay", "{'type': 'delay', 'next': " MEMORY "}", "memory",
     .is_written = true},
    {"throttle", "{'type': 'throttle', 'next': " MEMORY "}", "memory",
     .is_written = true},
    {"powercut", "{'type': 'powercut', 'next': " MEMORY "}", "memory",
     .is_written = true},
    {"cow", "{'type': 'cow', 'next': " MEMORY "}", "memory", .is_written = true,
     .wanted = 0.8},
    {"cow-empty", "{'type': 'cow', 'next': " MEMORY "}", "empty",
     .wanted = 0.8},
    {"trace",
     "{'type': 'trace', 'path': 'a', 'second': 'b', 'max_size': '64M',"
     " 'next': " MEMORY "}",
     "memory", .is_written = true},
    {"trace-null",
     "{'type': 'trace', 'path': 'c', 'second': 'd', 'max_size': '64M',"
     " 'next': " NUL "}",
     "null"},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct disk {
    struct front *f;
    struct blk_req *r[DEPTH];
};

static uint64_t seed = 1;

static void go(struct front *f, struct blk_req *r)
{
    uint64_t block = meter_random(&seed, BYTES / BLOCK);

    if (!blk_add(f->vq[0], r, VIRTIO_BLK_T_IN, block * (BLOCK / 512), BLOCK))
        front_fail("the ring is full");
}

/* Requests a second. */
static double rate(struct disk *d)
{
    unsigned asked = 0, done = 0;
    uint64_t begin = meter_clock_ns();
    void *cookie;

    for (; asked < DEPTH; asked++)
        go(d->f, d->r[asked]);
    vq_kick(d->f->vq[0]);
    while (done < REQUESTS) {
        unsigned before = asked;

        while (vq_pop(d->f->vq[0], NULL, &cookie) != VQ_NONE) {
            done++;
            if (asked < REQUESTS) {
                go(d->f, cookie);
                asked++;
            }
        }
        if (asked > before)
            vq_kick(d->f->vq[0]);
    }
    return REQUESTS * 1e9 / (double)(meter_clock_ns() - begin);
}

/* exe NULL: ours. Only the first so many kinds. */
static struct vub *start(const char *exe, unsigned num)
{
    struct vub *v = vub_new();
    char text[8192] = "";

    for (unsigned k = 0; k < num; k++) {
        size_t n = strlen(text);

        snprintf(text + n, sizeof(text) - n,
                 "%s{'id': '%s', 'type': 'block', 'store': %s}", k ? ", " : "",
                 kinds[k].name, kinds[k].store);
    }
    if (exe)
        v->exe = exe;
    v->quiet = true;
    vub_config(v, "%s", text);
    vub_run(v);
    return v;
}

static void disk_open(struct disk *d, struct vub *v, const struct kind *k)
{
    d->f = front_new(v, k->name, &(struct front_conf){.size = 4 * DEPTH});
    for (unsigned i = 0; i < DEPTH; i++)
        d->r[i] = blk_new(d->f, BLOCK);
    for (uint64_t at = 0; k->is_written && at < BYTES; at += BLOCK)
        blk_write(d->f->vq[0], at / 512, d->r[0]->data, BLOCK);
    blk_flush(d->f->vq[0]);
    vq_calls(d->f->vq[0], false);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(const char *name, struct disk *without, struct disk *with,
                    double wanted)
{
    double ratio[ROUNDS], best[2] = {0, 0}, got[2];
    struct disk *d[2] = {without, with};

    for (unsigned i = 0; i < ROUNDS; i++) {
        /* Who is first turns from round to round. */
        for (unsigned n = 0; n < 2; n++) {
            unsigned t = (n + i) % 2;

            got[t] = rate(d[t]);
            best[t] = got[t] > best[t] ? got[t] : best[t];
        }
        ratio[i] = got[1] / got[0];
    }
    qsort(ratio, ROUNDS, sizeof(*ratio), compare);
    printf("%-12s %9.0f requests/s of %9.0f: x %.3f (%.3f to %.3f)", name,
           best[1], best[0], ratio[ROUNDS / 2], ratio[0], ratio[ROUNDS - 1]);
    if (wanted > 0)
        printf(", wanted %.2f: %s", wanted,
               ratio[ROUNDS / 2] >= wanted ? "met" : "MISSED");
    printf("\n");
    fflush(stdout);
}

static unsigned kind_named(const char *name)
{
    unsigned k = 0;

    while (strcmp(kinds[k].name, name) != 0)
        k++;
    return k;
}

int main(int argc, char **argv)
{
    static struct disk disks[KINDS], others[2];
    const char *beside =
        argc == 3 && strcmp(argv[1], "--beside") == 0 ? argv[2] : NULL;
    struct vub *v, *other = NULL;

    if (argc > 1 && !beside) {
        fprintf(stderr, "usage: %s [--beside PROGRAM]\n", argv[0]);
        return 2;
    }
    v = start(NULL, KINDS);
    for (unsigned k = 0; k < KINDS; k++)
        disk_open(&disks[k], v, &kinds[k]);
    if (beside)
        other = start(beside, 2);
    for (unsigned k = 0; beside && k < 2; k++) {
        char name[32];

        disk_open(&others[k], other, &kinds[k]);
        snprintf(name, sizeof(name), "%s, ours", kinds[k].name);
        measure(name, &others[k], &disks[k], 0);
        front_free(others[k].f);
    }
    for (unsigned k = 0; k < KINDS; k++)
        if (kinds[k].beside)
            measure(kinds[k].name, &disks[kind_named(kinds[k].beside)],
                    &disks[k], kinds[k].wanted);
    for (unsigned k = 0; k < KINDS; k++)
        front_free(disks[k].f);
    vub_free(other);
    vub_free(v);
    return 0;
}
