/* device/input/recording*.c: good recordings of both forms, and bad ones beside
 * what is said of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "device/input/codes.h"
#include "device/input/kinds.h"
#include "device/input/recording.h"

/* ---- helpers ---- */

static struct recording rec;

static void good(const char *text)
{
    struct err e = {0};

    if (recording_read(&rec, text, strlen(text), 0, &e) < 0)
        fail_msg("%s", e.text);
}

static void bad_device(const char *text, unsigned device, int code,
                       const char *said)
{
    struct err e = {0};

    assert_int_equal(recording_read(&rec, text, strlen(text), device, &e),
                     code);
    assert_string_equal(e.text, said);
    assert_int_equal(e.code, code);
    assert_null(rec.events);
    assert_int_equal(rec.count, 0);
}

static void bad(const char *text, const char *said)
{
    bad_device(text, 0, -EINVAL, said);
}

static void assert_event(size_t at, uint64_t usec, unsigned type, unsigned code,
                         int32_t value)
{
    assert_in_range(at, 0, rec.count - 1);
    assert_int_equal(rec.events[at].usec, usec);
    assert_int_equal(rec.events[at].type, type);
    assert_int_equal(rec.events[at].code, code);
    assert_int_equal(rec.events[at].value, value);
}

/* ---- evemu ---- */

#define KEYS "B: 01 00 00 00 40 00 00 00 00\n" /* KEY_A */
#define AXIS "B: 03 01 00 00 00 00 00 00 00\n" /* ABS_X */
#define TAP                                                                    \
    "E: 5.000001 0001 001e 1\n"                                                \
    "E: 5.000001 0000 0000 0\n"                                                \
    "E: 5.100001 0001 001e 0\n"                                                \
    "E: 5.100001 0000 0000 0\n"

static void evemu_is_read(void **state)
{
    (void)state;
    good("# EVEMU 1.3\n"
         "# Kernel: 6.1.0\n"
         "\n"
         "N: A keyboard \xff\x01 with all\n"
         "I: 0003 046d c31c 0110\n"
         "P: 02 00 00 00 00 00 00 00\n"
         "B: 00 0b 00 12 00 00 00 00 00\n"
         "B: 01 00 00 00 40 00 00 00 00\n"
         "B: 01 02 00 00 00 00 00 00 00\n"
         "B: 03 03 00 00 00 00 00 00 00\n"
         "B: 11 07 00 00 00 00 00 00 00\n"
         "B: 14 03 00 00 00 00 00 00 00\n"
         "B: 15 00 00 00 00 00 00 00 00\n"
         "A: 00 -5 15360 4 1 100\n"
         "A: 01 0 10 0 0\n"
         "L: 00 1\n"
         "S: 00 0\r\n"
         "E: 12.500000 0001 001e 0001\t# EV_KEY / KEY_A 1\n"
         "E: 12.500000 0000 0000 0000\t# -- SYN_REPORT\n"
         "E: 12.600000 0011 0000 0001\n" /* a LED: left out */
         "E: 12.600000 0000 0000 0000\n"
         "E: 13.750001 0003 0000 -0005\n"
         "E: 13.750001 0000 0000 0000");
    assert_string_equal(rec.desc.name, "A keyboard ?? with all");
    assert_string_equal(rec.desc.serial, "");
    assert_int_equal(rec.desc.bustype, 3);
    assert_int_equal(rec.desc.vendor, 0x46d);
    assert_int_equal(rec.desc.product, 0xc31c);
    assert_int_equal(rec.desc.version, 0x110);
    assert_int_equal(rec.desc.props[0], 1 << INPUT_PROP_DIRECT);
    assert_true(source_has(&rec.desc, EV_KEY, KEY_A));
    assert_true(source_has(&rec.desc, EV_KEY, 65));
    assert_false(source_has(&rec.desc, EV_KEY, 31));
    assert_true(source_has(&rec.desc, EV_LED, LED_CAPSL));
    assert_false(source_has(&rec.desc, EV_REP, REP_DELAY));
    assert_int_equal(rec.desc.abs[ABS_X].min, -5);
    assert_int_equal(rec.desc.abs[ABS_X].max, 15360);
    assert_int_equal(rec.desc.abs[ABS_X].fuzz, 4);
    assert_int_equal(rec.desc.abs[ABS_X].flat, 1);
    assert_int_equal(rec.desc.abs[ABS_X].res, 100);
    assert_int_equal(rec.desc.abs[ABS_Y].max, 10);
    assert_int_equal(rec.count, 4);
    assert_int_equal(rec.frames, 2);
    assert_int_equal(rec.usec, 1250001);
    assert_event(0, 0, EV_KEY, KEY_A, 1);
    assert_event(1, 0, EV_SYN, SYN_REPORT, 0);
    assert_event(2, 1250001, EV_ABS, ABS_X, -5);
    recording_free(&rec);
}

