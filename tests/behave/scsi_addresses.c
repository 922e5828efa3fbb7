/* What a SCSI controller says of itself, and whom commands are for, on every
 * kind of ring. */
#include "luns.h"

static const char controller[] = THREE_UNITS;

/* ---- What it is ---- */

static void the_config_space_is_true(void **state)
{
    struct vub *v = vub_start(controller);
    struct scsi *s = scsi_open(v, "san", NULL, 1);
    struct virtio_scsi_config c;

    (void)state;
    scsi_config(s, &c);
    assert_int_equal(le32_load(&c.num_queues), 2);
    assert_int_equal(s->f->queues_offered, 4);
    assert_int_equal(le32_load(&c.seg_max), 126);
    assert_true(le32_load(&c.max_sectors) >= 128);
    assert_true(le32_load(&c.cmd_per_lun) >= 1);
    assert_int_equal(le32_load(&c.event_info_size), 16);
    assert_int_equal(le32_load(&c.sense_size), 96);
    assert_int_equal(le32_load(&c.cdb_size), 32);
    assert_int_equal(le16_load(&c.max_channel), 0);
    assert_int_equal(le16_load(&c.max_target), 255);
    assert_int_equal(le32_load(&c.max_lun), 16383);
    scsi_close(s);
    vub_free(v);
}

static void it_offers_hotplug_and_change_and_no_more(void **state)
{
    struct vub *v = vub_start(controller);
    struct scsi *s = scsi_open(v, "san", NULL, 1);

    (void)state;
    assert_int_equal(s->f->offered & 0xffffff,
                     FEATURE(VIRTIO_SCSI_F_HOTPLUG) |
                         FEATURE(VIRTIO_SCSI_F_CHANGE));
    assert_true(s->f->offered & FEATURE(VIRTIO_F_RING_PACKED));
    assert_true(s->f->offered & FEATURE(VIRTIO_F_EVENT_IDX));
    assert_true(s->f->offered & FEATURE(VIRTIO_F_INDIRECT_DESC));
    scsi_close(s);
    vub_free(v);
}

static void set_size(struct scsi *s, uint32_t offset, uint32_t value)
{
    le32 wire = htole32(value);

    assert_int_equal(front_set_config(s->f, offset, &wire, 4), 0);
}

#define SENSE_SIZE offsetof(struct virtio_scsi_config, sense_size)
#define CDB_SIZE offsetof(struct virtio_scsi_config, cdb_size)

static void the_driver_says_how_long_cdbs_and_sense_are(void **state)
{
    static const uint32_t sizes[][2] = {{32, 96},   {16, 96}, {32, 18},
                                        {255, 255}, {20, 0},  {6, 14}};
    struct vub *v = vub_start(controller);
    struct scsi *s = scsi_open(v, "san", NULL, 1);
    uint8_t block[512] = {1};
    le32 wire;

    (void)state;
    scsi_attend(s->queue[0], scsi_at(0, 0));
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        struct scsi_answer a;

        front_note("CDBs of %u, sense of %u bytes", sizes[i][0], sizes[i][1]);
        set_size(s, CDB_SIZE, s->cdb_size = sizes[i][0]);
        set_size(s, SENSE_SIZE, s->sense_size = sizes[i][1]);
        if (s->cdb_size >= 16)
            scsi_verify(s->queue[0], scsi_at(0, 0), i, 512, i);
        a = scsi_in(s->queue[0], scsi_at(0, 0), CDB(SCSI_READ_6, 0, 0, 1, 1, 0),
                    block, 512);
        scsi_need_good(a);
        /* Beyond its end. */
        a = scsi_in(s->queue[0], scsi_at(0, 0),
                    CDB(SCSI_READ_6, 0x1f, 0xff, 0xff, 1, 0), block, 512);
        assert_int_equal(a.status, SCSI_CHECK_CONDITION);
        assert_int_equal(a.sense_len, MIN(s->sense_size, 18u));
    }
    /* 10 bytes of CDB, where 6 are sent. */
    scsi_need_sense(
        scsi_do(s->queue[0], scsi_at(0, 0), CDB(SCSI_SYNC_CACHE_10)),
        SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
    /* Without measure. */
    wire = htole32(UINT32_MAX);
    assert_true(front_set_config(s->f, CDB_SIZE, &wire, 4) != 0);
    assert_true(front_set_config(s->f, SENSE_SIZE, &wire, 4) != 0);
    assert_true(front_set_config(s->f, 0, &wire, 4) !=
                0); /* not the driver's */
    scsi_need_good(scsi_in(s->queue[0], scsi_at(0, 0),
                           CDB(SCSI_READ_6, 0, 0, 1, 1, 0), block, 512));
    scsi_close(s);
    vub_free(v);
}

