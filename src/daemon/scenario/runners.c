/* The output of a process is a stream, of which a window is kept: it may grow
 * to twice what is to be kept before its front is dropped, so that a byte moves
 * once. A text is sought in what is new, and in as much before as a part of it
 * could be in. */
#include "daemon/scenario/runners.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/loop.h"

#define CHUNK (64u << 10)
#define LAST_WORDS (1u << 20) /* of one that has ended: a pipe's room */
#define ALL_SHOWN (64u << 20) /* of all processes; then less of each */
#define LITTLE 2048
#define NAME_MAX_BYTES 64

/* ---- logs ---- */

char *runner_safe_name(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    char *safe = strndup(name, NAME_MAX_BYTES);

    for (char *c = safe; c && *c; c++)
        if (!strchr(plain, *c) || (c == safe && *c == '.'))
            *c = '_';
    return safe;
}

static bool is_taken(const struct runners *rs, const char *path)
{
    for (unsigned i = 0; i < rs->num_logs; i++)
        if (strcmp(rs->logs[i].path, path) == 0)
            return true;
    return false;
}

/* One that no other name has. NULL: no memory. */
static char *new_path(const struct runners *rs, const char *name)
{
    char *safe = runner_safe_name(name), *path = NULL;

    for (unsigned i = 1; safe; i++) {
        char more[16] = "";

        if (i > 1)
            snprintf(more, sizeof(more), "-%u", i);
        if (asprintf(&path, "%s/%s%s.log", rs->report, safe, more) < 0)
            path = NULL;
        if (!path || !is_taken(rs, path))
            break;
        free(path);
    }
    free(safe);
    return path;
}

/* The log of all processes of that name, one after the other. *is_new: it is
 * the first. */
static const struct runner_log *log_of(struct runners *rs, const char *name,
                                       bool *is_new)
{
    struct runner_log *l;

    *is_new = false;
    for (unsigned i = 0; i < rs->num_logs; i++)
        if (strcmp(rs->logs[i].name, name) == 0)
            return &rs->logs[i];
    l = realloc(rs->logs, (rs->num_logs + 1) * sizeof(*l));
    if (!l)
        return NULL;
    rs->logs = l;
    l += rs->num_logs;
    *l = (struct runner_log){strdup(name), new_path(rs, name)};
    if (l->name && l->path) {
        rs->num_logs++;
        *is_new = true;
        return l;
    }
    free(l->name);
    free(l->path);
    return NULL;
}

/* 0 or negative, with a sentence. */
static int open_log(struct runners *rs, struct runner *r, char **path,
                    struct err *e)
{
    const struct runner_log *l;
    bool is_new;

    *path = NULL;
    if (!rs->report)
        return 0;
    l = log_of(rs, r->name, &is_new);
    if (l)
        *path = strdup(l->path);
    if (!*path)
        return err_nomem(e);
    r->log =
        open(*path,
             O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND | (is_new ? O_TRUNC : 0),
             0666);
    return r->log < 0 ? err_sys(e, errno, "", "cannot write %s", *path) : 0;
}

static void write_log(struct runner *r, const char *text, size_t len)
{
    ssize_t n = 0;

    while (r->log >= 0 && len > 0) {
        n = subprocess_write(r->log, text, len);
        if (n <= 0)
            break;
        text += n;
        len -= (size_t)n;
    }
    if (n >= 0)
        return;
    fprintf(stderr, "vub: the log of %s: %s\n", r->name, strerror((int)-n));
    close(r->log);
    r->log = -1;
}

/* ---- output ---- */

static void seek(struct runner *r)
{
    size_t len = r->text ? strlen(r->text) : 0;
    uint64_t from = r->sought;
    const char *start, *found;

    if (len == 0 || r->found)
        return;
    /* Its beginning may have come before. */
    from = from >= r->taken + len - 1 ? from - (len - 1) : r->taken;
    from = MAX(from, r->offset);
    start = r->out + (from - r->offset);
    found = memmem(start, r->len - (size_t)(from - r->offset), r->text, len);
    r->sought = r->offset + r->len;
    if (!found)
        return;
    r->found = true;
    r->taken = r->offset + (uint64_t)(found - r->out) + len;
}

