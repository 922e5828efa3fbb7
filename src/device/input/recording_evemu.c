/* What evemu-record writes: lines of a letter, a colon and numbers.
 *
 *     # EVEMU 1.3                      comments, up to the end of the line
 *     N: name
 *     I: 0003 056a 00f7 0111           bus, vendor, product, version: hex
 *     P: 02 00 00 00 00 00 00 00       8 bytes of property bits, hex
 *     B: 01 00 00 00 00 00 00 00 00    type, 8 bytes of code bits: hex
 *     A: 00 0 15360 4 0 100            axis, hex; min max fuzz flat res
 *     L: 00 1, S: 00 1                 a LED or switch and its state
 *     E: 0.000001 0003 0000 0120       seconds, type, code: hex; value
 *
 * P and several B of a type go on where the one before ended. The resolution
 * came with version 1.1, L and S with 1.3. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "device/input/describe.h"
#include "device/input/recording_impl.h"

struct evemu {
    struct recording_maker *m;
    const char *p, *end; /* what is left of this line */
    const char *whole;   /* the line */
    unsigned long line;
    unsigned prop_bytes, bytes[SOURCE_EV_TYPES]; /* read so far */
};

static int fail(struct evemu *v, const char *wanted)
{
    size_t len = (size_t)(v->end - v->whole);

    return recording_fail(v->m, v->line, "must be \"%s\", not \"%.*s\"%s",
                          wanted, (int)MIN(len, 60), v->whole,
                          len > 60 ? "..." : "");
}

/* ---- numbers ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct evemu *v)
{
    while (v->p < v->end && is_blank(*v->p))
        v->p++;
}

/* Nothing more but a comment. */
static bool at_end(struct evemu *v)
{
    skip_blanks(v);
    return v->p == v->end || *v->p == '#';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 16;
}

/* 1..max digits of the base; what follows is not looked at. */
static bool take_digits(struct evemu *v, int base, unsigned max, uint64_t *n)
{
    unsigned digits = 0;

    for (*n = 0; v->p < v->end && digit(*v->p) < base; v->p++) {
        if (++digits > max)
            return false;
        *n = *n * (uint64_t)base + (uint64_t)digit(*v->p);
    }
    return digits > 0;
}

static bool ends_word(const struct evemu *v)
{
    return v->p == v->end || is_blank(*v->p);
}

static bool take_hex(struct evemu *v, unsigned digits, uint64_t *n)
{
    skip_blanks(v);
    return take_digits(v, 16, digits, n) && ends_word(v);
}

static bool take_int(struct evemu *v, int64_t *n)
{
    uint64_t abs;
    bool minus;

    skip_blanks(v);
    minus = v->p < v->end && *v->p == '-';
    v->p += minus;
    if (!take_digits(v, 10, 10, &abs) || !ends_word(v))
        return false;
    *n = minus ? -(int64_t)abs : (int64_t)abs;
    return *n >= INT32_MIN && *n <= INT32_MAX;
}

/* "12.000345" */
static bool take_time(struct evemu *v, uint64_t *sec, uint64_t *usec)
{
    const char *fraction;

    skip_blanks(v);
    if (!take_digits(v, 10, 18, sec) || v->p == v->end || *v->p != '.')
        return false;
    fraction = ++v->p;
    return take_digits(v, 10, 6, usec) && v->p - fraction == 6 && ends_word(v);
}

/* ---- lines ---- */

static int read_name(struct evemu *v)
{
    skip_blanks(v);
    desc_text(v->m->r->desc.name, v->p, (size_t)(v->end - v->p));
    return 0;
}

static int read_ids(struct evemu *v)
{
    struct source_desc *d = &v->m->r->desc;
    uint16_t *const ids[] = {&d->bustype, &d->vendor, &d->product, &d->version};
    uint64_t n;

    for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
        if (!take_hex(v, 4, &n))
            return fail(v, "I: bus vendor product version");
        *ids[i] = (uint16_t)n;
    }
    return at_end(v) ? 0 : fail(v, "I: bus vendor product version");
}

/* Eight bytes at *done of bits, of which there are SOURCE_BITS_BYTES. */
static int read_bytes(struct evemu *v, uint8_t out[8], unsigned *done,
                      const char *form)
{
    uint64_t byte;

    for (unsigned i = 0; i < 8; i++) {
        if (!take_hex(v, 2, &byte))
            return fail(v, form);
        out[i] = (uint8_t)byte;
    }
    if (!at_end(v))
        return fail(v, form);
    if (*done == SOURCE_BITS_BYTES)
        return recording_fail(v->m, v->line, "more than %u bits",
                              SOURCE_BITS_BYTES * 8);
    *done += 8;
    return 0;
}

