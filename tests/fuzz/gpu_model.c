/* A GPU in a few lines: which answers are right, and which pixels are to be
 * seen then.
 *
 * A command is applied when its answer is seen, which is when the device has
 * done it: they are answered in order. Where the spec leaves it to the device
 * whether it does something, its answer decides (EITHER). What cannot be known,
 * because something changed while a command was under way, is not compared.
 *
 * A scanout is to show what its resource had when it was set or last flushed.
 * Pixels that have changed since may be shown as they were, as they are, or as
 * they have been between. */
#include <string.h>

#include "device/gpu/backing.h"
#include "gpu.h"

#define HEAD sizeof(struct virtio_gpu_ctrl_hdr)
#define LARGE_BYTES (1u << 20)
#define CURSOR_SIDE VIRTIO_GPU_CURSOR_PIXELS
#define RGB 0xffffffu /* x8r8g8b8: the top byte is nobody's */

const uint32_t ids[IDS] = {0, 1, 2, 3, 4, 5, 0x80000001, UINT32_MAX};

struct entry {
    uint64_t gpa;
    uint32_t len;
};

static struct res {
    bool there, is_blob, attached, has_uuid;
    bool blurred;  /* its pixels cannot be known */
    bool is_large; /* nobody minds them */
    uint32_t format, width, height;
    uint64_t bytes; /* a blob's size; else of pixels */
    uint8_t *pixels;
    uint8_t uuid[16];
    struct entry entries[ENTRIES_MAX];
    unsigned num_entries;
    uint64_t backing_len;
} resources[IDS];

static struct shown {
    struct res *res; /* NULL: off */
    uint32_t format, stride, width, height;
    uint64_t offset;
    struct rect rect; /* flushes are in the same picture */
    uint32_t *want;
    bool *known; /* pixels that must be as in want */
} scanouts[VIRTIO_GPU_MAX_SCANOUTS];

static struct cursor {
    bool visible, drawn, unknown;
    uint32_t x, y, hot_x, hot_y;
    uint32_t image[CURSOR_SIDE * CURSOR_SIDE];
} cursors[VIRTIO_GPU_MAX_SCANOUTS];

/* An answer that would have said what was done had no room. */
static bool is_lost;

enum verdict { FAILS, WORKS, EITHER };

/* ---- pixels ---- */

/* The byte of its backing there; NULL: none. */
static const uint8_t *backing_byte(const struct res *r, uint64_t offset)
{
    for (unsigned i = 0; i < r->num_entries; i++) {
        uint64_t len;

        if (offset < r->entries[i].len)
            return guest_at(r->entries[i].gpa + offset, &len);
        offset -= r->entries[i].len;
    }
    return NULL;
}

static bool entry_is_there(const struct entry *e)
{
    uint64_t gpa = e->gpa, left = e->len, len;

    while (left > 0) {
        if (!guest_at(gpa, &len))
            return false;
        len = MIN(len, left);
        gpa += len;
        left -= len;
    }
    return true;
}

static bool backing_is_there(const struct res *r)
{
    if (!r->attached)
        return false;
    for (unsigned i = 0; i < r->num_entries; i++)
        if (!entry_is_there(&r->entries[i]))
            return false;
    return true;
}

static uint32_t to_argb(uint32_t format, const uint8_t *b)
{
    /* Where red, green and blue are. */
    static const struct {
        uint32_t format;
        uint8_t at[4]; /* blue, green, red, alpha; 4: none */
    } orders[] = {
        {VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, {0, 1, 2, 3}},
        {VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, {0, 1, 2, 4}},
        {VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, {3, 2, 1, 0}},
        {VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, {3, 2, 1, 4}},
        {VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, {2, 1, 0, 3}},
        {VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, {1, 2, 3, 4}},
        {VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, {1, 2, 3, 0}},
        {VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, {2, 1, 0, 4}},
    };
    uint8_t bytes[5] = {b[0], b[1], b[2], b[3], 0xff};

    for (unsigned i = 0; i < ARRAY_LEN(orders); i++) {
        const uint8_t *at = orders[i].at;

        if (orders[i].format == format)
            return (uint32_t)bytes[at[3]] << 24 | (uint32_t)bytes[at[2]] << 16 |
                   (uint32_t)bytes[at[1]] << 8 | bytes[at[0]];
    }
    abort();
}

