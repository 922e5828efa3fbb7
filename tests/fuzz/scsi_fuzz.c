/* Commands to a disk: any CDB, any parameter list, any attribute, in any order,
 * with task management between.
 *
 * The first byte chooses the disk; then comes a list of steps. A step is a
 * byte:
 *
 *     0..159    a command: how it is made is below
 *     160..175  a TMF: which, and of which task
 *     176..191  a task is given up
 *     192..223  the loop turns
 *     224..231  hurry
 *     232..239  another size
 *     240..     a device reset, when nothing is under way; a session stops and
 *               starts, sometimes as one that is recovered
 *
 * A command: an opcode (one that there is, or any), attribute, direction, the
 * buffer's length and pieces, the CDB's other bytes (mostly small numbers, so
 * that ranges are found), data.
 *
 * What must hold: a task ends once, with an answer that can be; what the guest
 * sends is not changed; of what it has room for, nothing is written beyond
 * `moved`, unless the task was aborted; a TMF ends when its tasks have. The
 * sanitizer minds the buffers, which are as long as was said. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/scsi/lun.h"
#include "fuzz.h"
#include "loop/loop.h"

#define STEPS_MAX 60
#define TASKS_MAX 40
#define TMFS_MAX 16
#define PIECES_MAX 40
#define UNDATA 0xa5 /* what was not written */

/* ---- the disks ---- */

struct root {
    struct lun_conf lun;
};

static const struct conf_key root_keys[] = {
    {"store", CONF_UNION, CONF_AT(struct root, lun.store), .required = true,
     .of = &store_union},
    {"read_only", CONF_BOOL, CONF_AT(struct root, lun.read_only)},
    {"logical_block_size", CONF_U32,
     CONF_AT(struct root, lun.logical_block_size)},
    {NULL},
};

static const struct conf_table root_table = {
    .name = "fuzz",
    .size = sizeof(struct root),
    .keys = root_keys,
};

/* Two that work, one that is protected, one that does not. */
static const char *const configs[] = {
    "{\"store\": {\"type\": \"memory\", \"size\": \"1M\"}}",
    "{\"store\": {\"type\": \"memory\", \"size\": \"64M\"},"
    " \"logical_block_size\": 4096}",
    "{\"store\": {\"type\": \"memory\", \"size\": \"64K\"},"
    " \"read_only\": true}",
    "{\"store\": {\"type\": \"fault\", \"rules\": ["
    "{\"op\": \"read\", \"offset\": 65536, \"length\": 65536, \"stuck\": true},"
    "{\"op\": \"write\", \"offset\": 131072, \"length\": 65536,"
    " \"stuck\": true},"
    "{\"op\": \"any\", \"offset\": 262144, \"length\": 65536},"
    "{\"op\": \"zero\", \"after\": 3, \"stuck\": true},"
    "{\"op\": \"flush\", \"after\": 2, \"count\": 3, \"stuck\": true}],"
    "\"next\": {\"type\": \"memory\", \"size\": \"1M\"}}}",
};

static struct loop loop;
static struct lun *disks[ARRAY_LEN(configs)];
static struct conf_doc *docs[ARRAY_LEN(configs)]; /* kept */

struct ask {
    struct scsi_task task;
    struct iovec iov[PIECES_MAX];
    uint8_t *buf, *copy; /* copy: of what is sent */
    bool sent, done;
};

static struct ask asks[TASKS_MAX];
static unsigned num_asks;

struct tmf {
    struct scsi_tmf tmf;
    bool sent, done;
    unsigned num; /* of asks before it */
};

static struct tmf tmfs[TMFS_MAX];
static unsigned num_tmfs;
static unsigned starts;
static bool started;

/* ---- the controller ---- */

static void on_task_done(struct scsi_task *t)
{
    struct ask *a = container_of(t, struct ask, task);

    CHECK(a->sent && !a->done);
    a->done = true;
    CHECK(t->moved <= t->len && t->sense_len <= SCSI_SENSE_MAX);
    CHECK(t->response == SCSI_R_OK || t->response == SCSI_R_OVERRUN ||
          t->response == SCSI_R_ABORTED);
    CHECK(t->status == SCSI_GOOD || t->status == SCSI_CHECK_CONDITION);
    CHECK((t->sense_len > 0) == (t->status == SCSI_CHECK_CONDITION));
    CHECK((t->overflow > 0) == (t->response == SCSI_R_OVERRUN));
    if (t->dir == SCSI_DATA_OUT)
        CHECK(memcmp(a->buf, a->copy, t->len) == 0);
    if (t->dir == SCSI_DATA_IN && t->response != SCSI_R_ABORTED)
        for (uint64_t i = t->moved; i < t->len; i++)
            CHECK(a->buf[i] == UNDATA);
    /* Nobody looks at it any more. */
    free(a->buf);
    free(a->copy);
    memset(a->iov, 0, sizeof(a->iov));
}

