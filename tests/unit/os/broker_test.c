/* What a broker does for one who may not, and what it does for nobody: files,
 * pictures, names and sockets. */
#include "asker.h"

#include <dirent.h>
#include <linux/limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "os/linux/broker_own.h"
#include "os/sock.h"

#define PNG "\211PNG\r\n\032\nrest"

/* ---- files ---- */

static void try_files(void *arg)
{
    char text[8] = "";
    int fd;

    (void)arg;
    allow(in_dir("out/image"), SANDBOX_READ | SANDBOX_WRITE);
    allow(in_dir("out/secret"), SANDBOX_READ);
    allow(in_dir("in"), SANDBOX_READ | SANDBOX_WRITE | SANDBOX_MAKE);
    NEED(chdir("/etc") == 0);
    enter();
    fd = broker_open(in_dir("out/image"), O_RDWR, 0);
    NEED(fd >= 0);
    NEED(read(fd, text, 5) == 5 && strcmp(text, "image") == 0);
    NEED(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    NEED(opens(in_dir("out/secret"), O_RDONLY));
    NEED(refuses(in_dir("out/secret"), O_RDWR));
    NEED(refuses(in_dir("out/secret"), O_RDONLY | O_TRUNC));
    NEED(refuses(in_dir("out/image"), O_RDWR | O_CREAT));
    NEED(refuses(in_dir("out/image2"), O_RDONLY));
    NEED(refuses(in_dir("out/imag"), O_RDONLY));
    NEED(refuses(in_dir("out"), O_RDONLY | O_DIRECTORY));
    NEED(refuses(in_dir("in/../out/other"), O_RDONLY));
    NEED(refuses("/etc/shadow", O_RDONLY));
    NEED(refuses("passwd", O_RDONLY));
    NEED(refuses(in_dir("in"), O_RDWR | O_TMPFILE));
    NEED(!opens(in_dir("in/link"), O_RDONLY) && errno == EXDEV);
    NEED(opens(in_dir("in/new"), O_RDWR | O_CREAT));
    NEED(broker_rename(in_dir("in/new"), in_dir("in/newer")) == 0);
    NEED(broker_rename(in_dir("in/newer"), in_dir("out/newer")) == -EACCES);
    NEED(broker_unlink(in_dir("in/newer")) == 0);
    NEED(broker_unlink(in_dir("in/newer")) == -ENOENT);
    NEED(broker_unlink(in_dir("out/image")) == -EACCES);
    NEED(!opens(in_dir("in/none"), O_RDONLY) && errno == ENOENT);
    broker_stop();
}

static void files_are_opened_by_the_rules(void **state)
{
    (void)state;
    make_file(in_dir("out/image"), "image");
    make_file(in_dir("out/image2"), "image");
    make_file(in_dir("out/imag"), "image");
    make_file(in_dir("out/secret"), "secret");
    make_file(in_dir("out/other"), "other");
    assert_int_equal(symlink(in_dir("out/other"), in_dir("in/link")), 0);
    in_child(try_files, NULL);
}

/* Below "paths" there are links that others have made, and directories whose
 * place gives links and names their meaning. */
static void try_moving(void *arg)
{
    (void)arg;
    allow(in_dir("in"), SANDBOX_READ | SANDBOX_WRITE | SANDBOX_MAKE);
    allow(in_dir("in2"), SANDBOX_READ | SANDBOX_WRITE | SANDBOX_MAKE);
    enter();
    NEED(broker_rename(in_dir("in/up/other"), in_dir("in/stolen")) < 0);
    NEED(broker_rename(in_dir("in/file"), in_dir("in/up/other")) < 0);
    NEED(broker_unlink(in_dir("in/up/other")) < 0);
    NEED(broker_rename(in_dir("in/sub"), in_dir("in2/sub")) == -EACCES);
    NEED(broker_rename(in_dir("in/leads"), in_dir("in2/leads")) == -EACCES);
    NEED(broker_rename(in_dir("in2"), in_dir("in/in2")) == -EACCES);
    NEED(broker_rename(in_dir("in/file"), in_dir("in2/file")) == 0);
    NEED(broker_rename(in_dir("in2/file"), in_dir("in/sub/file")) == 0);
    NEED(broker_unlink(in_dir("in/leads")) == 0);
    NEED(broker_unlink(in_dir("in/sub/file")) == 0);
    broker_stop();
}

static void files_are_moved_and_nothing_else(void **state)
{
    (void)state;
    make_file(in_dir("out/other"), "other");
    make_file(in_dir("in/file"), "file");
    assert_int_equal(mkdir(in_dir("in2"), 0700), 0);
    assert_int_equal(mkdir(in_dir("in/sub"), 0700), 0);
    assert_int_equal(symlink(in_dir("out"), in_dir("in/up")), 0);
    assert_int_equal(symlink("../../file", in_dir("in/leads")), 0);
    in_child(try_moving, NULL);
    assert_int_equal(access(in_dir("out/other"), F_OK), 0);
}

/* The config may say "../images". */
static void try_upward(void *arg)
{
    (void)arg;
    allow(in_dir("in/../out/image"), SANDBOX_READ);
    allow(in_dir("out/../in2"), SANDBOX_READ);
    enter();
    NEED(opens(in_dir("in/../out/image"), O_RDONLY));
    NEED(opens(in_dir("out/../in2/file"), O_RDONLY));
    NEED(refuses(in_dir("in/../out/image2"), O_RDONLY));
    NEED(refuses(in_dir("out/../in2/../out/image2"), O_RDONLY));
    broker_stop();
}

static void a_rule_may_lead_up_and_what_is_below_may_not(void **state)
{
    (void)state;
    make_file(in_dir("in2/file"), "file");
    in_child(try_upward, NULL);
}

/* The name of one in /sys/dev/block that has a queue; "": there is none. */
static void find_disk(char *out, size_t room)
{
    DIR *d = opendir("/sys/dev/block");
    struct dirent *entry;

    out[0] = '\0';
    while (d && !out[0] && (entry = readdir(d)) != NULL) {
        snprintf(out, room, "/sys/dev/block/%.20s/queue", entry->d_name);
        if (entry->d_name[0] == '.' || access(out, F_OK) < 0)
            out[0] = '\0';
    }
    if (d)
        closedir(d);
}

static void try_limits(void *arg)
{
    static const char *const refused[] = {
        "%s/../uevent",
        "%s/../size",
        "%s/",
        "%s/../queue/nr_requests",
    };
    char path[128];

    enter();
    snprintf(path, sizeof(path), "%s/logical_block_size", (char *)arg);
    NEED(opens(path, O_RDONLY));
    NEED(refuses(path, O_RDWR));
    for (unsigned i = 0; i < ARRAY_LEN(refused); i++) {
        snprintf(path, sizeof(path), refused[i], (char *)arg);
        NEED(refuses(path, O_RDONLY));
    }
    NEED(refuses("/sys/devices/system/cpu/online", O_RDONLY));
    broker_stop();
}

static void limits_of_disks_are_all_of_sysfs(void **state)
{
    char disk[64];

    (void)state;
    find_disk(disk, sizeof(disk));
    if (!disk[0])
        skip();
    in_child(try_limits, disk);
}

/* A device that was unplugged comes back as another node. */
static void try_new_file(void *arg)
{
    (void)arg;
    allow(in_dir("out/node"), SANDBOX_READ);
    enter();
    NEED(broker_open(in_dir("out/node"), O_RDONLY, 0) == -ENOENT);
    NEED(opens(in_dir("out/moved"), O_RDONLY) == false);
    puts("make it");
    fflush(stdout);
    NEED(getchar() == '\n');
    NEED(opens(in_dir("out/node"), O_RDONLY));
    broker_stop();
}

static void what_appears_later_is_opened_by_its_name(void **state)
{
    int to[2], from[2], status;
    char line[16];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(to) | pipe(from), 0);
    pid = fork();
    if (pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]);
        close(from[0]);
        try_new_file(NULL);
        _exit(0);
    }
    close(from[1]);
    if (read(from[0], line, sizeof(line)) > 0)
        make_file(in_dir("out/node"), "node");
    assert_int_equal(write(to[1], "\n", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(to[0]);
    close(to[1]);
    close(from[0]);
}

/* ---- pictures ---- */

static void try_pictures(void *arg)
{
    const int part = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
    int fd;

    (void)arg;
    rules.pictures = true;
    rules.needs = SANDBOX_GPU;
    enter();
    fd = broker_open(in_dir("out/a.png.part"), part, 0666);
    NEED(fd >= 0);
    NEED(write(fd, "#!/bin/sh\n", 10) == 10);
    NEED(broker_rename(in_dir("out/a.png.part"), in_dir("out/a.png")) ==
         -EACCES);
    NEED(broker_unlink(in_dir("out/a.png.part")) == -EACCES);
    NEED(ftruncate(fd, 0) == 0);
    NEED(pwrite(fd, PNG, sizeof(PNG), 0) == sizeof(PNG));
    NEED(broker_rename(in_dir("out/a.png.part"), in_dir("out/b.png")) ==
         -EACCES);
    NEED(broker_rename(in_dir("out/a.png.part"), in_dir("out/a.png")) == 0);
    NEED(opens(in_dir("out/a.png"), O_RDONLY));
    NEED(refuses(in_dir("out/a.png"), O_WRONLY));
    NEED(refuses(in_dir("out/new.txt"), part));
    NEED(refuses(in_dir("out/text"), O_RDONLY));
    NEED(refuses(in_dir("out/text.png.part"), part));
    /* What is no picture is not replaced by one. */
    fd = broker_open(in_dir("out/text.ppm.part"), part, 0666);
    NEED(fd >= 0 && pwrite(fd, "P6\n1 1\n255\nabc", 14, 0) == 14);
    NEED(broker_rename(in_dir("out/text.ppm.part"), in_dir("out/text.ppm")) ==
         -EACCES);
    NEED(broker_unlink(in_dir("out/text.ppm.part")) == 0);
    NEED(!opens(in_dir("out/link.png.part"), part) && errno == ELOOP);
    broker_stop();
}

static void pictures_may_be_anywhere_and_nothing_else(void **state)
{
    (void)state;
    make_file(in_dir("out/text"), "text");
    make_file(in_dir("out/text.ppm"), "text");
    make_file(in_dir("out/text.png.part"), "text");
    assert_int_equal(symlink("/etc/passwd", in_dir("out/link.png.part")), 0);
    in_child(try_pictures, NULL);
}

static void on_signal(int sig)
{
    (void)sig;
}

/* Waits until somebody opens the fifo to read, or for a signal; its status is 1
 * for the former. */
static pid_t wait_for_reader(const char *fifo)
{
    const struct sigaction sa = {.sa_handler = on_signal};
    char path[64], state = 0;
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigaction(SIGUSR1, &sa, NULL);
        _exit(open(fifo, O_WRONLY) >= 0);
    }
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    while (state != 'S') {
        FILE *f = fopen(path, "r");

        NEED(f && fscanf(f, "%*d %*s %c", &state) == 1);
        fclose(f);
    }
    return pid;
}