void runner_seek(struct runner *r, const char *text)
{
    r->text = text;
    r->found = false;
    r->sought = r->taken;
    if (r->out)
        seek(r);
}

static void drop_front(struct runner *r, size_t keep)
{
    size_t drop = r->len - MIN(r->len, keep);

    memmove(r->out, r->out + drop, r->len - drop);
    r->len -= drop;
    r->offset += drop;
}

/* What does not find room any more is in the log at least. */
static void take_output(struct runner *r, const char *text, size_t len)
{
    size_t room = MAX(r->room, (size_t)CHUNK);
    char *out;

    write_log(r, text, len);
    if (r->len + len > 2 * r->keep)
        drop_front(r, r->keep);
    while (room < r->len + len)
        room *= 2;
    if (room != r->room) {
        out = realloc(r->out, room);
        if (!out)
            return;
        r->out = out;
        r->room = room;
    }
    memcpy(r->out + r->len, text, len);
    r->len += len;
    seek(r);
}

static void end_output(struct runner *r)
{
    if (r->system.out >= 0)
        close(r->system.out);
    if (r->log >= 0)
        close(r->log);
    r->system.out = r->log = -1;
}

/* At most so much. */
static void read_output(struct runner *r, size_t most)
{
    char chunk[CHUNK];
    ssize_t n = 1;

    for (size_t have = 0; have < most && r->system.out >= 0;
         have += (size_t)n) {
        n = subprocess_read(r->system.out, chunk, sizeof(chunk));
        if (n == -EAGAIN)
            return;
        if (n > 0)
            take_output(r, chunk, (size_t)n);
        else
            end_output(r);
        if (n <= 0)
            return;
    }
}

/* ---- input ---- */

static void end_input(struct runner *r)
{
    free(r->in);
    r->in = NULL;
    if (r->system.in >= 0)
        close(r->system.in);
    r->system.in = -1;
    r->deaf = true;
}

static void send_input(struct runner *r)
{
    ssize_t n;

    while (r->in && r->in_sent < r->in_len) {
        n = subprocess_write(r->system.in, r->in + r->in_sent,
                             r->in_len - r->in_sent);
        if (n == -EAGAIN)
            return;
        if (n < 0)
            end_input(r);
        else
            r->in_sent += (size_t)n;
    }
    free(r->in);
    r->in = NULL;
}

int runner_write(struct runner *r, const char *text)
{
    size_t left = r->in ? r->in_len - r->in_sent : 0, len = strlen(text);
    char *in;

    if (r->deaf || r->system.in < 0)
        return 0;
    in = malloc(left + len + 1);
    if (!in)
        return -ENOMEM;
    if (left)
        memcpy(in, r->in + r->in_sent, left);
    strcpy(in + left, text);
    free(r->in);
    r->in = in;
    r->in_len = left + len;
    r->in_sent = 0;
    send_input(r);
    return 0;
}

/* ---- life ---- */

struct runner *runners_find(const struct runners *rs, const char *name)
{
    for (unsigned i = rs->count; i-- > 0;)
        if (strcmp(rs->list[i]->name, name) == 0)
            return rs->list[i];
    return NULL;
}

static void runner_free(struct runner *r)
{
    if (!r)
        return;
    end_output(r);
    end_input(r);
    free(r->out);
    free(r->name);
    free(r);
}

static void forget(struct runners *rs, unsigned i)
{
    runner_free(rs->list[i]);
    memmove(&rs->list[i], &rs->list[i + 1],
            (--rs->count - i) * sizeof(rs->list[0]));
}

void runners_sweep(struct runners *rs)
{
    for (unsigned i = rs->count; i-- > 0;) {
        struct runner *r = rs->list[i];

        if (r->on_its_own && !runner_runs(r) && r->system.out < 0)
            forget(rs, i);
    }
}

static bool make_room(struct runners *rs)
{
    struct runner **list;

    list = realloc(rs->list, (rs->count + 1) * sizeof(*list));
    if (list)
        rs->list = list;
    return list != NULL;
}

/* Writes in the record that it has begun. */
static int add_record(struct runners *rs, struct runner *r, const char *command,
                      char *path)
{
    struct record_process *p = record_add_process(rs->record, r->name, command);

    if (!p) {
        free(path);
        return -ENOMEM;
    }
    r->record = rs->record->num_processes - 1;
    p->log_path = path;
    p->status = -1;
    p->begin_ns = loop_now_ns();
    return 0;
}

