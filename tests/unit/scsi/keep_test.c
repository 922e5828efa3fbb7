/* A SCSI host that another process goes on with: what its guest has set, what
 * it has not been told yet, units that came and went. */
#include "host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/scsi/disk.h"
#include "unit.h"

static char file[] = "/tmp/vub-scsi-keep-XXXXXX", on_file[128];

#define MEMORY "{" MEMORY_UNIT "}"
#define THREE                                                                  \
    MEMORY ", {'lun': 1, " MEMORY_UNIT "}, {'lun': 2, " MEMORY_UNIT "}"

static int setup(void **state)
{
    int fd;

    (void)state;
    strcpy(file + sizeof(file) - 7, "XXXXXX");
    fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close(fd);
    snprintf(on_file, sizeof(on_file),
             "{'store': {'type': 'file', 'path': '%s'}}", file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(file);
    return 0;
}

static uint8_t test_ready(struct host *h, uint8_t lun)
{
    return host_do(h, lun, CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), NULL, 0,
                   NULL, 0);
}

/* The guest is told of whatever there is to tell. */
static void listen_to(struct host *h, uint8_t lun)
{
    for (unsigned i = 0; test_ready(h, lun) == SCSI_CHECK_CONDITION; i++) {
        assert_int_equal(h->key, SCSI_UNIT_ATTENTION);
        assert_true(i < LUN_ATTENTIONS);
    }
    assert_int_equal(h->status, SCSI_GOOD);
}

static void expect_attention(struct host *h, uint8_t lun, enum scsi_asc asc)
{
    assert_int_equal(test_ready(h, lun), SCSI_CHECK_CONDITION);
    assert_int_equal(h->key, SCSI_UNIT_ATTENTION);
    assert_int_equal(h->asc, asc);
}

static void set_mode(struct host *h, bool wce, bool swp)
{
    const uint8_t list[] = {0, 0, 0,    0,  0x08, 18,   wce ? 4 : 0, 0, 0, 0, 0,
                            0, 0, 0,    0,  0,    0,    0,           0, 0, 0, 0,
                            0, 0, 0x0a, 10, 0,    0x10, swp ? 8 : 0, 0, 0, 0, 0,
                            0, 0, 0};

    assert_int_equal(
        host_do(h, 0, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, sizeof(list), 0),
                list, sizeof(list), NULL, 0),
        SCSI_GOOD);
}

static void expect_mode(struct host *h, bool wce, bool swp)
{
    uint8_t page[4 + 20 + 12];

    assert_int_equal(
        host_do(h, 0, CDB(SCSI_MODE_SENSE_6, 0x08, 0x3f, 0, sizeof(page), 0),
                NULL, 0, page, sizeof(page)),
        SCSI_GOOD);
    assert_int_equal(page[4 + 2] & 4, wce ? 4 : 0);
    assert_int_equal(page[4 + 20 + 4] & 8, swp ? 8 : 0);
}

static void modes_stay_as_the_guest_has_set_them(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct host *h = host_new(on_file);
        bool wce = i & 1, swp = i & 2;

        listen_to(h, 0);
        set_mode(h, wce, swp);
        h = i & 4 ? host_kill(h, on_file, 0) : host_hand_on(h, on_file);
        host_start(h, 0, true);
        /* Nothing has happened that it would have to be told. */
        assert_int_equal(test_ready(h, 0), SCSI_GOOD);
        expect_mode(h, wce, swp);
        h = host_kill(h, on_file, 0);
        host_start(h, 0, true);
        expect_mode(h, wce, swp);
        host_free(h);
    }
}

static void a_unit_that_was_stopped_stays_so(void **state)
{
    struct host *h = host_new(MEMORY);

    (void)state;
    listen_to(h, 0);
    assert_int_equal(host_do(h, 0, CDB(SCSI_START_STOP_UNIT, 0, 0, 0, 0, 0),
                             NULL, 0, NULL, 0),
                     SCSI_GOOD);
    h = host_hand_on(h, MEMORY);
    host_start(h, 0, false);
    assert_int_equal(test_ready(h, 0), SCSI_CHECK_CONDITION);
    assert_int_equal(h->key, SCSI_NOT_READY);
    host_free(h);
}