/* Opening a device does something already: to a watchdog, or a tape. */
static void try_odd_pictures(void *arg)
{
    int status;

    (void)arg;
    rules.pictures = true;
    rules.needs = SANDBOX_GPU;
    rules.command = (int)wait_for_reader(in_dir("out/fifo"));
    enter();
    NEED(refuses(in_dir("out/named"), O_RDONLY));
    NEED(refuses(in_dir("out/fifo"), O_RDONLY));
    NEED(refuses(in_dir("out/fifo.png"), O_RDONLY));
    NEED(kill(rules.command, SIGUSR1) == 0);
    NEED(waitpid(rules.command, &status, 0) == rules.command && status == 0);
    broker_stop();
}

static void what_is_no_picture_by_its_name_is_not_opened(void **state)
{
    (void)state;
    make_file(in_dir("out/named"), PNG);
    assert_int_equal(mkfifo(in_dir("out/fifo"), 0600), 0);
    assert_int_equal(symlink(in_dir("out/fifo"), in_dir("out/fifo.png")), 0);
    in_child(try_odd_pictures, NULL);
}

static void try_no_pictures(void *arg)
{
    (void)arg;
    rules.needs = SANDBOX_GPU;
    enter();
    NEED(refuses(in_dir("out/c.png.part"), O_WRONLY | O_CREAT));
    NEED(refuses(in_dir("out/a.png"), O_RDONLY));
    broker_stop();
}

