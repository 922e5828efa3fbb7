/* UNMAP and WRITE SAME, and what is told of them. SBC-3 5.28, 5.41 to 5.43. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "device/scsi/disk.h"

static uint8_t data[65536], back[65536];

static int setup(void **state)
{
    (void)state;
    fill(data, sizeof(data), 1);
    memset(back, 0, sizeof(back));
    return 0;
}

/* ---- UNMAP ---- */

/* A list of `num` ranges, each lba and count; its length. */
static size_t make_list(uint8_t *list, const uint64_t (*ranges)[2],
                        unsigned num)
{
    size_t len = 8 + 16 * (size_t)num;

    memset(list, 0, len);
    be16_put(list, (uint16_t)(len - 2));
    be16_put(list + 2, (uint16_t)(16 * num));
    for (unsigned i = 0; i < num; i++) {
        be64_put(list + 8 + 16 * i, ranges[i][0]);
        be32_put(list + 16 + 16 * i, (uint32_t)ranges[i][1]);
    }
    return len;
}

static void unmap(struct unit *u, struct ask *a, const uint8_t *list,
                  size_t len)
{
    uint8_t cdb[10] = {SCSI_UNMAP};

    be16_put(cdb + 7, (uint16_t)len);
    ask_init(a, cdb, 10, SCSI_DATA_OUT, (void *)list, len, len > 1000 ? 99 : 7);
    unit_do(u, a);
}

static void what_is_unmapped_reads_as_zeros(void **state)
{
    static const char *const units[] = {
        MEMORY_UNIT, "'store': {'type': 'file', 'path': '@/disk'}"};
    static const uint64_t ranges[][2] = {
        {0, 1}, {5, 0}, {10, 20}, {10, 3}, {MEMORY_BLOCKS, 0}, {100, 28}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(units); i++) {
        struct unit *u = unit_new(units[i]);
        uint8_t list[200];
        struct ask a;
        size_t len;

        unit_write(u, 0, data, 128);
        len = make_list(list, ranges, ARRAY_LEN(ranges));
        unmap(u, &a, list, len);
        assert_good(&a, len);
        unit_read(u, 0, back, 128);
        for (unsigned b = 0; b < 128; b++) {
            bool gone = b == 0 || (b >= 10 && b < 30) || b >= 100;

            if (gone)
                assert_true(is_byte(back + 512 * b, 512, 0));
            else
                assert_memory_equal(back + 512 * b, data + 512 * b, 512);
        }
        unit_free(u);
    }
}

static void lists_that_are_wrong(void **state)
{
    static const uint64_t outside[][2] = {{0, 1}, {MEMORY_BLOCKS - 1, 2}};
    static const uint64_t far[][2] = {{0, 1}, {UINT64_MAX, UINT32_MAX}};
    uint64_t many[DISK_UNMAP_MAX_RANGES + 1][2] = {{0}};
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t list[8192];
    struct ask a;
    size_t len;

    (void)state;
    unit_write(u, 0, data, 8);
    /* Nothing of a list is done if one of it is wrong. */
    unmap(u, &a, list, make_list(list, outside, 2));
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    unmap(u, &a, list, make_list(list, far, 2));
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    unit_read(u, 0, back, 8);
    assert_memory_equal(back, data, 8 * 512);
    unmap(u, &a, list, make_list(list, many, DISK_UNMAP_MAX_RANGES));
    assert_good(&a, 8 + 16 * DISK_UNMAP_MAX_RANGES);
    unmap(u, &a, list, make_list(list, many, DISK_UNMAP_MAX_RANGES + 1));
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_LIST);
    /* Lengths. */
    for (len = 1; len < 8; len++) {
        unmap(u, &a, list, len);
        assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
    }
    unmap(u, &a, list, 0);
    assert_good(&a, 0);
    /* It says that there is more than there is: what there is counts, and a
     * part of a range does not. */
    make_list(list, outside, 2);
    be16_put(list + 2, UINT16_MAX);
    unmap(u, &a, list, 8 + 16 + 15);
    assert_good(&a, 8 + 16 + 15);
    unit_read(u, 0, back, 8);
    assert_true(is_byte(back, 512, 0));
    assert_memory_equal(back + 512, data + 512, 7 * 512);
    /* Fewer bytes than the CDB says. */
    unit_out(u, &a, CDB(SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 24, 0), list, 23);
    assert_int_equal(a.task.response, SCSI_R_OVERRUN);
    /* ANCHOR. */
    unit_out(u, &a, CDB(SCSI_UNMAP, 1, 0, 0, 0, 0, 0, 0, 24, 0), list, 24);
    assert_bad_field(&a);
    unit_free(u);
}

