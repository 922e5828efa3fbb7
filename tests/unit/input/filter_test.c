/* device/input/: framing, filters and descriptions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/input/codes.h"
#include "device/input/filter.h"
#include "device/input/framing.h"

/* ---- helpers ---- */

static struct input_event16 got[2048];
static unsigned num_got, num_frames, frame_len[32];
static struct framing framing;

static void on_frame(struct framing *f, const struct input_event16 *ev,
                     unsigned n)
{
    assert_ptr_equal(f, &framing);
    assert_in_range(n, 2, SOURCE_FRAME_MAX);
    assert_int_equal(ev[n - 1].type, EV_SYN);
    assert_int_equal(ev[n - 1].code, SYN_REPORT);
    memcpy(got + num_got, ev, n * sizeof(*ev));
    num_got += n;
    frame_len[num_frames++] = n;
}

static void begin(void)
{
    num_got = num_frames = 0;
    framing_init(&framing, on_frame);
}

static void assert_got(unsigned at, unsigned type, unsigned code, int32_t value)
{
    assert_true(at < num_got);
    assert_int_equal(got[at].type, type);
    assert_int_equal(got[at].code, code);
    assert_int_equal(got[at].value, value);
}

/* A document of one table. */
static void *read_table(const struct conf_table *t, const char *text,
                        struct conf_doc **doc)
{
    struct errs e = ERRS_EMPTY;
    void *data = NULL;

    if (conf_read_text(doc, &data, t, text, strlen(text), "/", NULL, &e) < 0)
        fail_msg("%s: %s", e.list[0].where, e.list[0].text);
    return data;
}

static void assert_refused(const struct conf_table *t, const char *text,
                           const char *where, const char *said)
{
    struct errs e = ERRS_EMPTY;
    struct conf_doc *doc;
    void *data;

    assert_true(
        conf_read_text(&doc, &data, t, text, strlen(text), "/", NULL, &e) < 0);
    assert_string_equal(e.list[0].where, where);
    assert_string_equal(e.list[0].text, said);
    errs_free(&e);
}

/* ---- framing ---- */

static void frames_end_with_a_report_and_have_something(void **state)
{
    (void)state;
    begin();
    framing_add(&framing, EV_SYN, SYN_REPORT, 0);
    framing_add(&framing, EV_LED, LED_CAPSL, 1);
    framing_add(&framing, EV_REP, REP_DELAY, 250);
    framing_add(&framing, EV_SYN, SYN_CONFIG, 0);
    framing_add(&framing, EV_SYN, SYN_REPORT, 0);
    assert_int_equal(num_frames, 0);
    framing_add(&framing, EV_MSC, MSC_SCAN, 458756);
    framing_add(&framing, EV_KEY, KEY_A, 1);
    assert_int_equal(num_frames, 0);
    framing_add(&framing, EV_SYN, SYN_REPORT, 0);
    assert_int_equal(num_frames, 1);
    assert_int_equal(num_got, 3);
    assert_got(1, EV_KEY, KEY_A, 1);
}

static void long_frames_are_cut_before_a_slot(void **state)
{
    (void)state;
    begin();
    for (int slot = 0; slot < 100; slot++) {
        framing_add(&framing, EV_ABS, ABS_MT_SLOT, slot);
        framing_add(&framing, EV_ABS, ABS_MT_POSITION_X, slot);
        framing_add(&framing, EV_ABS, ABS_MT_POSITION_Y, slot);
    }
    framing_add(&framing, EV_SYN, SYN_REPORT, 0);
    assert_int_equal(num_frames, 2);
    assert_int_equal(frame_len[0], 252 + 1); /* 84 slots of 3: 85 do not fit */
    assert_got(253, EV_ABS, ABS_MT_SLOT, 84);
    assert_int_equal(num_got, 302);
}

