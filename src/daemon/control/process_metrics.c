/* Metrics that the process of an isolated device tells of. A guest may have
 * taken it over, and they end in a text that others parse: so each word is
 * checked. Samples are of families that are listed here, as they are listed,
 * and of that device, whatever it says: no others' curves change by it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "conf/json.h"
#include "daemon/control/gather.h"

/* Families of devices, in the order of their types. What is told of no device
 * is in `common`. A new family has its line here. */
static const char *const counters[] = {
    "vub_block_bytes",           "vub_block_errors",
    "vub_block_requests",        "vub_delay_held",
    "vub_fault_fired",           "vub_fault_matched",
    "vub_gpu_commands",          "vub_gpu_errors",
    "vub_gpu_flushes",           "vub_gpu_transfer_bytes",
    "vub_gpu_update_bytes",      "vub_gpu_updates",
    "vub_input_bad_buffers",     "vub_input_dropped_frames",
    "vub_input_events",          "vub_input_frames",
    "vub_input_status_events",   "vub_iscsi_commands_resent",
    "vub_iscsi_logins",          "vub_iscsi_losses",
    "vub_powercut_cuts",         "vub_ring_calls",
    "vub_ring_chains",           "vub_ring_kicks",
    "vub_scsi_bad_requests",     "vub_scsi_bytes",
    "vub_scsi_check_conditions", "vub_scsi_commands",
    "vub_scsi_failed",           "vub_scsi_lost_events",
    "vub_throttle_held",         "vub_throttle_held_seconds",
    "vub_trace_bytes",           "vub_trace_lost",
    "vub_trace_records",         NULL,
};
static const char *const gauges[] = {
    "vub_block_size_bytes",    "vub_cow_overlay_bytes",
    "vub_delay_waiting",       "vub_fault_held",
    "vub_front_end_connected", "vub_front_end_running",
    "vub_gpu_resource_bytes",  "vub_gpu_resources",
    "vub_input_queued_events", "vub_iscsi_sessions",
    "vub_iscsi_sessions_up",   "vub_powercut_unflushed_bytes",
    "vub_ring_in_flight",      "vub_throttle_oldest_seconds",
    "vub_throttle_waiting",    NULL,
};
static const char *const histograms[] = {"vub_ring_latency_seconds", NULL};
static const char *const common[] = {"vub_throttle_limit_bytes",
                                     "vub_throttle_operations_limit", NULL};

static const char *const *const by_type[] = {
    [METRIC_COUNTER] = counters,
    [METRIC_GAUGE] = gauges,
    [METRIC_HISTOGRAM] = histograms,
};

struct family {
    struct metric_family family;
    char help[300];
};

#define FAMILIES_MAX                                                           \
    (ARRAY_LEN(counters) + ARRAY_LEN(gauges) + ARRAY_LEN(histograms) +         \
     ARRAY_LEN(common))
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

static bool is_plain(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~' || *text == '\\')
            return false;
    return true;
}

/* Which of the labels that a device may say; -1: none. */
static int label_number(const char *name, size_t len)
{
    static const char *const names[] = {"lun",   "of",   "operation",
                                        "queue", "rule", "target"};

    for (int i = 0; i < (int)ARRAY_LEN(names); i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return i;
    return -1;
}

/* name="value",..., each name once, and another than `about` has. */
static bool are_labels(const char *text, const char *about)
{
    int about_number = label_number(about, strlen(about));
    unsigned seen = about_number < 0 ? 0 : 1u << about_number;
    const char *end;
    int number;

    if (!is_plain(text))
        return false;
    while (*text) {
        end = strstr(text, "=\"");
        number = end ? label_number(text, (size_t)(end - text)) : -1;
        if (number < 0 || seen & 1u << number)
            return false;
        seen |= 1u << number;
        end = strchr(end + 2, '"');
        if (!end || (end[1] != ',' && end[1]))
            return false;
        text = end + 1 + (end[1] == ',');
    }
    return true;
}

/* ---- families ---- */

static const char *find_name(const char *const *list, const char *name)
{
    while (*list && strcmp(*list, name) != 0)
        list++;
    return *list;
}

static const char *unit_of(const char *name)
{
    static const char *const units[] = {"bytes", "seconds"};
    const char *end = strrchr(name, '_');

    for (unsigned i = 0; i < ARRAY_LEN(units); i++)
        if (end && strcmp(end + 1, units[i]) == 0)
            return units[i];
    return NULL;
}

/* name: of a list. Only its help is the process's to say. */
static const struct metric_family *family_of(const char *name, unsigned type,
                                             const char *help)
{
    struct family *f;

    for (unsigned i = 0; i < num_families; i++)
        if (strcmp(families[i]->family.name, name) == 0)
            return &families[i]->family;
    f = calloc(1, sizeof(*f));
    if (!f || !is_plain(help)) {
        free(f);
        return NULL;
    }
    snprintf(f->help, sizeof(f->help), "%s", help);
    f->family = (struct metric_family){
        .name = name, .type = type, .unit = unit_of(name), .help = f->help};
    families[num_families++] = f;
    return &f->family;
}

/* NULL: it is of none, or of another type than it says. */
static const struct metric_family *find_family(const struct json *m,
                                               bool is_common)
{
    const struct json *type = json_member(m, "type");
    double kind =
        type && json_type(type) == JSON_NUMBER ? json_number(type) : -1;
    const char *name = json_member_string(m, "name");

    for (unsigned i = 0; i < ARRAY_LEN(by_type); i++) {
        bool is_gauge = i == METRIC_GAUGE;
        const char *found = is_common
                                ? is_gauge ? find_name(common, name) : NULL
                                : find_name(by_type[i], name);

        if (found)
            return kind == i
                       ? family_of(found, i, json_member_string(m, "help"))
                       : NULL;
    }
    return NULL;
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
    static const char *const names[] = {"", "throttle", "target", "filter"};
    const char *name = json_member_string(m, "label");

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return names[i];
    return NULL;
}

static void read_one(const struct json *m, bool is_common, struct metrics *out)
{
    const struct metric_family *f =
        json_type(m) == JSON_OBJECT ? find_family(m, is_common) : NULL;
    const char *labels = f ? json_member_string(m, "labels") : "";
    const char *label = f ? read_label(m) : NULL;
    struct histogram *h;
    uint64_t value;

    if (!label || !are_labels(labels, label))
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

static void read_list(const struct json *tree, const char *name, bool is_common,
                      struct metrics *out)
{
    const struct json *list = json_member(tree, name);

    for (const struct json *m =
             list && json_type(list) == JSON_ARRAY ? json_first(list) : NULL;
         m; m = json_next(m))
        read_one(m, is_common, out);
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
        read_list(tree, "metrics", false, &f->metrics);
        read_list(tree, "common", true, &f->common);
    }
    json_free(tree);
    json_out_free(&text);
}
