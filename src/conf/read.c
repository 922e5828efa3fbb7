/* From a tree to structs, by tables.
 *
 * The reader walks the tree: each member of an object looks for its key, and
 * keys that were not met are missing or get their default. A default is
 * written as in a file and read as one, so it cannot mean anything else.
 * Nothing stops at an error; what could not be read stays zero. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/reader.h"
#include "conf/text.h"

/* Keys of one table: bits of a word. */
#define KEYS_MAX 64

/* ---- objects ---- */

static void read_value(struct reader *r, const struct json *n,
                       const struct place *p, const struct conf_key *k,
                       void *data);

static void object_init(struct object *o, const struct place *p,
                        const struct conf_table *t, const struct conf_union *of,
                        void *data)
{
    *o = (struct object){.place = p, .tables = {NULL, t}, .of = of};
    o->data[0] = o->data[1] = data; /* the struct of common starts the other */
    o->keys[0] = of ? of->common : NULL;
    o->keys[1] = t->keys;
}

/* The key of that name, noted as met, and what it fills; NULL if there is none.
 * *again: it was met before. */
static const struct conf_key *object_key(struct object *o, const char *name,
                                         bool *again, void **data)
{
    for (int i = 0; i < 2; i++) {
        for (unsigned j = 0; o->keys[i] && o->keys[i][j].name; j++) {
            uint64_t bit = UINT64_C(1) << j;

            assert(j < KEYS_MAX);
            if (strcmp(o->keys[i][j].name, name) != 0)
                continue;
            *again = o->met[i] & bit;
            o->met[i] |= bit;
            *data = o->data[i];
            return &o->keys[i][j];
        }
    }
    return NULL;
}

/* Says what an unknown key may have been meant to be. */
static void fail_unknown(struct reader *r, const struct place *p,
                         const struct object *o)
{
    const char *near = NULL;
    char known[216] = ""; /* of what a struct err has room for */
    size_t len = 0;
    unsigned best = UINT32_MAX;

    if (o->of) {
        text_add(known, sizeof(known), &len, "type");
        if (text_is_slip(p->name, "type", &best))
            near = "type";
    }
    for (int i = 0; i < 2; i++) {
        for (const struct conf_key *k = o->keys[i]; k && k->name; k++) {
            if (text_is_slip(p->name, k->name, &best))
                near = k->name;
            text_add(known, sizeof(known), &len, "%s%s", len ? ", " : "",
                     k->name);
        }
    }
    if (near)
        reader_fail(r, p, "there is no such key; did you mean \"%s\"?", near);
    else if (!len)
        reader_fail(r, p, "there is no such key; there are none here");
    else
        reader_fail(r, p, "there is no such key; the keys here are %s", known);
}

static void read_member(struct reader *r, struct object *o,
                        const struct json *n)
{
    struct place p = {o->place, json_name(n), 0};
    bool again = false;
    const struct conf_key *k;
    void *data;

    if (o->of && strcmp(p.name, "type") == 0)
        return;
    k = object_key(o, p.name, &again, &data);
    if (!k)
        fail_unknown(r, &p, o);
    else if (!again) /* else check_duplicates has said it */
        read_value(r, n, &p, k, data);
}

static void fill_default(struct reader *r, const struct place *p,
                         const struct conf_key *k, void *data)
{
    struct conf_key unseen = *k;
    struct json *tree;
    struct err why;
    unsigned before = errs_total(r->e);

    if (k->type == CONF_TABLE && !k->def) {
        for (const struct conf_key *i = k->table->keys; i->name; i++)
            fill_default(r, p, i, (char *)data + k->offset);
        return;
    }
    if (!k->def)
        return;
    tree = json_parse(k->def, strlen(k->def), &why);
    if (!tree) {
        assert(why.code == -ENOMEM); /* else the table is wrong */
        r->no_memory = true;
        return;
    }
    unseen.seen_offset = 0;
    read_value(r, tree, p, &unseen, data);
    assert(errs_total(r->e) == before || r->no_memory); /* likewise */
    (void)before;
    json_free(tree);
}

/* Keys that were not in the file. */
static void fill_rest(struct reader *r, struct object *o)
{
    for (int i = 0; i < 2; i++) {
        for (unsigned j = 0; o->keys[i] && o->keys[i][j].name; j++) {
            const struct conf_key *k = &o->keys[i][j];
            struct place p = {o->place, k->name, 0};

            if (o->met[i] & (UINT64_C(1) << j))
                continue;
            if (k->required)
                reader_fail(r, &p, "is missing");
            else
                fill_default(r, &p, k, o->data[i]);
        }
    }
}