static bool format_is_known(uint32_t format)
{
    return (format >= 1 && format <= 4) || format == 67 || format == 68 ||
           format == 121 || format == 134;
}

/* Of a blob whose memory is not there: black. */
static uint32_t blob_pixel(const struct res *r, uint32_t format,
                           uint64_t offset, bool is_there)
{
    uint8_t bytes[4];

    if (!is_there)
        return 0xff000000;
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = *backing_byte(r, offset + i);
    return to_argb(format, bytes);
}

static bool frame_is_there(const struct shown *s)
{
    return backing_is_there(s->res) &&
           s->offset + (uint64_t)s->stride * (s->height - 1) + s->width * 4 <=
               s->res->backing_len;
}

static uint32_t shown_pixel(const struct shown *s, bool is_there, uint32_t x,
                            uint32_t y)
{
    uint64_t offset = s->offset + (uint64_t)y * s->stride + x * 4;

    if (s->res->is_large)
        return 0;
    if (s->res->is_blob)
        return blob_pixel(s->res, s->format, offset, is_there);
    return to_argb(s->format, s->res->pixels + offset);
}

static void shown_free(struct shown *s)
{
    free(s->want);
    free(s->known);
    memset(s, 0, sizeof(*s));
}

/* What has changed is not known any more, until a flush. */
static void look_at(struct shown *s)
{
    bool is_there = s->res && s->res->is_blob && frame_is_there(s);

    for (uint32_t y = 0; s->res && y < s->height; y++)
        for (uint32_t x = 0; x < s->width; x++) {
            size_t n = (size_t)y * s->width + x;

            if (s->known[n] && (s->res->blurred ||
                                shown_pixel(s, is_there, x, y) != s->want[n]))
                s->known[n] = false;
        }
}

static void look(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(scanouts); i++)
        look_at(&scanouts[i]);
}

/* [x, x2) and [y, y2) of it go out as they are now. */
static void flush(struct shown *s, const struct rect *r)
{
    bool is_there = s->res->is_blob && frame_is_there(s);

    for (uint32_t y = r->y; y < r->y + r->height; y++)
        for (uint32_t x = r->x; x < r->x + r->width; x++) {
            size_t n = (size_t)y * s->width + x;

            s->want[n] = shown_pixel(s, is_there, x, y);
            s->known[n] = !s->res->blurred;
        }
}

static void show(unsigned i, struct res *r, uint32_t format, uint32_t stride,
                 uint64_t offset, const struct rect *rect)
{
    struct shown *s = &scanouts[i];
    size_t n = (size_t)rect->width * rect->height;
    const struct rect all = {0, 0, rect->width, rect->height};

    shown_free(s);
    *s = (struct shown){
        .res = r,
        .format = format,
        .stride = stride,
        .width = rect->width,
        .height = rect->height,
        .offset = offset + (uint64_t)rect->y * stride + rect->x * 4,
        .rect = *rect,
        .want = calloc(n, sizeof(*s->want)),
        .known = calloc(n, sizeof(*s->known)),
    };
    CHECK(s->want && s->known);
    flush(s, &all);
}

/* ---- life ---- */

static void forget(struct res *r)
{
    for (unsigned i = 0; i < ARRAY_LEN(scanouts); i++)
        if (scanouts[i].res == r)
            shown_free(&scanouts[i]);
    free(r->pixels);
    memset(r, 0, sizeof(*r));
}

void model_reset(void)
{
    for (unsigned i = 0; i < IDS; i++)
        forget(&resources[i]);
    memset(cursors, 0, sizeof(cursors));
    is_lost = false;
}

void model_lose(void)
{
    is_lost = true;
}

void model_begin(void)
{
    model_reset();
}

void model_memory_changed(bool busy)
{
    for (unsigned i = 0; i < IDS; i++)
        if (busy && !resources[i].is_blob)
            resources[i].blurred = true;
    look();
}

bool model_sides(unsigned index, uint32_t *width, uint32_t *height,
                 uint64_t *bytes)
{
    const struct res *r = &resources[index];

    *width = r->is_blob || r->is_large ? 32 : r->width;
    *height = r->is_blob || r->is_large ? 32 : r->height;
    *bytes = r->bytes;
    return r->there;
}

/* ---- commands ---- */

