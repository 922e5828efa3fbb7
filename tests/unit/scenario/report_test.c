/* What reports are made of: text of strangers, JSON, pictures, files. The whole
 * of them is looked at by those who read them, in tests/report. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/json.h"
#include "daemon/scenario/report_impl.h"

#define BAD "\xef\xbf\xbd"

static char *out;
static size_t out_len;

static FILE *begin(void)
{
    free(out);
    return open_memstream(&out, &out_len);
}

static const char *end(FILE *f)
{
    fclose(f);
    return out;
}

static const char *text(const char *s)
{
    FILE *f = begin();

    report_put_text(f, s);
    return end(f);
}

/* ---- text ---- */

static void markup_is_escaped(void **state)
{
    (void)state;
    assert_string_equal(text("<b a='1' c=\"2\">&amp;]]>"),
                        "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp;]]"
                        "&gt;");
}

static void what_steers_a_terminal_is_left_out(void **state)
{
    static const char *const none[] = {
        "\033[0m",
        "\033[1;31m",
        "\033[?25l",
        "\033[2J\033[H",
        "\033]0;x\a",
        "\033(B",
        "\033]8;;u\033\\",
        "\033P+q544e\033\\",
        "\033_x\033\\",
        "\033c",
        "\033=",
        "\033#8",
        "\xc2\x9b"
        "31m",
        "\033[4 q",
        "\033",
        "\xc2\x9d"
        "0;x\a",
        "\033[",
        "\033[31",
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(none); i++)
        assert_string_equal(text(none[i]), "");
    assert_string_equal(text("a\033[1;32mb\033[0mc"), "abc");
}

/* Else a guest could hide what it says. */
static void a_sequence_without_end_takes_no_text_with_it(void **state)
{
    char *longer = malloc(100002);

    (void)state;
    assert_string_equal(text("\033]0;title\nroot#"), "0;title\nroot#");
    assert_string_equal(text("\033Proot#"), "root#");
    assert_string_equal(text("\033[31\nroot#"), "\nroot#");
    memset(longer, 'a', 100001);
    memcpy(longer, "\033]", 2);
    longer[100000] = '\a';
    longer[100001] = '\0';
    assert_int_equal(strlen(text(longer)), 99998 + strlen("\xe2\x90\x87"));
    free(longer);
}

static void controls_can_be_seen(void **state)
{
    (void)state;
    assert_string_equal(text("\x01\x08\x1f\x7f"),
                        "\xe2\x90\x81\xe2\x90\x88\xe2\x90\x9f\xe2\x90\xa1");
    assert_string_equal(text("a\tb\n"), "a\tb\n");
}

static void what_is_no_text_is_replaced(void **state)
{
    (void)state;
    assert_string_equal(text("\xff"), BAD);
    assert_string_equal(text("\xc0\xaf"), BAD BAD);         /* overlong */
    assert_string_equal(text("\xed\xa0\x80"), BAD BAD BAD); /* surrogate */
    assert_string_equal(text("a\xe2\x82"), "a" BAD BAD);    /* cut */
    assert_string_equal(text("\xc2\x85"), BAD);             /* a C1 control */
    assert_string_equal(text("\xef\xbf\xbe\xef\xbf\xbf"), BAD BAD);
    assert_string_equal(text("\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa4"),
                        "\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa4");
}

static void text_cannot_turn_its_direction(void **state)
{
    (void)state;
    assert_string_equal(text("\xe2\x80\xaegnp.exe\xe2\x81\xa6\xd8\x9c"),
                        BAD "gnp.exe" BAD BAD);
}

static void ends_of_lines_are_of_one_kind(void **state)
{
    (void)state;
    assert_string_equal(text("a\r\nb\r\r\nc\rd\n"), "a\nb\nc\nd\n");
}

static void what_is_too_long_is_cut_between_characters(void **state)
{
    FILE *f = begin();

    (void)state;
    report_put_start(f,
                     "ab\xe2\x82\xac"
                     "cd",
                     4);
    assert_string_equal(end(f), "ab\n[... 5 more bytes are left out]");
    f = begin();
    report_put_start(f, "abcd", 4);
    assert_string_equal(end(f), "abcd");
    f = begin();
    report_put_end(f, "abcd", 4);
    assert_string_equal(end(f), "abcd");
    f = begin();
    report_put_end(f, "first\nsecond\nthird\n", 10);
    assert_string_equal(end(f),
                        "[13 bytes before this are left out ...]\nthird\n");
    f = begin();
    report_put_value(f, "a\"b\nc\td", 7);
    assert_string_equal(end(f), "a&quot;b&#10;c d");
    f = begin();
    report_put_value(f, "abcdef", 3);
    assert_string_equal(end(f), "abc...");
    f = begin();
    report_put_line(f,
                    "a\033[1m<\n\xe2\x82\xac"
                    "de",
                    4);
    assert_string_equal(end(f), "a&lt; \xe2\x82\xac...");
    f = begin();
    report_put_line(f, "abcd", 4);
    assert_string_equal(end(f), "abcd");
}

