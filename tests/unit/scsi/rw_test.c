/* Medium access: every form of READ and WRITE, and what of them is refused.
 * Spec: SBC-3 5.8 to 5.12, 5.32 to 5.35. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "device/scsi/disk.h"

#define FILE_UNIT "'store': {'type': 'file', 'path': '@/disk', 'lock': false}"

static uint8_t data[65536], back[65536];

static int setup(void **state)
{
    (void)state;
    fill(data, sizeof(data), 1);
    memset(back, 0, sizeof(back));
    return 0;
}

struct form {
    uint8_t read, write;
    unsigned len;
};

static const struct form forms[] = {
    {SCSI_READ_6, SCSI_WRITE_6, 6},
    {SCSI_READ_10, SCSI_WRITE_10, 10},
    {SCSI_READ_12, SCSI_WRITE_12, 12},
    {SCSI_READ_16, SCSI_WRITE_16, 16},
};

static void make(uint8_t *cdb, uint8_t opcode, unsigned len, uint64_t lba,
                 uint32_t blocks)
{
    memset(cdb, 0, 16);
    cdb[0] = opcode;
    switch (len) {
    case 6:
        be32_put(cdb + 1, (uint32_t)lba << 8);
        cdb[4] = (uint8_t)blocks;
        break;
    case 10:
        be32_put(cdb + 2, (uint32_t)lba);
        be16_put(cdb + 7, (uint16_t)blocks);
        break;
    case 12:
        be32_put(cdb + 2, (uint32_t)lba);
        be32_put(cdb + 6, blocks);
        break;
    default:
        be64_put(cdb + 2, lba);
        be32_put(cdb + 10, blocks);
        break;
    }
}

static void every_form_reads_what_every_form_wrote(void **state)
{
    static const char *const units[] = {MEMORY_UNIT, FILE_UNIT};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(units); i++) {
        struct unit *u = unit_new(units[i]);

        for (unsigned j = 0; j < ARRAY_LEN(forms) * ARRAY_LEN(forms); j++) {
            const struct form *w = &forms[j % ARRAY_LEN(forms)];
            const struct form *r = &forms[j / ARRAY_LEN(forms)];
            uint8_t cdb[16];
            struct ask a;

            make(cdb, w->write, w->len, 100 + j, 8);
            unit_out(u, &a, cdb, w->len, data + j, 8 * 512);
            assert_good(&a, 8 * 512);
            make(cdb, r->read, r->len, 100 + j, 8);
            unit_in(u, &a, cdb, r->len, back, 8 * 512);
            assert_good(&a, 8 * 512);
            assert_memory_equal(back, data + j, 8 * 512);
        }
        unit_free(u);
    }
}

/* SBC-3 5.7: READ (6) of 0 blocks is of 256; of the others, of none. */
static void no_blocks(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t *big = malloc(256 * 512), cdb[16];
    struct ask a;

    (void)state;
    unit_write(u, 16, data, 8);
    make(cdb, SCSI_READ_6, 6, 16, 0);
    unit_in(u, &a, cdb, 6, big, 256 * 512);
    assert_good(&a, 256 * 512);
    assert_memory_equal(big, data, 8 * 512);
    for (unsigned i = 1; i < ARRAY_LEN(forms); i++) {
        make(cdb, forms[i].read, forms[i].len, 16, 0);
        unit_none(u, &a, cdb, forms[i].len);
        assert_good(&a, 0);
        make(cdb, forms[i].write, forms[i].len, MEMORY_BLOCKS, 0);
        unit_none(u, &a, cdb, forms[i].len);
        assert_good(&a, 0);
        make(cdb, forms[i].read, forms[i].len, MEMORY_BLOCKS + 1, 0);
        unit_none(u, &a, cdb, forms[i].len);
        assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    }
    free(big);
    unit_free(u);
}