/* A request, and what it would do. */
struct ask {
    const uint8_t *bytes; /* all zero behind len */
    uint32_t len;
    unsigned scanout;
    struct res *res; /* that it names, NULL: there is none like that */
    uint32_t id;
    struct rect rect;
    struct entry entries[ENTRIES_MAX];
    unsigned num_entries;
    uint64_t entries_len;
    bool odd_entries; /* some are empty */
    bool has_more;    /* behind them */
};

static uint32_t word(const struct ask *a, size_t at)
{
    le32 v;

    memcpy(&v, a->bytes + at, sizeof(v));
    return le32toh(v);
}

static uint64_t long_word(const struct ask *a, size_t at)
{
    return word(a, at) | (uint64_t)word(a, at + 4) << 32;
}

#define FIELD(type, field) offsetof(struct virtio_gpu_##type, field)

static void take_rect(struct ask *a, size_t at)
{
    a->rect = (struct rect){word(a, at), word(a, at + 4), word(a, at + 8),
                            word(a, at + 12)};
}

/* The slot of a resource with this id, there or not; NULL: not one of ours. */
static struct res *slot(uint32_t id)
{
    for (unsigned i = 1; i < IDS; i++)
        if (ids[i] == id)
            return &resources[i];
    return NULL;
}

static void take_resource(struct ask *a, size_t at)
{
    struct res *r;

    a->id = word(a, at);
    r = slot(a->id);
    a->res = r && r->there ? r : NULL;
}

/* Entries that follow `at`; false: they are not all there, or some are not in
 * the guest's memory. */
static bool take_entries(struct ask *a, size_t at, uint32_t num)
{
    bool are_there = true;

    a->num_entries = 0;
    a->entries_len = 0;
    a->odd_entries = false;
    if (a->len < at || num > (a->len - at) / 16)
        return false;
    for (uint32_t i = 0; i < num; i++, at += 16) {
        struct entry e = {long_word(a, at), word(a, at + 8)};

        if (e.len == 0) {
            a->odd_entries = true;
            continue;
        }
        if (!entry_is_there(&e))
            are_there = false;
        CHECK(a->num_entries < ENTRIES_MAX);
        a->entries[a->num_entries++] = e;
        a->entries_len += e.len;
    }
    a->has_more = at != a->len;
    return are_there;
}

static void attach(struct res *r, const struct ask *a)
{
    r->attached = true;
    memcpy(r->entries, a->entries, sizeof(r->entries));
    r->num_entries = a->num_entries;
    r->backing_len = a->entries_len;
}

static uint64_t bytes_used(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < IDS; i++)
        if (resources[i].there && !resources[i].is_blob)
            sum += resources[i].bytes;
    return sum;
}

static enum verdict create_2d(struct ask *a)
{
    uint32_t format = word(a, FIELD(resource_create_2d, format));
    uint64_t width = word(a, FIELD(resource_create_2d, width));
    uint64_t height = word(a, FIELD(resource_create_2d, height));

    take_resource(a, HEAD);
    if (a->id == 0 || a->res || !format_is_known(format) || width == 0 ||
        height == 0 || width > GPU_SIDE_MAX || height > GPU_SIDE_MAX ||
        width * height * 4 > world->max_memory - bytes_used())
        return FAILS;
    /* Somebody may have one still that has no id any more. */
    return EITHER;
}

static void do_create_2d(struct ask *a)
{
    struct res *r = slot(a->id);

    CHECK(r);
    r->there = true;
    r->format = word(a, FIELD(resource_create_2d, format));
    r->width = word(a, FIELD(resource_create_2d, width));
    r->height = word(a, FIELD(resource_create_2d, height));
    r->bytes = (uint64_t)r->width * r->height * 4;
    r->is_large = r->bytes > LARGE_BYTES;
    r->blurred = r->is_large;
    r->pixels = calloc(1, r->is_large ? 1 : r->bytes);
    CHECK(r->pixels);
}

static enum verdict unref(struct ask *a)
{
    take_resource(a, HEAD);
    return a->res ? WORKS : FAILS;
}

static void do_unref(struct ask *a)
{
    forget(a->res);
}

static enum verdict take_scanout(struct ask *a, size_t at)
{
    a->scanout = word(a, at);
    if (a->scanout >= VIRTIO_GPU_MAX_SCANOUTS)
        return FAILS;
    return a->scanout < SCANOUTS ? WORKS : EITHER;
}

static enum verdict set_scanout(struct ask *a)
{
    enum verdict v = take_scanout(a, FIELD(set_scanout, scanout_id));

