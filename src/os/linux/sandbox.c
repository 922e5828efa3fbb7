/* The order is made by what each step still needs: rules of Landlock are made
 * of paths that the new user may not see; a user is changed with capabilities;
 * and the filter of system calls comes last, for it has none of these calls. */
#include "os/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/linux/sandbox_own.h"

/* ---- names ---- */

static bool number(const char *text, unsigned *out)
{
    char *end;
    unsigned long n;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    n = strtoul(text, &end, 10);
    if (*end || errno || n >= UINT32_MAX)
        return false;
    *out = (unsigned)n;
    return true;
}

int sandbox_find_user(const char *name, unsigned *uid, unsigned *gid)
{
    const struct passwd *p;
    bool is_number = number(name, uid);

    p = is_number ? getpwuid(*uid) : getpwnam(name);
    if (!p)
        return -ENOENT; /* a number without a name has no group */
    *uid = p->pw_uid;
    *gid = p->pw_gid;
    return 0;
}

int sandbox_find_group(const char *name, unsigned *gid)
{
    const struct group *g;

    if (number(name, gid))
        return 0;
    g = getgrnam(name);
    if (!g)
        return -ENOENT;
    *gid = g->gr_gid;
    return 0;
}

/* ---- capabilities ---- */

static int cap_get(uint64_t *permitted)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &head, data) < 0)
        return -errno;
    *permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    return 0;
}

static int cap_set(uint64_t caps)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
        {.effective = (uint32_t)(caps >> 32),
         .permitted = (uint32_t)(caps >> 32)},
    };

    return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* Commands that the kernel lets only administrators give to a device, and
 * resets of it. */
static uint64_t caps_kept(const struct sandbox_rules *rules, uint64_t has)
{
    if (!(rules->needs & SANDBOX_HOST_SCSI))
        return 0;
    return has & (UINT64_C(1) << CAP_SYS_RAWIO | UINT64_C(1) << CAP_SYS_ADMIN);
}

/* Needs one itself, and does not matter where there is none: a program that
 * cannot be started cannot gain any either. */
static void drop_bounding(uint64_t kept)
{
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        if (cap >= 64 || !(kept >> cap & 1))
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    }
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* ---- user ---- */

static int set_user(const struct sandbox_rules *rules, struct err *e)
{
    bool is_root = geteuid() == 0;

    if (rules->has_group || rules->has_user) {
        /* Who is that user already has nothing to change. */
        if (is_root && rules->has_user ? initgroups(rules->user, rules->gid) < 0
                                       : is_root && setgroups(0, NULL) < 0)
            return err_sys(e, errno, "", "cannot set the groups");
        if (setresgid(rules->gid, rules->gid, rules->gid) < 0)
            return err_sys(e, errno, "", "cannot become the group %u",
                           rules->gid);
    }
    if (rules->has_user && setresuid(rules->uid, rules->uid, rules->uid) < 0)
        return err_sys(e, errno, "", "cannot become the user %u", rules->uid);
    return 0;
}

static int leave_rights(const struct sandbox_rules *rules,
                        struct sandbox_state *state, struct err *e)
{
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), death = 0, rc;
    uint64_t has = 0;

    prctl(PR_GET_PDEATHSIG, &death);
    rc = cap_get(&has);
    if (rc < 0)
        return err_sys(e, -rc, "", "cannot look at capabilities");
    state->kept = caps_kept(rules, has);
    drop_bounding(state->kept);
    if (state->kept)
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    rc = set_user(rules, e);
    if (rc < 0)
        return rc;
    rc = cap_set(state->kept);
    if (rc < 0)
        return err_sys(e, -rc, "", "cannot drop capabilities");
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    /* Another user is not dumpable, or whatever the system is set to. */
    prctl(PR_SET_DUMPABLE, dumpable == 1, 0, 0, 0);
    /* Nor does the end of a parent concern it any more. */
    if (death)
        prctl(PR_SET_PDEATHSIG, death);
    state->not_dumped = dumpable != 1;
    state->uid = geteuid();
    state->gid = getegid();
    return 0;
}

/* ---- all ---- */

static void note_missing(struct sandbox_state *state, const char *what, int rc)
{
    size_t len = strlen(state->missing);

    snprintf(state->missing + len, sizeof(state->missing) - len, "%s%s (%s)",
             len ? ", no " : "no ", what,
             rc == -ENOSYS || rc == -EOPNOTSUPP ? "not on this system"
                                                : strerror(-rc));
}

/* Not the system lacks it, but room does, now. */
static bool is_shortage(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM;
}

int sandbox_enter(const struct sandbox_rules *rules,
                  struct sandbox_state *state, struct err *e)
{
    int set, rc, abi = 0;

    *state = (struct sandbox_state){.landlock = 0};
    set = landlock_prepare(rules, &abi);
    if (is_shortage(set))
        return err_sys(e, -set, "", "cannot make the rules of Landlock");
    rc = leave_rights(rules, state, e);
    if (rc < 0) {
        if (set >= 0)
            close(set);
        return rc;
    }
    state->no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    if (!state->no_new_privs)
        note_missing(state, "no_new_privs", -errno);
    rc = set < 0 ? set : landlock_apply(set);
    if (rc < 0)
        note_missing(state, "Landlock", rc);
    else
        state->landlock = abi;
    if (!rules->any_call) {
        rc = seccomp_apply(rules);
        if (is_shortage(rc))
            return err_sys(e, -rc, "", "cannot filter system calls");
        if (rc < 0)
            note_missing(state, "filter of system calls", rc);
        state->seccomp = rc == 0;
    }
    state->entered = true;
    return 0;
}
