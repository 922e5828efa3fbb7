/* behave/target.h: the scripted iSCSI target (tests/iscsi/target.py) for
 * behaviour tests, one at a time. */
#ifndef BEHAVE_TARGET_H
#define BEHAVE_TARGET_H

#include "behave.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct target {
    pid_t pid;
    FILE *to, *from;
    int port;
};

static struct target target;

static __attribute__((unused)) void target_start(const char *size)
{
    int to[2], from[2];
    char line[64];

    signal(SIGPIPE, SIG_IGN);
    if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
        front_fail("pipe2");
    target.pid = fork();
    if (target.pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execlp("python3", "python3", "-B", VUB_TARGET, "--lun", size, NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    target.to = fdopen(to[1], "w");
    target.from = fdopen(from[0], "r");
    if (!fgets(line, sizeof(line), target.from) ||
        sscanf(line, "port %d", &target.port) != 1)
        front_fail("the target does not start");
}

static __attribute__((unused)) void say(const char *command)
{
    char line[65536];

    fprintf(target.to, "%s\n", command);
    fflush(target.to);
    if (!fgets(line, sizeof(line), target.from))
        front_fail("the target is gone");
}

static int target_end(void **state)
{
    int rc = behave_teardown(state);

    if (target.pid > 0) {
        fclose(target.to); /* which ends it */
        fclose(target.from);
        waitpid(target.pid, NULL, 0);
    }
    target.pid = 0;
    return rc;
}

#define TARGET_T(f) cmocka_unit_test_teardown(f, target_end)

#endif