/* Errors but those inside elements of lists. */
static unsigned unexcused(const struct reader *r)
{
    return errs_total(r->e) - r->excused;
}

static void object_end(struct reader *r, struct object *o,
                       unsigned errors_before)
{
    char *at;
    size_t room;

    fill_rest(r, o);
    for (int i = 0; i < 2; i++) {
        if (!o->tables[i] || !o->tables[i]->check ||
            unexcused(r) > errors_before || r->no_memory)
            continue;
        room = place_pointer(o->place, NULL, 0) + 1;
        at = reader_alloc(r, room);
        if (!at)
            return;
        place_pointer(o->place, at, room);
        o->tables[i]->check(o->data[i], at, r->e);
    }
}

void reader_object(struct reader *r, const struct json *n, struct object *o)
{
    unsigned before = unexcused(r);

    for (const struct json *m = json_first(n); m; m = json_next(m))
        read_member(r, o, m);
    object_end(r, o, before);
}

static void read_table(struct reader *r, const struct json *n,
                       const struct place *p, const struct conf_key *k,
                       void *field)
{
    const struct conf_key *short_key;
    struct object o;
    bool again;
    void *data;
    unsigned before = unexcused(r);

    object_init(&o, p, k->table, NULL, field);
    if (json_type(n) == JSON_OBJECT) {
        reader_object(r, n, &o);
    } else if (k->shorthand &&
               json_type(n) ==
                   (text_shorthand_is_bool(k) ? JSON_BOOL : JSON_STRING)) {
        short_key = object_key(&o, k->shorthand, &again, &data);
        assert(short_key);
        read_value(r, n, p, short_key, field);
        object_end(r, &o, before);
    } else {
        reader_fail_type(r, p, k, n);
    }
}

/* ---- unions and lists ---- */

/* Makes the struct behind *any; false if there is no memory. */
static bool make_any(struct reader *r, struct conf_any *any,
                     const struct conf_table *t, const struct place *p)
{
    size_t room = place_pointer(p, NULL, 0) + 1;
    char *at = reader_alloc(r, room);

    any->data = reader_alloc(r, t->size);
    if (!at || !any->data)
        return false;
    place_pointer(p, at, room);
    any->at = at;
    any->table = t;
    return true;
}

/* The member of the union that n's "type" names; NULL, and the error said. */
static const struct conf_table *pick(struct reader *r, const struct json *n,
                                     const struct place *p,
                                     const struct conf_union *u)
{
    struct place at = {p, "type", 0};
    const struct json *type = NULL;
    char known[120] = "", is[80];
    size_t len = 0;

    for (const struct json *m = json_first(n); m && !type; m = json_next(m)) {
        if (strcmp(json_name(m), "type") == 0)
            type = m;
    }
    for (int i = 0; u->tables[i]; i++) {
        if (type && json_type(type) == JSON_STRING &&
            strcmp(json_string(type), u->tables[i]->name) == 0)
            return u->tables[i];
        text_add_word(known, sizeof(known), &len, u->tables[i]->name,
                      !u->tables[i + 1]);
    }
    if (!type) {
        reader_fail(r, &at, "is missing: the type of a %s is %s", u->what,
                    known);
    } else {
        json_describe(type, is, sizeof(is));
        reader_fail(r, &at, "the type of a %s is %s, not %s", u->what, known,
                    is);
    }
    return NULL;
}

bool reader_is_object(struct reader *r, const struct json *n,
                      const struct place *p)
{
    char is[80];

    if (json_type(n) == JSON_OBJECT)
        return true;
    json_describe(n, is, sizeof(is));
    reader_fail(r, p, "must be an object, not %s", is);
    return false;
}

/* False: there is nothing in *out. */
static bool read_union(struct reader *r, const struct json *n,
                       const struct place *p, const struct conf_union *u,
                       struct conf_any *out)
{
    const struct conf_table *t;
    struct object o;

    if (!reader_is_object(r, n, p))
        return false;
    t = pick(r, n, p, u);
    if (!t || !make_any(r, out, t, p))
        return false;
    object_init(&o, p, t, u, out->data);
    reader_object(r, n, &o);
    return true;
}

static bool read_element(struct reader *r, const struct json *n,
                         const struct place *p, const struct conf_key *k,
                         void *to)
{
    struct conf_any *out = to;
    struct object o;

    if (k->type == CONF_UNIONS)
        return read_union(r, n, p, k->of, out);
    if (!reader_is_object(r, n, p) || !make_any(r, out, k->table, p))
        return false;
    object_init(&o, p, k->table, NULL, out->data);
    reader_object(r, n, &o);
    return true;
}

