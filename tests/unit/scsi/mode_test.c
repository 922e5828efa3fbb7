/* MODE SENSE and MODE SELECT, and the write cache. SPC-4 6.11, 6.13, 7.5;
 * SBC-3 6.4. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "device/scsi/disk.h"

#define FILE_UNIT "'store': {'type': 'file', 'path': '@/disk'}"

/* Whether writes, and flushes, reach the store is seen by failing them. */
#define FLUSH_FAILS                                                            \
    "'store': {'type': 'fault', 'rules': [{'op': 'flush', 'count': 1}],"       \
    "'next': {'type': 'file', 'path': '@/disk'}}"

#define WCE 0x04
#define SWP 0x08

static uint8_t back[512];

static int setup(void **state)
{
    (void)state;
    memset(back, 0xaa, sizeof(back));
    return 0;
}

enum { CURRENT, CHANGEABLE, DEFAULT, SAVED };

/* MODE SENSE (6) with no block descriptor: the page begins at back + 4. */
static void sense(struct unit *u, struct ask *a, uint8_t page, unsigned control)
{
    unit_in(
        u, a,
        CDB(SCSI_MODE_SENSE_6, 0x08, (uint8_t)(control << 6 | page), 0, 255, 0),
        back, 255);
}

/* MODE SELECT (6) of a page as it is now, with a bit set or not. */
static void change(struct unit *u, struct ask *a, uint8_t page, size_t at,
                   uint8_t bit, bool on)
{
    uint8_t list[64] = {0}, len;

    sense(u, a, page, CURRENT);
    len = (uint8_t)(back[0] + 1);
    memcpy(list + 4, back + 4, len - 4u);
    list[4 + at] = (uint8_t)(on ? list[4 + at] | bit : list[4 + at] & ~bit);
    unit_out(u, a, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, len, 0), list, len);
}

static void pages_and_their_heads(void **state)
{
    struct unit *u = unit_new(FILE_UNIT);
    struct ask a;

    (void)state;
    unit_in(u, &a, CDB(SCSI_MODE_SENSE_6, 0, 0x3f, 0, 255, 0), back, 255);
    assert_good(&a, 4 + 8 + 20 + 12);
    assert_int_equal(back[0], 4 + 8 + 20 + 12 - 1);
    assert_int_equal(back[2], 0x10); /* DPOFUA */
    assert_int_equal(back[3], 8);
    assert_int_equal(be32_at(back + 4), MEMORY_BLOCKS);
    assert_int_equal(be32_at(back + 8), 512);
    assert_int_equal(back[12], 8);
    assert_int_equal(back[13], 18);
    assert_int_equal(back[14], WCE);
    assert_int_equal(back[32], 10);
    assert_int_equal(back[33], 10);
    unit_in(u, &a,
            CDB(SCSI_MODE_SENSE_10, 0x10, 0x3f, 0xff, 0, 0, 0, 0, 255, 0), back,
            255);
    assert_good(&a, 8 + 16 + 20 + 12);
    assert_int_equal(be16_at(back), 8 + 16 + 20 + 12 - 2);
    assert_int_equal(back[4], 1); /* LONGLBA */
    assert_int_equal(be16_at(back + 6), 16);
    assert_int_equal(be64_at(back + 8), MEMORY_BLOCKS);
    assert_int_equal(be32_at(back + 20), 512);
    assert_int_equal(back[24], 8);
    unit_in(u, &a, CDB(SCSI_MODE_SENSE_10, 0, 0x0a, 0, 0, 0, 0, 0, 255, 0),
            back, 255);
    assert_good(&a, 8 + 8 + 12);
    unit_in(u, &a, CDB(SCSI_MODE_SENSE_10, 8, 0x0a, 0, 0, 0, 0, 0, 255, 0),
            back, 255);
    assert_good(&a, 8 + 12);
    for (uint8_t n = 0; n < 50; n++) {
        unit_in(u, &a, CDB(SCSI_MODE_SENSE_6, 0, 0x3f, 0, n, 0), back, n);
        assert_good(&a, MIN(n, 44));
    }
    unit_free(u);
}

