/* What a process that goes on with a SCSI host finds.
 *
 * A table of units, a row for each that there is: its unit attentions in one
 * word and what a guest has set in another, so that each is whole at each
 * moment. Rows say too which units have been removed that the config has, and
 * which were added: the config of those is JSON text, in kept memory of its
 * own, and they are opened again. What is written is never read here; who finds
 * it reads it once.
 *
 * What a guest has been told stays in the table until the next kick: only then
 * it is sure that the answer was seen. So it may be told twice, which guests
 * bear, but not never.
 *
 * Text may be that of somebody whom a guest has taken over. So a unit is
 * opened again only if the sandbox that we are about to enter would let us: by
 * the rules of the broker. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/json.h"
#include "device/scsi/impl.h"
#include "os/broker.h"

#define ROWS 16384 /* units beyond begin anew */
#define TEXT_BYTES (UINT32_C(64) << 10)

/* Of a row's id, above target and LUN. */
#define IS_THERE (UINT64_C(1) << 32)
#define IS_REMOVED (UINT64_C(2) << 32)
#define IS_ADDED (UINT64_C(4) << 32)
#define IS_ANY (IS_THERE | IS_REMOVED | IS_ADDED)

struct lun_row {
    uint64_t id;
    uint64_t attentions; /* the oldest in the lowest 16 bits; 0: no more */
    uint32_t state;      /* the unit's; LUN_STATE_KNOWN: it has served */
    uint32_t spare;
};

struct table {
    uint32_t serves; /* a guest that goes on with whoever finds this */
    uint32_t sense_size, cdb_size;
    uint32_t rows; /* no row behind was ever used */
    struct lun_row row[];
};

struct events_part {
    uint32_t count, missed;
    struct scsi_event queue[SCSI_EVENTS];
};

/* The text of an added unit. */
struct text_part {
    uint32_t dir_len, len; /* without their zeros */
    char dir_and_text[];
};

static struct table *table_of(const struct scsi *s)
{
    return (struct table *)s->kept.at;
}

static uint64_t events_offset(void)
{
    return sizeof(struct table) + ROWS * sizeof(struct lun_row);
}

static uint64_t all_bytes(void)
{
    return events_offset() + keep_pair_bytes(sizeof(struct events_part));
}

static uint64_t id_of(unsigned target, unsigned number)
{
    return (uint64_t)target << 16 | number;
}

static unsigned target_of(uint64_t id)
{
    return (unsigned)(id >> 16) & 0xffff;
}

static unsigned number_of(uint64_t id)
{
    return (unsigned)id & 0xffff;
}

static void store(uint32_t *to, uint32_t value)
{
    __atomic_store_n(to, value, __ATOMIC_RELEASE);
}

/* ---- rows ---- */

/* What the rows say, as we know it: found, and ours since. */
static uint64_t *row_id(struct scsi *s, uint32_t i)
{
    return &s->row_ids[i];
}

static void set_id(struct scsi *s, uint32_t i, uint64_t id)
{
    *row_id(s, i) = id;
    __atomic_store_n(&table_of(s)->row[i].id, id, __ATOMIC_RELEASE);
}

/* The row of a unit; else ROWS. */
static uint32_t find_row(struct scsi *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->num_rows; i++)
        if (*row_id(s, i) & IS_ANY && (uint32_t)*row_id(s, i) == id)
            return i;
    return ROWS;
}

/* ROWS: there is no room. */
static uint32_t free_row(struct scsi *s)
{
    for (uint32_t i = 0; i < s->num_rows; i++)
        if (!(*row_id(s, i) & IS_ANY))
            return i;
    if (s->num_rows == ROWS)
        return ROWS;
    store(&table_of(s)->rows, ++s->num_rows);
    return s->num_rows - 1;
}

static void take_attentions(struct lun *l, uint64_t word)
{
    for (; word && l->num_attentions < LUN_ATTENTIONS; word >>= 16)
        if (word & 0xffff)
            l->attentions[l->num_attentions++] = (uint16_t)word;
}