static void the_limit_of_unmap_is_the_one_that_is_told(void **state)
{
    struct unit *u = unit_new("'store': {'type': 'null', 'size': '4T'}");
    uint8_t page[64], list[64];
    uint64_t ranges[2][2] = {{0}};
    struct ask a;
    uint32_t most;

    (void)state;
    unit_in(u, &a, CDB(SCSI_INQUIRY, 1, 0xb0, 0, 64, 0), page, 64);
    assert_good(&a, 64);
    most = be32_at(page + 20);
    assert_int_equal(be32_at(page + 24), DISK_UNMAP_MAX_RANGES);
    ranges[0][1] = most - 1;
    ranges[1][1] = 1;
    unmap(u, &a, list, make_list(list, (const void *)ranges, 2));
    assert_good(&a, 40);
    ranges[1][1] = 2;
    unmap(u, &a, list, make_list(list, (const void *)ranges, 2));
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_LIST);
    unit_free(u);
}

static void space_is_given_back(void **state)
{
    struct unit *u = unit_new("'store': {'type': 'file', 'path': '@/disk'}");
    static const uint64_t all[][2] = {{0, MEMORY_BLOCKS}};
    uint8_t list[64];
    char path[128];
    struct stat st;
    struct ask a;

    (void)state;
    for (unsigned i = 0; i < MEMORY_BLOCKS; i += 128)
        unit_write(u, i, data, 128);
    unit_none(u, &a, CDB(SCSI_SYNC_CACHE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    snprintf(path, sizeof(path), "%s/disk", u->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks >= 2048);
    unmap(u, &a, list, make_list(list, all, 1));
    assert_good(&a, 24);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks < 64);
    unit_free(u);
}

/* ---- WRITE SAME ---- */

static size_t make_same(uint8_t *cdb, bool long_form, uint64_t lba,
                        uint32_t blocks, unsigned flags)
{
    memset(cdb, 0, 16);
    cdb[0] = long_form ? SCSI_WRITE_SAME_16 : SCSI_WRITE_SAME_10;
    cdb[1] = (uint8_t)flags;
    if (long_form) {
        be64_put(cdb + 2, lba);
        be32_put(cdb + 10, blocks);
        return 16;
    }
    be32_put(cdb + 2, (uint32_t)lba);
    be16_put(cdb + 7, (uint16_t)blocks);
    return 10;
}

static void the_same_is_written(void **state)
{
    static const char *const units[] = {
        MEMORY_UNIT, "'store': {'type': 'file', 'path': '@/disk'}"};

    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        struct unit *u = unit_new(units[i & 1]);
        bool zero = i & 2, unmaps = i & 4;
        uint8_t block[512], cdb[16];
        struct ask a;
        size_t len;

        unit_write(u, 0, data, 64);
        memset(block, 0, sizeof(block));
        if (!zero)
            block[511] = 1;
        len = make_same(cdb, i & 8, 3, 50, unmaps ? 0x08 : 0);
        ask_init(&a, cdb, len, SCSI_DATA_OUT, block, 512, 100);
        unit_do(u, &a);
        if (unmaps && !(i & 8)) { /* LBPWS10 is not set */
            assert_bad_field(&a);
            unit_free(u);
            continue;
        }
        assert_good(&a, 512);
        unit_read(u, 0, back, 64);
        assert_memory_equal(back, data, 3 * 512);
        for (unsigned b = 3; b < 53; b++)
            assert_memory_equal(back + b * 512, block, 512);
        assert_memory_equal(back + 53 * 512, data + 53 * 512, 11 * 512);
        unit_free(u);
    }
}

static void no_blocks_is_up_to_the_end(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;
    size_t len;

    (void)state;
    len = make_same(cdb, true, MEMORY_BLOCKS - 100, 0, 0);
    unit_out(u, &a, cdb, len, data, 512);
    assert_good(&a, 512);
    unit_read(u, MEMORY_BLOCKS - 101, back, 101);
    assert_true(is_byte(back, 512, 0));
    for (unsigned b = 1; b < 101; b++)
        assert_memory_equal(back + b * 512, data, 512);
    len = make_same(cdb, false, MEMORY_BLOCKS, 0, 0);
    unit_out(u, &a, cdb, len, data, 512);
    assert_good(&a, 512);
    len = make_same(cdb, true, MEMORY_BLOCKS + 1, 0, 0);
    unit_out(u, &a, cdb, len, data, 512);
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    unit_free(u);
}