static void what_was_not_told_is_told(void **state)
{
    struct host *h = host_new(THREE);

    (void)state;
    listen_to(h, 1);
    assert_int_equal(host_told(h, "scsi.resize", "{'lun': 1, 'size': '2M'}"),
                     0);
    h = host_hand_on(h, THREE);
    host_start(h, 0, false);
    expect_attention(h, 0, SCSI_ASC_POWER_ON);
    assert_int_equal(test_ready(h, 0), SCSI_GOOD);
    expect_attention(h, 1, SCSI_ASC_CAPACITY_CHANGED);
    assert_int_equal(test_ready(h, 1), SCSI_GOOD);
    assert_int_equal(disk_of(host_lun(h, 0, 1))->blocks, 4096);
    h = host_hand_on(h, THREE);
    host_start(h, 0, false);
    assert_int_equal(test_ready(h, 0), SCSI_GOOD);
    assert_int_equal(test_ready(h, 1), SCSI_GOOD);
    expect_attention(h, 2, SCSI_ASC_POWER_ON);
    host_free(h);
}

/* It was told, but that may not have been seen. */
static void what_was_told_last_may_be_told_again(void **state)
{
    struct host *h = host_new(on_file);

    (void)state;
    expect_attention(h, 0, SCSI_ASC_POWER_ON);
    h = host_kill(h, on_file, 0);
    host_start(h, 0, true);
    expect_attention(h, 0, SCSI_ASC_POWER_ON);
    assert_int_equal(test_ready(h, 0), SCSI_GOOD);
    h = host_kill(h, on_file, 0);
    host_start(h, 0, true);
    assert_int_equal(test_ready(h, 0), SCSI_GOOD);
    host_free(h);
}

static void a_guest_that_comes_later_finds_units_powered_on(void **state)
{
    struct host *h = host_new(on_file);
    struct host *other;

    (void)state;
    listen_to(h, 0);
    h->device->suspends = false;
    other = h;
    /* Its session ends, then the process. */
    other->device->ops->reset(other->device);
    h = host_hand_on(h, on_file);
    host_free(h);
    h = host_open(on_file);
    h = host_kill(h, on_file, 0);
    host_start(h, 0, false);
    expect_attention(h, 0, SCSI_ASC_POWER_ON);
    host_free(h);
}

static void memory_is_there_or_the_unit_is_not(void **state)
{
    static uint8_t buf[512], again[512];
    struct host *h = host_new(MEMORY);

    (void)state;
    listen_to(h, 0);
    memset(buf, 'm', sizeof(buf));
    assert_int_equal(host_do(h, 0,
                             CDB(SCSI_WRITE_10, 0, 0, 0, 0, 7, 0, 0, 1, 0), buf,
                             sizeof(buf), NULL, 0),
                     SCSI_GOOD);
    h = host_hand_on(h, MEMORY);
    host_start(h, 0, true);
    assert_int_equal(host_do(h, 0, CDB(SCSI_READ_10, 0, 0, 0, 0, 7, 0, 0, 1, 0),
                             NULL, 0, again, sizeof(again)),
                     SCSI_GOOD);
    assert_memory_equal(buf, again, sizeof(buf));
    host_free(h);
    /* It was not saved. */
    h = host_new(MEMORY);
    listen_to(h, 0);
    h = host_kill(h, MEMORY, 0);
    host_start(h, 0, false);
    assert_int_equal(test_ready(h, 0), SCSI_CHECK_CONDITION);
    assert_int_equal(h->key, SCSI_HARDWARE_ERROR);
    host_free(h);
}

static void sizes_that_a_driver_has_set_stay_so(void **state)
{
    struct host *h = host_new(on_file);
    const le32 sizes[] = {htole32(200), htole32(40)};

    (void)state;
    assert_int_equal(h->device->ops->config_write(
                         h->device,
                         offsetof(struct virtio_scsi_config, sense_size), sizes,
                         sizeof(sizes)),
                     0);
    h = host_kill(h, on_file, 0);
    assert_int_equal(scsi_of(h->device)->sense_size, 200);
    assert_int_equal(scsi_of(h->device)->cdb_size, 40);
    host_free(h);
}

