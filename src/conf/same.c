/* Two structs that were filled by one table say the same if all keys do: texts
 * and defaults, sizes by number or with a letter, the order of keys in the file
 * make no difference. Live keys may be passed over, or moved on the way: those
 * of two configs that are the same otherwise stand in the same places. */
#include <string.h>

#include "conf/conf.h"

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_texts(const struct conf_strs *a, const struct conf_strs *b)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (strcmp(a->list[i], b->list[i]) != 0)
            return false;
    return true;
}

/* By their texts: what stands beside is not looked at. */
static bool same_keyeds(const struct conf_keyeds *a,
                        const struct conf_keyeds *b)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (a->list[i].row != b->list[i].row ||
            strcmp(a->list[i].json, b->list[i].json) != 0)
            return false;
    return true;
}

/* What becomes of live keys. */
enum live { COMPARE, PASS_OVER, SWAP, TAKE };

static size_t live_size(const struct conf_key *k)
{
    return k->type == CONF_SIZE ? sizeof(uint64_t) : sizeof(uint32_t);
}

static void move_bytes(void *a, void *b, size_t len, enum live live)
{
    uint64_t was;

    memcpy(&was, a, len);
    memcpy(a, b, len);
    if (live == SWAP)
        memcpy(b, &was, len);
}

static void move_live(const struct conf_key *k, void *a, void *b,
                      enum live live)
{
    size_t seen = k->seen_offset - 1;

    move_bytes((char *)a + k->offset, (char *)b + k->offset, live_size(k),
               live);
    if (k->seen_offset)
        move_bytes((char *)a + seen, (char *)b + seen, sizeof(bool), live);
}

static bool same(const struct conf_any *a, const struct conf_any *b,
                 const struct conf_union *of, enum live live);

static bool same_lists(const struct conf_anys *a, const struct conf_anys *b,
                       const struct conf_union *u, enum live live)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (!same(&a->list[i], &b->list[i], u, live))
            return false;
    return true;
}

static bool same_keys(const struct conf_key *keys, void *a, void *b,
                      enum live live);

static bool same_value(const struct conf_key *k, void *a, void *b,
                       enum live live)
{
    switch (k->type) {
    case CONF_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case CONF_STR:
    case CONF_PATH:
    case CONF_JSON:
    case CONF_OBJECT:
        return same_text(*(const char *const *)a, *(const char *const *)b);
    case CONF_U32:
    case CONF_I32:
    case CONF_HEX:
    case CONF_CHOICE:
    case CONF_MODE:
        return memcmp(a, b, sizeof(uint32_t)) == 0;
    case CONF_SIZE:
        return memcmp(a, b, sizeof(uint64_t)) == 0;
    case CONF_REAL:
        return *(const double *)a == *(const double *)b;
    case CONF_STRS:
        return same_texts(a, b);
    case CONF_TABLE:
        return same_keys(k->table->keys, a, b, live);
    case CONF_UNION:
        return same(a, b, k->of, live);
    case CONF_UNIONS:
        return same_lists(a, b, k->of, live);
    case CONF_TABLES:
        return same_lists(a, b, NULL, live);
    case CONF_KEYED:
        return same_keyeds(a, b);
    case CONF_ANY:
        break;
    }
    return true;
}

static bool same_keys(const struct conf_key *keys, void *a, void *b,
                      enum live live)
{
    for (const struct conf_key *k = keys; k && k->name; k++) {
        size_t seen = k->seen_offset - 1;

        if (k->live && live != COMPARE) {
            if (live != PASS_OVER)
                move_live(k, a, b, live);
            continue;
        }
        if (k->seen_offset &&
            *((const bool *)a + seen) != *((const bool *)b + seen))
            return false;
        if (!same_value(k, (char *)a + k->offset, (char *)b + k->offset, live))
            return false;
    }
    return true;
}

static bool same(const struct conf_any *a, const struct conf_any *b,
                 const struct conf_union *of, enum live live)
{
    if (a->table != b->table)
        return false;
    if (!a->table)
        return true; /* neither was given */
    return same_keys(of ? of->common : NULL, a->data, b->data, live) &&
           same_keys(a->table->keys, a->data, b->data, live);
}

bool conf_same(const struct conf_any *a, const struct conf_any *b,
               const struct conf_union *of)
{
    return same(a, b, of, COMPARE);
}

bool conf_same_but_live(const struct conf_any *a, const struct conf_any *b,
                        const struct conf_union *of)
{
    return same(a, b, of, PASS_OVER);
}

void conf_swap_live(const struct conf_any *a, const struct conf_any *b,
                    const struct conf_union *of)
{
    same(a, b, of, SWAP);
}

void conf_take_live(const struct conf_any *a, const struct conf_any *b,
                    const struct conf_union *of)
{
    same(a, b, of, TAKE);
}