static void *list_room(struct reader *r, const struct json *n,
                       const struct place *p, const struct conf_key *k,
                       size_t size)
{
    char wanted[80];
    size_t count = 0;

    if (json_type(n) != JSON_ARRAY) {
        reader_fail_type(r, p, k, n);
        return NULL;
    }
    for (const struct json *m = json_first(n); m; m = json_next(m))
        count++;
    if (count < k->min || (k->max && count > k->max)) {
        text_expected(k, wanted, sizeof(wanted));
        reader_fail(r, p, "must be %s, this has %zu", wanted, count);
    }
    return reader_alloc(r, count * size);
}

/* Errors inside an element are not errors of the list's object: see
 * conf_table.check. */
void *reader_list(struct reader *r, const struct json *n, const struct place *p,
                  const struct conf_key *k, size_t size,
                  bool (*one)(struct reader *r, const struct json *n,
                              const struct place *p, const struct conf_key *k,
                              void *out),
                  int *count)
{
    unsigned errors, excused = r->excused;
    char *list = list_room(r, n, p, k, size);
    int index = 0;

    if (!list)
        return NULL;
    errors = errs_total(r->e);
    for (const struct json *m = json_first(n); m; m = json_next(m)) {
        struct place at = {p, NULL, index++};

        *count += one(r, m, &at, k, list + (size_t)*count * size);
    }
    r->excused = excused + (errs_total(r->e) - errors);
    return list;
}

static void read_list(struct reader *r, const struct json *n,
                      const struct place *p, const struct conf_key *k,
                      struct conf_anys *out)
{
    out->list =
        reader_list(r, n, p, k, sizeof(*out->list), read_element, &out->count);
}

static void read_value(struct reader *r, const struct json *n,
                       const struct place *p, const struct conf_key *k,
                       void *data)
{
    void *field = (char *)data + k->offset;
    unsigned before = errs_total(r->e);

    switch (k->type) {
    case CONF_TABLE:
        read_table(r, n, p, k, field);
        break;
    case CONF_UNION:
        read_union(r, n, p, k->of, field);
        break;
    case CONF_UNIONS:
    case CONF_TABLES:
        read_list(r, n, p, k, field);
        break;
    case CONF_KEYED:
        reader_keyeds(r, n, p, k, field);
        break;
    default:
        read_scalar(r, n, p, k, field);
        break;
    }
    if (k->seen_offset && errs_total(r->e) == before)
        *(bool *)((char *)data + k->seen_offset - 1) = true;
}

int read_tree(struct conf_doc *doc, void **out, const struct conf_table *root,
              const struct json *tree, const char *dir, struct errs *e)
{
    const struct place top = {NULL, NULL, 0};
    struct reader r = {.doc = doc, .dir = dir, .e = e};
    unsigned before = errs_total(e);
    struct object o;
    char is[80];

    *out = reader_alloc(&r, root->size);
    if (*out && json_type(tree) != JSON_OBJECT) {
        json_describe(tree, is, sizeof(is));
        reader_fail(&r, &top, "the document must be an object, not %s", is);
    } else if (*out) {
        reader_check_duplicates(&r, &top, tree);
        object_init(&o, &top, root, NULL, *out);
        reader_object(&r, tree, &o);
    }
    if (r.no_memory)
        return errs_nomem(e);
    return errs_total(e) > before ? -EINVAL : 0;
}

int conf_read_object(struct conf_doc *doc, void *out[2],
                     const struct conf_table *const tables[2],
                     const struct json *n, const char *name, const char *dir,
                     struct errs *e)
{
    const struct place top = {NULL, NULL, 0}, below = {&top, name, 0};
    struct reader r = {.doc = doc, .dir = dir, .e = e};
    struct object o = {.place = name ? &below : &top};
    unsigned before = errs_total(e);

    for (int i = 0; i < 2; i++) {
        out[i] = NULL;
        if (!tables[i])
            continue;
        o.tables[i] = tables[i];
        o.keys[i] = tables[i]->keys;
        o.data[i] = out[i] = reader_alloc(&r, tables[i]->size);
    }
    if (n && reader_is_object(&r, n, o.place) && !r.no_memory) {
        reader_check_duplicates(&r, o.place, n);
        reader_object(&r, n, &o);
    } else if (!n && !r.no_memory) {
        object_end(&r, &o, unexcused(&r));
    }
    if (r.no_memory)
        return errs_nomem(e);
    return errs_total(e) > before ? -EINVAL : 0;
}
