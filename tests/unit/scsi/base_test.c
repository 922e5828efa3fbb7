/* What is told of a command by looking at it, and sense data. SPC-4 4.2.5,
 * 4.5; and what all kinds of units have in common about an answer. */
#include "unit.h"

#include <string.h>

static void a_cdb_is_as_long_as_its_group_says(void **state)
{
    static const unsigned groups[] = {6, 10, 10, 0, 16, 12, 0, 0};
    uint8_t cdb[64] = {0};

    (void)state;
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        unsigned len = groups[opcode >> 5];

        cdb[0] = (uint8_t)opcode;
        if (opcode == SCSI_VARIABLE_LENGTH)
            continue;
        assert_int_equal(scsi_cdb_len(cdb, sizeof(cdb)), len);
        if (len == 0)
            continue;
        assert_int_equal(scsi_cdb_len(cdb, len), len);
        assert_int_equal(scsi_cdb_len(cdb, len - 1), 0);
        assert_int_equal(scsi_cdb_len(cdb, 1), 0);
    }
    assert_int_equal(scsi_cdb_len(cdb, 0), 0);
}

static void a_cdb_of_variable_length_says_how_long(void **state)
{
    uint8_t cdb[300] = {SCSI_VARIABLE_LENGTH};

    (void)state;
    for (unsigned more = 0; more < 256; more++) {
        unsigned len = 8 + more;

        cdb[7] = (uint8_t)more;
        if (len % 4 || len > SCSI_CDB_MAX)
            len = 0;
        assert_int_equal(scsi_cdb_len(cdb, sizeof(cdb)), len);
        if (len)
            assert_int_equal(scsi_cdb_len(cdb, len - 1), 0);
    }
    assert_int_equal(scsi_cdb_len(cdb, 7), 0);
}

static void what_may_be_executed_twice(void **state)
{
    static const uint8_t yes[] = {
        SCSI_TEST_UNIT_READY, SCSI_READ_6,      SCSI_WRITE_6,
        SCSI_INQUIRY,         SCSI_READ_10,     SCSI_WRITE_10,
        SCSI_SYNC_CACHE_10,   SCSI_UNMAP,       SCSI_WRITE_SAME_16,
        SCSI_REPORT_LUNS,     SCSI_MODE_SENSE_6};
    static const uint8_t no[] = {SCSI_COMPARE_AND_WRITE,
                                 SCSI_PR_IN,
                                 SCSI_PR_OUT,
                                 SCSI_RESERVE_6,
                                 SCSI_RELEASE_6,
                                 SCSI_MODE_SELECT_6,
                                 SCSI_START_STOP_UNIT,
                                 SCSI_ORWRITE_16,
                                 SCSI_RESERVE_10,
                                 SCSI_MODE_SELECT_10,
                                 SCSI_PREVENT_ALLOW,
                                 SCSI_VARIABLE_LENGTH,
                                 0xc0,
                                 0xff};
    uint8_t cdb[16] = {0};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(yes); i++) {
        cdb[0] = yes[i];
        assert_true(scsi_is_repeatable(cdb));
    }
    for (unsigned i = 0; i < ARRAY_LEN(no); i++) {
        cdb[0] = no[i];
        assert_false(scsi_is_repeatable(cdb));
    }
    cdb[0] = SCSI_SERVICE_ACTION_IN_16;
    cdb[1] = SCSI_SAI_READ_CAPACITY_16;
    assert_true(scsi_is_repeatable(cdb));
    cdb[1] = 0x1f;
    assert_false(scsi_is_repeatable(cdb));
    cdb[0] = SCSI_MAINTENANCE_IN;
    cdb[1] = SCSI_MI_REPORT_OPCODES;
    assert_true(scsi_is_repeatable(cdb));
    cdb[1] = 0x0a;
    assert_false(scsi_is_repeatable(cdb));
}

static void sense_data_is_read_as_it_was_written(void **state)
{
    uint8_t sense[SCSI_SENSE_FIXED_BYTES], key;
    uint16_t asc;

    (void)state;
    assert_int_equal(scsi_sense_put(sense, true, SCSI_MISCOMPARE,
                                    SCSI_ASC_MISCOMPARE_VERIFY),
                     8);
    assert_true(scsi_sense_read(sense, 8, &key, &asc));
    assert_int_equal(key, SCSI_MISCOMPARE);
    assert_int_equal(asc, SCSI_ASC_MISCOMPARE_VERIFY);
    assert_int_equal(scsi_sense_put(sense, false, SCSI_DATA_PROTECT,
                                    SCSI_ASC_WRITE_PROTECTED),
                     sizeof(sense));
    assert_true(scsi_sense_read(sense, sizeof(sense), &key, &asc));
    assert_int_equal(key, SCSI_DATA_PROTECT);
    assert_int_equal(asc, SCSI_ASC_WRITE_PROTECTED);
    assert_int_equal(sense[0], 0x70);
    assert_int_equal(sense[7], 10);
    scsi_sense_info(sense, UINT64_C(1) << 32);
    assert_int_equal(sense[0], 0x70);
    scsi_sense_info(sense, UINT32_MAX);
    assert_int_equal(sense[0], 0xf0);
    assert_int_equal(be32_at(sense + 3), UINT32_MAX);
    assert_true(scsi_sense_read(sense, sizeof(sense), &key, &asc));
}

