/* Keys that are given more than once: which of them counts would be chance. */
#include <stdlib.h>
#include <string.h>

#include "conf/reader.h"

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void check_names(struct reader *r, const struct place *p,
                        const struct json *n)
{
    const char **names;
    size_t count = 0;

    for (const struct json *m = json_first(n); m; m = json_next(m))
        count++;
    if (count < 2)
        return;
    names = malloc(count * sizeof(*names));
    if (!names) {
        r->no_memory = true;
        return;
    }
    count = 0;
    for (const struct json *m = json_first(n); m; m = json_next(m))
        names[count++] = json_name(m);
    qsort(names, count, sizeof(*names), compare_names);
    for (size_t i = 1; i < count; i++) {
        struct place at = {p, names[i], 0};

        if (strcmp(names[i - 1], names[i]) == 0 &&
            (i == 1 || strcmp(names[i - 2], names[i]) != 0))
            reader_fail(r, &at, "the key is given more than once");
    }
    free(names);
}

/* Of the whole tree, also where no table looks. */
void reader_check_duplicates(struct reader *r, const struct place *p,
                             const struct json *n)
{
    bool is_object = json_type(n) == JSON_OBJECT;
    int index = 0;

    if (!is_object && json_type(n) != JSON_ARRAY)
        return;
    if (is_object)
        check_names(r, p, n);
    for (const struct json *m = json_first(n); m; m = json_next(m)) {
        struct place at = {p, is_object ? json_name(m) : NULL, index++};

        reader_check_duplicates(r, &at, m);
    }
}