static void pages_that_are_not_there(void **state)
{
    struct unit *u = unit_new(FILE_UNIT);
    struct ask a;

    (void)state;
    for (unsigned code = 0; code < 0x3f; code++) {
        sense(u, &a, (uint8_t)code, CURRENT);
        if (code == 0x08 || code == 0x0a)
            assert_int_equal(a.task.status, SCSI_GOOD);
        else
            assert_bad_field(&a);
    }
    unit_in(u, &a, CDB(SCSI_MODE_SENSE_6, 0, 0x08, 1, 255, 0), back, 255);
    assert_bad_field(&a); /* a subpage */
    sense(u, &a, 0x08, SAVED);
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_SAVING_NOT_SUPPORTED);
    unit_free(u);
}

static void a_cache_that_is_there_can_be_switched(void **state)
{
    struct unit *u = unit_new(FILE_UNIT);
    struct ask a;

    (void)state;
    sense(u, &a, 8, CHANGEABLE);
    assert_good(&a, 24);
    assert_int_equal(back[6], WCE);
    assert_true(is_byte(back + 7, 17, 0));
    sense(u, &a, 8, DEFAULT);
    assert_int_equal(back[6], WCE);
    change(u, &a, 8, 2, WCE, false);
    assert_good(&a, 24);
    sense(u, &a, 8, CURRENT);
    assert_int_equal(back[6], 0);
    sense(u, &a, 8, DEFAULT);
    assert_int_equal(back[6], WCE);
    change(u, &a, 8, 2, WCE, true);
    assert_good(&a, 24);
    sense(u, &a, 8, CURRENT);
    assert_int_equal(back[6], WCE);
    /* A device reset sets the default. */
    change(u, &a, 8, 2, WCE, false);
    lun_disk_ops.reset(u->lun);
    sense(u, &a, 8, CURRENT);
    assert_int_equal(back[6], WCE);
    unit_free(u);
}

static void a_cache_that_is_not_there_cannot(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    struct ask a;

    (void)state;
    sense(u, &a, 8, CHANGEABLE);
    assert_true(is_byte(back + 6, 18, 0));
    sense(u, &a, 8, CURRENT);
    assert_true(is_byte(back + 6, 18, 0));
    change(u, &a, 8, 2, WCE, true);
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_LIST);
    change(u, &a, 8, 2, WCE, false);
    assert_good(&a, 24);
    unit_free(u);
}

/* SBC-3 4.15.7. */
static void what_was_cached_is_flushed_when_the_cache_goes(void **state)
{
    struct unit *u = unit_new(FLUSH_FAILS);
    struct ask a;

    (void)state;
    change(u, &a, 8, 2, WCE, false);
    assert_check(&a, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
    /* It is off all the same: nothing more is lost. */
    sense(u, &a, 8, CURRENT);
    assert_int_equal(back[6], 0);
    unit_free(u);
}

static void a_guest_may_protect_its_disk(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t block[512] = {0};
    struct ask a;

    (void)state;
    sense(u, &a, 10, CHANGEABLE);
    assert_int_equal(back[8], SWP);
    change(u, &a, 10, 4, SWP, true);
    assert_good(&a, 16);
    sense(u, &a, 10, CURRENT);
    assert_int_equal(back[2], 0x90); /* WP */
    assert_int_equal(back[8], SWP);
    unit_out(u, &a, CDB(SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0), block, 512);
    assert_check(&a, SCSI_DATA_PROTECT, SCSI_ASC_SOFTWARE_WRITE_PROTECTED);
    unit_read(u, 0, block, 1);
    change(u, &a, 10, 4, SWP, false);
    unit_write(u, 0, block, 1);
    unit_free(u);
}

/* What has happened to the disk after a list: nothing. */
static void refuse(struct unit *u, const uint8_t *list, uint8_t len,
                   enum scsi_asc asc)
{
    struct ask a;

    unit_out(u, &a, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, len, 0), list, len);
    assert_check(&a, SCSI_ILLEGAL_REQUEST, asc);
    sense(u, &a, 8, CURRENT);
    assert_int_equal(back[6], WCE);
    sense(u, &a, 10, CURRENT);
    assert_int_equal(back[8], 0);
}