static void evemu_without_a_header_is_known_by_its_letters(void **state)
{
    (void)state;
    good("# a comment of mine\nN: x\n" KEYS TAP);
    assert_int_equal(rec.frames, 2);
    recording_free(&rec);
    good("# EVEMU 1.0\n" KEYS TAP);
    assert_string_equal(rec.desc.name, "");
    recording_free(&rec);
}

static void bad_evemu_is_refused_with_line_and_reason(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"# EVEMU 1.4\nN: x\n", "line 1: version 1.4 of the form is not known, "
                                "1.0 to 1.3 are"},
        {"# EVEMU 2.0\n", "line 1: version 2.0 of the form is not known, 1.0 "
                          "to 1.3 are"},
        {"# EVEMU x\n", "line 1: must be \"# EVEMU 1.3\", not \"# EVEMU x\""},
        {"N: x\nI: 0003 046d\n",
         "line 2: must be \"I: bus vendor product version\", not "
         "\"I: 0003 046d\""},
        {"I: 0003 046d 0001 10000\n",
         "line 1: must be \"I: bus vendor product version\", not "
         "\"I: 0003 046d 0001 10000\""},
        {"B: 01 00 00 00\n", "line 1: must be \"B: type, eight bytes\", not "
                             "\"B: 01 00 00 00\""},
        {"B: 20 00 00 00 00 00 00 00 00\n",
         "line 1: there is no event type 0x20: the last is 0x1f"},
        {"P: 00 00 00 00 00 00 00 0x\n",
         "line 1: must be \"P: eight bytes\", not "
         "\"P: 00 00 00 00 00 00 00 0x\""},
        {"A: 40 0 1 0 0 0\n", "line 1: there is no axis 0x40"},
        {"A: 00 0 1\n", "line 1: must be \"A: axis min max fuzz flat "
                        "resolution\", not \"A: 00 0 1\""},
        {"A: 00 0 4294967296 0 0 0\n",
         "line 1: must be \"A: axis min max fuzz flat resolution\", not "
         "\"A: 00 0 4294967296 0 0 0\""},
        {"N: x\nQ: 1\n", "line 2: there are no lines of the letter 'Q'"},
        {"N: x\nhello\n", "line 2: must be \"LETTER: ...\", not \"hello\""},
        {"N: x\n" TAP, "line 2: the recording does not say which events its "
                       "device has"},
        {AXIS "E: 0.000000 0003 0000 1\n",
         "line 2: the device has the axis 0x00, but its range is not told"},
        {KEYS "E: 0.000000 0001 001f 1\n",
         "line 2: the recording has not said that its device has the event "
         "type 0x01 code 0x1f"},
        {KEYS "E: 0.000000 0020 0000 1\n", "line 2: 0x20 0x0 1 is no event"},
        {KEYS "E: 0.5 0001 001e 1\n",
         "line 2: must be \"E: seconds.microseconds type code value\", not "
         "\"E: 0.5 0001 001e 1\""},
        {KEYS "E: 0.000000 0001 001e 2147483648\n",
         "line 2: must be \"E: seconds.microseconds type code value\", not "
         "\"E: 0.000000 0001 001e 2147483648\""},
        {KEYS "E: 0.000000 0001 001e 1 1\n",
         "line 2: must be \"E: seconds.microseconds type code value\", not "
         "\"E: 0.000000 0001 001e 1 1\""},
        {KEYS "E: 99999999999999.000000 0001 001e 1\n",
         "line 2: the time, 99999999999999 s, is beyond what can be "
         "replayed: it must be less than 8589934592 s"},
        {KEYS "E: 1.000000 0001 001e 1\nE: 0.999999 0000 0000 0\n",
         "line 3: the time goes back by 1 microseconds"},
        {KEYS TAP KEYS, "line 6: the device is described after its first "
                        "event"},
        {KEYS "E: 0.000000 0001 001e 1\n",
         "line 2: the recording ends inside a frame: SYN_REPORT is missing"},
        {KEYS, "there are no events in it"},
        {KEYS "E: 0.000000 0000 0000 0\n", "there are no events in it"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
        bad(cases[i].text, cases[i].said);
}

