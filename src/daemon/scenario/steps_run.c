/* Steps about processes. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "daemon/scenario/engine.h"
#include "daemon/scenario/steps.h"
#include "loop/loop.h"

/* ---- what the scenario says of a process ---- */

/* "/steps/3/repeat/steps/0" is "run-3-0". NULL: no memory. */
static char *name_of(const char *at)
{
    char *name = malloc(strlen(at) + 5), *out = name;

    if (!name)
        return NULL;
    out = stpcpy(out, "run");
    for (; *at; at++) {
        if (!isdigit((unsigned char)*at))
            continue;
        if (!isdigit((unsigned char)at[-1]))
            *out++ = '-';
        *out++ = *at;
    }
    *out = '\0';
    return name;
}

static struct runner *start(struct engine *g, const struct conf_keyed_one *s,
                            struct err *e)
{
    const struct conf_keyeds *steps = &g->scenario->plan->steps;
    const struct run_step *p = s->data[0];
    char *made = p->process ? NULL : name_of(s->at);
    struct runner_conf c = {.name = p->process ? p->process : made,
                            .command = p->command,
                            .on_its_own = !p->process,
                            .keep = RUNNER_SHOWN};
    struct runner *r = NULL;

    if (p->process) {
        c.has_input =
            p->background && plan_names_process(steps, "write", p->process);
        if (plan_names_process(steps, "wait.output", p->process))
            c.keep = RUNNER_KEPT;
    }
    if (c.name)
        r = runners_start(&g->runners, &c, e);
    else
        err_nomem(e);
    free(made);
    return r;
}

/* ---- how one has ended ---- */

static void how(int status, char *out, size_t room)
{
    if (status > 128)
        snprintf(out, room, "signal %d has ended it", status - 128);
    else
        snprintf(out, room, "it has ended with status %d", status);
}

/* Bytes for a sentence: whole characters of them, as many as there is room for
 * from out[n] on, and what is none or controls a terminal as '?'. */
static void show_bytes(const char *bytes, size_t len, char *out, size_t n,
                       size_t room)
{
    size_t one;

    for (const char *end = bytes + len; bytes < end; bytes += MAX(one, 1u)) {
        one = utf8_char(bytes, MIN((size_t)(end - bytes), (size_t)4));
        if (n + MAX(one, 1u) >= room)
            break;
        if (one == 0 || utf8_is_control(bytes, one)) {
            out[n++] = '?';
            continue;
        }
        memcpy(out + n, bytes, one);
        n += one;
    }
    out[n] = '\0';
}

/* The last line that it has written, for a sentence: ": text", or nothing. */
static void last_words(const struct runner *r, char *out, size_t room)
{
    size_t end = r->len, begin;

    out[0] = '\0';
    while (end > 0 && isspace((unsigned char)r->out[end - 1]))
        end--;
    begin = end;
    while (begin > 0 && r->out[begin - 1] != '\n' && r->out[begin - 1] != '\r')
        begin--;
    if (begin == end)
        return;
    snprintf(out, room, ": ");
    show_bytes(r->out + begin, end - begin, out, 2, room);
}

static int judge(const struct runner *r, uint32_t status, struct err *e)
{
    char ended[64], words[120];

    if ((uint32_t)r->status == status)
        return 0;
    how(r->status, ended, sizeof(ended));
    last_words(r, words, sizeof(words));
    return err_set(e, -EREMOTEIO, "", "%s, not with %u%s", ended, status,
                   words);
}

static struct runner *find(struct engine *g, const char *name, struct err *e)
{
    struct runner *r = runners_find(&g->runners, name);

    if (!r)
        err_set(e, -ESRCH, "", "\"%.64s\" has not been started", name);
    return r;
}

/* In the record of the step. */
static void show_output(struct engine *g, const struct runner *r)
{
    const char *output;
    size_t len;

    if (r->record >= g->record.num_processes)
        return;
    output = g->record.processes[r->record].output;
    len = output ? strlen(output) : 0;
    /* How it has ended says more than how it began. */
    if (len)
        engine_show(g, output + len - MIN(len, (size_t)ENGINE_ANSWER_MAX));
}

