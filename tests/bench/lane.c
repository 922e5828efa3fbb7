/* See lane.h. A turn takes every answer there is, asks again in each one's
 * place, and shows all of that at once, with at most one kick: what a guest's
 * driver does in its interrupt handler under a busy block layer.
 *
 * By call, the lane tells the device to be quiet while it works, as drivers
 * do, asks for the next call when it found nothing, looks once more, and
 * sleeps in read(). */
#include "lane.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/scsi.h"

#define SECTOR 512

#define SCSI_HEAD (sizeof(struct virtio_scsi_req_cmd) + VIRTIO_SCSI_CDB_BYTES)
#define SCSI_RESP                                                              \
    (sizeof(struct virtio_scsi_resp_cmd) + VIRTIO_SCSI_SENSE_BYTES)

static void lay_out_scsi(const struct load *load, struct slot *s, uint64_t gpa,
                         uint64_t id)
{
    struct virtio_scsi_req_cmd *head = s->head;

    memset(head, 0, SCSI_HEAD);
    memcpy(head->lun, load->lun, sizeof(head->lun));
    head->id = htole64(id);
    s->status = (uint8_t *)s->head + 128 +
                offsetof(struct virtio_scsi_resp_cmd, status);
    s->head_buf = (struct vq_buf){gpa, SCSI_HEAD};
    s->status_buf = (struct vq_buf){gpa + 128, SCSI_RESP};
}

void lane_add_ring(struct lane *l, struct front *f, unsigned index)
{
    const struct load *load = l->load;
    struct lane_ring *r = &l->rings[l->num_rings++];
    struct slot *s;
    uint64_t gpa;

    r->q = f->vq[index + (load->scsi ? VIRTIO_SCSI_REQUESTQ : 0)];
    r->next = load->blocks / 8 * index; /* streams of their own */
    r->slots = front_calloc(load->depth, sizeof(*r->slots));
    for (unsigned i = 0; i < load->depth; i++) {
        s = &r->slots[i];
        gpa = front_alloc(f, load->scsi ? 256 : 64, 64);
        s->head = front_ptr(f, gpa);
        if (load->scsi) {
            lay_out_scsi(load, s, gpa, index * load->depth + i);
        } else {
            s->status = (uint8_t *)s->head + 32;
            s->head_buf =
                (struct vq_buf){gpa, sizeof(struct virtio_blk_req_head)};
            s->status_buf = (struct vq_buf){gpa + 32, 1};
        }
        gpa = front_alloc(f, load->block, 4096);
        memset(front_ptr(f, gpa), (int)i + 1, load->block);
        s->data_buf = (struct vq_buf){gpa, load->block};
    }
    /* The call is waited for by read() when there is one ring only. */
    if (load->by_call && fcntl(r->q->call_fd, F_SETFL, 0) < 0)
        meter_die("fcntl: %s", strerror(errno));
    vq_calls(r->q, false);
}

struct run {
    struct lane *l;
    bool write, sequential;
    uint32_t type;
};

static inline uint64_t next_block(const struct run *run, struct lane_ring *r)
{
    struct lane *l = run->l;

    if (!run->sequential)
        return meter_random(&l->random, l->load->blocks);
    if (r->next >= l->load->blocks)
        r->next = 0;
    return r->next++;
}

static inline void ask_blk(const struct run *run, struct slot *s,
                           uint64_t sector)
{
    struct virtio_blk_req_head *head = s->head;

    head->type = htole32(run->type);
    head->sector = htole64(sector);
    *s->status = BLK_S_NONE;
}

/* READ and WRITE (10), as Linux uses them. */
static inline void ask_scsi(const struct run *run, struct slot *s,
                            uint64_t sector)
{
    uint8_t *cdb = (uint8_t *)s->head + sizeof(struct virtio_scsi_req_cmd);

    cdb[0] = run->write ? SCSI_WRITE_10 : SCSI_READ_10;
    be32_put(cdb + 2, (uint32_t)sector);
    be16_put(cdb + 7, (uint16_t)(run->l->load->block / SECTOR));
    s->status[0] = s->status[1] = UINT8_MAX;
}

static inline void ask(const struct run *run, struct lane_ring *r,
                       struct slot *s, uint64_t now)
{
    uint64_t sector = next_block(run, r) * (run->l->load->block / SECTOR);
    /* A SCSI answer comes before the data. */
    bool data_last = run->l->load->scsi && !run->write;
    const struct vq_buf bufs[] = {
        s->head_buf,
        data_last ? s->status_buf : s->data_buf,
        data_last ? s->data_buf : s->status_buf,
    };

