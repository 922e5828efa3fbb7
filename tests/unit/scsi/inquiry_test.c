/* What a disk tells of itself. SPC-4 6.6, 6.35, 6.36, 6.39, 7.8; SBC-3 5.6,
 * 5.15, 5.16, 6.5. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/scsi/disk.h"

#define BIG_UNIT "'store': {'type': 'null', 'size': '4T'}"

static uint8_t back[2048];

static int setup(void **state)
{
    (void)state;
    memset(back, 0xaa, sizeof(back));
    return 0;
}

static uint64_t inquire(struct unit *u, bool vpd, uint8_t page, uint16_t len)
{
    uint8_t cdb[6] = {SCSI_INQUIRY, vpd, page};
    struct ask a;

    be16_put(cdb + 3, len);
    unit_in(u, &a, cdb, sizeof(cdb), back, len);
    assert_good(&a, a.task.moved);
    return a.task.moved;
}

static void standard_data(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t first[255];
    struct ask a;

    (void)state;
    assert_int_equal(inquire(u, false, 0, 255), 74);
    assert_int_equal(back[0], 0);    /* a disk, connected */
    assert_int_equal(back[1], 0);    /* not removable */
    assert_int_equal(back[2], 6);    /* SPC-4 */
    assert_int_equal(back[3], 0x12); /* HISUP, format */
    assert_int_equal(back[4], 74 - 5);
    assert_int_equal(back[7], 2); /* CMDQUE */
    assert_memory_equal(back + 8, "VUB     DISK            ", 24);
    assert_int_equal(be16_at(back + 58), 0x00a0);
    assert_int_equal(be16_at(back + 60), 0x0460);
    assert_int_equal(be16_at(back + 62), 0x04c0);
    memcpy(first, back, 74);
    for (uint16_t n = 0; n < 300; n++) {
        memset(back, 0xaa, sizeof(back));
        assert_int_equal(inquire(u, false, 0, n), MIN(n, 74));
        assert_memory_equal(back, first, MIN(n, 74));
        assert_int_equal(back[MIN(n, 74)], 0xaa);
    }
    /* A page without EVPD. */
    unit_in(u, &a, CDB(SCSI_INQUIRY, 0, 0x80, 0, 255, 0), back, 255);
    assert_bad_field(&a);
    unit_in(u, &a, CDB(SCSI_INQUIRY, 2, 0, 0, 255, 0), back, 255);
    assert_bad_field(&a); /* CMDDT */
    unit_free(u);
}

/* Spec: virtio-scsi, OVERRUN: what fits is there. */
static void data_that_the_guest_has_no_room_for(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    struct ask a;

    (void)state;
    unit_in(u, &a, CDB(SCSI_INQUIRY, 0, 0, 0, 74, 0), back, 36);
    assert_int_equal(a.task.response, SCSI_R_OVERRUN);
    assert_int_equal(a.task.moved, 36);
    assert_int_equal(a.task.overflow, 38);
    assert_int_equal(back[36], 0xaa);
    /* It is the data that counts, not what it may be at most. */
    unit_in(u, &a, CDB(SCSI_INQUIRY, 0, 0, 4, 0, 0), back, 74);
    assert_good(&a, 74);
    unit_out(u, &a, CDB(SCSI_INQUIRY, 0, 0, 0, 74, 0), back, 100);
    assert_int_equal(a.task.response, SCSI_R_OVERRUN);
    assert_int_equal(a.task.moved, 0);
    unit_free(u);
}

static void every_page_that_is_listed_is_there(void **state)
{
    static const uint8_t pages[] = {0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2};
    struct unit *u = unit_new(MEMORY_UNIT);
    struct ask a;

    (void)state;
    assert_int_equal(inquire(u, true, 0, 255), 4 + sizeof(pages));
    assert_memory_equal(back + 4, pages, sizeof(pages));
    for (unsigned code = 0; code < 256; code++) {
        bool listed = memchr(pages, (int)code, sizeof(pages));

        unit_in(u, &a, CDB(SCSI_INQUIRY, 1, (uint8_t)code, 4, 0, 0), back,
                1024);
        if (!listed) {
            assert_bad_field(&a);
            continue;
        }
        assert_good(&a, 4u + be16_at(back + 2));
        assert_int_equal(back[0], 0);
        assert_int_equal(back[1], code);
    }
    unit_free(u);
}

