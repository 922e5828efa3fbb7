/* Where a front-end finds the device: paths, modes, sockets that are there
 * already, and sockets that are inherited. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "behave.h"

static mode_t mode_of(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        front_fail("%s is not there", path);
    return st.st_mode;
}

static int bound(const char *path, bool listening)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        (listening && listen(fd, 4) < 0))
        front_fail("cannot listen on %s", path);
    return fd;
}

static void is_served_at(const char *path)
{
    struct front *f = front_connect_path(path);

    front_set_up(f, &(struct front_conf){0});
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
}

static void the_name_follows_the_config(void **state)
{
    struct vub *v = vub_new();
    const char *absolute = vub_path(v, "absolute");

    (void)state;
    vub_config(
        v,
        DISK("by-id", "", MEMORY) "," DISK(
            "b", "'socket': 'short.sock', ",
            MEMORY) "," DISK("c", "'socket': {'path': 'long.sock'}, ",
                             MEMORY) "," DISK("d", "'socket': '%s', ", MEMORY),
        absolute);
    vub_run(v);
    is_served_at(vub_path(v, "by-id.sock"));
    is_served_at(vub_path(v, "short.sock"));
    is_served_at(vub_path(v, "long.sock"));
    is_served_at(absolute);
    vub_free(v);
}

static void its_mode_is_what_the_config_says(void **state)
{
    static const mode_t umasks[] = {0, 022, 077};
    mode_t before = umask(0);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(umasks); i++) {
        struct vub *v;

        umask(umasks[i]);
        v = vub_start(DISK("a", "", MEMORY) "," DISK(
            "b", "'socket': {'mode': '0660'}, ",
            MEMORY) "," DISK("c", "'socket': {'mode': '0666'}, ", MEMORY));
        assert_int_equal(mode_of(vub_path(v, "a.sock")), S_IFSOCK | 0600);
        assert_int_equal(mode_of(vub_path(v, "b.sock")), S_IFSOCK | 0660);
        assert_int_equal(mode_of(vub_path(v, "c.sock")), S_IFSOCK | 0666);
        vub_free(v);
    }
    umask(before);
}

/* It works, but that should be known. */
static void a_directory_of_somebody_else_is_told_of(void **state)
{
    struct vub *v = vub_new();

    (void)state;
    if (geteuid() != 0)
        skip();
    vub_config(v, DISK("d", "", MEMORY));
    vub_run(v);
    vub_stop(v);
    assert_int_equal(vub_log_count(v, "runtime_dir"), 0);
    assert_int_equal(chown(v->dir, 65534, (gid_t)-1), 0);
    vub_run(v);
    vub_log_wait(v, "belongs to user 65534, who can replace the sockets");
    vub_stop(v);
    vub_log_mark(v);
    vub_config_whole(v,
                     "{'runtime_dir': '%s', 'sandbox': {'user': '65534'}, "
                     "'devices': [" DISK("d", "", MEMORY) "]}",
                     v->dir);
    vub_run(v);
    assert_int_equal(vub_log_count(v, "belongs to user"), 0);
    vub_free(v);
}

