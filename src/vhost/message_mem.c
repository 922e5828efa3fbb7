/* Messages about memory that the front-end shares: guest memory, the dirty
 * log, the in-flight record. A new map, log or record is built whole first;
 * rings get it by command, and the front-end's answer waits for them. */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "os/memory.h"
#include "vhost/endpoint_impl.h"
#include "vhost/message.h"

/* Takes the ref. */
static void adopt_mem(struct session *s, struct mem *mem)
{
    mem_unref(s->mem);
    s->mem = mem;
    for (unsigned i = 0; i < s->num_vrings; i++) {
        struct vring *v = &s->vrings[i];
        void *parts[3];

        if (!v->set.started)
            continue;
        /* As the ring was started, whatever has been acked since. */
        if (message_ring_parts(v, mem, &v->cmd.setup, parts, NULL) < 0)
            parts[0] = NULL;
        vring_set_mem(v, mem, parts);
    }
}

/* The mapping has an fd of its own: to close this one is quick, however large
 * the file is. */
static void close_mapped(struct msg *m, unsigned i)
{
    close(msg_take_fd(m, i));
}

/* No thread of ours is to wait for a page that a front-end's file system does
 * not bring. */
static int check_file(struct session *s, int fd, const char *what)
{
    if (endpoint_conf(s->endpoint)->any_memory || memory_is_ram(fd))
        return 0;
    return err_set(&s->err, -EACCES, "",
                   "%s comes as a file that is neither a memfd nor on tmpfs or "
                   "hugetlbfs, and could stop the worker at any moment; "
                   "\"any_memory\": true allows that",
                   what);
}

static struct mem_region_conf region_conf(const struct msg_region *r)
{
    return (struct mem_region_conf){r->gpa, r->len, r->uva, r->offset};
}

int message_set_mem_table(struct session *s, struct msg *m)
{
    const struct msg_mem_table *t = &m->payload.table;
    struct mem *mem, *more;
    int rc;

    if (t->num > MSG_REGIONS_MAX ||
        m->header.size != 8 + t->num * sizeof(t->regions[0]))
        return err_set(&s->err, -EINVAL, "",
                       "%u regions do not fit a payload of %u bytes", t->num,
                       m->header.size);
    if (t->num && !m->num_fds)
        return err_set(&s->err, -EINVAL, "",
                       "guest memory comes without file descriptors (%s)",
                       MEMORY_HINT);
    if (m->num_fds != t->num)
        return err_set(&s->err, -EINVAL, "", "%u regions with %u fds", t->num,
                       m->num_fds);
    mem = mem_new_like(s->mem);
    if (!mem)
        return err_nomem(&s->err);
    for (unsigned i = 0; i < t->num; i++) {
        const struct mem_region_conf c = region_conf(&t->regions[i]);

        rc = check_file(s, m->fds[i], "guest memory");
        if (rc == 0)
            rc = mem_add(mem, &c, m->fds[i], &more, &s->err);
        mem_unref(mem);
        if (rc < 0)
            return rc;
        close_mapped(m, i);
        mem = more;
    }
    adopt_mem(s, mem);
    return 0;
}

int message_get_max_mem_slots(struct session *s, struct msg *m)
{
    const uint64_t slots = MEM_REGIONS_MAX;

    (void)m;
    session_reply(s, &slots, sizeof(slots), -1);
    return 0;
}

int message_add_mem_reg(struct session *s, struct msg *m)
{
    const struct mem_region_conf c = region_conf(&m->payload.reg.region);
    struct mem *mem;
    int rc;

    if (m->num_fds != 1)
        return err_set(&s->err, -EINVAL, "",
                       "a region comes without a file descriptor (%s)",
                       MEMORY_HINT);
    rc = check_file(s, m->fds[0], "guest memory");
    if (rc == 0)
        rc = mem_add(s->mem, &c, m->fds[0], &mem, &s->err);
    if (rc < 0)
        return rc;
    close_mapped(m, 0);
    adopt_mem(s, mem);
    return 0;
}

