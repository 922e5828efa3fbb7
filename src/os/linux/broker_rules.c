/* What the broker's rules allow, by the names of paths; and how what they allow
 * is opened so that a link made meanwhile does not lead elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/linux/broker_serve_own.h"

bool broker_path_leads_up(const char *path)
{
    for (const char *c = path; *c; c += strspn(c, "/")) {
        size_t len = strcspn(c, "/");

        if (len == 2 && c[0] == '.' && c[1] == '.')
            return true;
        c += len;
    }
    return false;
}

bool broker_path_is_plain(const char *path)
{
    return path[0] == '/' && !broker_path_leads_up(path);
}

const char *broker_path_below(const struct sandbox_path *rule, const char *path)
{
    size_t len = strlen(rule->path);

    while (len > 1 && rule->path[len - 1] == '/')
        len--;
    if (strncmp(rule->path, path, len) != 0)
        return NULL;
    path += len;
    if (*path && *path != '/' && len > 1)
        return NULL;
    return path + strspn(path, "/");
}

unsigned broker_rights_for(int flags)
{
    unsigned may = (flags & O_ACCMODE) == O_RDONLY ? SANDBOX_READ
                   : (flags & O_ACCMODE) == O_WRONLY
                       ? SANDBOX_WRITE
                       : SANDBOX_READ | SANDBOX_WRITE;

    if (flags & O_TRUNC)
        may |= SANDBOX_WRITE;
    return may | (flags & O_CREAT ? SANDBOX_MAKE : 0);
}

/* A rule is as the config has it, which may say "../images": only what is
 * behind it may not lead up. */
const struct sandbox_path *broker_rule_find(const struct sandbox_rules *rules,
                                            const char *path, unsigned may,
                                            const char **rest)
{
    for (unsigned i = 0; i < rules->num_paths; i++) {
        const struct sandbox_path *p = &rules->paths[i];

        *rest = broker_path_below(p, path);
        if (*rest && !broker_path_leads_up(*rest) && (p->may & may) == may)
            return p;
    }
    return NULL;
}

/* Links below a rule may not lead out of it; the rule's own may, and lead to
 * where whoever wrote the config wants. */
int broker_rule_open(const char *root, const char *rest, int flags,
                     unsigned mode)
{
    struct open_how how = {
        .flags = (uint64_t)flags,
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    int dir, fd;

    if (!*rest)
        return open(root, flags, mode);
    dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    fd = (int)syscall(SYS_openat2, dir, rest, &how, sizeof(how));
    close(dir);
    return fd;
}

/* A limit of a disk, as os/linux/file.c asks for it: sysfs has much beside
 * those that is not for everybody, memory of PCI devices for one. */
bool broker_is_disk_limit(const char *path, int flags)
{
    static const char dir[] = "/sys/dev/block/", digits[] = "0123456789",
                      up[] = "../", queue[] = "queue/";
    const char *c = path;
    size_t len;

    if ((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC) ||
        strncmp(c, dir, strlen(dir)) != 0)
        return false;
    c += strlen(dir);
    c += strspn(c, digits);
    if (*c++ != ':')
        return false;
    c += strspn(c, digits);
    if (*c++ != '/')
        return false;
    c += strncmp(c, up, strlen(up)) == 0 ? strlen(up) : 0;
    if (strncmp(c, queue, strlen(queue)) != 0)
        return false;
    c += strlen(queue);
    len = strspn(c, "abcdefghijklmnopqrstuvwxyz_");
    return len > 0 && !c[len];
}
