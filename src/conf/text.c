/* Every sentence about what a key may hold is made here, from the key's row. */
#include "conf/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Words longer than this are no slips of a key. */
#define WORD_MAX 40

void text_wrap(FILE *f, const char *text, int column, int indent)
{
    const int width = 78;

    for (const char *w = text; *w;) {
        int len = (int)strcspn(w, " ");

        if (column > indent && column + 1 + len > width) {
            fprintf(f, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(f, "%s%.*s", column > indent ? " " : "", len, w);
        w += len + (w[len] == ' ');
    }
    putc('\n', f);
}

void text_add(char *out, size_t room, size_t *len, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(out + *len, room - *len, fmt, ap);
    va_end(ap);
    if (n > 0)
        *len = MIN(*len + (size_t)n, room - 1);
}

void text_add_word(char *out, size_t room, size_t *len, const char *word,
                   bool last)
{
    bool follows = *len > 0 && out[*len - 1] == '"';

    text_add(out, room, len, "%s\"%s\"",
             !follows ? ""
             : last   ? " or "
                      : ", ",
             word);
}

/* Bytes as "64M" if that is exact, else as digits. */
static void put_size(uint64_t bytes, char *out, size_t room)
{
    static const char units[] = "KMGT";
    int unit = -1;

    while (bytes && bytes % 1024 == 0 && unit < 3) {
        bytes /= 1024;
        unit++;
    }
    if (unit < 0)
        snprintf(out, room, "%" PRIu64, bytes);
    else
        snprintf(out, room, "%" PRIu64 "%c", bytes, units[unit]);
}

bool conf_parse_size(const char *text, uint64_t *bytes)
{
    uint64_t n = 0;
    const char *c = text;
    unsigned shift = 0;

    for (; *c >= '0' && *c <= '9'; c++) {
        if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
            !add_u64(n, (uint64_t)(*c - '0'), &n))
            return false;
    }
    if (c == text)
        return false;
    if (*c) {
        static const char units[] = "KMGT";
        const char *unit = strchr(units, *c);

        if (!unit || c[1])
            return false;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (n > UINT64_MAX >> shift)
        return false;
    *bytes = n << shift;
    return true;
}

uint64_t text_max(const struct conf_key *k)
{
    unsigned words = 0;

    if (k->max)
        return k->max;
    if (k->type == CONF_SIZE)
        return UINT64_MAX;
    while (k->words && k->words[words])
        words++;
    return UINT32_MAX - words;
}

unsigned text_hex_digits(const struct conf_key *k)
{
    unsigned digits = 1;

    for (uint64_t max = text_max(k); max > 0xf; max >>= 4)
        digits++;
    return digits;
}

static void add_words(const char *const *words, char *out, size_t room,
                      size_t *len)
{
    for (; *words; words++)
        text_add_word(out, room, len, *words, !words[1]);
}

static void add_size_range(const struct conf_key *k, char *out, size_t room,
                           size_t *len)
{
    char low[32], high[32];

    put_size(k->min, low, sizeof(low));
    put_size(text_max(k), high, sizeof(high));
    if (k->min && text_max(k) < UINT64_MAX)
        text_add(out, room, len, " from %s to %s", low, high);
    else if (k->min)
        text_add(out, room, len, " of at least %s", low);
    else if (text_max(k) < UINT64_MAX)
        text_add(out, room, len, " of at most %s", high);
    text_add(out, room, len, ": bytes, or a string like \"64M\"");
}

/* " of 1 to 20 bytes"; what: "byte" */
static void add_count(const struct conf_key *k, const char *what, char *out,
                      size_t room, size_t *len)
{
    uint64_t last = k->max ? k->max : k->min;

    if (k->min && k->max)
        text_add(out, room, len, " of %" PRIu64 " to %" PRIu64, k->min, k->max);
    else if (k->min)
        text_add(out, room, len, " of at least %" PRIu64, k->min);
    else if (k->max)
        text_add(out, room, len, " of at most %" PRIu64, k->max);
    if (last)
        text_add(out, room, len, " %s%s", what, last == 1 ? "" : "s");
}

bool text_shorthand_is_bool(const struct conf_key *k)
{
    for (const struct conf_key *key = k->table->keys; key->name; key++) {
        if (strcmp(key->name, k->shorthand) == 0)
            return key->type == CONF_BOOL;
    }
    return false;
}

void text_expected(const struct conf_key *k, char *out, size_t room)
{
    size_t len = 0;

    out[0] = '\0';
    switch (k->type) {
    case CONF_BOOL:
        text_add(out, room, &len, "true or false");
        break;
    case CONF_STR:
        text_add(out, room, &len, "a string");
        add_count(k, "byte", out, room, &len);
        break;
    case CONF_PATH:
        text_add(out, room, &len, "a path");
        break;
    case CONF_U32:
        text_add(out, room, &len, "a whole number from %" PRIu64 " to %" PRIu64,
                 k->min, text_max(k));
        if (k->words) {
            text_add(out, room, &len, ", or ");
            add_words(k->words, out, room, &len);
        }
        break;
    case CONF_I32:
        text_add(out, room, &len, "a whole number from %d to %d", INT32_MIN,
                 INT32_MAX);
        break;
    case CONF_HEX:
        text_add(out, room, &len,
                 "a whole number from %" PRIu64 " to %" PRIu64
                 ", or a string like \"0x%0*x\"",
                 k->min, text_max(k), (int)text_hex_digits(k), 0x6d);
        break;
    case CONF_SIZE:
        text_add(out, room, &len, "a size");
        add_size_range(k, out, room, &len);
        break;
    case CONF_CHOICE:
        add_words(k->words, out, room, &len);
        break;
    case CONF_MODE:
        text_add(out, room, &len,
                 "permission bits, octal, in a string like \"0660\"");
        break;
    case CONF_STRS:
        text_add(out, room, &len, "a string, or a list of strings");
        break;
    case CONF_TABLE:
        text_add(out, room, &len,
                 !k->shorthand               ? "an object"
                 : text_shorthand_is_bool(k) ? "true, false or an object"
                                             : "a string or an object");
        break;
    case CONF_UNION:
    case CONF_OBJECT:
        text_add(out, room, &len, "an object");
        break;
    case CONF_REAL:
        text_add(out, room, &len, "a number");
        break;
    case CONF_UNIONS:
    case CONF_TABLES:
    case CONF_KEYED:
        text_add(out, room, &len, "a list");
        add_count(k, "object", out, room, &len);
        if (!k->min && !k->max)
            text_add(out, room, &len, " of objects");
        break;
    case CONF_JSON:
    case CONF_ANY:
        text_add(out, room, &len, "anything");
        break;
    }
}

unsigned text_distance(const char *a, const char *b)
{
    size_t alen = strlen(a), blen = strlen(b);
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];

    if (alen > WORD_MAX || blen > WORD_MAX)
        return UINT32_MAX;
    for (unsigned j = 0; j <= blen; j++)
        above[j] = j;
    for (unsigned i = 1; i <= alen; i++) {
        unsigned *spare = before;

        row[0] = i;
        for (unsigned j = 1; j <= blen; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);

            best = MIN(best, above[j] + 1);
            best = MIN(best, row[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = MIN(best, before[j - 2] + 1);
            row[j] = best;
        }
        before = above;
        above = row;
        row = spare;
    }
    return above[blen];
}

bool text_is_slip(const char *word, const char *near, unsigned *best)
{
    unsigned d = text_distance(word, near);
    unsigned shorter = (unsigned)MIN(strlen(word), strlen(near));

    if (d > (shorter + 2) / 3 || d >= *best)
        return false;
    *best = d;
    return true;
}
