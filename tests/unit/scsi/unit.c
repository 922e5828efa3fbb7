#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct root {
    struct lun_conf lun;
};

static const struct conf_key root_keys[] = {
    {"store", CONF_UNION, CONF_AT(struct root, lun.store), .required = true,
     .of = &store_union},
    {"target", CONF_U32, CONF_AT(struct root, lun.target), .max = 255},
    {"lun", CONF_U32, CONF_AT(struct root, lun.lun), .max = 16383},
    {"read_only", CONF_BOOL, CONF_AT(struct root, lun.read_only)},
    {"serial", CONF_STR, CONF_AT(struct root, lun.serial)},
    {"logical_block_size", CONF_U32,
     CONF_AT(struct root, lun.logical_block_size)},
    {"physical_block_size", CONF_U32,
     CONF_AT(struct root, lun.physical_block_size)},
    {NULL},
};

static const struct conf_table root_table = {
    .name = "test",
    .size = sizeof(struct root),
    .keys = root_keys,
};

static struct unit *the_unit; /* one at a time: a lun has no room for it */

static void on_task_done(struct scsi_task *t)
{
    struct ask *a = container_of(t, struct ask, task);

    assert_false(a->done);
    a->done = true;
    if (the_unit->ended < ARRAY_LEN(the_unit->order))
        the_unit->order[the_unit->ended] = a;
    the_unit->ended++;
}

static void on_tmf_done(struct lun *l, struct scsi_tmf *m)
{
    struct tmf *tmf = container_of(m, struct tmf, tmf);

    (void)l;
    assert_false(tmf->done);
    tmf->done = true;
    tmf->after = the_unit->ended;
    the_unit->tmfs_ended++;
}

static void on_started(struct lun *l, const struct err *e)
{
    (void)l;
    the_unit->starts++;
    if (e)
        the_unit->start_err = *e;
    else
        the_unit->start_err.code = 0;
}

static void on_changed(struct lun *l, enum scsi_asc asc, bool attention)
{
    (void)l;
    the_unit->changes++;
    the_unit->change = asc;
    the_unit->attention = attention;
}

static const struct lun_host host = {
    .task_done = on_task_done,
    .tmf_done = on_tmf_done,
    .started = on_started,
    .changed = on_changed,
};

void unit_file(const char *path, uint64_t size)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

static struct unit *alloc_unit(void)
{
    struct unit *u = calloc(1, sizeof(*u));
    const char *tmp = getenv("TMPDIR");
    char path[128];

    assert_non_null(u);
    snprintf(u->dir, sizeof(u->dir), "%s/vub-scsi-XXXXXX",
             tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    assert_non_null(mkdtemp(u->dir));
    snprintf(path, sizeof(path), "%s/disk", u->dir);
    unit_file(path, 1 << 20);
    assert_int_equal(loop_open(&u->loop, "test"), 0);
    u->loop.devices = u->loop.block_devices = 1;
    return u;
}

static int try_open(struct unit *u, const char *config, struct errs *errs)
{
    struct root *root;
    char text[2048];
    size_t n = 0;
    int rc;

    text[n++] = '{';
    for (const char *c = config; *c; c++) {
        assert_true(n + sizeof(u->dir) < sizeof(text));
        if (*c == '@')
            n += (size_t)sprintf(text + n, "%s", u->dir);
        else
            text[n++] = *c == '\'' ? '"' : *c;
    }
    text[n++] = '}';
    rc = conf_read_text(&u->doc, (void **)&root, &root_table, text, n, u->dir,
                        NULL, errs);
    if (rc < 0)
        return rc;
    rc = lun_disk_ops.open(&u->lun, &root->lun, "", "test", errs);
    if (rc < 0) {
        u->lun = NULL;
        return rc;
    }
    u->lun->ops = &lun_disk_ops;
    u->lun->id = "test";
    u->lun->loop = &u->loop;
    u->lun->host = &host;
    u->lun->target = (uint8_t)root->lun.target;
    u->lun->lun = (uint16_t)root->lun.lun;
    return 0;
}

struct unit *unit_open(const char *config)
{
    struct unit *u = alloc_unit();
    struct errs errs = ERRS_EMPTY;

