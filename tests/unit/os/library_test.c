/* Libraries that are there, are not, are others than they should be; from
 * several threads; and behind a sandbox. */

/* Here they are loaded, whatever the program does. */
#undef VUB_LAZY_LIBRARIES
#define VUB_LAZY_LIBRARIES 1
#include "os/library.h"
#include "rig.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

int part_answer(void);
int part_twice(int n);

#define LIBPART(CALL) CALL(part_, answer) CALL(part_, twice)
#define LIBPART_BUILD PART, "libpart1"

LIBRARY_CALLS(libpart, LIBPART);
static LIBRARY(libpart, LIBPART, LIBPART_BUILD);

/* The same library once more, as if nobody had loaded it. */
struct part {
    struct library library;
    struct libpart_calls *calls;
};

/* Its table stays: there are not many. */
static struct part part_at(const char *path)
{
    struct part p = {.library = libpart_library};
    void *at = mmap(NULL, sizeof(*p.calls), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(at != MAP_FAILED);
    p.library.loaded = false;
    p.library.soname = path;
    p.library.calls = p.calls = at;
    return p;
}

static int load(struct part *p, struct err *e)
{
    return library_load(&p->library, e);
}

static void need_text(const struct err *e, const char *part)
{
    if (!strstr(e->text, part))
        fail_msg("no \"%s\" in: %s", part, e->text);
    assert_string_equal(e->where, "");
}

static void what_is_there_is_called_by_its_table(void **state)
{
    struct part p = part_at(PART);
    struct err e;

    (void)state;
    assert_int_equal(load(&p, &e), 0);
    assert_int_equal(p.calls->answer(), 42);
    assert_int_equal(p.calls->twice(4), 8);
    p.library.soname = "libvub-has-no-such.so.3";
    assert_int_equal(load(&p, &e), 0); /* it is loaded once */
}

/* Puts a 0 there, if it can. */
static bool can_write(void *at)
{
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, at, 1);

    assert_true(n == 1 || errno == EFAULT);
    close(fd);
    return n == 1;
}

static void a_table_that_is_filled_is_read_only(void **state)
{
    char *end = (char *)(&libpart + 1);

    (void)state;
    assert_true(can_write(&libpart) && can_write(end - 1));
    assert_int_equal(library_load(&libpart_library, NULL), 0);
    assert_false(can_write(&libpart) || can_write(end - 1));
    assert_int_equal(libpart.answer(), 42);
}

static void what_cannot_be_read_only_is_not_called(void **state)
{
    struct part p = part_at(PART);
    struct err e;

    (void)state;
    p.library.calls = &p.calls->twice; /* no page begins there */
    assert_int_equal(load(&p, &e), -EINVAL);
    need_text(&e, "cannot be made read-only: Invalid argument");
    p.library.calls = p.calls;
    assert_int_equal(load(&p, &e), 0);
}

static void nobody_else_sees_its_names(void **state)
{
    struct part p = part_at(PART);

    (void)state;
    assert_int_equal(load(&p, NULL), 0);
    assert_null(dlsym(RTLD_DEFAULT, "part_answer"));
}

static void one_that_is_missing_is_named_with_its_package(void **state)
{
    struct part p = part_at("libvub-has-no-such.so.3");
    struct err e;

    (void)state;
    assert_int_equal(load(&p, NULL), -ELIBACC);
    assert_int_equal(load(&p, &e), -ELIBACC);
    need_text(&e, "cannot load libvub-has-no-such.so.3, which libpart1 has: "
                  "cannot open shared object file: No such file");
}

static void a_file_that_is_none_is_told(void **state)
{
    struct part p = part_at(in_dir("none.so"));
    struct err e;

    (void)state;
    make_file(p.library.soname, "this is a text");
    assert_int_equal(load(&p, &e), -ELIBACC);
    need_text(&e, "file too short");
}

static void one_that_comes_later_is_found_then(void **state)
{
    struct part p = part_at(in_dir("later.so"));
    struct err e;

    (void)state;
    assert_int_equal(load(&p, &e), -ELIBACC);
    assert_int_equal(symlink(PART, p.library.soname), 0);
    assert_int_equal(load(&p, &e), 0);
    assert_int_equal(p.calls->answer(), 42);
}

