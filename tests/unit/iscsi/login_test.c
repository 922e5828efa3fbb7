/* Who may log in where: names, secrets, and targets that let nobody in, or lie
 * about it. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const disk[] = {"--lun", "1M", NULL};
static const char *const chap[] = {"--lun", "1M", "--chap",
                                   "vub:a secret of vub", NULL};
static const char *const both[] = {"--lun",    "1M",
                                   "--chap",   "vub:secret-of-vub",
                                   "--mutual", "disk:secret-of-disk",
                                   NULL};

#define URL "\"url\": \"iscsi://127.0.0.1:1/iqn.2026-01.example:disk/0\""
#define MINE                                                                   \
    ", \"chap\": {\"user\": \"vub\", \"secret_env\": \"VUB_TEST_SECRET\"}"
#define ITS                                                                    \
    ", \"mutual_chap\": {\"user\": \"disk\", \"secret_env\": "                 \
    "\"VUB_TEST_ITS\"}"

static void what_cannot_be_is_said(void **state)
{
    static const struct {
        const char *json, *where, *text;
    } bad[] = {
        {"{\"url\": \"http://x/y/0\"}", "/iscsi/url", "an iSCSI unit is"},
        {"{\"url\": \"iscsi://me%secret@h/iqn.x:y/0\"}", "/iscsi/url",
         "no place in the url"},
        {"{\"url\": \"iscsi://me:secret@h/iqn.x:y/0\"}", "/iscsi/url",
         "no place in the url"},
        {"{\"url\": \"iscsi://h/iqn.x:y/0?header_digest=crc32c\"}",
         "/iscsi/url", "has no options"},
        {"{\"url\": \"iscsi://h\"}", "/iscsi/url", "no target and number"},
        {"{\"url\": \"iscsi://h/iqn.x:y\"}", "/iscsi/url",
         "no target and number"},
        {"{\"url\": \"iscsi:///iqn.x:y/0\"}", "/iscsi/url", "no HOST[:PORT]"},
        {"{\"url\": \"iscsi://h:0/iqn.x:y/0\"}", "/iscsi/url",
         "no HOST[:PORT]"},
        {"{\"url\": \"iscsi://h:65536/iqn.x:y/0\"}", "/iscsi/url",
         "no HOST[:PORT]"},
        {"{\"url\": \"iscsi://[::1/iqn.x:y/0\"}", "/iscsi/url",
         "no HOST[:PORT]"},
        {"{\"url\": \"iscsi://h/x:y/0\"}", "/iscsi/url", "no name of a target"},
        {"{\"url\": \"iscsi://h/iqn.a b/0\"}", "/iscsi/url",
         "no name of a target"},
        {"{\"url\": \"iscsi://h/iqn.x:y/\"}", "/iscsi/url", "no number"},
        {"{\"url\": \"iscsi://h/iqn.x:y/16384\"}", "/iscsi/url", "no number"},
        {"{\"url\": \"iscsi://h/iqn.x:y/0/1\"}", "/iscsi/url", "no number"},
        {"{" URL ", \"portals\": \"a:b:c\"}", "/iscsi/portals",
         "no HOST[:PORT]"},
        {"{" URL ", \"initiator\": \"me\"}", "/iscsi/initiator",
         "no iSCSI name"},
        {"{" URL ", \"chap\": {\"user\": \"vub\"}}", "/iscsi/chap",
         "needs a secret"},
        {"{" URL ", \"chap\": {\"secret_env\": \"X\"}}", "/iscsi/chap",
         "needs a user"},
        {"{" URL ", \"chap\": {\"user\": \"vub\", \"secret_env\": "
         "\"VUB_TEST_NONE\"}}",
         "/iscsi/chap/secret_env", "no VUB_TEST_NONE in the environment"},
        {"{" URL ", \"chap\": {\"user\": \"vub\", \"secret_file\": "
         "\"/nowhere\"}}",
         "/iscsi/chap/secret_file", "cannot open /nowhere"},
        {"{" URL ITS "}", "/iscsi/mutual_chap", "it needs chap"},
        {"{" URL MINE ", \"mutual_chap\": {\"user\": \"disk\", \"secret_env\": "
         "\"VUB_TEST_SECRET\"}}",
         "/iscsi/mutual_chap", "must not be the same"},
    };
    struct rig rig;

    (void)state;
    rig_init(&rig);
    setenv("VUB_TEST_SECRET", "secret-of-vub", 1);
    setenv("VUB_TEST_ITS", "secret-of-disk", 1);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};

        assert_true(rig_try_open(&rig, bad[i].json, &e) < 0);
        assert_string_equal(e.where, bad[i].where);
        if (!strstr(e.text, bad[i].text) || strstr(e.text, "secret@"))
            fail_msg("%s: %s", bad[i].json, e.text);
    }
    rig_close(&rig);
}

static void a_secret_is_its_file_s_owner_s(void **state)
{
    char path[] = "/tmp/vub-secret-XXXXXX", keys[256];
    int fd = mkstemp(path);
    struct rig rig;
    struct rig_unit *u;
    struct err e = {0};

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a secret of vub\nmore\n", 21), 21);
    close(fd);
    rig_init(&rig);
    rig_target(&rig, chap);
    snprintf(keys, sizeof(keys),
             "{" URL ", \"chap\": {\"user\": \"vub\", \"secret_file\": "
             "\"%s\"}}",
             path);
    assert_int_equal(chmod(path, 0644), 0);
    assert_true(rig_try_open(&rig, keys, &e) < 0);
    assert_non_null(strstr(e.text, "chmod 600"));
    assert_int_equal(chmod(path, 0600), 0);
    snprintf(keys, sizeof(keys),
             ", \"chap\": {\"user\": \"vub\", \"secret_file\": \"%s\"}", path);
    u = rig_open(&rig, 0, keys);
    rig_settle(&rig, u);
    rig_close(&rig);
    unlink(path);
}

/* The worker of all devices reads it: a pipe that nobody writes to would hold
 * it for ever. */
