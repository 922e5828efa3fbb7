/* What a scenario that was read has in it, and what commands are sent. What is
 * wrong with others is tests/conf's. */
#include "unit.h"

#include <unistd.h>

#include "daemon/scenario/plan.h"

/* A scenario of these steps, and its directory. */
static void read_steps(struct scenario *s, char *path, const char *steps)
{
    char text[4096];
    struct errs e = ERRS_EMPTY;
    int fd;

    strcpy(path, "/tmp/vub-plan-XXXXXX.json");
    fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    snprintf(text, sizeof(text), "{'steps': [%s]}", steps);
    assert_int_equal(write(fd, quoted(text), strlen(text)), strlen(text));
    close(fd);
    if (scenario_read(s, path, NULL, &e) < 0)
        fail_msg("%s: %s", e.list[0].where, e.list[0].text);
    unlink(path);
}

static void steps_are_counted_with_their_repeats(void **state)
{
    struct scenario s;
    char path[40];

    (void)state;
    read_steps(&s, path,
               "{'sleep': {'ms': 1}},"
               "{'repeat': {'times': 10, 'steps': [{'sleep': {'ms': 1}},"
               "  {'repeat': {'times': 3, 'steps': [{'sleep': {'ms': 1}},"
               "    {'sleep': {'ms': 1}}]}}]}}");
    assert_int_equal(s.num_steps, 1 + 10 * (1 + 3 * 2));
    assert_string_equal(s.dir, "/tmp");
    /* As the file, without its end. */
    assert_memory_equal(s.name, "vub-plan-", 9);
    assert_null(strchr(s.name, '.'));
    assert_int_equal(s.plan->timeout_ms, 60000);
    scenario_free(&s);
}

static void need_params(const char *step, uint32_t timeout_ms,
                        const char *params, uint32_t own)
{
    struct scenario s;
    char path[40], *text;
    uint32_t own_ms;

    read_steps(&s, path, step);
    text = plan_params(&s.plan->steps.list[0], "/dir", timeout_ms, &own_ms);
    assert_string_equal(text, quoted(params));
    assert_int_equal(own_ms, own);
    free(text);
    scenario_free(&s);
}

static void paths_are_absolute_wherever_they_are(void **state)
{
    (void)state;
    need_params("{'gpu.screenshot': {'device': 's', 'path': 'a/b.png'}}", 1,
                "{'device':'s','path':'/dir/a/b.png'}", 0);
    need_params("{'gpu.screenshot': {'device': 's', 'path': '/a.png'}}", 1,
                "{'device':'s','path':'/a.png'}", 0);
    need_params("{'device.add': {'config': {'id': 'x', 'type': 'block', "
                "'store': {'type': 'fault', 'next': {'type': 'file', "
                "'path': 'disk.img'}}}}}",
                1,
                "{'config':{'id':'x','type':'block','store':{'type':'fault',"
                "'next':{'type':'file','path':'/dir/disk.img'}}}}",
                0);
    need_params("{'device.add': {'config': {'id': 'x', 'type': 'scsi', "
                "'luns': [{'store': {'type': 'null', 'size': 512}}, "
                "{'lun': 1, 'store': {'type': 'file', 'path': 'b'}}]}}}",
                1,
                "{'config':{'id':'x','type':'scsi','luns':[{'store':"
                "{'type':'null','size':512}},{'lun':1,'store':{'type':'file',"
                "'path':'/dir/b'}}]}}",
                0);
}

static void the_time_of_a_step_is_its_commands(void **state)
{
    (void)state;
    need_params("{'gpu.wait': {'device': 's', 'changed': true}}", 1234,
                "{'device':'s','changed':true,'timeout_ms':1234}", 1234);
    need_params("{'gpu.wait': {'device': 's', 'changed': true, "
                "'timeout_ms': 7}}",
                1234, "{'device':'s','changed':true,'timeout_ms':7}", 7);
    need_params("{'status': {}}", 1234, "{}", 0);
}

static void numbers_stay_what_they_are(void **state)
{
    (void)state;
    need_params("{'block.resize': {'device': 'd', 'size': 9007199254740480}}",
                1, "{'device':'d','size':9007199254740480}", 0);
    need_params("{'block.resize': {'device': 'd', 'size': '2T'}}", 1,
                "{'device':'d','size':'2T'}", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_counted_with_their_repeats),
        cmocka_unit_test(paths_are_absolute_wherever_they_are),
        cmocka_unit_test(the_time_of_a_step_is_its_commands),
        cmocka_unit_test(numbers_stay_what_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
