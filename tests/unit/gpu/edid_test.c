/* What a display says of itself, as one who reads it sees it. */
#include <string.h>

#include "device/gpu/edid.h"
#include "device/gpu/rect.h"
#include "pages.h"

struct mode {
    uint64_t clock; /* Hz */
    uint32_t width, height, h_total, v_total;
};

static uint8_t edid[EDID_BYTES_MAX];

static unsigned make(uint32_t width, uint32_t height, uint32_t refresh)
{
    const struct edid_conf c = {
        .width = width, .height = height, .refresh = refresh, .name = "vub"};

    memset(edid, 0xa5, sizeof(edid));
    return edid_make(edid, &c);
}

static uint8_t sum(const uint8_t *bytes, unsigned len)
{
    uint8_t all = 0;

    while (len-- > 0)
        all = (uint8_t)(all + *bytes++);
    return all;
}

static uint32_t two(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

/* A "detailed timing descriptor". */
static struct mode detailed(const uint8_t *d)
{
    struct mode m = {
        .clock = UINT64_C(10000) * two(d),
        .width = d[2] | (d[4] & 0xf0u) << 4,
        .height = d[5] | (d[7] & 0xf0u) << 4,
    };

    m.h_total = m.width + (d[3] | (d[4] & 0xfu) << 8);
    m.v_total = m.height + (d[6] | (d[7] & 0xfu) << 8);
    return m;
}

/* A "type I timing" of DisplayID. */
static struct mode type_1(const uint8_t *d)
{
    struct mode m = {
        .clock = UINT64_C(10000) * ((two(d) | (uint32_t)d[2] << 16) + 1),
        .width = two(d + 4) + 1,
        .height = two(d + 12) + 1,
    };

    m.h_total = m.width + two(d + 6) + 1;
    m.v_total = m.height + two(d + 14) + 1;
    return m;
}

/* The mode that a guest prefers. */
static struct mode preferred(unsigned len)
{
    const uint8_t *section = edid + 129, *p = section + 4, *end;
    struct mode first = detailed(edid + 54), m = {0};

    assert_int_equal(sum(edid, 128), 0);
    assert_int_equal(edid[126], len / 128 - 1);
    if (len == 128)
        return first;
    assert_int_equal(len, 256);
    assert_int_equal(edid[128], 0x70);
    assert_int_equal(sum(edid + 128, 128), 0);
    end = p + section[1];
    assert_true(section[1] <= 121);
    assert_int_equal(sum(section, section[1] + 5u), 0);
    for (; p < end; p += 3 + p[2]) {
        if (p[0] == 0x03) {
            assert_int_equal(p[2], 20);
            assert_int_equal(p[3 + 3] & 0x80, 0x80);
            m = type_1(p + 3);
        }
    }
    assert_ptr_equal(p, end);
    /* Drivers take the larger of the two preferred ones. */
    assert_true((uint64_t)first.width * first.height <
                (uint64_t)m.width * m.height);
    assert_true(first.clock > 0);
    return m;
}

static uint32_t refresh_of(const struct mode *m)
{
    uint64_t frame = (uint64_t)m->h_total * m->v_total;

    return (uint32_t)((m->clock + frame / 2) / frame);
}

static void a_mode_is_preferred_at_its_own_rate(void **state)
{
    static const struct {
        uint32_t width, height, refresh;
        unsigned len;
    } modes[] = {
        {640, 480, 60, 128},   {800, 600, 75, 128},    {1024, 768, 60, 128},
        {1280, 800, 60, 128},  {1366, 768, 60, 128},   {1367, 771, 59, 128},
        {1920, 1080, 60, 128}, {1920, 1080, 144, 128}, {1920, 1080, 360, 256},
        {3840, 2160, 60, 128}, {3840, 2160, 120, 256}, {4095, 2160, 60, 128},
        {4096, 2160, 60, 256}, {7680, 4320, 60, 256},  {16384, 16384, 60, 256},
        {320, 200, 60, 128},   {64, 64, 60, 128},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
        unsigned len = make(modes[i].width, modes[i].height, modes[i].refresh);
        struct mode m = preferred(len);

        assert_int_equal(len, modes[i].len);
        assert_int_equal(m.width, modes[i].width);
        assert_int_equal(m.height, modes[i].height);
        assert_int_equal(refresh_of(&m), modes[i].refresh);
        assert_true(m.clock >= 10000000);
    }
}

/* Sizes and rates that nobody would ask for. */
static void every_size_can_be_said(void **state)
{
    static const uint32_t sides[] = {1,    2,    63,   64,    255,  256,
                                     4094, 4095, 4096, 16383, 16384};
    static const uint32_t rates[] = {1, 23, 60, 255, 256, 500, 1000};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(sides); i++) {
        for (unsigned k = 0; k < ARRAY_LEN(sides); k++) {
            for (unsigned n = 0; n < ARRAY_LEN(rates); n++) {
                struct mode m = preferred(make(sides[i], sides[k], rates[n]));

                assert_int_equal(m.width, sides[i]);
                assert_int_equal(m.height, sides[k]);
                assert_true(m.clock > 0);
            }
        }
    }
    for (unsigned i = 0; i < 5000; i++) {
        uint32_t width = 1 + pages_random(GPU_SIDE_MAX);
        uint32_t height = 1 + pages_random(GPU_SIDE_MAX);
        struct mode m = preferred(make(width, height, 1 + pages_random(240)));

        assert_int_equal(m.width, width);
        assert_int_equal(m.height, height);
    }
    /* What a config would not let through does no harm. */
    preferred(make(0, 0, 0));
    preferred(make(UINT32_MAX, UINT32_MAX, UINT32_MAX));
}

