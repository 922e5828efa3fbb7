/* MODE SENSE and MODE SELECT: SPC-4 6.11, 6.13, 7.5.
 *
 * Two pages: 08, caching, where WCE can be changed if the store has a cache;
 * 0A, control, where SWP can be. A page is made from the disk's state, so that
 * current, changeable and default values come from one place, and a MODE SELECT
 * may change only what is changeable there. It is checked as a whole before
 * anything of it is done. Nothing is saved. */
#include <stdlib.h>
#include <string.h>

#include "device/scsi/disk.h"

enum control { CURRENT, CHANGEABLE, DEFAULT, SAVED };

#define CACHING 0x08
#define CONTROL 0x0a
#define ALL 0x3f

#define PAGE_MAX 20
/* Of a parameter list: a header, a descriptor, each page a few times. */
#define LIST_MAX 256

#define WCE 0x04
#define SWP 0x08

/* SBC-3 6.4.5. */
static size_t page_caching(const struct disk *d, enum control which, uint8_t *p)
{
    bool cached = d->store->info.cached && !d->read_only;

    memset(p, 0, 20);
    p[0] = CACHING;
    p[1] = 18;
    if (which == CURRENT ? d->wce : cached)
        p[2] = WCE;
    return 20;
}

/* SPC-4 7.5.8. */
static size_t page_control(const struct disk *d, enum control which, uint8_t *p)
{
    memset(p, 0, 12);
    p[0] = CONTROL;
    p[1] = 10;
    if (which == CURRENT ? d->swp : which == CHANGEABLE)
        p[4] = SWP;
    if (which != CHANGEABLE)
        p[3] = 0x10; /* tasks may be reordered as their attributes allow */
    return 12;
}

static const struct page {
    uint8_t code;
    size_t (*put)(const struct disk *d, enum control which, uint8_t *p);
} pages[] = {
    {CACHING, page_caching},
    {CONTROL, page_control},
};

/* ---- MODE SENSE ---- */

/* SBC-3 6.4.2: a block descriptor of 8 or 16 bytes. */
static size_t put_descriptor(const struct disk *d, bool is_long, uint8_t *p)
{
    memset(p, 0, 16);
    if (is_long) {
        be64_put(p, d->blocks);
        be32_put(p + 12, d->block_bytes);
        return 16;
    }
    be32_put(p, (uint32_t)MIN(d->blocks, (uint64_t)UINT32_MAX));
    be32_put(p + 4, d->block_bytes);
    return 8;
}

static void mode_sense(struct disk *d, struct scsi_task *t)
{
    bool ten = t->cdb[0] == SCSI_MODE_SENSE_10;
    bool is_long = ten && t->cdb[1] & 0x10; /* LLBAA */
    enum control which = t->cdb[2] >> 6;
    uint8_t code = t->cdb[2] & 0x3f, subpage = t->cdb[3];
    uint8_t data[8 + 16 + ARRAY_LEN(pages) * PAGE_MAX] = {0};
    size_t head = ten ? 8 : 4, len = head, descriptor = 0;
    bool found = false;

    if (which == SAVED) {
        disk_check(d, t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_SAVING_NOT_SUPPORTED);
        return;
    }
    if (!(t->cdb[1] & 0x08)) { /* DBD */
        descriptor = put_descriptor(d, is_long, data + len);
        len += descriptor;
    }
    for (unsigned i = 0; i < ARRAY_LEN(pages); i++) {
        if (code != ALL && code != pages[i].code)
            continue;
        len += pages[i].put(d, which, data + len);
        found = true;
    }
    if (!found || (subpage && subpage != 0xff)) {
        disk_bad_field(d, t);
        return;
    }
    /* WP, DPOFUA */
    data[ten ? 3 : 2] = d->read_only || d->swp ? 0x80 | 0x10 : 0x10;
    if (ten) {
        be16_put(data, (uint16_t)(len - 2));
        data[4] = is_long;
        be16_put(data + 6, (uint16_t)descriptor);
    } else {
        data[0] = (uint8_t)(len - 1);
        data[3] = (uint8_t)descriptor;
    }
    disk_data(d, t, data, len, ten ? be16_at(t->cdb + 7) : t->cdb[4]);
}

/* What was cached is stable, or is lost: a guest is told so once, as the system
 * tells it once. */
static void flushed(struct store_req *r,
                    void (*then)(struct disk *d, struct scsi_task *t))
{
    struct scsi_task *t = container_of(r, struct scsi_task, store);
    struct disk *d = disk_of(t->lun);

    if (!(r->user & DISK_GIVEN_UP))
        d->must_flush = false;
    disk_keep(d);
    if (r->result < 0)
        disk_failed(d, t);
    else
        then(d, t);
}

static void on_sense_flushed(struct store_req *r)
{
    flushed(r, mode_sense);
}

void disk_mode_sense(struct disk *d, struct scsi_task *t)
{
    if (LIKELY(!d->must_flush))
        mode_sense(d, t);
    else
        disk_store_flush(d, t, on_sense_flushed);
}

/* ---- MODE SELECT ---- */

/* What a list asks for. */
struct wish {
    bool wce, swp;
};

