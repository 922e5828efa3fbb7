/* SIGKILL between any two stores: a guest's driver notices nothing.
 *
 * A child has the device, and dies at the n-th store to what outlives it: the
 * ledger, the rings, their in-flight records. Those are write-protected there,
 * and each store that is allowed after all is stepped over (one instruction).
 * Another child goes on with what the first one has left, or dies too and has
 * its own successor. In the end all answers and all of the state must be what
 * they are without any death; and so for each n. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../virtio/stores.h"
#include "base/log.h"
#include "device/gpu/ledger_book.h"
#include "os/memory.h"
#include "virtio/inflight_impl.h"
#include "whole.h"

/* ---- the child's stores ---- */

/* The book, and of each ring its parts and its record. */
#define BOOK 0
static struct {
    uint8_t *at;
    size_t len;
} guarded[5];
static unsigned open_one; /* of these, for the store that is made */
static unsigned stores, die_at;

static void protect(unsigned i, int prot)
{
    if (mprotect(guarded[i].at, guarded[i].len, prot) < 0)
        abort();
}

/* Images of cursors are written where nothing points to, byte by byte: one of
 * these stores is like the other. */
static bool is_of_image(const uint8_t *at)
{
    size_t offset = (size_t)(at - guarded[BOOK].at);
    size_t from = offsetof(struct book, cursors);
    size_t one = sizeof(struct book_cursor);

    return at >= guarded[BOOK].at && offset >= from &&
           offset < from + VIRTIO_GPU_MAX_SCANOUTS * one &&
           (offset - from) % one >= offsetof(struct book_cursor, images);
}

/* The page is open until the next store to another one. */
static void let_pass(uint8_t *at)
{
    uintptr_t page = memory_page_bytes();

    if (mprotect((void *)((uintptr_t)at & ~(page - 1)), page,
                 PROT_READ | PROT_WRITE) < 0)
        abort();
}

/* Before a store. */
static enum stores_way on_store(uint8_t *at)
{
    for (unsigned i = 0; i < ARRAY_LEN(guarded); i++) {
        if (at < guarded[i].at || at >= guarded[i].at + guarded[i].len)
            continue;
        if (++stores == die_at)
            kill(getpid(), SIGKILL);
        if (i == BOOK && is_of_image(at)) {
            let_pass(at);
            return STORES_LET;
        }
        protect(i, PROT_READ | PROT_WRITE);
        open_one = i;
        return STORES_STEP;
    }
    return STORES_FAULT;
}

/* After it. */
static void on_stored(void)
{
    protect(open_one, PROT_READ);
}

static void guard(unsigned i, void *at, size_t len)
{
    uintptr_t page = memory_page_bytes();
    uintptr_t from = (uintptr_t)at & ~(page - 1);

    len = ((uintptr_t)at + len - from + page - 1) & ~(page - 1);
    guarded[i].at = (void *)from;
    guarded[i].len = len;
    protect(i, PROT_READ);
}

/* The linker puts this in front of keep_get: the book is guarded from the first
 * moment on. */
int __wrap_keep_get(struct kept *k, const char *id, const char *name,
                    uint64_t len, struct err *e);
int __real_keep_get(struct kept *k, const char *id, const char *name,
                    uint64_t len, struct err *e);

int __wrap_keep_get(struct kept *k, const char *id, const char *name,
                    uint64_t len, struct err *e)
{
    int rc = __real_keep_get(k, id, name, len, e);

    if (rc == 0 && die_at > 0 && strcmp(name, BOOK_NAME) == 0)
        guard(BOOK, k->at, k->len);
    return rc;
}

static void guard_rings(struct world *w)
{
    stores_watch(on_store, on_stored);
    for (unsigned i = 0; i < 2; i++) {
        struct guest *g = &w->rings[i];

        guard(1 + 2 * i, mem_region(g->mem, 0)->host, GUEST_DATA - GUEST_DESC);
        guard(2 + 2 * i, g->setup.inflight->region, 1);
    }
}