static int read_props(struct evemu *v)
{
    unsigned at = v->prop_bytes;
    uint8_t bytes[8];
    int rc = read_bytes(v, bytes, &v->prop_bytes, "P: eight bytes");

    if (rc == 0)
        memcpy(v->m->r->desc.props + at, bytes, sizeof(bytes));
    return rc;
}

static int read_bits(struct evemu *v)
{
    static const char form[] = "B: type, eight bytes";
    uint8_t bytes[8];
    uint64_t type;
    unsigned at;
    int rc;

    if (!take_hex(v, 2, &type))
        return fail(v, form);
    if (type >= SOURCE_EV_TYPES)
        return recording_has(v->m, v->line, type, 0); /* says so */
    at = v->bytes[type];
    rc = read_bytes(v, bytes, &v->bytes[type], form);
    /* Bits of EV_SYN are those of the types: the other lines have them. */
    for (unsigned i = 0; i < 64 && rc == 0 && type; i++) {
        if (bytes[i / 8] & 1u << i % 8)
            rc = recording_has(v->m, v->line, type, at * 8 + i);
    }
    return rc;
}

static int read_abs(struct evemu *v)
{
    static const char form[] = "A: axis min max fuzz flat resolution";
    struct source_abs abs = {0};
    int32_t *const fields[] = {&abs.min, &abs.max, &abs.fuzz, &abs.flat,
                               &abs.res};
    uint64_t code;
    int64_t n;

    if (!take_hex(v, 2, &code))
        return fail(v, form);
    for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
        if (i == ARRAY_LEN(fields) - 1 && at_end(v))
            break;
        if (!take_int(v, &n))
            return fail(v, form);
        *fields[i] = (int32_t)n;
    }
    return at_end(v) ? recording_abs(v->m, v->line, code, &abs) : fail(v, form);
}

/* The state of a LED or a switch at the start: a guest cannot be told. */
static int read_state(struct evemu *v)
{
    uint64_t code;
    int64_t n;

    if (!take_hex(v, 2, &code) || !take_int(v, &n) || !at_end(v))
        return fail(v, "L: or S: code state");
    return 0;
}

static int read_event(struct evemu *v)
{
    struct recorded_event ev;

    if (!take_time(v, &ev.sec, &ev.usec) || !take_hex(v, 4, &ev.type) ||
        !take_hex(v, 4, &ev.code) || !take_int(v, &ev.value) || !at_end(v))
        return fail(v, "E: seconds.microseconds type code value");
    return recording_event(v->m, v->line, &ev);
}

/* "# EVEMU 1.3" */
static int check_version(struct evemu *v)
{
    static const char mark[] = "# EVEMU ";
    uint64_t major, minor;

    if ((size_t)(v->end - v->whole) < sizeof(mark) - 1 ||
        memcmp(v->whole, mark, sizeof(mark) - 1) != 0)
        return 0;
    v->p = v->whole + sizeof(mark) - 1;
    if (!take_digits(v, 10, 9, &major) || v->p == v->end || *v->p++ != '.' ||
        !take_digits(v, 10, 9, &minor))
        return fail(v, "# EVEMU 1.3");
    if (major != 1 || minor > 3)
        return recording_fail(v->m, v->line,
                              "version %" PRIu64 ".%" PRIu64
                              " of the form is not known, 1.0 to 1.3 are",
                              major, minor);
    return 0;
}

static int read_line(struct evemu *v)
{
    bool has_letter = v->end - v->whole >= 2 && v->whole[1] == ':';

    if (*v->whole == '#')
        return check_version(v);
    v->p = v->whole + (has_letter ? 2 : 0);
    if (!has_letter)
        return at_end(v) ? 0 : fail(v, "LETTER: ...");
    if (*v->whole != 'E' && v->m->described)
        return recording_fail(v->m, v->line,
                              "the device is described after its first event");
    switch (*v->whole) {
    case 'N':
        return read_name(v);
    case 'I':
        return read_ids(v);
    case 'P':
        return read_props(v);
    case 'B':
        return read_bits(v);
    case 'A':
        return read_abs(v);
    case 'L':
    case 'S':
        return read_state(v);
    case 'E':
        return read_event(v);
    default:
        return recording_fail(
            v->m, v->line, "there are no lines of the letter '%c'", *v->whole);
    }
}

int recording_read_evemu(struct recording_maker *m, const char *text,
                         size_t len)
{
    const char *end = text + len;
    struct evemu v = {.m = m};
    int rc = 0;

    while (rc == 0 && text < end) {
        const char *next = memchr(text, '\n', (size_t)(end - text));

        v.line++;
        v.whole = v.p = text;
        v.end = next ? next : end;
        text = next ? next + 1 : end;
        if (v.end > v.whole && v.end[-1] == '\r')
            v.end--;
        if (v.end > v.whole)
            rc = read_line(&v);
    }
    return rc == 0 ? recording_end(m, v.line) : rc;
}