void scsi_keep_unit(struct lun *l, bool added)
{
    struct scsi *s = l->scsi;
    uint64_t id = id_of(l->target, l->lun);
    uint32_t i = find_row(s, id);
    bool is_new = i == ROWS || !(*row_id(s, i) & (IS_THERE | IS_ADDED));

    if (i == ROWS)
        i = free_row(s);
    if (i == ROWS)
        return;
    l->row = &table_of(s)->row[i];
    if (is_new) {
        store(&l->row->state, 0);
        __atomic_store_n(&l->row->attentions, 0, __ATOMIC_RELEASE);
    } else {
        l->found = __atomic_load_n(&l->row->state, __ATOMIC_RELAXED);
        take_attentions(l,
                        __atomic_load_n(&l->row->attentions, __ATOMIC_RELAXED));
    }
    set_id(s, i, id | (added ? IS_ADDED : IS_THERE));
}

void scsi_keep_removed(struct lun *l)
{
    struct scsi *s = l->scsi;
    uint32_t i = find_row(s, id_of(l->target, l->lun));

    l->row = NULL;
    if (i == ROWS)
        return;
    /* One that was added, and is removed, never was; but the config may have
     * one of its number that was removed before. */
    set_id(s, i, id_of(l->target, l->lun) | IS_REMOVED);
    keep_drop(&l->text);
}

void scsi_keep_attentions(struct lun *l)
{
    uint64_t word = 0;

    if (!l->row)
        return;
    for (unsigned i = l->num_attentions; i > 0; i--)
        word = word << 16 | l->attentions[i - 1];
    __atomic_store_n(&l->row->attentions, word, __ATOMIC_RELEASE);
}

void lun_keep_state(struct lun *l, uint32_t state)
{
    if (!l->row)
        return;
    if (l->ran)
        state |= LUN_STATE_KNOWN;
    store(&l->row->state, state);
}

void scsi_keep_known(struct lun *l)
{
    if (l->row)
        __atomic_fetch_or(&l->row->state, LUN_STATE_KNOWN, __ATOMIC_RELEASE);
}

/* ---- the host ---- */

void scsi_keep_session(struct scsi *s, bool serves)
{
    store(&table_of(s)->serves, serves);
}

void scsi_keep_sizes(struct scsi *s)
{
    store(&table_of(s)->sense_size, s->sense_size);
    store(&table_of(s)->cdb_size, s->cdb_size);
}

void scsi_keep_events(struct scsi *s)
{
    const struct scsi_events *ev = &s->events;
    struct events_part part;

    memset(&part, 0, sizeof(part));
    part.count = ev->count;
    part.missed = ev->missed;
    for (unsigned i = 0; i < ev->count; i++)
        part.queue[i] = ev->queue[(ev->head + i) % SCSI_EVENTS];
    keep_pair_write(s->kept.at + events_offset(), &part, sizeof(part));
}

void scsi_keep_told(struct scsi *s)
{
    s->told = false;
    LIST_EACH (&s->luns, node) {
        struct lun *l = container_of(node, struct lun, node);

        if (l->told)
            scsi_keep_attentions(l);
        l->told = false;
    }
    scsi_keep_events(s);
}

static void read_events(struct scsi *s)
{
    struct events_part part;

    if (!keep_pair_read(s->kept.at + events_offset(), &part, sizeof(part)) ||
        part.count > SCSI_EVENTS)
        return;
    memcpy(s->events.queue, part.queue, part.count * sizeof(part.queue[0]));
    s->events.count = part.count;
    s->events.missed = part.missed != 0;
}

