/* What somebody before us has left: checked, and made again.
 *
 * It may be the work of a process that its guest had taken over, which may even
 * write to it still: so each thing is copied first, and the copy is checked. It
 * must be what our own commands would have let a guest make, and within the
 * config's limits; there is no half of it, since a driver that misses one
 * resource of many is no better off than one that misses all. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/ledger_book.h"
#include "os/file.h"
#include "os/memory.h"

/* NULL, or what is wrong. */
typedef const char *why;

#define TOO_MANY "there is more of something than there may be"

/* ---- notes ---- */

/* A command that was under way is undone, the last change first. What that
 * writes is checked afterwards, like all else. */
static why undo(struct ledger *l)
{
    struct book *b = l->book;
    uint64_t num = b->num_notes;

    if (num > BOOK_NOTES)
        return "it has too many notes";
    while (num > 0) {
        const struct book_note note = b->notes[--num];

        if (note.at % sizeof(uint64_t) ||
            note.at < offsetof(struct book, control) ||
            note.at > sizeof(*b) - sizeof(uint64_t))
            return "a note is of no word";
        *(uint64_t *)(void *)((uint8_t *)b + note.at) = note.was;
    }
    __atomic_store_n(&b->num_notes, 0, __ATOMIC_RELEASE);
    return NULL;
}

/* ---- resources ---- */

struct reader {
    struct gpu *g;
    struct ledger *l;
    struct resource *slots[RESOURCES_MAX]; /* NULL: nothing is there */
    bool block_is_used[BOOK_BLOCKS];
};

/* The entries of slot i, malloc'ed. */
static why read_entries(struct reader *r, unsigned i, uint32_t num,
                        uint32_t block, struct backing_entry *to)
{
    const struct book *b = r->l->book;
    uint32_t before = BOOK_BLOCKS;

    r->l->first_block[i] = block;
    for (uint32_t n = 0; n < num; n++) {
        struct book_entry e;

        if (n % BOOK_BLOCK == 0) {
            if (n > 0)
                block = __atomic_load_n(&b->next[before], __ATOMIC_RELAXED);
            if (block >= BOOK_BLOCKS || r->block_is_used[block])
                return "entries of a backing are not where they should be";
            r->block_is_used[block] = true;
            if (n > 0)
                r->l->next[before] = block;
            r->l->num_blocks[i]++;
            before = block;
        }
        e = b->blocks[block][n % BOOK_BLOCK];
        if (e.len == 0)
            return "an entry of a backing is empty";
        to[n] = (struct backing_entry){e.gpa, e.len};
    }
    return NULL;
}

static why read_backing(struct reader *r, unsigned i, uint64_t word)
{
    struct resource *res = r->slots[i];
    uint64_t num = word & UINT32_MAX;
    struct backing_entry *entries;
    why wrong;

    if (word == 0)
        return NULL;
    if (num == 0 || num > BACKING_ENTRIES_MAX)
        return "a backing has no number of entries that may be";
    entries = malloc(num * sizeof(*entries));
    if (!entries)
        return "there is no memory for it";
    wrong = read_entries(r, i, (uint32_t)num, (uint32_t)(word >> 32), entries);
    if (wrong) {
        free(entries);
        return wrong;
    }
    if (resource_attach(res, entries, (uint32_t)num, NULL) < 0)
        return TOO_MANY;
    if (res->is_blob && res->backing.len < res->bytes)
        return "a blob is larger than its backing";
    return NULL;
}

static why read_2d(struct reader *r, unsigned i, const struct book_resource *b)
{
    struct resources *rs = &r->g->resources;
    struct extent *x;

    if (!pixels_known(b->format) || b->width == 0 || b->width > GPU_SIDE_MAX ||
        b->height == 0 || b->height > GPU_SIDE_MAX ||
        b->bytes != (uint64_t)b->width * b->height * PIXEL_BYTES)
        return "a resource has a size or a format that it cannot have";
    if (b->pixels == 0 || !r->g->arena.kept.found)
        return "the pixels of a resource are not there";
    x = arena_claim(&r->g->arena, b->pixels - 1, b->bytes);
    if (!x)
        return "pixels of a resource are where they cannot be";
    r->slots[i] =
        resource_found_2d(rs, b->id, b->format, b->width, b->height, x);
    return r->slots[i] ? NULL : TOO_MANY;
}

