/* Memory that another process goes on with: found, or not, and what is refused
 * of it. */
#include "os/keep.h"
#include "rig.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "os/memory.h"

static void get(struct kept *k, const char *name, uint64_t len, bool found)
{
    struct err e;

    assert_int_equal(keep_get(k, "d", name, len, &e), 0);
    assert_int_equal(k->found, found);
    assert_int_equal(k->len, len);
}

static struct keep_item item_of(const char *name, uint64_t len, int fd)
{
    struct keep_item item = {.id = "d", .len = len, .fd = fd};

    snprintf(item.name, sizeof(item.name), "%s", name);
    return item;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void new_memory_is_zeros_and_is_forgotten_when_dropped(void **state)
{
    struct kept k;

    (void)state;
    get(&k, "block.1", 10000, false);
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(k.at[i], 0);
    memset(k.at, 1, 10000);
    keep_drop(&k);
    assert_null(k.at);
    keep_drop(&k); /* safe */
    get(&k, "block.1", 10000, false);
    assert_int_equal(k.at[0], 0);
    keep_drop(&k);
}

static void one_name_has_one_user(void **state)
{
    struct kept k, other;
    struct err e;

    (void)state;
    get(&k, "a.1", 100, false);
    assert_int_equal(keep_get(&other, "d", "a.1", 100, &e), -EBUSY);
    assert_null(other.at);
    assert_int_equal(keep_get(&other, "another", "a.1", 100, &e), 0);
    keep_drop(&other);
    get(&other, "a.2", 100, false);
    keep_drop(&other);
    keep_drop(&k);
}

static void names_and_lengths_that_make_no_sense_are_refused(void **state)
{
    char id[KEEP_NAME_MAX + 2];
    struct kept k;
    struct err e;

    (void)state;
    memset(id, 'i', sizeof(id));
    id[KEEP_NAME_MAX + 1] = '\0';
    assert_int_equal(keep_get(&k, id, "a", 1, &e), -EINVAL);
    assert_int_equal(keep_get(&k, "d", "", 1, &e), -EINVAL);
    assert_int_equal(keep_get(&k, "d", "a", 0, &e), -EINVAL);
    assert_int_equal(keep_get(&k, "d", "a", UINT64_MAX, &e), -EINVAL);
    assert_int_equal(keep_get(&k, "d", "a", INT64_MAX, &e), -EINVAL);
    assert_true(keep_get(&k, "d", "a", INT64_MAX / 2, &e) < 0);
    assert_null(k.at);
    id[KEEP_NAME_MAX] = '\0';
    assert_int_equal(keep_get(&k, id, "a", 1, &e), 0);
    keep_drop(&k);
}

/* Gives what there is of d to a process that is new, as it were: forgets it
 * here and puts it again. Returns how many. */
static int hand_on(struct kept *const *users, unsigned num)
{
    struct keep_item *items;
    int n = keep_take("d", &items);

    assert_true(n >= 0);
    for (unsigned i = 0; i < num; i++)
        keep_drop(users[i]);
    keep_untake("d");
    keep_forget("d");
    for (int i = 0; i < n; i++)
        assert_int_equal(keep_put(&items[i]), 0);
    free(items);
    return n;
}

static void what_is_handed_on_is_found(void **state)
{
    struct kept a, b;

    (void)state;
    get(&a, "a.1", 100, false);
    get(&b, "b.1", 9000, false);
    strcpy((char *)a.at, "of a");
    strcpy((char *)b.at + 8900, "of b");
    assert_int_equal(hand_on((struct kept *[]){&a, &b}, 2), 2);
    get(&b, "b.1", 9000, true);
    assert_int_equal(keep_find(&a, "d", "a.1", 100, NULL), 0);
    assert_true(a.found);
    assert_string_equal((char *)a.at, "of a");
    assert_string_equal((char *)b.at + 8900, "of b");
    keep_drop(&a);
    keep_drop(&b);
    assert_int_equal(keep_find(&a, "d", "a.1", 100, NULL), -ENOENT);
    assert_null(a.at);
    get(&a, "a.1", 100, false);
    keep_drop(&a);
}

static void memory_of_another_length_or_name_is_not_found(void **state)
{
    struct kept k;

    (void)state;
    get(&k, "a.1", 100, false);
    hand_on((struct kept *[]){&k}, 1);
    get(&k, "a.2", 100, false);
    keep_drop(&k);
    get(&k, "a.1", 101, false);
    keep_drop(&k);
    get(&k, "a.1", 100, false); /* it has gone with the first look */
    keep_drop(&k);
}

static void what_nobody_asks_for_is_forgotten(void **state)
{
    struct kept k;
    struct keep_item *items;

    (void)state;
    get(&k, "a.1", 100, false);
    hand_on((struct kept *[]){&k}, 1);
    keep_forget("another");
    assert_int_equal(keep_take("d", &items), 1);
    close(items[0].fd);
    free(items);
    keep_forget("d");
    get(&k, "a.1", 100, false);
    keep_forget("d"); /* not what somebody has */
    assert_int_equal(keep_take("d", &items), 1);
    close(items[0].fd);
    free(items);
    keep_untake("d");
    keep_drop(&k);
}

static void a_hand_over_that_fails_leaves_it_to_be_found_here(void **state)
{
    struct keep_item *items;
    struct kept k;

    (void)state;
    get(&k, "a.1", 100, false);
    k.at[7] = 7;
    assert_int_equal(keep_take("d", &items), 1);
    assert_string_equal(items[0].id, "d");
    assert_string_equal(items[0].name, "a.1");
    assert_int_equal(items[0].len, 100);
    close(items[0].fd);
    free(items);
    keep_drop(&k);
    keep_untake("d");
    get(&k, "a.1", 100, true);
    assert_int_equal(k.at[7], 7);
    keep_drop(&k);
    get(&k, "a.1", 100, false);
    keep_drop(&k);
}

static int sealed(uint64_t len, int seals, unsigned flags)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