static void no_data_means_zeros(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;
    size_t len;

    (void)state;
    unit_write(u, 0, data, 8);
    len = make_same(cdb, true, 2, 4, 0x01); /* NDOB */
    unit_none(u, &a, cdb, len);
    assert_good(&a, 0);
    unit_read(u, 0, back, 8);
    assert_memory_equal(back, data, 1024);
    assert_true(is_byte(back + 1024, 2048, 0));
    assert_memory_equal(back + 3072, data + 3072, 1024);
    /* There is none in the short form. */
    len = make_same(cdb, false, 2, 4, 0x01);
    unit_none(u, &a, cdb, len);
    assert_bad_field(&a);
    unit_free(u);
}

static void writing_the_same_has_limits(void **state)
{
    struct unit *u = unit_new("'store': {'type': 'null', 'size': '4T'}");
    uint8_t page[64], cdb[16];
    struct ask a;
    uint64_t most;
    size_t len;

    (void)state;
    unit_in(u, &a, CDB(SCSI_INQUIRY, 1, 0xb0, 0, 64, 0), page, 64);
    most = be64_at(page + 36);
    memset(back, 0, 512);
    len = make_same(cdb, true, 0, (uint32_t)most, 0x08);
    unit_out(u, &a, cdb, len, back, 512);
    assert_good(&a, 512);
    unit_out(u, &a, cdb, len, data, 512);
    assert_good(&a, 512);
    make_same(cdb, true, 0, (uint32_t)most + 1, 0x08);
    unit_out(u, &a, cdb, len, back, 512);
    assert_bad_field(&a);
    make_same(cdb, true, 0, 0, 0); /* to the end is too far */
    unit_out(u, &a, cdb, len, back, 512);
    assert_bad_field(&a);
    unit_free(u);
}

static void assert_overrun(const struct ask *a, uint64_t more)
{
    assert_true(a->done);
    assert_int_equal(a->task.response, SCSI_R_OVERRUN);
    assert_int_equal(a->task.moved, 0);
    assert_int_equal(a->task.overflow, more);
}

/* One block is taken of what there is. */
static void longer_buffers_have_a_residual(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;

    (void)state;
    for (unsigned form = 0; form < 2; form++) {
        size_t len = make_same(cdb, form, 10 * form, 3, 0);

        unit_out(u, &a, cdb, len, data + 512, 1536);
        assert_good(&a, 512);
        unit_read(u, 10 * form, back, 4);
        for (unsigned b = 0; b < 3; b++)
            assert_memory_equal(back + b * 512, data + 512, 512);
        assert_true(is_byte(back + 1536, 512, 0));
    }
    unit_out(u, &a, cdb, make_same(cdb, true, 0, 3, 0x01), data, 512);
    assert_good(&a, 0); /* NDOB */
    unit_read(u, 0, back, 3);
    assert_true(is_byte(back, 1536, 0));
    unit_free(u);
}

static void mistakes_in_write_same(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;

    (void)state;
    for (int form = 0; form < 2; form++) {
        size_t len = make_same(cdb, form, 0, 1, 0);

        unit_out(u, &a, cdb, len, data, 256);
        assert_overrun(&a, 256);
        unit_none(u, &a, cdb, len);
        assert_overrun(&a, 512);
        unit_in(u, &a, cdb, len, back, 512);
        assert_overrun(&a, 512);
        make_same(cdb, form, 0, 1, 0x10); /* ANCHOR */
        unit_out(u, &a, cdb, len, data, 512);
        assert_bad_field(&a);
        make_same(cdb, form, 0, 1, 0x18);
        unit_out(u, &a, cdb, len, data, 512);
        assert_bad_field(&a);
        make_same(cdb, form, 0, 1, 0x20); /* WRPROTECT */
        unit_out(u, &a, cdb, len, data, 512);
        assert_bad_field(&a);
        make_same(cdb, form, MEMORY_BLOCKS - 1, 2, 0);
        unit_out(u, &a, cdb, len, data, 512);
        assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    }
    unit_free(u);
}

