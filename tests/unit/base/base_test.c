/* base/: errors, log lines, lists, checked sums. Log lines are read back from
 * a pipe that takes the place of standard error. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/iov.h"
#include "base/list.h"
#include "base/log.h"
#include "base/utf8.h"

/* ---- errors ---- */

static void an_error_has_a_place_and_a_sentence(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(err_set(&e, -EINVAL, "/a/0", "%d is odd", 3), -EINVAL);
    assert_int_equal(e.code, -EINVAL);
    assert_string_equal(e.where, "/a/0");
    assert_string_equal(e.text, "3 is odd");
    assert_int_equal(err_sys(&e, ENOENT, NULL, "cannot open %s", "x"), -ENOENT);
    assert_string_equal(e.where, "");
    assert_string_equal(e.text, "cannot open x: No such file or directory");
}

static void an_error_nobody_reads_is_its_code(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, -EIO, "x", "y"), -EIO);
    assert_int_equal(err_sys(NULL, EIO, "x", "y"), -EIO);
    assert_int_equal(err_nomem(NULL), -ENOMEM);
}

static void long_errors_are_cut(void **state)
{
    char text[1000];
    struct err e;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_set(&e, -EIO, text, "%s", text);
    assert_int_equal(strlen(e.where), sizeof(e.where) - 1);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    assert_string_equal(e.where + sizeof(e.where) - 5, "x...");
    assert_string_equal(e.text + sizeof(e.text) - 5, "x...");
    /* The reason stays: without it nobody can act. */
    err_sys(&e, EIO, "", "%s", text);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    assert_non_null(strstr(e.text, "xxx...: Input/output error"));
    err_sys(&e, EIO, "", "%.*s", (int)sizeof(e.text) - 10, text);
    assert_non_null(strstr(e.text, "xxx...: Input/output error"));
}

static void characters_are_not_cut_in_two(void **state)
{
    static const char *const letters[] = {"\xc3\xa4", "\xe2\x82\xac",
                                          "\xf0\x9f\x90\xa7"};
    struct err e;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(letters); i++) {
        for (unsigned shift = 0; shift < 4; shift++) {
            char text[1000] = "xxx";

            text[shift] = '\0';
            while (strlen(text) < sizeof(e.text) + 20)
                strcat(text, letters[i]);
            err_sys(&e, EIO, text, "%s", text);
            assert_true(utf8_is_valid(e.where));
            assert_true(utf8_is_valid(e.text));
            assert_non_null(strstr(e.where, "..."));
            assert_non_null(strstr(e.text, "...: Input/output error"));
        }
    }
    /* What is no UTF-8 is cut all the same. */
    assert_int_equal(utf8_cut("\x80\x80\x80\x80\x80", 4), 4);
    assert_int_equal(utf8_cut("a\xff", 2), 1);
    assert_int_equal(utf8_cut("", 0), 0);
}

static void an_error_is_at_a_key(void **state)
{
    struct errs es = ERRS_EMPTY;
    struct err why;

    (void)state;
    assert_int_equal(errs_at(&es, "/a/0", "size", "%d is odd", 3), -EINVAL);
    assert_int_equal(errs_at(&es, "/a/0", NULL, "is odd"), -EINVAL);
    err_set(&why, -EBUSY, "elsewhere", "is busy");
    assert_int_equal(errs_adopt(&es, "", "dir", &why), -EBUSY);
    assert_int_equal(errs_nomem(&es), -ENOMEM);
    assert_int_equal(es.count, 4);
    assert_string_equal(es.list[0].where, "/a/0/size");
    assert_string_equal(es.list[0].text, "3 is odd");
    assert_string_equal(es.list[1].where, "/a/0");
    assert_string_equal(es.list[2].where, "/dir");
    assert_string_equal(es.list[2].text, "is busy");
    assert_int_equal(es.list[2].code, -EBUSY);
    assert_string_equal(es.list[3].where, "");
    errs_free(&es);
}

static void errors_keep_their_order(void **state)
{
    struct errs es = ERRS_EMPTY;

    (void)state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(errs_add(&es, -EINVAL, "", "%d", i), -EINVAL);
    assert_int_equal(es.count, 50);
    assert_string_equal(es.list[0].text, "0");
    assert_string_equal(es.list[49].text, "49");
    assert_int_equal(errs_total(&es), 50);
    for (int i = 50; i < ERRS_MAX + 7; i++)
        assert_int_equal(errs_add(&es, -EINVAL, "", "%d", i), -EINVAL);
    assert_int_equal(es.count, ERRS_MAX);
    assert_int_equal(es.more, 7);
    assert_int_equal(errs_total(&es), ERRS_MAX + 7);
    assert_string_equal(es.list[ERRS_MAX - 1].text, "99");
    errs_free(&es);
    assert_int_equal(es.count, 0);
    assert_int_equal(es.more, 0);
    errs_free(&es);
}