static void long_frames_are_cut_behind_a_contact(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 100; i++) {
        framing_add(&framing, EV_ABS, ABS_MT_POSITION_X, i);
        framing_add(&framing, EV_ABS, ABS_MT_POSITION_Y, i);
        framing_add(&framing, EV_SYN, SYN_MT_REPORT, 0);
    }
    framing_add(&framing, EV_SYN, SYN_REPORT, 0);
    assert_int_equal(num_frames, 2);
    assert_int_equal(frame_len[0], 255 + 1);
    assert_got(256, EV_ABS, ABS_MT_POSITION_X, 85);
}

static void long_frames_of_anything_are_cut_somewhere(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 600; i++)
        framing_add(&framing, EV_KEY, i, 1);
    framing_add(&framing, EV_SYN, SYN_REPORT, 0);
    assert_int_equal(num_frames, 3);
    assert_int_equal(num_got, 603);
}

static void what_is_held_is_released_once(void **state)
{
    (void)state;
    begin();
    framing_add(&framing, EV_KEY, KEY_A, 1);
    framing_add(&framing, EV_KEY, KEY_S, 1);
    framing_add(&framing, EV_ABS, ABS_MT_SLOT, 3);
    framing_add(&framing, EV_ABS, ABS_MT_TRACKING_ID, 77);
    framing_add(&framing, EV_ABS, ABS_MT_SLOT, 4);
    framing_add(&framing, EV_ABS, ABS_MT_TRACKING_ID, 78);
    framing_add(&framing, EV_SYN, SYN_REPORT, 0);
    framing_add(&framing, EV_KEY, KEY_A, 0);
    framing_add(&framing, EV_SYN, SYN_REPORT, 0);
    framing_add(&framing, EV_KEY, KEY_D, 1); /* of no frame yet */
    num_got = num_frames = 0;
    framing_release(&framing);
    assert_int_equal(num_frames, 1);
    assert_int_equal(num_got, 7);
    assert_got(0, EV_KEY, KEY_S, 0);
    assert_got(1, EV_ABS, ABS_MT_SLOT, 3);
    assert_got(2, EV_ABS, ABS_MT_TRACKING_ID, -1);
    assert_got(3, EV_ABS, ABS_MT_SLOT, 4);
    assert_got(4, EV_ABS, ABS_MT_TRACKING_ID, -1);
    assert_got(5, EV_ABS, ABS_MT_SLOT, 0);
    framing_release(&framing);
    assert_int_equal(num_frames, 1);
}

/* ---- names and descriptions ---- */

static void names_may_be_codes_beginnings_and_types(void **state)
{
    struct event_set set = {{{0}}};

    (void)state;
    assert_true(event_set_add(&set, "KEY_A"));
    assert_true(event_set_has(&set, EV_KEY, KEY_A));
    assert_false(event_set_has(&set, EV_KEY, KEY_S));
    assert_true(event_set_add(&set, "ABS_MT_*"));
    assert_true(event_set_has(&set, EV_ABS, ABS_MT_SLOT));
    assert_false(event_set_has(&set, EV_ABS, ABS_X));
    assert_true(event_set_add(&set, "EV_REP"));
    assert_true(event_set_has(&set, EV_REP, REP_DELAY));
    assert_true(event_set_has(&set, EV_REP, REP_PERIOD));
    assert_true(event_set_add(&set, "EV_ABS"));
    assert_true(event_set_has(&set, EV_ABS, ABS_X));
    assert_false(event_set_has(&set, EV_ABS, ABS_CNT - 1)); /* ABS_MAX */
    assert_false(event_set_add(&set, "KEY_NONSENSE"));
    assert_false(event_set_add(&set, "NO_*"));
    assert_false(event_set_add(&set, "EV_SYN"));
    assert_false(event_set_add(&set, "SYN_REPORT"));
    assert_false(event_set_add(&set, ""));
}

