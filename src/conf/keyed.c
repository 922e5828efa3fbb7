/* Lists of objects of which one key says what they are, and the others may
 * stand beside any. If it is not clear which key that is, the others are looked
 * at all the same. */
#include <string.h>

#include "conf/reader.h"
#include "conf/text.h"

static bool keyed_row(const struct conf_keyed *d, const char *name,
                      unsigned *which, struct conf_keyed_row *row)
{
    for (*which = 0; d->row(*which, row); ++*which)
        if (strcmp(row->name, name) == 0)
            return true;
    return false;
}

static void fail_row(struct reader *r, const struct place *p,
                     const struct conf_keyed *d)
{
    const char *near = NULL, *why = d->why_not(p->name);
    struct conf_keyed_row row;
    unsigned best = UINT32_MAX;

    for (unsigned i = 0; d->row(i, &row); i++)
        if (text_is_slip(p->name, row.name, &best))
            near = row.name;
    if (why)
        reader_fail(r, p, "%s", why);
    else if (near)
        reader_fail(r, p, "there is no such %s; did you mean \"%s\"?", d->what,
                    near);
    else
        reader_fail(r, p, "there is no such %s", d->what);
}

static bool is_common(const struct conf_keyed *d, const char *name)
{
    unsigned best = UINT32_MAX;

    for (const struct conf_key *k = d->common->keys; k->name; k++)
        if (strcmp(k->name, name) == 0 || text_is_slip(name, k->name, &best))
            return true;
    return false;
}

/* The member that says what n is; NULL: the error is said, and *meant what was
 * meant to. */
static const struct json *pick_row(struct reader *r, const struct json *n,
                                   const struct place *p,
                                   const struct conf_keyed *d, unsigned *which,
                                   struct conf_keyed_row *row,
                                   const struct json *meant[2])
{
    for (const struct json *m = json_first(n); m; m = json_next(m)) {
        struct place at = {p, json_name(m), 0};

        if (!keyed_row(d, at.name, which, row) ||
            (meant[0] && strcmp(at.name, json_name(meant[0])) == 0))
            continue; /* that it is there twice has been said */
        if (meant[0]) {
            reader_fail(r, &at,
                        "there is \"%s\" already, and a %s is one thing",
                        json_name(meant[0]), d->what);
            meant[1] = m;
            return NULL;
        }
        meant[0] = m;
    }
    if (meant[0]) {
        keyed_row(d, json_name(meant[0]), which, row);
        return meant[0];
    }
    for (const struct json *m = json_first(n); m && !meant[0]; m = json_next(m))
        if (!is_common(d, json_name(m)))
            meant[0] = m;
    if (meant[0]) {
        const struct place at = {p, json_name(meant[0]), 0};

        fail_row(r, &at, d);
    } else {
        reader_fail(r, p, "no key here says what the %s is to do", d->what);
    }
    return NULL;
}

/* The keys beside the one, or those that were meant to be it. */
static void read_beside(struct reader *r, const struct json *n,
                        const struct place *p, const struct conf_keyed *d,
                        const struct json *const meant[2], void *data)
{
    const struct conf_key known[] = {
        {.name = meant[0] ? json_name(meant[0]) : NULL, .type = CONF_ANY},
        {.name = meant[1] ? json_name(meant[1]) : NULL, .type = CONF_ANY},
        {.name = NULL},
    };
    struct object o = {.place = p, .tables = {d->common, NULL}};

    o.keys[0] = d->common->keys;
    o.keys[1] = known;
    o.data[0] = o.data[1] = data;
    reader_object(r, n, &o);
}

/* The value of the one. */
static void read_chosen(struct reader *r, const struct json *n,
                        const struct place *p, const struct conf_keyed_row *row,
                        struct conf_keyed_one *out)
{
    struct object o = {.place = p};

    for (int i = 0; i < 2; i++) {
        if (!row->tables[i])
            continue;
        o.tables[i] = row->tables[i];
        o.keys[i] = row->tables[i]->keys;
        o.data[i] = out->data[i] = reader_alloc(r, row->tables[i]->size);
    }
    if (!r->no_memory && reader_is_object(r, n, p))
        reader_object(r, n, &o);
}

/* False: there is nothing in *out. */
static bool read_keyed(struct reader *r, const struct json *n,
                       const struct place *p, const struct conf_key *k,
                       void *to)
{
    const struct conf_keyed *d = k->keyed;
    struct conf_keyed_one *out = to;
    const struct json *meant[2] = {NULL, NULL}, *value;
    struct conf_keyed_row row;
    struct place below = {p, NULL, 0};
    size_t room = place_pointer(p, NULL, 0) + 1;
    char *at;

    if (!reader_is_object(r, n, p))
        return false;
    value = pick_row(r, n, p, d, &out->row, &row, meant);
    out->at = at = reader_alloc(r, room);
    out->common = reader_alloc(r, d->common->size);
    if (!at || !out->common)
        return false;
    place_pointer(p, at, room);
    read_beside(r, n, p, d, meant, out->common);
    if (!value)
        return false;
    below.name = json_name(value);
    read_chosen(r, value, &below, &row, out);
    out->json = reader_json(r, value);
    return !r->no_memory;
}

void reader_keyeds(struct reader *r, const struct json *n,
                   const struct place *p, const struct conf_key *k,
                   struct conf_keyeds *out)
{
    out->list =
        reader_list(r, n, p, k, sizeof(*out->list), read_keyed, &out->count);
}