static void sense_data_of_others(void **state)
{
    uint8_t descriptor[] = {0x72, 0xf5, 0x24, 0x01, 0, 0, 0, 0};
    uint8_t fixed[18] = {0xf1, 0, 0xe3, [12] = 0x11, [13] = 0x02}, key;
    uint16_t asc;

    (void)state;
    assert_true(scsi_sense_read(descriptor, 8, &key, &asc));
    assert_int_equal(key, 5);
    assert_int_equal(asc, 0x2401);
    assert_true(scsi_sense_read(descriptor, 4, &key, &asc));
    assert_false(scsi_sense_read(descriptor, 3, &key, &asc));
    assert_true(scsi_sense_read(fixed, 18, &key, &asc));
    assert_int_equal(key, 3);
    assert_int_equal(asc, 0x1102);
    assert_true(scsi_sense_read(fixed, 14, &key, &asc));
    assert_false(scsi_sense_read(fixed, 13, &key, &asc));
    fixed[0] = 0x7f;
    assert_false(scsi_sense_read(fixed, 18, &key, &asc));
    assert_false(scsi_sense_read(fixed, 0, &key, &asc));
}

/* ---- task.c ---- */

static void data_goes_into_pieces(void **state)
{
    static const size_t pieces[] = {1, 3, 10, 64, 100};
    uint8_t data[64], to[100];
    struct ask a;

    (void)state;
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i + 1);
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        for (size_t room = 0; room < 100; room++) {
            for (size_t allowed = 0; allowed < 100; allowed += 9) {
                size_t want = MIN(sizeof(data), allowed);
                size_t got = MIN(want, room);

                memset(to, 0, sizeof(to));
                ask_init(&a, CDB(SCSI_INQUIRY, 0, 0, 0, 0, 0), SCSI_DATA_IN, to,
                         room, pieces[i]);
                scsi_task_data(&a.task, data, sizeof(data), allowed);
                assert_int_equal(a.task.moved, got);
                assert_int_equal(a.task.overflow, want - got);
                assert_int_equal(a.task.response,
                                 want > got ? SCSI_R_OVERRUN : SCSI_R_OK);
                assert_int_equal(a.task.status, SCSI_GOOD);
                assert_memory_equal(to, data, got);
                assert_true(is_byte(to + got, sizeof(to) - got, 0));
            }
        }
    }
}

static void data_comes_out_of_pieces(void **state)
{
    static const size_t pieces[] = {1, 3, 10, 64};
    uint8_t from[64], to[100];
    struct ask a;

    (void)state;
    for (unsigned i = 0; i < sizeof(from); i++)
        from[i] = (uint8_t)(i + 1);
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        for (size_t at = 0; at < 70; at++) {
            for (size_t len = 0; len < 100; len += 9) {
                size_t there = at < sizeof(from) ? sizeof(from) - at : 0;
                size_t got = MIN(len, there);

                memset(to, 0, sizeof(to));
                ask_init(&a, CDB(SCSI_INQUIRY, 0, 0, 0, 0, 0), SCSI_DATA_OUT,
                         from, sizeof(from), pieces[i]);
                assert_int_equal(scsi_task_read(&a.task, at, to, len), got);
                assert_memory_equal(to, from + MIN(at, sizeof(from)), got);
                assert_true(is_byte(to + got, sizeof(to) - got, 0));
            }
        }
    }
    /* What the guest has room for is not what it sends. */
    a.task.dir = SCSI_DATA_IN;
    assert_int_equal(scsi_task_read(&a.task, 0, to, 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cdb_is_as_long_as_its_group_says),
        cmocka_unit_test(a_cdb_of_variable_length_says_how_long),
        cmocka_unit_test(what_may_be_executed_twice),
        cmocka_unit_test(sense_data_is_read_as_it_was_written),
        cmocka_unit_test(sense_data_of_others),
        cmocka_unit_test(data_goes_into_pieces),
        cmocka_unit_test(data_comes_out_of_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
