/* tests/unit/os/rig.h: what is sandboxed runs in a child, which says by its
 * exit status how it went. */
#ifndef VUB_TESTS_UNIT_OS_RIG_H
#define VUB_TESTS_UNIT_OS_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/broker.h"
#include "os/linux/sandbox_own.h"

/* In the child: the line of the first that is not so is its status. */
#define NEED(what)                                                             \
    do {                                                                       \
        if (!(what)) {                                                         \
            fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #what,       \
                    errno);                                                    \
            _exit(1);                                                          \
        }                                                                      \
    } while (0)

static inline void in_child(void (*run)(void *arg), void *arg)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        run(arg);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static char dir[] = "/tmp/vub-sandbox-XXXXXX";

static inline char *in_dir(const char *name)
{
    static char text[8][128];
    static unsigned next;
    char *out = text[next++ % 8];

    snprintf(out, sizeof(text[0]), "%s/%s", dir, name);
    return out;
}

static inline void make_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static inline int make_dirs(void **state)
{
    (void)state;
    return mkdtemp(dir) && mkdir(in_dir("in"), 0700) == 0 &&
                   mkdir(in_dir("out"), 0700) == 0
               ? 0
               : -1;
}

static inline int remove_dirs(void **state)
{
    char command[160];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

#endif