static void times_are_as_short_as_they_may_be(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } times[] = {
        {0, "0 us"},
        {12345, "12 us"},
        {1500000, "2 ms"},
        {412000000, "412 ms"},
        {999600000, "1.00 s"},
        {3210000000, "3.21 s"},
        {59999000000, "59.99 s"},
        {UINT64_C(723000000000), "12 min 03 s"},
        {UINT64_C(3720000000000), "1 h 02 min"},
        {UINT64_MAX - 500000, "5124095 h 34 min"},
    };
    char text_of[REPORT_TIME_BYTES];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(times); i++)
        assert_string_equal(report_time(times[i].ns, text_of), times[i].text);
}

/* ---- JSON ---- */

static const char *json(const char *s, size_t max)
{
    FILE *f = begin();

    report_put_json(f, s, max);
    return end(f);
}

static void long_json_has_lines(void **state)
{
    (void)state;
    assert_string_equal(json("{\"a\":1,  \"b\":[1,2,{}]}", 100),
                        "{&quot;a&quot;: 1, &quot;b&quot;: [1, 2, {}]}");
    assert_string_equal(
        json("[\"01234567890123456789012345678901234567890\",{\"a\": "
             "[1,2]},\"0123456789]0123456789,01234567890123456789\"]",
             1000),
        "[\n"
        "  &quot;01234567890123456789012345678901234567890&quot;,\n"
        "  {&quot;a&quot;: [1, 2]},\n"
        "  &quot;0123456789]0123456789,01234567890123456789&quot;\n"
        "]");
}

static void lines_do_not_change_json(void **state)
{
    static const char *const all[] = {
        "{\"a\": {\"b\": [1.5e300, -0, \"\\\"]},{\\\\\", null, true, {}, []], "
        "\"a long name of a member\": \"and what it is, which is long\"}}",
        "[[[[[[[[[[[[[[[[[[[[\"012345678901234567890123456789\"]]]]]]]]]]]]]]]]"
        "]]]]",
        "  {\"a\"  :\n 1 , \"b\" : [ ] }",
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        const char *shown = json(all[i], 10000);
        char *plain = calloc(1, strlen(shown) + 1), *to = plain;
        struct json *a, *b;
        char *text_a, *text_b;

        for (const char *c = shown; *c;) {
            bool quote = strncmp(c, "&quot;", 6) == 0;

            *to++ = quote ? '"' : *c;
            c += quote ? 6 : 1;
        }
        a = json_parse(all[i], strlen(all[i]), NULL);
        b = json_parse(plain, strlen(plain), NULL);
        assert_non_null(a);
        assert_non_null(b);
        text_a = json_text(a);
        text_b = json_text(b);
        assert_string_equal(text_a, text_b);
        free(text_a);
        free(text_b);
        json_free(a);
        json_free(b);
        free(plain);
    }
}

static void what_is_no_json_is_as_it_was(void **state)
{
    (void)state;
    assert_string_equal(json("[    0.1] a kernel's  line", 100),
                        "[    0.1] a kernel&#39;s  line");
    assert_string_equal(json("", 100), "");
    assert_string_equal(json("{{{{", 3),
                        "{{{\n[... 1 more bytes are left out]");
}

/* ---- pictures and files ---- */

static char dir[] = "/tmp/vub-report-XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[4][256];
    static unsigned next;
    char *p = path[next++ % 4];

    snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
    return p;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

static const char *base64(const char *s)
{
    FILE *f = begin();

    report_put_base64(f, (const uint8_t *)s, strlen(s));
    return end(f);
}

/* RFC 4648, section 10. */
static void base64_is_that_of_its_rfc(void **state)
{
    (void)state;
    assert_string_equal(base64(""), "");
    assert_string_equal(base64("f"), "Zg==");
    assert_string_equal(base64("fo"), "Zm8=");
    assert_string_equal(base64("foo"), "Zm9v");
    assert_string_equal(base64("foob"), "Zm9vYg==");
    assert_string_equal(base64("fooba"), "Zm9vYmE=");
    assert_string_equal(base64("foobar"), "Zm9vYmFy");
    assert_string_equal(base64("\xff\xfb\xbf"), "//u/");
}

static const uint8_t png_head[33] = {
    0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13,
    'I',  'H', 'D', 'R', 0,    0,    4,    0,    0, 0, 3, 0};

