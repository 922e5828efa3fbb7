/* VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, ORWRITE. SBC-3 5.2, 5.9, 5.29
 * to 5.38. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/scsi/disk.h"

static uint8_t data[262144], back[262144];

static int setup(void **state)
{
    (void)state;
    fill(data, sizeof(data), 1);
    memset(back, 0, sizeof(back));
    return 0;
}

/* Of VERIFY's and WRITE AND VERIFY's form; its length. */
static size_t make(uint8_t *cdb, uint8_t opcode, uint64_t lba, uint32_t blocks,
                   unsigned bytchk)
{
    memset(cdb, 0, 16);
    cdb[0] = opcode;
    cdb[1] = (uint8_t)(bytchk << 1);
    switch (opcode >> 5) {
    case 1:
        be32_put(cdb + 2, (uint32_t)lba);
        be16_put(cdb + 7, (uint16_t)blocks);
        return 10;
    case 5:
        be32_put(cdb + 2, (uint32_t)lba);
        be32_put(cdb + 6, blocks);
        return 12;
    default:
        be64_put(cdb + 2, lba);
        be32_put(cdb + 10, blocks);
        return 16;
    }
}

static const uint8_t verifies[] = {SCSI_VERIFY_10, SCSI_VERIFY_12,
                                   SCSI_VERIFY_16};
static const uint8_t write_verifies[] = {
    SCSI_WRITE_VERIFY_10, SCSI_WRITE_VERIFY_12, SCSI_WRITE_VERIFY_16};

static void what_is_there_is_verified(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;

    (void)state;
    unit_write(u, 10, data, 16);
    for (unsigned i = 0; i < ARRAY_LEN(verifies); i++) {
        size_t len = make(cdb, verifies[i], 10, 16, 0);

        unit_none(u, &a, cdb, len);
        assert_good(&a, 0);
        make(cdb, verifies[i], 10, 16, 1);
        ask_init(&a, cdb, len, SCSI_DATA_OUT, data, 16 * 512, 700);
        unit_do(u, &a);
        assert_good(&a, 16 * 512);
        make(cdb, verifies[i], MEMORY_BLOCKS, 0, 1);
        unit_none(u, &a, cdb, len);
        assert_good(&a, 0);
        make(cdb, verifies[i], MEMORY_BLOCKS - 1, 2, 1);
        unit_out(u, &a, cdb, len, data, 1024);
        assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
        make(cdb, verifies[i], 0, 1, 2);
        unit_out(u, &a, cdb, len, data, 512);
        assert_bad_field(&a);
        make(cdb, verifies[i], 0, 2, 1);
        unit_out(u, &a, cdb, len, data, 512);
        assert_int_equal(a.task.response, SCSI_R_OVERRUN);
    }
    unit_free(u);
}

static void a_difference_is_told_with_its_place(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16], was;
    struct ask a;
    size_t len;

    (void)state;
    unit_write(u, 10, data, 16);
    for (unsigned at = 0; at < 16 * 512; at += 601) {
        was = data[at];
        data[at] ^= 1;
        for (unsigned i = 0; i < ARRAY_LEN(verifies); i++) {
            len = make(cdb, verifies[i], 10, 16, 1);
            ask_init(&a, cdb, len, SCSI_DATA_OUT, data, 16 * 512, 1000);
            unit_do(u, &a);
            assert_check(&a, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_VERIFY);
            assert_info(&a, at);
        }
        data[at] = was;
    }
    unit_free(u);
}

/* BYTCHK 3: every block against the one that was sent. */
static void many_blocks_are_verified_against_one(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;
    size_t len;

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        unit_write(u, i, data, 1);
    len = make(cdb, SCSI_VERIFY_16, 0, 8, 3);
    unit_out(u, &a, cdb, len, data, 512);
    assert_good(&a, 512);
    data[100] ^= 1;
    unit_write(u, 6, data, 1);
    data[100] ^= 1;
    unit_out(u, &a, cdb, len, data, 512);
    assert_check(&a, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_VERIFY);
    assert_info(&a, 100);
    unit_free(u);
}

