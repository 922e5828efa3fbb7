#include "left.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/memory.h"

static void copy_range(int from, int to, off_t at, off_t end)
{
    static uint8_t buf[1 << 16];

    while (at < end) {
        ssize_t n = pread(from, buf, MIN(sizeof(buf), (size_t)(end - at)), at);

        assert_true(n > 0);
        assert_int_equal(pwrite(to, buf, (size_t)n, at), n);
        at += n;
    }
}

/* Only what is there: most of it may be a hole. */
static int copy_of(const struct keep_item *item)
{
    off_t size = lseek(item->fd, 0, SEEK_END), at = 0;
    struct err e;
    int fd;

    assert_true(size > 0);
    assert_int_equal(memory_create("left", (uint64_t)size, &fd, &e), 0);
    while ((at = lseek(item->fd, at, SEEK_DATA)) >= 0) {
        off_t end = lseek(item->fd, at, SEEK_HOLE);

        copy_range(item->fd, fd, at, end);
        at = end;
    }
    return fd;
}

void left_take(struct left *l, const char *id)
{
    l->num = keep_take(id, &l->items);
    assert_true(l->num >= 0);
    keep_untake(id);
    for (int i = 0; i < l->num; i++) {
        int fd = copy_of(&l->items[i]);

        close(l->items[i].fd);
        l->items[i].fd = fd;
    }
}

static uint8_t *map(const struct keep_item *item)
{
    uint8_t *at =
        mmap(NULL, item->len, PROT_READ | PROT_WRITE, MAP_SHARED, item->fd, 0);

    assert_true(at != MAP_FAILED);
    return at;
}

uint8_t *left_at(struct left *l, const char *name, uint64_t *len)
{
    for (int i = 0; i < l->num; i++)
        if (strcmp(l->items[i].name, name) == 0) {
            *len = l->items[i].len;
            return map(&l->items[i]);
        }
    return NULL;
}

void left_spoil(struct left *l, unsigned seed)
{
    srandom(seed);
    for (int i = 0; i < l->num; i++) {
        uint64_t len = MIN(l->items[i].len, UINT64_C(1) << 16);
        uint8_t *at = map(&l->items[i]);

        for (uint64_t j = 0; j < len; j++)
            if (seed % 4 == 0 || random() % 64 == 0)
                at[j] = seed % 4 == 1 ? 0xff : (uint8_t)random();
        munmap(at, l->items[i].len);
    }
}

void left_put(struct left *l)
{
    for (int i = 0; i < l->num; i++)
        assert_int_equal(keep_put(&l->items[i]), 0);
    free(l->items);
    *l = (struct left){NULL, 0};
}

int left_count(const char *id)
{
    struct keep_item *items;
    int n = keep_take(id, &items);

    assert_true(n >= 0);
    keep_untake(id);
    for (int i = 0; i < n; i++)
        close(items[i].fd);
    free(items);
    return n;
}
