/* Three ways to a socket: it was given to us, by the config or by the
 * environment; it is another vub's and was taken over; or we bind it, when all
 * that was given is known to be right. */
#include "daemon/sockets.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "os/process.h"
#include "os/sandbox.h"

void place_drop(struct place *p)
{
    if (p->fd >= 0)
        close(p->fd);
    free(p->path);
    *p = PLACE_NONE;
}

void place_close(struct place *p)
{
    if (p->fd >= 0 && p->given < 0 && !p->taken)
        sock_unlink(p->path);
    place_drop(p);
}

/* ---- those that were given ---- */

/* Takes fd, which the config or the environment says is a socket for us. */
static int take_fd(struct place *p, int fd, int ready_fd, const char *at,
                   const char *key, struct errs *e)
{
    if (!process_has_fd(fd))
        return errs_at(e, at, key, "fd %d is not open", fd);
    if (fd == STDERR_FILENO)
        return errs_at(e, at, key,
                       "fd %d is standard error, where log lines go", fd);
    if (fd == ready_fd)
        return errs_at(e, at, key, "fd %d is that of --ready-fd", fd);
    p->fd = p->given = fd;
    return 0;
}

static int take_device(struct place *p, const struct config *c, int i,
                       struct inherited *in, int ready_fd, struct errs *e)
{
    const struct device_common *d = config_device(c, i);
    const char *at = c->devices.list[i].at;
    int fd;

    if (d->socket.has_fd && p->taken) {
        inherit_take_fd(in, d->socket.fd);
        return 0;
    }
    if (d->socket.has_fd) {
        inherit_take_fd(in, d->socket.fd);
        return take_fd(p, (int)d->socket.fd, ready_fd, at, "socket/fd", e);
    }
    fd = inherit_take(in, d->id);
    if (fd < 0)
        return 0;
    place_close(p);
    return take_fd(p, fd, ready_fd, at, "socket", e);
}

/* The name is the control socket's, if there is one. */
static int take_control(struct sockets *s, const struct config *c,
                        struct inherited *in, int ready_fd, struct errs *e)
{
    int fd = c->has_control ? inherit_take(in, SOCKETS_CONTROL) : -1;

    if (fd < 0)
        return 0;
    for (int i = 0; i < c->devices.count; i++)
        if (strcmp(config_device(c, i)->id, SOCKETS_CONTROL) == 0)
            return errs_at(e, c->devices.list[i].at, "id",
                           "is that of the control socket, which is inherited "
                           "by the name \"%s\"",
                           SOCKETS_CONTROL);
    place_close(&s->control);
    return take_fd(&s->control, fd, ready_fd, "", "control", e);
}

/* What is left has a name that means nothing to us. */
static int check_left(struct inherited *in, const struct config *c,
                      struct errs *e)
{
    const char *name;
    int fd, rc = 0;

    for (; (fd = inherit_left(in, &name)) >= 0;
         inherit_take_fd(in, (unsigned)fd)) {
        if (strcmp(name, SOCKETS_CONTROL) == 0 && !c->has_control)
            rc = errs_add(e, -EINVAL, "LISTEN_FDNAMES",
                          "fd %d is to be the control socket, which the "
                          "config does not ask for",
                          fd);
        else
            rc = errs_add(e, -EINVAL, "LISTEN_FDNAMES",
                          "fd %d has the name \"%.100s\", which is no "
                          "device's id%s",
                          fd, name,
                          strcmp(name, "unknown") == 0
                              ? " (in a socket unit FileDescriptorName= says "
                                "it)"
                              : "");
    }
    return rc;
}

int sockets_init(struct sockets *s, const struct config *c, struct errs *e)
{
    *s = (struct sockets){.control = PLACE_NONE};
    s->devices = calloc((size_t)c->devices.count, sizeof(*s->devices));
    if (!s->devices)
        return errs_nomem(e);
    s->count = c->devices.count;
    for (int i = 0; i < s->count; i++)
        s->devices[i] = PLACE_NONE;
    return 0;
}

int sockets_take(struct sockets *s, const struct config *c,
                 struct inherited *in, int ready_fd, struct errs *e)
{
    int rc, one;

    rc = take_control(s, c, in, ready_fd, e);
    for (int i = 0; i < s->count; i++) {
        one = take_device(&s->devices[i], c, i, in, ready_fd, e);
        if (one < 0)
            rc = one;
    }
    one = check_left(in, c, e);
    return one < 0 ? one : rc;
}

void sockets_take_door(struct sockets *s, int door)
{
    s->devices[0] =
        (struct place){.fd = door, .given = door, .kind = SOCK_DOOR};
}

