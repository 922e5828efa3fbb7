/* Metrics that the process of an isolated device tells of. A guest may have
 * taken it over, and they end in a text that others parse: so each word is
 * checked. Families are as that process says, since it has the same program;
 * the first to name one says what it is. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "conf/json.h"
#include "daemon/control/gather.h"

/* Far more than there are. */
#define FAMILIES_MAX 256

struct family {
    struct metric_family family;
    char name[80], unit[32], help[300];
};

static struct family *families[FAMILIES_MAX];
static unsigned num_families;

/* ---- words ---- */

static bool number_of(const struct json *object, const char *name,
                      uint64_t *out)
{
    const char *text = json_member_string(object, name);
    char *end;

    if (!text[0] || strspn(text, "0123456789") != strlen(text))
        return false;
    *out = strtoull(text, &end, 10);
    return true;
}

static bool is_name(const char *text, size_t len)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

    return len > 0 && strspn(text, plain) >= len;
}

static bool is_plain(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~' || *text == '\\')
            return false;
    return true;
}

/* name="value",... */
static bool are_labels(const char *text)
{
    const char *end;

    if (!is_plain(text))
        return false;
    while (*text) {
        end = strstr(text, "=\"");
        if (!end || !is_name(text, (size_t)(end - text)))
            return false;
        end = strchr(end + 2, '"');
        if (!end || (end[1] != ',' && end[1]))
            return false;
        text = end + 1 + (end[1] == ',');
    }
    return true;
}

/* ---- families ---- */

static bool copy(char *to, size_t room, const char *text)
{
    size_t len = strlen(text);

    if (len >= room)
        return false;
    memcpy(to, text, len + 1);
    return true;
}

static const struct metric_family *make(const struct json *m)
{
    const struct json *type = json_member(m, "type");
    double kind =
        type && json_type(type) == JSON_NUMBER ? json_number(type) : -1;
    struct family *f;

    if (num_families == FAMILIES_MAX ||
        (kind != METRIC_COUNTER && kind != METRIC_GAUGE &&
         kind != METRIC_HISTOGRAM))
        return NULL;
    f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    if (!copy(f->name, sizeof(f->name), json_member_string(m, "name")) ||
        !copy(f->unit, sizeof(f->unit), json_member_string(m, "unit")) ||
        !copy(f->help, sizeof(f->help), json_member_string(m, "help")) ||
        strncmp(f->name, "vub_", 4) != 0 ||
        !is_name(f->name, strlen(f->name)) || !is_plain(f->help) ||
        (f->unit[0] && !is_name(f->unit, strlen(f->unit)))) {
        free(f);
        return NULL;
    }
    f->family.name = f->name;
    f->family.unit = f->unit[0] ? f->unit : NULL;
    f->family.help = f->help;
    if (kind == METRIC_COUNTER)
        f->family.type = METRIC_COUNTER;
    else if (kind == METRIC_GAUGE)
        f->family.type = METRIC_GAUGE;
    else
        f->family.type = METRIC_HISTOGRAM;
    families[num_families++] = f;
    return &f->family;
}

static const struct metric_family *family_of(const struct json *m)
{
    const char *name = json_member_string(m, "name");

    for (unsigned i = 0; i < num_families; i++)
        if (strcmp(families[i]->name, name) == 0)
            return &families[i]->family;
    return make(m);
}

/* ---- samples ---- */

static struct histogram *read_histogram(const struct json *m)
{
    const struct json *list = json_member(m, "buckets");
    struct histogram *h = calloc(1, sizeof(*h));

    if (!h || !number_of(m, "sum", &h->sum) || !list ||
        json_type(list) != JSON_ARRAY) {
        free(h);
        return NULL;
    }
    for (const struct json *b = json_first(list); b; b = json_next(b)) {
        const struct json *at = json_member(b, "at");
        double i = at && json_type(at) == JSON_NUMBER ? json_number(at) : -1;
        uint64_t count;

        if (i >= 0 && i < HISTOGRAM_BUCKETS && number_of(b, "count", &count))
            h->buckets[(unsigned)i] = count;
    }
    return h;
}

/* What a sample is about has one of these; "": it is about its device. NULL:
 * there is no such label. */
static const char *read_label(const struct json *m)
{
    static const char *const names[] = {"", "throttle", "target"};
    const char *name = json_member_string(m, "label");

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return names[i];
    return NULL;
}

static void read_one(const struct json *m, struct metrics *out)
{
    const struct metric_family *f =
        json_type(m) == JSON_OBJECT ? family_of(m) : NULL;
    const char *labels = f ? json_member_string(m, "labels") : "";
    const char *label = f ? read_label(m) : NULL;
    struct histogram *h;
    uint64_t value;

    if (!label || !are_labels(labels))
        return;
    if (f->type == METRIC_HISTOGRAM) {
        h = read_histogram(m);
        if (h)
            metrics_add_copy(out, f, h, "%s", labels);
    } else if (number_of(m, "value", &value)) {
        if (label[0])
            metrics_add_about(out, f, value, label,
                              json_member_string(m, "about"), "%s", labels);
        else
            metrics_add(out, f, value, "%s", labels);
    }
}

static void read_list(const struct json *tree, const char *name,
                      struct metrics *out)
{
    const struct json *list = json_member(tree, name);

    for (const struct json *m =
             list && json_type(list) == JSON_ARRAY ? json_first(list) : NULL;
         m; m = json_next(m))
        read_one(m, out);
}

void process_metrics_read(struct found *f, const char *members)
{
    struct json_out text = JSON_OUT_EMPTY;
    struct json *tree = NULL;
    struct err e;

    json_begin(&text, NULL, '{');
    json_add_raw(&text, NULL, members);
    json_end(&text, '}');
    if (!text.failed)
        tree = json_parse(text.text, text.len, &e);
    if (tree) {
        read_list(tree, "metrics", &f->metrics);
        read_list(tree, "common", &f->common);
    }
    json_free(tree);
    json_out_free(&text);
}
