/* Data of commands: all of them arrive, however a target wants to have them. */
#include "rig.h"

static void data_of(const char *const *args, const char *keys)
{
    static const uint32_t blocks[] = {1, 8, 17, 128, 600, 3000};
    struct rig rig;
    struct rig_unit *u;

    rig_init(&rig);
    rig_target(&rig, args);
    u = rig_open(&rig, 0, keys);
    rig_settle(&rig, u);
    for (unsigned i = 0; i < ARRAY_LEN(blocks); i++) {
        rig_verify(&rig, u, blocks[i], 0);
        rig_verify(&rig, u, blocks[i], 700);
        rig_verify(&rig, u, blocks[i], 1);
    }
    assert_int_equal(u->downs, 0);
    rig_close(&rig);
}

static void data_of_all_sizes_arrive(void **state)
{
    (void)state;
    data_of((const char *const[]){"--lun", "4M", NULL}, "");
}

static void data_arrive_with_immediate_data_only(void **state)
{
    (void)state;
    data_of((const char *const[]){"--lun", "4M", "--initial-r2t", "Yes", NULL},
            "");
}

static void data_arrive_when_all_of_them_are_asked_for(void **state)
{
    (void)state;
    data_of((const char *const[]){"--lun", "4M", "--initial-r2t", "Yes",
                                  "--immediate", "No", NULL},
            "");
}

static void data_arrive_under_header_digests(void **state)
{
    (void)state;
    data_of((const char *const[]){"--lun", "4M", "--digest", NULL},
            ", \"header_digest\": true");
}

/* Padding is what is read by a call of its own. */
static void answers_of_any_length_come_at_once(void **state)
{
    struct rig rig;
    struct rig_unit *u = rig_begin(&rig, "");
    uint8_t buf[36], cdb[6] = {SCSI_INQUIRY};
    struct rig_cmd c;

    (void)state;
    for (uint8_t n = 1; n <= 36; n++) {
        cdb[4] = n;
        rig_cmd(&c, cdb, 6, false, buf, n, 0);
        rig_do(&rig, u, &c);
        assert_int_equal(c.cmd.status, SCSI_GOOD);
        assert_int_equal(c.cmd.moved, n);
    }
    assert_int_equal(rig_seen(&rig, "pings"), 0); /* nobody was waited for */
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_of_all_sizes_arrive),
        cmocka_unit_test(data_arrive_with_immediate_data_only),
        cmocka_unit_test(data_arrive_when_all_of_them_are_asked_for),
        cmocka_unit_test(data_arrive_under_header_digests),
        cmocka_unit_test(answers_of_any_length_come_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