/* ---- libinput record ---- */

#define YAML_HEAD                                                              \
    "# libinput record\n"                                                      \
    "version: 1\n"                                                             \
    "ndevices: 2\n"                                                            \
    "libinput:\n"                                                              \
    "  version: \"1.22.1\"\n"                                                  \
    "system:\n"                                                                \
    "  os: \"debian:12\"\n"                                                    \
    "devices:\n"
#define YAML_KEYBOARD                                                          \
    "- node: /dev/input/event3\n"                                              \
    "  evdev:\n"                                                               \
    "    # Name: K\n"                                                          \
    "    name: \"K\"\n"                                                        \
    "    id: [3, 1133, 49948, 272]\n"                                          \
    "    codes:\n"                                                             \
    "      0: [0, 1, 4] # EV_SYN\n"                                            \
    "      1: [30, 31] # EV_KEY\n"                                             \
    "      20: [0, 1] # EV_REP\n"                                              \
    "    properties: []\n"                                                     \
    "  hid: [0x05, 0x01]\n"                                                    \
    "  udev:\n"                                                                \
    "    properties:\n"                                                        \
    "    - ID_INPUT=1\n"                                                       \
    "  quirks:\n"                                                              \
    "  events:\n"                                                              \
    "  - evdev:\n"                                                             \
    "    - [  1,  200,   1,  30,       1] # EV_KEY / KEY_A    1\n"             \
    "    - [  1,  200,   0,   0,       0] # SYN_REPORT\n"                      \
    "  - libinput:\n"                                                          \
    "    - {time: 1.000200, type: KEYBOARD_KEY, key: [30]}\n"                  \
    "  - evdev:\n"                                                             \
    "    - [  1, 5200,   1,  30,       0]\n"                                   \
    "    - [  1, 5200,   0,   0,       0]\n"
#define YAML_TABLET                                                            \
    "- node: /dev/input/event4\n"                                              \
    "  evdev:\n"                                                               \
    "    name: \"T\"\n"                                                        \
    "    id: [6, 0, 0, 0]\n"                                                   \
    "    codes:\n"                                                             \
    "      3: [0] # EV_ABS\n"                                                  \
    "    absinfo:\n"                                                           \
    "      0: [-7, 32767, 1, 2, 3]\n"                                          \
    "    properties: [1]\n"                                                    \
    "  events:\n"                                                              \
    "  - evdev:\n"                                                             \
    "    - [0, 0, 3, 0, -7]\n"                                                 \
    "    - [0, 0, 0, 0, 0]\n"

static void libinput_is_read(void **state)
{
    (void)state;
    good(YAML_HEAD YAML_KEYBOARD YAML_TABLET);
    assert_string_equal(rec.desc.name, "K");
    assert_int_equal(rec.desc.vendor, 1133);
    assert_true(source_has(&rec.desc, EV_KEY, KEY_S));
    assert_false(source_has(&rec.desc, EV_REP, REP_DELAY));
    assert_int_equal(rec.frames, 2);
    assert_int_equal(rec.usec, 5000);
    assert_event(0, 0, EV_KEY, KEY_A, 1);
    assert_event(2, 5000, EV_KEY, KEY_A, 0);
    recording_free(&rec);
}

static void libinput_may_have_several_devices(void **state)
{
    static const char text[] = YAML_HEAD YAML_KEYBOARD YAML_TABLET;
    struct err e = {0};

    (void)state;
    assert_int_equal(recording_read(&rec, text, strlen(text), 1, &e), 0);
    assert_string_equal(rec.desc.name, "T");
    assert_int_equal(rec.desc.abs[0].min, -7);
    assert_int_equal(rec.desc.abs[0].res, 3);
    assert_int_equal(rec.desc.props[0], 2);
    assert_int_equal(rec.frames, 1);
    recording_free(&rec);
    bad_device(text, 2, -ENODEV,
               "there are 2 devices in the recording, of which 0 is the first");
    bad_device(KEYS TAP, 1, -ENODEV,
               "a recording of evemu has one device: 0 is its number");
}

