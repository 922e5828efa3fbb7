/* All or nothing: each socket has a name of its own and is open, or none is
 * taken. The variables go in any case, so that a command (--run) does not take
 * them for its own. */
#include "daemon/inherit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/process.h"

/* A number and nothing else; -1: it is not. */
static long number(const char *text)
{
    char *end;
    long n;

    if (text[0] < '0' || text[0] > '9')
        return -1;
    errno = 0;
    n = strtol(text, &end, 10);
    return *end || errno ? -1 : n;
}

static int check_names(const struct inherited *in, struct errs *e)
{
    int rc = 0;

    for (int i = 0; i < in->count; i++) {
        if (!process_has_fd(INHERIT_FIRST + i))
            return errs_add(e, -EBADF, "LISTEN_FDS",
                            "says that there are %d, but fd %d is not open",
                            in->count, INHERIT_FIRST + i);
        for (int k = 0; k < i; k++)
            if (strcmp(in->names[i], in->names[k]) == 0)
                rc = errs_add(e, -EINVAL, "LISTEN_FDNAMES",
                              "fds %d and %d both have the name %s, and a "
                              "device has one socket",
                              INHERIT_FIRST + k, INHERIT_FIRST + i,
                              in->names[i]);
    }
    return rc;
}

/* names: "a:b:c". */
static int read_names(struct inherited *in, const char *names, struct errs *e)
{
    size_t len;
    int n = 0;

    in->names = calloc((size_t)in->count + 1, sizeof(*in->names));
    if (!in->names)
        return errs_nomem(e);
    for (const char *at = names;; at += len + 1) {
        len = strcspn(at, ":");
        if (n < in->count) {
            in->names[n] = strndup(at, len);
            if (!in->names[n])
                return errs_nomem(e);
        }
        n++;
        if (!at[len])
            break;
    }
    if (n != in->count)
        return errs_add(e, -EINVAL, "LISTEN_FDNAMES",
                        "has %d name%s for the %d of LISTEN_FDS", n,
                        n == 1 ? "" : "s", in->count);
    return check_names(in, e);
}

static int read_all(struct inherited *in, const char *fds, const char *names,
                    struct errs *e)
{
    long count = number(fds);
    int rc;

    if (count < 0 || count > INHERIT_MAX)
        return errs_add(e, -EINVAL, "LISTEN_FDS",
                        "must be a number up to %d, not \"%.40s\"", INHERIT_MAX,
                        fds);
    if (count == 0)
        return 0;
    if (!names)
        return errs_add(e, -EINVAL, "LISTEN_FDNAMES",
                        "is missing: it has to say whose the sockets of "
                        "LISTEN_FDS are");
    in->count = (int)count;
    rc = read_names(in, names, e);
    if (rc < 0)
        inherit_free(in);
    return rc;
}

int inherit_read(struct inherited *in, struct errs *e)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    int rc = 0;

    *in = (struct inherited){NULL, 0};
    if (pid && fds && number(pid) == getpid())
        rc = read_all(in, fds, getenv("LISTEN_FDNAMES"), e);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    unsetenv("LISTEN_PIDFDID");
    return rc;
}

int inherit_take(struct inherited *in, const char *name)
{
    for (int i = 0; i < in->count; i++) {
        if (!in->names[i] || strcmp(in->names[i], name) != 0)
            continue;
        inherit_take_fd(in, (unsigned)(INHERIT_FIRST + i));
        return INHERIT_FIRST + i;
    }
    return -1;
}

void inherit_take_fd(struct inherited *in, unsigned fd)
{
    if (fd < INHERIT_FIRST || fd - INHERIT_FIRST >= (unsigned)in->count)
        return;
    free(in->names[fd - INHERIT_FIRST]);
    in->names[fd - INHERIT_FIRST] = NULL;
}

int inherit_left(const struct inherited *in, const char **name)
{
    for (int i = 0; i < in->count; i++) {
        *name = in->names[i];
        if (*name)
            return INHERIT_FIRST + i;
    }
    return -1;
}

void inherit_free(struct inherited *in)
{
    for (int i = 0; i < in->count && in->names; i++)
        free(in->names[i]);
    free(in->names);
    *in = (struct inherited){NULL, 0};
}