/* ---- steps ---- */

static int wait_for_end(struct engine *g, struct runner *r, struct err *e)
{
    int rc = 0;

    while (rc == 0 && runner_runs(r))
        rc = engine_turn(g, 0, "the process has not ended", e);
    if (rc < 0)
        runner_note(&g->runners, r);
    return rc;
}

int step_run(struct engine *g, const struct conf_keyed_one *s, struct err *e)
{
    const struct run_step *p = s->data[0];
    struct runner *r = start(g, s, e);
    char words[120];
    int rc;

    if (!r)
        return e->code;
    if (p->background)
        return 0;
    runner_seek(r, p->output);
    rc = wait_for_end(g, r, e);
    r->text = NULL;
    show_output(g, r);
    if (rc == 0)
        rc = judge(r, p->status, e);
    if (rc == 0 && p->output && !r->found) {
        last_words(r, words, sizeof(words));
        rc = err_set(e, -ENOMSG, "", "its output has no \"%.80s\"%s", p->output,
                     words);
    }
    return rc;
}

int step_write(struct engine *g, const struct conf_keyed_one *s, struct err *e)
{
    const struct text_step *p = s->data[0];
    struct runner *r = find(g, p->process, e);
    char ended[64], words[120];
    int rc = 0;

    if (!r)
        return e->code;
    if (runner_write(r, p->text) < 0)
        return err_nomem(e);
    while (rc == 0 && runner_has_more(r))
        rc = engine_turn(g, 0, "it has not read what is written to it", e);
    if (rc < 0 || !r->deaf)
        return rc;
    if (runner_runs(r))
        return err_set(e, -EPIPE, "",
                       "\"%.64s\" does not read what is written "
                       "to it any more",
                       p->process);
    how(r->status, ended, sizeof(ended));
    last_words(r, words, sizeof(words));
    return err_set(e, -EPIPE, "", "%s%s", ended, words);
}

int step_wait_output(struct engine *g, const struct conf_keyed_one *s,
                     struct err *e)
{
    const struct text_step *p = s->data[0];
    struct runner *r = find(g, p->process, e);
    const char *line = p->text + strspn(p->text, "\r\n");
    char text[64], what[160], ended[64], words[80];
    int rc = 0;

    if (!r)
        return e->code;
    show_bytes(line, strcspn(line, "\r\n"), text, 0, sizeof(text));
    snprintf(what, sizeof(what), "\"%.64s\" has not written \"%s\"", p->process,
             text);
    runner_seek(r, p->text);
    while (rc == 0 && !r->found && runner_runs(r))
        rc = engine_turn(g, 0, what, e);
    r->text = NULL;
    if (rc < 0)
        runner_note(&g->runners, r);
    last_words(r, words, sizeof(words));
    if (rc == -ETIMEDOUT)
        return err_set(e, rc, "", "after %u ms %s%s", g->timeout_ms, what,
                       words);
    if (rc < 0 || r->found)
        return rc;
    how(r->status, ended, sizeof(ended));
    return err_set(e, -ENOMSG, "", "%s before it has written \"%s\"%s", ended,
                   text, words);
}

int step_wait_exit(struct engine *g, const struct conf_keyed_one *s,
                   struct err *e)
{
    const struct exit_step *p = s->data[0];
    struct runner *r = find(g, p->process, e);
    char ended[64];
    int rc;

    if (!r)
        return e->code;
    rc = wait_for_end(g, r, e);
    if (rc < 0)
        return rc;
    how(r->status, ended, sizeof(ended));
    engine_show(g, ended);
    return p->has_status ? judge(r, p->status, e) : 0;
}

int step_stop(struct engine *g, const struct conf_keyed_one *s, struct err *e)
{
    const struct stop_step *p = s->data[0];
    struct runner *r = find(g, p->process, e);
    char ended[64];
    int rc;

    if (!r)
        return e->code;
    if (runner_runs(r))
        subprocess_signal(r->system.pid, plan_signal(p));
    rc = wait_for_end(g, r, e);
    if (rc < 0)
        return rc;
    how(r->status, ended, sizeof(ended));
    engine_show(g, ended);
    return 0;
}