/* ---- those that we bind ---- */

/* runtime_dir, when the first socket goes there. */
struct dir {
    char *path;
    int rc;                               /* 1: not tried yet */
    const struct sandbox_config *sandbox; /* NULL: nothing is told of it */
};

/* Of one that was there: its owner can put other sockets into the place of
 * ours. That is so on purpose where it belongs to whom vub becomes. */
static void look_at_owner(const struct dir *dir)
{
    unsigned uid, becomes, group;

    if (!dir->sandbox || !process_is_others(dir->path, &uid))
        return;
    if (dir->sandbox->user &&
        sandbox_find_user(dir->sandbox->user, &becomes, &group) == 0 &&
        becomes == uid)
        return;
    log_warn(NULL,
             "runtime_dir %s belongs to user %u, who can replace the sockets "
             "in it",
             dir->path, uid);
}

static int make_dir(struct dir *dir, struct errs *e)
{
    struct err why;

    if (dir->rc == 1) {
        dir->rc = process_make_dir(dir->path, &why);
        if (dir->rc < 0)
            errs_adopt(e, "", "runtime_dir", &why);
        else
            look_at_owner(dir);
    }
    return dir->rc;
}

/* One that was given: what is it? */
static int look_at_given(struct place *p, struct err *e)
{
    char path[PATH_MAX];
    int rc = sock_inherited(p->fd, &p->kind, e);

    if (rc == 0 && sock_path(p->fd, path, sizeof(path))) {
        p->path = strdup(path);
        if (!p->path)
            rc = err_nomem(e);
    }
    return rc;
}

/* Takes path. */
static int bind_one(struct place *p, char *path, unsigned mode, struct err *e)
{
    int fd = path ? sock_listen(path, mode, e) : err_nomem(e);

    if (fd < 0) {
        free(path);
        return fd;
    }
    *p = (struct place){
        .fd = fd, .given = -1, .path = path, .kind = SOCK_LISTENING};
    return 0;
}

static int bind_control(struct sockets *s, const struct config *c,
                        struct dir *dir, struct errs *e)
{
    struct err why;
    int rc = 0;

    if (!c->has_control || s->control.taken)
        return 0;
    if (s->control.fd >= 0) {
        rc = look_at_given(&s->control, &why);
        if (rc == 0 && s->control.kind != SOCK_LISTENING)
            rc = err_set(&why, -ENOTSUP, "", "fd %d does not listen",
                         s->control.fd);
        return rc < 0 ? errs_adopt(e, "", "control", &why) : 0;
    }
    if (c->control.path[0] != '/')
        rc = make_dir(dir, e);
    if (rc < 0)
        return rc;
    rc = bind_one(&s->control, config_control_path(dir->path, c),
                  c->control.mode, &why);
    return rc < 0 ? errs_adopt(e, "", "control", &why) : 0;
}

static int bind_device(struct place *p, const struct conf_any *device,
                       struct dir *dir, struct errs *e)
{
    const struct device_common *d = device->data;
    struct err why;
    int rc = 0;

    if (p->taken)
        return 0;
    if (p->fd >= 0) {
        rc = look_at_given(p, &why);
        return rc < 0 ? errs_adopt(e, device->at, "socket", &why) : 0;
    }
    if (!d->socket.path || d->socket.path[0] != '/')
        rc = make_dir(dir, e);
    if (rc < 0)
        return rc;
    rc = bind_one(p, config_socket_path(dir->path, d), d->socket.mode, &why);
    return rc < 0 ? errs_adopt(e, device->at, "socket", &why) : 0;
}

int place_bind(struct place *p, const struct conf_any *device,
               const struct config *c, struct errs *e)
{
    struct dir dir = {config_runtime_dir(c), 1, NULL};
    int rc = dir.path ? bind_device(p, device, &dir, e) : errs_nomem(e);

    free(dir.path);
    return rc;
}

int sockets_bind(struct sockets *s, const struct config *c, struct errs *e)
{
    struct dir dir = {config_runtime_dir(c), 1, &c->sandbox};
    int rc, one;

    if (!dir.path)
        return errs_nomem(e);
    rc = bind_control(s, c, &dir, e);
    for (int i = 0; i < s->count; i++) {
        one = bind_device(&s->devices[i], &c->devices.list[i], &dir, e);
        if (one < 0)
            rc = one;
    }
    free(dir.path);
    return rc;
}

void sockets_close(struct sockets *s)
{
    for (int i = 0; i < s->count; i++)
        place_close(&s->devices[i]);
    if (s->devices)
        place_close(&s->control);
    free(s->devices);
    *s = (struct sockets){.control = PLACE_NONE};
}