    take_resource(a, FIELD(set_scanout, resource_id));
    take_rect(a, FIELD(set_scanout, r));
    if (a->id == 0)
        return v;
    if (!a->res || a->res->is_blob ||
        !rect_fits(&a->rect, a->res->width, a->res->height))
        return FAILS;
    return v;
}

static void do_set_scanout(struct ask *a)
{
    if (a->id == 0)
        shown_free(&scanouts[a->scanout]);
    else
        show(a->scanout, a->res, a->res->format, a->res->width * 4, 0,
             &a->rect);
}

static enum verdict set_scanout_blob(struct ask *a)
{
    enum verdict v = take_scanout(a, FIELD(set_scanout_blob, scanout_id));
    uint32_t width = word(a, FIELD(set_scanout_blob, width));
    uint32_t height = word(a, FIELD(set_scanout_blob, height));
    uint32_t stride = word(a, FIELD(set_scanout_blob, strides));
    uint32_t offset = word(a, FIELD(set_scanout_blob, offsets));
    uint64_t row = (uint64_t)width * 4;

    take_resource(a, FIELD(set_scanout_blob, resource_id));
    take_rect(a, FIELD(set_scanout_blob, r));
    if (a->id == 0)
        return v;
    if (!a->res || !a->res->is_blob ||
        !format_is_known(word(a, FIELD(set_scanout_blob, format))) ||
        width == 0 || width > GPU_SIDE_MAX || height == 0 ||
        height > GPU_SIDE_MAX || !rect_fits(&a->rect, width, height) ||
        stride < row || stride % 4 || offset % 4 ||
        offset + (uint64_t)stride * (height - 1) + row > a->res->bytes)
        return FAILS;
    return row * height > world->max_memory ? FAILS : v;
}

static void do_set_scanout_blob(struct ask *a)
{
    if (a->id == 0)
        shown_free(&scanouts[a->scanout]);
    else
        show(a->scanout, a->res, word(a, FIELD(set_scanout_blob, format)),
             word(a, FIELD(set_scanout_blob, strides)),
             word(a, FIELD(set_scanout_blob, offsets)), &a->rect);
}

static enum verdict resource_flush(struct ask *a)
{
    take_resource(a, FIELD(resource_flush, resource_id));
    take_rect(a, FIELD(resource_flush, r));
    if (!a->res)
        return FAILS;
    return rect_fits(&a->rect, a->res->is_blob ? GPU_SIDE_MAX : a->res->width,
                     a->res->is_blob ? GPU_SIDE_MAX : a->res->height)
               ? WORKS
               : FAILS;
}

static void do_resource_flush(struct ask *a)
{
    for (unsigned i = 0; i < ARRAY_LEN(scanouts); i++) {
        struct shown *s = &scanouts[i];
        struct rect part;

        if (s->res != a->res || !rect_meet(&a->rect, &s->rect, &part))
            continue;
        part.x -= s->rect.x;
        part.y -= s->rect.y;
        flush(s, &part);
    }
}

static enum verdict transfer(struct ask *a)
{
    uint64_t offset = long_word(a, FIELD(transfer_to_host_2d, offset)), end;

    take_resource(a, FIELD(transfer_to_host_2d, resource_id));
    take_rect(a, FIELD(transfer_to_host_2d, r));
    if (a->res && a->res->is_blob)
        return EITHER;
    if (!a->res || !rect_fits(&a->rect, a->res->width, a->res->height) ||
        !backing_is_there(a->res))
        return FAILS;
    if (!add_u64(offset,
                 (uint64_t)(a->rect.height - 1) * a->res->width * 4 +
                     a->rect.width * 4,
                 &end) ||
        end > a->res->backing_len)
        return FAILS;
    return WORKS;
}

static void do_transfer(struct ask *a)
{
    uint64_t offset = long_word(a, FIELD(transfer_to_host_2d, offset));
    struct res *r = a->res;

    if (r->is_blob || r->is_large)
        return;
    if (r->blurred && a->rect.width == r->width && a->rect.height == r->height)
        r->blurred = false;
    for (uint32_t y = 0; y < a->rect.height; y++)
        for (uint32_t x = 0; x < a->rect.width * 4; x++)
            r->pixels[((size_t)(a->rect.y + y) * r->width + a->rect.x) * 4 +
                      x] =
                *backing_byte(r, offset + (uint64_t)y * r->width * 4 + x);
}