static void read_table(struct scsi *s)
{
    const struct table *t = table_of(s);
    uint32_t sense = __atomic_load_n(&t->sense_size, __ATOMIC_RELAXED);
    uint32_t cdb = __atomic_load_n(&t->cdb_size, __ATOMIC_RELAXED);

    if (sense <= SCSI_SENSE_ROOM_MAX && cdb <= SCSI_CDB_ROOM_MAX) {
        s->sense_size = sense;
        s->cdb_size = cdb;
    }
    s->goes_on = __atomic_load_n(&t->serves, __ATOMIC_RELAXED);
    s->num_rows = MIN(__atomic_load_n(&t->rows, __ATOMIC_RELAXED), ROWS);
    for (uint32_t i = 0; i < s->num_rows; i++) {
        uint64_t id = __atomic_load_n(&t->row[i].id, __ATOMIC_RELAXED);
        bool can_be = target_of(id) < SCSI_TARGETS && number_of(id) < SCSI_LUNS;

        *row_id(s, i) = can_be ? id : 0;
    }
    read_events(s);
}

int scsi_keep_open(struct scsi *s, struct err *e)
{
    int rc = keep_get(&s->kept, s->device.id, "scsi.1", all_bytes(), e);

    if (rc < 0)
        return rc;
    s->row_ids = calloc(ROWS, sizeof(*s->row_ids));
    if (!s->row_ids) {
        keep_drop(&s->kept);
        return err_nomem(e);
    }
    if (s->kept.found)
        read_table(s);
    scsi_keep_sizes(s);
    return 0;
}

void scsi_keep_close(struct scsi *s)
{
    free(s->row_ids);
    s->row_ids = NULL;
    keep_drop(&s->kept);
}

/* ---- units that were added ---- */

static void text_name(char out[KEEP_NAME_MAX + 1], unsigned target,
                      unsigned number)
{
    snprintf(out, KEEP_NAME_MAX + 1, "%u.%u.lun.1", target, number);
}

bool scsi_keep_has_other(struct scsi *s, unsigned target, unsigned number)
{
    uint32_t i = find_row(s, id_of(target, number));

    return i < ROWS && *row_id(s, i) & (IS_REMOVED | IS_ADDED);
}

static int write_text(struct lun *l, const char *dir, const char *text,
                      struct err *e)
{
    struct text_part *part;
    size_t dir_len = strlen(dir), len = strlen(text);
    char name[KEEP_NAME_MAX + 1];
    int rc;

    if (sizeof(*part) + dir_len + len > TEXT_BYTES)
        return err_set(e, -E2BIG, "", "its config is too long");
    text_name(name, l->target, l->lun);
    rc = keep_get(&l->text, l->id, name, TEXT_BYTES, e);
    if (rc < 0)
        return rc;
    part = (struct text_part *)l->text.at;
    memcpy(part->dir_and_text, dir, dir_len);
    memcpy(part->dir_and_text + dir_len, text, len);
    store(&part->dir_len, (uint32_t)dir_len);
    store(&part->len, (uint32_t)len);
    return 0;
}

void scsi_keep_added(struct lun *l, const struct call *c)
{
    char *text = c->params ? json_text(c->params) : NULL;
    struct err e = {0};

    if (!text) /* by somebody who is no client of the control socket */
        err_nomem(&e);
    else if (write_text(l, c->dir, text, &e) == 0)
        scsi_keep_unit(l, true);
    if (e.code < 0)
        log_warn(l->id,
                 "unit %u of target %u ends with this process, whoever goes on "
                 "with the device: %s",
                 l->lun, l->target, e.text);
    free(text);
}

struct device_key {
    const char *device;
};

static const struct conf_key device_keys[] = {
    {"device", CONF_STR, CONF_AT(struct device_key, device)},
    {NULL},
};

/* Beside the keys of a unit. */
static const struct conf_table device_table = {
    .name = "device",
    .size = sizeof(struct device_key),
    .keys = device_keys,
};

static void on_object(const struct conf_any *o, void *arg)
{
    (void)o, (void)arg;
}

static void on_path(const struct conf_key *k, const char *path, void *arg)
{
    bool *allowed = arg;

    if (!broker_allows(path, k->only_read ? O_RDONLY : O_RDWR))
        *allowed = false;
}

static int check_paths(const struct lun_conf *c, struct err *e)
{
    bool allowed = true;
    const struct conf_visitor v = {on_object, on_path, &allowed};

    conf_visit(&lun_table, c, &v);
    return allowed ? 0
                   : err_set(e, -EACCES, "",
                             "the sandbox does not allow what it names");
}