static void a_range_that_is_not_on_the_disk(void **state)
{
    static const struct {
        uint64_t lba;
        uint32_t blocks;
        unsigned form;
    } bad[] = {
        {MEMORY_BLOCKS, 1, 0},       {MEMORY_BLOCKS - 1, 2, 0},
        {0x1fffff, 255, 0},          {MEMORY_BLOCKS, 1, 1},
        {MEMORY_BLOCKS - 1, 2, 1},   {UINT32_MAX, UINT16_MAX, 1},
        {MEMORY_BLOCKS - 1, 2, 2},   {UINT32_MAX, UINT32_MAX, 2},
        {MEMORY_BLOCKS - 1, 2, 3},   {UINT64_MAX, 1, 3},
        {UINT64_MAX, UINT32_MAX, 3}, {UINT64_MAX / 512, 2, 3},
        {UINT64_C(1) << 55, 1, 3},   {UINT64_MAX - 1, 2, 3},
        {0, MEMORY_BLOCKS + 1, 2},   {1, UINT32_MAX, 3},
    };
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        const struct form *f = &forms[bad[i].form];

        make(cdb, f->read, f->len, bad[i].lba, bad[i].blocks);
        unit_in(u, &a, cdb, f->len, back, sizeof(back));
        assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
        make(cdb, f->write, f->len, bad[i].lba, bad[i].blocks);
        unit_out(u, &a, cdb, f->len, data, sizeof(data));
        assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    }
    /* The first block that is not there. */
    make(cdb, SCSI_READ_10, 10, MEMORY_BLOCKS - 1, 2);
    unit_in(u, &a, cdb, 10, back, 1024);
    assert_info(&a, MEMORY_BLOCKS);
    unit_free(u);
}

static void a_bit_that_no_row_claims_is_refused(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;

    (void)state;
    for (unsigned i = 1; i < ARRAY_LEN(forms); i++) {
        /* RDPROTECT, WRPROTECT: there is no protection information. */
        for (unsigned protect = 1; protect < 8; protect++) {
            make(cdb, forms[i].read, forms[i].len, 0, 1);
            cdb[1] = (uint8_t)(protect << 5);
            unit_in(u, &a, cdb, forms[i].len, back, 512);
            assert_bad_field(&a);
            cdb[0] = forms[i].write;
            unit_out(u, &a, cdb, forms[i].len, data, 512);
            assert_bad_field(&a);
        }
        make(cdb, forms[i].read, forms[i].len, 0, 1);
        cdb[1] = 0x18; /* DPO, FUA */
        unit_in(u, &a, cdb, forms[i].len, back, 512);
        assert_good(&a, 512);
        cdb[0] = forms[i].write;
        unit_out(u, &a, cdb, forms[i].len, data, 512);
        assert_good(&a, 512);
        cdb[forms[i].len - 1] = 0x04; /* NACA */
        unit_out(u, &a, cdb, forms[i].len, data, 512);
        assert_bad_field(&a);
    }
    unit_free(u);
}

/* More room than data: the residual is the difference. */
static void buffers_may_be_longer_than_what_is_asked_for(void **state)
{
    static const size_t pieces[] = {0, 512, 700, 1024, 100};
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        make(cdb, SCSI_WRITE_10, 10, 8, 2);
        ask_init(&a, cdb, 10, SCSI_DATA_OUT, data + i, 3000, pieces[i]);
        unit_do(u, &a);
        assert_good(&a, 1024);
        memset(back, 0xaa, 3000);
        make(cdb, SCSI_READ_10, 10, 8, 2);
        ask_init(&a, cdb, 10, SCSI_DATA_IN, back, 3000, pieces[i]);
        unit_do(u, &a);
        assert_good(&a, 1024);
        assert_memory_equal(back, data + i, 1024);
        assert_true(is_byte(back + 1024, 3000 - 1024, 0xaa));
    }
    unit_free(u);
}

/* Spec: virtio-scsi, OVERRUN: nothing is done. */
static void buffers_that_are_too_short(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;

    (void)state;
    make(cdb, SCSI_WRITE_10, 10, 0, 2);
    unit_out(u, &a, cdb, 10, data, 1023);
    assert_int_equal(a.task.response, SCSI_R_OVERRUN);
    assert_int_equal(a.task.moved, 0);
    assert_int_equal(a.task.overflow, 1);
    unit_read(u, 0, back, 2);
    assert_true(is_byte(back, 1024, 0));
    cdb[0] = SCSI_READ_10;
    unit_in(u, &a, cdb, 10, back, 512);
    assert_int_equal(a.task.response, SCSI_R_OVERRUN);
    assert_int_equal(a.task.overflow, 512);
    /* And none at all, or in the wrong direction. */
    unit_none(u, &a, cdb, 10);
    assert_int_equal(a.task.response, SCSI_R_OVERRUN);
    unit_out(u, &a, cdb, 10, data, 1024);
    assert_int_equal(a.task.response, SCSI_R_OVERRUN);
    assert_int_equal(a.task.overflow, 1024);
    unit_free(u);
}

