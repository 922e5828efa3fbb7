/* One question after the other: the capacity, which must be answered; then what
 * may be: limits, provisioning, whether FUA means something. */
#include "store/iscsi_probe.h"

#include <inttypes.h>
#include <string.h>

#include "store/impl.h"

#define TRIES 16
#define AGAIN_MS 1000
#define BLOCK_MAX 65536

enum { CAPACITY, LIMITS, PROVISIONING, MODE, STEPS };

static void ask(struct iscsi_probe *p);

static struct iscsi_probe *probe_of(struct iscsi_cmd *c)
{
    return container_of(c, struct iscsi_probe, cmd);
}

bool iscsi_is_attention(const struct iscsi_cmd *c, uint16_t *asc)
{
    uint8_t key;

    return c->end == ISCSI_ANSWERED && c->status == SCSI_CHECK_CONDITION &&
           scsi_sense_read(c->sense, c->sense_len, &key, asc) &&
           key == SCSI_UNIT_ATTENTION;
}

static void ended(struct iscsi_probe *p, bool known)
{
    p->busy = false;
    if (known)
        p->limits = p->next;
    p->told(p, known);
    if (p->again && !p->closing)
        iscsi_probe_again(p);
}

/* READ CAPACITY (16): SBC-3, 5.16.2. */
static bool read_capacity(struct iscsi_probe *p)
{
    const uint8_t *b = p->buf;
    uint64_t last = be64_at(b);
    uint32_t block = be32_at(b + 8);

    if (p->cmd.moved < 16 || block < 512 || block > BLOCK_MAX ||
        (block & (block - 1)) || last >= STORE_SIZE_MAX / block) {
        log_limited(
            &p->limit, LOG_ERROR, p->id,
            "the iSCSI unit has blocks of %u bytes, the last one %" PRIu64
            ": vub can do nothing with that",
            block, last);
        return false;
    }
    p->next = (struct iscsi_limits){
        .size = (last + 1) * block,
        .block = block,
        .physical = block << (b[13] & 0xf),
    };
    if ((b[13] & 0xf) > 7)
        p->next.physical = 0;
    p->next.unmap = b[14] & 0x80; /* if page B2 says so, too */
    p->next.same_unmap = (b[14] & 0xc0) == 0xc0;
    return true;
}

/* Block Limits: SBC-3, 6.5.3. */
static void read_limits(struct iscsi_probe *p)
{
    struct iscsi_limits *l = &p->next;
    const uint8_t *b = p->buf;
    uint64_t opt, same;

    if (p->cmd.moved < 16 || b[1] != 0xb0)
        return;
    l->transfer_max = be32_at(b + 8);
    opt = (uint64_t)be32_at(b + 12) * l->block;
    l->opt_io = opt <= UINT32_MAX ? (uint32_t)opt : 0;
    if (p->cmd.moved < 44)
        return;
    l->unmap_max = be32_at(b + 20);
    l->unmap_align = be32_at(b + 28);
    same = be64_at(b + 36);
    l->same_max = (uint32_t)MIN(same, UINT32_MAX);
}

/* Logical Block Provisioning: SBC-3, 6.5.4. */
static void read_provisioning(struct iscsi_probe *p)
{
    const uint8_t *b = p->buf;
    bool there = p->cmd.moved >= 8 && b[1] == 0xb2;

    p->next.unmap &= there && (b[5] & 0x80);
    p->next.same_unmap &= there && (b[5] & 0x40);
}

static void take_answer(struct iscsi_probe *p)
{
    const struct iscsi_cmd *c = &p->cmd;
    bool good = c->status == SCSI_GOOD;

    switch (p->step) {
    case CAPACITY:
        if (!good) {
            /* Not ready yet, perhaps. */
            p->waits = true;
            timer_start(&p->timer, AGAIN_MS);
            ended(p, false);
            return;
        }
        if (!read_capacity(p)) {
            ended(p, false);
            return;
        }
        break;
    case LIMITS:
        if (good)
            read_limits(p);
        break;
    case PROVISIONING:
        if (good)
            read_provisioning(p);
        else
            p->next.unmap = p->next.same_unmap = false;
        break;
    case MODE: /* DPOFUA: SBC-3, 6.4.1 */
        p->next.fua = good && c->moved >= 3 && (p->buf[2] & 0x10);
        break;
    }
    p->step++;
    p->tries = 0;
    if (p->step == STEPS)
        ended(p, true);
    else
        ask(p);
}