/* ---- Whom it is for ---- */

static void a_unit_has_two_addresses(struct scsi *s)
{
    struct vq *q = s->queue[0];
    uint8_t a[512], b[512];

    for (unsigned i = 0; i < 3; i++) {
        static const unsigned units[][2] = {{0, 0}, {0, 300}, {5, 7}};
        struct scsi_lun lun = scsi_at(units[i][0], units[i][1]);

        scsi_attend(q, lun);
        front_fill(a, sizeof(a), i);
        scsi_write(q, lun, 17, a, sizeof(a));
    }
    for (unsigned k = 0; k < 2; k++) {
        front_fill(a, sizeof(a), 0);
        scsi_read(s->queue[k], scsi_at_peripheral(0, 0), 17, b, sizeof(b));
        assert_memory_equal(a, b, sizeof(a));
        front_fill(a, sizeof(a), 1);
        scsi_read(s->queue[k], scsi_at(0, 300), 17, b, sizeof(b));
        assert_memory_equal(a, b, sizeof(a));
        front_fill(a, sizeof(a), 2);
        scsi_read(s->queue[k], scsi_at_peripheral(5, 7), 17, b, sizeof(b));
        assert_memory_equal(a, b, sizeof(a));
    }
}

static void units_are_found_by_target_and_number(void **state)
{
    (void)state;
    on_all_rings(controller, a_unit_has_two_addresses);
}

static void find_no_target(struct scsi *s)
{
    static const struct scsi_lun nobody[] = {
        {{1, 1}},                   /* a target without units */
        {{1, 255, 0x40}},           /* the last one */
        {{0}},                      /* no format of virtio's */
        {{2, 0}},                   /* likewise */
        {{1, 0, 0, 0, 0, 0, 0, 1}}, /* more levels than there are */
        {{0xc1, 0x01, 0, 0, 1}},    /* a well-known unit, and more */
        {{0xc1, 0x02}},             /* ACCESS CONTROLS */
    };
    uint8_t data[96];

    for (unsigned i = 0; i < ARRAY_LEN(nobody); i++) {
        struct vq *q = s->queue[i % 2];

        scsi_need_response(scsi_do(q, nobody[i], TEST_UNIT_READY),
                           VIRTIO_SCSI_S_BAD_TARGET);
        scsi_need_response(scsi_in(q, nobody[i],
                                   CDB(SCSI_INQUIRY, 0, 0, 0, 96, 0), data,
                                   sizeof(data)),
                           VIRTIO_SCSI_S_BAD_TARGET);
        scsi_need_response(
            scsi_out(q, nobody[i], CDB_16(SCSI_WRITE_16, 0, 1), data, 96),
            VIRTIO_SCSI_S_BAD_TARGET);
    }
}

static void an_unknown_target_is_a_bad_target(void **state)
{
    (void)state;
    on_all_rings(controller, find_no_target);
}

