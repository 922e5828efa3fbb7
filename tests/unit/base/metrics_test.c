/* base/metrics.h: the text, to the letter. Spec: OpenMetrics 1.0, "Text
 * Format". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/metrics.h"

static const struct metric_family apples = {"apples", METRIC_COUNTER, NULL,
                                            "Of \"all\"\nkinds \\o/."};
static const struct metric_family room = {"room_bytes", METRIC_GAUGE, "bytes",
                                          "What is left."};
static const struct metric_family times = {"time_seconds", METRIC_HISTOGRAM,
                                           "seconds", "How long."};

static char *text_of(const struct metrics_of *of, size_t count)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    assert_non_null(f);
    assert_int_equal(metrics_write(f, of, count), 0);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void samples_of_a_family_come_together(void **state)
{
    struct metrics a = METRICS_EMPTY, b = METRICS_EMPTY;
    const struct metrics_of of[] = {{NULL, &a}, {"none", NULL}, {"q\"\\", &b}};
    char *text;

    (void)state;
    metrics_add(&a, &apples, 1, "%s", "");
    metrics_add(&a, &room, UINT64_MAX, "%s", "");
    metrics_add(&b, &apples, 2, "kind=\"%s\"", "red");
    metrics_add(&b, &apples, 3, "kind=\"%s\"", "green");
    text = text_of(of, 3);
    assert_string_equal(text,
                        "# HELP apples Of \\\"all\\\"\\nkinds \\\\o/.\n"
                        "# TYPE apples counter\n"
                        "apples_total 1\n"
                        "apples_total{device=\"q\\\"\\\\\",kind=\"red\"} 2\n"
                        "apples_total{device=\"q\\\"\\\\\",kind=\"green\"} 3\n"
                        "# HELP room_bytes What is left.\n"
                        "# TYPE room_bytes gauge\n"
                        "# UNIT room_bytes bytes\n"
                        "room_bytes 18446744073709551615\n"
                        "# EOF\n");
    free(text);
    metrics_free(&a);
    metrics_free(&b);
}

/* It may come from a config, or from a peer. */
static void a_label_may_have_any_text(void **state)
{
    static const struct metric_family waits = {"wait_seconds", METRIC_COUNTER,
                                               "seconds", "How long."};
    struct metrics m = METRICS_EMPTY;
    const struct metrics_of of[] = {{"d", &m}};
    char about[1000], *text;

    (void)state;
    memset(about, 'x', sizeof(about) - 1);
    about[sizeof(about) - 1] = '\0';
    about[0] = '\n';
    metrics_add_about(&m, &waits, 1500000000, "who", "\"\\", "%s", "");
    metrics_add_about(&m, &waits, 7, "who", about, "kind=\"%s\"", "red");
    text = text_of(of, 1);
    assert_non_null(strstr(text,
                           "wait_seconds_total{device=\"d\",who=\"\\\"\\\\\"} "
                           "1.500000000\n"));
    assert_non_null(strstr(text, "{device=\"d\",who=\"\\nxxx"));
    assert_non_null(strstr(text, "xxx\",kind=\"red\"} 0.000000007\n"));
    free(text);
    metrics_free(&m);
}

static void nothing_is_a_text_too(void **state)
{
    char *text = text_of(NULL, 0);

    (void)state;
    assert_string_equal(text, "# EOF\n");
    free(text);
}

static void buckets_add_up(void **state)
{
    static struct histogram h;
    struct metrics m = METRICS_EMPTY;
    const struct metrics_of of[] = {{"d", &m}};
    char *text;

    (void)state;
    histogram_add(&h, 255, 1);               /* below the first bound */
    histogram_add(&h, 1000, 2);              /* below 1024 */
    histogram_add(&h, 5000000000, 1);        /* 5 s, below 2^33 ns */
    histogram_add(&h, UINT64_C(1) << 40, 1); /* above all */
    metrics_add_histogram(&m, &times, &h, "queue=\"%u\"", 0);
    text = text_of(of, 1);
#define B(le, n)                                                               \
    assert_non_null(                                                           \
        strstr(text, "time_seconds_bucket{device=\"d\",queue=\"0\",le=\"" le   \
                     "\"} " #n "\n"))
    B("0.000000256", 1);
    B("0.000000512", 1);
    B("0.000001024", 3);
    B("4.294967296", 3);
    B("8.589934592", 4);
    B("17.179869184", 4);
    B("+Inf", 5);
    assert_non_null(strstr(text,
                           "time_seconds_count{device=\"d\",queue=\"0\"} 5\n"
                           "time_seconds_sum{device=\"d\",queue=\"0\"} "
                           "1104.511630031\n# EOF\n"));
    free(text);
    metrics_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_of_a_family_come_together),
        cmocka_unit_test(a_label_may_have_any_text),
        cmocka_unit_test(nothing_is_a_text_too),
        cmocka_unit_test(buckets_add_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
