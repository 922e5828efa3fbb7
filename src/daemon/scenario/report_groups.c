/* Which of many items are the same: they are sorted, and each run of equal
 * ones is a group. */
#include <stdlib.h>
#include <string.h>

#include "daemon/scenario/report_impl.h"

struct sorting {
    report_order_fn order;
    const void *context;
};

static int compare(const void *a, const void *b, void *data)
{
    const struct sorting *s = data;
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    int order = s->order(s->context, x, y);

    return order ? order : (x > y) - (x < y);
}

/* In place of each item's first equal the group's number, and the same for the
 * others: `first` says who the first is. */
static unsigned number(unsigned *first, unsigned num)
{
    unsigned groups = 0;

    for (unsigned i = 0; i < num; i++)
        first[i] = first[i] == i ? groups++ : first[first[i]];
    return groups;
}

unsigned *report_groups(unsigned num, report_order_fn order,
                        const void *context, unsigned *num_groups)
{
    struct sorting sorting = {order, context};
    unsigned *sorted = calloc((size_t)num + 1, sizeof(*sorted)),
             *of = calloc((size_t)num + 1, sizeof(*of)), first = 0;

    if (!sorted || !of) {
        free(sorted);
        free(of);
        return NULL;
    }
    for (unsigned i = 0; i < num; i++)
        sorted[i] = i;
    qsort_r(sorted, num, sizeof(*sorted), compare, &sorting);
    for (unsigned i = 0; i < num; i++) {
        if (i == 0 || order(context, sorted[i - 1], sorted[i]) != 0)
            first = sorted[i];
        of[sorted[i]] = first;
    }
    free(sorted);
    *num_groups = number(of, num);
    return of;
}

/* ---- pictures ---- */

/* In the order of a record. */
struct flat {
    const struct record_picture **pictures;
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

/* Of each step where its pictures begin; how many there are. */
static unsigned count(const struct record *r, unsigned *base)
{
    unsigned num = 0;

    for (unsigned i = 0; i < r->num_steps; i++) {
        base[i] = num;
        num += r->steps[i].num_pictures;
    }
    return num;
}

static void fill(struct report_shots *shots, const struct record *r)
{
    for (unsigned i = 0; i < r->num_steps; i++)
        for (unsigned j = 0; j < r->steps[i].num_pictures; j++) {
            struct report_shot *shot =
                &shots->list[shots->of[shots->base[i] + j]];

            if (shot->times++ == 0) {
                shot->picture = &r->steps[i].pictures[j];
                shot->step = i;
            }
            shot->failed = shot->failed || r->steps[i].result == STEP_FAILED;
        }
}

bool report_shots_find(struct report_shots *out, const struct record *r)
{
    struct report_shots s = {0};
    struct flat flat = {NULL};
    unsigned num, n = 0;

    *out = s;
    s.base = calloc((size_t)r->num_steps + 1, sizeof(*s.base));
    if (!s.base)
        return false;
    num = count(r, s.base);
    flat.pictures = calloc((size_t)num + 1, sizeof(struct record_picture *));
    if (flat.pictures) {
        for (unsigned i = 0; i < r->num_steps; i++)
            for (unsigned j = 0; j < r->steps[i].num_pictures; j++)
                flat.pictures[n++] = &r->steps[i].pictures[j];
        s.of = report_groups(num, picture_order, &flat, &s.num);
    }
    free(flat.pictures);
    if (s.of)
        s.list = calloc((size_t)s.num + 1, sizeof(*s.list));
    if (!s.list) {
        report_shots_free(&s);
        return false;
    }
    fill(&s, r);
    *out = s;
    return true;
}

void report_shots_free(struct report_shots *shots)
{
    free(shots->list);
    free(shots->base);
    free(shots->of);
    *shots = (struct report_shots){0};
}
