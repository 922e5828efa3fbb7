/* Whom a command addresses, and what is answered without a unit.
 *
 * A `lun` field is a SAM-5 logical unit number of two levels: 01 and a target,
 * then a single level number, peripheral (below 256) or flat. Beside these the
 * REPORT LUNS well-known unit is there, of each target (01 TT C1 01) and of the
 * whole host (C1 01). That of the host lists numbers as a driver writes them
 * into the field.
 *
 * A unit that is not there answers what SPC-4 5.9 (in the words of 2011:
 * "incorrect logical unit selection") asks of a target: INQUIRY says that
 * nothing is connected, REQUEST SENSE and all others that there is no such
 * unit. REPORT LUNS is never passed on: numbers here are ours. */
#include <stdlib.h>
#include <string.h>

#include "device/scsi/impl.h"

#define WELL_KNOWN 0xc1
#define WELL_KNOWN_REPORT_LUNS 0x01

#define INQUIRY_NOBODY 0x7f /* qualifier 3: none can be here; type 1Fh */
#define INQUIRY_WELL_KNOWN 0x1e
#define INQUIRY_BYTES 36

/* ---- addresses ---- */

/* One level of a number: false, it has no format that we know. */
static bool read_level(const uint8_t level[2], uint16_t *number)
{
    switch (level[0] >> 6) {
    case 0: /* peripheral device addressing, of bus 0 */
        *number = level[1];
        return level[0] == 0;
    case 1: /* flat space addressing */
        *number = be16_at(level) & 0x3fff;
        return true;
    default:
        return false;
    }
}

void scsi_lun_bytes(uint16_t lun, uint8_t out[2])
{
    be16_put(out, lun < 256 ? lun : (uint16_t)(0x4000 | lun));
}

static bool is_reporter(const uint8_t *level)
{
    return level[0] == WELL_KNOWN && level[1] == WELL_KNOWN_REPORT_LUNS;
}

void scsi_find(struct scsi *s, const uint8_t field[8], struct scsi_to *to)
{
    static const uint8_t zeros[6];
    uint64_t raw;

    memcpy(&raw, field, sizeof(raw));
    if (LIKELY(s->recent && raw == s->recent_field)) {
        to->kind = SCSI_TO_LUN;
        to->lun = s->recent;
        to->target = to->lun->target;
        to->number = to->lun->lun;
        return;
    }
    *to = (struct scsi_to){.kind = SCSI_TO_NOTHING, .target = -1};
    if (is_reporter(field)) {
        if (memcmp(field + 2, zeros, 6) == 0)
            to->kind = SCSI_TO_REPORTER;
        return;
    }
    if (field[0] != 1 || memcmp(field + 4, zeros, 4) != 0)
        return;
    to->target = field[1];
    if (s->per_target[to->target] == 0) {
        to->kind = SCSI_TO_NOBODY;
        return;
    }
    if (is_reporter(field + 2)) {
        to->kind = SCSI_TO_REPORTER;
        return;
    }
    to->kind = SCSI_TO_LUN;
    if (!read_level(field + 2, &to->number))
        return;
    to->lun = luns_find(s, field[1], to->number, NULL);
    if (to->lun) {
        s->recent = to->lun;
        s->recent_field = raw;
    }
}

/* ---- unit attentions ---- */

/* SAM-5 5.14: what is pending is told once; the one kind is not queued twice,
 * and a power on says all. */
void scsi_attention(struct lun *l, enum scsi_asc asc)
{
    if (asc == SCSI_ASC_POWER_ON || asc == SCSI_ASC_NEXUS_LOSS ||
        asc == SCSI_ASC_DEVICE_RESET)
        l->num_attentions = 0;
    for (unsigned i = 0; i < l->num_attentions; i++)
        if (l->attentions[i] == asc)
            return;
    if (l->num_attentions < LUN_ATTENTIONS)
        l->attentions[l->num_attentions++] = (uint16_t)asc;
    scsi_keep_attentions(l);
}

static void attention_told(struct lun *l, unsigned i)
{
    l->num_attentions--;
    memmove(&l->attentions[i], &l->attentions[i + 1],
            (l->num_attentions - i) * sizeof(l->attentions[0]));
    l->told = l->scsi->told = true;
}

/* True: t ends with what was pending. */
static bool tell_attention(struct lun *l, struct scsi_task *t)
{
    enum scsi_asc asc;

    if (t->cdb[0] == SCSI_INQUIRY)
        return false;
    asc = l->attentions[0];
    attention_told(l, 0);
    if (t->cdb[0] == SCSI_REQUEST_SENSE)
        scsi_task_sense(t, SCSI_UNIT_ATTENTION, asc);
    else
        scsi_task_check(t, SCSI_UNIT_ATTENTION, asc);
    return true;
}

/* ---- REPORT LUNS: SPC-4 6.33 ---- */

struct report {
    uint8_t *list; /* count * 8 bytes */
    uint32_t count;
};

static void report_level(struct report *r, int target, uint8_t a, uint8_t b)
{
    uint8_t *entry = r->list + (size_t)r->count++ * 8;

    memset(entry, 0, 8);
    if (target >= 0) {
        *entry++ = 1;
        *entry++ = (uint8_t)target;
    }
    entry[0] = a;
    entry[1] = b;
}