static void without_a_gpu_there_are_no_pictures(void **state)
{
    (void)state;
    make_file(in_dir("out/a.png"), PNG);
    in_child(try_no_pictures, NULL);
}

/* ---- names and sockets ---- */

static void try_names(void *arg)
{
    struct resolve_answer a = {0};

    (void)arg;
    rules.needs = arg ? SANDBOX_NETWORK : 0;
    enter();
    if (!arg) {
        NEED(broker_resolve("localhost", &a) == -EACCES);
        broker_stop();
        return;
    }
    NEED(broker_resolve("127.0.0.1", &a) == 0);
    NEED(a.num == 1 && strcmp(a.address[0], "127.0.0.1") == 0);
    NEED(broker_resolve("localhost", &a) == 0);
    NEED(broker_resolve("no..such..name", &a) == 0 && a.num == 0 && a.why[0]);
    broker_stop();
}

static void names_are_resolved_for_those_who_have_a_network(void **state)
{
    (void)state;
    in_child(try_names, "yes");
    in_child(try_names, NULL);
}

static int listen_at(const char *path)
{
    struct err e;

    return sock_listen(path, 0600, &e);
}

static void try_sockets(void *arg)
{
    (void)arg;
    NEED(listen_at(in_dir("out/own.sock")) >= 0);
    enter();
    sock_unlink(in_dir("out/own.sock"));
    sock_unlink(in_dir("out/other.sock"));
    sock_unlink(in_dir("out/text"));
    broker_stop();
}