/* ---- children ---- */

static void on_change(const struct keep_item *item, void *arg)
{
    (void)item;
    (void)arg;
}

/* What outlives them. */
struct left {
    struct world *world;
    int book, pixels;
};

static void put(const char *name, uint64_t len, int fd)
{
    struct keep_item item = {.id = "gpu", .len = len, .fd = fd};

    strcpy(item.name, name);
    if (keep_put(&item) < 0)
        abort();
}

static void be_the_device(struct left *left, const struct script *s,
                          unsigned window, unsigned at)
{
    struct world *w = left->world;
    struct whole *d;

    log_set(LOG_ERROR, LOG_TEXT);
    keep_on_change(on_change, NULL);
    put(BOOK_NAME, sizeof(struct book), left->book);
    put("pixels.1", ARENA_BYTES, left->pixels);
    die_at = at;
    if (at > 0)
        guard_rings(w);
    d = whole_open(",'max_memory':'1M'");
    whole_start(d, w, inflight_in_use(w->rings[0].inflight));
    whole_run(d, s, window);
    world_write_state(w, d->gpu);
    _exit(0);
}

/* Has it come to the end? at: the store that it dies at; 0: it does not. */
static bool run_child(struct left *left, const struct script *s,
                      unsigned window, unsigned at)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        be_the_device(left, s, window, at);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        assert_true(at > 0);
        return false;
    }
    if (status != 0)
        fail_msg("a child has failed, which was to die at store %u", at);
    return true;
}

static void begin(struct left *left, bool packed)
{
    struct err e;

    left->world = world_new(packed);
    assert_int_equal(
        memory_create("book", (sizeof(struct book) + 4095) & ~UINT64_C(4095),
                      &left->book, &e),
        0);
    assert_int_equal(memory_create("pixels", ARENA_BYTES, &left->pixels, &e),
                     0);
}

static void end(struct left *left)
{
    close(left->book);
    close(left->pixels);
    world_free(left->world);
}

/* ---- what must be the same ---- */

struct outcome {
    struct response responses[SCRIPT_MAX];
    char state[sizeof(((struct world *)0)->state)];
};

static void compare(const struct script *s, const struct world *w,
                    const struct outcome *right, const char *when)
{
    for (unsigned i = 0; i < s->num; i++) {
        const struct virtio_gpu_ctrl_hdr *hdr =
            (const void *)w->responses[i].bytes;
        size_t len = w->responses[i].len;

        if (le32toh(hdr->type) == VIRTIO_GPU_RESP_OK_RESOURCE_UUID)
            len = sizeof(*hdr); /* the rest is chance */
        if (w->responses[i].len != right->responses[i].len ||
            memcmp(w->responses[i].bytes, right->responses[i].bytes, len) != 0)
            fail_msg("%s: command %u has another answer: 0x%x", when, i,
                     le32toh(hdr->type));
    }
    if (strcmp(w->state, right->state) != 0)
        fail_msg("%s: the state is\n%s\nnot\n%s", when, w->state, right->state);
}

/* The first of so many children dies at store n, the next one at store n2, if
 * that is not 0. Has the first one come to the end without dying? */
static bool die(const struct script *s, bool packed, unsigned window,
                unsigned n, unsigned n2, const struct outcome *right)
{
    struct left left;
    char when[64];
    bool ended;

    begin(&left, packed);
    ended = run_child(&left, s, window, n);
    if (!ended && (n2 == 0 || !run_child(&left, s, window, n2)))
        run_child(&left, s, window, 0);
    snprintf(when, sizeof(when), "died at store %u, then %u", n, n2);
    compare(s, left.world, right, when);
    end(&left);
    return ended;
}

static void without_a_death(const struct script *s, bool packed,
                            unsigned window, struct outcome *out)
{
    struct left left;

    begin(&left, packed);
    assert_true(run_child(&left, s, window, 0));
    memcpy(out->responses, left.world->responses, sizeof(out->responses));
    strcpy(out->state, left.world->state);
    end(&left);
}

