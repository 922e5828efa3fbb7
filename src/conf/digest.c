/* A number of what one config says: FNV-1a, 64 bits, over its values in the
 * order of the tables. Two that are the same by conf_same have the same; that
 * two others have it too is chance. */
#include <string.h>

#include "conf/conf.h"

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static uint64_t add(uint64_t sum, const void *bytes, size_t len)
{
    const uint8_t *b = bytes;

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ b[i]) * FNV_PRIME;
    return sum;
}

/* With its NUL; none at all is something else. */
static uint64_t add_text(uint64_t sum, const char *text)
{
    return text ? add(sum, text, strlen(text) + 1) : add(sum, "\1\2", 2);
}

static uint64_t add_any(uint64_t sum, const struct conf_any *a,
                        const struct conf_union *of);

static uint64_t add_keys(uint64_t sum, const struct conf_key *keys,
                         const void *data);

static uint64_t add_list(uint64_t sum, const struct conf_anys *list,
                         const struct conf_union *of)
{
    sum = add(sum, &list->count, sizeof(list->count));
    for (int i = 0; i < list->count; i++)
        sum = add_any(sum, &list->list[i], of);
    return sum;
}

static uint64_t add_texts(uint64_t sum, const struct conf_strs *texts)
{
    sum = add(sum, &texts->count, sizeof(texts->count));
    for (int i = 0; i < texts->count; i++)
        sum = add_text(sum, texts->list[i]);
    return sum;
}

static uint64_t add_keyeds(uint64_t sum, const struct conf_keyeds *list)
{
    for (int i = 0; i < list->count; i++) {
        sum = add(sum, &list->list[i].row, sizeof(list->list[i].row));
        sum = add_text(sum, list->list[i].json);
    }
    return sum;
}

static uint64_t add_value(uint64_t sum, const struct conf_key *k,
                          const void *value)
{
    switch (k->type) {
    case CONF_BOOL:
        return add(sum, value, sizeof(bool));
    case CONF_STR:
    case CONF_PATH:
    case CONF_JSON:
    case CONF_OBJECT:
        return add_text(sum, *(const char *const *)value);
    case CONF_U32:
    case CONF_I32:
    case CONF_HEX:
    case CONF_CHOICE:
    case CONF_MODE:
        return add(sum, value, sizeof(uint32_t));
    case CONF_SIZE:
        return add(sum, value, sizeof(uint64_t));
    case CONF_REAL:
        return add(sum, value, sizeof(double));
    case CONF_STRS:
        return add_texts(sum, value);
    case CONF_TABLE:
        return add_keys(sum, k->table->keys, value);
    case CONF_UNION:
        return add_any(sum, value, k->of);
    case CONF_UNIONS:
        return add_list(sum, value, k->of);
    case CONF_TABLES:
        return add_list(sum, value, NULL);
    case CONF_KEYED:
        return add_keyeds(sum, value);
    case CONF_ANY:
        break;
    }
    return sum;
}

static uint64_t add_keys(uint64_t sum, const struct conf_key *keys,
                         const void *data)
{
    for (const struct conf_key *k = keys; k && k->name; k++) {
        if (k->seen_offset)
            sum =
                add(sum, (const bool *)data + k->seen_offset - 1, sizeof(bool));
        sum = add_value(sum, k, (const char *)data + k->offset);
    }
    return sum;
}

static uint64_t add_any(uint64_t sum, const struct conf_any *a,
                        const struct conf_union *of)
{
    sum = add_text(sum, a->table ? a->table->name : NULL);
    if (!a->table)
        return sum;
    sum = add_keys(sum, of ? of->common : NULL, a->data);
    return add_keys(sum, a->table->keys, a->data);
}

uint64_t conf_digest(const struct conf_any *a, const struct conf_union *of)
{
    return add_any(FNV_BASIS, a, of);
}