static why read_resource(struct reader *r, unsigned i)
{
    struct resources *rs = &r->g->resources;
    const struct book_resource b = r->l->book->resources[i];
    why wrong = NULL;

    if (b.kind == BOOK_NOTHING)
        return NULL;
    if (b.kind > BOOK_BLOB || b.id == 0 || resource_find(rs, b.id))
        return "a resource has an id that it cannot have";
    if (b.kind == BOOK_2D) {
        wrong = read_2d(r, i, &b);
    } else if (b.bytes == 0) {
        wrong = "a blob is empty";
    } else {
        r->slots[i] = resource_new_blob(rs, b.id, b.bytes);
        if (!r->slots[i])
            wrong = TOO_MANY;
    }
    if (wrong)
        return wrong;
    r->slots[i]->slot = (int)i;
    r->slots[i]->has_uuid = b.has_uuid != 0;
    memcpy(r->slots[i]->uuid, b.uuid, sizeof(b.uuid));
    return read_backing(r, i, b.backing);
}

/* ---- scanouts ---- */

/* As SET_SCANOUT and SET_SCANOUT_BLOB would have it. */
static bool frame_makes_sense(const struct gpu *g, const struct resource *res,
                              const struct book_frame *b)
{
    uint64_t row = (uint64_t)b->rect.width * PIXEL_BYTES, end;

    if (!res->is_blob)
        return rect_fits(&b->rect, res->width, res->height) &&
               b->format == res->format && b->stride == res->stride &&
               b->offset == (uint64_t)b->rect.y * b->stride +
                                (uint64_t)b->rect.x * PIXEL_BYTES;
    return rect_fits(&b->rect, GPU_SIDE_MAX, GPU_SIDE_MAX) &&
           pixels_known(b->format) && b->stride >= row &&
           b->stride % PIXEL_BYTES == 0 && b->offset % PIXEL_BYTES == 0 &&
           add_u64(b->offset, (uint64_t)b->stride * (b->rect.height - 1) + row,
                   &end) &&
           end <= res->bytes && row * b->rect.height <= g->conf->max_memory;
}

static why read_scanout(struct reader *r, unsigned i)
{
    const struct book_scanout *from = &r->l->book->scanouts[i];
    uint64_t which = __atomic_load_n(&from->which, __ATOMIC_RELAXED);
    struct resource *res;
    struct book_frame b;
    struct frame f;

    if (which == 0)
        return NULL;
    if (which > ARRAY_LEN(from->copies))
        return "a scanout shows nothing that there is";
    b = from->copies[which - 1];
    res = b.slot < RESOURCES_MAX ? r->slots[b.slot] : NULL;
    if (!res || !frame_makes_sense(r->g, res, &b))
        return "a scanout shows nothing that there is";
    r->l->scanout_copy[i] = (unsigned)which;
    f = (struct frame){
        .res = resource_ref(res),
        .format = b.format,
        .stride = b.stride,
        .width = b.rect.width,
        .height = b.rect.height,
        .offset = b.offset,
    };
    scanout_set(r->g, i, &f, &b.rect);
    return NULL;
}

