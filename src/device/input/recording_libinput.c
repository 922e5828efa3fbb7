/* What `libinput record` writes: YAML, of which we read
 *
 *     version: 1
 *     devices:
 *     - evdev:
 *         name: "..."
 *         id: [3, 1133, 45890, 273]      bus, vendor, product, version
 *         codes:
 *           1: [30, 48]                  type: codes
 *         absinfo:
 *           0: [0, 1023, 0, 0, 10]       axis: min, max, fuzz, flat, resolution
 *         properties: [0]
 *       events:
 *       - evdev:
 *         - [0, 1500, 1, 30, 1]          seconds, usec, type, code, value
 *
 * and whose other keys are passed over. libyaml takes the text apart into
 * events of its own; no tree is built, what is open is the depth of our calls,
 * and a part that is passed over is only counted. Anchors and aliases are not
 * written by the tool, and refused. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "device/input/codes.h"
#include "device/input/describe.h"
#include "device/input/recording_impl.h"
#include "os/library.h"

#define LIBYAML(CALL)                                                          \
    CALL(yaml_, event_delete)                                                  \
    CALL(yaml_, parser_delete)                                                 \
    CALL(yaml_, parser_initialize)                                             \
    CALL(yaml_, parser_parse)                                                  \
    CALL(yaml_, parser_set_input_string)

LIBRARY_CALLS(libyaml, LIBYAML);
static LIBRARY(libyaml, LIBYAML, VUB_LIBRARY_yaml);

#define DEPTH_MAX 32 /* of what is passed over */

struct yaml {
    struct recording_maker *m;
    yaml_parser_t parser;
    yaml_event_t ev; /* the one we are at */
    bool has_ev;
    unsigned device; /* wanted */
    unsigned devices;
    bool has_version, found;
};

/* ---- one event after the other ---- */

static unsigned long line_of(const struct yaml *y)
{
    return (unsigned long)y->ev.start_mark.line + 1;
}

static int next(struct yaml *y)
{
    if (y->has_ev)
        libyaml.event_delete(&y->ev);
    y->has_ev = false;
    if (!libyaml.parser_parse(&y->parser, &y->ev)) {
        if (y->parser.error == YAML_MEMORY_ERROR)
            return err_nomem(y->m->e);
        return recording_fail(
            y->m, (unsigned long)y->parser.problem_mark.line + 1, "no YAML: %s",
            y->parser.problem ? y->parser.problem : "it cannot be read");
    }
    y->has_ev = true;
    if (y->ev.type == YAML_ALIAS_EVENT)
        return recording_fail(y->m, line_of(y), "aliases are not read");
    return 0;
}

static const char *kind(yaml_event_type_t type)
{
    switch (type) {
    case YAML_SCALAR_EVENT:
        return "a value";
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    case YAML_MAPPING_START_EVENT:
        return "a mapping";
    default:
        return "the end";
    }
}

static int expect(struct yaml *y, yaml_event_type_t type, const char *what)
{
    if (y->ev.type == type)
        return 0;
    return recording_fail(y->m, line_of(y), "%s must be %s, not %s", what,
                          kind(type), kind(y->ev.type));
}

/* Passes over the node that we are at. */
static int skip(struct yaml *y)
{
    unsigned depth = 0;
    int rc;

    for (;;) {
        if (y->ev.type == YAML_SEQUENCE_START_EVENT ||
            y->ev.type == YAML_MAPPING_START_EVENT)
            depth++;
        else if (y->ev.type != YAML_SCALAR_EVENT)
            depth--;
        if (depth > DEPTH_MAX)
            return recording_fail(y->m, line_of(y), "nested too deeply");
        if (depth == 0)
            return 0;
        rc = next(y);
        if (rc < 0)
            return rc;
    }
}