static void on_done(struct iscsi_cmd *c)
{
    struct iscsi_probe *p = probe_of(c);
    uint16_t asc;

    if (p->closing) {
        p->busy = false;
        iscsi_close(&p->unit);
    } else if (c->end != ISCSI_ANSWERED) {
        ended(p, false);
    } else if (iscsi_is_attention(c, &asc) && ++p->tries < TRIES) {
        ask(p);
    } else {
        take_answer(p);
    }
}

static void ask(struct iscsi_probe *p)
{
    static const struct {
        uint8_t cdb[16], len;
        uint32_t bytes;
    } questions[STEPS] = {
        [CAPACITY] = {{SCSI_SERVICE_ACTION_IN_16,
                       SCSI_SAI_READ_CAPACITY_16, [13] = 32},
                      16,
                      32},
        [LIMITS] = {{SCSI_INQUIRY, 1, 0xb0, 0, 64}, 6, 64},
        [PROVISIONING] = {{SCSI_INQUIRY, 1, 0xb2, 0, 64}, 6, 64},
        [MODE] = {{SCSI_MODE_SENSE_6, 0, 0x3f, 0, 255}, 6, 255},
    };
    struct iscsi_cmd *c = &p->cmd;

    memset(c, 0, sizeof(*c));
    memset(p->buf, 0, sizeof(p->buf));
    memcpy(c->cdb, questions[p->step].cdb, 16);
    c->cdb_len = questions[p->step].len;
    c->in = true;
    c->len = questions[p->step].bytes;
    p->iov = (struct iovec){p->buf, c->len};
    c->iov = &p->iov;
    c->iov_num = 1;
    c->done = on_done;
    iscsi_submit(&p->unit, c);
    iscsi_kick(&p->unit);
}

void iscsi_probe_again(struct iscsi_probe *p)
{
    p->again = p->busy;
    if (p->busy || p->closing)
        return;
    p->busy = true;
    p->waits = false;
    p->step = CAPACITY;
    p->tries = 0;
    ask(p);
}

static void on_up(struct iscsi_unit *u, bool again)
{
    struct iscsi_probe *p = container_of(u, struct iscsi_probe, unit);

    /* The first question may have waited for this. */
    if (again || !p->busy)
        iscsi_probe_again(p);
}

static void on_timer(struct timer *t)
{
    struct iscsi_probe *p = container_of(t, struct iscsi_probe, timer);

    if (p->waits)
        iscsi_probe_again(p);
}

static void part_gone(struct iscsi_probe *p)
{
    if (--p->open == 0)
        p->gone(p);
}

static void on_unit_gone(struct iscsi_unit *u)
{
    part_gone(container_of(u, struct iscsi_probe, unit));
}

static void on_timer_gone(struct timer *t)
{
    part_gone(container_of(t, struct iscsi_probe, timer));
}

int iscsi_probe_open(struct iscsi_probe *p, const struct iscsi_conf *c,
                     struct loop *loop, struct err *e)
{
    int rc;

    p->unit.up = on_up;
    p->unit.gone = on_unit_gone;
    rc = iscsi_open(&p->unit, c, loop, p->id, e);
    if (rc < 0)
        return rc;
    p->timer.fire = on_timer;
    p->timer.gone = on_timer_gone;
    timer_open(&p->timer, loop);
    p->open = 2;
    /* It waits for the session; if none comes, it says so. */
    iscsi_probe_again(p);
    return 0;
}

void iscsi_probe_close(struct iscsi_probe *p)
{
    p->closing = true;
    timer_close(&p->timer);
    if (p->busy)
        iscsi_give_up(&p->cmd);
    else
        iscsi_close(&p->unit);
}
