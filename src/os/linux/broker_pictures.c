/* Screenshots are written to, and compared with, whatever file a call of the
 * control socket names, so there is no directory to make a rule of. Instead a
 * file must have a picture's name, and be empty or begin as a picture does; one
 * that is written is "NAME.part" until it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/linux/broker_serve_own.h"

static bool ends_in(const char *path, const char *ending)
{
    size_t len = strlen(path), n = strlen(ending);

    return len > n && strcasecmp(path + len - n, ending) == 0;
}

static bool is_picture_name(const char *path)
{
    return ends_in(path, ".png") || ends_in(path, ".ppm");
}

static bool is_part_name(const char *path)
{
    return ends_in(path, ".png.part") || ends_in(path, ".ppm.part");
}

/* Nobody else's file, and empty, or it begins as a picture does. */
static bool is_picture(int fd, bool may_be_empty)
{
    static const char png[] = "\211PNG\r\n\032\n";
    struct stat st;
    char head[8];
    ssize_t n;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    if (st.st_size == 0)
        return may_be_empty;
    n = pread(fd, head, sizeof(head), 0);
    return (n == 8 && memcmp(head, png, 8) == 0) ||
           (n >= 3 && memcmp(head, "P6", 2) == 0);
}

static bool is_there(const char *path)
{
    int fd =
        open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool yes = fd >= 0 && is_picture(fd, true);

    if (fd >= 0)
        close(fd);
    return yes;
}

/* Opens what may be one, to be read. Opening a device already does something,
 * to a watchdog or a tape: what is no file is not opened. */
static int open_to_look(const char *path)
{
    int at = open(path, O_PATH | O_CLOEXEC), fd;
    struct stat st;
    char name[32];

    if (at < 0)
        return -errno;
    if (fstat(at, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(at);
        return -EPERM;
    }
    snprintf(name, sizeof(name), "/proc/self/fd/%d", at);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) /* a system without /proc */
        fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    fd = fd < 0 ? -errno : fd;
    close(at);
    return fd;
}

int broker_picture_open(const char *path, int flags, unsigned mode)
{
    const int common = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    struct stat st;
    int fd;

    if (writes ? !is_part_name(path) : !is_picture_name(path))
        return -EPERM;
    fd = writes
             ? open(path, O_RDWR | O_CREAT | O_NOFOLLOW | common, mode & 0666)
             : open_to_look(path);
    if (fd < 0)
        return writes ? -errno : fd;
    if (is_picture(fd, writes) &&
        (!writes || (fstat(fd, &st) == 0 && st.st_nlink == 1)))
        return fd;
    close(fd);
    return -EPERM;
}

/* Who may use the control socket may be that user: what is asked for there is
 * done with no more rights than that one has. */
static bool be_user(const struct sandbox_rules *rules)
{
    return (!rules->has_user && !rules->has_group) ||
           (setgroups(0, NULL) == 0 &&
            setresgid(rules->gid, rules->gid, rules->gid) == 0 &&
            (!rules->has_user ||
             setresuid(rules->uid, rules->uid, rules->uid) == 0));
}

bool broker_picture_begin(const struct sandbox_rules *rules, const char *path)
{
    return rules->pictures && broker_path_is_plain(path) && be_user(rules);
}

bool broker_picture_is_part(const char *path)
{
    return is_part_name(path) && is_there(path);
}

bool broker_picture_may_become(const char *from, const char *to)
{
    size_t len = strlen(to);
    struct stat st;

    return broker_path_is_plain(to) && is_picture_name(to) &&
           is_part_name(from) && strncmp(from, to, len) == 0 &&
           strcmp(from + len, ".part") == 0 && is_there(from) &&
           (is_there(to) || (lstat(to, &st) < 0 && errno == ENOENT));
}