/* The text of the descriptor with that tag; NULL: there is none. */
static const char *text_of(uint8_t tag)
{
    static char text[14];

    for (const uint8_t *d = edid + 54; d < edid + 126; d += 18) {
        if (d[0] || d[1] || d[3] != tag)
            continue;
        memcpy(text, d + 5, 13);
        for (unsigned i = 0; i < 13; i++) {
            assert_true((text[i] >= ' ' && text[i] <= '~') || text[i] == '\n');
            if (text[i] == '\n') {
                for (unsigned k = i + 1; k < 13; k++)
                    assert_int_equal(text[k], ' ');
                text[i] = 0;
                break;
            }
        }
        return text;
    }
    return NULL;
}

static void a_display_has_a_name_and_perhaps_a_serial(void **state)
{
    static const struct {
        const char *given, *seen; /* seen NULL: none */
    } names[] = {
        {"x", "x"},
        {"twelve bytes", "twelve bytes"},
        {"thirteen byte", "thirteen byte"},
        {"more than thirteen", "more than thi"},
        {"caf\xc3\xa9\n1", "caf???1"},
        {"", NULL},
        {NULL, NULL},
    };
    struct edid_conf c = {.width = 1280, .height = 800, .refresh = 60};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        c.name = c.serial = names[i].given;
        edid_make(edid, &c);
        assert_string_equal(text_of(0xfc),
                            names[i].seen ? names[i].seen : "vub");
        if (names[i].seen)
            assert_string_equal(text_of(0xff), names[i].seen);
        else
            assert_null(text_of(0xff));
        preferred(128);
    }
}

static void smaller_modes_are_offered_and_no_larger_ones(void **state)
{
    (void)state;
    for (uint32_t width = 500; width < 2500; width += 100) {
        uint32_t height = width * 3 / 4;
        unsigned offered = 0;

        make(width, height, 60);
        assert_int_equal(!!(edid[35] & 0x20), width >= 640);
        assert_int_equal(!!(edid[35] & 0x01), width >= 800);
        assert_int_equal(!!(edid[36] & 0x08), width >= 1024);
        for (unsigned i = 38; i < 54; i += 2) {
            static const uint32_t ratios[4][2] = {
                {16, 10}, {4, 3}, {5, 4}, {16, 9}};
            const uint32_t *r = ratios[edid[i + 1] >> 6];
            uint32_t w = (edid[i] + 31u) * 8;

            if (edid[i] == 1 && edid[i + 1] == 1)
                continue;
            offered++;
            assert_true(w <= width);
            assert_true(w * r[1] / r[0] <= height);
        }
        if (width >= 2000)
            assert_int_equal(offered, 8);
    }
}

static void the_size_on_the_desk_is_that_of_96_dpi(void **state)
{
    (void)state;
    make(1920, 1080, 60);
    assert_int_equal(edid[21], 51); /* cm */
    assert_int_equal(edid[22], 29);
    assert_int_equal(edid[54 + 12] | (edid[54 + 14] & 0xf0) << 4, 508);
    assert_int_equal(edid[54 + 13] | (edid[54 + 14] & 0x0f) << 8, 285);
    make(16384, 1, 60); /* neither is 0, which has another meaning */
    assert_true(edid[21] > 0 && edid[22] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mode_is_preferred_at_its_own_rate),
        cmocka_unit_test(every_size_can_be_said),
        cmocka_unit_test(a_display_has_a_name_and_perhaps_a_serial),
        cmocka_unit_test(smaller_modes_are_offered_and_no_larger_ones),
        cmocka_unit_test(the_size_on_the_desk_is_that_of_96_dpi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
