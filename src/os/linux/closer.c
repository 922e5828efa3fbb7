/* What is quick is told from the fd: an eventfd; memory that is small, for
 * nobody can tell who holds it too; a unix socket in which nothing is, and to
 * which nothing can come. Anything else is not, and nothing is asked of it that
 * its file system would answer.
 *
 * The queue has an end. Who minds CLOSER_MANY does not get there; others then
 * do it themselves, rather than that our fds run out. */
#include "os/closer.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/event.h"
#include "os/thread.h"

/* More than a connection can leave behind when many wait already. */
#define QUEUE (CLOSER_MANY + 1024)
/* A page takes 0.2 us to unmap and 0.8 to free: some milliseconds. */
#define QUICK_BYTES (16 << 20)
#define CALL_BYTES 4096 /* what a call costs, as such */

struct job {
    int fd;
    void *map; /* NULL: none */
    size_t len;
    struct closer_map *more; /* [num_more]; owned; NULL: none */
    unsigned num_more;
};

struct closer {
    pthread_mutex_t lock;
    void (*idle)(void *arg); /* NULL: its owner has gone, or there is none */
    void *arg;
    bool running, orphan;
    unsigned first, num; /* num: with the one that is being done */
    struct job jobs[QUEUE];
};

/* Memory ends by itself: it is nobody's in particular. */
static struct closer of_memory = {.lock = PTHREAD_MUTEX_INITIALIZER};
static pthread_cond_t memory_is_gone = PTHREAD_COND_INITIALIZER;

static void do_job(const struct job *j)
{
    if (j->map)
        munmap(j->map, j->len);
    if (j->fd >= 0)
        close(j->fd);
    for (unsigned i = 0; i < j->num_more; i++) {
        munmap(j->more[i].at, j->more[i].len);
        if (j->more[i].fd >= 0)
            close(j->more[i].fd);
    }
    free(j->more);
}

static void run(void *arg)
{
    struct closer *c = arg;
    bool orphan;

    pthread_mutex_lock(&c->lock);
    while (c->num > 0) {
        const struct job j = c->jobs[c->first];

        pthread_mutex_unlock(&c->lock);
        do_job(&j);
        pthread_mutex_lock(&c->lock);
        c->first = (c->first + 1) % QUEUE;
        c->num--;
    }
    c->running = false;
    if (c->idle)
        c->idle(c->arg);
    if (c == &of_memory)
        pthread_cond_broadcast(&memory_is_gone);
    orphan = c->orphan;
    pthread_mutex_unlock(&c->lock);
    if (orphan)
        free(c);
}

/* False: nobody will do it. */
static bool add(struct closer *c, const struct job *j)
{
    struct thread t;
    struct err e;
    bool added = true;

    pthread_mutex_lock(&c->lock);
    if (c->num == QUEUE) {
        added = false;
    } else {
        c->jobs[(c->first + c->num++) % QUEUE] = *j;
        if (!c->running && thread_start(&t, "closer", run, c, &e) < 0) {
            c->num--;
            added = false;
        } else if (!c->running) {
            pthread_detach(t.id);
            c->running = true;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return added;
}

static void add_or_do(struct closer *c, const struct job *j)
{
    if (!add(c, j))
        do_job(j);
}

struct closer *closer_new(void (*idle)(void *arg), void *arg)
{
    struct closer *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->idle = idle;
    c->arg = arg;
    return c;
}

void closer_free(struct closer *c)
{
    bool running;

    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    running = c->running;
    c->idle = NULL;
    c->orphan = true; /* the thread frees it */
    pthread_mutex_unlock(&c->lock);
    if (!running)
        free(c);
}

static bool is_quick(int fd)
{
    struct stat st;

    if (fcntl(fd, F_GET_SEALS) >= 0) /* memory, and nothing else has seals */
        return fstat(fd, &st) == 0 && st.st_blocks <= QUICK_BYTES / 512;
    return event_is(fd);
}

void closer_fd(struct closer *c, int fd)
{
    if (is_quick(fd))
        close(fd);
    else
        add_or_do(c, &(struct job){.fd = fd});
}

void closer_stray(int fd)
{
    struct closer *c;

    if (fd < 0)
        return;
    c = is_quick(fd) ? NULL : closer_new(NULL, NULL);
    if (c)
        closer_fd(c, fd);
    else
        close(fd);
    closer_free(c);
}

void closer_sock(struct closer *c, int fd)
{
    int unread = 0;

    /* The other end is to see it at once, whatever waits before it here. */
    if (shutdown(fd, SHUT_RDWR) == 0 && ioctl(fd, FIONREAD, &unread) == 0 &&
        unread == 0)
        close(fd);
    else
        add_or_do(c, &(struct job){.fd = fd});
}

unsigned closer_waiting(struct closer *c)
{
    unsigned num;

    pthread_mutex_lock(&c->lock);
    num = c->num;
    pthread_mutex_unlock(&c->lock);
    return num;
}

void closer_unmap(void *map, size_t len, int fd)
{
    const struct job j = {.fd = fd, .map = map, .len = len};

    if (len <= QUICK_BYTES)
        do_job(&j);
    else
        add_or_do(&of_memory, &j);
}

void closer_unmap_all(struct closer_map *maps, unsigned num)
{
    const struct job j = {.fd = -1, .more = maps, .num_more = num};
    uint64_t bytes = 0;

    for (unsigned i = 0; i < num; i++)
        bytes += maps[i].len + CALL_BYTES;
    if (bytes <= QUICK_BYTES)
        do_job(&j);
    else
        add_or_do(&of_memory, &j);
}

void closer_unmap_wait(void)
{
    pthread_mutex_lock(&of_memory.lock);
    while (of_memory.running)
        pthread_cond_wait(&memory_is_gone, &of_memory.lock);
    pthread_mutex_unlock(&of_memory.lock);
}
