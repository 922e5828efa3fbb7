#include "pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct mem *pages_map(struct pages *p, uint32_t num)
{
    struct mem_region_conf conf = {
        .gpa = PAGES_GPA,
        .len = (uint64_t)num * PAGE,
        .uva = GUEST_UVA,
    };
    struct mem *none = mem_new(), *mem = NULL;
    struct err e;

    assert_non_null(none);
    assert_int_equal(mem_add(none, &conf, p->fd, &mem, &e), 0);
    mem_unref(none);
    return mem;
}

struct pages *pages_new(uint32_t num)
{
    struct pages *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    p->len = (uint64_t)num * PAGE;
    p->fd = memfd_create("pages", MFD_CLOEXEC);
    assert_true(p->fd >= 0);
    assert_int_equal(ftruncate(p->fd, (off_t)p->len), 0);
    p->at = mmap(NULL, p->len, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    assert_true(p->at != MAP_FAILED);
    for (uint64_t i = 0; i < p->len; i += 4) {
        uint32_t word = (uint32_t)(i / 4) * UINT32_C(0x9e3779b1);

        memcpy(p->at + i, &word, 4);
    }
    p->mem = pages_map(p, num);
    return p;
}

void pages_free(struct pages *p)
{
    mem_unref(p->mem);
    munmap(p->at, p->len);
    close(p->fd);
    free(p);
}

uint32_t pages_random(uint32_t below)
{
    static uint64_t state = 1;

    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)((state >> 32) % below);
}

static struct backing_entry *entries_new(uint32_t num)
{
    struct backing_entry *e = calloc(num, sizeof(*e));

    assert_non_null(e);
    return e;
}

struct backing_entry *pages_in_order(uint32_t num)
{
    struct backing_entry *e = entries_new(num);

    for (uint32_t i = 0; i < num; i++)
        e[i] = (struct backing_entry){PAGES_GPA + (uint64_t)i * PAGE, PAGE};
    return e;
}

struct backing_entry *pages_shuffled(uint32_t num)
{
    struct backing_entry *e = pages_in_order(num), keep;

    for (uint32_t i = num - 1; i > 0; i--) {
        uint32_t k = pages_random(i + 1);

        keep = e[i];
        e[i] = e[k];
        e[k] = keep;
    }
    return e;
}

struct backing_entry *pages_odd(const struct pages *p, uint32_t num)
{
    struct backing_entry *e = entries_new(num);

    for (uint32_t i = 0; i < num; i++) {
        e[i].len = 1 + pages_random(i % 3 ? 9 : 2 * PAGE);
        e[i].gpa = PAGES_GPA + pages_random((uint32_t)p->len - e[i].len + 1);
    }
    return e;
}

uint8_t *pages_flat(const struct pages *p, const struct backing_entry *e,
                    uint32_t num, uint64_t *len)
{
    uint8_t *flat, *to;

    *len = 0;
    for (uint32_t i = 0; i < num; i++)
        *len += e[i].len;
    to = flat = malloc(*len + 1);
    assert_non_null(flat);
    for (uint32_t i = 0; i < num; i++) {
        memcpy(to, p->at + (e[i].gpa - PAGES_GPA), e[i].len);
        to += e[i].len;
    }
    return flat;
}
