/* What a cow does on command: forget the overlay, or commit it to the base and
 * forget it then.
 *
 * A guest has in its memory what it has read. If the disk changed under it, it
 * would write back what belongs to another disk. So none of this is done while
 * rings run, and none start until it is done (cow_acquire); a reset may be
 * asked to end the session first.
 *
 * Committing writes a run of blocks at a time, in order, and makes the base
 * stable before the overlay is forgotten: until then the disk is the same,
 * whatever of the base is written already, and committing can be tried again.
 * The base is opened once more, to write, under the image lock, so it fails
 * while anybody else uses the image. One in memory is itself.
 *
 * A filter above may write without any rings: a powercut what a cut has left,
 * another cow what it commits. That waits until the task is over. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "os/memory.h"
#include "store/cow_impl.h"

#define COPY_BYTES (1u << 20)

struct cow_task {
    struct cow *cow;
    struct call *call;
    bool commits;
    struct store_channel *own; /* of the cow */
    struct store *base;        /* to write to; NULL: nothing is committed */
    bool reopened;             /* it is not the one that is read */
    struct store_channel *below;
    struct store_channel *asked; /* has req; NULL: none */
    struct store_req req;
    struct iovec iov;
    uint8_t *buf;
    uint64_t block;  /* where to look on */
    uint64_t copied; /* bytes */
    uint64_t was;    /* bytes in the overlay, before */
    void (*next)(struct cow_task *t);
    bool copies, given_up;
    struct err err;
    int result;
    struct mail mail;
};

/* ---- ends ---- */

static void set_writable(struct store *s, bool writable)
{
    for (; s; s = store_next(s))
        s->info.read_only = !writable;
}

static void on_base_ended(void *arg)
{
    struct cow_task *t = arg;
    struct cow *c = t->cow;

    if (t->reopened)
        store_close(t->base);
    c->task = NULL;
    if (t->result < 0) {
        call_fail(t->call, &t->err);
    } else {
        json_add_u64(&t->call->out, "overlay_bytes", t->was);
        if (t->commits)
            json_add_u64(&t->call->out, "committed_bytes", t->copied);
        call_done(t->call);
    }
    free(t->buf);
    free(t);
    cow_retry(c);
    if (c->gone)
        store_filter_end(&c->filter.store, c->gone, c->gone_arg);
}

/* In a turn of its own: nothing is under way on any channel. */
static void on_end(struct mail *m)
{
    struct cow_task *t = container_of(m, struct cow_task, mail);

    if (t->below)
        store_channel_close(t->below);
    if (t->own)
        store_channel_close(t->own);
    if (t->base && !t->reopened)
        set_writable(t->base, false);
    if (t->base && t->reopened) {
        store_release(t->base);
        store_end(t->base, on_base_ended, t);
    } else {
        on_base_ended(t);
    }
}

static void end(struct cow_task *t)
{
    t->mail.run = on_end;
    loop_post(t->cow->home, &t->mail);
}

static void fail(struct cow_task *t, int result, const char *what)
{
    t->result = err_sys(&t->err, -result, "/params/device", "%s", what);
    end(t);
}

/* ---- steps ---- */

static void on_step(struct mail *m)
{
    struct cow_task *t = container_of(m, struct cow_task, mail);

    if (t->req.result < 0 || (t->given_up && t->copies))
        fail(t, t->req.result < 0 ? t->req.result : -ECANCELED,
             "the overlay is as it was");
    else
        t->next(t);
}

/* Each step in a turn of its own: others are served in between. */
static void on_req_done(struct store_req *r)
{
    struct cow_task *t = container_of(r, struct cow_task, req);

    t->asked = NULL;
    t->mail.run = on_step;
    loop_post(t->cow->home, &t->mail);
}

static void ask(struct cow_task *t, struct store_channel *ch, enum store_op op,
                uint64_t offset, uint64_t len, void (*next)(struct cow_task *t))
{
    t->next = next;
    t->iov = (struct iovec){t->buf, len};
    t->req = (struct store_req){
        .op = op,
        .offset = offset,
        .len = len,
        .iov = &t->iov,
        .iov_num = op == STORE_READ || op == STORE_WRITE,
        .done = on_req_done,
        .owner = t,
    };
    t->asked = ch;
    if (store_submit(ch, &t->req) == STORE_DONE)
        on_req_done(&t->req);
    else
        store_kick(ch);
}

/* A commit can be made again; what forgets goes on. */
void cow_task_give_up(struct cow *c)
{
    struct cow_task *t = c->task;

    t->given_up = true;
    if (t->asked && t->copies)
        store_drain(t->asked, t, true);
}

static void data_gone(struct cow_task *t)
{
    end(t);
}

static void map_is_clear(struct cow_task *t)
{
    struct cow *c = t->cow;

    ask(t, cow_channel_of(t->own)->over, STORE_DISCARD, 0,
        c->filter.store.info.size, data_gone);
}

/* First the map: a crash in between leaves what nobody looks at. */
static void forget(struct cow_task *t)
{
    struct cow *c = t->cow;

    t->copies = false;
    if (!t->commits)
        store_tell_forgotten(&c->filter.store);
    cow_set_ours(c, 0, c->blocks, false);
    cow_set_taken(c, 0, c->blocks, false);
    ask(t, t->own, STORE_FLUSH, 0, 0, map_is_clear);
}

static void copy_next(struct cow_task *t);

static void run_read(struct cow_task *t)
{
    t->copied += t->req.len;
    ask(t, t->below, STORE_WRITE, t->req.offset, t->req.len, copy_next);
}