/* There is no grouping function: a group number is taken, and means nothing;
 * iscsi-test-cu sends some. */
static void what_is_not_there_is_not_claimed(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    struct ask a;

    (void)state;
    inquire(u, true, 0x86, 255);
    assert_int_equal(back[5], 0x07); /* HEADSUP, ORDSUP, SIMPSUP */
    unit_none(u, &a, CDB(SCSI_PREFETCH_10, 0, 0, 0, 0, 0, 3, 0, 1, 0));
    assert_good(&a, 0);
    unit_free(u);
}

/* What /dev/disk/by-id is made of: page 83's NAA, then its vendor id. */
static void identity(struct unit *u, uint64_t *naa, char *serial)
{
    uint64_t len = inquire(u, true, 0x80, 255);

    memcpy(serial, back + 4, len - 4);
    serial[len - 4] = '\0';
    inquire(u, true, 0x83, 255);
    assert_int_equal(back[4], 0x02);
    assert_int_equal(back[5], 0x01);
    assert_int_equal(back[7], 8 + strlen(serial));
    assert_memory_equal(back + 8, "VUB     ", 8);
    assert_memory_equal(back + 16, serial, strlen(serial));
    *naa = be64_at(back + 16 + strlen(serial) + 4);
    assert_int_equal(*naa >> 60, 3);
    assert_int_equal(be16_at(back + 2), 12 + strlen(serial) + 12);
}

static void a_disk_is_known_again(void **state)
{
    static const char *const configs[] = {
        MEMORY_UNIT, "'serial': 'one', " MEMORY_UNIT,
        "'serial': 'one', 'target': 4, " BIG_UNIT, "'target': 4, " MEMORY_UNIT,
        "'serial': 'a\\u00e9b', " MEMORY_UNIT};
    uint64_t naa[ARRAY_LEN(configs)], again;
    char serial[ARRAY_LEN(configs)][64], text[64];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(configs); i++) {
        struct unit *u = unit_new(configs[i]);

        identity(u, &naa[i], serial[i]);
        unit_free(u);
        u = unit_new(configs[i]);
        identity(u, &again, text);
        assert_int_equal(again, naa[i]);
        assert_string_equal(text, serial[i]);
        unit_free(u);
    }
    assert_string_equal(serial[0], "test-0-0");
    assert_string_equal(serial[1], "one");
    assert_string_equal(serial[3], "test-4-0");
    assert_string_equal(serial[4], "a__b"); /* ASCII */
    assert_int_equal(naa[1], naa[2]);
    assert_true(naa[0] != naa[1] && naa[0] != naa[3] && naa[1] != naa[3]);
    /* For all times. */
    assert_true(naa[0] == UINT64_C(0x3c81ea1a097a6ed2));
}

static void limits(void **state)
{
    struct unit *u = unit_new("'physical_block_size': 4096, " MEMORY_UNIT);

    (void)state;
    assert_int_equal(inquire(u, true, 0xb0, 64), 64);
    assert_int_equal(back[4], 0); /* WSNZ */
    assert_int_equal(back[5], 255);
    assert_int_equal(be16_at(back + 6), 8);
    assert_int_equal(be32_at(back + 8), DISK_TRANSFER_MAX_BYTES / 512);
    assert_int_equal(be32_at(back + 20), DISK_UNMAP_MAX_BLOCKS);
    assert_int_equal(be32_at(back + 24), DISK_UNMAP_MAX_RANGES);
    assert_int_equal(be32_at(back + 28), 8); /* a page */
    assert_int_equal(be32_at(back + 32), 0x80000000);
    assert_int_equal(be64_at(back + 36), DISK_SAME_MAX_BLOCKS);
    assert_int_equal(inquire(u, true, 0xb1, 64), 64);
    assert_int_equal(be16_at(back + 4), 1);
    assert_int_equal(inquire(u, true, 0xb2, 64), 8);
    assert_int_equal(back[5], 0xc4); /* LBPU, LBPWS, LBPRZ */
    assert_int_equal(back[6], 2);    /* thin */
    unit_free(u);
    /* One that does not promise zeros. */
    u = unit_new(BIG_UNIT);
    inquire(u, true, 0xb2, 64);
    assert_int_equal(back[5], 0xc0);
    unit_free(u);
}