static enum verdict attach_backing(struct ask *a)
{
    uint32_t num = word(a, FIELD(resource_attach_backing, nr_entries));

    take_resource(a, HEAD);
    if (!a->res || a->res->attached ||
        !take_entries(a, sizeof(struct virtio_gpu_resource_attach_backing),
                      num))
        return FAILS;
    return num == 0 || a->odd_entries || a->has_more ||
                   (a->res->is_blob && a->entries_len < a->res->bytes)
               ? EITHER
               : WORKS;
}

static void do_attach_backing(struct ask *a)
{
    attach(a->res, a);
}

static enum verdict detach_backing(struct ask *a)
{
    take_resource(a, HEAD);
    if (!a->res)
        return FAILS;
    return a->res->attached ? WORKS : EITHER;
}

static void do_detach_backing(struct ask *a)
{
    a->res->attached = false;
    a->res->num_entries = 0;
    a->res->backing_len = 0;
}

static enum verdict create_blob(struct ask *a)
{
    uint32_t num = word(a, FIELD(resource_create_blob, nr_entries));
    uint64_t size = long_word(a, FIELD(resource_create_blob, size));

    take_resource(a, HEAD);
    if (a->id == 0 || a->res ||
        word(a, FIELD(resource_create_blob, blob_mem)) !=
            VIRTIO_GPU_BLOB_MEM_GUEST ||
        !take_entries(a, sizeof(struct virtio_gpu_resource_create_blob), num))
        return FAILS;
    if (size == 0 || num == 0 || a->odd_entries || a->has_more ||
        a->entries_len < size ||
        word(a, FIELD(resource_create_blob, blob_flags)) & ~7u)
        return EITHER;
    return WORKS;
}

static void do_create_blob(struct ask *a)
{
    struct res *r = slot(a->id);

    CHECK(r);
    r->there = r->is_blob = true;
    r->bytes = long_word(a, FIELD(resource_create_blob, size));
    if (a->num_entries > 0)
        attach(r, a);
}

static enum verdict get_edid(struct ask *a)
{
    return take_scanout(a, FIELD(get_edid, scanout));
}

static enum verdict get_display_info(struct ask *a)
{
    (void)a;
    return WORKS;
}

static const struct row {
    uint32_t type, feature;
    size_t in, body; /* bytes: of the request; behind an answer's header */
    uint32_t answer;
    enum verdict (*verdict)(struct ask *a);
    void (*apply)(struct ask *a); /* NULL: nothing */
} rows[] = {
#define R(command, feature, in, verdict, apply)                                \
    {                                                                          \
        VIRTIO_GPU_CMD_##command, feature, sizeof(struct virtio_gpu_##in), 0,  \
            VIRTIO_GPU_RESP_OK_NODATA, verdict, apply                          \
    }
    R(RESOURCE_CREATE_2D, 0, resource_create_2d, create_2d, do_create_2d),
    R(RESOURCE_UNREF, 0, resource_ref, unref, do_unref),
    R(SET_SCANOUT, 0, set_scanout, set_scanout, do_set_scanout),
    R(RESOURCE_FLUSH, 0, resource_flush, resource_flush, do_resource_flush),
    R(TRANSFER_TO_HOST_2D, 0, transfer_to_host_2d, transfer, do_transfer),
    R(RESOURCE_ATTACH_BACKING, 0, resource_attach_backing, attach_backing,
      do_attach_backing),
    R(RESOURCE_DETACH_BACKING, 0, resource_ref, detach_backing,
      do_detach_backing),
    R(RESOURCE_CREATE_BLOB, VIRTIO_GPU_F_RESOURCE_BLOB, resource_create_blob,
      create_blob, do_create_blob),
    R(SET_SCANOUT_BLOB, VIRTIO_GPU_F_RESOURCE_BLOB, set_scanout_blob,
      set_scanout_blob, do_set_scanout_blob),
#undef R
    {VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, VIRTIO_GPU_F_RESOURCE_UUID,
     sizeof(struct virtio_gpu_resource_ref), 16,
     VIRTIO_GPU_RESP_OK_RESOURCE_UUID, unref, NULL},
    {VIRTIO_GPU_CMD_GET_EDID, VIRTIO_GPU_F_EDID,
     sizeof(struct virtio_gpu_get_edid), 8 + VIRTIO_GPU_EDID_BYTES,
     VIRTIO_GPU_RESP_OK_EDID, get_edid, NULL},
    {VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 0, HEAD,
     sizeof(struct virtio_gpu_resp_display_info) - HEAD,
     VIRTIO_GPU_RESP_OK_DISPLAY_INFO, get_display_info, NULL},
};

