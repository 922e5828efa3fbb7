/* Which pictures are the same, so that a page has each once.
 *
 * A scenario may write several pictures to one file, as when a repeat has a
 * screenshot with a name: then the file has the last of them. What a file has
 * no more is not shown for what it was. */
#include <stdlib.h>
#include <string.h>

#include "daemon/scenario/report_impl.h"

/* All pictures in the order of a record. */
struct flat {
    const struct record_picture **pictures;
    unsigned num;
};

static int picture_order(const void *context, unsigned a, unsigned b)
{
    const struct flat *flat = context;
    const struct record_picture *x = flat->pictures[a], *y = flat->pictures[b];
    int order = strcmp(x->hash, y->hash);

    if (order)
        return order;
    if (!*x->hash)
        return strcmp(x->path, y->path);
    if (x->width != y->width)
        return x->width < y->width ? -1 : 1;
    return (x->height > y->height) - (x->height < y->height);
}

static int path_order(const void *context, unsigned a, unsigned b)
{
    const struct flat *flat = context;

    return strcmp(flat->pictures[a]->path, flat->pictures[b]->path);
}

/* base: of each step where its pictures begin. */
static bool flatten(struct flat *flat, const struct record *r, unsigned *base)
{
    unsigned n = 0;

    for (unsigned i = 0; i < r->num_steps; i++) {
        base[i] = flat->num;
        flat->num += r->steps[i].num_pictures;
    }
    flat->pictures =
        calloc((size_t)flat->num + 1, sizeof(struct record_picture *));
    if (!flat->pictures)
        return false;
    for (unsigned i = 0; i < r->num_steps; i++)
        for (unsigned j = 0; j < r->steps[i].num_pictures; j++)
            flat->pictures[n++] = &r->steps[i].pictures[j];
    return true;
}

/* For each picture: is it still what its file has? To be freed. */
static bool *find_whole(const struct flat *flat, const unsigned *of)
{
    unsigned num = 0, *last = NULL,
             *path = report_groups(flat->num, path_order, flat, &num);
    bool *whole = calloc((size_t)flat->num + 1, sizeof(*whole));

    if (path)
        last = calloc((size_t)num + 1, sizeof(*last));
    if (!last) {
        free(whole);
        whole = NULL;
    }
    for (unsigned i = 0; whole && i < flat->num; i++)
        last[path[i]] = of[i];
    for (unsigned i = 0; whole && i < flat->num; i++)
        whole[i] = last[path[i]] == of[i];
    free(path);
    free(last);
    return whole;
}

static void add(struct report_shot *shot, const struct record *r, unsigned step,
                const struct record_picture *picture, bool whole)
{
    if (shot->times++ == 0) {
        shot->step = step;
        shot->picture = picture;
        shot->lost = !whole;
    }
    if (shot->lost && whole) {
        shot->picture = picture;
        shot->lost = false;
    }
    shot->failed = shot->failed || r->steps[step].result == STEP_FAILED;
}

static bool fill(struct report_shots *s, const struct record *r,
                 const struct flat *flat)
{
    bool *whole = find_whole(flat, s->of);

    s->list = calloc((size_t)s->num + 1, sizeof(*s->list));
    for (unsigned i = 0; whole && s->list && i < r->num_steps; i++)
        for (unsigned j = 0; j < r->steps[i].num_pictures; j++) {
            unsigned at = s->base[i] + j;

            add(&s->list[s->of[at]], r, i, flat->pictures[at], whole[at]);
        }
    free(whole);
    return whole && s->list;
}

bool report_shots_find(struct report_shots *out, const struct record *r)
{
    struct report_shots s = {0};
    struct flat flat = {NULL, 0};
    bool done;

    s.base = calloc((size_t)r->num_steps + 1, sizeof(*s.base));
    done = s.base && flatten(&flat, r, s.base);
    if (done) {
        s.of = report_groups(flat.num, picture_order, &flat, &s.num);
        done = s.of && fill(&s, r, &flat);
    }
    free(flat.pictures);
    if (!done)
        report_shots_free(&s);
    *out = s;
    return done;
}

void report_shots_free(struct report_shots *shots)
{
    free(shots->list);
    free(shots->base);
    free(shots->of);
    *shots = (struct report_shots){0};
}
