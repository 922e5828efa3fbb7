/* A disk's life: opening, starting, sizes, the image lock, recovery. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/scsi/disk.h"

#define FILE_UNIT "'store': {'type': 'file', 'path': '@/disk'}"

static void sizes_that_cannot_be(void **state)
{
    struct err e;

    (void)state;
    unit_open_fails("'logical_block_size': 4096,"
                    "'store': {'type': 'memory', 'size': 512}",
                    &e);
    assert_non_null(strstr(e.text, "not one block"));
}

static void a_store_that_is_not_there(void **state)
{
    struct err e;

    (void)state;
    unit_open_fails("'store': {'type': 'file', 'path': '@/nothing'}", &e);
    assert_non_null(strstr(e.text, "nothing"));
}

static void one_that_never_started_is_closed(void **state)
{
    (void)state;
    unit_free(unit_open(MEMORY_UNIT));
    unit_free(unit_open(FILE_UNIT));
}

static void sessions_follow_each_other(void **state)
{
    struct unit *u = unit_new(FILE_UNIT);
    uint8_t block[512];

    (void)state;
    for (int i = 0; i < 3; i++) {
        memset(block, i, sizeof(block));
        unit_write(u, 0, block, 1);
        lun_disk_ops.stop(u->lun);
        assert_int_equal(unit_start(u, i == 1), 0);
    }
    unit_free(u);
}

#define WCE 0x04

/* Page 08, behind four bytes. */
static void sense_cache(struct unit *u, struct ask *a, uint8_t *page)
{
    unit_in(u, a, CDB(SCSI_MODE_SENSE_6, 8, 8, 0, 24, 0), page, 24);
}

static void select_cache(struct unit *u, struct ask *a, bool on)
{
    uint8_t list[24] = {[4] = 8, [5] = 18, [6] = on ? WCE : 0};

    unit_out(u, a, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 24, 0), list, 24);
}

/* What a guest that comes back after a crash finds: it may have read that there
 * is a cache, and is told to look again. */
static void a_recovered_session_writes_through(void **state)
{
    struct unit *u = unit_open(FILE_UNIT);
    uint8_t page[24];
    struct ask a;

    (void)state;
    assert_int_equal(unit_start(u, true), 0);
    assert_int_equal(u->changes, 1);
    assert_int_equal(u->change, SCSI_ASC_MODE_CHANGED);
    assert_true(u->attention);
    /* Who has not looked is told again. */
    lun_disk_ops.stop(u->lun);
    assert_int_equal(unit_start(u, true), 0);
    assert_int_equal(u->changes, 2);
    sense_cache(u, &a, page);
    assert_good(&a, 24);
    assert_int_equal(page[6], 0);
    /* Nothing has changed for who has. */
    lun_disk_ops.stop(u->lun);
    assert_int_equal(unit_start(u, true), 0);
    assert_int_equal(u->changes, 2);
    select_cache(u, &a, true);
    assert_good(&a, 24);
    lun_disk_ops.stop(u->lun);
    assert_int_equal(unit_start(u, true), 0);
    assert_int_equal(u->changes, 3);
    unit_free(u);
}

static void what_has_no_cache_recovers_as_it_was(void **state)
{
    struct unit *u = unit_open("'read_only': true, " FILE_UNIT);

    (void)state;
    assert_int_equal(unit_start(u, true), 0);
    assert_int_equal(u->changes, 0);
    unit_free(u);
}

/* A guest that has read that there is no cache will not flush: so what it wrote
 * before the crash is flushed for it, before it can read so. */
static void what_was_cached_before_a_crash_is_flushed(void **state)
{
    static const char *const rules[] = {"'count': 1", "'stuck': true"};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        char config[192];
        uint8_t page[24];
        struct unit *u;
        struct ask a;
        bool asks = i & 2;

        snprintf(config, sizeof(config),
                 "'store': {'type': 'fault', 'rules': [{'op': 'flush', %s}],"
                 "'next': {'type': 'file', 'path': '@/disk'}}",
                 rules[i & 1]);
        u = unit_open(config);
        assert_int_equal(unit_start(u, true), 0);
        if (i & 1) {
            /* Given up, that is not over. */
            for (unsigned n = 0; n < 2; n++) {
                ask_init(&a, CDB(SCSI_MODE_SENSE_6, 8, 8, 0, 24, 0),
                         SCSI_DATA_IN, page, 24, 0);
                unit_send(u, &a);
                unit_settle(u);
                assert_false(a.done);
                lun_disk_ops.give_up(u->lun, &a.task);
                assert_true(a.done);
                assert_int_equal(a.task.response, SCSI_R_ABORTED);
            }
        } else {
            if (asks)
                sense_cache(u, &a, page);
            else
                select_cache(u, &a, false);
            assert_check(&a, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
            sense_cache(u, &a, page); /* it was told */
            assert_good(&a, 24);
            assert_int_equal(page[6], 0);
        }
        unit_free(u);
    }
}

