/* Rings: layout, life, notifications. The hot path is in vq.h. */
#include "front/vq.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

static uint64_t desc_len(const struct vq *q)
{
    return (uint64_t)q->size * 16;
}

static uint64_t avail_len(const struct vq *q)
{
    return q->packed ? 4 : 6 + 2ull * q->size;
}

static uint64_t used_len(const struct vq *q)
{
    return q->packed ? 4 : 6 + 8ull * q->size;
}

void vq_reset(struct vq *q)
{
    memset(q->desc, 0, desc_len(q));
    memset(q->avail, 0, avail_len(q));
    memset(q->used, 0, used_len(q));
    for (unsigned i = 0; i < q->size; i++)
        q->slot[i] = (struct vq_slot){.next = (uint16_t)(i + 1)};
    q->free_head = 0;
    q->num_free = q->size;
    q->avail_idx = q->used_idx = q->kicked = 0;
    q->avail_wrap = q->used_wrap = true;
    q->held = false;
    q->base = q->packed ? 1u << 15 | 1u << 31 : 0;
    q->calls_on = true;
}

static int new_event(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        front_fail("eventfd: %s", strerror(errno));
    return fd;
}

struct vq *vq_new(struct front *f, unsigned index, uint16_t size, bool packed,
                  bool event_idx, bool indirect)
{
    struct vq *q = front_calloc(1, sizeof(*q));

    q->f = f;
    q->index = index;
    q->size = size;
    q->packed = packed;
    q->event_idx = event_idx;
    q->indirect = indirect;
    /* Pages of their own: what is written there is seen in the log. */
    q->desc_gpa = front_alloc(f, desc_len(q), 4096);
    q->avail_gpa = front_alloc(f, avail_len(q), 4096);
    q->used_gpa = front_alloc(f, used_len(q), 4096);
    q->desc = front_ptr(f, q->desc_gpa);
    q->avail = front_ptr(f, q->avail_gpa);
    q->used = front_ptr(f, q->used_gpa);
    if (!packed) {
        q->used_event = &q->avail->ring[size];
        q->avail_event = (le16 *)&q->used->ring[size];
    }
    q->slot = front_calloc(size, sizeof(*q->slot));
    q->tables_gpa = front_alloc(
        f, (uint64_t)size * VQ_INDIRECT_MAX * sizeof(*q->tables), 4096);
    q->tables = front_ptr(f, q->tables_gpa);
    q->kick_fd = new_event();
    q->call_fd = new_event();
    q->err_fd = new_event();
    vq_reset(q);
    if (f->vq[index])
        vq_free(f->vq[index]);
    f->vq[index] = q;
    return q;
}

void vq_free(struct vq *q)
{
    if (q->f->vq[q->index] == q)
        q->f->vq[q->index] = NULL;
    if (q->kick_fd >= 0)
        close(q->kick_fd);
    if (q->call_fd >= 0)
        close(q->call_fd);
    if (q->err_fd >= 0)
        close(q->err_fd);
    free(q->slot);
    free(q);
}

/* ---- Messages ---- */

void vq_tell_addr(struct vq *q, uint32_t flags)
{
    struct wire_addr a = {
        .index = q->index,
        .flags = flags,
        .desc = front_uva(q->f, q->desc_gpa),
        .used = front_uva(q->f, q->used_gpa),
        .avail = front_uva(q->f, q->avail_gpa),
        .log = q->used_gpa,
    };

    front_ok(q->f, WIRE_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
}

void vq_tell_fd(struct vq *q, uint32_t request, int fd)
{
    uint64_t u64 = q->index | (fd < 0 ? WIRE_VRING_NOFD : 0);

    front_ok(q->f, request, &u64, sizeof(u64), &fd, fd >= 0);
}

void vq_tell(struct vq *q)
{
    front_ok_state(q->f, WIRE_SET_VRING_NUM, q->index, q->size);
    front_ok_state(q->f, WIRE_SET_VRING_BASE, q->index, q->base);
    vq_tell_addr(q,
                 q->f->acked & FEATURE(VHOST_F_LOG_ALL) ? WIRE_VRING_F_LOG : 0);
    vq_tell_fd(q, WIRE_SET_VRING_ERR, q->err_fd);
    vq_tell_fd(q, WIRE_SET_VRING_CALL, q->call_fd);
    vq_tell_fd(q, WIRE_SET_VRING_KICK, q->kick_fd);
}

void vq_enable(struct vq *q, bool on)
{
    front_ok_state(q->f, WIRE_SET_VRING_ENABLE, q->index, on);
}

void vq_start(struct vq *q)
{
    vq_tell(q);
    if (q->f->acked & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES))
        vq_enable(q, true);
}

uint32_t vq_stop(struct vq *q)
{
    struct wire_state s = {q->index, 0};
    struct front_msg m;

    front_send(q->f, WIRE_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0);
    front_reply(q->f, WIRE_GET_VRING_BASE, &m);
    if (m.h.size != sizeof(s) || m.state.index != q->index)
        front_fail("GET_VRING_BASE of ring %u: %u bytes, ring %u", q->index,
                   m.h.size, m.state.index);
    q->base = m.state.num;
    return q->base;
}

/* ---- By hand ---- */

void vq_desc(struct vq *q, unsigned i, uint64_t gpa, uint32_t len,
             uint16_t flags, uint16_t next)
{
    q->desc[i].addr = htole64(gpa);
    q->desc[i].len = htole32(len);
    q->desc[i].flags = htole16(flags);
    q->desc[i].next = htole16(next);
}