    if (try_open(u, config, &errs) < 0)
        fail_msg("%s: %s", errs.list[0].where, errs.list[0].text);
    errs_free(&errs);
    the_unit = u;
    assert_int_equal(lun_disk_ops.begin(u->lun, &u->start_err), 0);
    return u;
}

void unit_open_fails(const char *config, struct err *e)
{
    struct unit *u = alloc_unit();
    struct errs errs = ERRS_EMPTY;

    assert_true(try_open(u, config, &errs) < 0);
    assert_true(errs.count > 0);
    *e = errs.list[0];
    errs_free(&errs);
    unit_free(u);
}

int unit_start(struct unit *u, bool recovered)
{
    the_unit = u;
    u->starts = 0;
    lun_disk_ops.start(u->lun, recovered);
    while (!u->starts)
        uv_run(&u->loop.uv, UV_RUN_ONCE);
    assert_int_equal(u->starts, 1);
    return u->start_err.code;
}

struct unit *unit_new(const char *config)
{
    struct unit *u = unit_open(config);

    if (unit_start(u, false) < 0)
        fail_msg("%s", u->start_err.text);
    return u;
}

static void on_gone(void *arg)
{
    ((struct unit *)arg)->gone = true;
}

void unit_free(struct unit *u)
{
    char command[160];

    if (u->lun) {
        lun_disk_ops.stop(u->lun);
        lun_disk_ops.close(u->lun, on_gone, u);
        while (!u->gone)
            uv_run(&u->loop.uv, UV_RUN_ONCE);
    }
    if (u->doc)
        conf_free(u->doc);
    loop_close(&u->loop);
    snprintf(command, sizeof(command), "rm -rf '%s'", u->dir);
    assert_int_equal(system(command), 0);
    free(u);
    the_unit = NULL;
}

void ask_init(struct ask *a, const uint8_t *cdb, size_t cdb_len,
              enum scsi_dir dir, void *buf, size_t len, size_t piece)
{
    struct scsi_task *t = &a->task;