static void a_description_is_made(void **state)
{
    struct conf_doc *doc;
    struct describe_conf *c = read_table(
        &describe_table,
        "{\"name\": \"Pad\", \"serial\": \"s1\", \"vendor\": \"0x046d\","
        " \"events\": [\"BTN_LEFT\", \"EV_LED\", \"ABS_Y\"],"
        " \"properties\": \"INPUT_PROP_DIRECT\","
        " \"axes\": [{\"code\": \"ABS_X\", \"min\": -5, \"max\": 5,"
        "             \"resolution\": 9}]}",
        &doc);
    struct source_desc d;

    (void)state;
    describe_make(c, &d);
    assert_string_equal(d.name, "Pad");
    assert_string_equal(d.serial, "s1");
    assert_int_equal(d.bustype, BUS_VIRTUAL);
    assert_int_equal(d.vendor, 0x46d);
    assert_true(source_has(&d, EV_KEY, BTN_LEFT));
    assert_true(source_has(&d, EV_LED, LED_CAPSL));
    assert_true(source_has(&d, EV_ABS, ABS_X));
    assert_int_equal(d.abs[ABS_X].min, -5);
    assert_int_equal(d.abs[ABS_X].res, 9);
    assert_int_equal(d.abs[ABS_Y].max, 65535);
    assert_int_equal(d.props[0], 1 << INPUT_PROP_DIRECT);
    conf_free(doc);
}

static void what_no_device_has_is_refused(void **state)
{
    (void)state;
    assert_refused(&describe_table,
                   "{\"name\": \"a\", \"events\": [\"KEY_A\", \"KEY_AA\"]}",
                   "/events/1",
                   "there is no event \"KEY_AA\": names are those of "
                   "input-event-codes.h, like \"KEY_A\", \"ABS_MT_*\" or "
                   "\"EV_KEY\"");
    assert_refused(&describe_table,
                   "{\"name\": \"a\", \"events\": \"KEY_A\","
                   " \"properties\": [\"INPUT_PROP_X\"]}",
                   "/properties/0",
                   "there is no property \"INPUT_PROP_X\": names are those of "
                   "input-event-codes.h, like \"INPUT_PROP_DIRECT\"");
    assert_refused(&describe_table,
                   "{\"name\": \"a\", \"events\": \"KEY_A\","
                   " \"axes\": [{\"code\": \"REL_X\", \"max\": 1}]}",
                   "/axes/0/code",
                   "there is no axis \"REL_X\": names are those of "
                   "input-event-codes.h, like \"ABS_X\"");
    assert_refused(&filter_table,
                   "{\"axes\": [{\"code\": \"ABS_X\", \"min\": 3,"
                   " \"max\": 3}]}",
                   "/axes/0/max", "3 is not more than min, which is 3");
    assert_refused(&filter_table, "{\"mask\": [\"EV_NO\"]}", "/mask/0",
                   "there is no event \"EV_NO\": names are those of "
                   "input-event-codes.h, like \"KEY_A\", \"ABS_MT_*\" or "
                   "\"EV_KEY\"");
}

/* ---- filters ---- */

static struct source_desc tablet(void)
{
    struct source_desc d = {.name = "T", .serial = "1", .vendor = 1};

    source_set(&d, EV_ABS, ABS_X);
    source_set(&d, EV_KEY, BTN_LEFT);
    source_set(&d, EV_MSC, MSC_SCAN);
    d.abs[ABS_X] = (struct source_abs){.min = 0, .max = 1000};
    return d;
}

static void a_filter_shows_another_device(void **state)
{
    struct conf_doc *doc;
    struct filter_conf *c = read_table(
        &filter_table,
        "{\"mask\": [\"EV_MSC\"], \"product\": 7,"
        " \"axes\": [{\"code\": \"ABS_X\", \"min\": -100, \"max\": 100}]}",
        &doc);
    struct source_desc d = tablet();
    struct errs e = ERRS_EMPTY;
    struct filter f;
    struct input_event16 ev[3] = {
        {EV_ABS, ABS_X, 250}, {EV_KEY, BTN_LEFT, 1}, {EV_SYN, SYN_REPORT, 0}};

    (void)state;
    assert_int_equal(filter_open(&f, c, "", &d, &e), 0);
    assert_int_equal(d.vendor, 1);
    assert_int_equal(d.product, 7);
    assert_false(source_has(&d, EV_MSC, MSC_SCAN));
    assert_int_equal(d.abs[ABS_X].min, -100);
    filter_frame(&f, ev, 3, ev);
    assert_int_equal(ev[0].value, -50);
    assert_int_equal(ev[1].code, BTN_LEFT);
    assert_int_equal(ev[1].value, 1);
    assert_int_equal(ev[2].type, EV_SYN);
    conf_free(doc);
}