static bool concerns(const struct tmf *m, const struct ask *a)
{
    if (m->tmf.function == SCSI_TMF_CLEAR_ACA)
        return false;
    return m->tmf.function != SCSI_TMF_ABORT_TASK || m->tmf.task == &a->task;
}

static void on_tmf_done(struct lun *l, struct scsi_tmf *m)
{
    struct tmf *tmf = container_of(m, struct tmf, tmf);

    (void)l;
    CHECK(tmf->sent && !tmf->done && !m->failed);
    CHECK(m->rejected == (m->function == SCSI_TMF_CLEAR_ACA));
    tmf->done = true;
    for (unsigned i = 0; i < tmf->num; i++)
        CHECK(!concerns(tmf, &asks[i]) || asks[i].done);
}

static void on_started(struct lun *l, const struct err *e)
{
    (void)l;
    starts++;
    started = !e;
}

static void on_changed(struct lun *l, enum scsi_asc asc, bool attention)
{
    (void)l;
    (void)attention;
    CHECK(asc == SCSI_ASC_CAPACITY_CHANGED);
}

static const struct lun_host host = {
    .task_done = on_task_done,
    .tmf_done = on_tmf_done,
    .started = on_started,
    .changed = on_changed,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct errs errs = ERRS_EMPTY;
    struct err e;

    (void)argc;
    (void)argv;
    log_set(LOG_ERROR, LOG_TEXT);
    CHECK(loop_open(&loop, "fuzz") == 0);
    loop.devices = loop.block_devices = 1;
    for (unsigned i = 0; i < ARRAY_LEN(configs); i++) {
        struct root *root;

        CHECK(conf_read_text(&docs[i], (void **)&root, &root_table, configs[i],
                             strlen(configs[i]), "/", NULL, &errs) == 0);
        CHECK(lun_disk_ops.open(&disks[i], &root->lun, "", "fuzz", &errs) == 0);
        disks[i]->ops = &lun_disk_ops;
        disks[i]->id = "fuzz";
        disks[i]->loop = &loop;
        disks[i]->host = &host;
        CHECK(lun_disk_ops.begin(disks[i], &e) == 0);
    }
    return 0;
}

/* ---- steps ---- */