static void only_sockets_of_ours_are_removed(void **state)
{
    int other = listen_at(in_dir("out/other.sock"));

    (void)state;
    make_file(in_dir("out/text"), "text");
    in_child(try_sockets, NULL);
    assert_int_equal(access(in_dir("out/own.sock"), F_OK), -1);
    assert_int_equal(access(in_dir("out/other.sock"), F_OK), 0);
    assert_int_equal(access(in_dir("out/text"), F_OK), 0);
    close(other);
}

static void try_listening(void *arg)
{
    struct err e;
    int fd;

    (void)arg;
    rules.socket_dir = in_dir("in");
    enter();
    fd = listen_at(in_dir("in/new.sock"));
    NEED(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK));
    NEED(sock_listen(in_dir("out/new.sock"), 0600, &e) == -EACCES);
    NEED(strstr(e.text, "outside of runtime_dir"));
    NEED(sock_listen(in_dir("in/../out/new.sock"), 0600, &e) == -EACCES);
    NEED(sock_listen(in_dir("in/new.sock"), 0600, &e) == -EADDRINUSE);
    sock_unlink(in_dir("in/new.sock")); /* which tells whose it is */
    NEED(access(in_dir("in/new.sock"), F_OK) < 0);
    NEED(listen_at(in_dir("in/..")) < 0);
    fd = listen_at(in_dir("in/left.sock"));
    NEED(fd >= 0);
    close(fd);
    NEED(access(in_dir("in/left.sock"), F_OK) == 0);
    broker_stop();
}