static void what_is_long_is_verified_in_turns(void **state)
{
    struct unit *u = unit_new("'store': {'type': 'memory', 'size': '64M'}");
    uint8_t cdb[16];
    struct ask a, other;
    size_t len;

    (void)state;
    len = make(cdb, SCSI_VERIFY_16, 0, DISK_TRANSFER_MAX_BYTES / 512, 0);
    ask_init(&a, cdb, len, SCSI_NO_DATA, NULL, 0, 0);
    unit_send(u, &a);
    assert_false(a.done);
    /* Others go on meanwhile. */
    unit_none(u, &other, CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0));
    assert_good(&other, 0);
    assert_false(a.done);
    unit_wait(u, &a);
    assert_good(&a, 0);
    make(cdb, SCSI_VERIFY_16, 0, DISK_TRANSFER_MAX_BYTES / 512 + 1, 0);
    unit_none(u, &a, cdb, len);
    assert_bad_field(&a);
    /* With data, and a difference in a later piece. */
    unit_write(u, 1000, data, 512);
    unit_write(u, 1512, data, 512);
    memcpy(back, data, sizeof(data));
    {
        uint8_t *two = malloc(2 * sizeof(data));

        memcpy(two, data, sizeof(data));
        memcpy(two + sizeof(data), data, sizeof(data));
        len = make(cdb, SCSI_VERIFY_10, 1000, 1024, 1);
        unit_out(u, &a, cdb, len, two, 2 * sizeof(data));
        assert_good(&a, 2 * sizeof(data));
        two[sizeof(data) + 5000] ^= 1;
        unit_out(u, &a, cdb, len, two, 2 * sizeof(data));
        assert_check(&a, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_VERIFY);
        assert_info(&a, sizeof(data) + 5000);
        free(two);
    }
    unit_free(u);
}

static void what_is_written_is_verified(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(write_verifies); i++) {
        for (unsigned bytchk = 0; bytchk < 4; bytchk++) {
            size_t len = make(cdb, write_verifies[i], 20, 8, bytchk);

            fill(data, 4096, i * 4 + bytchk);
            ask_init(&a, cdb, len, SCSI_DATA_OUT, data, 4096 + 99, 1300);
            unit_do(u, &a);
            if (bytchk > 1) {
                assert_bad_field(&a);
                continue;
            }
            assert_good(&a, 4096);
            unit_read(u, 20, back, 8);
            assert_memory_equal(back, data, 4096);
        }
    }
    unit_free(u);
}

/* A medium that has not what was written. */
static void a_write_that_went_wrong_is_found(void **state)
{
    struct unit *u = unit_new("'store': {'type': 'null', 'size': '1M',"
                              "'read_zeros': true}");
    uint8_t cdb[16];
    struct ask a;
    size_t len = make(cdb, SCSI_WRITE_VERIFY_16, 0, 1, 1);

    (void)state;
    unit_out(u, &a, cdb, len, data, 512);
    assert_check(&a, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_VERIFY);
    assert_info(&a, 0);
    unit_free(u);
}

static void compare_and_write(uint8_t *cdb, uint64_t lba, uint8_t blocks)
{
    memset(cdb, 0, 16);
    cdb[0] = SCSI_COMPARE_AND_WRITE;
    be64_put(cdb + 2, lba);
    cdb[13] = blocks;
}

static void what_compares_is_written(void **state)
{
    static const char *const units[] = {
        MEMORY_UNIT, "'store': {'type': 'file', 'path': '@/disk'}"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(units); i++) {
        struct unit *u = unit_new(units[i]);
        static const uint8_t counts[] = {1, 7, 255};
        uint8_t cdb[16];
        struct ask a;

        for (unsigned j = 0; j < ARRAY_LEN(counts); j++) {
            size_t len = (size_t)counts[j] * 512;
            uint8_t *both = malloc(2 * len);

            unit_write(u, 3, data, counts[j]);
            memcpy(both, data, len);
            memset(both + len, (int)j + 1, len);
            compare_and_write(cdb, 3, counts[j]);
            ask_init(&a, cdb, 16, SCSI_DATA_OUT, both, 2 * len, 1000);
            unit_do(u, &a);
            assert_good(&a, 2 * len);
            unit_read(u, 3, back, counts[j]);
            assert_true(is_byte(back, len, (uint8_t)(j + 1)));
            /* And not again. */
            unit_out(u, &a, cdb, 16, both, 2 * len);
            assert_check(&a, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_VERIFY);
            assert_info(&a, 0);
            /* One byte differs, the last. */
            memset(both, (int)j + 1, len);
            both[len - 1] ^= 0x80;
            unit_out(u, &a, cdb, 16, both, 2 * len);
            assert_check(&a, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE_VERIFY);
            assert_info(&a, (uint32_t)len - 1);
            free(both);
        }
        compare_and_write(cdb, 0, 0);
        unit_none(u, &a, cdb, 16);
        assert_good(&a, 0);
        compare_and_write(cdb, MEMORY_BLOCKS - 1, 2);
        unit_out(u, &a, cdb, 16, data, 2048);
        assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
        compare_and_write(cdb, 0, 2);
        unit_out(u, &a, cdb, 16, data, 2047);
        assert_int_equal(a.task.response, SCSI_R_OVERRUN);
        assert_int_equal(a.task.overflow, 1);
        unit_free(u);
    }
}