/* ---- lists, sums, bytes ---- */

struct item {
    int n;
    struct list node;
};

static void a_list_keeps_order_and_lets_go(void **state)
{
    struct list head;
    struct item items[3] = {{0}, {1}, {2}};
    int sum = 0;

    (void)state;
    list_init(&head);
    assert_true(list_empty(&head));
    assert_null(list_pop(&head));
    for (int i = 0; i < 3; i++)
        list_add(&head, &items[i].node);
    list_del(&items[1].node);
    list_del(&items[1].node); /* twice is fine */
    LIST_EACH (&head, it)
        sum = sum * 10 + container_of(it, struct item, node)->n;
    assert_int_equal(sum, 2);
    LIST_EACH_SAFE (&head, it)
        list_del(it);
    assert_true(list_empty(&head));
    list_add(&head, &items[2].node);
    assert_ptr_equal(list_pop(&head), &items[2].node);
}

static void sums_do_not_wrap(void **state)
{
    uint64_t sum;

    (void)state;
    assert_true(add_u64(UINT64_MAX - 1, 1, &sum));
    assert_true(sum == UINT64_MAX);
    assert_false(add_u64(UINT64_MAX, 1, &sum));
    assert_true(ranges_meet(0, 10, 9, 1));
    assert_false(ranges_meet(0, 10, 10, 1));
    assert_false(ranges_meet(5, 0, 5, 0));
}

static void guest_numbers_are_little_endian(void **state)
{
    union {
        uint8_t bytes[8];
        le16 n16;
        le32 n32;
        le64 n64;
    } u = {{1, 2, 3, 4, 5, 6, 7, 8}};

    (void)state;
    assert_int_equal(le16_load(&u.n16), 0x0201);
    assert_int_equal(le32_load(&u.n32), 0x04030201);
    assert_true(le64_load(&u.n64) == 0x0807060504030201);
    le16_store_release(&u.n16, 0xbbaa);
    assert_int_equal(u.bytes[0], 0xaa);
    assert_int_equal(u.bytes[1], 0xbb);
    assert_int_equal(le16_load_acquire(&u.n16), 0xbbaa);
}

/* ---- log ---- */

static int saved, from;

static void catch_stderr(void)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    saved = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    from = fds[0];
}

/* What was written since catch_stderr. */
static void release_stderr(char *out, size_t room)
{
    ssize_t n;

    dup2(saved, STDERR_FILENO);
    close(saved);
    n = read(from, out, room - 1); /* no writer is left: it does not wait */
    assert_true(n >= 0);
    out[n] = '\0';
    close(from);
}

static void a_line_names_its_device(void **state)
{
    char out[4096];

    (void)state;
    log_set(LOG_INFO, LOG_TEXT);
    catch_stderr();
    log_info("root", "ready");
    log_error("root", "write failed");
    log_warn(NULL, "slow");
    log_debug(NULL, "not shown");
    release_stderr(out, sizeof(out));
    assert_string_equal(out, "vub: root: ready\n"
                             "vub: root: error: write failed\n"
                             "vub: warning: slow\n");
}

static void foreign_bytes_stay_in_their_line(void **state)
{
    char out[4096];

    (void)state;
    log_set(LOG_INFO, LOG_TEXT);
    catch_stderr();
    log_info(NULL, "%s", "a\nvub: root: forged\x1b[2J");
    log_info("\xc3\xa4", "%s",
             "C1 \xc2\x9b"
             "2J, no UTF-8 \xff, half \xe2\x82");
    release_stderr(out, sizeof(out));
    assert_string_equal(out, "vub: a\\x0avub: root: forged\\x1b[2J\n"
                             "vub: \xc3\xa4: C1 \\x9b2J, no UTF-8 \\xff, half "
                             "\\xe2\\x82\n");
}

