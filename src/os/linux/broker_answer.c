/* One question: a rule is looked for by the names in it, then it is done by
 * directories that are open and by what the file turns out to be, since names
 * may lead elsewhere by then. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/linux/broker_serve_own.h"

#define KNOWN_FLAGS                                                            \
    (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_NONBLOCK |        \
     O_NOCTTY | O_CLOEXEC | O_DIRECT | O_DIRECTORY | O_LARGEFILE)

/* Exactly the texts that the question has. */
bool broker_parse(struct broker_job *j, size_t len)
{
    const struct broker_question *q = j->q;
    size_t head = offsetof(struct broker_question, text), first, second;

    if (len <= head)
        return false;
    len -= head;
    first = strnlen(q->text, len) + 1;
    if (first > len || first > PATH_MAX)
        return false;
    j->path = q->text;
    if (q->op != BROKER_RENAME)
        return first == len;
    j->to = q->text + first;
    second = strnlen(j->to, len - first) + 1;
    return first + second == len && second <= PATH_MAX;
}

static int refuse(struct broker_job *j)
{
    j->a.refused = true;
    return -EACCES;
}

static int do_open(struct broker_job *j)
{
    int flags = (int)j->q->flags | O_CLOEXEC, rc;
    const struct sandbox_rules *now;
    const struct sandbox_path *rule;
    const char *rest;

    if (flags & ~KNOWN_FLAGS)
        return refuse(j);
    if (broker_is_disk_limit(j->path, flags)) {
        j->fd = open(j->path, O_RDONLY | O_CLOEXEC);
        return j->fd < 0 ? -errno : 0;
    }
    rule = broker_rule_find(j->rules, j->path, broker_rights_for(flags), &rest);
    now = !rule && j->rules->reread ? j->rules->reread(j->rules) : NULL;
    if (now)
        rule = broker_rule_find(now, j->path, broker_rights_for(flags), &rest);
    if (rule) {
        j->fd = broker_rule_open(rule->path, rest, flags, j->q->mode & 0666);
        return j->fd < 0 ? -errno : 0;
    }
    if (!broker_picture_begin(j->rules, j->path))
        return refuse(j);
    rc = broker_picture_open(j->path, flags, j->q->mode);
    if (rc == -EPERM)
        return refuse(j);
    j->fd = rc;
    return MIN(rc, 0);
}

/* A name below a rule, and its directory, open. */
struct entry {
    int dir; /* -1: none */
    const char *name;
};

/* False: no rule has it, or it is a rule's own. Else rc, and ent->dir or -1. */
static bool find_entry(const struct broker_job *j, const char *path,
                       struct entry *ent, int *rc)
{
    char dir[PATH_MAX + 1];
    const struct sandbox_path *rule;
    const char *rest, *slash;

    *ent = (struct entry){.dir = -1};
    rule = broker_rule_find(j->rules, path, SANDBOX_MAKE, &rest);
    if (!rule || !*rest)
        return false;
    slash = strrchr(rest, '/');
    ent->name = slash ? slash + 1 : rest;
    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - rest) : 0, rest);
    ent->dir =
        broker_rule_open(rule->path, dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    *rc = ent->dir < 0 ? -errno : 0;
    return true;
}

/* Links and directories stay where they are: elsewhere they would lead to
 * something else. */
static int move(struct broker_job *j, const struct entry *from,
                const struct entry *to)
{
    struct stat st;

    if (fstatat(from->dir, from->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return refuse(j);
    return renameat(from->dir, from->name, to->dir, to->name) < 0 ? -errno : 0;
}

static int do_rename(struct broker_job *j)
{
    struct entry from, to;
    int rc = 0, rc2 = 0;

    if (find_entry(j, j->path, &from, &rc) && find_entry(j, j->to, &to, &rc2)) {
        rc = MIN(rc, rc2);
        return rc < 0 ? rc : move(j, &from, &to);
    }
    if (!broker_picture_begin(j->rules, j->path) ||
        !broker_picture_may_become(j->path, j->to))
        return refuse(j);
    return rename(j->path, j->to) < 0 ? -errno : 0;
}

static int do_unlink(struct broker_job *j)
{
    struct entry ent;
    int rc;

    if (find_entry(j, j->path, &ent, &rc)) {
        if (rc == 0 && unlinkat(ent.dir, ent.name, 0) < 0)
            rc = -errno;
        return rc;
    }
    if (!broker_picture_begin(j->rules, j->path) ||
        !broker_picture_is_part(j->path))
        return refuse(j);
    return unlink(j->path) < 0 ? -errno : 0;
}

/* A device of the config as it is now may have its socket anywhere. */
static bool is_named_socket(const struct broker_job *j)
{
    const struct sandbox_rules *now =
        j->rules->reread ? j->rules->reread(j->rules) : NULL;

    for (unsigned i = 0; now && i < now->num_sockets; i++) {
        if (strcmp(now->sockets[i], j->path) == 0)
            return true;
    }
    return false;
}

static int do_listen(struct broker_job *j)
{
    const struct sandbox_path dir = {j->rules->socket_dir, 0};
    const char *rest = dir.path ? broker_path_below(&dir, j->path) : NULL;
    struct err e;

    if ((!rest || !*rest || strchr(rest, '/') || broker_path_leads_up(rest)) &&
        !is_named_socket(j)) {
        snprintf(j->a.why, sizeof(j->a.why),
                 "the sandbox does not allow a new socket outside of "
                 "runtime_dir that the config file does not name");
        return refuse(j);
    }
    j->fd = sock_listen_here(j->path, j->q->mode & 0777, &e);
    if (j->fd < 0)
        snprintf(j->a.why, sizeof(j->a.why), "%s", e.text);
    return MIN(j->fd, 0);
}

static int act(struct broker_job *j)
{
    switch (j->q->op) {
    case BROKER_OPEN:
        return do_open(j);
    case BROKER_RENAME:
        return do_rename(j);
    case BROKER_UNLINK:
        return do_unlink(j);
    case BROKER_UNLINK_SOCKET:
        /* One that the asker listens on, wherever it is: it may end that. */
        if (j->path[0] == '/')
            sock_unlink_of(j->path, j->asker);
        return 0;
    case BROKER_LISTEN:
        return do_listen(j);
    case BROKER_RESOLVE:
        if (!(j->rules->needs & SANDBOX_NETWORK))
            return refuse(j);
        resolve_here(j->path, &j->a.resolved);
        return 0;
    }
    return refuse(j);
}

void broker_do(struct broker_job *j)
{
    j->a.rc = act(j);
}