static void more_than_the_limit_is_refused(void **state)
{
    struct unit *u =
        unit_new("'store': {'type': 'null', 'size': '4T', 'read_zeros': true}");
    uint32_t most = DISK_TRANSFER_MAX_BYTES / 512;
    uint8_t cdb[16], *big = calloc(most, 512);
    struct ask a;

    (void)state;
    make(cdb, SCSI_READ_16, 16, UINT64_C(1) << 32, most);
    unit_in(u, &a, cdb, 16, big, (size_t)most * 512);
    assert_good(&a, (size_t)most * 512);
    make(cdb, SCSI_READ_16, 16, 0, most + 1);
    unit_in(u, &a, cdb, 16, big, (size_t)most * 512);
    assert_bad_field(&a);
    free(big);
    unit_free(u);
}

static void larger_blocks(void **state)
{
    struct unit *u = unit_new("'logical_block_size': 4096, " MEMORY_UNIT);
    uint8_t cdb[16];
    struct ask a;

    (void)state;
    make(cdb, SCSI_WRITE_10, 10, 255, 1);
    unit_out(u, &a, cdb, 10, data, 4096);
    assert_good(&a, 4096);
    cdb[0] = SCSI_READ_10;
    unit_in(u, &a, cdb, 10, back, 4096);
    assert_good(&a, 4096);
    assert_memory_equal(back, data, 4096);
    make(cdb, SCSI_READ_10, 10, 256, 1);
    unit_in(u, &a, cdb, 10, back, 4096);
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    unit_free(u);
}

#define FAULTY(rule)                                                           \
    "'store': {'type': 'fault', 'rules': [" rule                               \
    "], 'next': {'type': 'memory', 'size': '1M'}}"

