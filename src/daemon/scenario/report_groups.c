/* Which of many items are the same: they are sorted, and each run of equal
 * ones is a group. */
#include <stdlib.h>

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
