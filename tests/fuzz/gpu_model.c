/* Commands, as a GPU in a few lines does them. */
#include <string.h>

#include "gpu_model.h"

#define LARGE_BYTES (1u << 20)

const uint32_t ids[IDS] = {0, 1, 2, 3, 4, 5, 0x80000001, UINT32_MAX};
bool is_lost;

static bool is_spoilt;
static struct res resources[IDS];

/* ---- life ---- */

static void forget(struct res *r)
{
    shown_drop(r);
    free(r->pixels);
    memset(r, 0, sizeof(*r));
}

void model_reset(void)
{
    for (unsigned i = 0; i < IDS; i++)
        forget(&resources[i]);
    memset(cursors, 0, sizeof(cursors));
    is_lost = is_spoilt;
}

void model_spoil(bool spoilt)
{
    is_spoilt = spoilt;
    model_reset();
}

void model_lose(void)
{
    is_lost = true;
}

void model_begin(void)
{
    is_spoilt = false;
    model_reset();
}

void model_memory_changed(bool busy)
{
    for (unsigned i = 0; i < IDS; i++)
        if (busy && !resources[i].is_blob)
            resources[i].blurred = true;
    shown_look();
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

uint32_t ask_word(const struct ask *a, size_t at)
{
    le32 v;

    memcpy(&v, a->bytes + at, sizeof(v));
    return le32toh(v);
}

static uint64_t long_word(const struct ask *a, size_t at)
{
    return ask_word(a, at) | (uint64_t)ask_word(a, at + 4) << 32;
}

#define FIELD(type, field) offsetof(struct virtio_gpu_##type, field)

static void take_rect(struct ask *a, size_t at)
{
    a->rect = (struct rect){ask_word(a, at), ask_word(a, at + 4),
                            ask_word(a, at + 8), ask_word(a, at + 12)};
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

    a->id = ask_word(a, at);
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
        struct entry e = {long_word(a, at), ask_word(a, at + 8)};

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
    uint32_t format = ask_word(a, FIELD(resource_create_2d, format));
    uint64_t width = ask_word(a, FIELD(resource_create_2d, width));
    uint64_t height = ask_word(a, FIELD(resource_create_2d, height));

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
    r->format = ask_word(a, FIELD(resource_create_2d, format));
    r->width = ask_word(a, FIELD(resource_create_2d, width));
    r->height = ask_word(a, FIELD(resource_create_2d, height));
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
    a->scanout = ask_word(a, at);
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
        shown_off(a->scanout);
    else
        shown_set(a->scanout, a->res, a->res->format, a->res->width * 4, 0,
                  &a->rect);
}

static enum verdict set_scanout_blob(struct ask *a)
{
    enum verdict v = take_scanout(a, FIELD(set_scanout_blob, scanout_id));
    uint32_t width = ask_word(a, FIELD(set_scanout_blob, width));
    uint32_t height = ask_word(a, FIELD(set_scanout_blob, height));
    uint32_t stride = ask_word(a, FIELD(set_scanout_blob, strides));
    uint32_t offset = ask_word(a, FIELD(set_scanout_blob, offsets));
    uint64_t row = (uint64_t)width * 4;

    take_resource(a, FIELD(set_scanout_blob, resource_id));
    take_rect(a, FIELD(set_scanout_blob, r));
    if (a->id == 0)
        return v;
    if (!a->res || !a->res->is_blob ||
        !format_is_known(ask_word(a, FIELD(set_scanout_blob, format))) ||
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
        shown_off(a->scanout);
    else
        shown_set(a->scanout, a->res,
                  ask_word(a, FIELD(set_scanout_blob, format)),
                  ask_word(a, FIELD(set_scanout_blob, strides)),
                  ask_word(a, FIELD(set_scanout_blob, offsets)), &a->rect);
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
    shown_flush(a->res, &a->rect);
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
    uint32_t num = ask_word(a, FIELD(resource_attach_backing, nr_entries));

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
    uint32_t num = ask_word(a, FIELD(resource_create_blob, nr_entries));
    uint64_t size = long_word(a, FIELD(resource_create_blob, size));

    take_resource(a, HEAD);
    if (a->id == 0 || a->res ||
        ask_word(a, FIELD(resource_create_blob, blob_mem)) !=
            VIRTIO_GPU_BLOB_MEM_GUEST ||
        !take_entries(a, sizeof(struct virtio_gpu_resource_create_blob), num))
        return FAILS;
    if (size == 0 || num == 0 || a->odd_entries || a->has_more ||
        a->entries_len < size ||
        ask_word(a, FIELD(resource_create_blob, blob_flags)) & ~7u)
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

static const struct row rows[] = {
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
                  ask_word(a, FIELD(update_cursor, hot_x)) >= CURSOR_SIDE ||
                  ask_word(a, FIELD(update_cursor, hot_y)) >= CURSOR_SIDE))
        return EITHER;
    if (a->id &&
        (a->res->width != CURSOR_SIDE || a->res->height != CURSOR_SIDE))
        return FAILS;
    return v;
}

static void move(struct ask *a, struct cursor *c)
{
    c->x = ask_word(a, FIELD(update_cursor, pos.x));
    c->y = ask_word(a, FIELD(update_cursor, pos.y));
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
    c->hot_x = ask_word(a, FIELD(update_cursor, hot_x));
    c->hot_y = ask_word(a, FIELD(update_cursor, hot_y));
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
const struct row *ask_row(unsigned ring, const struct ask *a)
{
    const struct row *row = NULL;
    uint32_t type = ask_word(a, 0);

    if (a->len < HEAD)
        return NULL;
    if (ring == VIRTIO_GPU_CONTROLQ)
        row = find_row(type);
    for (unsigned i = 0; ring != VIRTIO_GPU_CONTROLQ && i < 2; i++)
        if (cursor_rows[i].type == type)
            row = &cursor_rows[i];
    return row && a->len >= row->in ? row : NULL;
}
