/* The load: a front-end without a virtual machine, which asks a vhost-user
 * block device, or a unit of a SCSI host, for blocks as fast as it answers, at
 * a fixed depth, and prints what it saw as one JSON object. See lane.c for the
 * loop itself.
 *
 *     bench_load --socket S --pid P --op read --depth 32 --cores 1
 *     bench_load --socket S --scsi TARGET:LUN ...
 *
 * It sets the session up as QEMU would: with an in-flight record where one is
 * offered, a call and a kick eventfd, and no more features than asked for. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/scsi.h"
#include "lane.h"
#include "proc.h"
#include "words.h"

#define CORES_MAX 16
#define RING_MIN 256 /* descriptors; QEMU's disks have 128 or 256 */

struct options {
    const char *socket;
    struct load load;
    unsigned queues;
    bool packed, indirect, no_inflight, fill;
    double seconds, warm, idle;
    int cores[CORES_MAX];
    unsigned num_cores;
};

/* One thread: its lane goes through all phases; the barrier keeps them
 * together. */
struct worker {
    pthread_t thread;
    struct lane lane;
    const struct options *o;
    int core;
    uint64_t ticks_per_second;
    pthread_barrier_t *together;
};

static uint64_t ticks_per_second(void)
{
    uint64_t from_ns = meter_clock_ns(), from = meter_ticks(), ns, ticks;

    do {
        ns = meter_clock_ns() - from_ns;
        ticks = meter_ticks() - from;
    } while (ns < 5000000);
    return ticks * 1000000000u / ns;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    const struct load *load = &w->o->load;
    double second = (double)w->ticks_per_second;

    meter_pin(w->core);
    pthread_barrier_wait(w->together);
    if (w->o->fill)
        lane_run(&w->lane, true, true, 0, load->blocks);
    pthread_barrier_wait(w->together);
    lane_run(&w->lane, load->write, load->sequential,
             (uint64_t)(w->o->warm * second), 0);
    pthread_barrier_wait(w->together);
    lane_run(&w->lane, load->write, load->sequential,
             (uint64_t)(w->o->seconds * second), 0);
    return NULL;
}

/* Connected, rings running, no request for a while: who wakes up? The first
 * second is for what the load itself has set off. */
static uint64_t idle_wakeups(const struct options *o)
{
    struct timespec settle = {1, 0}, idle;
    uint64_t before;

    idle.tv_sec = (time_t)o->idle;
    idle.tv_nsec = (long)((o->idle - (double)idle.tv_sec) * 1e9);
    nanosleep(&settle, NULL);
    before = proc_sleeps(o->load.pid);
    nanosleep(&idle, NULL);
    return proc_sleeps(o->load.pid) - before;
}

/* What has to be said once is said. */
static uint64_t scsi_sectors(struct front *f, const struct load *load)
{
    struct scsi *s = scsi_on(f, 1);
    struct scsi_lun lun;

    memcpy(lun.b, load->lun, sizeof(lun.b));
    scsi_attend(s->queue[0], lun);
    return scsi_blocks(s->queue[0], lun);
}

static struct front *session(struct options *o)
{
    struct front *f = front_connect_wait(o->socket);
    unsigned need = MAX(o->load.depth * (o->indirect ? 1 : 3), RING_MIN);
    struct front_conf conf = {
        .queues = o->queues + (o->load.scsi ? VIRTIO_SCSI_REQUESTQ : 0),
        .size = 1,
        .packed = o->packed,
        .indirect = o->indirect,
        .event_idx = o->load.event_idx,
        .mem_bytes =
            (64u << 20) + (uint64_t)o->queues * o->load.depth * o->load.block,
    };

    while (conf.size < need)
        conf.size *= 2;
    front_negotiate(f, &conf);
    if (f->protocol & FEATURE(WIRE_PF_INFLIGHT_SHMFD))
        f->conf.inflight = !o->no_inflight;
    front_share(f);
    front_start_rings(f);
    o->load.blocks = o->load.scsi ? scsi_sectors(f, &o->load) : blk_capacity(f);
    o->load.blocks = o->load.blocks * VIRTIO_BLK_SECTOR_BYTES / o->load.block;
    if (!o->load.blocks)
        meter_die("the disk is smaller than one block");
    return f;
}