    s->ticks = now;
    if (run->l->load->scsi)
        ask_scsi(run, s, sector);
    else
        ask_blk(run, s, sector);
    if (vq_add(r->q, bufs, run->write ? 2 : 1, run->write ? 1 : 2, s) ==
        VQ_NONE)
        meter_die("the ring is full");
}

static inline bool is_good(const struct lane *l, const struct slot *s)
{
    const volatile uint8_t *status = s->status;

    return status[0] == 0 && (!l->load->scsi || status[1] == 0);
}

/* Takes the answers of one ring. True: there were some. */
static inline bool answers(const struct run *run, struct lane_ring *r,
                           uint64_t now, bool again)
{
    struct lane *l = run->l;
    struct slot *s;
    void *cookie;
    bool any = false;

    while (vq_pop(r->q, NULL, &cookie) != VQ_NONE) {
        s = cookie;
        if (!is_good(l, s))
            meter_die("a request ends with status %u", *s->status);
        any = true;
        l->in_flight--;
        if (!again)
            continue;
        meter_add(&l->meter, now - s->ticks);
        ask(run, r, s, now);
        l->in_flight++;
    }
    if (any && again)
        vq_kick(r->q);
    return any;
}

static void sleep_until_called(struct lane *l)
{
    struct pollfd fds[FRONT_QUEUES_MAX];
    bool found = false;
    uint64_t n;

    for (unsigned i = 0; i < l->num_rings; i++) {
        fds[i] = (struct pollfd){l->rings[i].q->call_fd, POLLIN, 0};
        vq_calls(l->rings[i].q, true);
        found |= vq_has(l->rings[i].q);
    }
    if (!found && l->num_rings > 1 && poll(fds, l->num_rings, -1) < 0)
        meter_die("poll: %s", strerror(errno));
    for (unsigned i = 0; i < l->num_rings && !found; i++)
        if (l->num_rings == 1 || fds[i].revents) {
            if (read(fds[i].fd, &n, sizeof(n)) != sizeof(n))
                meter_die("call: %s", strerror(errno));
            l->rings[i].q->calls++;
        }
    for (unsigned i = 0; i < l->num_rings; i++)
        vq_calls(l->rings[i].q, false);
}

/* Serves every ring once. True: there was something. */
static bool turn(const struct run *run, uint64_t now, bool again)
{
    struct lane *l = run->l;
    bool any = false;

    for (unsigned i = 0; i < l->num_rings; i++)
        any |= answers(run, &l->rings[i], now, again);
    return any;
}

static void notifications(struct lane *l, uint64_t *kicks, uint64_t *calls)
{
    *kicks = *calls = 0;
    for (unsigned i = 0; i < l->num_rings; i++) {
        *kicks += l->rings[i].q->kicks;
        *calls += l->rings[i].q->calls;
    }
}

void lane_run(struct lane *l, bool write, bool sequential, uint64_t ticks,
              uint64_t ops)
{
    struct run run = {l, write, sequential,
                      write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN};
    uint64_t now, then, end, kicks, calls;

    notifications(l, &kicks, &calls);
    meter_start(&l->meter, l->load->pid);
    l->busy_ticks = 0;
    now = l->meter.from_ticks;
    end = ops ? UINT64_MAX : now + ticks;
    for (unsigned i = 0; i < l->num_rings; i++) {
        for (unsigned k = 0; k < l->load->depth; k++)
            ask(&run, &l->rings[i], &l->rings[i].slots[k], now);
        l->in_flight += l->load->depth;
        vq_kick(l->rings[i].q);
    }
    while (now < end && (!ops || l->meter.ops < ops)) {
        bool any = turn(&run, now, true);

        then = meter_ticks();
        if (any)
            l->busy_ticks += then - now;
        else if (l->load->by_call)
            sleep_until_called(l);
        now = any ? then : meter_ticks();
    }
    meter_stop(&l->meter);
    notifications(l, &l->kicks, &l->calls);
    l->kicks -= kicks;
    l->calls -= calls;
    while (l->in_flight)
        if (!turn(&run, 0, false) && l->load->by_call)
            sleep_until_called(l);
}