static const struct row *find_row(uint32_t type)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].type == type)
            return !rows[i].feature || features & FEATURE(rows[i].feature)
                       ? &rows[i]
                       : NULL;
    return NULL;
}

/* ---- the cursor queue ---- */

static struct cursor *cursor_of(struct ask *a, enum verdict *v)
{
    *v = take_scanout(a, FIELD(update_cursor, pos.scanout_id));
    take_resource(a, FIELD(update_cursor, resource_id));
    return *v == FAILS ? NULL : &cursors[a->scanout];
}

static enum verdict update_cursor(struct ask *a)
{
    enum verdict v;

    cursor_of(a, &v);
    if (v == FAILS || (a->id && !a->res))
        return FAILS;
    if (a->id && (a->res->is_blob ||
                  word(a, FIELD(update_cursor, hot_x)) >= CURSOR_SIDE ||
                  word(a, FIELD(update_cursor, hot_y)) >= CURSOR_SIDE))
        return EITHER;
    if (a->id &&
        (a->res->width != CURSOR_SIDE || a->res->height != CURSOR_SIDE))
        return FAILS;
    return v;
}

static void move(struct ask *a, struct cursor *c)
{
    c->x = word(a, FIELD(update_cursor, pos.x));
    c->y = word(a, FIELD(update_cursor, pos.y));
}

static void do_update_cursor(struct ask *a)
{
    enum verdict v;
    struct cursor *c = cursor_of(a, &v);

    move(a, c);
    c->visible = a->id != 0;
    if (!a->id)
        return;
    c->drawn = true;
    c->hot_x = word(a, FIELD(update_cursor, hot_x));
    c->hot_y = word(a, FIELD(update_cursor, hot_y));
    c->unknown = a->res->is_blob || a->res->blurred;
    for (unsigned i = 0; !c->unknown && i < ARRAY_LEN(c->image); i++)
        c->image[i] = to_argb(a->res->format, a->res->pixels + i * 4);
}

static enum verdict move_cursor(struct ask *a)
{
    enum verdict v;

    cursor_of(a, &v);
    return v;
}

static void do_move_cursor(struct ask *a)
{
    enum verdict v;
    struct cursor *c = cursor_of(a, &v);

    /* As QEMU has it, whatever the spec says. */
    c->visible = c->drawn && a->id != 0;
    move(a, c);
}

static const struct row cursor_rows[] = {
    {VIRTIO_GPU_CMD_UPDATE_CURSOR, 0, sizeof(struct virtio_gpu_update_cursor),
     0, VIRTIO_GPU_RESP_OK_NODATA, update_cursor, do_update_cursor},
    {VIRTIO_GPU_CMD_MOVE_CURSOR, 0, sizeof(struct virtio_gpu_update_cursor), 0,
     VIRTIO_GPU_RESP_OK_NODATA, move_cursor, do_move_cursor},
};

/* ---- answers ---- */

static const struct row *row_of(unsigned ring, const struct ask *a)
{
    const struct row *row = NULL;
    uint32_t type = word(a, 0);

    if (a->len < HEAD)
        return NULL;
    if (ring == VIRTIO_GPU_CONTROLQ)
        row = find_row(type);
    for (unsigned i = 0; ring != VIRTIO_GPU_CONTROLQ && i < 2; i++)
        if (cursor_rows[i].type == type)
            row = &cursor_rows[i];
    return row && a->len >= row->in ? row : NULL;
}

static void check_header(const struct ask *a, const uint8_t *answer)
{
    struct virtio_gpu_ctrl_hdr in, out;
    uint32_t flags, type;

    memcpy(&in, a->bytes, sizeof(in));
    memcpy(&out, answer, sizeof(out));
    if (a->len < HEAD)
        memset(&in, 0, sizeof(in));
    flags = le32toh(in.flags);
    type = le32toh(out.type);
    CHECK((type >= 0x1100 && type <= 0x1105) ||
          (type >= 0x1200 && type <= 0x1205));
    if (flags & VIRTIO_GPU_FLAG_FENCE) {
        CHECK(le32toh(out.flags) & VIRTIO_GPU_FLAG_FENCE);
        CHECK(out.fence_id == in.fence_id);
    } else {
        CHECK(out.flags == 0 && out.fence_id == 0);
    }
    CHECK(!out.padding[0] && !out.padding[1] && !out.padding[2]);
}