static void a_store_that_forgets_is_not_recovered(void **state)
{
    struct unit *u = unit_open("'lun': 3, 'target': 1, " MEMORY_UNIT);

    (void)state;
    assert_int_equal(unit_start(u, true), -EINVAL);
    assert_non_null(strstr(u->start_err.text, "LUN 3 of target 1"));
    assert_non_null(strstr(u->start_err.text, "forgotten"));
    unit_free(u);
}

/* The lock of the image: waited for, and taken when it is free. */
static void a_locked_image_is_waited_for(void **state)
{
    struct unit *first = unit_new(FILE_UNIT), *second;
    char config[192];

    (void)state;
    snprintf(config, sizeof(config),
             "'store': {'type': 'file', 'path': '%s/disk'}", first->dir);
    second = unit_open(config);
    lun_disk_ops.start(second->lun, false);
    unit_settle(second);
    assert_int_equal(second->starts, 0);
    lun_disk_ops.stop(first->lun);
    while (!second->starts)
        uv_run(&second->loop.uv, UV_RUN_ONCE);
    assert_int_equal(second->start_err.code, 0);
    unit_free(second);
    unit_free(first);
}

static void a_start_can_be_taken_back(void **state)
{
    struct unit *first = unit_new(FILE_UNIT), *second;
    char config[192];

    (void)state;
    snprintf(config, sizeof(config),
             "'store': {'type': 'file', 'path': '%s/disk'}", first->dir);
    second = unit_open(config);
    lun_disk_ops.start(second->lun, false);
    lun_disk_ops.stop(second->lun);
    lun_disk_ops.stop(first->lun);
    unit_settle(second);
    assert_int_equal(second->starts, 0);
    unit_free(second);
    unit_free(first);
}

static void waiting_for_a_lock_has_an_end(void **state)
{
    struct unit *first = unit_new(FILE_UNIT), *second;
    char config[192];
    struct disk *d;

    (void)state;
    snprintf(config, sizeof(config),
             "'store': {'type': 'file', 'path': '%s/disk'}", first->dir);
    second = unit_open(config);
    d = container_of(second->lun, struct disk, lun);
    lun_disk_ops.start(second->lun, false);
    d->acquire.tries = STORE_ACQUIRE_TRIES - 1; /* as if they had been made */
    while (!second->starts)
        uv_run(&second->loop.uv, UV_RUN_ONCE);
    assert_int_equal(second->start_err.code, -EAGAIN);
    unit_free(second);
    unit_free(first);
}

static uint32_t last_block(struct unit *u)
{
    uint8_t capacity[8];
    struct ask a;

    unit_in(u, &a, CDB(SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0),
            capacity, 8);
    assert_good(&a, 8);
    return be32_at(capacity);
}