static void lists_that_are_wrong(void **state)
{
    struct unit *u = unit_new(FILE_UNIT);
    /* Switches the cache off and protects the disk. */
    uint8_t list[4 + 20 + 12] = {
        [4] = 8, [5] = 18, [24] = 10, [25] = 10, [27] = 0x10, [28] = SWP};
    struct ask a;

    (void)state;
    for (uint8_t len = 1; len < sizeof(list); len++)
        if (len != 4 && len != 24)
            refuse(u, list, len, SCSI_ASC_PARAMETER_LIST_LENGTH);
    for (size_t i = 4; i < sizeof(list); i++) {
        uint8_t was = list[i];

        if (i == 6 || i == 28)
            continue;
        list[i] ^= 0x41;
        refuse(u, list, sizeof(list), SCSI_ASC_INVALID_FIELD_IN_LIST);
        list[i] = was;
    }
    list[3] = 8;
    refuse(u, list, 12, SCSI_ASC_INVALID_FIELD_IN_LIST);
    list[3] = 255;
    refuse(u, list, sizeof(list), SCSI_ASC_PARAMETER_LIST_LENGTH);
    list[3] = 0;
    /* SP, and no PF. */
    unit_out(u, &a, CDB(SCSI_MODE_SELECT_6, 0x11, 0, 0, sizeof(list), 0), list,
             sizeof(list));
    assert_bad_field(&a);
    unit_out(u, &a, CDB(SCSI_MODE_SELECT_6, 0, 0, 0, sizeof(list), 0), list,
             sizeof(list));
    assert_bad_field(&a);
    unit_out(u, &a, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, sizeof(list), 0), list,
             sizeof(list) - 1);
    assert_int_equal(a.task.response, SCSI_R_OVERRUN);
    unit_none(u, &a, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 0, 0));
    assert_good(&a, 0);
    /* And it would have been right. */
    unit_out(u, &a, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, sizeof(list), 0), list,
             sizeof(list));
    assert_good(&a, sizeof(list));
    sense(u, &a, 0x3f, CURRENT);
    assert_int_equal(back[6], 0);
    assert_int_equal(back[28], SWP);
    unit_free(u);
}

/* Nothing can be formatted: a descriptor says what is, or nothing. */
static void block_descriptors(void **state)
{
    static const uint32_t counts[] = {0, MEMORY_BLOCKS, UINT32_MAX};
    struct unit *u = unit_new(FILE_UNIT);
    uint8_t list[64] = {0};
    struct ask a;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
        list[3] = 8;
        be32_put(list + 4, counts[i]);
        be32_put(list + 8, 512);
        unit_out(u, &a, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 12, 0), list, 12);
        assert_good(&a, 12);
    }
    be32_put(list + 4, 1);
    refuse(u, list, 12, SCSI_ASC_INVALID_FIELD_IN_LIST);
    be32_put(list + 4, 0);
    be32_put(list + 8, 4096);
    refuse(u, list, 12, SCSI_ASC_INVALID_FIELD_IN_LIST);
    memset(list, 0, sizeof(list));
    list[4] = 1; /* LONGLBA */
    list[7] = 16;
    be64_put(list + 8, MEMORY_BLOCKS);
    be32_put(list + 20, 512);
    unit_out(u, &a, CDB(SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0, 24, 0),
             list, 24);
    assert_good(&a, 24);
    list[4] = 0;
    unit_out(u, &a, CDB(SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0, 24, 0),
             list, 24);
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_LIST);
    unit_out(u, &a, CDB(SCSI_MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 1, 44, 0),
             (uint8_t[300]){0}, 300);
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
    unit_free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pages_and_their_heads, setup),
        cmocka_unit_test_setup(pages_that_are_not_there, setup),
        cmocka_unit_test_setup(a_cache_that_is_there_can_be_switched, setup),
        cmocka_unit_test_setup(a_cache_that_is_not_there_cannot, setup),
        cmocka_unit_test_setup(what_was_cached_is_flushed_when_the_cache_goes,
                               setup),
        cmocka_unit_test_setup(a_guest_may_protect_its_disk, setup),
        cmocka_unit_test_setup(lists_that_are_wrong, setup),
        cmocka_unit_test_setup(block_descriptors, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