static int32_t through(const char *min, const char *max, struct source_abs from,
                       int32_t value)
{
    char text[120];
    struct conf_doc *doc;
    struct source_desc d = tablet();
    struct errs e = ERRS_EMPTY;
    struct filter f;
    struct input_event16 ev[2] = {{EV_ABS, ABS_X, value}, {EV_SYN, 0, 0}};

    snprintf(text, sizeof(text),
             "{\"axes\": [{\"code\": \"ABS_X\", \"min\": %s, \"max\": %s}]}",
             min, max);
    d.abs[ABS_X] = from;
    assert_int_equal(
        filter_open(&f, read_table(&filter_table, text, &doc), "", &d, &e), 0);
    filter_frame(&f, ev, 2, ev);
    conf_free(doc);
    return ev[0].value;
}

static void values_are_scaled_to_the_ends(void **state)
{
    struct source_abs whole = {.min = INT32_MIN, .max = INT32_MAX};
    struct source_abs byte = {.min = 0, .max = 255}, none = {.min = 3};

    (void)state;
    assert_int_equal(through("0", "32767", byte, 0), 0);
    assert_int_equal(through("0", "32767", byte, 255), 32767);
    assert_int_equal(through("0", "32767", byte, 256), 32767);
    assert_int_equal(through("0", "32767", byte, -1), 0);
    assert_int_equal(through("0", "32767", byte, 128), 16448);
    assert_int_equal(through("-2147483648", "2147483647", whole, INT32_MIN),
                     INT32_MIN);
    assert_int_equal(through("-2147483648", "2147483647", whole, INT32_MAX),
                     INT32_MAX);
    assert_int_equal(through("-2147483648", "2147483647", whole, 12345), 12345);
    assert_int_equal(through("5", "9", none, 0), 5); /* no range at all */
}

static void a_filter_for_another_device_is_refused(void **state)
{
    struct conf_doc *doc;
    struct filter_conf *c = read_table(
        &filter_table, "{\"axes\": [{\"code\": \"ABS_Y\", \"max\": 1}]}", &doc);
    struct source_desc d = tablet();
    struct errs e = ERRS_EMPTY;
    struct filter f;

    (void)state;
    assert_true(filter_open(&f, c, "/f", &d, &e) < 0);
    assert_string_equal(e.list[0].where, "/f/filter/axes/0/code");
    assert_string_equal(e.list[0].text, "the device has no ABS_Y");
    conf_free(doc);
    errs_free(&e);
    c = read_table(&filter_table,
                   "{\"mask\": [\"EV_ABS\", \"BTN_*\", \"MSC_SCAN\"]}", &doc);
    d = tablet();
    assert_true(filter_open(&f, c, "/f", &d, &e) < 0);
    assert_string_equal(e.list[0].where, "/f/filter/mask");
    assert_string_equal(e.list[0].text, "nothing is left of the device");
    conf_free(doc);
    errs_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_end_with_a_report_and_have_something),
        cmocka_unit_test(long_frames_are_cut_before_a_slot),
        cmocka_unit_test(long_frames_are_cut_behind_a_contact),
        cmocka_unit_test(long_frames_of_anything_are_cut_somewhere),
        cmocka_unit_test(what_is_held_is_released_once),
        cmocka_unit_test(names_may_be_codes_beginnings_and_types),
        cmocka_unit_test(a_description_is_made),
        cmocka_unit_test(what_no_device_has_is_refused),
        cmocka_unit_test(a_filter_shows_another_device),
        cmocka_unit_test(values_are_scaled_to_the_ends),
        cmocka_unit_test(a_filter_for_another_device_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