/* The text, our own copy. NULL: it is none. */
static struct text_part *read_text(const struct kept *k)
{
    struct text_part *part = malloc(TEXT_BYTES + 1);

    if (!part)
        return NULL;
    memcpy(part, k->at, TEXT_BYTES);
    if (part->dir_len > TEXT_BYTES - sizeof(*part) ||
        part->len > TEXT_BYTES - sizeof(*part) - part->dir_len) {
        free(part);
        return NULL;
    }
    part->dir_and_text[part->dir_len + part->len] = '\0';
    return part;
}

static int parse(struct conf_doc *doc, const struct text_part *part,
                 struct lun_conf **out, struct errs *e)
{
    static const struct conf_table *const tables[] = {&device_table,
                                                      &lun_table};
    char *dir = strndup(part->dir_and_text, part->dir_len);
    void *read[2];
    struct json *tree;
    struct err why;
    int rc;

    if (!dir)
        return errs_nomem(e);
    tree = json_parse(part->dir_and_text + part->dir_len, part->len, &why);
    rc = tree ? conf_read_object(doc, read, tables, tree, NULL,
                                 dir[0] == '/' ? dir : "/", e)
              : errs_push(e, &why);
    if (rc == 0)
        *out = read[1];
    json_free(tree);
    free(dir);
    return rc;
}

/* Opens the unit of this text, if it is of the row that it should be of. */
static int open_text(struct scsi *s, uint64_t id, const struct text_part *part,
                     struct lun **l, struct errs *e)
{
    struct conf_doc *doc = conf_new();
    struct lun_conf *c = NULL;
    struct err why;
    int rc;

    if (!doc)
        return errs_nomem(e);
    rc = parse(doc, part, &c, e);
    if (rc == 0 && id_of(c->target, c->lun) != id)
        rc = errs_add(e, -EINVAL, "", "its config is another unit's");
    if (rc == 0 && check_paths(c, &why) < 0)
        rc = errs_push(e, &why);
    if (rc == 0)
        rc = luns_add(s, c, "", doc, l, e);
    conf_free(doc); /* the unit has its own ref */
    return rc;
}

static int open_added(struct scsi *s, uint64_t id, struct errs *e)
{
    char name[KEEP_NAME_MAX + 1];
    struct text_part *part;
    struct kept k;
    struct err why;
    struct lun *l;
    int rc;

    text_name(name, target_of(id), number_of(id));
    if (keep_find(&k, s->device.id, name, TEXT_BYTES, &why) < 0)
        return errs_push(e, &why);
    part = read_text(&k);
    rc = part ? open_text(s, id, part, &l, e)
              : errs_add(e, -EINVAL, "", "its config is no text");
    free(part);
    if (rc < 0) {
        keep_drop(&k);
        return rc;
    }
    l->text = k;
    scsi_keep_unit(l, true);
    return 0;
}

void scsi_keep_open_added(struct scsi *s)
{
    for (uint32_t i = 0; i < s->num_rows; i++) {
        uint64_t id = *row_id(s, i);
        struct errs es = ERRS_EMPTY;

        if (!(id & IS_ADDED) || open_added(s, (uint32_t)id, &es) == 0)
            continue;
        log_limited(&s->limit, LOG_WARN, s->device.id,
                    "unit %u of target %u, which was added to another process, "
                    "cannot be opened again: %s",
                    number_of(id), target_of(id),
                    es.count ? es.list[0].text : "out of memory");
        errs_free(&es);
        set_id(s, i, (uint32_t)id | IS_REMOVED);
    }
    /* Those that the config does not have any more. */
    for (uint32_t i = 0; i < s->num_rows; i++) {
        uint64_t id = *row_id(s, i);

        if (id & IS_THERE && !luns_find(s, (uint8_t)target_of(id),
                                        (uint16_t)number_of(id), NULL))
            set_id(s, i, 0);
    }
}