static void check_body(struct ask *a, const uint8_t *body, size_t len)
{
    struct virtio_gpu_display_one one;

    switch (word(a, 0)) {
    case VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID:
        if (!a->res || len < sizeof(a->res->uuid))
            break;
        if (a->res->has_uuid)
            CHECK(memcmp(a->res->uuid, body, len) == 0);
        a->res->has_uuid = true;
        memcpy(a->res->uuid, body, len);
        break;
    case VIRTIO_GPU_CMD_GET_EDID:
        if (len >= 4) {
            le32 size;

            memcpy(&size, body, 4);
            CHECK(le32toh(size) <= VIRTIO_GPU_EDID_BYTES);
        }
        break;
    case VIRTIO_GPU_CMD_GET_DISPLAY_INFO:
        for (size_t at = 0; len - at >= sizeof(one); at += sizeof(one)) {
            memcpy(&one, body + at, sizeof(one));
            CHECK(le32toh(one.enabled) <= 1 && one.flags == 0);
            CHECK(le32toh(one.r.width) <= GPU_SIDE_MAX &&
                  le32toh(one.r.height) <= GPU_SIDE_MAX);
            CHECK(!one.enabled || (one.r.width && one.r.height));
        }
        break;
    default:
        break;
    }
}

/* Was it done? */
static bool was_done(struct ask *a, const struct row *row, enum verdict v,
                     const struct place *p, const uint8_t *answer, uint32_t len)
{
    le32 type;
    bool worked;

    if (p->room < HEAD) {
        CHECK(len == 0);
        if (v == EITHER || p->lax)
            is_lost = true;
        return v == WORKS;
    }
    CHECK(len >= HEAD);
    check_header(a, answer);
    memcpy(&type, answer, sizeof(type));
    worked = le32toh(type) < VIRTIO_GPU_RESP_ERR_UNSPEC;
    CHECK(is_lost || p->lax || v == EITHER || worked == (v == WORKS));
    if (worked) {
        CHECK(row && le32toh(type) == row->answer);
        CHECK(len == MIN(p->room, HEAD + row->body));
        check_body(a, answer + HEAD, len - HEAD);
    } else {
        CHECK(len == HEAD);
    }
    return worked;
}

void model_answered(unsigned ring, const struct place *p, const uint8_t *answer,
                    uint32_t len)
{
    static struct ask a;
    static uint8_t bytes[PLACE_BYTES];
    const struct row *row;
    enum verdict v;

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, p->request, p->asked);
    memset(&a, 0, sizeof(a));
    a.bytes = bytes;
    a.len = p->asked;
    row = row_of(ring, &a);
    v = row ? row->verdict(&a) : FAILS;
    if (was_done(&a, row, v, p, answer, len) && !is_lost && row->apply)
        row->apply(&a);
    /* It may have been read while it changed, or in part. */
    if (p->lax && a.res && !a.res->is_blob)
        a.res->blurred = true;
    if (row && row->apply)
        look();
}

/* ---- what is shown ---- */

static void compare_cursor(unsigned i)
{
    const struct cursor *c = &cursors[i];
    const struct front_cursor *f = &front_cursors[i];

    CHECK(c->visible == f->visible);
    if (!c->visible)
        return;
    CHECK(c->x == f->x && c->y == f->y);
    CHECK(f->defined && c->drawn);
    if (c->unknown)
        return;
    CHECK(c->hot_x == f->hot_x && c->hot_y == f->hot_y);
    CHECK(memcmp(c->image, f->image, sizeof(c->image)) == 0);
}

void model_compare(void)
{
    if (is_lost)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(scanouts); i++) {
        const struct shown *s = &scanouts[i];
        const struct front_scanout *f = &front_scanouts[i];
        size_t num = (size_t)s->width * s->height;

        compare_cursor(i);
        /* What is to be shown of a blob whose memory is gone? */
        if (s->res && s->res->is_blob && !frame_is_there(s))
            continue;
        CHECK(f->width == s->width && f->height == s->height);
        for (size_t n = 0; n < num; n++)
            if (s->known[n])
                CHECK(f->fresh[n] &&
                      (f->pixels[n] & RGB) == (s->want[n] & RGB));
    }
}