static void a_file_that_grows(void **state)
{
    struct unit *u = unit_new(FILE_UNIT);
    char path[128];
    struct ask a;

    (void)state;
    lun_disk_ops.refresh(u->lun);
    assert_int_equal(u->changes, 0);
    snprintf(path, sizeof(path), "%s/disk", u->dir);
    unit_file(path, 2 << 20);
    lun_disk_ops.refresh(u->lun);
    assert_int_equal(u->changes, 1);
    assert_int_equal(u->change, SCSI_ASC_CAPACITY_CHANGED);
    assert_true(u->attention);
    assert_int_equal(last_block(u), 4095);
    unit_file(path, 1 << 19);
    lun_disk_ops.refresh(u->lun);
    assert_int_equal(u->changes, 2);
    assert_int_equal(last_block(u), 1023);
    /* And nothing is left. */
    unit_file(path, 100);
    lun_disk_ops.refresh(u->lun);
    unit_none(u, &a, CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0));
    assert_check(&a, SCSI_NOT_READY, SCSI_ASC_NO_MEDIUM);
    unit_none(u, &a, CDB(SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    assert_check(&a, SCSI_NOT_READY, SCSI_ASC_NO_MEDIUM);
    unit_file(path, 512);
    lun_disk_ops.refresh(u->lun);
    assert_int_equal(last_block(u), 0);
    unit_free(u);
}

static void a_memory_disk_is_resized(void **state)
{
    struct unit *u = unit_new("'logical_block_size': 4096, " MEMORY_UNIT);
    struct err e;

    (void)state;
    assert_int_equal(lun_disk_ops.resize(u->lun, 512, &e), -EINVAL);
    assert_non_null(strstr(e.text, "not one block"));
    assert_int_equal(lun_disk_ops.resize(u->lun, 1000, &e), -EINVAL);
    assert_int_equal(u->changes, 0);
    assert_int_equal(lun_disk_ops.resize(u->lun, 4096 * 3 + 512, &e), 0);
    assert_int_equal(u->changes, 1);
    assert_int_equal(last_block(u), 2);
    assert_int_equal(lun_disk_ops.resize(u->lun, 4096 * 3, &e), 0);
    assert_int_equal(u->changes, 1); /* the same number of blocks */
    unit_free(u);
}

/* As a store of an iSCSI target is that nobody has reached yet. */
static void a_size_that_comes_to_be_known(void **state)
{
    struct unit *u = unit_open(MEMORY_UNIT);
    struct store *s = container_of(u->lun, struct disk, lun)->store;
    uint8_t data[96];
    struct ask a;

    (void)state;
    s->info.pending = true;
    s->info.size = 0;
    s->changed(s->changed_arg);
    u->changes = 0;
    assert_int_equal(unit_start(u, false), 0);
    unit_none(u, &a, CDB(SCSI_START_STOP_UNIT, 0, 0, 0, 0, 0));
    assert_check(&a, SCSI_NOT_READY, SCSI_ASC_BECOMING_READY);
    unit_none(u, &a, CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0));
    assert_check(&a, SCSI_NOT_READY, SCSI_ASC_BECOMING_READY);
    unit_none(u, &a, CDB(SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    assert_check(&a, SCSI_NOT_READY, SCSI_ASC_BECOMING_READY);
    unit_in(u, &a, CDB(SCSI_INQUIRY, 0, 0, 0, 96, 0), data, 96);
    assert_good(&a, 74);
    s->info.pending = false;
    s->info.size = 1 << 20;
    s->info.read_only = true;
    s->changed(s->changed_arg);
    assert_int_equal(u->changes, 1);
    assert_int_equal(u->change, SCSI_ASC_CAPACITY_CHANGED);
    assert_int_equal(last_block(u), MEMORY_BLOCKS - 1);
    unit_out(u, &a, CDB(SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0), data, 96);
    assert_check(&a, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
    unit_free(u);
}

static void what_there_is_to_know(void **state)
{
    struct unit *u = unit_new("'serial': 'mine', " FILE_UNIT);
    struct json_out o = JSON_OUT_EMPTY;

    (void)state;
    json_begin(&o, NULL, '{');
    lun_disk_ops.status(u->lun, &o);
    json_end(&o, '}');
    assert_string_equal(o.text, "{\"store\":\"file\",\"serial\":\"mine\","
                                "\"size\":1048576,\"block_size\":512,"
                                "\"read_only\":false,\"write_cache\":true,"
                                "\"stopped\":false}");
    json_out_free(&o);
    unit_free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_that_cannot_be),
        cmocka_unit_test(a_store_that_is_not_there),
        cmocka_unit_test(one_that_never_started_is_closed),
        cmocka_unit_test(sessions_follow_each_other),
        cmocka_unit_test(a_recovered_session_writes_through),
        cmocka_unit_test(what_has_no_cache_recovers_as_it_was),
        cmocka_unit_test(what_was_cached_before_a_crash_is_flushed),
        cmocka_unit_test(a_store_that_forgets_is_not_recovered),
        cmocka_unit_test(a_locked_image_is_waited_for),
        cmocka_unit_test(a_start_can_be_taken_back),
        cmocka_unit_test(waiting_for_a_lock_has_an_end),
        cmocka_unit_test(a_file_that_grows),
        cmocka_unit_test(a_memory_disk_is_resized),
        cmocka_unit_test(a_size_that_comes_to_be_known),
        cmocka_unit_test(what_there_is_to_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
