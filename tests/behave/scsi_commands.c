/* Commands to a SCSI controller, on every kind of ring: what their answers say,
 * and in which pieces they may come. */
#include "luns.h"

static const char controller[] = THREE_UNITS;

/* ---- How much of it ---- */

static void cut_answers(struct scsi *s)
{
    uint8_t whole[96], part[96];
    struct scsi_answer a;
    uint32_t all;

    a = scsi_in(s->queue[0], scsi_at(0, 0), CDB(SCSI_INQUIRY, 0, 0, 0, 96, 0),
                whole, 96);
    scsi_need_good(a);
    all = 96 - a.residual;
    assert_true(all >= 36);
    assert_int_equal(all, whole[4] + 5u);
    for (uint32_t len = 0; len < all; len += 5) {
        /* Fewer bytes are asked for than there is room for. */
        memset(part, 0xaa, sizeof(part));
        a = scsi_in(s->queue[0], scsi_at(0, 0),
                    CDB(SCSI_INQUIRY, 0, 0, 0, (uint8_t)len, 0), part, 96);
        scsi_need_good(a);
        assert_int_equal(a.residual, 96 - len);
        assert_memory_equal(part, whole, len);
        for (uint32_t i = len; i < sizeof(part); i++)
            assert_int_equal(part[i], 0xaa);
        /* There is less room than is asked for. */
        if (len == 0)
            continue;
        memset(part, 0xaa, sizeof(part));
        a = scsi_in(s->queue[0], scsi_at(0, 0),
                    CDB(SCSI_INQUIRY, 0, 0, 0, 96, 0), part, len);
        assert_true(a.response == VIRTIO_SCSI_S_OK ||
                    a.response == VIRTIO_SCSI_S_OVERRUN);
        assert_int_equal(a.residual, 0);
        assert_memory_equal(part, whole, len);
    }
}

static void an_answer_is_cut_where_it_is_asked_to(void **state)
{
    (void)state;
    on_all_rings(controller, cut_answers);
}

static void tell_residuals(struct scsi *s)
{
    struct scsi_lun lun = scsi_at(0, 0);
    struct vq *q = s->queue[0];
    uint8_t data[4096], again[4096], want[4096];
    struct scsi_answer a;

    scsi_attend(q, lun);
    front_fill(want, sizeof(want), 7);
    scsi_write(q, lun, 64, want, sizeof(want));
    /* More room than is read. */
    memset(data, 0xaa, sizeof(data));
    a = scsi_in(q, lun, CDB_16(SCSI_READ_16, 64, 3), data, sizeof(data));
    scsi_need_good(a);
    assert_int_equal(a.residual, sizeof(data) - 3 * 512);
    assert_memory_equal(data, want, 3 * 512);
    assert_int_equal(data[3 * 512], 0xaa);
    /* More bytes than are written. */
    memset(data, 0x55, sizeof(data));
    a = scsi_out(q, lun, CDB_16(SCSI_WRITE_16, 65, 2), data, sizeof(data));
    scsi_need_good(a);
    assert_int_equal(a.residual, sizeof(data) - 2 * 512);
    memset(want + 512, 0x55, 1024);
    scsi_read(q, lun, 64, again, sizeof(again));
    assert_memory_equal(again, want, sizeof(want));
    /* Less: nothing half done counts as done. */
    a = scsi_in(q, lun, CDB_16(SCSI_READ_16, 64, 8), data, 1024);
    scsi_need_response(a, VIRTIO_SCSI_S_OVERRUN);
    a = scsi_out(q, lun, CDB_16(SCSI_WRITE_16, 64, 8), data, 1024);
    scsi_need_response(a, VIRTIO_SCSI_S_OVERRUN);
    /* Neither direction, or the other one. */
    a = scsi_do(q, lun, CDB_16(SCSI_READ_16, 64, 8));
    scsi_need_response(a, VIRTIO_SCSI_S_OVERRUN);
    a = scsi_out(q, lun, CDB_16(SCSI_READ_16, 64, 8), data, 4096);
    assert_true(a.response != VIRTIO_SCSI_S_OK || a.status != SCSI_GOOD);
    a = scsi_in(q, lun, CDB_16(SCSI_WRITE_16, 64, 8), data, 4096);
    assert_true(a.response != VIRTIO_SCSI_S_OK || a.status != SCSI_GOOD);
    /* No data, and room for it. */
    a = scsi_in(q, lun, TEST_UNIT_READY, data, 4096);
    scsi_need_good(a);
    assert_int_equal(a.residual, 4096);
}

