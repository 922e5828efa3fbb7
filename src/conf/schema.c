/* Unions, and what is told by a key, become "$defs", each one "oneOf" its
 * members: stores may contain stores. Everything else is written where it
 * stands. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "conf/docs.h"
#include "conf/json.h"
#include "conf/text.h"

struct out {
    FILE *f;
    int depth;
    bool first; /* nothing is in the object or list yet */
};

static void put_string(struct out *o, const char *s)
{
    putc('"', o->f);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            putc('\\', o->f);
        putc(*s, o->f);
    }
    putc('"', o->f);
}

/* A comma and a new line as needed, and the name. */
static void begin(struct out *o, const char *name)
{
    fprintf(o->f, "%s\n%*s", o->first ? "" : ",", 2 * o->depth, "");
    o->first = false;
    if (name) {
        put_string(o, name);
        fputs(": ", o->f);
    }
}

static void open_in(struct out *o, const char *name, char bracket)
{
    begin(o, name);
    putc(bracket, o->f);
    o->depth++;
    o->first = true;
}

static void close_in(struct out *o, char bracket)
{
    o->depth--;
    if (!o->first)
        fprintf(o->f, "\n%*s", 2 * o->depth, "");
    putc(bracket, o->f);
    o->first = false;
}

static void put_text(struct out *o, const char *name, const char *text)
{
    begin(o, name);
    put_string(o, text);
}

static void put_raw(struct out *o, const char *name, const char *json)
{
    begin(o, name);
    fputs(json, o->f);
}

static void put_u64(struct out *o, const char *name, uint64_t n)
{
    begin(o, name);
    fprintf(o->f, "%" PRIu64, n);
}

static void put_words(struct out *o, const char *const *words)
{
    open_in(o, "enum", '[');
    for (; *words; words++)
        put_text(o, NULL, *words);
    close_in(o, ']');
}

static void put_ref(struct out *o, const char *what)
{
    char ref[64];

    snprintf(ref, sizeof(ref), "#/$defs/%s", what);
    put_text(o, "$ref", ref);
}

static void put_object(struct out *o, const struct conf_table *t,
                       const struct conf_union *of, const char *help);

static void put_integer(struct out *o, const struct conf_key *k)
{
    put_text(o, "type", "integer");
    put_u64(o, "minimum", k->min);
    put_u64(o, "maximum", MIN(text_max(k), (uint64_t)JSON_EXACT_LIMIT - 1));
}

/* Two ways to write a value. */
static void put_either(struct out *o, const struct conf_key *k)
{
    char pattern[40];

    open_in(o, "anyOf", '[');
    open_in(o, NULL, '{');
    if (k->type == CONF_U32 || k->type == CONF_HEX || k->type == CONF_SIZE)
        put_integer(o, k);
    else if (k->type == CONF_TABLE && text_shorthand_is_bool(k))
        put_text(o, "type", "boolean");
    else
        put_text(o, "type", "string");
    if (k->type == CONF_STRS)
        put_u64(o, "minLength", 1);
    close_in(o, '}');
    open_in(o, NULL, '{');
    if (k->type == CONF_U32) {
        put_words(o, k->words);
    } else if (k->type == CONF_HEX) {
        snprintf(pattern, sizeof(pattern), "^0x[0-9a-fA-F]{1,%u}$",
                 text_hex_digits(k));
        put_text(o, "type", "string");
        put_text(o, "pattern", pattern);
    } else if (k->type == CONF_SIZE) {
        put_text(o, "type", "string");
        put_text(o, "pattern", "^[0-9]+[KMGT]?$");
    } else if (k->type == CONF_STRS) {
        put_text(o, "type", "array");
        put_u64(o, "minItems", 1);
        open_in(o, "items", '{');
        put_text(o, "type", "string");
        put_u64(o, "minLength", 1);
        close_in(o, '}');
    } else {
        put_object(o, k->table, NULL, k->table->help);
    }
    close_in(o, '}');
    close_in(o, ']');
}