static void units_that_were_added_or_removed_stay_so(void **state)
{
    struct host *h = host_new(THREE);

    (void)state;
    listen_to(h, 0);
    assert_int_equal(host_told(h, "scsi.lun_add",
                               "{'lun': 7, 'serial': 'late', " MEMORY_UNIT "}"),
                     0);
    assert_int_equal(host_told(h, "scsi.lun_remove", "{'lun': 1}"), 0);
    assert_int_equal(host_told(h, "scsi.lun_remove", "{'lun': 2}"), 0);
    assert_int_equal(host_told(h, "scsi.lun_add",
                               "{'lun': 2, 'serial': 'other', " MEMORY_UNIT
                               "}"),
                     0);
    assert_int_equal(host_told(h, "scsi.lun_add",
                               "{'target': 5, 'lun': 9, " MEMORY_UNIT "}"),
                     0);
    assert_int_equal(host_told(h, "scsi.lun_remove", "{'target': 5, 'lun': 9}"),
                     0);
    listen_to(h, 7);
    for (unsigned i = 0; i < 3; i++) {
        h = host_hand_on(h, THREE);
        assert_non_null(host_lun(h, 0, 0));
        assert_null(host_lun(h, 0, 1));
        assert_non_null(host_lun(h, 0, 2));
        assert_non_null(host_lun(h, 0, 7));
        assert_null(host_lun(h, 5, 9));
        assert_string_equal(disk_of(host_lun(h, 0, 7))->serial, "late");
        assert_string_equal(disk_of(host_lun(h, 0, 2))->serial, "other");
        host_start(h, 0, false);
        assert_int_equal(test_ready(h, 7), SCSI_GOOD);
        if (i == 0) /* that of the host was not told before */
            expect_attention(h, 0, SCSI_ASC_LUNS_CHANGED);
        listen_to(h, 0);
    }
    assert_int_equal(host_told(h, "scsi.lun_remove", "{'lun': 7}"), 0);
    assert_int_equal(
        host_told(h, "scsi.lun_add", "{'lun': 1, " MEMORY_UNIT "}"), 0);
    h = host_hand_on(h, THREE);
    assert_null(host_lun(h, 0, 7));
    assert_non_null(host_lun(h, 0, 1));
    host_free(h);
    /* All that is over with the device. */
    h = host_new(THREE);
    assert_non_null(host_lun(h, 0, 1));
    host_free(h);
}

static void an_added_unit_that_cannot_be_opened_any_more_is_gone(void **state)
{
    struct host *h = host_new(MEMORY);
    char params[192];

    (void)state;
    snprintf(params, sizeof(params),
             "{'lun': 3, 'store': {'type': 'file', 'path': '%s'}}", file);
    assert_int_equal(host_told(h, "scsi.lun_add", params), 0);
    unlink(file);
    h = host_hand_on(h, MEMORY);
    assert_non_null(host_lun(h, 0, 0));
    assert_null(host_lun(h, 0, 3));
    host_free(h);
}

static void events_that_wait_wait_on(void **state)
{
    const uint64_t features = FEATURE(VIRTIO_SCSI_F_HOTPLUG);
    struct host *h = host_open(THREE);
    struct scsi_events *ev;

    (void)state;
    host_start(h, features, false);
    assert_int_equal(host_told(h, "scsi.lun_remove", "{'lun': 2}"), 0);
    assert_int_equal(host_told(h, "scsi.lun_remove", "{'lun': 1}"), 0);
    h = host_hand_on(h, THREE);
    ev = &scsi_of(h->device)->events;
    assert_int_equal(ev->count, 2);
    assert_int_equal(ev->queue[0].lun, 2);
    assert_int_equal(ev->queue[1].lun, 1);
    host_free(h);
}

static void nonsense_that_is_found_does_no_harm(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 60; seed++) {
        struct host *h = host_new(THREE);

        assert_int_equal(
            host_told(h, "scsi.lun_add", "{'lun': 7, " MEMORY_UNIT "}"), 0);
        assert_int_equal(host_told(h, "scsi.lun_remove", "{'lun': 1}"), 0);
        h = host_kill(h, THREE, seed);
        host_start(h, FEATURE(VIRTIO_SCSI_F_HOTPLUG), seed % 2);
        for (uint8_t lun = 0; lun < 8; lun++)
            for (unsigned i = 0; i < 6; i++)
                test_ready(h, lun);
        host_told(h, "scsi.lun_remove", "{'lun': 2}");
        host_told(h, "scsi.lun_add", "{'lun': 1, " MEMORY_UNIT "}");
        h = host_hand_on(h, THREE);
        host_start(h, 0, false);
        host_free(h);
    }
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(modes_stay_as_the_guest_has_set_them),
        TEST(a_unit_that_was_stopped_stays_so),
        TEST(what_was_not_told_is_told),
        TEST(what_was_told_last_may_be_told_again),
        TEST(a_guest_that_comes_later_finds_units_powered_on),
        TEST(memory_is_there_or_the_unit_is_not),
        TEST(sizes_that_a_driver_has_set_stay_so),
        TEST(units_that_were_added_or_removed_stay_so),
        TEST(an_added_unit_that_cannot_be_opened_any_more_is_gone),
        TEST(events_that_wait_wait_on),
        TEST(nonsense_that_is_found_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