static void what_was_not_moved_is_told(void **state)
{
    (void)state;
    on_all_rings(controller, tell_residuals);
}

/* ---- CDBs ---- */

static void send_odd_cdbs(struct scsi *s)
{
    static const struct {
        uint8_t cdb[32];
        uint16_t asc;
    } odd[] = {
        {{0x7f, 0, 0, 0, 0, 0, 0, 24, 0, 9}, SCSI_ASC_INVALID_OPCODE},
        {{0x7f, 0, 0, 0, 0, 0, 0, 0}, SCSI_ASC_INVALID_OPCODE},
        {{0x7f, 0, 0, 0, 0, 0, 0, 28}, SCSI_ASC_INVALID_OPCODE}, /* 36 bytes */
        {{0x7f, 0, 0, 0, 0, 0, 0, 252}, SCSI_ASC_INVALID_OPCODE},
        {{0x7f, 0, 0, 0, 0, 0, 0, 23}, SCSI_ASC_INVALID_OPCODE}, /* odd */
        {{0x60}, SCSI_ASC_INVALID_OPCODE},                       /* reserved */
        {{0x7e}, SCSI_ASC_INVALID_OPCODE}, /* extended, of any length */
        {{0xc0}, SCSI_ASC_INVALID_OPCODE}, /* vendors' */
        {{0xff, 0xff, 0xff}, SCSI_ASC_INVALID_OPCODE},
        {{0x01}, SCSI_ASC_INVALID_OPCODE},
        {{0x9f, 0x1f}, SCSI_ASC_INVALID_OPCODE},
    };
    uint8_t data[96];

    scsi_attend(s->queue[0], scsi_at(0, 0));
    for (unsigned i = 0; i < ARRAY_LEN(odd); i++) {
        struct scsi_answer a;

        scsi_need_sense(scsi_do(s->queue[0], scsi_at(0, 0), odd[i].cdb, 32),
                        SCSI_ILLEGAL_REQUEST, odd[i].asc);
        a = scsi_in(s->queue[0], scsi_at(0, 0), odd[i].cdb, 32, data, 96);
        scsi_need_sense(a, SCSI_ILLEGAL_REQUEST, odd[i].asc);
        assert_int_equal(a.residual, 96);
        scsi_need_sense(scsi_do(s->queue[0], scsi_at(0, 1), odd[i].cdb, 32),
                        SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
    }
}

static void a_cdb_that_nobody_knows_is_an_illegal_request(void **state)
{
    (void)state;
    on_all_rings(controller, send_odd_cdbs);
}

/* Whatever is behind a CDB's own length does not matter. */
static void bytes_behind_a_cdb_are_ignored(void **state)
{
    struct vub *v = vub_start(controller);
    struct scsi *s = scsi_open(v, "san", NULL, 1);
    uint8_t cdb[32], block[512];

    (void)state;
    scsi_attend(s->queue[0], scsi_at(0, 0));
    memset(cdb, 0xff, sizeof(cdb));
    memcpy(cdb, (const uint8_t[]){SCSI_READ_10, 0, 0, 0, 0, 5, 0, 0, 1, 0}, 10);
    scsi_need_good(
        scsi_in(s->queue[0], scsi_at(0, 0), cdb, 32, block, sizeof(block)));
    scsi_close(s);
    vub_free(v);
}

/* ---- Unit attention ---- */

static void attend(struct scsi *s)
{
    uint8_t data[96];
    struct scsi_answer a;

    /* INQUIRY and REPORT LUNS look, and leave it. */
    a = scsi_in(s->queue[0], scsi_at(0, 0), CDB(SCSI_INQUIRY, 0, 0, 0, 96, 0),
                data, 96);
    scsi_need_good(a);
    a = scsi_in(s->queue[0], scsi_at(0, 0), REPORT_LUNS(0, 96), data, 96);
    scsi_need_good(a);
    a = scsi_in(s->queue[0], scsi_at(0, 0), CDB_16(SCSI_READ_16, 0, 1), data,
                96);
    scsi_need_sense(a, SCSI_UNIT_ATTENTION, SCSI_ASC_POWER_ON);
    assert_int_equal(a.residual, 96);
    /* Once, whatever the ring. */
    scsi_need_good(scsi_do(s->queue[0], scsi_at(0, 0), TEST_UNIT_READY));
    scsi_need_good(scsi_do(s->queue[1], scsi_at(0, 0), TEST_UNIT_READY));
    /* The others still have theirs; REQUEST SENSE tells it as data. */
    a = scsi_in(s->queue[1], scsi_at(0, 300),
                CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 96, 0), data, 96);
    scsi_need_good(a);
    assert_int_equal(data[2] & 0xf, SCSI_UNIT_ATTENTION);
    assert_int_equal(be16_at(data + 12), SCSI_ASC_POWER_ON);
    a = scsi_in(s->queue[1], scsi_at(0, 300),
                CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 96, 0), data, 96);
    scsi_need_good(a);
    assert_int_equal(data[2] & 0xf, SCSI_NO_SENSE);
    assert_int_equal(be16_at(data + 12), SCSI_ASC_NONE);
    scsi_need_good(scsi_do(s->queue[0], scsi_at(0, 300), TEST_UNIT_READY));
    scsi_need_sense(scsi_do(s->queue[0], scsi_at(5, 7), TEST_UNIT_READY),
                    SCSI_UNIT_ATTENTION, SCSI_ASC_POWER_ON);
}

