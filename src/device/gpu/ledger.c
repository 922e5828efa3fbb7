/* Writing the ledger down.
 *
 * The order of stores is all that counts, and only for the one who dies: a
 * process that ends at an instruction has made every store before it and none
 * behind. So the compiler has to keep their order, the processor does that by
 * itself, and nothing is waited for. A word is noted with what it was, then the
 * number of notes is raised, then it is changed; all else goes where nothing
 * points to. The commit sets the number of notes to 0.
 *
 * What is given up by a command may be used by the next one, not by itself: it
 * may have to come back. */
#include "device/gpu/ledger.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/ledger_book.h"
#include "os/memory.h"

/* ---- words ---- */

/* Behind all stores before. */
static void store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static void set(struct ledger *l, uint64_t *word, uint64_t value)
{
    struct book *b = l->book;

    assert(l->num_notes < BOOK_NOTES);
    b->notes[l->num_notes] = (struct book_note){
        .at = (uint64_t)((uint8_t *)word - (uint8_t *)b),
        .was = *word,
    };
    store(&b->num_notes, ++l->num_notes);
    store(word, value);
}

void ledger_commit(struct ledger *l)
{
    if (!l || l->num_notes == 0)
        return;
    l->num_notes = 0;
    store(&l->book->num_notes, 0);
    /* What is written next may be what would have been undone to. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* The copy that is not in use, from 1. */
static unsigned other_copy(unsigned copy)
{
    return copy == 1 ? 2 : 1;
}

/* ---- resources ---- */

void ledger_resource(struct ledger *l, struct resource *r)
{
    struct book_resource *b;

    if (!l)
        return;
    /* Of each resource with an id there is a slot. */
    assert(l->num_free_slots > 0);
    r->slot = l->free_slots[--l->num_free_slots];
    b = &l->book->resources[r->slot];
    *b = (struct book_resource){
        .kind = BOOK_NOTHING,
        .pixels = r->extent ? r->extent->at + 1 : 0,
        .bytes = r->bytes,
        .id = r->id,
        .format = r->format,
        .width = r->width,
        .height = r->height,
    };
    set(l, &b->kind, r->is_blob ? BOOK_BLOB : BOOK_2D);
}

static void free_blocks(struct ledger *l, int slot)
{
    uint32_t block = l->first_block[slot], last = block;

    if (l->num_blocks[slot] == 0)
        return;
    for (uint32_t i = 1; i < l->num_blocks[slot]; i++)
        last = l->next[last];
    l->next[last] = l->free_block;
    l->free_block = block;
    l->num_blocks[slot] = 0;
}

void ledger_forget(struct ledger *l, struct resource *r)
{
    if (!l || r->slot < 0)
        return;
    set(l, &l->book->resources[r->slot].kind, BOOK_NOTHING);
    free_blocks(l, r->slot);
    l->free_slots[l->num_free_slots++] = (uint16_t)r->slot;
    r->slot = -1;
}

/* Into free blocks; how many. */
static uint32_t write_entries(struct ledger *l, const struct backing *from)
{
    struct book *b = l->book;
    uint32_t block = l->free_block, num = 0;

    for (uint32_t i = 0; i < from->num_entries; i++) {
        const struct backing_entry *e = &from->entries[i];

        if (i > 0 && i % BOOK_BLOCK == 0) {
            b->next[block] = l->next[block];
            block = l->next[block];
        }
        /* There are as many as all backings may fill. */
        assert(block < BOOK_BLOCKS);
        num += i % BOOK_BLOCK == 0;
        b->blocks[block][i % BOOK_BLOCK] =
            (struct book_entry){.gpa = e->gpa, .len = e->len};
    }
    l->free_block = l->next[block];
    return num;
}

void ledger_backing(struct ledger *l, const struct resource *r)
{
    const struct backing *backing = &r->backing;
    uint64_t word = 0;

    if (!l || r->slot < 0)
        return;
    if (backing->attached) {
        assert(l->num_blocks[r->slot] == 0);
        l->first_block[r->slot] = l->free_block;
        l->num_blocks[r->slot] = write_entries(l, backing);
        word = backing->num_entries | (uint64_t)l->first_block[r->slot] << 32;
    } else {
        free_blocks(l, r->slot);
    }
    set(l, &l->book->resources[r->slot].backing, word);
}

void ledger_uuid(struct ledger *l, const struct resource *r)
{
    struct book_resource *b;

    if (!l)
        return;
    b = &l->book->resources[r->slot];
    memcpy(b->uuid, r->uuid, sizeof(b->uuid));
    set(l, &b->has_uuid, 1);
}

/* ---- scanouts ---- */

void ledger_scanout(struct gpu *g, unsigned i)
{
    const struct frame *f = &g->scanouts[i].frame;
    struct ledger *l = g->ledger;
    struct book_scanout *b;
    unsigned copy = 0;

    if (!l)
        return;
    b = &l->book->scanouts[i];
    if (f->res) {
        copy = other_copy(l->scanout_copy[i]);
        b->copies[copy - 1] = (struct book_frame){
            .slot = (uint32_t)f->res->slot,
            .format = f->format,
            .stride = f->stride,
            .rect = g->scanouts[i].rect,
            .offset = f->offset,
        };
    }
    set(l, &b->which, copy);
    l->scanout_copy[i] = copy;
}

void ledger_cursor(struct gpu *g, unsigned i, bool image)
{
    const struct cursor *c = &g->scanouts[i].cursor;
    struct ledger *l = g->ledger;
    struct book_cursor *b;
    uint64_t how;

    if (!l)
        return;
    b = &l->book->cursors[i];
    if (image) {
        l->second_image[i] = !l->second_image[i];
        memcpy(b->images[l->second_image[i]], c->image, sizeof(c->image));
    }
    how = (c->visible ? BOOK_CURSOR_VISIBLE : 0) |
          (c->drawn ? BOOK_CURSOR_DRAWN : 0) |
          (l->second_image[i] ? BOOK_CURSOR_SECOND : 0) |
          (uint64_t)c->hot_x << BOOK_CURSOR_HOT_X |
          (uint64_t)c->hot_y << BOOK_CURSOR_HOT_Y;
    set(l, &b->how, how);
    set(l, &b->place, c->x | (uint64_t)c->y << 32);
}

/* ---- the rest ---- */

void ledger_displays(struct gpu *g)
{
    struct ledger *l = g->ledger;
    struct book_displays *b;
    unsigned copy;

    if (!l)
        return;
    b = &l->book->displays;
    copy = other_copy(l->displays_copy);
    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++)
        b->copies[copy - 1][i] = (struct book_display){
            g->displays[i].r,
            g->displays[i].enabled,
        };
    set(l, &b->which, copy | (g->displays_said ? BOOK_DISPLAYS_SAID : 0));
    l->displays_copy = copy;
}

