/* A SCSI controller's driver: its session, and commands. */
#include "front/scsi.h"

#include <stdlib.h>
#include <string.h>

#include "front/pieces.h"

#define BLOCK 512
#define HEAD sizeof(struct virtio_scsi_req_cmd)
#define RESP sizeof(struct virtio_scsi_resp_cmd)

/* ---- Addresses ---- */

struct scsi_lun scsi_at(unsigned target, unsigned lun)
{
    struct scsi_lun a = {
        {1, (uint8_t)target, (uint8_t)(0x40 | lun >> 8), (uint8_t)lun}};

    return a;
}

struct scsi_lun scsi_at_peripheral(unsigned target, unsigned lun)
{
    struct scsi_lun a = {{1, (uint8_t)target, 0, (uint8_t)lun}};

    return a;
}

struct scsi_lun scsi_well_known(void)
{
    struct scsi_lun a = {{0xc1, 0x01}};

    return a;
}

/* ---- A session ---- */

static void free_session(void *user)
{
    struct scsi *s = user;
    struct scsi_req *r;

    while ((r = s->reqs)) {
        s->reqs = r->next;
        free(r);
    }
    free(s);
}

struct scsi *scsi_on(struct front *f, unsigned event_buffers)
{
    struct scsi *s = front_calloc(1, sizeof(*s));
    struct virtio_scsi_config config;

    s->f = f;
    f->user = s;
    f->free_user = free_session;
    s->num_queues = f->conf.queues - VIRTIO_SCSI_REQUESTQ;
    if (s->num_queues > SCSI_QUEUES_MAX)
        front_fail("%u request queues", s->num_queues);
    s->control = f->vq[VIRTIO_SCSI_CONTROLQ];
    s->events = f->vq[VIRTIO_SCSI_EVENTQ];
    for (unsigned i = 0; i < s->num_queues; i++)
        s->queue[i] = f->vq[VIRTIO_SCSI_REQUESTQ + i];
    scsi_config(s, &config);
    s->cdb_size = le32_load(&config.cdb_size);
    s->sense_size = le32_load(&config.sense_size);
    s->event_size = le32_load(&config.event_info_size);
    scsi_event_give(s, event_buffers);
    return s;
}

struct scsi *scsi_open(struct vub *v, const char *id,
                       const struct front_conf *conf, unsigned event_buffers)
{
    struct front_conf c = conf ? *conf : (struct front_conf){0};

    c.queues = VIRTIO_SCSI_REQUESTQ + (c.queues ? c.queues : 1);
    return scsi_on(front_new(v, id, &c), event_buffers);
}

struct scsi *scsi_of(const struct vq *q)
{
    return q->f->user;
}

void scsi_close(struct scsi *s)
{
    if (s)
        front_free(s->f);
}

void scsi_config(struct scsi *s, struct virtio_scsi_config *c)
{
    front_config(s->f, 0, c, sizeof(*c));
}

/* ---- Commands ---- */

struct scsi_req *scsi_new(struct scsi *s, struct scsi_lun lun, uint32_t len)
{
    static uint64_t tags = 0x1000000000u;
    struct scsi_req *r, **at;

    for (at = &s->spare; (r = *at); at = &r->next_spare)
        if (r->room >= len && r->room <= len * 2 + 4096) {
            *at = r->next_spare;
            break;
        }
    if (!r) {
        r = front_calloc(1, sizeof(*r));
        r->s = s;
        r->next = s->reqs;
        s->reqs = r;
        r->room = len;
        r->head_gpa = front_alloc(s->f, 1024, 64);
        r->resp_gpa = r->head_gpa + 512;
        r->data_gpa = front_alloc(s->f, len ? len : 1, len >= 4096 ? 4096 : 64);
        r->head = front_ptr(s->f, r->head_gpa);
        r->resp = front_ptr(s->f, r->resp_gpa);
        r->data = front_ptr(s->f, r->data_gpa);
    }
    r->lun = lun;
    r->tag = tags++;
    r->attr = SCSI_SIMPLE;
    return r;
}

