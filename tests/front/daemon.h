/* front/daemon.h: the program under test, run as a child.
 *
 *     struct vub *v = vub_start("{'id': 'd', 'type': 'block',"
 *                               " 'store': {'type': 'null',"
 *                               "           'size': '1G'}}");
 *     ... front_new(v, "d") ...
 *     vub_free(v);
 *
 * A vub has a directory of its own, removed at its end, which holds the
 * config, the sockets (<id>.sock) and whatever the test puts there. Its
 * stderr is a pipe that is read whenever somebody asks for the log; what was
 * read is kept. It dies with the test program. */
#ifndef FRONT_DAEMON_H
#define FRONT_DAEMON_H

#include <sys/types.h>

#include "base/base.h"

struct vub {
    pid_t pid;       /* 0: does not run */
    int pidfd;       /* readable when it has ended */
    char dir[64];    /* short, for sockets have short names */
    const char *exe; /* the program; the environment's VUB is the default,
                      * then the one that was built with the tests */
    bool quiet;   /* with the default log level; else debug, at which no line is
                   * left out */
    bool beside;  /* the directory is another's */
    bool wrapped; /* exe runs it under another program, which keeps copies of
                   * its fds */
    const char *program; /* "input": that program of one device, which has no
                          * config; NULL: vub */
    /* rest: daemon.c's */
    int log_fd, ready_fd;
    char *log;
    size_t log_len, log_room, log_mark;
    const char *args[32];
    unsigned num_args;
    int inherit[8];
    unsigned num_inherit;
    char *strings[64]; /* vub_path's, freed at the end */
    unsigned num_strings;
    struct vub *next;
};

/* A directory, nothing running. */
struct vub *vub_new(void);
/* The same, in a directory other than /tmp (or VUB_TEST_DIR). */
struct vub *vub_new_in(const char *parent);
/* DIR/name. Lives as long as v. */
const char *vub_path(struct vub *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Writes devices.json: {"runtime_dir": DIR, "devices": [ text ]}. Single
 * quotes in the text become double quotes. */
void vub_config(struct vub *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "sandbox" of those configs, as JSON; NULL, as at first: they have none. */
extern const char *vub_sandbox;
/* The same, the text being the whole file. */
void vub_config_whole(struct vub *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* One more argument, behind --config devices.json. */
void vub_arg(struct vub *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The program will have fd under the same number. */
void vub_inherit(struct vub *v, int fd);
/* Another program in the same directory, with the same config and arguments:
 * one that is to take over. Freed before v. */
struct vub *vub_beside(struct vub *v);
/* Starts it and waits until its sockets listen. Again, after it has ended:
 * with the same directory, config and arguments. */
void vub_run(struct vub *v);
/* Starts it and does not wait for it to be ready. */
void vub_spawn(struct vub *v);
/* Is it by now? Or it has ended. Once it is, no more. */
bool vub_is_ready(struct vub *v);
/* vub_new, vub_config and vub_run. */
struct vub *vub_start(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Starts another program: argv as it is, and not waited for. v may be used
 * for all else here. */
void vub_spawn_argv(struct vub *v, const char *const *argv);

void vub_signal(struct vub *v, int sig);
/* Waits for its end. Exit status, or 128 + signal. */
int vub_wait(struct vub *v);
/* Has it ended by itself? For asserting that it has not. */
bool vub_alive(struct vub *v);
/* SIGTERM; anything but a clean exit fails the test (a sanitizer's report
 * makes it unclean). */
void vub_stop(struct vub *v);
/* SIGKILL, and waits. */
void vub_kill(struct vub *v);
/* Stops it if it runs, removes the directory. v may be NULL. */
void vub_free(struct vub *v);
void vub_free_all(void);
bool vub_any(void); /* is there one? */

/* All it has logged up to now, since it first started. Not to be kept. */
const char *vub_log(struct vub *v);
/* From here on vub_log_wait and vub_log_count look. */
void vub_log_mark(struct vub *v);
/* Waits until a line after the mark has `text` in it, and returns the line
 * (no newline). Good until the next call. */
const char *vub_log_wait(struct vub *v, const char *text);
/* How many lines after the mark have it, so far. */
unsigned vub_log_count(struct vub *v, const char *text);
/* The logs of all that were started, to stderr. */
void vub_log_dump_all(void);

/* What the kernel says of it. -1: not for our eyes (it is not dumpable, and
 * we are not root). */
int vub_fds(struct vub *v); /* all that is to be closed is closed */
int vub_fds_now(struct vub *v);
int vub_threads(struct vub *v);
int vub_maps(struct vub *v, const char *having); /* lines of its map with it */
long vub_rss_kib(struct vub *v);
/* CPU time used so far, user and system, microseconds. */
int64_t vub_cpu_us(struct vub *v);

#endif
