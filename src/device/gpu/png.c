/* PNG files, written and read row by row.
 *
 * libpng says that it cannot go on by a jump: what changes after setjmp is in
 * struct codec, not in locals.
 *
 * What is read may be hostile. libpng is told how large a picture, a chunk, and
 * all chunks together may be; the pixels are ours, allocated by sides that have
 * been checked; text, profiles and unknown chunks are not kept. */
#include "device/gpu/png.h"

#include <errno.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "os/library.h"

#define LIBPNG(CALL)                                                           \
    CALL(png_, create_info_struct)                                             \
    CALL(png_, create_read_struct)                                             \
    CALL(png_, create_write_struct)                                            \
    CALL(png_, destroy_read_struct)                                            \
    CALL(png_, destroy_write_struct)                                           \
    CALL(png_, error)                                                          \
    CALL(png_, get_error_ptr)                                                  \
    CALL(png_, get_image_height)                                               \
    CALL(png_, get_image_width)                                                \
    CALL(png_, get_rowbytes)                                                   \
    CALL(png_, init_io)                                                        \
    CALL(png_, longjmp)                                                        \
    CALL(png_, read_end)                                                       \
    CALL(png_, read_info)                                                      \
    CALL(png_, read_row)                                                       \
    CALL(png_, read_update_info)                                               \
    CALL(png_, set_IHDR)                                                       \
    CALL(png_, set_add_alpha)                                                  \
    CALL(png_, set_bgr)                                                        \
    CALL(png_, set_chunk_cache_max)                                            \
    CALL(png_, set_chunk_malloc_max)                                           \
    CALL(png_, set_compression_level)                                          \
    CALL(png_, set_expand)                                                     \
    CALL(png_, set_filter)                                                     \
    CALL(png_, set_gray_to_rgb)                                                \
    CALL(png_, set_interlace_handling)                                         \
    CALL(png_, set_keep_unknown_chunks)                                        \
    CALL(png_, set_longjmp_fn)                                                 \
    CALL(png_, set_scale_16)                                                   \
    CALL(png_, set_strip_alpha)                                                \
    CALL(png_, set_user_limits)                                                \
    CALL(png_, write_end)                                                      \
    CALL(png_, write_info)                                                     \
    CALL(png_, write_row)

LIBRARY_CALLS(libpng, LIBPNG);
static LIBRARY(libpng, LIBPNG, VUB_LIBRARY_png);

/* png_jmpbuf, which names a function of the library. */
#define WHERE_IT_JUMPS(png)                                                    \
    (*libpng.set_longjmp_fn(png, longjmp, sizeof(jmp_buf)))

#define CHUNK_BYTES_MAX (1u << 20) /* unpacked, of those that are no pixels */
#define CHUNKS_MAX 64              /* of those that are kept */

struct codec {
    png_structp png;
    png_infop info;
    struct err *e;
    struct picture *picture;
    uint8_t *row;
};

static void on_error(png_structp png, png_const_charp text)
{
    struct codec *c = libpng.get_error_ptr(png);

    if (!c->e->code)
        err_set(c->e, -EINVAL, "", "%s", text);
    libpng.longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png; /* what is good enough for libpng is for us */
    (void)text;
}

int png_ready(struct err *e)
{
    return library_load(&libpng_library, e);
}

/* ---- writing ---- */

static void write_all(struct codec *c, const struct picture *p, FILE *f)
{
    libpng.init_io(c->png, f);
    libpng.set_compression_level(c->png, 1);
    libpng.set_filter(c->png, PNG_FILTER_TYPE_BASE, PNG_FILTER_UP);
    libpng.set_IHDR(c->png, c->info, p->width, p->height, 8, PNG_COLOR_TYPE_RGB,
                    PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                    PNG_FILTER_TYPE_DEFAULT);
    libpng.write_info(c->png, c->info);
    for (uint32_t y = 0; y < p->height; y++) {
        picture_rgb(p, (size_t)y * p->width, p->width, c->row);
        libpng.write_row(c->png, c->row);
    }
    libpng.write_end(c->png, NULL);
}

int png_save(const struct picture *p, FILE *f, struct err *e)
{
    struct codec c = {.e = e};

    if (png_ready(e) < 0)
        return e->code;
    e->code = 0;
    c.row = malloc((size_t)p->width * 3);
    c.png = libpng.create_write_struct(PNG_LIBPNG_VER_STRING, &c, on_error,
                                       on_warning);
    c.info = c.png ? libpng.create_info_struct(c.png) : NULL;
    if (!c.row || !c.info) {
        err_nomem(e);
    } else if (setjmp(WHERE_IT_JUMPS(c.png)) == 0) {
        write_all(&c, p, f);
    } else if (ferror(f)) {
        e->code = -EIO;
    }
    libpng.destroy_write_struct(&c.png, &c.info);
    free(c.row);
    return e->code;
}

/* ---- reading ---- */

static void set_limits(png_structp png)
{
    libpng.set_user_limits(png, GPU_SIDE_MAX, GPU_SIDE_MAX);
    libpng.set_chunk_cache_max(png, CHUNKS_MAX);
    libpng.set_chunk_malloc_max(png, CHUNK_BYTES_MAX);
    libpng.set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
}

/* Whatever there is becomes four bytes that are a uint32_t of 0xAARRGGBB. */
static void set_conversions(png_structp png)
{
    const uint32_t one = 1;
    bool little = *(const uint8_t *)&one == 1;

    libpng.set_expand(png); /* palettes, 1, 2 and 4 bits */
    libpng.set_scale_16(png);
    libpng.set_strip_alpha(png);
    libpng.set_gray_to_rgb(png);
    if (little)
        libpng.set_bgr(png);
    libpng.set_add_alpha(png, 0xff,
                         little ? PNG_FILLER_AFTER : PNG_FILLER_BEFORE);
}

static void read_all(struct codec *c, FILE *f)
{
    uint32_t width, height;
    int passes;

    set_limits(c->png);
    libpng.init_io(c->png, f);
    libpng.read_info(c->png, c->info);
    width = libpng.get_image_width(c->png, c->info);
    height = libpng.get_image_height(c->png, c->info);
    set_conversions(c->png);
    passes = libpng.set_interlace_handling(c->png);
    libpng.read_update_info(c->png, c->info);
    if (libpng.get_rowbytes(c->png, c->info) != (size_t)width * 4)
        libpng.error(c->png, "it is of a kind that is not known here");
    c->picture = picture_new(width, height, c->e);
    if (!c->picture)
        libpng.error(c->png, "");
    while (passes-- > 0)
        for (uint32_t y = 0; y < height; y++)
            libpng.read_row(c->png,
                            (uint8_t *)(c->picture->argb + (size_t)y * width),
                            NULL);
    libpng.read_end(c->png, NULL); /* it is whole */
}

struct picture *png_load(FILE *f, struct err *e)
{
    struct codec c = {.e = e};

    if (png_ready(e) < 0)
        return NULL;
    e->code = 0;
    c.png = libpng.create_read_struct(PNG_LIBPNG_VER_STRING, &c, on_error,
                                      on_warning);
    c.info = c.png ? libpng.create_info_struct(c.png) : NULL;
    if (!c.info)
        err_nomem(e);
    else if (setjmp(WHERE_IT_JUMPS(c.png)) == 0)
        read_all(&c, f);
    libpng.destroy_read_struct(&c.png, &c.info, NULL);
    if (e->code == 0)
        return c.picture;
    picture_unref(c.picture);
    return NULL;
}