int message_rem_mem_reg(struct session *s, struct msg *m)
{
    const struct mem_region_conf c = region_conf(&m->payload.reg.region);
    struct mem *mem;
    int rc;

    rc = mem_remove(s->mem, &c, &mem, &s->err);
    if (rc < 0)
        return rc;
    adopt_mem(s, mem);
    return 0;
}

/* ---- dirty log ---- */

/* The answer tells that no ring uses the old log any more. */
static void log_is_set(struct session *s)
{
    const uint64_t zero = 0;

    session_reply(s, &zero, sizeof(zero), -1);
}

int message_set_log_base(struct session *s, struct msg *m)
{
    struct dirty *dirty;
    int rc;

    if (!(s->protocol & PROTO_LOG_SHMFD) || m->num_fds != 1 ||
        m->header.size != sizeof(m->payload.log))
        return err_set(&s->err, -EINVAL, "",
                       "a log must come as shared memory (LOG_SHMFD)");
    rc = check_file(s, m->fds[0], "the log");
    if (rc == 0)
        rc = dirty_open(&dirty, m->fds[0], m->payload.log.size,
                        m->payload.log.offset, &s->err);
    if (rc < 0)
        return rc;
    if (dirty_end(dirty) < mem_end(s->mem)) {
        rc = err_set(&s->err, -EINVAL, "",
                     "a log of %" PRIu64 " bytes is for addresses below "
                     "0x%" PRIx64 ", but guest memory ends at 0x%" PRIx64,
                     m->payload.log.size, dirty_end(dirty), mem_end(s->mem));
        dirty_unref(dirty);
        return rc;
    }
    dirty_unref(s->dirty);
    s->dirty = dirty;
    s->finish = log_is_set;
    message_update_rings(s);
    return 0;
}

int message_set_log_fd(struct session *s, struct msg *m)
{
    /* "It may be used to inform the front-end that the log has been
     * modified": it never waits for that, so nobody is told. */
    (void)s;
    (void)m;
    return 0;
}

/* ---- in-flight record ---- */

int message_get_inflight_fd(struct session *s, struct msg *m)
{
    struct msg_inflight in = m->payload.inflight;
    int fd, rc;

    if (in.num_queues < 1 || in.num_queues > s->num_vrings ||
        in.queue_size < 1 || in.queue_size > RING_SIZE_MAX)
        return err_set(&s->err, -EINVAL, "",
                       "%u queues of %u descriptors; there are %u of at most "
                       "%d",
                       in.num_queues, in.queue_size, s->num_vrings,
                       RING_SIZE_MAX);
    /* What is sent and not read counts against us: of all fds that processes of
     * our user have under way the system allows some thousand. */
    if (s->record_sent && conn_is_unread(&s->conn))
        return err_set(&s->err, -EBUSY, "",
                       "a record was sent already, and is not read yet");
    rc = inflight_create(in.num_queues, in.queue_size, &fd, &s->err);
    if (rc < 0)
        return rc;
    in.mmap_size = inflight_bytes(in.num_queues, in.queue_size);
    in.mmap_offset = 0;
    in.padding = 0;
    s->record_sent = true;
    session_reply(s, &in, m->header.size, fd);
    return 0;
}

int message_set_inflight_fd(struct session *s, struct msg *m)
{
    const struct msg_inflight *in = &m->payload.inflight;
    struct inflight *record;
    int rc;

    for (unsigned i = 0; i < s->num_vrings; i++)
        if (s->vrings[i].set.started)
            return err_set(&s->err, -EBUSY, "", "ring %u is started", i);
    if (in->num_queues > s->num_vrings || in->queue_size > RING_SIZE_MAX)
        return err_set(&s->err, -EINVAL, "",
                       "a record of %u queues of %u descriptors; there are %u "
                       "of at most %d",
                       in->num_queues, in->queue_size, s->num_vrings,
                       RING_SIZE_MAX);
    rc = check_file(s, m->fds[0], "the in-flight record");
    if (rc < 0)
        return rc;
    rc = inflight_open(&record, m->fds[0], in->mmap_size, in->mmap_offset,
                       in->num_queues, in->queue_size, &s->err);
    if (rc < 0)
        return rc;
    inflight_unref(s->inflight);
    s->inflight = record;
    return 0;
}
