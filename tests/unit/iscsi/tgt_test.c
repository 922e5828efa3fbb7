/* A real target: Debian's tgt. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

static const char *const disks[] = {"--lun", "16M", "--lun", "8M", NULL};
static const char *const secrets[] = {"--lun",    "4M",
                                      "--chap",   "vub:secret-of-vub1",
                                      "--mutual", "disk:secret-of-disk",
                                      NULL};

static bool absent;

static struct rig_unit *open_tgt(struct rig *rig, const char *const *args,
                                 const char *keys)
{
    rig_init(rig);
    if (!rig_tgt(rig, args)) {
        absent = true;
        rig_close(rig);
        skip();
    }
    return rig_open(rig, 1, keys);
}

static void good(struct rig *rig, struct rig_unit *u, struct rig_cmd *c)
{
    rig_do(rig, u, c);
    assert_int_equal(c->cmd.end, ISCSI_ANSWERED);
    if (c->cmd.status == SCSI_CHECK_CONDITION)
        rig_do(rig, u, c);
    assert_int_equal(c->cmd.status, SCSI_GOOD);
}

static void what_is_written_is_read(struct rig *rig, struct rig_unit *u,
                                    uint32_t blocks, unsigned seed)
{
    uint8_t *out = malloc(blocks * 512), *in = calloc(blocks, 512);
    struct rig_cmd c;

    rig_pattern(out, blocks * 512, seed);
    rig_write(&c, seed, out, blocks);
    good(rig, u, &c);
    rig_read(&c, seed, in, blocks);
    good(rig, u, &c);
    assert_int_equal(c.cmd.moved, blocks * 512);
    assert_memory_equal(in, out, blocks * 512);
    free(in);
    free(out);
}

static void several_units_hold_what_is_written(void **state)
{
    struct rig rig;
    struct rig_unit *a, *b;

    (void)state;
    a = open_tgt(&rig, disks, "");
    b = rig_open(&rig, 2, "");
    for (unsigned i = 1; i < 6000; i = i * 3 + 1) {
        what_is_written_is_read(&rig, a, i, i);
        what_is_written_is_read(&rig, b, i, i + 1);
    }
    assert_int_equal(a->downs + b->downs, 0);
    rig_close(&rig);
}

static void header_digests_are_agreed_on(void **state)
{
    struct rig rig;
    struct rig_unit *u = open_tgt(&rig, disks, ", \"header_digest\": true");

    (void)state;
    what_is_written_is_read(&rig, u, 3000, 1);
    assert_int_equal(u->downs, 0);
    rig_close(&rig);
}

static void secrets_are_exchanged_both_ways(void **state)
{
    struct rig rig;
    struct rig_unit *u;

    (void)state;
    setenv("VUB_TEST_SECRET", "secret-of-vub1", 1);
    setenv("VUB_TEST_ITS", "secret-of-disk", 1);
    u = open_tgt(&rig, secrets,
                 ", \"chap\": {\"user\": \"vub\", \"secret_env\": "
                 "\"VUB_TEST_SECRET\"}, \"mutual_chap\": {\"user\": \"disk\", "
                 "\"secret_env\": \"VUB_TEST_ITS\"}");
    what_is_written_is_read(&rig, u, 8, 1);
    rig_close(&rig);
}

static void a_unit_that_is_not_there_says_so(void **state)
{
    struct rig rig;
    struct rig_unit *u;
    struct rig_cmd c;
    uint8_t key = 0;
    uint16_t asc = 0;

    (void)state;
    open_tgt(&rig, disks, "");
    u = rig_open(&rig, 77, "");
    for (int i = 0; i < 3 && asc != SCSI_ASC_LUN_NOT_SUPPORTED; i++) {
        rig_ready(&c);
        rig_do(&rig, u, &c);
        assert_int_equal(c.cmd.status, SCSI_CHECK_CONDITION);
        assert_true(scsi_sense_read(c.cmd.sense, c.cmd.sense_len, &key, &asc));
    }
    assert_int_equal(asc, SCSI_ASC_LUN_NOT_SUPPORTED);
    rig_close(&rig);
}

static void on_tmf(struct iscsi_tmf *m)
{
    m->cmd = (struct iscsi_cmd *)m; /* it has come */
}

static void it_takes_task_management(void **state)
{
    static const enum iscsi_tmf_function functions[] = {
        ISCSI_TMF_ABORT_TASK_SET, ISCSI_TMF_LUN_RESET};
    struct rig rig;
    struct rig_unit *u = open_tgt(&rig, disks, "");

    (void)state;
    what_is_written_is_read(&rig, u, 8, 1);
    for (unsigned i = 0; i < ARRAY_LEN(functions); i++) {
        struct iscsi_tmf m = {.function = functions[i], .done = on_tmf};

        iscsi_tmf(&u->unit, &m);
        while (!m.cmd)
            rig_turn(&rig);
        assert_int_equal(m.result, 0);
    }
    what_is_written_is_read(&rig, u, 8, 2);
    rig_close(&rig);
}