/* Stores are as good as any: some are left out where a process takes long to
 * start. */
#ifdef __SANITIZE_ADDRESS__
#define EACH 13
#else
#define EACH 7
#endif

static void die_everywhere(const struct script *s, bool packed, unsigned window)
{
    static struct outcome right;
    unsigned n = 1;

    without_a_death(s, packed, window, &right);
    while (!die(s, packed, window, n, n % 7 == 0 ? n / 7 : 0, &right))
        n += EACH;
    print_message("%u stores\n", n);
    assert_true(n > 10 * s->num);
}

/* ---- stories ---- */

static const struct rect all = {0, 0, 32, 16}, some = {5, 3, 20, 10};
static const struct rect side = {0, 0, 64, 64};

/* Resources come, are shown and go; some commands fail. */
static void resources(struct script *s)
{
    script_create(s, 1, 32, 16);
    script_attach(s, 1, 0, 3, 1024);
    script_scanout(s, 0, 1, &all);
    script_transfer(s, 1, &all, 0);
    script_flush(s, 1, &all);
    script_create(s, 1, 8, 8); /* there is one */
    script_create_blob(s, 2, 4096, 4096, 70, 64);
    script_scanout_blob(s, 1, 2, &some, 128);
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, 2);
    script_scanout(s, 2, 1, &some);
    script_transfer(s, 1, &some, 260);
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 1);
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 1); /* has none */
    script_attach(s, 1, 8192, 65, 32);
    script_display_info(s);
    script_transfer(s, 1, &all, 0);
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_UNREF, 2);
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, 2); /* there is none */
    script_create(s, 3, 16, 16);
    script_scanout(s, 0, 3, &(struct rect){0, 0, 16, 16});
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1);
    script_create(s, 1, 4, 4);
    script_create(s, 4, 1024, 1024); /* more than there may be */
    script_scanout(s, 0, 0, &all);
    script_scanout(s, 3, 1, &(struct rect){1, 1, 2, 2});
}

static void cursors(struct script *s)
{
    script_create(s, 1, 64, 64);
    script_attach(s, 1, 0, 1, 65536);
    script_transfer(s, 1, &side, 0);
    script_cursor(s, true, 0, 1, 10, 20);
    script_cursor(s, false, 0, 1, 11, UINT32_MAX);
    script_cursor(s, true, 1, 9, 1, 2); /* there is no such resource */
    script_transfer(s, 1, &side, 16384);
    script_cursor(s, true, 1, 1, 1, 2);
    script_cursor(s, true, 0, 1, 3, 4);
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1);
    script_cursor(s, false, 1, 0, 5, 6);
    script_cursor(s, false, 0, 1, 7, 8);
}

static void story(void (*tell)(struct script *s), bool packed, unsigned window)
{
    static struct script s;

    s.num = 0;
    tell(&s);
    die_everywhere(&s, packed, window);
}

static void resources_one_by_one(void **state)
{
    (void)state;
    story(resources, false, 1);
}

static void resources_in_batches_of_a_packed_ring(void **state)
{
    (void)state;
    story(resources, true, 5);
}

static void resources_all_at_once(void **state)
{
    (void)state;
    story(resources, false, SCRIPT_MAX);
}

static void cursors_in_batches(void **state)
{
    (void)state;
    story(cursors, false, 3);
}

static void cursors_of_a_packed_ring(void **state)
{
    (void)state;
    story(cursors, true, SCRIPT_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resources_one_by_one),
        cmocka_unit_test(resources_in_batches_of_a_packed_ring),
        cmocka_unit_test(resources_all_at_once),
        cmocka_unit_test(cursors_in_batches),
        cmocka_unit_test(cursors_of_a_packed_ring),
    };

    if (!STORES_CAN_STEP) {
        print_message("[  SKIPPED ] unit.gpu.kill: this processor cannot step "
                      "itself\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