    if (fd < 0)
        return -1;
    assert_int_equal(ftruncate(fd, (off_t)len), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void refuse(const char *name, uint64_t len, int fd)
{
    struct keep_item item = item_of(name, len, fd);

    assert_true(fd >= 0);
    assert_int_equal(keep_put(&item), -EINVAL);
    assert_false(is_open(fd));
}

static void files_that_could_hurt_are_refused(void **state)
{
    const int good = F_SEAL_SHRINK | F_SEAL_SEAL;
    char path[] = "/tmp/vub-keep-XXXXXX", self[64];
    struct keep_item item;
    int fd;

    (void)state;
    refuse("a", 4096, sealed(4096, F_SEAL_SHRINK, 0)); /* may be sealed more */
    refuse("a", 4096, sealed(4096, F_SEAL_SEAL, 0));   /* may shrink */
    refuse("a", 4096, sealed(4096, good | F_SEAL_WRITE, 0));
    refuse("a", 4096, sealed(0, good, 0));
    refuse("a", 0, sealed(0, good, 0));
    refuse("a", 4097, sealed(4096, good, 0));
    refuse("a", 4096, sealed(8192, good, 0));
    refuse("a", UINT64_MAX, sealed(4096, good, 0));
    refuse("", 4096, sealed(4096, good, 0));
    fd = mkstemp(path);
    assert_int_equal(ftruncate(fd, 4096), 0);
    unlink(path);
    refuse("a", 4096, fd);
    fd = sealed(2 << 20, good, MFD_HUGETLB);
    if (fd >= 0)
        refuse("a", 2 << 20, fd);
    fd = sealed(4096, good, 0);
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    refuse("a", 4096, open(self, O_RDONLY | O_CLOEXEC));
    item = item_of("a", 4096, fd);
    memset(item.id, 'i', sizeof(item.id)); /* no end */
    assert_int_equal(keep_put(&item), -EINVAL);
    assert_false(is_open(fd));
    fd = sealed(4096, good, 0);
    item = item_of("a", 4096, fd);
    assert_int_equal(keep_put(&item), 0);
    keep_forget("d");
    assert_false(is_open(fd));
}

static void memory_cannot_shrink_under_its_user(void **state)
{
    struct kept k;

    (void)state;
    get(&k, "a.1", 4096, false);
    assert_true(ftruncate(k.fd, 0) < 0);
    keep_drop(&k);
}

static void a_device_has_a_bounded_number(void **state)
{
    struct keep_item item;
    struct kept k;
    struct err e;
    int fd;

    (void)state;
    for (unsigned i = 0; i < KEEP_ITEMS_MAX; i++) {
        item = item_of("", 1, sealed(4096, F_SEAL_SHRINK | F_SEAL_SEAL, 0));
        if (item.fd < 0 && errno == EMFILE)
            break; /* the limit of fds is lower */
        snprintf(item.name, sizeof(item.name), "%u", i);
        assert_int_equal(keep_put(&item), 0);
    }
    fd = sealed(4096, F_SEAL_SHRINK | F_SEAL_SEAL, 0);
    if (fd >= 0) {
        item = item_of("more", 1, fd);
        assert_int_equal(keep_put(&item), -EMFILE);
        assert_false(is_open(fd));
    }
    assert_int_equal(keep_get(&k, "d", "more", 1, &e), -EMFILE);
    keep_forget("d");
}

/* ---- who watches ---- */

static struct {
    char said[256];
    unsigned open_fds;
} heard;

static void on_change(const struct keep_item *item, void *arg)
{
    size_t len = strlen(heard.said);

    assert_ptr_equal(arg, &heard);
    snprintf(heard.said + len, sizeof(heard.said) - len, "%c%s/%s ",
             item->fd < 0 ? '-' : '+', item->id, item->name);
    if (item->fd >= 0) {
        assert_true(is_open(item->fd));
        heard.open_fds++;
    }
}

static void whoever_watches_is_told_of_all_that_comes_and_goes(void **state)
{
    struct keep_item *items;
    struct kept k;

    (void)state;
    assert_false(keep_survives_kill());
    keep_on_change(on_change, &heard);
    assert_true(keep_survives_kill());
    get(&k, "a.1", 4096, false);
    assert_string_equal(heard.said, "+d/a.1 ");
    assert_int_equal(keep_take("d", &items), 1);
    keep_drop(&k); /* handed on: it is still there */
    assert_string_equal(heard.said, "+d/a.1 ");
    keep_untake("d");
    get(&k, "a.1", 4096, true); /* nothing new */
    keep_drop(&k);
    assert_string_equal(heard.said, "+d/a.1 -d/a.1 ");
    assert_int_equal(keep_put(&items[0]), 0); /* they know */
    free(items);
    get(&k, "a.1", 8192, false);
    assert_string_equal(heard.said, "+d/a.1 -d/a.1 -d/a.1 +d/a.1 ");
    keep_drop(&k);
    keep_on_change(NULL, NULL);
    assert_false(keep_survives_kill());
}

/* ---- what changes as a whole ---- */

struct whole {
    uint64_t words[100];
};

static void what_was_never_written_is_not_read(void **state)
{
    struct kept k;
    struct whole w;

    (void)state;
    get(&k, "a.1", keep_pair_bytes(sizeof(w)), false);
    assert_false(keep_pair_read(k.at, &w, sizeof(w)));
    memset(&w, 5, sizeof(w));
    keep_pair_write(k.at, &w, sizeof(w));
    memset(&w, 0, sizeof(w));
    assert_true(keep_pair_read(k.at, &w, sizeof(w)));
    assert_int_equal(w.words[99], UINT64_C(0x0505050505050505));
    keep_drop(&k);
}

static void a_whole_survives_sigkill_whole(void **state)
{
    struct kept k;
    struct whole w, again;
    pid_t pid;

    (void)state;
    get(&k, "a.1", keep_pair_bytes(sizeof(w)), false);
    memset(&w, 0, sizeof(w));
    for (unsigned round = 0; round < 200; round++) {
        uint64_t before = round ? w.words[0] : 0;

        pid = fork();
        if (pid == 0) {
            for (;;) {
                for (unsigned i = 0; i < 100; i++)
                    w.words[i]++;
                keep_pair_write(k.at, &w, sizeof(w));
            }
        }
        assert_true(pid > 0);
        do /* it has begun */
            keep_pair_read(k.at, &again, sizeof(again));
        while (__atomic_load_n((uint64_t *)k.at, __ATOMIC_ACQUIRE) <
               before + 1 + round % 7);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(keep_pair_read(k.at, &again, sizeof(again)));
        for (unsigned i = 1; i < 100; i++)
            assert_int_equal(again.words[i], again.words[0]);
        assert_true(again.words[0] > before);
        w = again;
    }
    keep_drop(&k);
}

/* ---- threads ---- */

static void *many(void *arg)
{
    const char *id = arg;
    struct kept k;
    struct err e;

    for (unsigned i = 0; i < 500; i++) {
        if (keep_get(&k, id, "a.1", 4096, &e) < 0)
            return "get";
        k.at[0] = 1;
        keep_drop(&k);
        keep_forget("nobody");
    }
    return NULL;
}

static void threads_may_keep_at_once(void **state)
{
    char ids[4][2] = {"0", "1", "2", "3"};
    pthread_t t[4];
    void *why;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, many, ids[i]), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(t[i], &why), 0);
        assert_null(why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zeros_and_is_forgotten_when_dropped),
        cmocka_unit_test(one_name_has_one_user),
        cmocka_unit_test(names_and_lengths_that_make_no_sense_are_refused),
        cmocka_unit_test(what_is_handed_on_is_found),
        cmocka_unit_test(memory_of_another_length_or_name_is_not_found),
        cmocka_unit_test(what_nobody_asks_for_is_forgotten),
        cmocka_unit_test(a_hand_over_that_fails_leaves_it_to_be_found_here),
        cmocka_unit_test(files_that_could_hurt_are_refused),
        cmocka_unit_test(memory_cannot_shrink_under_its_user),
        cmocka_unit_test(a_device_has_a_bounded_number),
        cmocka_unit_test(whoever_watches_is_told_of_all_that_comes_and_goes),
        cmocka_unit_test(what_was_never_written_is_not_read),
        cmocka_unit_test(a_whole_survives_sigkill_whole),
        cmocka_unit_test(threads_may_keep_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