    memset(a, 0, sizeof(*a));
    memset(&t->status, 0xee, sizeof(t->status));
    assert_int_equal(scsi_cdb_len(cdb, cdb_len), cdb_len);
    t->cdb_len = (uint8_t)cdb_len;
    memcpy(t->cdb, cdb, cdb_len);
    t->dir = dir;
    t->iov = a->iov;
    t->len = len;
    if (!piece)
        piece = len;
    for (size_t at = 0; at < len; at += piece) {
        assert_true(t->iov_num < (int)ARRAY_LEN(a->iov));
        a->iov[t->iov_num].iov_base = (char *)buf + at;
        a->iov[t->iov_num++].iov_len = MIN(piece, len - at);
    }
}

void unit_send(struct unit *u, struct ask *a)
{
    a->task.lun = u->lun;
    lun_disk_ops.submit(u->lun, &a->task);
    lun_disk_ops.kick(u->lun);
}

uint8_t unit_wait(struct unit *u, struct ask *a)
{
    while (!a->done)
        uv_run(&u->loop.uv, UV_RUN_ONCE);
    return a->task.status;
}

uint8_t unit_do(struct unit *u, struct ask *a)
{
    unit_send(u, a);
    return unit_wait(u, a);
}

void unit_settle(struct unit *u)
{
    for (int i = 0; i < 20; i++)
        uv_run(&u->loop.uv, UV_RUN_NOWAIT);
}

void unit_tmf(struct unit *u, struct tmf *m, enum scsi_tmf_function function,
              struct ask *a)
{
    memset(m, 0, sizeof(*m));
    m->tmf.function = function;
    m->tmf.task = a ? &a->task : NULL;
    lun_disk_ops.tmf(u->lun, &m->tmf);
}

uint8_t unit_in(struct unit *u, struct ask *a, const uint8_t *cdb,
                size_t cdb_len, void *buf, size_t len)
{
    ask_init(a, cdb, cdb_len, SCSI_DATA_IN, buf, len, 0);
    return unit_do(u, a);
}

uint8_t unit_out(struct unit *u, struct ask *a, const uint8_t *cdb,
                 size_t cdb_len, const void *buf, size_t len)
{
    ask_init(a, cdb, cdb_len, SCSI_DATA_OUT, (void *)buf, len, 0);
    return unit_do(u, a);
}

uint8_t unit_none(struct unit *u, struct ask *a, const uint8_t *cdb,
                  size_t cdb_len)
{
    ask_init(a, cdb, cdb_len, SCSI_NO_DATA, NULL, 0, 0);
    return unit_do(u, a);
}

static void transfer(struct unit *u, uint8_t opcode, uint64_t lba, void *buf,
                     uint32_t blocks)
{
    uint8_t cdb[16] = {opcode};
    size_t len = (size_t)blocks * 512;
    struct ask a;

    be64_put(cdb + 2, lba);
    be32_put(cdb + 10, blocks);
    if (opcode == SCSI_READ_16)
        unit_in(u, &a, cdb, sizeof(cdb), buf, len);
    else
        unit_out(u, &a, cdb, sizeof(cdb), buf, len);
    assert_good(&a, len);
}

void unit_read(struct unit *u, uint64_t lba, void *buf, uint32_t blocks)
{
    transfer(u, SCSI_READ_16, lba, buf, blocks);
}

void unit_write(struct unit *u, uint64_t lba, const void *buf, uint32_t blocks)
{
    transfer(u, SCSI_WRITE_16, lba, (void *)buf, blocks);
}

void assert_check(const struct ask *a, enum scsi_sense_key key,
                  enum scsi_asc asc)
{
    uint8_t found_key = 0xff;
    uint16_t found = 0xffff;

    assert_true(a->done);
    assert_int_equal(a->task.response, SCSI_R_OK);
    assert_int_equal(a->task.status, SCSI_CHECK_CONDITION);
    assert_int_equal(a->task.sense_len, SCSI_SENSE_FIXED_BYTES);
    assert_true(
        scsi_sense_read(a->task.sense, a->task.sense_len, &found_key, &found));
    assert_int_equal(found_key, key);
    assert_int_equal(found, asc);
    assert_int_equal(a->task.moved, 0);
    assert_int_equal(a->task.overflow, 0);
}

void assert_info(const struct ask *a, uint32_t info)
{
    assert_int_equal(a->task.sense[0], 0xf0);
    assert_int_equal(be32_at(a->task.sense + 3), info);
}

void assert_good(const struct ask *a, uint64_t moved)
{
    assert_true(a->done);
    assert_int_equal(a->task.response, SCSI_R_OK);
    assert_int_equal(a->task.status, SCSI_GOOD);
    assert_int_equal(a->task.sense_len, 0);
    assert_int_equal(a->task.moved, moved);
    assert_int_equal(a->task.overflow, 0);
}

static uint8_t byte_at(size_t i, unsigned seed)
{
    return (uint8_t)(i / 512 * 7 + i % 251 + seed * 31 + 1);
}

void fill(void *buf, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = byte_at(i, seed);
}

bool is_filled(const void *buf, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        if (((const uint8_t *)buf)[i] != byte_at(i, seed))
            return false;
    return true;
}

bool is_byte(const void *buf, size_t len, uint8_t byte)
{
    for (size_t i = 0; i < len; i++)
        if (((const uint8_t *)buf)[i] != byte)
            return false;
    return true;
}