static void report_units(struct scsi *s, const struct scsi_to *to,
                         struct report *r)
{
    LIST_EACH (&s->luns, node) {
        const struct lun *l = container_of(node, struct lun, node);
        uint8_t level[2];

        if (to->target >= 0 && l->target != to->target)
            continue;
        scsi_lun_bytes(l->lun, level);
        report_level(r, to->target < 0 ? l->target : -1, level[0], level[1]);
    }
}

static unsigned units_of(const struct scsi *s, int target)
{
    unsigned all = 0;

    if (target >= 0)
        return s->per_target[target];
    for (int i = 0; i < SCSI_TARGETS; i++)
        all += s->per_target[i];
    return all;
}

/* The guest has seen the list that it was to look at. */
static void list_is_seen(struct scsi *s, int target)
{
    LIST_EACH (&s->luns, node) {
        struct lun *l = container_of(node, struct lun, node);

        if (target >= 0 && l->target != target)
            continue;
        for (unsigned i = 0; i < l->num_attentions; i++)
            if (l->attentions[i] == SCSI_ASC_LUNS_CHANGED)
                attention_told(l, i--);
    }
}

static void report_luns(struct scsi *s, const struct scsi_to *to,
                        struct scsi_task *t)
{
    uint32_t room = be32_at(t->cdb + 6);
    uint8_t select = t->cdb[2], *data;
    size_t most = 8 + 8 * (size_t)(units_of(s, to->target) + 1);
    struct report r = {NULL, 0};

    if (select > 2 || room < 16) {
        scsi_task_check(t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    data = calloc(1, most);
    if (!data) {
        t->status = SCSI_BUSY;
        return;
    }
    r.list = data + 8;
    if (select != 0) /* well-known units too, or only */
        report_level(&r, -1, WELL_KNOWN, WELL_KNOWN_REPORT_LUNS);
    if (select != 1)
        report_units(s, to, &r);
    be32_put(data, r.count * 8);
    scsi_task_data(t, data, 8 + (size_t)r.count * 8, room);
    list_is_seen(s, to->target);
    free(data);
}

/* ---- units that are not there ---- */

/* Standard data only. names: 28 characters, as vendor, product and revision. */
static void answer_inquiry(struct scsi_task *t, uint8_t type, const char *names)
{
    uint8_t inquiry[INQUIRY_BYTES] = {type, 0, 6, 2, INQUIRY_BYTES - 5};

    if (t->cdb[1] & 1 || t->cdb[2]) {
        scsi_task_check(t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
        return;
    }
    memcpy(inquiry + 8, names, INQUIRY_BYTES - 8);
    scsi_task_data(t, inquiry, sizeof(inquiry), be16_at(t->cdb + 3));
}

static void answer_nobody(struct scsi_task *t)
{
    switch (t->cdb[0]) {
    case SCSI_INQUIRY:
        answer_inquiry(t, INQUIRY_NOBODY, "                            ");
        return;
    case SCSI_REQUEST_SENSE:
        scsi_task_sense(t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
        return;
    default:
        scsi_task_check(t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
        return;
    }
}

/* SPC-4 8: it reports, and says who it is. */
static void answer_reporter(struct scsi_task *t)
{
    switch (t->cdb[0]) {
    case SCSI_INQUIRY:
        answer_inquiry(t, INQUIRY_WELL_KNOWN, "VUB     REPORT LUNS     0001");
        return;
    case SCSI_REQUEST_SENSE:
        scsi_task_sense(t, SCSI_NO_SENSE, SCSI_ASC_NONE);
        return;
    case SCSI_TEST_UNIT_READY:
        return;
    default:
        scsi_task_check(t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
        return;
    }
}

bool scsi_answer_for(struct scsi *s, const struct scsi_to *to,
                     struct scsi_task *t)
{
    struct lun *l = to->lun;

    if (UNLIKELY(t->cdb_len == 0)) {
        scsi_task_check(t, SCSI_ILLEGAL_REQUEST,
                        !l && to->kind == SCSI_TO_LUN
                            ? SCSI_ASC_LUN_NOT_SUPPORTED
                            : SCSI_ASC_INVALID_OPCODE);
        return true;
    }
    if (UNLIKELY(t->cdb[0] == SCSI_REPORT_LUNS)) {
        report_luns(s, to, t);
        return true;
    }
    if (LIKELY(l && l->state == LUN_STARTED)) {
        /* What is done again was asked before there was anything to tell. */
        if (LIKELY(!l->num_attentions) || t->repeated)
            return false;
        return tell_attention(l, t);
    }
    if (to->kind == SCSI_TO_REPORTER)
        answer_reporter(t);
    else if (!l)
        answer_nobody(t);
    else if (l->state == LUN_FAILED)
        scsi_task_check(t, SCSI_HARDWARE_ERROR, SCSI_ASC_INTERNAL_FAILURE);
    else /* added a moment ago */
        scsi_task_check(t, SCSI_NOT_READY, SCSI_ASC_BECOMING_READY);
    return true;
}