/* sun_path holds 108 bytes. */
static void a_path_may_be_longer_than_a_socket_address(void **state)
{
    struct vub *v = vub_new();
    char name[81], path[4096];
    size_t len;
    int fd;

    (void)state;
    memset(name, 'n', 80);
    name[80] = 0;
    len = (size_t)snprintf(path, sizeof(path), "%s", v->dir);
    for (int i = 0; i < 8; i++) {
        len += (size_t)snprintf(path + len, sizeof(path) - len, "/%s", name);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    snprintf(path + len, sizeof(path) - len, "/s.sock");
    vub_config(v, DISK("d", "'socket': '%s', ", MEMORY), path);
    vub_run(v);
    assert_int_equal(mode_of(path), S_IFSOCK | 0600);
    /* We reach it through its directory, as it was bound. */
    path[len] = 0;
    fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d/s.sock", fd);
    is_served_at(path);
    vub_stop(v);
    assert_int_not_equal(faccessat(fd, "s.sock", F_OK, 0), 0);
    close(fd);
    vub_free(v);
}

/* A name that does not fit however one goes about it is said so. */
static void a_name_that_cannot_be_bound_is_an_error(void **state)
{
    struct vub *v = vub_new();
    char name[301];

    (void)state;
    for (size_t n = 200; n <= 300; n += 100) {
        memset(name, 'x', n);
        name[n] = 0;
        vub_config(v, DISK("d", "'socket': '%s', ", MEMORY), name);
        vub_spawn(v);
        assert_int_not_equal(vub_wait(v), 0);
        assert_non_null(strstr(vub_log(v), "bytes"));
    }
    vub_free(v);
}

static void a_stale_socket_is_replaced(void **state)
{
    struct vub *v = vub_new();
    const char *path = vub_path(v, "d.sock");

    (void)state;
    close(bound(path, true)); /* its owner has died */
    vub_config(v, DISK("d", "", MEMORY));
    vub_run(v);
    is_served_at(path);
    vub_kill(v); /* leaves one of our own */
    assert_int_equal(mode_of(path), S_IFSOCK | 0600);
    vub_run(v);
    is_served_at(path);
    vub_free(v);
}

/* Whoever may read it can lock it, for ever. */
static void a_directory_that_somebody_keeps_locked_is_used(void **state)
{
    struct vub *v = vub_new();
    int stale = bound(vub_path(v, "d.sock"), false);
    int dir = open(v->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    close(stale);
    assert_int_equal(flock(dir, LOCK_EX), 0);
    vub_config(v, DISK("d", "", MEMORY));
    vub_run(v);
    is_served_at(vub_path(v, "d.sock"));
    close(dir);
    vub_free(v);
}

static void a_socket_somebody_listens_on_is_left_alone(void **state)
{
    struct vub *v = vub_new();
    const char *path = vub_path(v, "d.sock");
    int fd = bound(path, true);
    struct stat before, after;

    (void)state;
    assert_int_equal(stat(path, &before), 0);
    vub_config(v, DISK("d", "", MEMORY));
    vub_spawn(v);
    assert_int_equal(vub_wait(v), 1);
    assert_non_null(strstr(vub_log(v), "listens on it"));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    close(fd);
    vub_free(v);
}

static void two_programs_do_not_get_one_socket(void **state)
{
    struct vub *a = vub_start(DISK("d", "", MEMORY)), *b = vub_new();

    (void)state;
    vub_config(b, DISK("d", "'socket': '%s/d.sock', ", MEMORY), a->dir);
    vub_spawn(b);
    assert_int_equal(vub_wait(b), 1);
    is_served_at(vub_path(a, "d.sock"));
    vub_free(b);
    vub_free(a);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    struct vub *v = vub_new();
    const char *path = vub_path(v, "d.sock");
    char back[8] = "";
    int fd;

    (void)state;
    fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
    vub_config(v, DISK("d", "", MEMORY));
    vub_spawn(v);
    assert_int_equal(vub_wait(v), 1);
    assert_non_null(strstr(vub_log(v), "not a socket"));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, back, 8), 8);
    assert_memory_equal(back, "precious", 8);
    close(fd);
    vub_free(v);
}

/* All or nothing: the first device's socket does not stay when the second
 * one's cannot be bound. */
static void a_failed_start_leaves_no_socket(void **state)
{
    struct vub *v = vub_new();
    int fd = bound(vub_path(v, "b.sock"), true);

    (void)state;
    vub_config(v, DISK("a", "", MEMORY) "," DISK("b", "", MEMORY));
    vub_spawn(v);
    assert_int_equal(vub_wait(v), 1);
    assert_int_not_equal(access(vub_path(v, "a.sock"), F_OK), 0);
    assert_int_equal(access(vub_path(v, "b.sock"), F_OK), 0);
    close(fd);
    vub_free(v);
}