/* The schema counts characters and we count bytes, which are not fewer. */
static void put_str(struct out *o, const struct conf_key *k)
{
    put_text(o, "type", "string");
    if (k->type == CONF_PATH || k->min)
        put_u64(o, "minLength", 1);
    if (k->max)
        put_u64(o, "maxLength", k->max);
}

static void put_list(struct out *o, const struct conf_key *k)
{
    put_text(o, "type", "array");
    if (k->min)
        put_u64(o, "minItems", k->min);
    if (k->max)
        put_u64(o, "maxItems", k->max);
    open_in(o, "items", '{');
    if (k->type == CONF_UNIONS)
        put_ref(o, k->of->what);
    else if (k->type == CONF_KEYED)
        put_ref(o, k->keyed->what);
    else
        put_object(o, k->table, NULL, k->table->help);
    close_in(o, '}');
}

static void put_key(struct out *o, const struct conf_key *k)
{
    open_in(o, k->name, '{');
    if (k->help)
        put_text(o, "description", k->help);
    if (k->def)
        put_raw(o, "default", k->def);
    switch (k->type) {
    case CONF_BOOL:
        put_text(o, "type", "boolean");
        break;
    case CONF_STR:
    case CONF_PATH:
        put_str(o, k);
        break;
    case CONF_U32:
        if (k->words)
            put_either(o, k);
        else
            put_integer(o, k);
        break;
    case CONF_CHOICE:
        put_words(o, k->words);
        break;
    case CONF_MODE:
        put_text(o, "type", "string");
        put_text(o, "pattern", "^0?[0-7]{1,3}$");
        break;
    case CONF_I32:
        put_text(o, "type", "integer");
        put_raw(o, "minimum", "-2147483648");
        put_raw(o, "maximum", "2147483647");
        break;
    case CONF_HEX:
    case CONF_SIZE:
    case CONF_STRS:
        put_either(o, k);
        break;
    case CONF_TABLE:
        if (k->shorthand)
            put_either(o, k);
        else
            put_object(o, k->table, NULL, k->help ? NULL : k->table->help);
        break;
    case CONF_UNION:
        put_ref(o, k->of->what);
        break;
    case CONF_UNIONS:
    case CONF_TABLES:
    case CONF_KEYED:
        put_list(o, k);
        break;
    case CONF_REAL:
        put_text(o, "type", "number");
        break;
    case CONF_OBJECT:
        put_text(o, "type", "object");
        break;
    case CONF_JSON:
    case CONF_ANY:
        break;
    }
    close_in(o, '}');
}

/* The inside of an object's schema, by one or two lists of keys. type: of a
 * member of a union; NULL: it is none. help: NULL if it has been said. */
static void put_members(struct out *o, const struct conf_key *const keys[2],
                        const char *type, const char *help)
{
    bool required = type != NULL;

    put_text(o, "type", "object");
    if (help)
        put_text(o, "description", help);
    open_in(o, "properties", '{');
    if (type) {
        open_in(o, "type", '{');
        put_text(o, "const", type);
        close_in(o, '}');
    }
    for (unsigned i = 0; i < 2; i++) {
        for (const struct conf_key *k = keys[i]; k && k->name; k++) {
            put_key(o, k);
            required = required || k->required;
        }
    }
    close_in(o, '}');
    if (required) {
        open_in(o, "required", '[');
        if (type)
            put_text(o, NULL, "type");
        for (unsigned i = 0; i < 2; i++) {
            for (const struct conf_key *k = keys[i]; k && k->name; k++) {
                if (k->required)
                    put_text(o, NULL, k->name);
            }
        }
        close_in(o, ']');
    }
    put_raw(o, "additionalProperties", "false");
}

/* of: its union, for the common keys; NULL: it is in none. */
static void put_object(struct out *o, const struct conf_table *t,
                       const struct conf_union *of, const char *help)
{
    const struct conf_key *const keys[] = {of ? of->common : NULL, t->keys};

    put_members(o, keys, of ? t->name : NULL, help);
}

static void put_union(struct out *o, const struct conf_union *u)
{
    open_in(o, u->what, '{');
    open_in(o, "oneOf", '[');
    for (int i = 0; u->tables[i]; i++) {
        open_in(o, NULL, '{');
        put_object(o, u->tables[i], u, u->tables[i]->help);
        close_in(o, '}');
    }
    close_in(o, ']');
    close_in(o, '}');
}

