/* Two structs that were filled by one table say the same if all keys do: texts
 * and defaults, sizes by number or with a letter, the order of keys in the file
 * make no difference. */
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

static bool same_lists(const struct conf_anys *a, const struct conf_anys *b,
                       const struct conf_union *u)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (!conf_same(&a->list[i], &b->list[i], u))
            return false;
    return true;
}

static bool same_keys(const struct conf_key *keys, const void *a,
                      const void *b);

static bool same_value(const struct conf_key *k, const void *a, const void *b)
{
    switch (k->type) {
    case CONF_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case CONF_STR:
    case CONF_PATH:
        return same_text(*(const char *const *)a, *(const char *const *)b);
    case CONF_U32:
    case CONF_I32:
    case CONF_HEX:
    case CONF_CHOICE:
    case CONF_MODE:
        return memcmp(a, b, sizeof(uint32_t)) == 0;
    case CONF_SIZE:
        return memcmp(a, b, sizeof(uint64_t)) == 0;
    case CONF_STRS:
        return same_texts(a, b);
    case CONF_TABLE:
        return same_keys(k->table->keys, a, b);
    case CONF_UNION:
        return conf_same(a, b, k->of);
    case CONF_UNIONS:
        return same_lists(a, b, k->of);
    case CONF_TABLES:
        return same_lists(a, b, NULL);
    case CONF_ANY:
        break;
    }
    return true;
}

static bool same_keys(const struct conf_key *keys, const void *a, const void *b)
{
    for (const struct conf_key *k = keys; k && k->name; k++) {
        size_t seen = k->seen_offset - 1;

        if (k->seen_offset &&
            *((const bool *)a + seen) != *((const bool *)b + seen))
            return false;
        if (!same_value(k, (const char *)a + k->offset,
                        (const char *)b + k->offset))
            return false;
    }
    return true;
}

bool conf_same(const struct conf_any *a, const struct conf_any *b,
               const struct conf_union *of)
{
    if (a->table != b->table)
        return false;
    if (!a->table)
        return true; /* neither was given */
    return same_keys(of ? of->common : NULL, a->data, b->data) &&
           same_keys(a->table->keys, a->data, b->data);
}