/* A descriptor may say what is, or nothing: nothing can be formatted. */
static bool is_same_descriptor(const struct disk *d, const uint8_t *p,
                               size_t len)
{
    uint64_t blocks = len == 16 ? be64_at(p) : be32_at(p);
    uint64_t most = len == 16 ? UINT64_MAX : UINT32_MAX;
    uint32_t bytes = len == 16 ? be32_at(p + 12) : be32_at(p + 4) & 0xffffff;

    return (blocks == 0 || blocks == most || blocks == d->blocks) &&
           bytes == d->block_bytes;
}

/* SCSI_ASC_NONE, or what is wrong. *len: of the page. */
static enum scsi_asc read_page(const struct disk *d, const uint8_t *p,
                               size_t left, size_t *len, struct wish *wish)
{
    uint8_t now[PAGE_MAX], may[PAGE_MAX];

    if (left < 2)
        return SCSI_ASC_PARAMETER_LIST_LENGTH;
    for (unsigned i = 0; i < ARRAY_LEN(pages); i++) {
        if (pages[i].code != (p[0] & 0x7f)) /* PS is reserved here */
            continue;
        *len = pages[i].put(d, CURRENT, now);
        pages[i].put(d, CHANGEABLE, may);
        if (p[1] != now[1])
            return SCSI_ASC_INVALID_FIELD_IN_LIST;
        if (left < *len)
            return SCSI_ASC_PARAMETER_LIST_LENGTH;
        for (size_t j = 2; j < *len; j++)
            if ((p[j] ^ now[j]) & ~may[j])
                return SCSI_ASC_INVALID_FIELD_IN_LIST;
        if (pages[i].code == CACHING)
            wish->wce = p[2] & WCE;
        else
            wish->swp = p[4] & SWP;
        return SCSI_ASC_NONE;
    }
    return SCSI_ASC_INVALID_FIELD_IN_LIST;
}

static enum scsi_asc read_list(const struct disk *d, const uint8_t *list,
                               size_t len, bool ten, struct wish *wish)
{
    size_t head = ten ? 8 : 4, descriptor, at, page;
    enum scsi_asc asc;

    if (len < head)
        return SCSI_ASC_PARAMETER_LIST_LENGTH;
    descriptor = ten ? be16_at(list + 6) : list[3];
    if (descriptor > len - head)
        return SCSI_ASC_PARAMETER_LIST_LENGTH;
    if (descriptor != 0) {
        size_t one = ten && list[4] & 0x01 ? 16 : 8; /* LONGLBA */

        if (descriptor != one ||
            !is_same_descriptor(d, list + head, descriptor))
            return SCSI_ASC_INVALID_FIELD_IN_LIST;
    }
    for (at = head + descriptor; at < len; at += page) {
        asc = read_page(d, list + at, len - at, &page, wish);
        if (asc != SCSI_ASC_NONE)
            return asc;
    }
    return SCSI_ASC_NONE;
}

static size_t list_bytes(const struct scsi_task *t)
{
    return t->cdb[0] == SCSI_MODE_SELECT_10 ? be16_at(t->cdb + 7) : t->cdb[4];
}

static void selected(struct disk *d, struct scsi_task *t)
{
    disk_good(d, t, list_bytes(t));
}

static void on_select_flushed(struct store_req *r)
{
    flushed(r, selected);
}

void disk_mode_select(struct disk *d, struct scsi_task *t)
{
    bool ten = t->cdb[0] == SCSI_MODE_SELECT_10;
    size_t len = list_bytes(t);
    struct wish wish = {d->wce, d->swp};
    uint8_t list[LIST_MAX];
    enum scsi_asc asc;

    /* PF: pages as the standard has them; SP: nothing can be saved. */
    if (!(t->cdb[1] & 0x10) || t->cdb[1] & 0x01) {
        disk_bad_field(d, t);
        return;
    }
    if (len == 0) {
        disk_good(d, t, 0);
        return;
    }
    if (!disk_room_ok(d, t, SCSI_DATA_OUT, len))
        return;
    if (len > sizeof(list)) {
        disk_check(d, t, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
        return;
    }
    scsi_task_read(t, 0, list, len);
    asc = read_list(d, list, len, ten, &wish);
    if (asc != SCSI_ASC_NONE) {
        disk_check(d, t, SCSI_ILLEGAL_REQUEST, asc);
        return;
    }
    d->swp = wish.swp;
    if (wish.wce != d->wce)
        log_limited(&d->limit, LOG_INFO, d->lun.id,
                    "LUN %u of target %u: the guest switches the write cache "
                    "%s",
                    d->lun.lun, d->lun.target, wish.wce ? "on" : "off");
    d->must_flush = !wish.wce && (d->wce || d->must_flush);
    d->wce = wish.wce;
    disk_keep(d);
    /* SBC-3 4.15.7: what is cached is made stable when the cache is switched
     * off: all of it, since nothing runs beside a MODE SELECT. Writes are
     * stable when answered from now on, whatever comes of the flush. */
    if (d->must_flush)
        disk_store_flush(d, t, on_select_flushed);
    else
        disk_good(d, t, len);
}
