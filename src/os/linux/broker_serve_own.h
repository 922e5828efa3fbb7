/* os/linux/broker_serve_own.h: the parts of the broker's side.
 *
 * All but broker_parse runs in the child that answers one question, and which
 * ends with its answer: what it opens on the way it need not close. */
#ifndef VUB_OS_LINUX_BROKER_SERVE_OWN_H
#define VUB_OS_LINUX_BROKER_SERVE_OWN_H

#include "os/linux/broker_own.h"

/* ---- broker_rules.c: what the config allows ---- */

/* Is one of its names ".."? */
bool broker_path_leads_up(const char *path);
/* Absolute, and nothing in it leads up. */
bool broker_path_is_plain(const char *path);
/* What of path is below the rule's, "" for itself; NULL: it is elsewhere. */
const char *broker_path_below(const struct sandbox_path *rule,
                              const char *path);
/* SANDBOX_* that one must have to open a file with these flags. */
unsigned broker_rights_for(int flags);
/* The rule that allows all of `may`, or NULL. *rest: what of path is below
 * it. */
const struct sandbox_path *broker_rule_find(const struct sandbox_rules *rules,
                                            const char *path, unsigned may,
                                            const char **rest);
/* Opens what is below a rule's path, without a link that leads out of it. An
 * fd, or -1 and errno. */
int broker_rule_open(const char *root, const char *rest, int flags,
                     unsigned mode);
/* Is it a limit of a disk in sysfs, to be read? Anybody may have those. */
bool broker_is_disk_limit(const char *path, int flags);

/* ---- broker_pictures.c: pictures, wherever they lie ---- */

/* Do the rules let this path be looked at as a picture's? If so the process has
 * the rights of the new user from now on, and no others. To be asked before
 * what stands below. */
bool broker_picture_begin(const struct sandbox_rules *rules, const char *path);
/* Opens one to be read, or what is to become one. -EPERM: it is none; else as
 * open(2), but a negative errno. */
int broker_picture_open(const char *path, int flags, unsigned mode);
/* Is that a picture which is being written, by name and by what is in it? */
bool broker_picture_is_part(const char *path);
/* May the one that was written be renamed so? */
bool broker_picture_may_become(const char *from, const char *to);

/* ---- broker_answer.c: one question and its answer ---- */

struct broker_job {
    const struct sandbox_rules *rules;
    int asker; /* the process that has asked, as its pid */
    const struct broker_question *q;
    const char *path, *to; /* its texts */
    struct broker_answer a;
    int fd; /* of the answer; -1: none */
};

/* Finds the texts of j->q, which has len bytes. False: it is not well formed.
 */
bool broker_parse(struct broker_job *j, size_t len);
/* Does what is asked, or refuses: fills j->a, but for has_fd, and j->fd. */
void broker_do(struct broker_job *j);

#endif