void scsi_free(struct scsi_req *r)
{
    r->next_spare = r->s->spare;
    r->s->spare = r;
}

/* The head and the CDB, cdb_size bytes of it. */
static void write_head(struct scsi *s, uint8_t *head, struct scsi_lun lun,
                       uint64_t tag, uint8_t attr, const uint8_t *cdb,
                       unsigned cdb_len)
{
    struct virtio_scsi_req_cmd h = {.id = htole64(tag), .task_attr = attr};

    if (cdb_len > s->cdb_size || s->cdb_size > SCSI_CDB_ROOM)
        front_fail("a CDB of %u bytes, where they have %u", cdb_len,
                   s->cdb_size);
    memcpy(h.lun, lun.b, sizeof(h.lun));
    memcpy(head, &h, sizeof(h));
    memset(head + HEAD, 0, s->cdb_size);
    memcpy(head + HEAD, cdb, cdb_len);
}

bool scsi_add(struct vq *q, struct scsi_req *r, const uint8_t *cdb,
              unsigned cdb_len, uint32_t out, uint32_t in)
{
    struct scsi *s = r->s;
    struct vq_buf b[4];
    unsigned n = 0, outs;

    write_head(s, r->head, r->lun, r->tag, r->attr, cdb, cdb_len);
    memset(r->resp, SCSI_R_NONE, RESP + s->sense_size);
    b[n++] = (struct vq_buf){r->head_gpa, (uint32_t)HEAD + s->cdb_size};
    if (out)
        b[n++] = (struct vq_buf){r->data_gpa, out};
    outs = n;
    b[n++] = (struct vq_buf){r->resp_gpa, (uint32_t)RESP + s->sense_size};
    if (in)
        b[n++] = (struct vq_buf){r->data_gpa, in};
    r->out_len = out;
    r->in_len = in;
    r->done = false;
    r->id = vq_add(q, b, outs, n - outs, r);
    return r->id != VQ_NONE;
}

void scsi_go(struct vq *q, struct scsi_req *r, const uint8_t *cdb,
             unsigned cdb_len, uint32_t out, uint32_t in)
{
    if (!scsi_add(q, r, cdb, cdb_len, out, in))
        front_fail("ring %u is full", q->index);
    vq_kick(q);
}

/* Our own reading of sense data: SPC-4 4.5. */
static void read_sense(struct scsi_answer *a)
{
    uint8_t code = a->sense[0] & 0x7f;

    if ((code == 0x72 || code == 0x73) && a->sense_len >= 8) {
        a->key = a->sense[1] & 0xf;
        a->asc = (uint16_t)(a->sense[2] << 8 | a->sense[3]);
    } else if ((code == 0x70 || code == 0x71) && a->sense_len >= 14) {
        a->key = a->sense[2] & 0xf;
        a->asc = (uint16_t)(a->sense[12] << 8 | a->sense[13]);
    } else {
        front_fail("%u bytes that are no sense, %#x first", a->sense_len,
                   a->sense[0]);
    }
}

/* What the device wrote, and whether that can be. */
static void read_answer(struct scsi *s, struct scsi_answer *a,
                        const uint8_t *bytes, uint32_t out_len, uint32_t in_len)
{
    struct virtio_scsi_resp_cmd h;
    uint32_t head = (uint32_t)RESP + s->sense_size, moved;

    memcpy(&h, bytes, sizeof(h));
    a->response = h.response;
    a->status = h.status;
    a->residual = le32_load(&h.residual);
    a->sense_len = le32_load(&h.sense_len);
    a->key = 0;
    a->asc = 0;
    if (a->response == SCSI_R_NONE)
        front_fail("a command has ended, and nothing was written: used %u",
                   a->written);
    if (a->response > VIRTIO_SCSI_S_FAILURE)
        front_fail("response %u", a->response);
    if (a->sense_len > s->sense_size)
        front_fail("%u bytes of sense, where %u fit", a->sense_len,
                   s->sense_size);
    if (a->sense_len && a->status != SCSI_CHECK_CONDITION)
        front_fail("sense with status %#x", a->status);
    if (a->response == VIRTIO_SCSI_S_OK && a->status == SCSI_CHECK_CONDITION &&
        !a->sense_len && s->sense_size)
        front_fail("CHECK CONDITION without sense");
    if (a->response != VIRTIO_SCSI_S_OK &&
        a->response != VIRTIO_SCSI_S_OVERRUN && a->status != SCSI_GOOD)
        front_fail("response %u with status %#x", a->response, a->status);
    memcpy(a->sense, bytes + RESP, a->sense_len);
    if (a->sense_len >= MIN(s->sense_size, 8u) && a->sense_len)
        read_sense(a);
    if (a->residual > (in_len ? in_len : out_len))
        front_fail("residual %u of %u bytes", a->residual,
                   in_len ? in_len : out_len);
    moved = in_len ? in_len - a->residual : 0;
    /* A command that was cut short may have been anywhere. */
    if (a->written != head + moved &&
        (a->response == VIRTIO_SCSI_S_OK || a->written != head + in_len))
        front_fail("%u bytes written by the device, with %u of data of %u, "
                   "residual %u",
                   a->written, moved, in_len, a->residual);
}

