/* gpu.screenshot, gpu.hash and gpu.resize, called as the control socket would.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "stage.h"

static void a_screenshot_is_a_file_and_its_hash(void **state)
{
    char pattern[256];
    struct stat st;

    (void)state;
    snprintf(pattern, sizeof(pattern),
             "{\"hash\":\"%s\",\"width\":40,\"height\":30,\"bytes\":3613,"
             "\"path\":\"/*/a.ppm\"}",
             hash_now(stage));
    expect_done(stage, ask(stage, "gpu.screenshot", "{'path': 'a.ppm'}"),
                pattern);
    assert_int_equal(stat("a.ppm", &st), 0);
    assert_int_equal(st.st_size, 3613);
}

static void expect_magic(const char *path, const char *magic)
{
    char got[8] = "";
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    assert_int_equal(fread(got, 1, 7, f), 7);
    fclose(f);
    assert_memory_equal(got, magic, strlen(magic));
}

static void a_screenshot_has_the_format_of_its_ending_unless_told(void **state)
{
    (void)state;
    save_picture(stage, "a.PPM");
    expect_magic("a.PPM", "P6");
    save_picture(stage, "a.jpg");
    expect_magic("a.jpg", "\211PNG");
    save_picture(stage, "ppm");
    expect_magic("ppm", "\211PNG");
    expect_done(
        stage,
        ask(stage, "gpu.screenshot", "{'path': 'a.ppm', 'format': 'png'}"),
        "{*}");
    expect_magic("a.ppm", "\211PNG");
    expect_done(stage,
                ask(stage, "gpu.screenshot", "{'path': 'b', 'format': 'ppm'}"),
                "{*}");
    expect_magic("b", "P6");
}

static void a_screenshot_that_cannot_be_is_told(void **state)
{
    (void)state;
    expect_error(stage, ask(stage, "gpu.screenshot", "{'path': 'no/a.png'}"),
                 -ENOENT, "/params/path",
                 "cannot write /*/no/a.png.part: No such file or directory");
    expect_error(stage, ask(stage, "gpu.screenshot", "{'path': '/dev/null'}"),
                 -EEXIST, "/params/path",
                 "/dev/null is there, and is no regular file");
    expect_error(
        stage, ask(stage, "gpu.screenshot", "{'path': 'a.png', 'scanout': 1}"),
        -ENOENT, "", "scanout 1 shows nothing");
    expect_error(stage, ask(stage, "gpu.hash", "{'scanout': 2}"), -EINVAL,
                 "/params/scanout", "there is no scanout 2: the last is 1");
    expect_error(
        stage, ask(stage, "gpu.wait", "{'scanout': 15, 'changed': true}"),
        -EINVAL, "/params/scanout", "there is no scanout 15: the last is 1");
}

/* ---- gpu.resize ---- */

static void a_headless_display_can_be_resized_and_unplugged(void **state)
{
    const struct display_one *d = stage->gpu.displays;

    (void)state;
    expect_done(stage,
                ask(stage, "gpu.resize", "{'width': 1280, 'height': 800}"),
                "{\"scanout\":0,\"width\":1280,\"height\":800,"
                "\"enabled\":true,\"was\":{\"width\":640,\"height\":480,"
                "\"enabled\":true}}");
    assert_int_equal(d[0].r.width, 1280);
    assert_int_equal(d[1].r.x, 1280); /* beside it */
    expect_done(stage, ask(stage, "gpu.resize", "{'enabled': false}"),
                "{\"scanout\":0,\"width\":1280,\"height\":800,"
                "\"enabled\":false,\"was\":{\"width\":1280,\"height\":800,"
                "\"enabled\":true}}");
    assert_false(d[0].enabled);
    assert_int_equal(d[1].r.x, 0);
    expect_error(
        stage, ask(stage, "gpu.resize", "{'scanout': 2, 'enabled': false}"),
        -EINVAL, "/params/scanout", "there is no scanout 2: the last is 1");
    stage->conf.display = GPU_DISPLAY_FRONT_END;
    expect_error(stage, ask(stage, "gpu.resize", "{'enabled': true}"), -EPERM,
                 "/params/device", "the front-end decides *");
    assert_false(d[0].enabled);
}

#define TEST(f)                                                                \
    cmocka_unit_test_setup_teardown(f, stage_show_up, stage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_screenshot_is_a_file_and_its_hash),
        TEST(a_screenshot_has_the_format_of_its_ending_unless_told),
        TEST(a_screenshot_that_cannot_be_is_told),
        TEST(a_headless_display_can_be_resized_and_unplugged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