void ledger_shown(struct gpu *g)
{
    if (g->ledger)
        set(g->ledger, &g->ledger->book->shown, g->shown);
}

void ledger_events(struct gpu *g)
{
    if (g->ledger)
        set(g->ledger, &g->ledger->book->events_read, g->events_read);
}

void ledger_control(struct gpu *g)
{
    uint64_t word = g->ring_base;

    if (!g->ledger)
        return;
    if (g->control.ring || g->was_running)
        word |= BOOK_CONTROL_RUNS;
    if (g->config_was_read)
        word |= BOOK_CONTROL_CONFIG_READ;
    set(g->ledger, &g->ledger->book->control, word);
}

/* ---- commands ---- */

static const struct book_answer *answer_at(const struct ledger *l,
                                           unsigned ring, uint64_t number)
{
    return &l->book->answers[ring].list[number % BOOK_ANSWERS];
}

/* Of those from `from` on. */
static void keep_answers(struct ledger *l, unsigned ring, uint64_t from)
{
    struct ledger_ring *r = &l->rings[ring];

    if (r->first == from)
        return;
    r->first = from;
    store(&l->book->answers[ring].first, from);
}

void ledger_ring_start(struct ledger *l, const struct ring *q)
{
    struct ledger_ring *r;

    if (!l)
        return;
    r = &l->rings[q->index];
    memset(r->known, 0, sizeof(r->known));
    r->again = 0;
    r->recovered = q->recovered;
    if (r->recovered == 0)
        keep_answers(l, q->index, r->last);
    for (uint64_t n = r->first; n != r->last; n++) {
        uint32_t id = answer_at(l, q->index, n)->id;

        if (id < ARRAY_LEN(r->known))
            r->known[id] = n + 1;
    }
}