static void a_secret_is_read_from_files_only(void **state)
{
    char dir[] = "/tmp/vub-secret-XXXXXX", path[64], keys[256];
    struct err e = {0};
    struct rig rig;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    rig_init(&rig);
    rig_target(&rig, chap);
    snprintf(keys, sizeof(keys),
             "{" URL ", \"chap\": {\"user\": \"vub\", \"secret_file\": "
             "\"%s\"}}",
             path);
    alarm(20);
    assert_true(rig_try_open(&rig, keys, &e) < 0);
    alarm(0);
    assert_non_null(strstr(e.text, "is no file"));
    rig_close(&rig);
    unlink(path);
    rmdir(dir);
}

/* The commands of a unit that nobody lets in fail, and say so. */
static void refused(const char *const *args, const char *keys,
                    const char *fault)
{
    char all[512];
    struct rig rig;
    struct rig_unit *u;
    struct rig_cmd c;

    rig_init(&rig);
    rig_target(&rig, args);
    if (fault)
        rig_say(&rig, "fault %s", fault);
    snprintf(all, sizeof(all), ", \"reconnect_timeout\": 50%s", keys);
    u = rig_open(&rig, 0, all);
    rig_ready(&c);
    rig_do(&rig, u, &c);
    assert_true(c.cmd.end == ISCSI_REFUSED || c.cmd.end == ISCSI_TIMED_OUT);
    assert_int_equal(u->ups, 0);
    if (fault) {
        rig_say(&rig, "faultless");
        rig_settle(&rig, u);
    }
    rig_close(&rig);
}

static void chap_both_ways(void **state)
{
    struct rig rig;
    struct rig_unit *u;

    (void)state;
    rig_init(&rig);
    rig_target(&rig, both);
    setenv("VUB_TEST_SECRET", "secret-of-vub", 1);
    setenv("VUB_TEST_ITS", "secret-of-disk", 1);
    u = rig_open(&rig, 0, MINE ITS);
    rig_settle(&rig, u);
    rig_close(&rig);
}

static void a_wrong_secret_is_refused(void **state)
{
    (void)state;
    setenv("VUB_TEST_SECRET", "another", 1);
    refused(both, MINE, NULL);
    refused(both, "", NULL);
}

static void a_target_proves_who_it_is(void **state)
{
    (void)state;
    setenv("VUB_TEST_SECRET", "secret-of-vub", 1);
    setenv("VUB_TEST_ITS", "secret-of-disk", 1);
    refused(both, MINE ITS, "chap_wrong_proof*");
    refused(both, MINE ITS, "chap_skip*");
    refused(both, MINE ITS, "chap_lie_stage*");
    refused(both, MINE ITS, "chap_proof_first*");
    setenv("VUB_TEST_ITS", "something else", 1);
    refused(both, MINE ITS, NULL);
}

static void a_login_that_is_no_login_is_no_end(void **state)
{
    (void)state;
    setenv("VUB_TEST_SECRET", "secret-of-vub", 1);
    refused(disk, "", "login_garbage*");
    refused(disk, "", "login_no_nul*");
    refused(disk, "", "login_segment* 0");
    refused(disk, "", "login_segment* -1");
    refused(disk, "", "login_segment* 511");
    refused(disk, "", "group* 65536");
    refused(disk, "", "login_segment* 99999999999999999999");
    refused(disk, "", "login_refuse* 0x203");
    refused(disk, "", "login_refuse* 0x301");
    refused(disk, "", "redirect* not-a-host!");
    refused(disk, "", "redirect* [::1");
    refused(both, MINE, "chap_odd*");
    refused(both, MINE, "chap_long*");
}

static void the_initiator_has_a_name(void **state)
{
    struct rig rig;
    struct rig_unit *a, *b;

    (void)state;
    rig_init(&rig);
    rig_target(&rig, disk);
    a = rig_open(&rig, 0, "");
    b = rig_open(&rig, 0, ", \"initiator\": \"iqn.2026-01.example:me\"");
    rig_settle(&rig, a);
    rig_settle(&rig, b);
    assert_true(rig_seen(&rig, "initiator iqn.2026-01.example:me") > 0);
    assert_non_null(
        strstr(rig_say(&rig, "stats"), "initiator iqn.2026-01.org.vub:"));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_is_said),
        cmocka_unit_test(a_secret_is_its_file_s_owner_s),
        cmocka_unit_test(a_secret_is_read_from_files_only),
        cmocka_unit_test(chap_both_ways),
        cmocka_unit_test(a_wrong_secret_is_refused),
        cmocka_unit_test(a_target_proves_who_it_is),
        cmocka_unit_test(a_login_that_is_no_login_is_no_end),
        cmocka_unit_test(the_initiator_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