/* PERSISTENT RESERVE OUT: SPC-4, 6.16. */
static void reserve(struct rig *rig, struct rig_unit *u, uint8_t action,
                    uint64_t key, uint64_t new_key)
{
    uint8_t cdb[10] = {SCSI_PR_OUT, action, action ? 3 : 0, [8] = 24};
    uint8_t list[24] = {0};
    struct rig_cmd c;

    be64_put(list, key);
    be64_put(list + 8, new_key);
    rig_cmd(&c, cdb, 10, true, list, 24, 0);
    good(rig, u, &c);
}

static void a_reservation_keeps_other_devices_out(void **state)
{
    struct rig rig;
    struct rig_unit *a = open_tgt(&rig, disks, ""), *b;
    struct rig_cmd c;
    uint8_t buf[512] = {0};

    (void)state;
    rig.device = "another";
    b = rig_open(&rig, 1, "");
    what_is_written_is_read(&rig, a, 1, 1);
    what_is_written_is_read(&rig, b, 1, 1);
    reserve(&rig, a, 0, 0, 7); /* REGISTER */
    reserve(&rig, a, 1, 7, 0); /* RESERVE, exclusive access */
    what_is_written_is_read(&rig, a, 1, 1);
    rig_write(&c, 1, buf, 1);
    rig_do(&rig, b, &c);
    assert_int_equal(c.cmd.status, SCSI_RESERVATION_CONFLICT);
    rig_close(&rig);
}

/* Each block is written again and again with a number of its own; what was
 * acknowledged is there at the end, whatever was done to the target. */
#define BLOCKS 64
#define DEPTH 16
#define KILLS 3
#define PER_LIFE 2000

struct slot {
    struct rig_cmd c;
    uint8_t buf[512];
    uint32_t block, number;
};

static void numbered(uint8_t *buf, uint32_t block, uint32_t number)
{
    for (int i = 0; i < 512; i += 8) {
        memcpy(buf + i, &block, 4);
        memcpy(buf + i + 4, &number, 4);
    }
}

static void no_acknowledged_write_is_lost_with_the_target(void **state)
{
    struct rig rig;
    struct rig_unit *u = open_tgt(&rig, disks, "");
    struct slot *slots = calloc(DEPTH, sizeof(*slots));
    uint32_t acked[BLOCKS] = {0}, sent[BLOCKS] = {0}, number = 0;
    uint8_t in[512];
    unsigned done = 0, kills = 0, errors = 0;

    (void)state;
    for (int i = 0; i < DEPTH; i++)
        slots[i].c.done = 1;
    while (done < PER_LIFE * (KILLS + 1)) {
        for (int i = 0; i < DEPTH; i++) {
            struct slot *s = &slots[i];

            if (!s->c.done)
                continue;
            if (s->number) {
                /* A new session's attention is no error of the write's. */
                assert_int_equal(s->c.cmd.end, ISCSI_ANSWERED);
                if (s->c.cmd.status == SCSI_GOOD) {
                    acked[s->block] = s->number;
                    done++;
                } else {
                    errors++;
                }
            }
            /* No two writes of one block at a time. */
            s->block = (uint32_t)i + DEPTH * (number % (BLOCKS / DEPTH));
            s->number = ++number;
            sent[s->block] = s->number;
            numbered(s->buf, s->block, s->number);
            rig_write(&s->c, s->block, s->buf, 1);
            rig_submit(u, &s->c);
        }
        iscsi_kick(&u->unit);
        if (kills < KILLS && done > PER_LIFE * (kills + 1)) {
            kills++;
            rig_say(&rig, "kill");
            rig_say(&rig, "start");
        }
        rig_turn(&rig);
    }
    for (int i = 0; i < DEPTH; i++) {
        rig_until(&rig, &slots[i].c.done, 1);
        if (slots[i].c.cmd.status == SCSI_GOOD)
            acked[slots[i].block] = slots[i].number;
    }
    assert_int_equal(u->downs, KILLS);
    for (uint32_t b = 0; b < BLOCKS; b++) {
        struct rig_cmd r;
        uint32_t there;

        rig_read(&r, b, in, 1);
        good(&rig, u, &r);
        memcpy(&there, in + 4, 4);
        if (there < acked[b] || there > sent[b])
            fail_msg("block %u: %u was acknowledged, %u is there", b, acked[b],
                     there);
    }
    assert_true(errors <= KILLS * 2);
    rig_close(&rig);
    free(slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_units_hold_what_is_written),
        cmocka_unit_test(header_digests_are_agreed_on),
        cmocka_unit_test(secrets_are_exchanged_both_ways),
        cmocka_unit_test(a_unit_that_is_not_there_says_so),
        cmocka_unit_test(it_takes_task_management),
        cmocka_unit_test(a_reservation_keeps_other_devices_out),
        cmocka_unit_test(no_acknowledged_write_is_lost_with_the_target),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    if (absent)
        fprintf(stderr, "skipped: tgt is not installed (package tgt)\n");
    return rc ? rc : absent ? 77 : 0;
}
