/* inotify. A directory that is not there yet is waited for in the nearest one
 * above it that is; one watch more or less is no harm, for whoever was woken
 * looks for himself. */
#include "os/watchdir.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

int watchdir_open(int *fd)
{
    *fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return *fd < 0 ? -errno : 0;
}

void watchdir_follow(int fd, const char *dir)
{
    char path[PATH_MAX];
    char *slash;

    if (strlen(dir) >= sizeof(path))
        return;
    strcpy(path, dir);
    /* A directory that is followed already is not followed twice. */
    while (inotify_add_watch(fd, path[0] ? path : "/",
                             IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR) <
               0 &&
           path[0]) {
        slash = strrchr(path, '/');
        *(slash ? slash : path) = '\0';
    }
}

void watchdir_clear(int fd)
{
    char events[4096];

    while (read(fd, events, sizeof(events)) > 0)
        ;
}
