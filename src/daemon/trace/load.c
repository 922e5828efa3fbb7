/* A ring's two files are of one session, and have numbers; which is older is
 * seen by those, not by the order they are named in. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/trace/impl.h"

struct source {
    const char *path;
    struct trace_reader reader;
};

static int say(struct err *e, const char *path, const struct err *why)
{
    return err_set(e, why->code, path, "%s", why->text);
}

static int open_source(struct source *s, const char *path, struct err *e)
{
    /* Not to wait for who writes into a fifo. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    struct err why;
    FILE *f;

    s->path = path;
    if (fd < 0)
        return err_sys(e, errno, path, "cannot open it");
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, -EINVAL, path, "it is no regular file");
    }
    f = fdopen(fd, "r");
    if (!f) {
        close(fd);
        return err_nomem(e);
    }
    if (trace_read_head(&s->reader, f, &why) < 0) {
        fclose(f);
        return say(e, path, &why);
    }
    return 0;
}

static int check_ring(const struct source *s, struct err *e)
{
    const struct trace_head *a = &s[0].reader.head, *b = &s[1].reader.head;

    if (a->session != b->session || a->start_ns != b->start_ns ||
        a->block_size != b->block_size)
        return err_set(e, -EINVAL, s[1].path,
                       "it is not of the same trace as %s", s[0].path);
    if (a->part == b->part)
        return err_set(e, -EINVAL, s[1].path, "it is the same part as %s",
                       s[0].path);
    return 0;
}

static int read_source(struct source *s,
                       int (*take)(void *arg, const struct trace_record *r,
                                   struct err *e),
                       void *arg, struct err *e)
{
    struct trace_record r;
    struct err why;
    int rc;

    while ((rc = trace_next(&s->reader, &r, &why)) > 0) {
        rc = take(arg, &r, e);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? say(e, s->path, &why) : 0;
}

int trace_each(const struct trace_options *o, struct trace_head *head,
               bool *torn,
               int (*take)(void *arg, const struct trace_record *r,
                           struct err *e),
               void *arg, struct err *e)
{
    struct source s[2] = {{.path = NULL}};
    int opened = 0, rc = 0, first = 0;

    *torn = false;
    for (; opened < o->num_files; opened++) {
        rc = open_source(&s[opened], o->files[opened], e);
        if (rc < 0)
            goto out;
    }
    if (opened == 2) {
        rc = check_ring(s, e);
        first = s[1].reader.head.part < s[0].reader.head.part;
    }
    *head = s[first].reader.head;
    for (int i = 0; i < opened && rc == 0; i++) {
        struct source *now = &s[i ^ first];

        rc = read_source(now, take, arg, e);
        *torn |= now->reader.torn;
    }
out:
    while (opened-- > 0)
        fclose(s[opened].reader.f);
    return rc;
}

/* ---- all of it ---- */

struct load {
    struct trace_set *set;
    size_t room;
};

static int grow(struct load *l, struct err *e)
{
    size_t room = l->room ? 2 * l->room : 4096;
    struct trace_record *more;

    if (l->room >= TRACE_LOAD_MAX)
        return err_set(e, -EFBIG, "",
                       "there are more than %" PRIu32 " requests, which vub "
                       "trace can only print",
                       TRACE_LOAD_MAX);
    more = realloc(l->set->requests, room * sizeof(*more));
    if (!more)
        return err_nomem(e);
    l->set->requests = more;
    l->room = room;
    return 0;
}

static int take(void *arg, const struct trace_record *r, struct err *e)
{
    struct load *l = arg;
    struct trace_set *s = l->set;
    int rc;

    if (trace_is_mark(r)) {
        if (r->op == TRACE_LOST)
            s->lost = add_u64(s->lost, r->len, &s->lost) ? s->lost : UINT64_MAX;
        s->stopped |= r->op == TRACE_STOP;
        return 0;
    }
    if (s->num == l->room) {
        rc = grow(l, e);
        if (rc < 0)
            return rc;
    }
    s->requests[s->num++] = *r;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct trace_record *x = a, *y = b;

    if (x->submit_ns != y->submit_ns)
        return x->submit_ns < y->submit_ns ? -1 : 1;
    if (x->worker != y->worker)
        return x->worker < y->worker ? -1 : 1;
    return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

int trace_load(struct trace_set *s, const struct trace_options *o,
               struct err *e)
{
    struct load l = {.set = s};
    int rc;

    *s = (struct trace_set){.num = 0};
    rc = trace_each(o, &s->head, &s->torn, take, &l, e);
    if (rc < 0)
        trace_free(s);
    else if (s->num)
        qsort(s->requests, s->num, sizeof(*s->requests), compare);
    return rc;
}

void trace_free(struct trace_set *s)
{
    free(s->requests);
    s->requests = NULL;
    s->num = 0;
}
