/* Reference pictures: files that gpu.wait is told to compare with.
 *
 * The first byte says what the rest is:
 *
 *     0..63     a file, as it is
 *     64..127   a PNG of chunks that may be anything, but whose checksums are
 *               put right: without that little would be read
 *     128..     pixels of a PNG, whose head comes from the next 4 bytes, packed
 *               without compression; some of its bytes are changed then
 *
 * What must hold: what is loaded has sides that can be, and all of its pixels;
 * saved and loaded again it is the same, and has the same hash. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/gpu/picture.h"
#include "device/gpu/png.h"
#include "fuzz.h"

#define FILE_MAX 65536
#define PIECE_MAX 4000 /* of what is packed: in blocks of that */

static uint8_t file[FILE_MAX];
static size_t file_len;
static int file_fd;
static char path[64];
/* Of no use, but that others cannot be large; nothing of them is touched. */
static struct picture *large[2];

/* ---- PNG files ---- */

static const uint8_t magic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

static uint32_t crc(const uint8_t *p, size_t len)
{
    uint32_t c = UINT32_MAX;

    for (; len > 0; len--) {
        c ^= *p++;
        for (int i = 0; i < 8; i++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
    }
    return ~c;
}

static void put(const void *bytes, size_t len)
{
    len = MIN(len, FILE_MAX - file_len);
    memcpy(file + file_len, bytes, len);
    file_len += len;
}

static void big(uint8_t out[4], uint32_t v)
{
    out[0] = (uint8_t)(v >> 24);
    out[1] = (uint8_t)(v >> 16);
    out[2] = (uint8_t)(v >> 8);
    out[3] = (uint8_t)v;
}

static void chunk(const char type[4], const void *bytes, size_t len)
{
    uint8_t number[4];
    size_t from;

    big(number, (uint32_t)len);
    put(number, 4);
    from = file_len;
    put(type, 4);
    put(bytes, len);
    big(number, crc(file + from, file_len - from));
    put(number, 4);
}

/* Checksums of the chunks of what is there. */
static void put_right(void)
{
    for (size_t at = sizeof(magic); file_len - at >= 12;) {
        size_t len = (size_t)file[at] << 24 | (size_t)file[at + 1] << 16 |
                     (size_t)file[at + 2] << 8 | file[at + 3];

        if (len > file_len - at - 12)
            break;
        big(file + at + 8 + len, crc(file + at + 4, len + 4));
        at += 12 + len;
    }
}

/* Stored, not compressed: zlib's format. */
static size_t pack(const uint8_t *bytes, size_t len, uint8_t *out)
{
    uint32_t a = 1, b = 0;
    size_t n = 0;

    out[n++] = 0x78;
    out[n++] = 0x01;
    do {
        size_t here = MIN(len, (size_t)PIECE_MAX);

        out[n++] = here == len;
        out[n++] = (uint8_t)here;
        out[n++] = (uint8_t)(here >> 8);
        out[n++] = (uint8_t)~here;
        out[n++] = (uint8_t)(~here >> 8);
        memcpy(out + n, bytes, here);
        n += here;
        for (size_t i = 0; i < here; i++) {
            a = (a + bytes[i]) % 65521;
            b = (b + a) % 65521;
        }
        bytes += here;
        len -= here;
    } while (len > 0);
    big(out + n, b << 16 | a);
    return n + 4;
}

/* Rows of a picture: more than there are, or the bytes again and again. */
static void make(uint8_t how, const uint8_t *data, size_t size)
{
    static const uint8_t colors[] = {0, 2, 3, 4, 6, 2, 3, 1};
    static const uint8_t depths[] = {8, 1, 2, 4, 8, 16, 8, 3};
    static uint8_t rows[FILE_MAX / 4], packed[FILE_MAX / 2];
    uint8_t head[13] = {0}, palette[3 * 20], trns[6] = {0, 1, 0, 2, 0, 3};
    size_t changes = how & 7;

    if (size < 9)
        return;
    big(head, data[0] % 80);
    big(head + 4, data[1] % 80);
    head[8] = depths[data[2] & 7];
    head[9] = colors[data[2] >> 3 & 7];
    head[12] = data[2] >> 6 & 1;
    chunk("IHDR", head, sizeof(head));
    for (size_t i = 0; i < sizeof(palette); i++)
        palette[i] = (uint8_t)(i * 9);
    if (head[9] == 3 || how & 8)
        chunk("PLTE", palette, 3 + 3 * (data[3] % 19u));
    if (how & 16)
        chunk("tRNS", trns, 1 + data[3] % 6u);
    for (size_t i = 0; i < sizeof(rows); i++)
        rows[i] = data[8 + i % (size - 8)];
    chunk("IDAT", packed, pack(rows, how & 32 ? size : sizeof(rows), packed));
    chunk("IEND", "", 0);
    for (size_t i = 0; i + 4 < changes; i++)
        file[(data[4 + i] * 8u + i) % file_len] ^= data[5 + i];
}

/* ---- pictures ---- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct err e;

    (void)argc;
    (void)argv;
    large[0] = picture_new(GPU_SIDE_MAX, GPU_SIDE_MAX, &e);
    large[1] = picture_new(GPU_SIDE_MAX, GPU_SIDE_MAX, &e);
    CHECK(large[0] && large[1]);
    file_fd = memfd_create("picture", MFD_CLOEXEC);
    CHECK(file_fd >= 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file_fd);
    return 0;
}

static void check_hashes(const struct picture *a, const struct picture *b)
{
    struct picture_hash of_a, of_b;

    CHECK(picture_hash(a, NULL, &of_a) == 0 &&
          picture_hash(b, NULL, &of_b) == 0);
    CHECK(strcmp(of_a.digits, of_b.digits) == 0);
}

static void save_and_load(const struct picture *p)
{
    struct picture *again;
    char *bytes = NULL;
    size_t len;
    struct err e;
    FILE *f = open_memstream(&bytes, &len);

    CHECK(f && png_save(p, f, &e) == 0 && fclose(f) == 0);
    f = fmemopen(bytes, len, "r");
    CHECK(f);
    again = png_load(f, &e);
    CHECK(again && again->width == p->width && again->height == p->height);
    CHECK(picture_different(p, again, NULL, 0) == 0);
    check_hashes(p, again);
    picture_unref(again);
    fclose(f);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct picture *p;
    struct err e;

    if (size == 0)
        return 0;
    file_len = 0;
    if (data[0] >= 64)
        put(magic, sizeof(magic));
    if (data[0] < 128)
        put(data + 1, size - 1);
    else
        make(data[0], data + 1, size - 1);
    if (data[0] >= 64)
        put_right();
    CHECK(ftruncate(file_fd, 0) == 0);
    CHECK(pwrite(file_fd, file, file_len, 0) == (ssize_t)file_len);
    p = picture_load(path, &e);
    if (!p) {
        CHECK(e.code < 0 && e.text[0] != '\0');
        return 0;
    }
    CHECK(p->width >= 1 && p->width <= GPU_SIDE_MAX && p->height >= 1 &&
          p->height <= GPU_SIDE_MAX);
    for (size_t i = 0; i < (size_t)p->width * p->height; i++)
        CHECK(p->argb[i] >> 24 == 0xff);
    save_and_load(p);
    picture_unref(p);
    return 0;
}