static why read_cursor(struct reader *r, unsigned i)
{
    const struct book_cursor *from = &r->l->book->cursors[i];
    uint64_t how = __atomic_load_n(&from->how, __ATOMIC_RELAXED);
    uint64_t place = __atomic_load_n(&from->place, __ATOMIC_RELAXED);
    struct cursor *c = &r->g->scanouts[i].cursor;
    uint64_t hot_x = how >> BOOK_CURSOR_HOT_X & 0xff;
    uint64_t hot_y = how >> BOOK_CURSOR_HOT_Y;

    if (hot_x >= VIRTIO_GPU_CURSOR_PIXELS || hot_y >= VIRTIO_GPU_CURSOR_PIXELS)
        return "the hot spot of a cursor lies outside of it";
    r->l->second_image[i] = how & BOOK_CURSOR_SECOND;
    c->visible = how & BOOK_CURSOR_VISIBLE;
    c->drawn = how & BOOK_CURSOR_DRAWN;
    c->hot_x = (uint32_t)hot_x;
    c->hot_y = (uint32_t)hot_y;
    c->x = (uint32_t)place;
    c->y = (uint32_t)(place >> 32);
    if (c->drawn)
        memcpy(c->image, from->images[r->l->second_image[i]], sizeof(c->image));
    if (c->visible && !c->drawn)
        return "a cursor is to be seen that has no image";
    return NULL;
}

/* ---- the rest ---- */

/* If nobody has said otherwise they are the config's, which may be another one
 * than the guest was told of. */
static void read_displays(struct reader *r)
{
    const struct book_displays *from = &r->l->book->displays;
    uint64_t which = __atomic_load_n(&from->which, __ATOMIC_RELAXED);
    bool said = which & BOOK_DISPLAYS_SAID;
    struct gpu *g = r->g;
    bool differ = false;

    which &= BOOK_DISPLAYS_SAID - 1;
    if (which == 0 || which > ARRAY_LEN(from->copies))
        return;
    r->l->displays_copy = (unsigned)which;
    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
        const struct book_display b = from->copies[which - 1][i];
        const struct display_one d =
            display_tidy(&(struct display_one){b.r, b.enabled != 0});

        differ |= !display_same(&d, &g->displays[i]);
        if (said)
            g->displays[i] = d;
    }
    g->displays_said = said;
    if (!said && differ)
        g->events_read |= VIRTIO_GPU_EVENT_DISPLAY;
}

static void read_control(struct reader *r)
{
    struct gpu *g = r->g;
    uint64_t word = __atomic_load_n(&r->l->book->control, __ATOMIC_RELAXED);

    g->ring_base = (uint32_t)word;
    g->config_was_read = word & BOOK_CONTROL_CONFIG_READ;
    g->was_running = word & BOOK_CONTROL_RUNS;
    g->events_read = r->l->book->events_read & VIRTIO_GPU_EVENT_DISPLAY;
    g->shown = g->shown_before = (uint32_t)r->l->book->shown;
}

static why read_answers(struct reader *r, unsigned ring)
{
    const struct book_answers *b = &r->l->book->answers[ring];
    uint64_t first = __atomic_load_n(&b->first, __ATOMIC_RELAXED);
    uint64_t last = __atomic_load_n(&b->last, __ATOMIC_RELAXED);

    if (last - first > BOOK_ANSWERS)
        return TOO_MANY;
    r->l->rings[ring].first = first;
    r->l->rings[ring].last = last;
    return NULL;
}

static why read_all(struct reader *r)
{
    why wrong = undo(r->l);

    for (unsigned i = 0; !wrong && i < RESOURCES_MAX; i++)
        wrong = read_resource(r, i);
    for (unsigned i = 0; !wrong && i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
        wrong = read_scanout(r, i);
        if (!wrong)
            wrong = read_cursor(r, i);
    }
    for (unsigned i = 0; !wrong && i < BOOK_RINGS; i++)
        wrong = read_answers(r, i);
    if (!wrong) {
        read_control(r);
        read_displays(r);
    }
    return wrong;
}

/* ---- life ---- */

/* Slots and blocks that nothing is in, those in front to be taken first. */
static void find_free(struct ledger *l, const struct reader *r)
{
    l->num_free_slots = 0;
    for (unsigned i = RESOURCES_MAX; i-- > 0;)
        if (!r || !r->slots[i])
            l->free_slots[l->num_free_slots++] = (uint16_t)i;
    l->free_block = BOOK_BLOCKS;
    for (uint32_t i = BOOK_BLOCKS; i-- > 0;) {
        if (r && r->block_is_used[i])
            continue;
        l->next[i] = l->free_block;
        l->free_block = i;
    }
}