void vq_avail_put(struct vq *q, uint16_t head)
{
    q->avail->ring[q->avail_idx++ & (q->size - 1)] = htole16(head);
}

void vq_avail_show(struct vq *q)
{
    vq_avail_idx(q, q->avail_idx);
}

void vq_avail_idx(struct vq *q, uint16_t idx)
{
    le16_store_release(&q->avail->idx, idx);
}

int vq_add_table(struct vq *q, uint64_t gpa, uint32_t len, void *cookie)
{
    struct vq_buf b = {gpa, len};
    bool indirect = q->indirect;
    int id;

    q->indirect = false;
    id = vq_add(q, &b, 1, 0, cookie);
    q->indirect = indirect;
    if (id == VQ_NONE)
        front_fail("ring %u is full", q->index);
    if (!q->packed)
        q->desc[id].flags = htole16(VRING_DESC_F_INDIRECT);
    else if (q->held_at == (q->avail_idx ? q->avail_idx : q->size) - 1)
        q->held_flags |= VRING_DESC_F_INDIRECT;
    else
        front_fail("a table must be the first of its batch");
    return id;
}

struct vring_desc vq_table_entry(const struct vq *q, uint64_t gpa, uint32_t len,
                                 bool write, bool next, uint16_t i)
{
    uint16_t flags = write ? VRING_DESC_F_WRITE : 0;
    struct vring_packed_desc p = {htole64(gpa), htole32(len), 0,
                                  htole16(flags)};
    struct vring_desc d = {htole64(gpa), htole32(len), 0, htole16(i + 1)};

    if (q->packed) {
        memcpy(&d, &p, sizeof(d));
    } else {
        d.flags = htole16(flags | (next ? VRING_DESC_F_NEXT : 0));
        d.next = next ? d.next : 0;
    }
    return d;
}

void vq_pdesc(struct vq *q, unsigned i, uint64_t gpa, uint32_t len, uint16_t id,
              uint16_t flags, bool wrap)
{
    q->pdesc[i].addr = htole64(gpa);
    q->pdesc[i].len = htole32(len);
    q->pdesc[i].id = htole16(id);
    flags |= wrap ? VRING_PACKED_DESC_F_AVAIL : VRING_PACKED_DESC_F_USED;
    le16_store_release(&q->pdesc[i].flags, flags);
}

unsigned vq_used(const struct vq *q)
{
    struct vq copy = *q;
    struct vq_slot *s = front_calloc(q->size, sizeof(*s));
    unsigned n = 0;

    if (!q->packed) {
        free(s);
        return (uint16_t)(le16_load_acquire(&q->used->idx) - q->used_idx);
    }
    memcpy(s, q->slot, q->size * sizeof(*s));
    copy.slot = s;
    while (vq_pop(&copy, NULL, NULL) != VQ_NONE)
        n++;
    free(s);
    return n;
}

/* ---- Notifications ---- */

void vq_notify(struct vq *q)
{
    uint64_t one = 1;

    q->kicks++;
    if (write(q->kick_fd, &one, sizeof(one)) != sizeof(one))
        front_fail("kick: %s", strerror(errno));
}

void vq_calls_after(struct vq *q, bool on, uint16_t after)
{
    uint16_t place = q->used_idx + after;
    bool wrap = q->used_wrap;

    q->calls_on = on;
    if (!q->packed) {
        if (q->event_idx)
            le16_store(q->used_event, on ? place : q->used_idx - 1);
        else
            le16_store(&q->avail->flags, on ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
    } else if (!on) {
        le16_store(&q->driver->flags, VRING_PACKED_EVENT_DISABLE);
    } else if (q->event_idx) {
        /* `after` counts descriptors here: a hint either way. */
        if (place >= q->size) {
            place -= q->size;
            wrap = !wrap;
        }
        le16_store(&q->driver->off_wrap, (uint16_t)(place | wrap << 15));
        le16_store_release(&q->driver->flags, VRING_PACKED_EVENT_DESC);
    } else {
        le16_store(&q->driver->flags, VRING_PACKED_EVENT_ENABLE);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

bool vq_wait_ms(struct vq *q, int timeout_ms)
{
    int64_t end = front_now_ms() + timeout_ms, left;
    bool were_on = q->calls_on;
    uint64_t n;

    for (;;) {
        if (vq_has(q))
            break;
        vq_calls(q, true);
        if (vq_has(q))
            break;
        left = end - front_now_ms();
        if (left < 0 || !front_wait_fd(q->call_fd, POLLIN, (int)left))
            break;
        if (read(q->call_fd, &n, sizeof(n)) == sizeof(n))
            q->calls++;
    }
    if (!were_on)
        vq_calls(q, false);
    return vq_has(q);
}

void vq_wait(struct vq *q)
{
    if (!vq_wait_ms(q, front_timeout_ms()))
        front_fail("ring %u: no call within %d ms", q->index,
                   front_timeout_ms());
}

void vq_need_err(struct vq *q)
{
    uint64_t n;

    front_need_fd(q->err_fd, POLLIN, "the ring's error event");
    if (read(q->err_fd, &n, sizeof(n)) != sizeof(n))
        front_fail("error eventfd: %s", strerror(errno));
}

bool vq_has_err(struct vq *q)
{
    return front_wait_fd(q->err_fd, POLLIN, 0);
}
