/* Reads a scenario, all of it before anything happens: by its table, and then
 * what a table cannot say is looked at: how many steps there are, how deep they
 * are nested, and names (names.c). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/json.h"
#include "daemon/scenario/plan.h"
#include "daemon/scenario/scenario.h"

/* How many steps run; more than are allowed is one more. *deep: the first that
 * is nested too deep. */
static unsigned count_steps(const struct conf_keyeds *steps, unsigned depth,
                            const struct conf_keyed_one **deep)
{
    uint64_t sum = 0;

    for (int i = 0; i < steps->count && sum <= PLAN_STEPS_MAX; i++) {
        const struct conf_keyed_one *s = &steps->list[i];
        const struct repeat_step *r = plan_repeat(s);

        if (r && depth == PLAN_DEPTH_MAX && !*deep)
            *deep = s;
        if (r)
            sum += (uint64_t)r->times * count_steps(&r->steps, depth + 1, deep);
        else
            sum++;
    }
    return (unsigned)MIN(sum, PLAN_STEPS_MAX + 1u);
}

/* Known while a file is read; NULL: they are not. */
static const struct plan_devices *known_devices;

/* Some steps may be missing, or have zeros for what was wrong. */
void plan_check(void *data, const char *at, struct errs *e)
{
    const struct plan *p = data;
    const struct conf_keyed_one *deep = NULL;

    if (count_steps(&p->steps, 0, &deep) > PLAN_STEPS_MAX)
        errs_at(e, at, "steps", "with all repeats there are more than %d steps",
                PLAN_STEPS_MAX);
    if (deep)
        errs_at(e, deep->at, "repeat",
                "is a repeat inside of %d others, which are the most",
                PLAN_DEPTH_MAX);
    plan_check_names(p, known_devices, e);
}

/* "boot-test.json" is called "boot-test". */
static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t len = strlen(base);

    if (len > 5 && strcmp(base + len - 5, ".json") == 0)
        len -= 5;
    return strndup(base, len);
}

int scenario_read(struct scenario *s, const char *path,
                  const struct plan_devices *devices, struct errs *e)
{
    const struct conf_keyed_one *deep = NULL;
    void *data;
    int rc;

    *s = (struct scenario){.path = path};
    known_devices = devices;
    rc = conf_read_file(&s->doc, &data, &scenario_table, path, NULL, e);
    known_devices = NULL;
    if (rc < 0)
        return rc;
    s->plan = data;
    s->dir = conf_dir(s->doc);
    s->num_steps = count_steps(&s->plan->steps, 0, &deep);
    s->name = s->plan->name ? strdup(s->plan->name) : name_of(path);
    if (s->name)
        return 0;
    scenario_free(s);
    return errs_nomem(e);
}

void scenario_free(struct scenario *s)
{
    free(s->name);
    conf_free(s->doc);
    *s = (struct scenario){.doc = NULL};
}

int scenario_check(const char *path, bool again, const struct config *c,
                   struct errs *e)
{
    struct plan_devices devices = {NULL, 0};
    struct scenario s;
    struct stat st;
    int rc;

    /* What cannot be looked at cannot be opened either, which says why. */
    if (again && stat(path, &st) == 0 &&
        (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
        return errs_add(e, -ESPIPE, "",
                        "is no file, and cannot be read a second time");
    if (plan_devices_of(&devices, c))
        rc = scenario_read(&s, path, &devices, e);
    else
        rc = errs_nomem(e);
    if (rc == 0)
        scenario_free(&s);
    free(devices.list);
    return rc;
}
