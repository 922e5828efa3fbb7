/* Engine `threads`: blocking calls in a few threads.
 *
 * A pool per channel, made as it is needed: a thread is started when there is
 * work and none is idle, up to THREADS_MAX, and stays. Requests are collected
 * until the end of a batch, so that the lock is taken once; what is done goes
 * back by mail, likewise in batches: mail is posted when the first request is
 * done, and takes all that are done when it arrives. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "loop/loop.h"
#include "os/thread.h"
#include "store/engine.h"

#define THREADS_MAX 4

struct threads {
    struct engine engine;
    struct loop *loop;
    int fd;
    enum file_kind kind;
    struct list batch; /* [loop] submitted, not kicked */
    struct thread pool[THREADS_MAX];
    unsigned num; /* [loop] */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t more;
    struct list queue, done;
    unsigned queued, idle;
    bool stop, posted;
    struct mail mail;
};

static struct threads *threads_of(struct engine *e)
{
    return container_of(e, struct threads, engine);
}

/* ---- what a thread does with one request ---- */

static int transfer(const struct threads *t, struct store_req *r)
{
    unsigned flags =
        r->op == STORE_WRITE && r->flags & STORE_FUA ? FILE_DSYNC : 0;
    bool sync_after = false;

    while (r->progress < r->len) {
        const struct iovec *iov;
        int num = store_rest(r, &iov, FILE_IOV_MAX);
        uint64_t at = r->offset + r->progress;
        ssize_t n = r->op == STORE_READ
                        ? file_readv(t->fd, iov, num, at, flags)
                        : file_writev(t->fd, iov, num, at, flags);

        if (n == -EINTR)
            continue;
        if ((n == -EOPNOTSUPP || n == -ENOSYS) && flags) {
            flags = 0;
            sync_after = true;
            continue;
        }
        if (n <= 0) /* 0: the file is shorter than it was */
            return n < 0 ? (int)n : -EIO;
        r->progress += (uint64_t)n;
    }
    return sync_after ? file_sync(t->fd) : 0;
}

static int execute(const struct threads *t, struct store_req *r)
{
    int rc = 0;

    switch (r->op) {
    case STORE_READ:
    case STORE_WRITE:
        return transfer(t, r);
    case STORE_FLUSH:
        return file_sync(t->fd);
    case STORE_DISCARD:
        return file_discard(t->fd, t->kind, r->offset, r->len);
    case STORE_ZERO:
        rc = file_zero(t->fd, t->kind, r->offset, r->len,
                       r->flags & STORE_UNMAP);
        if (rc == 0 && r->flags & STORE_FUA)
            rc = file_sync(t->fd);
        return rc;
    }
    return -EINVAL;
}

static void run(void *arg)
{
    struct threads *t = arg;

    pthread_mutex_lock(&t->lock);
    for (;;) {
        struct list *node = list_pop(&t->queue);
        struct store_req *r;
        bool post;

        if (!node) {
            if (t->stop)
                break;
            t->idle++;
            pthread_cond_wait(&t->more, &t->lock);
            t->idle--;
            continue;
        }
        t->queued--;
        pthread_mutex_unlock(&t->lock);

        r = container_of(node, struct store_req, node);
        r->result = execute(t, r);

        pthread_mutex_lock(&t->lock);
        list_add(&t->done, &r->node);
        post = !t->posted;
        t->posted = true;
        if (post)
            loop_post(t->loop, &t->mail);
    }
    pthread_mutex_unlock(&t->lock);
}

/* ---- on the loop ---- */

static void on_mail(struct mail *m)
{
    struct threads *t = container_of(m, struct threads, mail);
    struct list done, *node;

    list_init(&done);
    pthread_mutex_lock(&t->lock);
    t->posted = false;
    while ((node = list_pop(&t->done)) != NULL)
        list_add(&done, node);
    pthread_mutex_unlock(&t->lock);

    while ((node = list_pop(&done)) != NULL) {
        struct store_req *r = container_of(node, struct store_req, node);

        store_complete(r, r->result);
    }
}

static void threads_submit(struct engine *e, struct store_req *r)
{
    list_add(&threads_of(e)->batch, &r->node);
}

/* Nobody else can do it: better late and on this thread than lost. */
static void execute_here(struct threads *t)
{
    struct list *node;

    pthread_mutex_lock(&t->lock);
    while ((node = list_pop(&t->queue)) != NULL) {
        struct store_req *r = container_of(node, struct store_req, node);

        t->queued--;
        pthread_mutex_unlock(&t->lock);
        store_complete(r, execute(t, r));
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
}

static void threads_kick(struct engine *e)
{
    struct threads *t = threads_of(e);
    struct list *node;
    unsigned wake, start;

    if (list_empty(&t->batch))
        return;
    pthread_mutex_lock(&t->lock);
    while ((node = list_pop(&t->batch)) != NULL) {
        list_add(&t->queue, node);
        t->queued++;
    }
    wake = MIN(t->idle, t->queued);
    start = t->queued - wake;
    if (wake > 1)
        pthread_cond_broadcast(&t->more);
    else if (wake)
        pthread_cond_signal(&t->more);
    pthread_mutex_unlock(&t->lock);

    for (; start && t->num < THREADS_MAX; start--, t->num++)
        if (thread_start(&t->pool[t->num], "vub-io", run, t, NULL) < 0)
            break;
    if (UNLIKELY(t->num == 0))
        execute_here(t);
}

static void threads_give_up(struct engine *e, const void *owner)
{
    struct threads *t = threads_of(e);
    struct list taken;

    list_init(&taken);
    pthread_mutex_lock(&t->lock);
    LIST_EACH_SAFE (&t->queue, node) {
        if (container_of(node, struct store_req, node)->owner != owner)
            continue;
        list_del(node);
        list_add(&taken, node);
        t->queued--;
    }
    pthread_mutex_unlock(&t->lock);
    store_give_up(&taken, owner);
    store_give_up(&t->batch, owner);
}

static void threads_close(struct engine *e)
{
    struct threads *t = threads_of(e);

    pthread_mutex_lock(&t->lock);
    assert(list_empty(&t->queue) && list_empty(&t->done) && !t->posted);
    t->stop = true;
    pthread_cond_broadcast(&t->more);
    pthread_mutex_unlock(&t->lock);
    for (unsigned i = 0; i < t->num; i++)
        thread_join(&t->pool[i]);
    pthread_cond_destroy(&t->more);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

int engine_threads_open(struct engine **out, struct loop *loop, int fd,
                        enum file_kind kind, struct err *e)
{
    struct threads *t = calloc(1, sizeof(*t));

    if (!t)
        return err_nomem(e);
    t->engine = (struct engine){
        .submit = threads_submit,
        .kick = threads_kick,
        .give_up = threads_give_up,
        .close = threads_close,
    };
    t->loop = loop;
    t->fd = fd;
    t->kind = kind;
    t->mail.run = on_mail;
    list_init(&t->batch);
    list_init(&t->queue);
    list_init(&t->done);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->more, NULL);
    *out = &t->engine;
    return 0;
}
