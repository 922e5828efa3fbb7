/* The bytes of an EDID.
 *
 * Its first detailed timing is the mode that a guest prefers. One that has no
 * room there, by its sides or its pixel clock, goes to a DisplayID extension
 * that says it is preferred as well, and the first block has the same picture
 * at a half or a quarter of the size: drivers take the larger one of the two.
 *
 * The timings of a display that has no beam mean nothing but the refresh rate:
 * they are those of CVT with reduced blanking, but that the pixel clock is
 * rounded to 10 kHz and not to 250, so that the rate is what was asked for. */
#include "device/gpu/edid.h"

#include <string.h>

#include "device/gpu/rect.h"

#define BLOCK 128
#define CLOCK_UNIT 10000u /* Hz, of all pixel clocks here */

/* ---- timings ---- */

struct timing {
    uint32_t width, height, refresh;
    uint32_t clock; /* 10 kHz */
    uint32_t h_blank, v_blank;
    uint32_t h_front, h_sync, v_front, v_sync;
};

#define REFRESH_MAX 1000u
#define CLOCK_MAX (1u << 24)   /* of DisplayID */
#define DETAILED_CLOCK 0xffffu /* at most, of an EDID's detailed timing */
#define DETAILED_SIDE 4095u
#define CLOCK_LOW 10000000u /* Hz */
#define BLANK_MAX 4095u
#define BLANK_US 460u
#define BACK_PORCH 6u

/* CVT tells pictures of several ratios apart by the length of this pulse. */
static uint32_t v_sync_of(uint32_t width, uint32_t height)
{
    static const struct {
        uint32_t x, y, lines;
    } ratios[] = {{4, 3, 4}, {16, 9, 5}, {16, 10, 6}, {5, 4, 7}, {15, 9, 7}};

    for (unsigned i = 0; i < ARRAY_LEN(ratios); i++)
        if (width * ratios[i].y == height * ratios[i].x)
            return ratios[i].lines;
    return 10;
}

static struct timing timing_of(uint32_t width, uint32_t height,
                               uint32_t refresh)
{
    struct timing t = {
        .width = width,
        .height = height,
        .refresh = refresh,
        .h_blank = 160,
        .h_front = 48,
        .h_sync = 32,
        .v_front = 3,
        .v_sync = v_sync_of(width, height),
    };
    uint64_t hz, lines;

    /* So many lines that the blank takes as long as it must. */
    t.v_blank = (uint32_t)((uint64_t)BLANK_US * height * refresh /
                           (1000000u - BLANK_US * refresh)) +
                1;
    t.v_blank = MAX(t.v_blank, t.v_front + t.v_sync + BACK_PORCH);
    lines = (uint64_t)(height + t.v_blank) * refresh; /* a second */
    /* Readers take a very slow clock for no timing at all. */
    if (lines * (width + t.h_blank) < CLOCK_LOW)
        t.h_blank = (uint32_t)MIN(CLOCK_LOW / lines + 1, BLANK_MAX);
    hz = lines * (width + t.h_blank);
    t.clock = (uint32_t)MIN((hz + CLOCK_UNIT / 2) / CLOCK_UNIT, CLOCK_MAX);
    return t;
}

static bool fits_block(const struct timing *t)
{
    return t->width <= DETAILED_SIDE && t->height <= DETAILED_SIDE &&
           t->clock <= DETAILED_CLOCK;
}

/* Of t, at a size that fits a block. */
static struct timing smaller(struct timing t)
{
    while (!fits_block(&t))
        t = timing_of(MAX(t.width / 2, 1u), MAX(t.height / 2, 1u), t.refresh);
    return t;
}

/* ---- the first block ---- */

/* Millimetres of a picture of 96 pixels an inch; smaller if bytes of
 * centimetres cannot say it. */
struct size {
    uint32_t width, height;
};

static struct size size_of(const struct timing *t)
{
    struct size s = {t->width * 254 / 960, t->height * 254 / 960};

    while (s.width > 2550 || s.height > 2550)
        s = (struct size){s.width / 2, s.height / 2};
    /* A side of 0 would say that the other one is a ratio. */
    return (struct size){MAX(s.width, 10u), MAX(s.height, 10u)};
}

static void put_detailed(uint8_t *d, const struct timing *t, struct size mm)
{
    d[0] = (uint8_t)t->clock;
    d[1] = (uint8_t)(t->clock >> 8);
    d[2] = (uint8_t)t->width;
    d[3] = (uint8_t)t->h_blank;
    d[4] = (uint8_t)(t->width >> 8 << 4 | t->h_blank >> 8);
    d[5] = (uint8_t)t->height;
    d[6] = (uint8_t)t->v_blank;
    d[7] = (uint8_t)(t->height >> 8 << 4 | t->v_blank >> 8);
    d[8] = (uint8_t)t->h_front; /* all four fit: they are small */
    d[9] = (uint8_t)t->h_sync;
    d[10] = (uint8_t)(t->v_front << 4 | t->v_sync);
    d[12] = (uint8_t)mm.width;
    d[13] = (uint8_t)mm.height;
    d[14] = (uint8_t)(mm.width >> 8 << 4 | mm.height >> 8);
    d[17] = 0x1a; /* separate sync signals; horizontal positive */
}