static void bad_yaml_is_refused_with_line_and_reason(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "this is no recording of evemu-record or of `libinput record`: "
             "it is empty"},
        {"hello\n", "line 1: this is no recording of evemu-record or of "
                    "`libinput record`"},
        {"- 1\n", "line 1: this is no recording of evemu-record or of "
                  "`libinput record`"},
        {"a: [1\nb: 2\n", "line 2: no YAML: did not find expected ',' or ']'"},
        {"version: 2\n", "line 1: version 2 of the form is not known, 1 is"},
        {"version: x\n", "line 1: version must be a whole number, not \"x\""},
        {"devices: []\n", "line 1: \"version: 1\" is missing before the "
                          "devices"},
        {"version: 1\ndevices: 3\n",
         "line 2: devices must be a list, not a value"},
        {"version: 1\na: *b\n", "line 2: aliases are not read"},
        {YAML_HEAD "- 3\n", "line 9: a device must be a mapping, not a value"},
        {YAML_HEAD "- evdev:\n    id: [1, 2]\n",
         "line 10: id must have 4 numbers, not 2"},
        {YAML_HEAD "- evdev:\n    id: [1, 2, 3, 65536]\n",
         "line 10: 65536 is no id"},
        {YAML_HEAD "- evdev:\n    id: [1, 2, 3, 4, 5]\n",
         "line 10: id has more than 4 numbers"},
        {YAML_HEAD "- evdev:\n    codes:\n      x: [1]\n",
         "line 11: an event type must be a whole number, not \"x\""},
        {YAML_HEAD "- evdev:\n    codes:\n      1: [30, a]\n",
         "line 11: codes must be a whole number, not \"a\""},
        {YAML_HEAD "- evdev:\n    codes:\n      32: [1]\n",
         "line 11: there is no event type 0x20: the last is 0x1f"},
        {YAML_HEAD "- evdev:\n    codes:\n      3: [64]\n",
         "line 11: there is no code 0x40 of the event type 0x03"},
        {YAML_HEAD "- evdev:\n    absinfo:\n      0: [1, 2]\n",
         "line 11: absinfo must have 5 numbers, not 2"},
        {YAML_HEAD "- evdev:\n    properties: [-1]\n",
         "line 10: -1 is no property"},
        {YAML_HEAD "- events:\n  - evdev:\n    - [0, 0, 1, 30, 1]\n",
         "line 11: the recording does not say which events its device has"},
        {YAML_HEAD "- evdev:\n    codes:\n      1: [30]\n  events:\n"
                   "  - evdev:\n    - [0, 0, 1, 30]\n",
         "line 14: an event must have 5 numbers, not 4"},
        {YAML_HEAD "- evdev:\n    codes:\n      1: [30]\n  events:\n"
                   "  - evdev:\n    - [0, -1, 1, 30, 1]\n",
         "line 14: 0 s and -1 microseconds are no time"},
        {YAML_HEAD "- evdev:\n    codes:\n      1: [30]\n  events:\n"
                   "  - evdev:\n    - [0, 0, 1, 30, 1]\n",
         "the recording ends inside a frame: SYN_REPORT is missing"},
        {YAML_HEAD "- evdev:\n    codes:\n      1: [30]\n  events:\n",
         "there are no events in it"},
        {"version: 1\ndevices: []\n---\n", "line 3: a second document"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
        bad(cases[i].text, cases[i].said);
}

/* One frame of so many events, SYN_REPORT too. */
static char *one_frame(unsigned events)
{
    char *text = malloc(100 + events * 30u), *at = text;

    assert_non_null(text);
    at += sprintf(at, "%s", KEYS);
    for (unsigned i = 0; i + 1 < events; i++)
        at += sprintf(at, "E: 0.000000 0001 001e %u\n", i % 2);
    sprintf(at, "E: 0.000000 0000 0000 0\n");
    return text;
}

