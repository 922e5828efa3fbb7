/* The command is a child that was made at the start and waits: by the time that
 * all is served this process may not make any more. Its end comes as SIGCHLD on
 * the main loop; whoever stops vub has it end first, and it is asked, asked
 * again, and killed. */
#include "daemon/run.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* A VMM that is told to end flushes its disks; one that shuts its guest down
 * first takes longer. */
#define LEAVE_MS 5000
#define END_MS 30000

/* ---- variables ---- */

char *run_variable(const char *id)
{
    char *name;

    if (asprintf(&name, "VUB_%s", id) < 0)
        return NULL;
    for (char *c = name; *c; c++)
        *c = (char)(isalnum((unsigned char)*c) ? toupper((unsigned char)*c)
                                               : '_');
    return name;
}

static bool same_variable(const char *a, const char *b)
{
    char *x = run_variable(a), *y = run_variable(b);
    bool same = x && y && strcmp(x, y) == 0;

    free(x);
    free(y);
    return same;
}

int run_check(const struct run *r, const struct config *c, struct errs *e)
{
    int rc = 0;

    for (int i = 0; i < c->devices.count; i++) {
        const char *id = config_device(c, i)->id;
        const char *other = NULL, *what = "that of the control socket";

        if (c->has_control && same_variable(id, SOCKETS_CONTROL))
            other = SOCKETS_CONTROL;
        for (int k = 0; k < i && !other; k++) {
            if (!same_variable(id, config_device(c, k)->id))
                continue;
            other = config_device(c, k)->id;
            what = c->devices.list[k].at;
        }
        if (strcmp(r->option, "--scenario") == 0 && same_variable(id, "report"))
            rc = errs_at(e, c->devices.list[i].at, "id",
                         "%s has the variable VUB_REPORT, which commands of a "
                         "scenario have for the directory of its report",
                         id);
        if (other)
            rc = errs_at(e, c->devices.list[i].at, "id",
                         "%s and \"%s\" (%s) have the same variable for %s", id,
                         other, what, r->option);
    }
    if (c->sandbox.enabled && c->sandbox.user)
        rc = errs_at(e, "/sandbox", "user",
                     "does not go with %s: %s would be a process of another "
                     "user, which vub could not end",
                     r->option, r->what);
    return rc;
}

/* Puts "VUB_ID=path" behind what is in list. False: no memory. */
static bool add_variable(char **list, int *count, const char *id,
                         const char *path)
{
    char *name;
    bool done;

    if (!path)
        return true; /* a socket without a name cannot be named */
    name = run_variable(id);
    done = name && asprintf(&list[*count], "%s=%s", name, path) >= 0;
    free(name);
    if (done)
        ++*count;
    else
        list[*count] = NULL;
    return done;
}

static void free_variables(char **list)
{
    for (char **v = list; v && *v; v++)
        free(*v);
    free(list);
}

static char **variables(const struct config *c, const struct sockets *s)
{
    char **out = calloc((size_t)s->count + 2, sizeof(*out));
    bool done = out != NULL;
    int n = 0;

    for (int i = 0; i < s->count && done; i++)
        done =
            add_variable(out, &n, config_device(c, i)->id, s->devices[i].path);
    if (done)
        done = add_variable(out, &n, SOCKETS_CONTROL, s->control.path);
    if (done)
        return out;
    free_variables(out);
    return NULL;
}

/* ---- life ---- */

static void on_child(uv_signal_t *h, int num)
{
    struct run *r = h->data;
    int status;

    (void)num;
    if (!run_runs(r))
        return;
    status = child_status(r->pid);
    if (status < 0)
        return;
    r->pid = 0;
    timer_stop(&r->patience);
    r->ended(r, status);
}

static void on_impatient(struct timer *t)
{
    struct run *r = container_of(t, struct run, patience);

    log_warn(NULL, "%s does not end; %s", r->what,
             r->asked ? "it is killed" : "it gets SIGTERM");
    run_stop(r, SIGTERM);
}

void run_stop(struct run *r, int sig)
{
    if (!run_runs(r))
        return;
    if (r->asked) {
        child_signal(r->pid, SIGKILL);
    } else if (sig == 0) {
        timer_start(&r->patience, LEAVE_MS);
    } else {
        r->asked = true;
        child_signal(r->pid, sig);
        timer_start(&r->patience, END_MS);
    }
}

uint64_t run_stop_ms(void)
{
    return LEAVE_MS + END_MS;
}

int run_prepare(struct run *r, char *const *argv, const struct config *c,
                const struct sockets *s, int ready_fd, struct err *e)
{
    char **more = variables(c, s);
    int rc;

    if (!more)
        return err_nomem(e);
    rc = child_prepare(&r->process, argv, more, ready_fd, e);
    free_variables(more);
    return rc;
}

int run_start(struct run *r, struct loop *main, struct err *e)
{
    int rc;

    uv_signal_init(&main->uv, &r->child);
    r->child.data = r;
    r->patience.fire = on_impatient;
    timer_open(&r->patience, main);
    r->open = true;
    rc = uv_signal_start(&r->child, on_child, SIGCHLD);
    if (rc < 0)
        return err_sys(e, -rc, "", "cannot take signals");
    rc = child_go(&r->process, e);
    if (rc < 0)
        return rc;
    r->pid = r->process.pid;
    return 0;
}

static void no_gone(uv_handle_t *h)
{
    (void)h; /* it is the daemon's, which outlives the loop */
}

void run_close(struct run *r)
{
    child_drop(&r->process);
    if (!r->open)
        return;
    r->open = false;
    timer_close(&r->patience);
    uv_close((uv_handle_t *)&r->child, no_gone);
}