static void one_without_a_function_is_another_version(void **state)
{
    static const char *const names[] = {"part_answer", "part_thrice", NULL};
    struct part p = part_at(PART);
    struct err e;

    (void)state;
    p.library.names = names;
    assert_int_equal(load(&p, &e), -ELIBBAD);
    need_text(&e, "has no part_thrice(): it is not the version that vub was "
                  "built with");
}

static void one_that_is_replaced_by_the_right_version_is_found(void **state)
{
    struct part p = part_at(in_dir("replaced.so"));
    struct err e;

    (void)state;
    assert_int_equal(symlink(OLD_PART, p.library.soname), 0);
    assert_int_equal(load(&p, &e), -ELIBBAD);
    assert_int_equal(unlink(p.library.soname), 0);
    assert_int_equal(symlink(PART, p.library.soname), 0);
    assert_int_equal(load(&p, &e), 0);
    assert_int_equal(p.calls->twice(4), 8);
}

static void what_the_linker_has_filled_in_is_loaded(void **state)
{
    struct library linked = {.soname = NULL};

    (void)state;
    assert_int_equal(library_load(&linked, NULL), 0);
}

static struct part shared;
static pthread_barrier_t together;

static void *load_shared(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&together);
    if (library_load(&shared.library, NULL) < 0)
        return NULL;
    return shared.calls->twice(21) == shared.calls->answer() ? &shared : NULL;
}

static void threads_that_load_it_at_once_all_have_it(void **state)
{
    pthread_t threads[4];
    void *good;

    (void)state;
    assert_int_equal(pthread_barrier_init(&together, NULL, 4), 0);
    for (unsigned round = 0; round < 100; round++) {
        shared = part_at(PART);
        for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
            assert_int_equal(
                pthread_create(&threads[i], NULL, load_shared, NULL), 0);
        for (unsigned i = 0; i < ARRAY_LEN(threads); i++) {
            assert_int_equal(pthread_join(threads[i], &good), 0);
            assert_non_null(good);
        }
    }
    pthread_barrier_destroy(&together);
}

static void sealed(void *arg)
{
    struct part had = part_at(PART), has_not = part_at(PART),
                missing = part_at("libvub-has-no-such.so.3");
    struct err e;

    (void)arg;
    NEED(load(&had, &e) == 0);
    NEED(load(&missing, &e) == -ELIBACC);
    library_seal();
    NEED(load(&had, &e) == 0 && had.calls->answer() == 42);
    NEED(load(&has_not, &e) == -ELIBACC);
    NEED(strstr(e.text, "which libpart1 has, is loaded only before vub enters "
                        "its sandbox: start it again"));
    NEED(!strstr(e.text, "it tried"));
    NEED(load(&missing, &e) == -ELIBACC);
    NEED(strstr(e.text, "start it again (it tried: cannot load libvub-has"));
}

static void behind_a_seal_there_is_what_was_loaded_before(void **state)
{
    (void)state;
    in_child(sealed, NULL);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    unlink(in_dir("none.so"));
    unlink(in_dir("later.so"));
    unlink(in_dir("replaced.so"));
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_called_by_its_table),
        cmocka_unit_test(a_table_that_is_filled_is_read_only),
        cmocka_unit_test(what_cannot_be_read_only_is_not_called),
        cmocka_unit_test(nobody_else_sees_its_names),
        cmocka_unit_test(one_that_is_missing_is_named_with_its_package),
        cmocka_unit_test(a_file_that_is_none_is_told),
        cmocka_unit_test(one_that_comes_later_is_found_then),
        cmocka_unit_test(one_without_a_function_is_another_version),
        cmocka_unit_test(one_that_is_replaced_by_the_right_version_is_found),
        cmocka_unit_test(what_the_linker_has_filled_in_is_loaded),
        cmocka_unit_test(threads_that_load_it_at_once_all_have_it),
        cmocka_unit_test(behind_a_seal_there_is_what_was_loaded_before),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