static void capacity(void **state)
{
    struct unit *u = unit_new("'physical_block_size': 4096, " MEMORY_UNIT);
    struct ask a;

    (void)state;
    unit_in(u, &a, CDB(SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0), back,
            8);
    assert_good(&a, 8);
    assert_int_equal(be32_at(back), MEMORY_BLOCKS - 1);
    assert_int_equal(be32_at(back + 4), 512);
    unit_in(u, &a, CDB(SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 1, 0), back,
            8);
    assert_bad_field(&a); /* PMI */
    for (uint8_t len = 0; len < 40; len++) {
        unit_in(u, &a,
                CDB(SCSI_SERVICE_ACTION_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                    0, 0, len, 0, 0),
                back, len);
        assert_good(&a, MIN(len, 32));
    }
    assert_int_equal(be64_at(back), MEMORY_BLOCKS - 1);
    assert_int_equal(be32_at(back + 8), 512);
    assert_int_equal(back[12], 0);    /* no protection */
    assert_int_equal(back[13], 3);    /* 8 blocks are a physical one */
    assert_int_equal(back[14], 0xc0); /* LBPME, LBPRZ */
    unit_free(u);
    u = unit_new(BIG_UNIT);
    unit_in(u, &a, CDB(SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0), back,
            8);
    assert_int_equal(be32_at(back), UINT32_MAX);
    unit_in(u, &a,
            CDB(SCSI_SERVICE_ACTION_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 32, 0, 0),
            back, 32);
    assert_int_equal(be64_at(back), (UINT64_C(1) << 33) - 1);
    assert_int_equal(back[14], 0x80);
    unit_free(u);
}

static void lba_status(void **state)
{
    uint8_t cdb[16] = {SCSI_SERVICE_ACTION_IN_16, 0x12, [13] = 24};
    struct unit *u = unit_new(BIG_UNIT);
    struct ask a;

    (void)state;
    be64_put(cdb + 2, 100);
    unit_in(u, &a, cdb, 16, back, 24);
    assert_good(&a, 24);
    assert_int_equal(be32_at(back), 20);
    assert_int_equal(be64_at(back + 8), 100);
    assert_int_equal(be32_at(back + 16), UINT32_MAX);
    assert_int_equal(back[20], 0); /* mapped */
    be64_put(cdb + 2, (UINT64_C(1) << 33) - 5);
    unit_in(u, &a, cdb, 16, back, 24);
    assert_int_equal(be32_at(back + 16), 5);
    be64_put(cdb + 2, UINT64_C(1) << 33);
    unit_in(u, &a, cdb, 16, back, 24);
    assert_check(&a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    unit_free(u);
}

static void there_are_no_defects(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    struct ask a;

    (void)state;
    unit_in(u, &a, CDB(SCSI_READ_DEFECT_DATA_10, 0, 0x1d, 0, 0, 0, 0, 0, 32, 0),
            back, 32);
    assert_good(&a, 4);
    assert_int_equal(be32_at(back), 0x001d0000);
    unit_in(u, &a,
            CDB(SCSI_READ_DEFECT_DATA_12, 0x0d, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0),
            back, 32);
    assert_good(&a, 8);
    assert_int_equal(be32_at(back), 0x000d0000);
    assert_int_equal(be32_at(back + 4), 0);
    unit_free(u);
}

static void sense_on_request(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    struct ask a;

    (void)state;
    unit_in(u, &a, CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 252, 0), back, 252);
    assert_good(&a, 18);
    assert_int_equal(back[0], 0x70);
    assert_int_equal(back[2], 0);
    assert_int_equal(be16_at(back + 12), 0);
    unit_in(u, &a, CDB(SCSI_REQUEST_SENSE, 1, 0, 0, 252, 0), back, 252);
    assert_good(&a, 8);
    assert_int_equal(back[0], 0x72);
    unit_free(u);
}