/* A pattern of 16 MiB is written in turns of the loop. */
static void a_long_pattern_stops_nobody(void **state)
{
    struct unit *u = unit_new("'store': {'type': 'memory', 'size': '32M'}");
    struct ask a, other;
    uint8_t cdb[16];
    size_t len;

    (void)state;
    len = make_same(cdb, true, 1, 32768, 0);
    ask_init(&a, cdb, len, SCSI_DATA_OUT, data, 512, 0);
    unit_send(u, &a);
    assert_false(a.done);
    unit_none(u, &other, CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0));
    assert_good(&other, 0);
    assert_false(a.done);
    unit_wait(u, &a);
    assert_good(&a, 512);
    for (unsigned lba = 0; lba < 32768 + 2; lba += 32768 / 2) {
        unit_read(u, lba, back, 2);
        if (lba == 0)
            assert_true(is_byte(back, 512, 0));
        else
            assert_memory_equal(back, data, 512);
        if (lba < 32768)
            assert_memory_equal(back + 512, data, 512);
    }
    unit_read(u, 32768, back, 2);
    assert_memory_equal(back, data, 512);
    assert_true(is_byte(back + 512, 512, 0));
    unit_free(u);
}

static void what_cannot_be_given_back_is_not_claimed(void **state)
{
    struct unit *u = unit_new("'read_only': true, " MEMORY_UNIT);
    uint8_t list[24] = {0}, cdb[16];
    struct ask a;
    size_t len;

    (void)state;
    unmap(u, &a, list, sizeof(list));
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
    for (unsigned bits = 0; bits < 0x10; bits += 0x08) {
        len = make_same(cdb, true, 0, 1, bits);
        unit_out(u, &a, cdb, len, data, 512);
        assert_check(&a, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
    }
    unit_in(u, &a, CDB(SCSI_INQUIRY, 1, 0xb2, 0, 64, 0), back, 64);
    assert_good(&a, 8);
    assert_true(is_byte(back + 4, 4, 0));
    unit_in(u, &a, CDB(SCSI_INQUIRY, 1, 0xb0, 0, 64, 0), back, 64);
    assert_true(is_byte(back + 20, 16, 0));
    unit_free(u);
}

static void a_range_that_the_store_cannot_give_back(void **state)
{
    struct unit *u =
        unit_new("'store': {'type': 'fault', 'rules': ["
                 "{'op': 'discard', 'offset': 5120, 'length': 512},"
                 "{'op': 'zero', 'error': 'ENOSPC'}],"
                 "'next': {'type': 'memory', 'size': '1M'}}");
    static const uint64_t ranges[][2] = {{0, 1}, {10, 1}, {20, 1}};
    uint8_t list[100], cdb[16];
    struct ask a;
    size_t len;

    (void)state;
    unit_write(u, 0, data, 30);
    unmap(u, &a, list, make_list(list, ranges, 3));
    assert_check(&a, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
    assert_info(&a, 10);
    unit_read(u, 0, back, 30);
    assert_true(is_byte(back, 512, 0));
    assert_memory_equal(back + 20 * 512, data + 20 * 512, 512);
    memset(back, 0, 512);
    len = make_same(cdb, false, 7, 1, 0);
    unit_out(u, &a, cdb, len, back, 512);
    assert_check(&a, SCSI_DATA_PROTECT, SCSI_ASC_SPACE_ALLOCATION_FAILED);
    assert_info(&a, 7);
    unit_free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_unmapped_reads_as_zeros, setup),
        cmocka_unit_test_setup(lists_that_are_wrong, setup),
        cmocka_unit_test_setup(the_limit_of_unmap_is_the_one_that_is_told,
                               setup),
        cmocka_unit_test_setup(space_is_given_back, setup),
        cmocka_unit_test_setup(the_same_is_written, setup),
        cmocka_unit_test_setup(no_blocks_is_up_to_the_end, setup),
        cmocka_unit_test_setup(no_data_means_zeros, setup),
        cmocka_unit_test_setup(writing_the_same_has_limits, setup),
        cmocka_unit_test_setup(longer_buffers_have_a_residual, setup),
        cmocka_unit_test_setup(mistakes_in_write_same, setup),
        cmocka_unit_test_setup(a_long_pattern_stops_nobody, setup),
        cmocka_unit_test_setup(what_cannot_be_given_back_is_not_claimed, setup),
        cmocka_unit_test_setup(a_range_that_the_store_cannot_give_back, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