static void a_frame_has_a_length(void **state)
{
    char *longest = one_frame(1024), *longer = one_frame(1025);

    (void)state;
    good(longest);
    assert_int_equal(rec.frames, 1);
    assert_int_equal(rec.count, 1024);
    recording_free(&rec);
    bad(longer, "line 1025: more than 1024 events in a frame: SYN_REPORT is "
                "missing");
    free(longest);
    free(longer);
}

static void times_go_as_far_as_can_be_replayed(void **state)
{
    (void)state;
    good(KEYS "E: 0.000000 0001 001e 1\n"
              "E: 8589934591.999999 0000 0000 0\n");
    /* As replay.c reckons with it. */
    assert_true(rec.usec <= (uint64_t)INT64_MAX / 1000);
    recording_free(&rec);
    bad(KEYS "E: 0.000000 0001 001e 1\n"
             "E: 8589934592.000000 0000 0000 0\n",
        "line 3: the time, 8589934592 s, is beyond what can be replayed: it "
        "must be less than 8589934592 s");
}

static void yaml_has_a_depth(void **state)
{
    char text[400] = "version: 1\na: ";
    size_t len = strlen(text);

    (void)state;
    memset(text + len, '[', 100);
    memset(text + len + 100, ']', 100);
    bad(text, "line 2: nested too deeply");
}

/* ---- files ---- */

static void files_are_read_and_refused(void **state)
{
    char path[] = "/tmp/vub-recording-XXXXXX", said[200];
    int fd = mkstemp(path);
    struct err e = {0};

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, KEYS TAP, strlen(KEYS TAP)),
                     (ssize_t)strlen(KEYS TAP));
    assert_int_equal(recording_load(&rec, path, 0, &e), 0);
    assert_int_equal(rec.frames, 2);
    recording_free(&rec);
    assert_int_equal(ftruncate(fd, (off_t)RECORDING_BYTES_MAX + 1), 0);
    assert_int_equal(recording_load(&rec, path, 0, &e), -EFBIG);
    snprintf(said, sizeof(said),
             "%s has 67108865 bytes, at most 67108864 are "
             "read",
             path);
    assert_string_equal(e.text, said);
    close(fd);
    unlink(path);
    assert_int_equal(recording_load(&rec, path, 0, &e), -ENOENT);
    assert_int_equal(recording_load(&rec, "/tmp", 0, &e), -EINVAL);
    assert_string_equal(e.text, "/tmp is no regular file");
}

static void bad_recordings_are_errors_of_their_key(void **state)
{
    static const struct {
        const char *keys, *where, *said;
    } cases[] = {
        {"\"path\": \"/nonexistent\"", "/source/path",
         "cannot open /nonexistent: No such file or directory"},
        {"\"path\": \"/tmp\"", "/source/path", "/tmp is no regular file"},
    };
    const struct source_ops *ops = replay_table.ops;
    struct source *source;
    struct conf_doc *doc;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct errs e = ERRS_EMPTY;
        struct conf_any any = {.table = &replay_table, .at = "/source"};
        char text[100];

        snprintf(text, sizeof(text), "{%s}", cases[i].keys);
        assert_int_equal(conf_read_text(&doc, &any.data, &replay_table, text,
                                        strlen(text), "/", NULL, &e),
                         0);
        assert_true(ops->open(&source, &any, "id", &e) < 0);
        assert_string_equal(e.list[0].where, cases[i].where);
        assert_string_equal(e.list[0].text, cases[i].said);
        errs_free(&e);
        conf_free(doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evemu_is_read),
        cmocka_unit_test(evemu_without_a_header_is_known_by_its_letters),
        cmocka_unit_test(bad_evemu_is_refused_with_line_and_reason),
        cmocka_unit_test(libinput_is_read),
        cmocka_unit_test(libinput_may_have_several_devices),
        cmocka_unit_test(bad_yaml_is_refused_with_line_and_reason),
        cmocka_unit_test(a_frame_has_a_length),
        cmocka_unit_test(times_go_as_far_as_can_be_replayed),
        cmocka_unit_test(yaml_has_a_depth),
        cmocka_unit_test(files_are_read_and_refused),
        cmocka_unit_test(bad_recordings_are_errors_of_their_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