static void turn(void)
{
    uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static bool is_idle(void)
{
    for (unsigned i = 0; i < num_asks; i++)
        if (!asks[i].done)
            return false;
    for (unsigned i = 0; i < num_tmfs; i++)
        if (!tmfs[i].done)
            return false;
    return true;
}

static void start(struct lun *l, bool recovered)
{
    starts = 0;
    lun_disk_ops.start(l, recovered);
    CHECK(starts == 1); /* there is no lock to wait for */
    if (started)
        return;
    CHECK(recovered); /* what is in memory is not recovered */
    lun_disk_ops.stop(l);
    start(l, false);
}

/* Mostly one that there is. */
static uint8_t opcode(struct input *in)
{
    static const uint8_t known[] = {
        0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x25, 0x28,
        0x2a, 0x2e, 0x2f, 0x34, 0x35, 0x37, 0x41, 0x42, 0x55, 0x5a,
        0x88, 0x89, 0x8a, 0x8b, 0x8e, 0x8f, 0x90, 0x91, 0x93, 0x9e,
        0xa3, 0xa8, 0xaa, 0xae, 0xaf, 0xb7, 0x42, 0x93, 0x89, 0x55};
    uint8_t b = input_u8(in);

    return b < 6 * ARRAY_LEN(known) ? known[b % ARRAY_LEN(known)]
                                    : input_u8(in);
}

static void make_cdb(struct input *in, struct scsi_task *t)
{
    uint8_t cdb[SCSI_CDB_MAX] = {0};
    uint16_t given;
    unsigned len;

    cdb[0] = opcode(in);
    /* Which of the others are not zero. */
    given = input_u16(in);
    for (unsigned i = 1; i < 16; i++)
        if (given & 1u << i)
            cdb[i] = input_u8(in);
    len = scsi_cdb_len(cdb, sizeof(cdb));
    t->cdb_len = (uint8_t)len;
    memcpy(t->cdb, cdb, len);
}

static void command(struct input *in, struct lun *l)
{
    struct ask *a = &asks[num_asks];
    struct scsi_task *t = &a->task;
    uint8_t how = input_u8(in);
    uint32_t piece;

    if (num_asks == TASKS_MAX)
        return;
    memset(a, 0, sizeof(*a));
    make_cdb(in, t);
    if (t->cdb_len == 0)
        return; /* the controller's */
    t->lun = l;
    t->attr = how & 3 ? (enum scsi_attr)(how >> 2 & 3) : SCSI_SIMPLE;
    t->dir = (enum scsi_dir)(how >> 4 & 3);
    if (t->dir > SCSI_DATA_IN)
        t->dir = SCSI_DATA_OUT;
    t->len = how & 0x40 ? input_u8(in) * 512u : input_u8(in);
    if (t->dir == SCSI_NO_DATA)
        t->len = 0;
    a->buf = malloc(t->len);
    a->copy = malloc(t->len);
    CHECK(!t->len || (a->buf && a->copy));
    memset(a->buf, UNDATA, t->len);
    if (t->dir == SCSI_DATA_OUT) {
        uint64_t n = how & 0x80 ? input_u16(in) : 64;

        /* What is not given is zeros, which compare with what is there. */
        memset(a->buf, 0, t->len);
        input_bytes(in, a->buf, MIN(t->len, n));
        memcpy(a->copy, a->buf, t->len);
    }
    piece = input_u8(in) * 8u;
    piece = MAX(piece, (uint32_t)(t->len / PIECES_MAX + 1));
    for (uint64_t at = 0; at < t->len; at += piece) {
        a->iov[t->iov_num].iov_base = a->buf + at;
        a->iov[t->iov_num++].iov_len = MIN(piece, t->len - at);
    }
    t->iov = a->iov;
    a->sent = true;
    num_asks++;
    lun_disk_ops.submit(l, t);
    if (how & 1)
        lun_disk_ops.kick(l);
}

static struct ask *pick(struct input *in)
{
    struct ask *a = num_asks ? &asks[input_u8(in) % num_asks] : NULL;

    return a && !a->done ? a : NULL;
}

static void manage(struct input *in, struct lun *l, unsigned function)
{
    struct tmf *m = &tmfs[num_tmfs];
    struct ask *a = NULL;

    if (num_tmfs == TMFS_MAX)
        return;
    if (function == SCSI_TMF_ABORT_TASK) {
        a = pick(in);
        if (!a)
            return;
    }
    memset(m, 0, sizeof(*m));
    m->tmf.function = (enum scsi_tmf_function)function;
    m->tmf.task = a ? &a->task : NULL;
    m->sent = true;
    m->num = num_asks;
    num_tmfs++;
    lun_disk_ops.tmf(l, &m->tmf);
}

static void step(struct input *in, struct lun *l)
{
    uint8_t what = input_u8(in);
    struct err e;

    if (what < 160) {
        command(in, l);
    } else if (what < 176) {
        manage(in, l, (what - 160u) % (SCSI_TMF_LUN_RESET + 1));
    } else if (what < 192) {
        struct ask *a = pick(in);

        if (a)
            lun_disk_ops.give_up(l, &a->task);
    } else if (what < 224) {
        lun_disk_ops.kick(l);
        turn();
    } else if (what < 232) {
        lun_disk_ops.hurry(l);
    } else if (what < 240) {
        lun_disk_ops.resize(l, (input_u8(in) + 8u) * 4096u, &e);
    } else if (is_idle()) {
        lun_disk_ops.stop(l);
        if (what < 248)
            lun_disk_ops.reset(l);
        start(l, what == 255);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct lun *l = disks[input_u8(&in) % ARRAY_LEN(disks)];

    num_asks = num_tmfs = 0;
    start(l, false);
    for (int i = 0; i < STEPS_MAX && in.at < in.end; i++)
        step(&in, l);
    lun_disk_ops.kick(l);
    turn();
    /* In the end nobody is left. */
    for (unsigned i = 0; i < num_asks; i++)
        if (!asks[i].done)
            lun_disk_ops.give_up(l, &asks[i].task);
    for (int i = 0; !is_idle(); i++) {
        CHECK(i < 1000);
        turn();
    }
    lun_disk_ops.stop(l);
    lun_disk_ops.reset(l);
    return 0;
}