struct runner *runners_start(struct runners *rs, const struct runner_conf *c,
                             struct err *e)
{
    struct runner *r = runners_find(rs, c->name);
    char *path = NULL;

    if (r && runner_runs(r)) {
        err_set(e, -EBUSY, "", "\"%.64s\" still runs", c->name);
        return NULL;
    }
    for (unsigned i = rs->count; r && i-- > 0;)
        if (rs->list[i] == r)
            forget(rs, i);
    r = calloc(1, sizeof(*r));
    if (!r || !make_room(rs)) {
        free(r);
        err_nomem(e);
        return NULL;
    }
    *r = (struct runner){.name = strdup(c->name),
                         .system = {0, -1, -1},
                         .on_its_own = c->on_its_own,
                         .record = UINT32_MAX,
                         .log = -1,
                         .keep = c->keep};
    if (!r->name) {
        err_nomem(e);
        goto fail;
    }
    if (open_log(rs, r, &path, e) < 0)
        goto fail;
    if (subprocess_start(&r->system, c->command, rs->dir, rs->variables,
                         c->has_input, e) < 0)
        goto fail;
    rs->list[rs->count++] = r;
    r->deaf = !c->has_input;
    if (add_record(rs, r, c->command, path) == 0)
        return r;
    /* It is ended with the others. */
    err_nomem(e);
    return NULL;
fail:
    free(path);
    runner_free(r);
    return NULL;
}

/* What it has written last, with nothing that would end a string. */
static char *last_output(struct runners *rs, const struct runner *r, bool *cut)
{
    size_t most = rs->shown < ALL_SHOWN ? RUNNER_SHOWN : LITTLE;
    size_t len = MIN(r->len, most);
    char *text = malloc(len + 1);

    if (!text)
        return NULL;
    if (len)
        memcpy(text, r->out + r->len - len, len);
    text[len] = '\0';
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\0')
            text[i] = '?';
    *cut = r->offset > 0 || len < r->len;
    return text;
}

void runner_note(struct runners *rs, struct runner *r)
{
    struct record_process *p;
    char *text;

    if (r->record >= rs->record->num_processes)
        return;
    p = &rs->record->processes[r->record];
    text = last_output(rs, r, &p->cut);
    if (text) {
        rs->shown += strlen(text);
        rs->shown -= p->output ? strlen(p->output) : 0;
        free(p->output);
        p->output = text;
    }
    if (runner_runs(r) || p->end_ns)
        return;
    p->status = r->status;
    p->end_ns = loop_now_ns();
}

/* ---- for who waits ---- */

unsigned runners_want(struct runners *rs, struct await *list)
{
    unsigned n = 0;

    for (unsigned i = 0; i < rs->count; i++) {
        const struct runner *r = rs->list[i];

        list[n++] = (struct await){r->system.out, AWAIT_READ, 0};
        list[n++] = (struct await){r->system.in, r->in ? AWAIT_WRITE : 0, 0};
    }
    return n;
}

void runners_take(struct runners *rs, const struct await *list)
{
    for (unsigned i = 0; i < rs->count; i++) {
        if (list[2 * i].ready)
            read_output(rs->list[i], CHUNK);
        if (list[2 * i + 1].ready)
            send_input(rs->list[i]);
    }
}

bool runners_reap(struct runners *rs)
{
    int status, pid;

    while ((pid = subprocess_reap(&status)) > 0) {
        for (unsigned i = 0; i < rs->count; i++) {
            struct runner *r = rs->list[i];

            if (r->system.pid != pid)
                continue;
            r->system.pid = 0;
            r->status = status;
            read_output(r, LAST_WORDS);
            end_input(r);
            runner_note(rs, r);
        }
    }
    return pid == 0;
}

void runners_free(struct runners *rs)
{
    for (unsigned i = 0; i < rs->count; i++)
        runner_free(rs->list[i]);
    free(rs->list);
    for (unsigned i = 0; i < rs->num_logs; i++) {
        free(rs->logs[i].name);
        free(rs->logs[i].path);
    }
    free(rs->logs);
    for (char **v = rs->variables; v && *v; v++)
        free(*v);
    free(rs->variables);
    *rs = (struct runners){NULL};
}