static void only_a_png_is_taken_in(void **state)
{
    struct report_png png;
    const char *report = in_dir("report.html");

    (void)state;
    write_file(in_dir("a.png"), png_head, sizeof(png_head));
    assert_null(report_png_read(&png, in_dir("a.png"), report, 1000));
    assert_int_equal(png.width, 1024);
    assert_int_equal(png.height, 768);
    assert_int_equal(png.len, sizeof(png_head));
    report_png_free(&png);
    /* By its name alone it is sought beside the report. */
    assert_null(report_png_read(&png, "a.png", report, 33));
    report_png_free(&png);

    assert_string_equal(report_png_read(&png, "a.png", report, 32),
                        "it is too large");
    write_file(in_dir("b.png"), "<svg onload=...>________________", 33);
    assert_string_equal(report_png_read(&png, "b.png", report, 1000),
                        "it is no PNG");
    write_file(in_dir("c.png"), png_head, 32);
    assert_string_equal(report_png_read(&png, "c.png", report, 1000),
                        "it is no PNG");
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    assert_string_equal(report_png_read(&png, "fifo", report, 1000),
                        "it is no file");
    assert_string_equal(report_png_read(&png, dir, report, 1000),
                        "it is no file");
    assert_string_equal(report_png_read(&png, "none", report, 1000),
                        "there is no such file");
}

static void links_stay_in_the_directory(void **state)
{
    FILE *f = begin();

    (void)state;
    assert_true(report_is_beside("/a/b/vm.log", "/a/b/report.html"));
    assert_true(report_is_beside("vm.log", "/a/b/report.html"));
    assert_false(report_is_beside("/a/vm.log", "/a/b/report.html"));
    assert_false(report_is_beside("/a/b/c/vm.log", "/a/b/report.html"));
    assert_false(report_is_beside("/a/b/", "/a/b/report.html"));
    assert_false(report_is_beside("", "/a/b/report.html"));
    assert_false(report_is_beside("/x/vm.log", "report.html"));
    report_put_link(f, "/a/javascript:\"<\xc3\xa4 .log");
    assert_string_equal(end(f), "./javascript%3A%22%3C%C3%A4%20.log");
}

static int by_letter(const void *context, unsigned a, unsigned b)
{
    const char *letters = context;

    return letters[a] - letters[b];
}

static void groups_are_numbered_as_they_appear(void **state)
{
    static const unsigned expected[] = {0, 1, 0, 2, 1, 1, 3, 0};
    unsigned num, *of = report_groups(8, by_letter, "cacbaadc", &num);

    (void)state;
    assert_int_equal(num, 4);
    assert_memory_equal(of, expected, sizeof(expected));
    free(of);
    of = report_groups(0, by_letter, "", &num);
    assert_non_null(of);
    assert_int_equal(num, 0);
    free(of);
}

static void take(struct record *r, const char *path, const char *hash)
{
    struct record_step *s = record_add_step(r, "/", "", "", "", NULL);

    s->result = STEP_PASSED;
    assert_non_null(record_add_picture(s, "", path, hash));
}

static void pictures_of_one_file_are_not_mixed_up(void **state)
{
    struct record r = {0};
    struct report_shots s;

    (void)state;
    take(&r, "a.png", "1"); /* written over */
    take(&r, "a.png", "2"); /* written over, but b.png has it */
    take(&r, "b.png", "2");
    take(&r, "a.png", "3");
    take(&r, "a.png", "3");
    take(&r, "c.png", "");
    take(&r, "c.png", "");
    assert_true(report_shots_find(&s, &r));
    assert_int_equal(s.num, 4);
    assert_true(s.list[0].lost);
    assert_false(s.list[1].lost);
    assert_string_equal(s.list[1].picture->path, "b.png");
    assert_int_equal(s.list[1].step, 1);
    assert_int_equal(s.list[1].times, 2);
    assert_false(s.list[2].lost);
    assert_int_equal(s.list[2].times, 2);
    assert_int_equal(s.list[3].times, 2);
    assert_int_equal(s.of[s.base[6]], 3);
    report_shots_free(&s);
    record_free(&r);
}

