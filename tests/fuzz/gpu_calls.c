/* Calls of the control socket, and the threads that work for them.
 *
 * A job (loop/job.h) is ours here: no thread, but something that runs, and
 * comes back, when the input says so. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gpu.h"
#include "loop/job.h"

#define CALLS 6

/* ---- jobs ---- */

struct job {
    struct list node;
    const struct job_ops *ops;
    void *arg;
    bool has_run, given_up;
};

static struct list jobs;

int job_start(struct job **out, struct loop *l, const struct job_ops *ops,
              void *arg, struct err *e)
{
    struct job *j = calloc(1, sizeof(*j));

    CHECK(j && l == &loop);
    if (u8() == 0xee) {
        free(j);
        return err_set(e, -EAGAIN, "", "there are no threads");
    }
    j->ops = ops;
    j->arg = arg;
    list_add(&jobs, &j->node);
    *out = j;
    return 0;
}

void job_give_up(struct job *j)
{
    CHECK(!j->given_up);
    j->given_up = true;
}

static void job_go_on(struct job *j)
{
    if (!j->has_run) {
        j->ops->run(j->arg);
        j->has_run = true;
        return;
    }
    list_del(&j->node);
    if (!j->given_up)
        j->ops->done(j->arg);
    j->ops->release(j->arg);
    free(j);
}

void jobs_go_on(unsigned which)
{
    unsigned n = 0;

    LIST_EACH (&jobs, node)
        n++;
    which = n ? which % n : 0;
    LIST_EACH (&jobs, node)
        if (which-- == 0) {
            job_go_on(container_of(node, struct job, node));
            return;
        }
}

bool jobs_are_there(void)
{
    return !list_empty(&jobs);
}

/* ---- calls ---- */

static struct asked {
    struct call call;
    struct conf_doc *doc;
    bool is_out;
} calls[CALLS];

static char reference[64]; /* a path */

void calls_begin(void)
{
    static const char head[] = "P6 64 64 255\n";
    static uint8_t pixels[64 * 64 * 3];
    int fd;

    memset(calls, 0, sizeof(calls));
    list_init(&jobs);
    if (reference[0])
        return;
    fd = memfd_create("reference", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, head, sizeof(head) - 1) > 0);
    CHECK(write(fd, pixels, sizeof(pixels)) == sizeof(pixels));
    snprintf(reference, sizeof(reference), "/proc/self/fd/%d", fd);
}

static void on_answered(struct call *c, const struct err *e)
{
    struct asked *a = container_of(c, struct asked, call);

    CHECK(a->is_out && (!e || (e->code < 0 && e->text[0])));
    json_out_free(&c->out);
    conf_free(a->doc);
    memset(a, 0, sizeof(*a));
}

static void ask(struct asked *a, const char *name, const char *text)
{
    const struct command *row = device_type->commands;
    struct errs errs = ERRS_EMPTY;
    void *args;

    while (strcmp(row->name, name) != 0)
        row++;
    CHECK(conf_read_text(&a->doc, &args, row->params, text, strlen(text), "/",
                         NULL, &errs) == 0);
    a->call = (struct call){
        .args = args,
        .doc = a->doc,
        .answered = on_answered,
    };
    a->is_out = true;
    row->run(device, &a->call);
}

static void make(struct asked *a)
{
    uint8_t b = u8();
    char text[256], wanted[128];

    switch (b >> 4 & 7) {
    case 0:
        snprintf(text, sizeof(text),
                 "{\"scanout\": %u, \"width\": %u, \"height\": %u, "
                 "\"enabled\": %s}",
                 b % SCANOUTS, 1 + u8() * 64u, 1 + u8() * 64u,
                 b & 128 ? "false" : "true");
        ask(a, "gpu.resize", text);
        return;
    case 1:
        snprintf(text, sizeof(text), "{\"scanout\": %u, \"cursor\": %s}",
                 b & 15u, b & 128 ? "false" : "true");
        ask(a, "gpu.hash", text);
        return;
    case 2:
        snprintf(wanted, sizeof(wanted), "\"picture\": \"%s\"", reference);
        break;
    case 3:
        snprintf(wanted, sizeof(wanted), "\"hash\": \"%032x\"", u8());
        break;
    case 4:
        snprintf(wanted, sizeof(wanted), "\"settled_ms\": %u", 1 + u8() * 4u);
        break;
    default:
        snprintf(wanted, sizeof(wanted), "\"changed\": true");
    }
    snprintf(text, sizeof(text),
             "{\"scanout\": %u, \"cursor\": %s, \"timeout_ms\": %u, %s}",
             b & 3u, b & 128 ? "false" : "true", u8() * 16u, wanted);
    ask(a, "gpu.wait", text);
}

void call_something(void)
{
    for (unsigned i = 0; i < CALLS; i++)
        if (!calls[i].is_out) {
            make(&calls[i]);
            return;
        }
}

void call_cancel(unsigned which)
{
    struct asked *a = &calls[which % CALLS];

    if (a->is_out && a->call.cancel)
        a->call.cancel(&a->call);
}

/* The device has closed. */
void calls_end(void)
{
    for (unsigned i = 0; i < CALLS; i++)
        CHECK(!calls[i].is_out);
    while (jobs_are_there())
        jobs_go_on(0);
}