static void sockets_are_made_in_one_directory(void **state)
{
    (void)state;
    in_child(try_listening, NULL);
    /* What nobody has removed goes with the broker. */
    assert_int_equal(access(in_dir("in/left.sock"), F_OK), -1);
}

/* The config may say "../run". */
static void try_upward_listening(void *arg)
{
    (void)arg;
    rules.socket_dir = in_dir("out/../in");
    NEED(listen_at(in_dir("out/../in/first.sock")) >= 0);
    enter();
    NEED(listen_at(in_dir("out/../in/new.sock")) >= 0);
    NEED(listen_at(in_dir("out/../in/../out/new.sock")) == -EACCES);
    sock_unlink(in_dir("out/../in/first.sock"));
    sock_unlink(in_dir("out/../in/new.sock"));
    broker_stop();
}

static void runtime_dir_may_lead_up(void **state)
{
    (void)state;
    in_child(try_upward_listening, NULL);
    assert_int_equal(access(in_dir("in/first.sock"), F_OK), -1);
    assert_int_equal(access(in_dir("in/new.sock"), F_OK), -1);
}

/* One that was refused is none of ours at the end either. */
static void try_foreign_listening(void *arg)
{
    (void)arg;
    rules.socket_dir = in_dir("in");
    enter();
    NEED(listen_at(in_dir("out/stale.sock")) == -EACCES);
    broker_stop();
}

static void a_socket_that_was_refused_is_not_removed(void **state)
{
    int stale = listen_at(in_dir("out/stale.sock"));

    (void)state;
    close(stale);
    in_child(try_foreign_listening, NULL);
    assert_int_equal(access(in_dir("out/stale.sock"), F_OK), 0);
}

/* It waits for somebody who reads the pipe. */
static void try_stuck_question(void *arg)
{
    static struct broker_question q = {.op = BROKER_OPEN, .flags = O_WRONLY};
    size_t len = offsetof(struct broker_question, text);
    pid_t own = getpid();
    int pair[2], answer[2];

    (void)arg;
    strcpy(q.text, in_dir("in/pipe"));
    len += strlen(q.text) + 1;
    allow(in_dir("in"), SANDBOX_WRITE);
    rules.paths = paths;
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, answer) == 0);
    if (fork() == 0)
        broker_serve(pair[1], &rules, own);
    NEED(broker_send(pair[0], &q, len, &answer[1], 1) == 0);
    close(pair[1]);
    close(pair[0]);
    NEED(wait(NULL) > 0);
}

static void a_question_that_does_not_end_keeps_no_broker(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(in_dir("in/pipe"), 0600), 0);
    in_child(try_stuck_question, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_opened_by_the_rules),
        cmocka_unit_test(files_are_moved_and_nothing_else),
        cmocka_unit_test(a_rule_may_lead_up_and_what_is_below_may_not),
        cmocka_unit_test(limits_of_disks_are_all_of_sysfs),
        cmocka_unit_test(what_appears_later_is_opened_by_its_name),
        cmocka_unit_test(pictures_may_be_anywhere_and_nothing_else),
        cmocka_unit_test(what_is_no_picture_by_its_name_is_not_opened),
        cmocka_unit_test(without_a_gpu_there_are_no_pictures),
        cmocka_unit_test(names_are_resolved_for_those_who_have_a_network),
        cmocka_unit_test(only_sockets_of_ours_are_removed),
        cmocka_unit_test(sockets_are_made_in_one_directory),
        cmocka_unit_test(runtime_dir_may_lead_up),
        cmocka_unit_test(a_socket_that_was_refused_is_not_removed),
        cmocka_unit_test(a_question_that_does_not_end_keeps_no_broker),
    };

    return cmocka_run_group_tests(tests, make_dirs, remove_dirs);
}