/* Its limit in VPD page B0 is the one that holds. */
static void compare_and_write_has_the_limit_that_is_told(void **state)
{
    static const unsigned sizes[] = {512, 4096, 65536};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        uint8_t cdb[16], page[64], *both;
        char config[128];
        struct unit *u;
        struct ask a;
        size_t len;

        snprintf(config, sizeof(config),
                 "'logical_block_size': %u,"
                 "'store': {'type': 'null', 'size': '1G', 'read_zeros': true}",
                 sizes[i]);
        u = unit_new(config);
        unit_in(u, &a, CDB(SCSI_INQUIRY, 1, 0xb0, 0, 64, 0), page, 64);
        assert_good(&a, 64);
        len = (size_t)page[5] * sizes[i];
        both = calloc(2, len);
        compare_and_write(cdb, 0, page[5]);
        unit_out(u, &a, cdb, 16, both, 2 * len);
        assert_good(&a, 2 * len);
        if (page[5] < 255) {
            compare_and_write(cdb, 0, (uint8_t)(page[5] + 1));
            unit_out(u, &a, cdb, 16, both, 2 * len);
            assert_bad_field(&a);
        }
        free(both);
        unit_free(u);
    }
}

static void orwrite_adds_bits(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16], *more = malloc(sizeof(data) * 2);
    struct ask a;

    (void)state;
    memset(more, 0x81, sizeof(data) * 2);
    unit_write(u, 0, data, 512);
    unit_write(u, 512, data, 512);
    memset(cdb, 0, 16);
    cdb[0] = SCSI_ORWRITE_16;
    be32_put(cdb + 10, 1024);
    ask_init(&a, cdb, 16, SCSI_DATA_OUT, more, sizeof(data) * 2, 10000);
    unit_do(u, &a);
    assert_good(&a, sizeof(data) * 2);
    for (unsigned half = 0; half < 2; half++) {
        unit_read(u, half * 512, back, 512);
        for (size_t i = 0; i < sizeof(data); i++)
            assert_int_equal(back[i], data[i] | 0x81);
    }
    be32_put(cdb + 10, 0);
    unit_none(u, &a, cdb, 16);
    assert_good(&a, 0);
    be64_put(cdb + 2, UINT64_MAX);
    unit_none(u, &a, cdb, 16);
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    free(more);
    unit_free(u);
}

static void a_part_that_cannot_be_read_or_written(void **state)
{
    struct unit *u =
        unit_new("'store': {'type': 'fault', 'rules': ["
                 "{'op': 'read', 'offset': 51200, 'length': 512},"
                 "{'op': 'write', 'offset': 102400, 'length': 512}],"
                 "'next': {'type': 'memory', 'size': '1M'}}");
    uint8_t cdb[16];
    struct ask a;
    size_t len;

    (void)state;
    len = make(cdb, SCSI_VERIFY_10, 90, 30, 0);
    unit_none(u, &a, cdb, len);
    assert_check(&a, SCSI_MEDIUM_ERROR, SCSI_ASC_UNRECOVERED_READ_ERROR);
    assert_info(&a, 90);
    compare_and_write(cdb, 100, 1);
    unit_out(u, &a, cdb, 16, data, 1024);
    assert_check(&a, SCSI_MEDIUM_ERROR, SCSI_ASC_UNRECOVERED_READ_ERROR);
    memset(back, 0, 512);
    compare_and_write(cdb, 200, 1);
    unit_out(u, &a, cdb, 16, back, 1024);
    assert_check(&a, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
    assert_info(&a, 200);
    len = make(cdb, SCSI_WRITE_VERIFY_10, 200, 1, 1);
    unit_out(u, &a, cdb, len, data, 512);
    assert_check(&a, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
    unit_free(u);
}

/* It brings no bytes, and a guest may send hundreds in a turn. */
static void what_is_verified_at_once_is_not_much(void **state)
{
    static const struct {
        uint32_t blocks;
        bool at_once;
    } cases[] = {{1, true}, {128, true}, {129, false}, {512, false}};
    struct unit *u = unit_new(MEMORY_UNIT);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t cdb[16] = {SCSI_VERIFY_16};
        struct ask a;

        be32_put(cdb + 10, cases[i].blocks);
        ask_init(&a, cdb, 16, SCSI_NO_DATA, NULL, 0, 0);
        unit_send(u, &a);
        assert_int_equal(a.done, cases[i].at_once);
        unit_wait(u, &a);
        assert_good(&a, 0);
    }
    unit_free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_there_is_verified, setup),
        cmocka_unit_test_setup(a_difference_is_told_with_its_place, setup),
        cmocka_unit_test_setup(many_blocks_are_verified_against_one, setup),
        cmocka_unit_test_setup(what_is_long_is_verified_in_turns, setup),
        cmocka_unit_test_setup(what_is_verified_at_once_is_not_much, setup),
        cmocka_unit_test_setup(what_is_written_is_verified, setup),
        cmocka_unit_test_setup(a_write_that_went_wrong_is_found, setup),
        cmocka_unit_test_setup(what_compares_is_written, setup),
        cmocka_unit_test_setup(compare_and_write_has_the_limit_that_is_told,
                               setup),
        cmocka_unit_test_setup(orwrite_adds_bits, setup),
        cmocka_unit_test_setup(a_part_that_cannot_be_read_or_written, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