static void reap(struct vq *q)
{
    static unsigned order;
    struct scsi_req *r;
    uint32_t written;
    void *cookie;

    while (vq_pop(q, &written, &cookie) != VQ_NONE) {
        r = cookie;
        r->done = true;
        r->order = ++order;
        r->answer.written = written;
        read_answer(r->s, &r->answer, r->resp, r->out_len, r->in_len);
    }
}

bool scsi_is_done(struct vq *q, struct scsi_req *r)
{
    reap(q);
    return r->done;
}

const struct scsi_answer *scsi_wait(struct vq *q, struct scsi_req *r)
{
    while (!scsi_is_done(q, r))
        vq_wait(q);
    return &r->answer;
}

static struct scsi_answer one(struct vq *q, struct scsi_lun lun,
                              const uint8_t *cdb, unsigned cdb_len,
                              const void *out, void *in, uint32_t len)
{
    struct scsi_req *r = scsi_new(scsi_of(q), lun, len);
    struct scsi_answer a;

    if (len) /* what is not written stays as it is */
        memcpy(r->data, out ? out : in, len);
    scsi_go(q, r, cdb, cdb_len, out ? len : 0, in ? len : 0);
    a = *scsi_wait(q, r);
    if (in && len)
        memcpy(in, r->data, len);
    scsi_free(r);
    return a;
}

struct scsi_answer scsi_do(struct vq *q, struct scsi_lun lun,
                           const uint8_t *cdb, unsigned cdb_len)
{
    return one(q, lun, cdb, cdb_len, NULL, NULL, 0);
}

struct scsi_answer scsi_out(struct vq *q, struct scsi_lun lun,
                            const uint8_t *cdb, unsigned cdb_len,
                            const void *buf, uint32_t len)
{
    return one(q, lun, cdb, cdb_len, buf, NULL, len);
}

struct scsi_answer scsi_in(struct vq *q, struct scsi_lun lun,
                           const uint8_t *cdb, unsigned cdb_len, void *buf,
                           uint32_t len)
{
    return one(q, lun, cdb, cdb_len, NULL, buf, len);
}

struct scsi_answer scsi_cut(struct vq *q, struct scsi_lun lun,
                            const uint8_t *cdb, unsigned cdb_len,
                            const void *out, uint32_t out_len, void *in,
                            uint32_t in_len, const uint32_t *out_cuts,
                            const uint32_t *in_cuts)
{
    struct scsi *s = scsi_of(q);
    uint32_t outs = (uint32_t)HEAD + s->cdb_size + out_len;
    uint32_t ins = (uint32_t)RESP + s->sense_size + in_len;
    struct vq_buf b[2 * PIECES_MAX];
    uint8_t *stream = front_calloc(1, outs + ins);
    struct scsi_answer a = {0};
    unsigned o, i;

    o = pieces_cut(s->f, outs, out_cuts, b, PIECES_MAX);
    i = pieces_cut(s->f, ins, in_cuts, b + o, PIECES_MAX);
    write_head(s, stream, lun, 1, SCSI_SIMPLE, cdb, cdb_len);
    if (out_len)
        memcpy(stream + outs - out_len, out, out_len);
    pieces_put(s->f, b, o, stream);
    memset(stream, SCSI_R_NONE, ins);
    pieces_put(s->f, b + o, i, stream);
    if (vq_add(q, b, o, i, NULL) == VQ_NONE)
        front_fail("%u descriptors do not fit ring %u", o + i, q->index);
    vq_kick(q);
    while (vq_pop(q, &a.written, NULL) == VQ_NONE)
        vq_wait(q);
    pieces_check_guards(s->f, b, o + i);
    pieces_get(s->f, b + o, i, stream);
    read_answer(s, &a, stream, out_len, in_len);
    if (in_len)
        memcpy(in, stream + ins - in_len, in_len);
    free(stream);
    return a;
}