static void copy_next(struct cow_task *t)
{
    const struct cow *c = t->cow;
    uint64_t from = t->block, end, at;

    t->copies = true;
    if (from < c->blocks && !bitmap_has(c->ours, from))
        from = bitmap_run_end(c->ours, from, c->blocks);
    if (from >= c->blocks) {
        ask(t, t->below, STORE_FLUSH, 0, 0, forget);
        return;
    }
    end = MIN(from + (COPY_BYTES >> c->shift), c->blocks);
    t->block = end = bitmap_run_end(c->ours, from, end);
    at = from << c->shift;
    ask(t, t->own, STORE_READ, at,
        MIN(end << c->shift, c->filter.store.info.size) - at, run_read);
}

/* ---- the beginning ---- */

static void on_base_changed(void *arg)
{
    (void)arg;
}

static int reopen_base(struct cow_task *t)
{
    struct cow *c = t->cow;
    struct errs errs = ERRS_EMPTY;
    int rc;

    rc = store_open(&t->base, &c->conf->next, false, c->filter.store.id, &errs);
    if (rc < 0) {
        t->base = NULL;
        if (errs.count)
            t->err = errs.list[0];
        errs_free(&errs);
        return rc;
    }
    errs_free(&errs);
    t->reopened = true;
    rc = store_begin(t->base, c->home, on_base_changed, NULL, &t->err);
    return rc < 0 ? rc : store_acquire(t->base, &t->err);
}

/* What is in the base now is nowhere else: a store in memory, another overlay.
 * To open it once more would be to have another one. */
static bool is_unique(const struct store *s)
{
    const struct store *next;

    for (; (next = store_next(s)) != NULL; s = next)
        if (s->ops->commands == cow_commands)
            return true;
    return s->info.is_volatile;
}

static int open_base(struct cow_task *t)
{
    struct cow *c = t->cow;
    int rc = 0;

    if (is_unique(c->filter.next)) {
        t->base = c->filter.next;
        set_writable(t->base, true);
    } else {
        rc = reopen_base(t);
    }
    if (rc == 0 && store_size(t->base) != c->filter.store.info.size)
        rc = err_set(&t->err, -EINVAL, "",
                     "the base is not of the size any more that it had");
    return rc < 0 ? rc
                  : store_channel_open(&t->below, t->base, c->home, &t->err);
}

static void begin(struct cow_task *t)
{
    struct cow *c = t->cow;
    int rc;

    t->was = c->num_taken << c->shift;
    t->buf = malloc(COPY_BYTES);
    rc = t->buf ? 0 : err_nomem(&t->err);
    if (rc == 0)
        rc = store_channel_open(&t->own, &c->filter.store, c->home, &t->err);
    if (rc == 0 && t->commits)
        rc = open_base(t);
    if (rc < 0) {
        t->result = rc;
        snprintf(t->err.where, sizeof(t->err.where), "/params/device");
        end(t);
    } else if (t->commits) {
        copy_next(t);
    } else {
        forget(t);
    }
}

static void on_begin(struct mail *m)
{
    begin(container_of(m, struct cow_task, mail));
}

bool cow_task_keeps_out(const struct cow *c, const struct store_channel *ch)
{
    const struct cow_task *t = c->task;

    return t && t->own && ch != t->own;
}

void cow_task_rings_stopped(struct cow *c)
{
    struct cow_task *t = c->task;

    if (!t || t->own)
        return;
    t->mail.run = on_begin;
    loop_post(c->home, &t->mail);
}

/* ---- commands ---- */

static void refuse(struct call *call, const char *why)
{
    struct err e;

    err_set(&e, -EBUSY, "/params/device", "%s", why);
    call_fail(call, &e);
}

static void start(struct store *s, struct call *call, bool commits, bool drop)
{
    struct cow *c = cow_of(s);
    struct cow_task *t;
    struct err e;

    if (c->task) {
        refuse(call, "the overlay is being committed or forgotten already");
        return;
    }
    if (!list_empty(&c->channels) && !drop) {
        refuse(call, commits
                         ? "a guest uses the disk: stop it first"
                         : "a guest uses the disk, which would change under "
                           "it: stop it first, or say cow.reset with \"drop\"");
        return;
    }
    t = calloc(1, sizeof(*t));
    if (!t) {
        err_nomem(&e);
        call_fail(call, &e);
        return;
    }
    t->cow = c;
    t->call = call;
    t->commits = commits;
    c->task = t;
    if (list_empty(&c->channels)) {
        begin(t);
    } else if (!store_tell_drop(s, "its disk is reset")) {
        c->task = NULL;
        free(t);
        refuse(call, "the session of the guest cannot be ended");
    }
}

struct reset_args {
    bool drop;
};

static const struct conf_key reset_keys[] = {
    {"drop", CONF_BOOL, CONF_AT(struct reset_args, drop), .def = "false",
     .help = "End the session of a guest that uses the disk. Without, that is "
             "refused."},
    {NULL},
};

static const struct conf_table reset_table = {
    .name = "cow.reset",
    .size = sizeof(struct reset_args),
    .keys = reset_keys,
};

static void run_reset(struct store *s, struct call *call)
{
    start(s, call, false, ((const struct reset_args *)call->args)->drop);
}

static void run_discard(struct store *s, struct call *call)
{
    start(s, call, false, false);
}

static void run_commit(struct store *s, struct call *call)
{
    start(s, call, true, false);
}

const struct store_command cow_commands[] = {
    {"cow.reset", &reset_table,
     "Make a disk again what its base is, for the next run: forget all that "
     "was written.",
     run_reset},
    {"cow.discard", NULL,
     "The same, for a disk that no guest uses: refused otherwise.",
     run_discard},
    {"cow.commit", NULL,
     "Write what is in the overlay to the base, and forget it then. No guest "
     "may use the disk, and nobody else the base.",
     run_commit},
    {NULL},
};
