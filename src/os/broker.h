/* os/broker.h: a small process that does for this one what it may not do any
 * more: os/sandbox.h.
 *
 * It is made before anything is opened, so it holds no guest's memory, no
 * socket and no file. It knows the rules as the config has them, believes
 * nothing that it is asked, and does each thing in a process of its own, so
 * that nobody waits for what another has asked. It ends with this process. If
 * somebody kills it another one comes, unless rules->spawn is NULL: what it was
 * asked for just then fails.
 *
 * Without a broker (no sandbox) all of these do what they say themselves; with
 * one they try so first, and ask when that is not allowed.
 * Threads: any, but for start and stop. */
#ifndef VUB_OS_BROKER_H
#define VUB_OS_BROKER_H

#include "os/resolve.h"
#include "os/sandbox.h"

/* Starts it. The rules are good until it has stopped. */
int broker_start(const struct sandbox_rules *rules, struct err *e);
/* Ends it, and waits for that. Safe without one. */
void broker_stop(void);
bool broker_runs(void);

/* As open(2), rename(2) and unlink(2), but for what is returned: an fd, or 0;
 * negative errno. They wait no longer for an answer than for a slow disk. */
int broker_open(const char *path, int flags, unsigned mode);
int broker_rename(const char *from, const char *to);
int broker_unlink(const char *path);
/* Do the rules let it be opened so (O_RDONLY or O_RDWR), whatever we may still
 * do ourselves? Without a broker they do. For paths that somebody else names
 * before we have entered the sandbox. */
bool broker_allows(const char *path, int flags);
/* Fills e with "cannot open PATH: why", for rc that one of them has returned to
 * this thread just now; returns rc. Where the sandbox is why, it says which key
 * of the config to change. */
int broker_fail(struct err *e, int rc, const char *what, const char *path);

/* Makes a process that goes on as rules->spawn has it: a fork of the broker,
 * which looks up by itself what there is to know of `id`; in the config as it
 * is now, if it is to read it again. It gets copies of the fds; the last one is
 * its standard error. Does not wait:
 * returns an fd that becomes readable when there is news, broker_spawned;
 * closing it kills the process. */
#define BROKER_SPAWN_FDS 4
int broker_spawn(const char *id, bool reread, const int fds[BROKER_SPAWN_FDS]);
/* What is new of it. */
enum broker_news {
    BROKER_NOTHING,
    BROKER_IS_THERE, /* value: the process */
    BROKER_ENDED,    /* value: its exit status, or 128 and its signal */
    BROKER_FAILED,   /* there is no such process; value: negative errno */
    BROKER_LOST,     /* the broker has ended, and so does the process, if there
                      * is one: nothing more is told. value: -EOWNERDEAD */
};
enum broker_news broker_spawned(int line, int *value);
/* It is to be killed; its end is told all the same. */
void broker_kill(int line);

/* For os/: what resolve.h and sock.h say, asked of the broker. -ENOSYS: there
 * is none. */
int broker_resolve(const char *host, struct resolve_answer *a);
int broker_unlink_socket(const char *path);
int broker_listen(const char *path, unsigned mode, struct err *e);

#endif