#define DESCRIPTOR_NAME 0xfc
#define DESCRIPTOR_RANGES 0xfd
#define DESCRIPTOR_SERIAL 0xff
#define DESCRIPTOR_NONE 0x10

static void put_text(uint8_t *d, uint8_t tag, const char *text)
{
    size_t len = strnlen(text, 13);

    d[3] = tag;
    memset(d + 5, ' ', 13);
    for (size_t i = 0; i < len; i++)
        d[5 + i] = text[i] >= ' ' && text[i] <= '~' ? (uint8_t)text[i] : '?';
    if (len < 13)
        d[5 + len] = '\n';
}

/* What the display can do, around all modes that are offered: those of the
 * tables below, which are of 60 Hz, and the preferred one. False: there are no
 * numbers for it. */
static bool put_ranges(uint8_t *d, const struct timing *t)
{
    uint32_t khz = t->clock * (CLOCK_UNIT / 1000) / (t->width + t->h_blank);
    uint32_t min_v = MAX(MIN(t->refresh - 1, 50u), 1u);
    uint32_t max_v = MAX(t->refresh + 1, 75u);
    uint32_t min_h = MAX(MIN(khz, 30u), 1u);
    uint32_t max_h = MAX(khz + 1, 85u);
    uint32_t ten_mhz = MAX(t->clock / 1000 + 1, 20u);

    if (max_v > 510 || max_h > 510 || ten_mhz > 255)
        return false;
    d[3] = DESCRIPTOR_RANGES;
    d[4] = (uint8_t)((max_v > 255) << 1 | (max_h > 255) << 3); /* less 255 */
    d[5] = (uint8_t)min_v;
    d[6] = (uint8_t)(max_v > 255 ? max_v - 255 : max_v);
    d[7] = (uint8_t)min_h;
    d[8] = (uint8_t)(max_h > 255 ? max_h - 255 : max_h);
    d[9] = (uint8_t)ten_mhz;
    d[10] = 1; /* no formula */
    d[11] = '\n';
    memset(d + 12, ' ', 6);
    return true;
}

/* "Established timings", all of 60 Hz. */
static void put_established(uint8_t *e, const struct timing *t)
{
    static const struct {
        uint16_t width, height;
        uint8_t byte, bit;
    } modes[] = {
        {640, 480, 0, 1 << 5}, {800, 600, 0, 1 << 0}, {1024, 768, 1, 1 << 3}};

    for (unsigned i = 0; i < ARRAY_LEN(modes); i++)
        if (modes[i].width <= t->width && modes[i].height <= t->height)
            e[modes[i].byte] |= modes[i].bit;
}

#define STANDARD_TIMINGS 8

/* "Standard timings", all of 60 Hz. */
static void put_standard(uint8_t *s, const struct timing *t)
{
    enum { R16_10, R4_3, R5_4, R16_9 };
    static const struct {
        uint16_t width, height;
        uint8_t ratio;
    } modes[STANDARD_TIMINGS] = {
        {1920, 1200, R16_10}, {1920, 1080, R16_9}, {1600, 1200, R4_3},
        {1680, 1050, R16_10}, {1440, 900, R16_10}, {1280, 1024, R5_4},
        {1280, 800, R16_10},  {1280, 720, R16_9},
    };

    for (unsigned i = 0; i < STANDARD_TIMINGS; i++, s += 2) {
        bool fits = modes[i].width <= t->width && modes[i].height <= t->height;

        s[0] = fits ? (uint8_t)(modes[i].width / 8 - 31) : 1;
        s[1] = fits ? (uint8_t)(modes[i].ratio << 6) : 1; /* 1, 1: none */
    }
}

static void put_checksum(uint8_t *block)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < BLOCK - 1; i++)
        sum = (uint8_t)(sum + block[i]);
    block[BLOCK - 1] = (uint8_t)-sum;
}

#define PRODUCT 1
#define YEAR 2024
#define GAMMA 120 /* 2.2 */

/* What does not depend on the mode. */
static void put_head(uint8_t *block)
{
    static const uint8_t magic[] = {0, 255, 255, 255, 255, 255, 255, 0};
    static const uint8_t srgb[] = {0xee, 0x91, 0xa3, 0x54, 0x4c,
                                   0x99, 0x26, 0x0f, 0x50, 0x54};

    memcpy(block, magic, sizeof(magic));
    block[8] = 0x5a; /* VUB, five bits a letter */
    block[9] = 0xa2;
    block[10] = PRODUCT;
    block[17] = YEAR - 1990;
    block[18] = 1; /* EDID 1.4 */
    block[19] = 4;
    block[20] = 0xa5; /* digital, eight bits a colour, DisplayPort */
    block[23] = GAMMA;
    block[24] = 0x06; /* sRGB; the preferred mode is the native one */
    memcpy(block + 25, srgb, sizeof(srgb));
}

