/* os/sandbox.h: what this process may still do once it is set up.
 *
 * A guest that finds a hole in a device has all that the process has. So when
 * everything is open, and before any other thread exists, the process gives
 * up what it does not need: rights to gain rights, capabilities, its user if
 * the config says so, files (Landlock), system calls (seccomp). What is needed
 * later all the same is asked of a process that has kept its rights and knows
 * the rules, os/broker.h.
 *
 * Systems differ in what they can: what cannot be is left out, and said.
 * Threads: the main one, before others exist. */
#ifndef VUB_OS_SANDBOX_H
#define VUB_OS_SANDBOX_H

#include "base/err.h"

/* What may be done with a path, and if it is a directory, with all below. */
enum {
    SANDBOX_READ = 1 << 0,
    SANDBOX_WRITE = 1 << 1,
    SANDBOX_MAKE = 1 << 2, /* files are made there, renamed and removed */
};

struct sandbox_path {
    const char *path; /* absolute; need not exist */
    unsigned may;     /* SANDBOX_* */
};

/* What devices need beside files, as bits. */
enum {
    SANDBOX_FILES = 1 << 0,     /* block I/O, io_uring */
    SANDBOX_NETWORK = 1 << 1,   /* TCP to others */
    SANDBOX_HOST_SCSI = 1 << 2, /* generic SCSI nodes */
    SANDBOX_INPUT = 1 << 3,     /* nodes of input devices, and directories */
    SANDBOX_GPU = 1 << 4,       /* udmabuf; pictures are files */
};

struct sandbox_rules {
    /* [the broker] What the config says by now: rules whose paths count too,
     * for one question, or NULL. NULL: it never says anything else. */
    const struct sandbox_rules *(*reread)(const struct sandbox_rules *rules);
    const struct sandbox_path *paths;
    unsigned num_paths;
    unsigned needs; /* SANDBOX_* of the above */
    /* Sockets may be made there, by the broker only; NULL: nowhere. */
    const char *socket_dir;
    const char *const *sockets; /* or these; only of what `reread` returns */
    unsigned num_sockets;
    /* Pictures may be read and written anywhere: what has a picture's name, and
     * is none yet or begins as one does. Broker only. */
    bool pictures;
    /* [a fork of the broker] Goes on as a process for `id`, and returns its
     * exit status: broker_spawn. NULL: there are none. */
    int (*spawn)(const struct sandbox_rules *rules, const char *id, bool reread,
                 const int *fds);
    bool only_spawns; /* there is no sandbox; nothing else is the broker's */
    bool any_call;    /* system calls are not filtered */
    int command;      /* the process that may be sent signals; 0: none */
    bool has_user, has_group;
    unsigned uid, gid;
    const char *user; /* for its groups, if has_user */
};

/* What is in force; what was not asked for or cannot be is zero. */
struct sandbox_state {
    bool entered;
    bool no_new_privs, seccomp;
    int landlock;    /* its ABI; 0: none */
    uint64_t kept;   /* capabilities, bits by their numbers */
    bool not_dumped; /* neither core dumps nor debuggers */
    unsigned uid, gid;
    char missing[160]; /* a sentence; "": nothing */
};

/* There is no way back. What the system lacks is in state->missing; what would
 * leave more rights than the config says, a user that cannot be changed to, is
 * an error, and the process should end. */
int sandbox_enter(const struct sandbox_rules *rules,
                  struct sandbox_state *state, struct err *e);

/* The user of that name, or number as text, and its group; -ENOENT. */
int sandbox_find_user(const char *name, unsigned *uid, unsigned *gid);
int sandbox_find_group(const char *name, unsigned *gid);

#endif