/* ---- REPORT SUPPORTED OPERATION CODES ---- */

static void ask_codes(struct unit *u, struct ask *a, uint8_t option,
                      uint8_t opcode, uint16_t action)
{
    uint8_t cdb[12] = {SCSI_MAINTENANCE_IN, SCSI_MI_REPORT_OPCODES, option,
                       opcode};

    be16_put(cdb + 4, action);
    be32_put(cdb + 6, sizeof(back));
    memset(back, 0xaa, sizeof(back));
    unit_in(u, a, cdb, sizeof(cdb), back, sizeof(back));
}

static void every_command_is_told_of_in_every_way(void **state)
{
    static const char *const units[] = {MEMORY_UNIT,
                                        "'read_only': true, " MEMORY_UNIT};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(units); i++) {
        struct unit *u = unit_new(units[i]);
        uint8_t list[2048];
        struct ask a;
        uint32_t len;

        ask_codes(u, &a, 0, 0, 0);
        memcpy(list, back, sizeof(list));
        len = be32_at(list);
        assert_good(&a, 4 + len);
        assert_true(len / 8 > 35);
        for (uint32_t at = 4; at < 4 + len; at += 8) {
            bool acts = list[at + 5] & 1;
            uint16_t action = be16_at(list + at + 2);
            uint16_t size = be16_at(list + at + 6);
            uint8_t none[16] = {list[at]};

            assert_int_equal(scsi_cdb_len(none, 16), size);
            assert_true(acts || action == 0);
            assert_int_equal(list[at + 5] & 2, 0); /* CTDP */
            ask_codes(u, &a, acts ? 2 : 1, list[at], action);
            assert_good(&a, 4u + size);
            assert_int_equal(back[1], 3);
            assert_int_equal(be16_at(back + 2), size);
            assert_int_equal(back[4], list[at]);
            if (acts)
                assert_int_equal(back[5] & 0x1f, action);
            ask_codes(u, &a, acts ? 1 : 2, list[at], action);
            assert_bad_field(&a);
            ask_codes(u, &a, 3, list[at], action);
            assert_good(&a, 4u + size);
            assert_int_equal(back[1], 3);
            if (!acts) {
                ask_codes(u, &a, 3, list[at], 1);
                assert_good(&a, 4);
                assert_int_equal(back[1], 1);
            }
        }
        unit_free(u);
    }
}

static void commands_with_timeouts(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint32_t len, plain;
    struct ask a;

    (void)state;
    ask_codes(u, &a, 0, 0, 0);
    plain = be32_at(back);
    ask_codes(u, &a, 0x80, 0, 0);
    len = be32_at(back);
    assert_good(&a, 4 + len);
    assert_int_equal(len, plain / 8 * 20);
    for (uint32_t at = 4; at < 4 + len; at += 20) {
        assert_true(back[at + 5] & 2);
        assert_int_equal(be16_at(back + at + 8), 10);
    }
    ask_codes(u, &a, 0x81, SCSI_READ_16, 0);
    assert_good(&a, 4 + 16 + 12);
    assert_int_equal(back[1], 0x83);
    assert_int_equal(be16_at(back + 20), 10);
    unit_free(u);
}