static void a_session_begins_with_a_unit_attention(void **state)
{
    (void)state;
    on_all_rings(controller, attend);
}

/* ---- Framing ---- */

/* Of what is read: 19 bytes of head, 32 of CDB, data; of what is written: 12
 * bytes of head, 96 of sense, data. */
static const uint32_t cuts[][24] = {
    {0},
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0},
    {19, 32, 0},
    {50, 0},
    {51, 0},
    {52, 0},
    {12, 96, 0},
    {12, 95, 2, 0},
    {107, 0},
    {108, 0},
    {109, 0},
    {3, 100, 5, 7, 300, 0},
};

static bool fits(const uint32_t *c, uint32_t len)
{
    uint32_t sum = 0;

    while (*c)
        sum += *c++;
    return sum <= len;
}

static void cut_anywhere(struct scsi *s)
{
    struct scsi_lun lun = scsi_at(5, 7);
    struct vq *q = s->queue[0];
    uint8_t want[2048], got[2048], inquiry[96], part[96];
    uint32_t len;

    scsi_attend(q, lun);
    len = 96 - scsi_in(q, lun, CDB(SCSI_INQUIRY, 0, 0, 0, 96, 0), inquiry, 96)
                   .residual;
    for (unsigned o = 0; o < ARRAY_LEN(cuts); o++)
        for (unsigned i = 0; i < ARRAY_LEN(cuts); i++) {
            const uint32_t *none = fits(cuts[o], 19 + 32) ? cuts[o] : NULL;
            const uint32_t *bare = fits(cuts[i], 12 + 96) ? cuts[i] : NULL;

            front_fill(want, sizeof(want), o * 100 + i);
            scsi_need_good(scsi_cut(q, lun, CDB_16(SCSI_WRITE_16, o, 4), want,
                                    sizeof(want), NULL, 0, cuts[o], bare));
            scsi_need_good(scsi_cut(q, lun, CDB_16(SCSI_READ_16, o, 4), NULL, 0,
                                    got, sizeof(got), none, cuts[i]));
            assert_memory_equal(got, want, sizeof(want));
            if (fits(cuts[i], 12 + 96 + 96)) {
                scsi_need_good(scsi_cut(q, lun,
                                        CDB(SCSI_INQUIRY, 0, 0, 0, 96, 0), NULL,
                                        0, part, 96, none, cuts[i]));
                assert_memory_equal(part, inquiry, len);
            }
            scsi_need_sense(scsi_cut(q, lun,
                                     CDB_16(SCSI_READ_16, SMALL_BLOCKS, 4),
                                     NULL, 0, got, sizeof(got), none, cuts[i]),
                            SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
            scsi_need_response(scsi_cut(q, scsi_at(9, 9), TEST_UNIT_READY, NULL,
                                        0, NULL, 0, none, bare),
                               VIRTIO_SCSI_S_BAD_TARGET);
        }
}

static void a_command_may_be_cut_anywhere(void **state)
{
    (void)state;
    on_all_rings(controller, cut_anywhere);
}

/* ---- Many ---- */

/* Both queues full, of commands of every attribute, and some of none. */
static void many_at_once(struct scsi *s)
{
    enum { DEPTH = 24, ROUNDS = 8 };
    static const uint8_t attrs[] = {SCSI_SIMPLE, SCSI_ORDERED,
                                    SCSI_HEAD_OF_QUEUE, 4, 255};
    struct scsi_req *r[2][DEPTH];
    uint8_t want[4096];

    for (unsigned k = 0; k < 2; k++)
        for (unsigned i = 0; i < DEPTH; i++) {
            r[k][i] =
                scsi_new(s, i % 2 ? scsi_at(0, 300) : scsi_at(5, 7), 4096);
            r[k][i]->attr = attrs[i % ARRAY_LEN(attrs)];
        }
    scsi_attend(s->queue[0], scsi_at(0, 300));
    scsi_attend(s->queue[0], scsi_at(5, 7));
    for (unsigned round = 0; round < 2 * ROUNDS; round++) {
        bool write = round % 2 == 0;

        for (unsigned i = 0; i < DEPTH; i++)
            for (unsigned k = 0; k < 2; k++) {
                uint64_t lba = (k * DEPTH + i) * 8;

                if (write)
                    front_fill(r[k][i]->data, 4096, round * 100 + lba);
                else
                    memset(r[k][i]->data, 0, 4096);
                scsi_go(s->queue[k], r[k][i],
                        CDB_16(write ? SCSI_WRITE_16 : SCSI_READ_16, lba, 8),
                        write ? 4096 : 0, write ? 0 : 4096);
            }
        for (unsigned i = 0; i < DEPTH; i++)
            for (unsigned k = 0; k < 2; k++)
                scsi_need_good(*scsi_wait(s->queue[k], r[k][i]));
        for (unsigned i = 0; i < DEPTH && !write; i++)
            for (unsigned k = 0; k < 2; k++) {
                front_fill(want, 4096, (round - 1) * 100 + (k * DEPTH + i) * 8);
                assert_memory_equal(r[k][i]->data, want, 4096);
            }
    }
}

static void two_full_queues_do_not_mix(void **state)
{
    (void)state;
    on_all_rings(controller, many_at_once);
}

/* Nobody has an ACA, whose commands those would be. */
static void send_aca(struct scsi *s)
{
    struct scsi_req *r = scsi_new(s, scsi_at(0, 0), 0);

    scsi_attend(s->queue[0], scsi_at(0, 0));
    r->attr = SCSI_ACA;
    scsi_go(s->queue[0], r, TEST_UNIT_READY, 0, 0);
    scsi_need_sense(*scsi_wait(s->queue[0], r), SCSI_ILLEGAL_REQUEST, 0x4900);
    scsi_need_good(scsi_do(s->queue[0], scsi_at(0, 0), TEST_UNIT_READY));
}

static void the_attribute_aca_is_refused(void **state)
{
    (void)state;
    on_all_rings(controller, send_aca);
}

BEHAVE_MAIN(T(an_answer_is_cut_where_it_is_asked_to),
            T(what_was_not_moved_is_told),
            T(a_cdb_that_nobody_knows_is_an_illegal_request),
            T(bytes_behind_a_cdb_are_ignored),
            T(a_session_begins_with_a_unit_attention),
            T(a_command_may_be_cut_anywhere), T(two_full_queues_do_not_mix),
            T(the_attribute_aca_is_refused))