static void json_lines_are_json(void **state)
{
    char out[4096];

    (void)state;
    log_set(LOG_INFO, LOG_JSON);
    catch_stderr();
    log_warn("a\"b", "tab\t and \\");
    log_warn(NULL, "%s", "\xc3\xa4 \xc2\x9b \xff");
    release_stderr(out, sizeof(out));
    log_set(LOG_INFO, LOG_TEXT);
    assert_non_null(strstr(out, "\"level\":\"warning\",\"device\":\"a\\\"b\","
                                "\"text\":\"tab\\u0009 and \\\\\"}\n"));
    assert_non_null(strstr(out, "\"text\":\"\xc3\xa4 \\u009b \\ufffd\"}\n"));
    assert_int_equal(strncmp(out, "{\"time\":\"2", 10), 0);
}

static void long_lines_end(void **state)
{
    static char text[5000];
    char out[8192];

    (void)state;
    memset(text, '\n', sizeof(text) - 1);
    catch_stderr();
    log_info("x", "%s", text);
    log_set(LOG_INFO, LOG_JSON);
    log_info("x", "%s", text);
    log_set(LOG_INFO, LOG_TEXT);
    release_stderr(out, sizeof(out));
    assert_int_equal(out[strlen(out) - 1], '\n');
    assert_ptr_equal(strchr(strchr(out, '\n') + 1, '\n'),
                     out + strlen(out) - 1);
}

static void what_is_repeated_is_counted(void **state)
{
    struct log_limit limit = {0};
    char out[8192];

    (void)state;
    catch_stderr();
    for (int i = 0; i < LOG_BURST + 3; i++)
        log_limited(&limit, LOG_WARN, "x", "again");
    limit.since_ms = 1; /* long ago */
    log_limited(&limit, LOG_WARN, "x", "again");
    log_limited(&limit, LOG_DEBUG, "x", "not shown");
    release_stderr(out, sizeof(out));
    assert_non_null(strstr(out, "again (3 lines like this were left out)\n"));
    assert_null(strstr(out, "not shown"));
    int lines = 0;

    for (const char *c = out; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, LOG_BURST + 1);
}

/* ---- memory in pieces ---- */

/* Every range of twelve bytes in pieces of 3, 0, 1, 8 and 0, and beyond. */
static void ranges_of_memory_in_pieces(void **state)
{
    uint8_t mem[12], got[20], put[20], want[12];
    const struct iovec iov[] = {
        {mem, 3}, {NULL, 0}, {mem + 3, 1}, {mem + 4, 8}, {NULL, 0}};
    enum { PIECES = ARRAY_LEN(iov) };
    struct iovec cut[PIECES];

    (void)state;
    for (unsigned at = 0; at < 14; at++)
        for (unsigned len = 0; len < 14; len++) {
            size_t there = at < 12 ? MIN(12 - at, len) : 0, total = 0;
            int n;

            for (uint8_t i = 0; i < 12; i++)
                mem[i] = want[i] = i;
            assert_int_equal(iov_read(iov, PIECES, at, got, len), there);
            assert_memory_equal(got, mem + MIN(at, 12u), there);
            n = iov_cut(iov, PIECES, at, len, cut);
            for (int i = 0; i < n; i++) {
                assert_true(cut[i].iov_len > 0);
                assert_ptr_equal(cut[i].iov_base, mem + at + total);
                total += cut[i].iov_len;
            }
            assert_int_equal(total, there);
            memset(put, 0xee, sizeof(put));
            assert_int_equal(iov_write(iov, PIECES, at, put, len), there);
            if (there)
                memset(want + at, 0xee, there);
            assert_memory_equal(mem, want, 12);
        }
    assert_int_equal(iov_read(NULL, 0, 0, got, 5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_has_a_place_and_a_sentence),
        cmocka_unit_test(an_error_nobody_reads_is_its_code),
        cmocka_unit_test(long_errors_are_cut),
        cmocka_unit_test(characters_are_not_cut_in_two),
        cmocka_unit_test(an_error_is_at_a_key),
        cmocka_unit_test(errors_keep_their_order),
        cmocka_unit_test(a_list_keeps_order_and_lets_go),
        cmocka_unit_test(sums_do_not_wrap),
        cmocka_unit_test(guest_numbers_are_little_endian),
        cmocka_unit_test(a_line_names_its_device),
        cmocka_unit_test(foreign_bytes_stay_in_their_line),
        cmocka_unit_test(json_lines_are_json),
        cmocka_unit_test(long_lines_end),
        cmocka_unit_test(what_is_repeated_is_counted),
        cmocka_unit_test(ranges_of_memory_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