static void what_the_store_cannot_do(void **state)
{
    struct unit *u = unit_new(FAULTY("{'op': 'read'}, {'op': 'flush'},"
                                     "{'op': 'write', 'length': 512},"
                                     "{'op': 'write', 'error': 'ENOSPC'}"));
    uint8_t cdb[16];
    struct ask a;

    (void)state;
    make(cdb, SCSI_READ_10, 10, 77, 1);
    unit_in(u, &a, cdb, 10, back, 512);
    assert_check(&a, SCSI_MEDIUM_ERROR, SCSI_ASC_UNRECOVERED_READ_ERROR);
    assert_info(&a, 77);
    make(cdb, SCSI_WRITE_10, 10, 0, 1);
    unit_out(u, &a, cdb, 10, data, 512);
    assert_check(&a, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
    assert_info(&a, 0);
    make(cdb, SCSI_WRITE_10, 10, 9, 1);
    unit_out(u, &a, cdb, 10, data, 512);
    assert_check(&a, SCSI_DATA_PROTECT, SCSI_ASC_SPACE_ALLOCATION_FAILED);
    assert_info(&a, 9);
    unit_none(u, &a, CDB(SCSI_SYNC_CACHE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    assert_check(&a, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
    unit_free(u);
}

/* 32 bits of fixed format sense data do not hold every block's number. */
static void an_lba_that_sense_data_cannot_hold_is_left_out(void **state)
{
    struct unit *u =
        unit_new("'store': {'type': 'fault', 'rules': [{'op': 'read'}],"
                 "'next': {'type': 'null', 'size': '4T'}}");
    uint8_t cdb[16];
    struct ask a;

    (void)state;
    make(cdb, SCSI_READ_16, 16, UINT64_C(1) << 32, 1);
    unit_in(u, &a, cdb, 16, back, 512);
    assert_check(&a, SCSI_MEDIUM_ERROR, SCSI_ASC_UNRECOVERED_READ_ERROR);
    assert_int_equal(a.task.sense[0], 0x70);
    unit_free(u);
}

static void a_cache_is_synchronized(void **state)
{
    struct unit *u = unit_new(FILE_UNIT);
    struct ask a;

    (void)state;
    unit_none(u, &a, CDB(SCSI_SYNC_CACHE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    assert_good(&a, 0);
    unit_none(u, &a, CDB(SCSI_SYNC_CACHE_10, 2, 0, 0, 0, 7, 0, 0, 9, 0));
    assert_good(&a, 0);
    unit_none(u, &a, CDB(SCSI_SYNC_CACHE_10, 0, 0, 0, 8, 1, 0, 0, 0, 0));
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    unit_none(u, &a,
              CDB(SCSI_SYNC_CACHE_16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff,
                  0xff, 0xff, 0, 0));
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    unit_none(
        u, &a,
        CDB(SCSI_SYNC_CACHE_16, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0));
    assert_good(&a, 0);
    unit_free(u);
}

/* SBC-3 5.19, 4.20. */
static void a_stopped_disk_is_not_ready(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    struct ask a;

    (void)state;
    unit_none(u, &a, CDB(SCSI_START_STOP_UNIT, 1, 0, 0, 0, 0));
    assert_good(&a, 0);
    unit_none(u, &a, CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0));
    assert_check(&a, SCSI_NOT_READY, SCSI_ASC_START_REQUIRED);
    unit_in(u, &a, CDB(SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1, 0), back, 512);
    assert_check(&a, SCSI_NOT_READY, SCSI_ASC_START_REQUIRED);
    unit_in(u, &a, CDB(SCSI_INQUIRY, 0, 0, 0, 36, 0), back, 36);
    assert_good(&a, 36);
    unit_in(u, &a, CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 18, 0), back, 18);
    assert_good(&a, 18);
    assert_int_equal(back[2], SCSI_NOT_READY);
    unit_none(u, &a, CDB(SCSI_START_STOP_UNIT, 0, 0, 0, 1, 0));
    assert_good(&a, 0);
    unit_none(u, &a, CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0));
    assert_good(&a, 0);
    /* Nothing can be ejected, and there are no power conditions. */
    unit_none(u, &a, CDB(SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0));
    assert_bad_field(&a);
    unit_none(u, &a, CDB(SCSI_START_STOP_UNIT, 0, 0, 0, 0x10, 0));
    assert_bad_field(&a);
    unit_free(u);
}

static void nothing_is_written_to_what_is_read_only(void **state)
{
    static const char *const units[] = {"'read_only': true, " MEMORY_UNIT,
                                        "'read_only': true, " FILE_UNIT};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(units); i++) {
        struct unit *u = unit_new(units[i]);
        uint8_t cdb[16];
        struct ask a;

        for (unsigned j = 0; j < ARRAY_LEN(forms); j++) {
            make(cdb, forms[j].write, forms[j].len, 0, 1);
            unit_out(u, &a, cdb, forms[j].len, data, 512);
            assert_check(&a, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
            make(cdb, forms[j].read, forms[j].len, 0, 1);
            unit_in(u, &a, cdb, forms[j].len, back, 512);
            assert_good(&a, 512);
        }
        unit_in(u, &a, CDB(SCSI_MODE_SENSE_6, 0, 0x3f, 0, 255, 0), back, 255);
        assert_int_equal(back[2], 0x90); /* WP, DPOFUA */
        unit_free(u);
    }
}

static void what_is_no_command(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    struct ask a;

    (void)state;
    unit_none(u, &a, CDB(SCSI_RESERVE_6, 0, 0, 0, 0, 0));
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
    unit_in(u, &a, CDB(SCSI_PR_IN, 0, 0, 0, 0, 0, 0, 0, 8, 0), back, 8);
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
    unit_none(u, &a, CDB(0x02, 0, 0, 0, 0, 0));
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
    unit_none(u, &a,
              CDB(SCSI_SERVICE_ACTION_IN_16, 0x1e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                  0, 0, 0, 0));
    assert_bad_field(&a);
    unit_free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_form_reads_what_every_form_wrote, setup),
        cmocka_unit_test_setup(no_blocks, setup),
        cmocka_unit_test_setup(a_range_that_is_not_on_the_disk, setup),
        cmocka_unit_test_setup(a_bit_that_no_row_claims_is_refused, setup),
        cmocka_unit_test_setup(buffers_may_be_longer_than_what_is_asked_for,
                               setup),
        cmocka_unit_test_setup(buffers_that_are_too_short, setup),
        cmocka_unit_test_setup(more_than_the_limit_is_refused, setup),
        cmocka_unit_test_setup(larger_blocks, setup),
        cmocka_unit_test_setup(what_the_store_cannot_do, setup),
        cmocka_unit_test_setup(an_lba_that_sense_data_cannot_hold_is_left_out,
                               setup),
        cmocka_unit_test_setup(a_cache_is_synchronized, setup),
        cmocka_unit_test_setup(a_stopped_disk_is_not_ready, setup),
        cmocka_unit_test_setup(nothing_is_written_to_what_is_read_only, setup),
        cmocka_unit_test_setup(what_is_no_command, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