static void print(const struct options *o, struct worker *w, unsigned num)
{
    struct meter *sum = &w[0].lane.meter;
    uint64_t kicks = 0, calls = 0, busy = 0;
    unsigned i, k;

    for (i = 0; i < num; i++) {
        kicks += w[i].lane.kicks;
        calls += w[i].lane.calls;
        busy = MAX(busy, w[i].lane.busy_ticks);
        if (i == 0)
            continue;
        sum->ops += w[i].lane.meter.ops;
        for (k = 0; k < METER_BUCKETS; k++)
            sum->bucket[k] += w[i].lane.meter.bucket[k];
    }
    printf("{");
    meter_print(sum);
    printf(",\"kicks\":%" PRIu64 ",\"calls\":%" PRIu64 ",\"busy\":%.2f", kicks,
           calls, (double)busy / (double)sum->ticks);
    if (o->load.pid)
        printf(",\"rss\":%" PRIu64, proc_rss(o->load.pid, "/memfd:front"));
    if (o->load.pid && o->idle > 0)
        printf(",\"idle_wakeups\":%" PRIu64, idle_wakeups(o));
    printf("}\n");
}

/* "0,1" */
static void parse_cores(void *to, const char *value)
{
    struct options *o = to;

    while (value && o->num_cores < CORES_MAX) {
        o->cores[o->num_cores++] = atoi(value);
        value = strchr(value, ',');
        value = value ? value + 1 : NULL;
    }
}

static void parse_unit(void *to, const char *text)
{
    struct options *o = to;
    unsigned target, lun;
    struct scsi_lun at;

    if (sscanf(text, "%u:%u", &target, &lun) != 2)
        meter_die("--scsi TARGET:LUN");
    at = scsi_at(target, lun);
    memcpy(o->load.lun, at.b, sizeof(at.b));
    o->load.scsi = true;
}

static void parse_op(void *to, const char *value)
{
    *(bool *)to = strcmp(value, "write") == 0;
}

static void parse_notify(void *to, const char *value)
{
    *(bool *)to = strcmp(value, "call") == 0;
}

static void parse(struct options *o, int argc, char **argv)
{
    const struct word words[] = {
        {"socket", WORD_TEXT, &o->socket},
        {"pid", WORD_INT, &o->load.pid},
        {"op", WORD_OTHER, &o->load.write, parse_op},
        {"block", WORD_UNSIGNED, &o->load.block},
        {"depth", WORD_UNSIGNED, &o->load.depth},
        {"queues", WORD_UNSIGNED, &o->queues},
        {"notify", WORD_OTHER, &o->load.by_call, parse_notify},
        {"seconds", WORD_SECONDS, &o->seconds},
        {"warm", WORD_SECONDS, &o->warm},
        {"idle", WORD_SECONDS, &o->idle},
        {"cores", WORD_OTHER, o, parse_cores},
        {"watch", WORD_OTHER, NULL, words_watch},
        {"scsi", WORD_OTHER, o, parse_unit},
        {"packed", WORD_TRUE, &o->packed},
        {"indirect", WORD_TRUE, &o->indirect},
        {"sequential", WORD_TRUE, &o->load.sequential},
        {"no-event-idx", WORD_FALSE, &o->load.event_idx},
        {"no-inflight", WORD_TRUE, &o->no_inflight},
        {"fill", WORD_TRUE, &o->fill},
        {NULL},
    };

    words_read(words, argc, argv);
    if (!o->socket || !o->load.depth || o->load.depth > 256 ||
        o->load.block < VIRTIO_BLK_SECTOR_BYTES || !o->queues ||
        o->queues > FRONT_QUEUES_MAX || o->load.block % 512)
        meter_die("usage: bench_load --socket PATH [--depth 1..256] ...");
    if (!o->num_cores)
        o->cores[o->num_cores++] = -1;
}

int main(int argc, char **argv)
{
    static struct worker workers[CORES_MAX];
    struct options o = {
        .load = {.block = 4096, .depth = 1, .event_idx = true},
        .queues = 1,
        .seconds = 1,
        .warm = 0.2,
    };
    uint64_t per_second;
    pthread_barrier_t together;
    struct front *f;
    unsigned num, i;

    parse(&o, argc, argv);
    meter_pin(o.cores[0]);
    per_second = ticks_per_second();
    f = session(&o);
    num = MIN(o.num_cores, o.queues);
    pthread_barrier_init(&together, NULL, num);
    for (i = 0; i < num; i++) {
        workers[i].o = &o;
        workers[i].core = o.cores[i];
        workers[i].ticks_per_second = per_second;
        workers[i].together = &together;
        workers[i].lane.load = &o.load;
        workers[i].lane.random = 88172645463325252u + i;
        workers[i].lane.rings =
            front_calloc(o.queues, sizeof(*workers[i].lane.rings));
    }
    for (i = 0; i < o.queues; i++)
        lane_add_ring(&workers[i % num].lane, f, i);
    for (i = 1; i < num; i++)
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]))
            meter_die("no thread");
    worker_main(&workers[0]);
    for (i = 1; i < num; i++)
        pthread_join(workers[i].thread, NULL);
    print(&o, workers, num);
    front_free(f);
    return 0;
}