/* As if there had been nothing. */
static int forget_all(struct gpu *g, struct ledger *l, struct err *e)
{
    struct book *book = l->book;
    struct kept kept = l->kept;
    int rc;

    scanouts_reset(g);
    resources_clear(&g->resources);
    rc = file_discard(kept.fd, FILE_REGULAR, 0, kept.len);
    memset(l, 0, sizeof(*l));
    l->book = book;
    l->kept = kept;
    find_free(l, NULL);
    if (rc < 0)
        return err_sys(e, -rc, "", "kept memory cannot be emptied");
    return 0;
}

static int read_found(struct gpu *g, struct ledger *l, struct err *e)
{
    struct reader *r = calloc(1, sizeof(*r));
    why wrong;

    if (!r)
        return err_nomem(e);
    r->g = g;
    r->l = l;
    wrong = read_all(r);
    if (!wrong)
        find_free(l, r);
    free(r);
    if (!wrong) {
        g->goes_on = true;
        return 0;
    }
    log_warn(g->device.id,
             "what another process has left of the guest's pictures cannot be "
             "used, and is forgotten: %s",
             wrong);
    return forget_all(g, l, e);
}

/* There is an arena for whom pixels are kept of as they are made, and for whom
 * some may have been left. */
static int open_arena(struct gpu *g, bool found, struct err *e)
{
    int rc = 0;

    g->resources.in_arena = keep_survives_kill();
    if (found || g->resources.in_arena)
        rc = arena_open(&g->arena, g->device.id, g->device.home, e);
    if (rc == 0 && arena_is_open(&g->arena))
        g->resources.arena = &g->arena;
    return rc;
}

/* A device of the same id may be about to close, and has it still: then there
 * is one of our own, for the time being. */
static int open_book(struct gpu *g, struct ledger *l, struct err *e)
{
    int rc = keep_get(&l->kept, g->device.id, BOOK_NAME, sizeof(*l->book), e);

    l->book = (void *)l->kept.at;
    if (rc == -EBUSY) {
        l->book = (void *)memory_zeros(sizeof(*l->book));
        rc = l->book ? 0 : err_nomem(e);
    }
    return rc;
}

static void free_ledger(struct ledger *l)
{
    if (l->kept.at)
        keep_drop(&l->kept);
    else if (l->book)
        memory_drop((void *)l->book, sizeof(*l->book), -1);
    free(l);
}

static int give_back_rest(struct arena *a, struct err *e)
{
    int rc = arena_is_open(a) ? arena_give_back_rest(a) : 0;

    return rc < 0 ? err_sys(e, -rc, "", "kept memory cannot be emptied") : 0;
}

int ledger_open(struct gpu *g, struct err *e)
{
    struct ledger *l = calloc(1, sizeof(*l));
    int rc;

    if (!l)
        return err_nomem(e);
    rc = open_book(g, l, e);
    if (rc == 0)
        rc = open_arena(g, l->kept.found, e);
    if (rc == 0 && l->kept.found)
        rc = read_found(g, l, e);
    else
        find_free(l, NULL);
    if (rc == 0)
        rc = give_back_rest(&g->arena, e);
    if (rc < 0) {
        scanouts_reset(g);
        resources_clear(&g->resources);
        g->resources.arena = NULL;
        arena_close(&g->arena);
        free_ledger(l);
        return rc;
    }
    g->ledger = l;
    g->resources.ledger = l;
    ledger_displays(g);
    ledger_events(g);
    ledger_commit(l);
    return 0;
}

void ledger_close(struct gpu *g)
{
    if (!g->ledger)
        return;
    free_ledger(g->ledger);
    g->ledger = NULL;
    g->resources.ledger = NULL;
}