static void sockets_are_removed_at_the_end(void **state)
{
    struct vub *v = vub_start(DISK("a", "", MEMORY) "," DISK("b", "", MEMORY));

    (void)state;
    is_served_at(vub_path(v, "a.sock"));
    vub_stop(v);
    assert_int_not_equal(access(vub_path(v, "a.sock"), F_OK), 0);
    assert_int_not_equal(access(vub_path(v, "b.sock"), F_OK), 0);
    vub_free(v);
}

/* Somebody has put their own there: it is theirs. */
static void a_socket_that_was_replaced_is_not_removed(void **state)
{
    struct vub *v = vub_start(DISK("d", "", MEMORY));
    const char *path = vub_path(v, "d.sock");
    int fd;

    (void)state;
    assert_int_equal(unlink(path), 0);
    fd = bound(path, true);
    /* It is this process that listens now. */
    vub_stop(v);
    assert_int_equal(access(path, F_OK), 0);
    close(fd);
    vub_free(v);
}

/* ---- Inherited ---- */

static void a_listening_fd_is_accepted_on(void **state)
{
    struct vub *v = vub_new();
    const char *path = vub_path(v, "mine.sock");
    int fd = bound(path, true);

    (void)state;
    vub_inherit(v, fd);
    vub_config(v, DISK("d", "'socket': {'fd': %d}, ", MEMORY), fd);
    vub_run(v);
    close(fd);
    for (int i = 0; i < 3; i++)
        is_served_at(path);
    vub_stop(v);
    assert_int_equal(access(path, F_OK), 0); /* it is not ours to remove */
    vub_free(v);
}

static void a_connected_fd_is_used(void **state)
{
    struct vub *v = vub_new();
    struct front *f;
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                     0);
    vub_inherit(v, pair[1]);
    vub_config(v, DISK("d", "'socket': {'fd': %d}, ", MEMORY), pair[1]);
    vub_run(v);
    close(pair[1]);
    f = front_on(pair[0]);
    front_set_up(f, &(struct front_conf){.packed = true});
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_log_wait(v, "is gone");
    vub_free(v);
}

static void an_fd_that_is_no_socket_is_an_error(void **state)
{
    struct vub *v = vub_new();
    int fds[4];

    (void)state;
    fds[0] = 1000; /* not open */
    fds[1] = front_memfd(4096);
    fds[2] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* neither */
    fds[3] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < 4; i++) {
        v->num_inherit = 0;
        if (i)
            vub_inherit(v, fds[i]);
        vub_config(v, DISK("d", "'socket': {'fd': %d}, ", MEMORY), fds[i]);
        vub_spawn(v);
        assert_int_not_equal(vub_wait(v), 0);
        if (i)
            close(fds[i]);
    }
    assert_non_null(strstr(vub_log(v), "is not open"));
    assert_non_null(strstr(vub_log(v), "neither listens nor is connected"));
    vub_free(v);
}

BEHAVE_MAIN(T(the_name_follows_the_config), T(its_mode_is_what_the_config_says),
            T(a_directory_of_somebody_else_is_told_of),
            T(a_path_may_be_longer_than_a_socket_address),
            T(a_name_that_cannot_be_bound_is_an_error),
            T(a_stale_socket_is_replaced),
            T(a_directory_that_somebody_keeps_locked_is_used),
            T(a_socket_somebody_listens_on_is_left_alone),
            T(two_programs_do_not_get_one_socket),
            T(a_file_that_is_no_socket_is_left_alone),
            T(a_failed_start_leaves_no_socket),
            T(sockets_are_removed_at_the_end),
            T(a_socket_that_was_replaced_is_not_removed),
            T(a_listening_fd_is_accepted_on), T(a_connected_fd_is_used),
            T(an_fd_that_is_no_socket_is_an_error))