static void put_block(uint8_t *block, const struct edid_conf *c,
                      const struct timing *preferred)
{
    const struct timing t = smaller(*preferred);
    const struct size mm = size_of(preferred);
    uint8_t *d = block + 54;
    const char *name = c->name && *c->name ? c->name : "vub";

    put_head(block);
    block[21] = (uint8_t)((mm.width + 5) / 10);
    block[22] = (uint8_t)((mm.height + 5) / 10);
    put_established(block + 35, preferred);
    put_standard(block + 38, preferred);

    put_detailed(d, &t, mm);
    put_text(d + 18, DESCRIPTOR_NAME, name);
    if (!put_ranges(d + 36, preferred))
        d[36 + 3] = DESCRIPTOR_NONE;
    if (c->serial && *c->serial)
        put_text(d + 54, DESCRIPTOR_SERIAL, c->serial);
    else
        d[54 + 3] = DESCRIPTOR_NONE;
}

/* ---- the extension ---- */

static void put_16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static uint8_t ratio_of(const struct timing *t)
{
    static const struct {
        uint32_t x, y;
    } ratios[] = {{1, 1},  {5, 4},   {4, 3},   {15, 9},
                  {16, 9}, {16, 10}, {64, 27}, {256, 135}};

    for (unsigned i = 0; i < ARRAY_LEN(ratios); i++)
        if (t->width * ratios[i].y == t->height * ratios[i].x)
            return (uint8_t)i;
    return 8; /* another */
}

/* A data block of DisplayID, for whose payload it returns the place. */
static uint8_t *data_block(uint8_t **at, uint8_t tag, uint8_t len)
{
    uint8_t *p = *at;

    p[0] = tag;
    p[2] = len;
    *at = p + 3 + len;
    return p + 3;
}

static void put_product(uint8_t *p)
{
    p[0] = 'V';
    p[1] = 'U';
    p[2] = 'B';
    p[3] = PRODUCT;
    p[10] = YEAR - 2000;
}

static void put_parameters(uint8_t *p, const struct timing *t)
{
    const struct size mm = size_of(t);
    uint32_t longer = MAX(t->width, t->height);
    uint32_t shorter = MIN(t->width, t->height);

    put_16(p, mm.width * 10);
    put_16(p + 2, mm.height * 10);
    put_16(p + 4, t->width);
    put_16(p + 6, t->height);
    p[9] = GAMMA;
    p[10] = (uint8_t)MIN((longer - shorter) * 100 / shorter, 255u);
    p[11] = 0x77; /* eight bits a colour */
}

static void put_interface(uint8_t *p)
{
    p[0] = 0xa4; /* DisplayPort of four lanes */
    p[1] = 0x12; /* 1.2 */
    p[2] = 0x02; /* RGB of eight bits */
}

static void put_type_1(uint8_t *p, const struct timing *t)
{
    const uint32_t clock = t->clock - 1; /* all count from 1 */

    put_16(p, clock);
    p[2] = (uint8_t)(clock >> 16);
    p[3] = (uint8_t)(0x80 | ratio_of(t)); /* preferred */
    put_16(p + 4, t->width - 1);
    put_16(p + 6, t->h_blank - 1);
    put_16(p + 8, (t->h_front - 1) | 0x8000); /* positive */
    put_16(p + 10, t->h_sync - 1);
    put_16(p + 12, t->height - 1);
    put_16(p + 14, t->v_blank - 1);
    put_16(p + 16, t->v_front - 1);
    put_16(p + 18, t->v_sync - 1);
}

static void put_extension(uint8_t *block, const struct timing *t)
{
    uint8_t *section = block + 1, *at = section + 4;
    uint8_t sum = 0;

    block[0] = 0x70; /* DisplayID */
    put_product(data_block(&at, 0x00, 12));
    put_parameters(data_block(&at, 0x01, 12), t);
    put_interface(data_block(&at, 0x0f, 10));
    put_type_1(data_block(&at, 0x03, 20), t);

    section[0] = 0x13; /* 1.3 */
    section[1] = (uint8_t)(at - section - 4);
    section[2] = 3; /* a display that stands by itself */
    for (const uint8_t *p = section; p < at; p++)
        sum = (uint8_t)(sum + *p);
    *at = (uint8_t)-sum; /* of the section; the block has another */
}

unsigned edid_make(uint8_t out[EDID_BYTES_MAX], const struct edid_conf *c)
{
    const uint32_t width = MAX(MIN(c->width, GPU_SIDE_MAX), 1u);
    const uint32_t height = MAX(MIN(c->height, GPU_SIDE_MAX), 1u);
    const uint32_t refresh = MAX(MIN(c->refresh, REFRESH_MAX), 1u);
    const struct timing t = timing_of(width, height, refresh);
    const bool extends = !fits_block(&t);

    memset(out, 0, EDID_BYTES_MAX);
    put_block(out, c, &t);
    out[126] = extends; /* how many blocks follow */
    put_checksum(out);
    if (!extends)
        return BLOCK;
    put_extension(out + BLOCK, &t);
    put_checksum(out + BLOCK);
    return 2 * BLOCK;
}
