/* scripts/bench trace: what it costs to write down every request.
 *
 * One vub has four disks: null and memory, each as it is and with a trace
 * around it. One after the other is asked for blocks of 4 KiB, 32 at a time,
 * for a short while, round after round: what is compared stands side by side,
 * and the ratio of a round stands still when the machine does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/front.h"
#include "meter.h"

#define ROUNDS 15
#define DEPTH 32
#define REQUESTS 100000
#define BLOCK 4096
#define BYTES (64u << 20)

static const char *const kinds[] = {"null", "memory"};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static struct front *disks[KINDS][2]; /* without, with */
static struct blk_req *requests[KINDS][2][DEPTH];
static uint64_t seed = 1;

static void go(struct front *f, struct blk_req *r)
{
    uint64_t block = meter_random(&seed, BYTES / BLOCK);

    if (!blk_add(f->vq[0], r, VIRTIO_BLK_T_IN, block * (BLOCK / 512), BLOCK))
        front_fail("the ring is full");
}

/* Requests a second. */
static double rate(struct front *f, struct blk_req *const *r)
{
    unsigned asked = 0, done = 0;
    uint64_t begin = meter_clock_ns();
    void *cookie;

    for (; asked < DEPTH; asked++)
        go(f, r[asked]);
    vq_kick(f->vq[0]);
    while (done < REQUESTS) {
        unsigned before = asked;

        while (vq_pop(f->vq[0], NULL, &cookie) != VQ_NONE) {
            done++;
            if (asked < REQUESTS) {
                go(f, cookie);
                asked++;
            }
        }
        if (asked > before)
            vq_kick(f->vq[0]);
    }
    return REQUESTS * 1e9 / (double)(meter_clock_ns() - begin);
}

static struct vub *start(void)
{
    struct vub *v = vub_new();

    v->quiet = true;
    vub_config(
        v, "{'id': 'null', 'type': 'block', "
           "'store': {'type': 'null', 'size': '64M'}}, "
           "{'id': 'memory', 'type': 'block', "
           "'store': {'type': 'memory', 'size': '64M'}}, "
           "{'id': 'null-t', 'type': 'block', "
           "'store': {'type': 'trace', 'path': 'a', 'second': 'b', "
           "'max_size': '64M', 'next': {'type': 'null', 'size': '64M'}}}, "
           "{'id': 'memory-t', 'type': 'block', "
           "'store': {'type': 'trace', 'path': 'c', 'second': 'd', "
           "'max_size': '64M', 'next': {'type': 'memory', 'size': '64M'}}}");
    vub_run(v);
    return v;
}

static void connect_all(struct vub *v)
{
    for (unsigned k = 0; k < KINDS; k++)
        for (unsigned t = 0; t < 2; t++) {
            char id[32];

            snprintf(id, sizeof(id), "%s%s", kinds[k], t ? "-t" : "");
            disks[k][t] =
                front_new(v, id, &(struct front_conf){.size = 4 * DEPTH});
            vq_calls(disks[k][t]->vq[0], false);
            for (unsigned i = 0; i < DEPTH; i++)
                requests[k][t][i] = blk_new(disks[k][t], BLOCK);
        }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(unsigned k)
{
    double ratio[ROUNDS], best[2] = {0, 0}, got[2];

    for (unsigned i = 0; i < ROUNDS; i++) {
        /* Who is first turns from round to round. */
        for (unsigned n = 0; n < 2; n++) {
            unsigned t = (n + i) % 2;

            got[t] = rate(disks[k][t], requests[k][t]);
            best[t] = got[t] > best[t] ? got[t] : best[t];
        }
        ratio[i] = got[1] / got[0];
    }
    qsort(ratio, ROUNDS, sizeof(*ratio), compare);
    printf("%-8s %9.0f requests/s, traced %9.0f: x %.3f (%.3f to %.3f)\n",
           kinds[k], best[0], best[1], ratio[ROUNDS / 2], ratio[0],
           ratio[ROUNDS - 1]);
}

int main(void)
{
    struct vub *v = start();

    connect_all(v);
    for (unsigned k = 0; k < KINDS; k++)
        measure(k);
    for (unsigned k = 0; k < KINDS; k++)
        for (unsigned t = 0; t < 2; t++)
            front_free(disks[k][t]);
    vub_free(v);
    return 0;
}