/* An object of which one key says what it is, and the others go with any. */
static void put_row(struct out *o, const struct conf_keyed *d,
                    const struct conf_keyed_row *row)
{
    const struct conf_key *keys[2];

    for (int i = 0; i < 2; i++)
        keys[i] = row->tables[i] ? row->tables[i]->keys : NULL;
    put_text(o, "type", "object");
    open_in(o, "properties", '{');
    open_in(o, row->name, '{');
    put_members(o, keys, NULL, row->help);
    close_in(o, '}');
    for (const struct conf_key *k = d->common->keys; k->name; k++)
        put_key(o, k);
    close_in(o, '}');
    open_in(o, "required", '[');
    put_text(o, NULL, row->name);
    close_in(o, ']');
    put_raw(o, "additionalProperties", "false");
}

static void put_keyed(struct out *o, const struct conf_keyed *d)
{
    struct conf_keyed_row row;

    open_in(o, d->what, '{');
    open_in(o, "oneOf", '[');
    for (unsigned i = 0; d->row(i, &row); i++) {
        open_in(o, NULL, '{');
        put_row(o, d, &row);
        close_in(o, '}');
    }
    close_in(o, ']');
    close_in(o, '}');
}

/* ---- what is said once, and referred to ---- */

struct met {
    const struct conf_union **unions;
    int num_unions, max;
    const struct conf_keyed *keyeds[CONF_KEYEDS_MAX];
    int num_keyeds;
};

static void meet_keys(struct met *m, const struct conf_key *k);

static void meet_table(struct met *m, const struct conf_table *t)
{
    if (t)
        meet_keys(m, t->keys);
}

static void meet_union(struct met *m, const struct conf_union *u)
{
    for (int i = 0; i < m->num_unions; i++)
        if (m->unions[i] == u)
            return;
    assert(m->num_unions < m->max);
    m->unions[m->num_unions++] = u;
    meet_keys(m, u->common);
    for (int i = 0; u->tables[i]; i++)
        meet_table(m, u->tables[i]);
}

static void meet_keyed(struct met *m, const struct conf_keyed *d)
{
    struct conf_keyed_row row;

    for (int i = 0; i < m->num_keyeds; i++)
        if (m->keyeds[i] == d)
            return;
    assert(m->num_keyeds < CONF_KEYEDS_MAX);
    m->keyeds[m->num_keyeds++] = d;
    for (unsigned i = 0; d->row(i, &row); i++) {
        meet_table(m, row.tables[0]);
        meet_table(m, row.tables[1]);
    }
}

static void meet_keys(struct met *m, const struct conf_key *k)
{
    for (; k && k->name; k++) {
        meet_table(m, k->table);
        if (k->of)
            meet_union(m, k->of);
        if (k->keyed)
            meet_keyed(m, k->keyed);
    }
}

int conf_unions(const struct conf_table *t, const struct conf_union **list,
                int count, int max)
{
    struct met m = {.unions = list, .num_unions = count, .max = max};

    meet_table(&m, t);
    return m.num_unions;
}

void conf_schema_write(FILE *f, const struct conf_table *root)
{
    const struct conf_union *unions[CONF_UNIONS_MAX];
    struct met m = {.unions = unions, .max = CONF_UNIONS_MAX};
    struct out o = {.f = f, .depth = 1, .first = true};

    meet_table(&m, root);
    putc('{', f);
    put_text(&o, "$schema", "https://json-schema.org/draft/2020-12/schema");
    put_text(&o, "title", root->name);
    put_object(&o, root, NULL, root->help);
    if (m.num_unions || m.num_keyeds) {
        open_in(&o, "$defs", '{');
        for (int i = 0; i < m.num_unions; i++)
            put_union(&o, unions[i]);
        for (int i = 0; i < m.num_keyeds; i++)
            put_keyed(&o, m.keyeds[i]);
        close_in(&o, '}');
    }
    fputs("\n}\n", f);
}
