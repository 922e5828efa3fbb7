/* iscsi/tally.c: what happens to the sessions of a device, counted. */
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "rig.h"

static const char *const disk[] = {"--lun", "4M", NULL};

static void need_stats(const char *device, const char *text)
{
    struct json_out o = JSON_OUT_EMPTY;

    json_begin(&o, NULL, '{');
    iscsi_stats(device, &o);
    json_end(&o, '}');
    assert_false(o.failed);
    assert_string_equal(o.text, text);
    json_out_free(&o);
}

static uint64_t metric(const char *device, const char *name)
{
    struct metrics m = METRICS_EMPTY;
    uint64_t value = UINT64_MAX;

    iscsi_metrics(device, &m);
    assert_false(m.failed);
    for (size_t i = 0; i < m.count; i++)
        if (strcmp(m.list[i].family->name, name) == 0)
            value = m.list[i].value;
    metrics_free(&m);
    return value;
}

/* Of other times, so they share none: it is one device all the same. */
static void sessions_of_a_device_are_counted_together(void **state)
{
    struct rig rig;
    struct rig_unit *u, *other;
    uint8_t buf[512];
    struct rig_cmd c;

    (void)state;
    rig_init(&rig);
    rig_target(&rig, disk);
    need_stats("san", "{}");
    u = rig_open(&rig, 0, "");
    need_stats("san", "{\"iscsi\":[{\"target\":\"iqn.2026-01.example:disk\","
                      "\"sessions\":1,\"up\":0,\"logins\":0,\"losses\":0,"
                      "\"sent_again\":0}]}");
    rig_settle(&rig, u);
    other = rig_open(&rig, 0, ", \"io_timeout\": 100");
    rig_settle(&rig, other);
    need_stats("san", "{\"iscsi\":[{\"target\":\"iqn.2026-01.example:disk\","
                      "\"sessions\":2,\"up\":2,\"logins\":2,\"losses\":0,"
                      "\"sent_again\":0}]}");
    rig_say(&rig, "fault close_on 88"); /* READ (16) */
    rig_read(&c, 0, buf, 1);
    rig_do(&rig, u, &c);
    assert_int_equal(c.cmd.end, ISCSI_ANSWERED);
    assert_int_equal(metric("san", "vub_iscsi_sessions"), 2);
    assert_int_equal(metric("san", "vub_iscsi_sessions_up"), 2);
    assert_int_equal(metric("san", "vub_iscsi_logins"), 3);
    assert_int_equal(metric("san", "vub_iscsi_losses"), 1);
    assert_int_equal(metric("san", "vub_iscsi_commands_resent"), 1);
    need_stats("other", "{}");
    assert_int_equal(metric("other", "vub_iscsi_sessions"), UINT64_MAX);
    rig_close(&rig);
    need_stats("san", "{}");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_of_a_device_are_counted_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
