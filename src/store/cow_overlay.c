/* Where the blocks are that were written: a store in memory, or one on a
 * sparse file, at the same offsets as on the disk.
 *
 * The file. Behind the data, at the next whole MiB, is a head of 4096 bytes,
 * and after that a bit for each block: it is here, whatever the base has. The
 * map goes there when the disk is flushed, after the data that it speaks of has
 * become stable (cow_request.c). So a crash of the machine, or of vub, loses
 * what was not flushed, and nothing else: a block that the map does not have
 * is the base's. A file that is empty, or not there yet, is made an overlay;
 * one without the head where it must be is refused. */
#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/broker.h"
#include "os/file.h"
#include "os/memory.h"
#include "store/cow_impl.h"

#define MIB (UINT64_C(1) << 20)
#define LOCK_AGAIN_MS 20
#define LOCK_TRIES 150 /* three seconds */

static const char magic[8] = "vub-cow1";

struct head {
    char magic[8];
    uint64_t size; /* of the disk; little endian, as all here */
    uint32_t block_size, zero;
};

struct over_root {
    struct conf_any store;
};

static const struct conf_key over_keys[] = {
    {"store", CONF_UNION, CONF_AT(struct over_root, store), .required = true,
     .of = &store_union},
    {NULL},
};

static const struct conf_table over_table = {
    .name = "overlay",
    .size = sizeof(struct over_root),
    .keys = over_keys,
};

static void mark_dirty(struct cow *c, uint64_t page)
{
    if (!cow_is_on_file(c) || c->dirty[page])
        return;
    c->dirty[page] = 1;
    c->num_dirty++;
}

void cow_set_ours(struct cow *c, uint64_t from, uint64_t to, bool ours)
{
    bool had_any = c->num_ours > 0;
    uint64_t next, changed;

    for (uint64_t at = from; at < to; at = next) {
        uint64_t page = at / COW_PAGE_BLOCKS;

        next = MIN((page + 1) * COW_PAGE_BLOCKS, to);
        changed = bitmap_set(c->ours, at, next, ours);
        if (!changed)
            continue;
        c->num_ours += ours ? changed : -changed;
        mark_dirty(c, page);
    }
    if (had_any != (c->num_ours > 0))
        cow_keep_state(c);
}

void cow_set_taken(struct cow *c, uint64_t from, uint64_t to, bool taken)
{
    uint64_t changed = bitmap_set(c->taken, from, to, taken);

    c->num_taken += taken ? changed : -changed;
}

/* ---- the file ---- */

