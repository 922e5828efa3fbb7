/* What a command is sent is what the scenario says, but for paths, which vub
 * would take for ones from its config, and for the time that it may take. The
 * text is parsed once more, and what its tables call a path is replaced in it
 * by JSON Pointer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/json.h"
#include "conf/text.h"
#include "daemon/scenario/plan.h"

struct rewrite {
    struct json *tree; /* what is changed */
    const char *dir;
    bool failed; /* no memory */
};

char *plan_path(const char *path, const char *dir)
{
    char *whole;

    if (path[0] == '/')
        return strdup(path);
    return asprintf(&whole, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, path) < 0
               ? NULL
               : whole;
}

/* at: of the object; "" for the whole. NULL: no memory. */
static char *pointer_to(const char *at, const char *name)
{
    char *out = malloc(strlen(at) + 2 * strlen(name) + 2), *p = out;

    if (!out)
        return NULL;
    p = stpcpy(stpcpy(p, at), "/");
    for (; *name; name++) {
        if (*name == '~')
            p = stpcpy(p, "~0");
        else if (*name == '/')
            p = stpcpy(p, "~1");
        else
            *p++ = *name;
    }
    *p = '\0';
    return out;
}

static void put(struct rewrite *w, const char *at, const char *text,
                bool is_string)
{
    struct err e;

    if (!text || json_put(w->tree, at, strlen(at), text, is_string, "", &e) < 0)
        w->failed = true;
}

static void rewrite_path(struct rewrite *w, const struct json *n,
                         const char *at)
{
    const char *path = json_type(n) == JSON_STRING ? json_string(n) : "";
    char *whole;

    if (path[0] == '\0' || path[0] == '/')
        return;
    whole = plan_path(path, w->dir);
    put(w, at, whole, true);
    free(whole);
}

static void rewrite_keys(struct rewrite *w, const struct conf_key *keys,
                         const struct json *n, const char *at);

static const struct conf_key *key_of(const struct conf_key *k, const char *name)
{
    for (; k && k->name; k++)
        if (strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

static void rewrite_union(struct rewrite *w, const struct conf_union *u,
                          const struct json *n, const char *at)
{
    const char *type = json_member_string(n, "type");

    rewrite_keys(w, u->common, n, at);
    for (const struct conf_table *const *t = u->tables; *t; t++)
        if (strcmp((*t)->name, type) == 0)
            rewrite_keys(w, (*t)->keys, n, at);
}

static void rewrite_list(struct rewrite *w, const struct conf_key *k,
                         const struct json *n, const char *at)
{
    unsigned index = 0;
    char name[16];

    if (json_type(n) != JSON_ARRAY)
        return;
    for (const struct json *m = json_first(n); m; m = json_next(m)) {
        char *below;

        snprintf(name, sizeof(name), "%u", index++);
        below = pointer_to(at, name);
        w->failed |= !below;
        if (below && k->type == CONF_UNIONS)
            rewrite_union(w, k->of, m, below);
        else if (below)
            rewrite_keys(w, k->table->keys, m, below);
        free(below);
    }
}

static void rewrite_value(struct rewrite *w, const struct conf_key *k,
                          const struct json *n, const char *at)
{
    const struct conf_key *one;

    switch (k->type) {
    case CONF_PATH:
        rewrite_path(w, n, at);
        break;
    case CONF_TABLE:
        one = k->shorthand ? key_of(k->table->keys, k->shorthand) : NULL;
        if (json_type(n) == JSON_OBJECT)
            rewrite_keys(w, k->table->keys, n, at);
        else if (one)
            rewrite_value(w, one, n, at);
        break;
    case CONF_UNION:
        rewrite_union(w, k->of, n, at);
        break;
    case CONF_UNIONS:
    case CONF_TABLES:
        rewrite_list(w, k, n, at);
        break;
    default:
        break;
    }
}

/* n is of the text as it was, which does not change. */
static void rewrite_keys(struct rewrite *w, const struct conf_key *keys,
                         const struct json *n, const char *at)
{
    if (json_type(n) != JSON_OBJECT)
        return;
    for (const struct json *m = json_first(n); m; m = json_next(m)) {
        const struct conf_key *k = key_of(keys, json_name(m));
        char *below = k ? pointer_to(at, json_name(m)) : NULL;

        if (k)
            w->failed |= !below;
        if (below)
            rewrite_value(w, k, m, below);
        free(below);
    }
}

/* Its own, or the step's, which it gets. */
static uint32_t set_timeout(struct rewrite *w, const struct conf_key *k,
                            const struct json *n, uint32_t ms)
{
    char text[16];

    if (json_member(n, k->name))
        return (uint32_t)json_member_number(n, k->name);
    ms = (uint32_t)MIN(ms, text_max(k));
    snprintf(text, sizeof(text), "%u", ms);
    put(w, "/timeout_ms", text, false);
    return ms;
}

char *plan_params(const struct conf_keyed_one *s, const char *dir,
                  uint32_t timeout_ms, uint32_t *own_ms)
{
    const struct conf_table *const *tables = plan_kind(s)->row.tables;
    struct json *was = json_parse(s->json, strlen(s->json), NULL);
    struct rewrite w = {
        .tree = json_parse(s->json, strlen(s->json), NULL),
        .dir = dir,
    };
    char *text = NULL;

    *own_ms = 0;
    if (!was || !w.tree)
        goto out;
    for (int i = 0; i < 2; i++) {
        const struct conf_key *k = tables[i] ? tables[i]->keys : NULL;
        const struct conf_key *time = key_of(k, "timeout_ms");

        rewrite_keys(&w, k, was, "");
        if (time && time->type == CONF_U32)
            *own_ms = set_timeout(&w, time, was, timeout_ms);
    }
    if (!w.failed)
        text = json_text(w.tree);
out:
    json_free(was);
    json_free(w.tree);
    return text;
}