static void what_is_not_there_is_not_told_of(void **state)
{
    struct unit *u = unit_new("'read_only': true, " MEMORY_UNIT);
    struct ask a;

    (void)state;
    ask_codes(u, &a, 1, SCSI_UNMAP, 0);
    assert_good(&a, 4);
    assert_int_equal(back[1], 1);
    ask_codes(u, &a, 1, SCSI_PR_IN, 0);
    assert_int_equal(back[1], 1);
    ask_codes(u, &a, 2, SCSI_PR_IN, 0);
    assert_int_equal(back[1], 1);
    ask_codes(u, &a, 2, SCSI_SERVICE_ACTION_IN_16, 0x1f);
    assert_good(&a, 4);
    assert_int_equal(back[1], 1);
    ask_codes(u, &a, 2, SCSI_SERVICE_ACTION_IN_16, 0x0110);
    assert_int_equal(back[1], 1); /* not 0x10 */
    ask_codes(u, &a, 4, 0, 0);
    assert_bad_field(&a);
    /* No bit to ask to unmap by. */
    ask_codes(u, &a, 1, SCSI_WRITE_SAME_16, 0);
    assert_int_equal(back[1], 3);
    assert_int_equal(back[5], 0x01);
    unit_free(u);
    u = unit_new(MEMORY_UNIT);
    ask_codes(u, &a, 1, SCSI_WRITE_SAME_16, 0);
    assert_int_equal(back[5], 0x09);
    ask_codes(u, &a, 1, SCSI_READ_10, 0);
    assert_int_equal(back[5], 0x18); /* DPO, FUA */
    unit_free(u);
}

/* Every bit that a row does not have is refused. */
static void bits_that_are_not_told_of_are_refused(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    uint8_t list[1024], usage[16];
    struct ask a;
    uint32_t len;

    (void)state;
    ask_codes(u, &a, 0, 0, 0);
    memcpy(list, back, sizeof(list));
    len = be32_at(list);
    for (uint32_t at = 4; at < 4 + len; at += 8) {
        uint16_t size = be16_at(list + at + 6);
        bool acts = list[at + 5] & 1;

        if (list[at] == SCSI_REPORT_LUNS)
            continue; /* the controller's */
        ask_codes(u, &a, 3, list[at], be16_at(list + at + 2));
        memcpy(usage, back + 4, size);
        for (unsigned bit = 8; bit < 8u * size; bit++) {
            uint8_t cdb[16] = {list[at]};

            if (usage[bit / 8] & 1 << bit % 8)
                continue;
            if (acts && bit < 13)
                continue; /* another action */
            cdb[1] = acts ? list[at + 3] : 0;
            cdb[bit / 8] |= (uint8_t)(1 << bit % 8);
            unit_in(u, &a, cdb, size, back, sizeof(back));
            assert_bad_field(&a);
        }
    }
    unit_free(u);
}

static void task_management_is_told_of(void **state)
{
    struct unit *u = unit_new(MEMORY_UNIT);
    struct ask a;

    (void)state;
    unit_in(u, &a,
            CDB(SCSI_MAINTENANCE_IN, SCSI_MI_REPORT_TMFS, 0, 0, 0, 0, 0, 0, 0,
                16, 0, 0),
            back, 16);
    assert_good(&a, 4);
    assert_int_equal(back[0], 0xdc); /* not CLEAR ACA */
    assert_int_equal(back[1], 0x03);
    unit_in(u, &a,
            CDB(SCSI_MAINTENANCE_IN, SCSI_MI_REPORT_TMFS, 0x80, 0, 0, 0, 0, 0,
                0, 255, 0, 0),
            back, 255);
    assert_good(&a, 16);
    assert_int_equal(back[3], 12);
    unit_free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(standard_data, setup),
        cmocka_unit_test_setup(data_that_the_guest_has_no_room_for, setup),
        cmocka_unit_test_setup(every_page_that_is_listed_is_there, setup),
        cmocka_unit_test_setup(what_is_not_there_is_not_claimed, setup),
        cmocka_unit_test_setup(a_disk_is_known_again, setup),
        cmocka_unit_test_setup(limits, setup),
        cmocka_unit_test_setup(capacity, setup),
        cmocka_unit_test_setup(lba_status, setup),
        cmocka_unit_test_setup(there_are_no_defects, setup),
        cmocka_unit_test_setup(sense_on_request, setup),
        cmocka_unit_test_setup(every_command_is_told_of_in_every_way, setup),
        cmocka_unit_test_setup(commands_with_timeouts, setup),
        cmocka_unit_test_setup(what_is_not_there_is_not_told_of, setup),
        cmocka_unit_test_setup(bits_that_are_not_told_of_are_refused, setup),
        cmocka_unit_test_setup(task_management_is_told_of, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