/* Chains are answered in the order they are taken, and answers are shown in
 * that order: those which are not shown yet are the last ones. */
void ledger_turn(struct ledger *l, const struct ring *q)
{
    struct ledger_ring *r;

    if (!l)
        return;
    r = &l->rings[q->index];
    if (r->recovered == 0)
        keep_answers(l, q->index,
                     r->last - MIN(q->pending, r->last - r->first));
}

bool ledger_was_done(struct ledger *l, const struct chain *c, struct answer *a)
{
    const struct book_answer *b;
    struct ledger_ring *r;

    if (!l)
        return false;
    r = &l->rings[c->ring->index];
    if (r->recovered == 0)
        return false;
    r->recovered--;
    if (r->known[c->id] == 0)
        return false;
    b = answer_at(l, c->ring->index, r->known[c->id] - 1);
    r->known[c->id] = 0;
    a->type = b->type;
    a->body_len = b->body_len;
    memcpy(a->body, b->body, sizeof(a->body));
    if (a->body_len <= sizeof(a->body))
        return true;
    r->again = c->id + 1u;
    return false;
}

void ledger_done(struct ledger *l, const struct chain *c, uint32_t type,
                 const void *body, size_t body_len)
{
    struct book_answer *b;
    struct ledger_ring *r;

    if (!l)
        return;
    r = &l->rings[c->ring->index];
    if (r->again == c->id + 1u) { /* it has its place among the others */
        r->again = 0;
        ledger_commit(l);
        return;
    }
    if (r->last - r->first == BOOK_ANSWERS) /* none of ours: was left so */
        keep_answers(l, c->ring->index, r->first + 1);
    b = &l->book->answers[c->ring->index].list[r->last % BOOK_ANSWERS];
    *b = (struct book_answer){
        .id = c->id,
        .type = type,
        .body_len = (uint32_t)body_len,
    };
    if (body_len > 0 && body_len <= sizeof(b->body))
        memcpy(b->body, body, body_len);
    set(l, &l->book->answers[c->ring->index].last, ++r->last);
    ledger_commit(l);
}

/* ---- handing on ---- */

static int save_pixels(struct gpu *g, struct resource *r)
{
    if (!resource_move(r))
        return -ENOMEM;
    set(g->ledger, &g->ledger->book->resources[r->slot].pixels,
        r->extent->at + 1);
    ledger_commit(g->ledger);
    return 0;
}

/* The book was in memory of our own. */
static int save_book(struct gpu *g, struct err *e)
{
    struct ledger *l = g->ledger;
    struct book *own = l->book;
    int rc = keep_get(&l->kept, g->device.id, BOOK_NAME, sizeof(*own), e);

    if (rc < 0)
        return rc;
    l->book = (void *)l->kept.at;
    memcpy(l->book, own, sizeof(*own));
    memory_drop((void *)own, sizeof(*own), -1);
    return 0;
}

int ledger_save(struct gpu *g, struct err *e)
{
    int rc = 0;

    if (!g->ledger->kept.at)
        rc = save_book(g, e);
    if (rc == 0 && !arena_is_open(&g->arena))
        rc = arena_open(&g->arena, g->device.id, g->device.home, e);
    if (rc < 0)
        return rc;
    g->resources.arena = &g->arena;
    for (unsigned i = 0; rc == 0 && i < RESOURCE_BUCKETS; i++) {
        LIST_EACH (&g->resources.buckets[i], it) {
            struct resource *r = container_of(it, struct resource, node);

            if (rc == 0 && !r->is_blob && !r->extent)
                rc = save_pixels(g, r);
        }
    }
    if (rc < 0)
        err_set(e, rc, "",
                "there is no room to keep all pictures of the guest");
    return rc;
}