/* ---- What must be ---- */

static void say(const char *file, int line, const struct scsi_answer *a)
{
    front_fail_at(file, line,
                  "response %u, status %#x, residual %u, sense %x %04x",
                  a->response, a->status, a->residual, a->key, a->asc);
}

void scsi_need_status(const char *file, int line, struct scsi_answer a,
                      uint8_t status)
{
    if (a.response != VIRTIO_SCSI_S_OK || a.status != status)
        say(file, line, &a);
}

void scsi_need_check(const char *file, int line, struct scsi_answer a,
                     uint8_t key, uint16_t asc)
{
    if (a.response != VIRTIO_SCSI_S_OK || a.status != SCSI_CHECK_CONDITION ||
        a.key != key || a.asc != asc)
        say(file, line, &a);
}

void scsi_need_resp(const char *file, int line, struct scsi_answer a,
                    uint8_t response)
{
    if (a.response != response)
        say(file, line, &a);
}

unsigned scsi_attend(struct vq *q, struct scsi_lun lun)
{
    struct scsi_answer a;

    for (unsigned n = 0; n < 8; n++) {
        a = scsi_do(q, lun, TEST_UNIT_READY);
        if (a.response == VIRTIO_SCSI_S_OK && a.status == SCSI_GOOD)
            return n;
        if (a.key != SCSI_UNIT_ATTENTION)
            say(__FILE__, __LINE__, &a);
    }
    front_fail("unit attentions without end");
}

void scsi_read(struct vq *q, struct scsi_lun lun, uint64_t lba, void *buf,
               uint32_t len)
{
    struct scsi_answer a =
        scsi_in(q, lun, CDB_16(SCSI_READ_16, lba, len / BLOCK), buf, len);

    scsi_need_good(a);
    if (a.residual)
        front_fail("residual %u of a READ", a.residual);
}

void scsi_write(struct vq *q, struct scsi_lun lun, uint64_t lba,
                const void *buf, uint32_t len)
{
    struct scsi_answer a =
        scsi_out(q, lun, CDB_16(SCSI_WRITE_16, lba, len / BLOCK), buf, len);

    scsi_need_good(a);
    if (a.residual)
        front_fail("residual %u of a WRITE", a.residual);
}

void scsi_verify(struct vq *q, struct scsi_lun lun, uint64_t lba, uint32_t len,
                 uint64_t seed)
{
    uint8_t *a = front_calloc(2, len), *b = a + len;

    front_fill(a, len, seed);
    scsi_write(q, lun, lba, a, len);
    scsi_read(q, lun, lba, b, len);
    if (memcmp(a, b, len))
        front_fail("block %llu, %u bytes: not what was written",
                   (unsigned long long)lba, len);
    free(a);
}

uint64_t scsi_blocks(struct vq *q, struct scsi_lun lun)
{
    uint8_t data[32];
    struct scsi_answer a =
        scsi_in(q, lun,
                CDB(SCSI_SERVICE_ACTION_IN_16, SCSI_SAI_READ_CAPACITY_16, 0, 0,
                    0, 0, 0, 0, 0, 0, 0, 0, 0, sizeof(data), 0, 0),
                data, sizeof(data));

    scsi_need_good(a);
    return be64_at(data) + 1;
}