/* A whole number: decimal, or hexadecimal behind 0x. */
static int take_int(struct yaml *y, const char *what, int64_t *n)
{
    const char *text = (const char *)y->ev.data.scalar.value;
    char *end;

    if (y->ev.type != YAML_SCALAR_EVENT)
        return expect(y, YAML_SCALAR_EVENT, what);
    errno = 0;
    *n = strtoll(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
    if (end == text || *end || errno)
        return recording_fail(y->m, line_of(y),
                              "%s must be a whole number, not \"%.40s\"", what,
                              text);
    return 0;
}

/* At a list of at most max numbers: into n, *count of them. */
static int take_ints(struct yaml *y, const char *what, int64_t *n, unsigned max,
                     unsigned *count)
{
    int rc = expect(y, YAML_SEQUENCE_START_EVENT, what);

    for (*count = 0; rc == 0; ++*count) {
        rc = next(y);
        if (rc < 0 || y->ev.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (*count == max)
            return recording_fail(y->m, line_of(y),
                                  "%s has more than %u numbers", what, max);
        rc = take_int(y, what, &n[*count]);
    }
    return rc;
}

/* The same of exactly so many. */
static int take_exactly(struct yaml *y, const char *what, int64_t *n,
                        unsigned wanted)
{
    unsigned long line = line_of(y);
    unsigned count;
    int rc = take_ints(y, what, n, wanted, &count);

    if (rc == 0 && count < wanted)
        rc = recording_fail(y->m, line, "%s must have %u numbers, not %u", what,
                            wanted, count);
    return rc;
}

/* Calls one for each key of a mapping, the event being the key's value, which
 * one must read or skip up to its last event. */
static int each_key(struct yaml *y, const char *what,
                    int (*one)(struct yaml *y, const char *key))
{
    char key[40];
    int rc = expect(y, YAML_MAPPING_START_EVENT, what);

    while (rc == 0) {
        rc = next(y);
        if (rc < 0 || y->ev.type == YAML_MAPPING_END_EVENT)
            break;
        rc = expect(y, YAML_SCALAR_EVENT, "a key");
        if (rc < 0)
            break;
        strncpy(key, (const char *)y->ev.data.scalar.value, sizeof(key) - 1);
        key[sizeof(key) - 1] = '\0';
        rc = next(y);
        if (rc == 0)
            rc = one(y, key);
    }
    return rc;
}

/* The same of the elements of a list. */
static int each_element(struct yaml *y, const char *what,
                        int (*one)(struct yaml *y))
{
    int rc;

    /* A key without a value: `libinput record` writes "events:" of a device
     * that did nothing. */
    if (y->ev.type == YAML_SCALAR_EVENT && y->ev.data.scalar.length == 0)
        return 0;
    rc = expect(y, YAML_SEQUENCE_START_EVENT, what);
    while (rc == 0) {
        rc = next(y);
        if (rc < 0 || y->ev.type == YAML_SEQUENCE_END_EVENT)
            break;
        rc = one(y);
    }
    return rc;
}

/* ---- the description ---- */

static int key_number(struct yaml *y, const char *what, const char *key,
                      uint64_t *n)
{
    char *end;

    errno = 0;
    *n = strtoull(key, &end, 10);
    if (end == key || *end || errno || *key == '-')
        return recording_fail(y->m, line_of(y),
                              "%s must be a whole number, not \"%s\"", what,
                              key);
    return 0;
}

static int read_codes(struct yaml *y, const char *key)
{
    unsigned long line = line_of(y);
    int64_t codes[SOURCE_BITS_BYTES * 8];
    unsigned count;
    uint64_t type;
    int rc = key_number(y, "an event type", key, &type);

    if (rc == 0)
        rc = take_ints(y, "codes", codes, ARRAY_LEN(codes), &count);
    for (unsigned i = 0; rc == 0 && i < count && type != EV_SYN; i++)
        rc = recording_has(y->m, line, type, (uint64_t)codes[i]);
    return rc;
}

static bool fits(int64_t n)
{
    return n >= INT32_MIN && n <= INT32_MAX;
}

static int read_absinfo(struct yaml *y, const char *key)
{
    unsigned long line = line_of(y);
    int64_t n[5] = {0};
    uint64_t code;
    int rc = key_number(y, "an axis", key, &code);

    if (rc == 0)
        rc = take_exactly(y, "absinfo", n, ARRAY_LEN(n));
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < ARRAY_LEN(n); i++) {
        if (!fits(n[i]))
            return recording_fail(y->m, line, "%" PRId64 " is too big", n[i]);
    }
    return recording_abs(y->m, line, code,
                         &(struct source_abs){(int32_t)n[0], (int32_t)n[1],
                                              (int32_t)n[2], (int32_t)n[3],
                                              (int32_t)n[4]});
}

static int read_ids(struct yaml *y)
{
    struct source_desc *d = &y->m->r->desc;
    unsigned long line = line_of(y);
    int64_t n[4];
    int rc = take_exactly(y, "id", n, ARRAY_LEN(n));

    for (unsigned i = 0; rc == 0 && i < ARRAY_LEN(n); i++) {
        if (n[i] < 0 || n[i] > UINT16_MAX)
            rc = recording_fail(y->m, line, "%" PRId64 " is no id", n[i]);
    }
    if (rc < 0)
        return rc;
    d->bustype = (uint16_t)n[0];
    d->vendor = (uint16_t)n[1];
    d->product = (uint16_t)n[2];
    d->version = (uint16_t)n[3];
    return 0;
}

static int read_props(struct yaml *y)
{
    uint8_t *props = y->m->r->desc.props;
    int64_t n[SOURCE_BITS_BYTES * 8];
    unsigned long line = line_of(y);
    unsigned count;
    int rc = take_ints(y, "properties", n, ARRAY_LEN(n), &count);

    for (unsigned i = 0; rc == 0 && i < count; i++) {
        if (n[i] < 0 || n[i] >= SOURCE_BITS_BYTES * 8)
            rc = recording_fail(y->m, line, "%" PRId64 " is no property", n[i]);
        else
            props[n[i] / 8] |= (uint8_t)(1u << n[i] % 8);
    }
    return rc;
}

static int read_evdev(struct yaml *y, const char *key)
{
    const yaml_event_t *ev = &y->ev;
    int rc;

    if (strcmp(key, "name") == 0) {
        rc = expect(y, YAML_SCALAR_EVENT, "name");
        if (rc == 0)
            desc_text(y->m->r->desc.name, (const char *)ev->data.scalar.value,
                      ev->data.scalar.length);
        return rc;
    }
    if (strcmp(key, "id") == 0)
        return read_ids(y);
    if (strcmp(key, "codes") == 0)
        return each_key(y, key, read_codes);
    if (strcmp(key, "absinfo") == 0)
        return each_key(y, key, read_absinfo);
    if (strcmp(key, "properties") == 0)
        return read_props(y);
    return skip(y);
}

/* ---- events ---- */

static int read_event(struct yaml *y)
{
    unsigned long line = line_of(y);
    int64_t n[5];
    int rc = take_exactly(y, "an event", n, ARRAY_LEN(n));

    if (rc < 0)
        return rc;
    return recording_event(y->m, line,
                           &(struct recorded_event){
                               .sec = (uint64_t)n[0],
                               .usec = (uint64_t)n[1],
                               .type = (uint64_t)n[2],
                               .code = (uint64_t)n[3],
                               .value = n[4],
                           });
}

/* A frame has the key evdev; what libinput made of it has another. */
static int read_frame_key(struct yaml *y, const char *key)
{
    return strcmp(key, "evdev") == 0 ? each_element(y, "a frame", read_event)
                                     : skip(y);
}

static int read_frame(struct yaml *y)
{
    return each_key(y, "an element of events", read_frame_key);
}

/* ---- the document ---- */

static int read_device_key(struct yaml *y, const char *key)
{
    if (strcmp(key, "events") == 0)
        return each_element(y, key, read_frame);
    if (strcmp(key, "evdev") != 0)
        return skip(y);
    if (y->m->described)
        return recording_fail(y->m, line_of(y),
                              "the device is described after its first event");
    return each_key(y, key, read_evdev);
}

static int read_device(struct yaml *y)
{
    if (y->devices++ != y->device)
        return skip(y);
    y->found = true;
    return each_key(y, "a device", read_device_key);
}

static int read_root_key(struct yaml *y, const char *key)
{
    int64_t version;
    int rc;

    if (strcmp(key, "version") == 0) {
        rc = take_int(y, key, &version);
        if (rc == 0 && version != 1)
            rc = recording_fail(
                y->m, line_of(y),
                "version %" PRId64 " of the form is not known, 1 is", version);
        y->has_version = true;
        return rc;
    }
    if (strcmp(key, "devices") != 0)
        return skip(y);
    if (y->devices)
        return recording_fail(y->m, line_of(y), "a second list of devices");
    if (!y->has_version)
        return recording_fail(y->m, line_of(y),
                              "\"version: 1\" is missing before the devices");
    return each_element(y, key, read_device);
}

static int read_document(struct yaml *y)
{
    static const char what[] =
        "a recording of evemu-record or of `libinput record`";
    int rc = next(y); /* the stream's start, and the document's */

    if (rc == 0)
        rc = next(y);
    if (rc < 0)
        return rc;
    if (y->ev.type != YAML_DOCUMENT_START_EVENT)
        return recording_fail(y->m, 0, "this is no %s: it is empty", what + 2);
    rc = next(y);
    if (rc == 0 && y->ev.type != YAML_MAPPING_START_EVENT)
        return recording_fail(y->m, line_of(y), "this is no %s", what + 2);
    if (rc == 0)
        rc = each_key(y, what, read_root_key);
    if (rc == 0)
        rc = next(y); /* the document's end */
    if (rc == 0)
        rc = next(y);
    if (rc == 0 && y->ev.type != YAML_STREAM_END_EVENT)
        rc = recording_fail(y->m, line_of(y), "a second document");
    return rc;
}

int recording_ready(struct err *e)
{
    return library_load(&libyaml_library, e);
}

int recording_read_libinput(struct recording_maker *m, const char *text,
                            size_t len, unsigned device)
{
    struct yaml y = {.m = m, .device = device};
    int rc = recording_ready(m->e);

    if (rc < 0)
        return rc;
    if (!libyaml.parser_initialize(&y.parser))
        return err_nomem(m->e);
    libyaml.parser_set_input_string(&y.parser, (const unsigned char *)text,
                                    len);
    rc = read_document(&y);
    if (y.has_ev)
        libyaml.event_delete(&y.ev);
    libyaml.parser_delete(&y.parser);
    if (rc < 0)
        return rc;
    if (!y.found)
        return err_set(m->e, -ENODEV, "",
                       "there are %u devices in the recording, of which 0 is "
                       "the first",
                       y.devices);
    return recording_end(m, 0);
}