static void find_no_unit(struct scsi *s)
{
    static const struct scsi_lun nobody[] = {
        {{1, 0, 0x40, 1}},    /* not there */
        {{1, 0, 0, 255}},     /* likewise */
        {{1, 0, 0x7f, 0xff}}, /* the last one */
        {{1, 5, 0, 0}},       /* target 5 has no unit 0 */
        {{1, 0, 1, 0}},       /* peripheral, of another bus */
        {{1, 0, 0x80, 0}},    /* logical unit addressing */
        {{1, 0, 0xc0, 0}},    /* extended */
    };
    uint8_t data[96];
    struct scsi_answer a;

    for (unsigned i = 0; i < ARRAY_LEN(nobody); i++) {
        struct vq *q = s->queue[i % 2];

        memset(data, 0xaa, sizeof(data));
        a = scsi_in(q, nobody[i], CDB(SCSI_INQUIRY, 0, 0, 0, 96, 0), data, 96);
        scsi_need_good(a);
        assert_int_equal(data[0], 0x7f);
        assert_true(96 - a.residual >= 36);
        scsi_need_sense(scsi_do(q, nobody[i], TEST_UNIT_READY),
                        SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
        a = scsi_in(q, nobody[i], CDB_16(SCSI_READ_16, 0, 1), data, 96);
        scsi_need_sense(a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
        assert_int_equal(a.residual, 96);
        /* It says so when asked, too. */
        a = scsi_in(q, nobody[i], CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 96, 0), data,
                    96);
        scsi_need_good(a);
        assert_int_equal(data[0] & 0x7f, 0x70);
        assert_int_equal(data[2] & 0xf, SCSI_ILLEGAL_REQUEST);
        assert_int_equal(be16_at(data + 12), SCSI_ASC_LUN_NOT_SUPPORTED);
        a = scsi_in(q, nobody[i], CDB(SCSI_REQUEST_SENSE, 1, 0, 0, 96, 0), data,
                    96);
        scsi_need_good(a);
        assert_int_equal(data[0] & 0x7f, 0x72);
        assert_int_equal(data[1] & 0xf, SCSI_ILLEGAL_REQUEST);
        assert_int_equal(be16_at(data + 2), SCSI_ASC_LUN_NOT_SUPPORTED);
    }
}

static void a_unit_that_is_not_there_says_so(void **state)
{
    (void)state;
    on_all_rings(controller, find_no_unit);
}

/* ---- REPORT LUNS ---- */

struct report {
    unsigned count; /* of entries, as the head says */
    uint8_t entry[16][8];
};

static void report(struct vq *q, struct scsi_lun lun, unsigned select,
                   struct report *r)
{
    uint8_t data[136];
    struct scsi_answer a =
        scsi_in(q, lun, REPORT_LUNS(select, sizeof(data)), data, sizeof(data));

    scsi_need_good(a);
    r->count = be32_at(data) / 8;
    assert_int_equal(sizeof(data) - a.residual, 8 + 8 * r->count);
    memcpy(r->entry, data + 8, sizeof(r->entry));
}

static void report_everything(struct scsi *s)
{
    static const uint8_t first[8] = {0}, second[8] = {0x41, 0x2c};
    static const uint8_t reporter[8] = {0xc1, 0x01};
    struct vq *q = s->queue[1];
    struct scsi_lun asked[] = {
        scsi_at(0, 0),
        scsi_at(0, 300),
        scsi_at(0, 99),
        {{1, 0, 0xc1, 0x01}} /* the well-known unit of the target */
    };
    struct report r;

    for (unsigned i = 0; i < ARRAY_LEN(asked); i++) {
        report(q, asked[i], 0, &r);
        assert_int_equal(r.count, 2);
        assert_memory_equal(r.entry[0], first, 8);
        assert_memory_equal(r.entry[1], second, 8);
        report(q, asked[i], 1, &r); /* well-known units only */
        assert_int_equal(r.count, 1);
        assert_memory_equal(r.entry[0], reporter, 8);
        report(q, asked[i], 2, &r);
        assert_int_equal(r.count, 3);
        scsi_need_sense(scsi_do(q, asked[i], REPORT_LUNS(3, 96)),
                        SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
    }
    report(q, scsi_at(5, 7), 0, &r);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.entry[0][1], 7);
}

static void a_target_reports_its_units(void **state)
{
    (void)state;
    on_all_rings(controller, report_everything);
}

/* As a driver writes them into a request. */
static void the_host_reports_the_units_of_all_targets(void **state)
{
    static const uint8_t want[][8] = {
        {1, 0, 0, 0}, {1, 0, 0x41, 0x2c}, {1, 5, 0, 7}};
    struct vub *v = vub_start(controller);
    struct scsi *s = scsi_open(v, "san", NULL, 1);
    struct report r;
    uint8_t data[36];

    (void)state;
    report(s->queue[0], scsi_well_known(), 0, &r);
    assert_int_equal(r.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct scsi_lun lun;

        assert_memory_equal(r.entry[i], want[i], 8);
        memcpy(lun.b, r.entry[i], 8);
        assert_int_equal(scsi_attend(s->queue[0], lun), 1);
    }
    scsi_need_good(scsi_do(s->queue[0], scsi_well_known(), TEST_UNIT_READY));
    scsi_need_good(scsi_in(s->queue[0], scsi_well_known(),
                           CDB(SCSI_INQUIRY, 0, 0, 0, 36, 0), data, 36));
    assert_int_equal(data[0], 0x1e); /* well-known logical unit */
    scsi_need_sense(scsi_in(s->queue[0], scsi_well_known(),
                            CDB_16(SCSI_READ_16, 0, 1), data, 36),
                    SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
    scsi_close(s);
    vub_free(v);
}

BEHAVE_MAIN(T(the_config_space_is_true),
            T(it_offers_hotplug_and_change_and_no_more),
            T(the_driver_says_how_long_cdbs_and_sense_are),
            T(units_are_found_by_target_and_number),
            T(an_unknown_target_is_a_bad_target),
            T(a_unit_that_is_not_there_says_so), T(a_target_reports_its_units),
            T(the_host_reports_the_units_of_all_targets))