static void which_steps_have_a_row(void **state)
{
    struct record r = {0};
    struct report_rows rows;
    unsigned num = 0;

    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        record_add_step(&r, "/", "", "", "", NULL)->result =
            i < 7000 ? STEP_PASSED : STEP_TO_COME;
    r.steps[4000].result = STEP_FAILED;
    rows = report_rows_of(&r);
    for (unsigned i = 0; i < 10000; i++)
        num += report_has_row(&rows, i);
    assert_true(num > REPORT_STEPS_MAX - 200 && num < REPORT_STEPS_MAX + 200);
    assert_true(report_has_row(&rows, 0));
    assert_true(report_has_row(&rows, 999));
    assert_false(report_has_row(&rows, 1000));
    assert_true(report_has_row(&rows, 4000));
    assert_true(report_has_row(&rows, 6999));
    assert_true(report_has_row(&rows, 7000));
    assert_false(report_has_row(&rows, 9999));
    record_free(&r);
}

static char *read_file(const char *path)
{
    char *s = calloc(1, 100000);
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    assert_true(fread(s, 1, 99999, f) > 0);
    fclose(f);
    return s;
}

static void a_report_takes_its_place_as_a_whole(void **state)
{
    struct record r = {.name = strdup("x"), .passed = true};
    const char *path = in_dir("junit.xml");
    struct err e;
    char *s;

    (void)state;
    write_file(path, "what was there before", 21);
    assert_int_equal(report_junit(&r, path, &e), 0);
    s = read_file(path);
    assert_non_null(strstr(s, "<testsuite name=\"x\" tests=\"0\""));
    free(s);
    assert_int_equal(access(in_dir("junit.xml.new"), F_OK), -1);
    record_free(&r);
}

/* Who reads it would take the file that it names from where it runs. */
static void no_output_names_an_attachment(void **state)
{
    const char *path = in_dir("junit.xml");
    struct record r = {.name = strdup("x")};
    struct record_step *s = record_add_step(&r, "/", "", "run", "", NULL);
    struct record_process *p = record_add_process(&r, "vm", "");
    struct err e;
    char *text;

    (void)state;
    assert_true(s && p);
    s->answer = strdup("a [[ATTACHMENT|/etc/shadow]]");
    assert_non_null(record_add_picture(s, "", "shot.png", ""));
    free(p->output);
    p->output = strdup("[[[AT\033[0mTACHMENT|/b]] [[attachment|/c]]");
    assert_int_equal(report_junit(&r, path, &e), 0);
    text = read_file(path);
    assert_non_null(strstr(text, "a [ [ATTACHMENT|/etc/shadow]]"));
    assert_non_null(strstr(text, "[[ [ATTACHMENT|/b]] [ [attachment|/c]]"));
    assert_memory_equal(strstr(text, "[[ATTACHMENT|"),
                        "[[ATTACHMENT|shot.png]]", 23);
    record_free(&r);
    free(text);
}

static void what_cannot_be_written_leaves_nothing(void **state)
{
    struct record r = {0};
    struct err e;

    (void)state;
    assert_int_equal(report_html(&r, in_dir("no/report.html"), &e), -ENOENT);
    assert_non_null(strstr(e.where, "/no/report.html"));
    assert_non_null(strstr(e.text, "cannot write it: "));
    assert_int_equal(mkdir(in_dir("taken"), 0700), 0);
    assert_true(report_html(&r, in_dir("taken"), &e) < 0);
    assert_int_equal(access(in_dir("taken.new"), F_OK), -1);
    /* Nor does a link lead to what is not ours. */
    assert_int_equal(symlink("/dev/full", in_dir("report.html.new")), 0);
    assert_true(report_html(&r, in_dir("report.html"), &e) < 0);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    char command[64];

    (void)state;
    free(out);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markup_is_escaped),
        cmocka_unit_test(what_steers_a_terminal_is_left_out),
        cmocka_unit_test(a_sequence_without_end_takes_no_text_with_it),
        cmocka_unit_test(controls_can_be_seen),
        cmocka_unit_test(what_is_no_text_is_replaced),
        cmocka_unit_test(text_cannot_turn_its_direction),
        cmocka_unit_test(ends_of_lines_are_of_one_kind),
        cmocka_unit_test(what_is_too_long_is_cut_between_characters),
        cmocka_unit_test(times_are_as_short_as_they_may_be),
        cmocka_unit_test(long_json_has_lines),
        cmocka_unit_test(lines_do_not_change_json),
        cmocka_unit_test(what_is_no_json_is_as_it_was),
        cmocka_unit_test(base64_is_that_of_its_rfc),
        cmocka_unit_test(only_a_png_is_taken_in),
        cmocka_unit_test(links_stay_in_the_directory),
        cmocka_unit_test(groups_are_numbered_as_they_appear),
        cmocka_unit_test(pictures_of_one_file_are_not_mixed_up),
        cmocka_unit_test(which_steps_have_a_row),
        cmocka_unit_test(a_report_takes_its_place_as_a_whole),
        cmocka_unit_test(no_output_names_an_attachment),
        cmocka_unit_test(what_cannot_be_written_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
