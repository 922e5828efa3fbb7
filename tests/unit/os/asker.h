/* tests/unit/os/asker.h: one who is in a sandbox and asks its broker. In a
 * child (rig.h), for there is no way out. */
#ifndef VUB_TESTS_UNIT_OS_ASKER_H
#define VUB_TESTS_UNIT_OS_ASKER_H

#include "rig.h"

static struct sandbox_path paths[8];
static struct sandbox_rules rules;

static inline void allow(const char *path, unsigned may)
{
    paths[rules.num_paths++] = (struct sandbox_path){path, may};
}

/* A broker that knows the rules, and a sandbox that has none of the paths. */
static inline void enter(void)
{
    struct sandbox_rules none = rules;
    struct sandbox_state state;
    struct err e;

    rules.paths = paths;
    NEED(broker_start(&rules, &e) == 0);
    none.num_paths = 0;
    NEED(sandbox_enter(&none, &state, &e) == 0);
    if (!state.landlock)
        _exit(0); /* everything can be opened directly: nobody is asked */
}

static inline bool opens(const char *path, int flags)
{
    int fd = broker_open(path, flags, 0600);

    if (fd >= 0)
        close(fd);
    else
        errno = -fd;
    return fd >= 0;
}

static inline bool refuses(const char *path, int flags)
{
    struct err e;
    int fd = broker_open(path, flags, 0600);

    if (fd >= 0)
        return false;
    broker_fail(&e, fd, "open", path);
    return fd == -EACCES && strstr(e.text, "\"sandbox\": {\"paths\"");
}

#endif