static int read_all(int fd, void *buf, uint64_t len, uint64_t at)
{
    uint8_t *to = buf;

    while (len) {
        struct iovec v = {to, (size_t)MIN(len, MIB)};
        ssize_t n = file_readv(fd, &v, 1, at, 0);

        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        to += n;
        at += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

static int write_all(int fd, const void *buf, uint64_t len, uint64_t at)
{
    const uint8_t *from = buf;

    while (len) {
        struct iovec v = {(void *)from, (size_t)MIN(len, MIB)};
        ssize_t n = file_writev(fd, &v, 1, at, 0);

        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        from += n;
        at += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

static struct head head_of(const struct cow *c)
{
    struct head h = {
        .size = htole64(c->filter.store.info.size),
        .block_size = htole32(c->conf->block_size),
    };

    memcpy(h.magic, magic, sizeof(h.magic));
    return h;
}

static uint64_t file_len(const struct cow *c)
{
    return c->data_len + COW_PAGE_BYTES + c->map_len;
}

static int make_file(struct cow *c, int fd)
{
    uint8_t page[COW_PAGE_BYTES] = {0};
    struct head h = head_of(c);
    int rc;

    if (ftruncate(fd, (off_t)file_len(c)) < 0)
        return -errno;
    memcpy(page, &h, sizeof(h));
    rc = write_all(fd, page, sizeof(page), c->data_len);
    return rc < 0 ? rc : file_sync(fd);
}

static int read_map(struct cow *c, int fd, const char *at, struct errs *e)
{
    struct head h, want = head_of(c);
    uint64_t size = 0;
    int rc = file_size(fd, &size);

    if (rc == 0 && size != file_len(c))
        rc = -EINVAL;
    if (rc == 0)
        rc = read_all(fd, &h, sizeof(h), c->data_len);
    if (rc < 0 || memcmp(&h, &want, sizeof(h)) != 0)
        return errs_at(e, at, "overlay",
                       "%s is no overlay of a disk of %" PRIu64
                       " bytes with blocks of %" PRIu32,
                       c->conf->overlay, c->filter.store.info.size,
                       c->conf->block_size);
    rc = read_all(fd, c->ours, (c->blocks + 7) / 8,
                  c->data_len + COW_PAGE_BYTES);
    if (rc < 0)
        return errs_at(e, at, "overlay", "cannot read the map of %s: %s",
                       c->conf->overlay, strerror(-rc));
    return 0;
}

static int open_file(struct cow *c, const char *at, struct errs *e)
{
    const char *path = c->conf->overlay;
    struct stat st;
    struct err err;
    int fd, rc;

    fd = broker_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0) {
        broker_fail(&err, fd, "open", path);
        return errs_adopt(e, at, "overlay", &err);
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        rc = errs_at(e, at, "overlay", "%s is no regular file", path);
    } else if (st.st_size == 0) {
        rc = make_file(c, fd);
        if (rc < 0)
            rc = errs_at(e, at, "overlay", "cannot make %s: %s", path,
                         strerror(-rc));
    } else {
        rc = read_map(c, fd, at, e);
    }
    close(fd);
    return rc;
}

/* What was not flushed, at an orderly end. */
static void write_map(struct cow *c)
{
    int fd = broker_open(c->conf->overlay, O_RDWR | O_CLOEXEC, 0);
    int rc = fd < 0 ? fd : file_sync(fd);

    for (uint64_t i = 0; rc == 0 && i < c->map_len / COW_PAGE_BYTES; i++)
        if (c->dirty[i])
            rc = write_all(fd, c->ours + i * COW_PAGE_BYTES, COW_PAGE_BYTES,
                           c->data_len + (i + 1) * COW_PAGE_BYTES);
    if (rc < 0)
        log_error(c->filter.store.id, "cannot write the map of %s: %s",
                  c->conf->overlay, strerror(-rc));
    if (fd >= 0)
        close(fd);
}

/* ---- the store ---- */

static int open_store(struct cow *c, struct errs *e)
{
    struct json_out o = JSON_OUT_EMPTY;
    char size[32];
    void *root;
    int rc;

    snprintf(size, sizeof(size), "%" PRIu64, c->data_len);
    json_begin(&o, NULL, '{');
    json_begin(&o, "store", '{');
    json_add_str(&o, "type", cow_is_on_file(c) ? "file" : "memory");
    if (cow_is_on_file(c))
        json_add_str(&o, "path", c->conf->overlay);
    else
        json_add_str(&o, "size", size);
    json_end(&o, '}');
    json_end(&o, '}');
    if (o.failed) {
        json_out_free(&o);
        return errs_nomem(e);
    }
    rc = conf_read_text(&c->doc, &root, &over_table, o.text, o.len, "/", NULL,
                        e);
    json_out_free(&o);
    if (rc < 0)
        return rc;
    return store_open(&c->over, &((struct over_root *)root)->store, false,
                      c->filter.store.id, e);
}

static void free_maps(struct cow *c)
{
    if (c->ours)
        memory_drop(c->ours, c->map_len, -1);
    if (c->taken)
        memory_drop(c->taken, c->map_len, -1);
    free(c->dirty);
    c->ours = c->taken = c->dirty = NULL;
}

static int make_maps(struct cow *c)
{
    uint64_t pages = c->map_len / COW_PAGE_BYTES;

    c->ours = memory_zeros(c->map_len);
    c->taken = memory_zeros(c->map_len);
    c->dirty = calloc(pages, 1);
    return c->ours && c->taken && c->dirty ? 0 : -ENOMEM;
}

static void count_blocks(struct cow *c)
{
    memcpy(c->taken, c->ours, c->map_len);
    c->num_ours = c->num_taken = bitmap_count(c->ours, 0, c->blocks);
}

/* Nobody else may use it, for as long as we have its map in memory. The kernel
 * may still be at work for one that was killed, for a moment: no loop waits
 * while a store is opened. */
static int own_file(struct cow *c, const char *at, struct errs *e)
{
    const struct timespec pause = {.tv_nsec = LOCK_AGAIN_MS * 1000000L};
    struct err err;
    int rc;

    for (unsigned i = 0; (rc = store_acquire(c->over, &err)) == -EAGAIN; i++) {
        if (i == LOCK_TRIES)
            break;
        nanosleep(&pause, NULL);
    }
    return rc < 0 ? errs_adopt(e, at, "overlay", &err) : 0;
}

int cow_overlay_open(struct cow *c, const char *at, struct errs *e)
{
    uint64_t size = c->filter.store.info.size, block = c->conf->block_size;
    uint64_t bytes;
    int rc;

    c->shift = (unsigned)__builtin_ctz(c->conf->block_size);
    c->blocks = (size + block - 1) / block;
    bytes = (c->blocks + 7) / 8;
    c->map_len = (bytes + COW_PAGE_BYTES - 1) / COW_PAGE_BYTES * COW_PAGE_BYTES;
    c->data_len = (size + MIB - 1) / MIB * MIB;
    c->max_taken = c->conf->max_memory >> c->shift;
    if (c->blocks > COW_BLOCKS_MAX)
        return errs_at(e, at, "block_size",
                       "a disk of %" PRIu64 " bytes has too many blocks of "
                       "%" PRIu64,
                       size, block);
    rc = make_maps(c) < 0 ? errs_nomem(e) : 0;
    if (rc == 0 && cow_is_on_file(c)) {
        /* It is made before it can be locked, and read after. */
        rc = open_file(c, at, e);
        if (rc == 0)
            rc = open_store(c, e);
        if (rc == 0)
            rc = own_file(c, at, e);
        if (rc == 0)
            rc = open_file(c, at, e);
        if (rc == 0)
            count_blocks(c);
    } else if (rc == 0) {
        rc = open_store(c, e);
    }
    if (rc < 0)
        cow_overlay_close(c);
    return rc;
}

void cow_overlay_close(struct cow *c)
{
    if (c->num_dirty)
        write_map(c);
    c->num_dirty = 0;
    if (c->over) {
        store_release(c->over);
        store_close(c->over);
    }
    c->over = NULL;
    if (c->doc)
        conf_free(c->doc);
    c->doc = NULL;
    free_maps(c);
}
