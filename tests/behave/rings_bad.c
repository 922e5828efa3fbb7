/* Rings that a hostile guest has written: each way of being wrong breaks that
 * ring with one line and one error event, and nothing else. What is wrong with
 * a request only, and not with the ring, fails the request. */
#include "behave.h"

/* ---- Split ---- */

/* A sound read request in descriptors 0, 1 and 2 of the ring, for a case to
 * spoil. Nothing is available yet. */
struct bad {
    struct front *f;
    struct vq *q;
    struct blk_req *r;
    uint64_t table; /* room for an indirect one */
};

static void sound(struct bad *b)
{
    b->r->head->type = htole32(VIRTIO_BLK_T_IN);
    b->r->head->sector = 0;
    if (b->q->packed)
        return;
    vq_desc(b->q, 0, b->r->head_gpa, 16, VRING_DESC_F_NEXT, 1);
    vq_desc(b->q, 1, b->r->data_gpa, 512,
            VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
    vq_desc(b->q, 2, b->r->status_gpa, 1, VRING_DESC_F_WRITE, 0);
}

static void show(struct bad *b, uint16_t head)
{
    vq_avail_put(b->q, head);
    vq_avail_show(b->q);
}

static void table_entry(struct bad *b, unsigned i, uint64_t gpa, uint32_t len,
                        uint16_t flags, uint16_t next)
{
    struct vring_desc d = {htole64(gpa), htole32(len), htole16(flags),
                           htole16(next)};

    front_poke(b->f, b->table + 16 * i, &d, sizeof(d));
}

/* The same request in the table. */
static void sound_table(struct bad *b)
{
    table_entry(b, 0, b->r->head_gpa, 16, VRING_DESC_F_NEXT, 1);
    table_entry(b, 1, b->r->data_gpa, 512,
                VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
    table_entry(b, 2, b->r->status_gpa, 1, VRING_DESC_F_WRITE, 0);
    vq_desc(b->q, 0, b->table, 48, VRING_DESC_F_INDIRECT, 0);
}

static void head_is_no_descriptor(struct bad *b)
{
    show(b, b->q->size);
}

static void head_is_far_out(struct bad *b)
{
    show(b, 0xffff);
}

/* SPDK#2940, cloud-hypervisor#7917. */
static void index_runs_away(struct bad *b)
{
    vq_avail_put(b->q, 0);
    vq_avail_idx(b->q, b->q->size + 1);
}

static void index_runs_backwards(struct bad *b)
{
    vq_avail_idx(b->q, 0xffff);
}

static void index_runs_half_way_round(struct bad *b)
{
    vq_avail_idx(b->q, 0x8000);
}

/* CVE-2019-9547. */
static void chain_loops_to_itself(struct bad *b)
{
    vq_desc(b->q, 0, b->r->head_gpa, 16, VRING_DESC_F_NEXT, 0);
    show(b, 0);
}

static void chain_loops_at_its_end(struct bad *b)
{
    vq_desc(b->q, 2, b->r->status_gpa, 1,
            VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
    show(b, 0);
}

static void next_is_no_descriptor(struct bad *b)
{
    vq_desc(b->q, 1, b->r->data_gpa, 512,
            VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, b->q->size);
    show(b, 0);
}

static void next_is_far_out(struct bad *b)
{
    vq_desc(b->q, 0, b->r->head_gpa, 16, VRING_DESC_F_NEXT, 0xffff);
    show(b, 0);
}

static void readable_after_writable(struct bad *b)
{
    vq_desc(b->q, 2, b->r->status_gpa, 1, 0, 0);
    show(b, 0);
}

static void data_outside_memory(struct bad *b)
{
    vq_desc(b->q, 1, 1ull << 50, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
            2);
    show(b, 0);
}

static void address_and_length_wrap(struct bad *b)
{
    vq_desc(b->q, 1, UINT64_MAX - 255, 512,
            VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
    show(b, 0);
}

static void longer_than_all_memory(struct bad *b)
{
    vq_desc(b->q, 1, b->r->data_gpa, 0xffffffff,
            VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2);
    show(b, 0);
}

static void table_and_next(struct bad *b)
{
    sound_table(b);
    vq_desc(b->q, 0, b->table, 48, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT,
            1);
    show(b, 0);
}

static void table_in_a_table(struct bad *b)
{
    sound_table(b);
    table_entry(b, 1, b->table, 48, VRING_DESC_F_INDIRECT, 0);
    show(b, 0);
}

static void table_of_no_length(struct bad *b)
{
    sound_table(b);
    vq_desc(b->q, 0, b->table, 0, VRING_DESC_F_INDIRECT, 0);
    show(b, 0);
}

static void table_of_odd_length(struct bad *b)
{
    sound_table(b);
    vq_desc(b->q, 0, b->table, 47, VRING_DESC_F_INDIRECT, 0);
    show(b, 0);
}

static void table_outside_memory(struct bad *b)
{
    vq_desc(b->q, 0, 1ull << 50, 48, VRING_DESC_F_INDIRECT, 0);
    show(b, 0);
}

static void table_leaves_memory(struct bad *b)
{
    /* The first entry is inside, and goes on to the second. */
    b->table = b->f->region[0].len - 16;
    table_entry(b, 0, b->r->head_gpa, 16, VRING_DESC_F_NEXT, 1);
    vq_desc(b->q, 0, b->table, 48, VRING_DESC_F_INDIRECT, 0);
    show(b, 0);
}

static void table_wraps(struct bad *b)
{
    vq_desc(b->q, 0, UINT64_MAX - 15, 48, VRING_DESC_F_INDIRECT, 0);
    show(b, 0);
}

static void table_loops(struct bad *b)
{
    sound_table(b);
    table_entry(b, 1, b->r->data_gpa, 512,
                VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
    show(b, 0);
}

static void table_loops_with_nothing_in_it(struct bad *b)
{
    sound_table(b);
    table_entry(b, 0, b->r->head_gpa, 0, VRING_DESC_F_NEXT, 0);
    show(b, 0);
}

static void next_leaves_the_table(struct bad *b)
{
    sound_table(b);
    table_entry(b, 0, b->r->head_gpa, 16, VRING_DESC_F_NEXT, 3);
    show(b, 0);
}

static void table_readable_after_writable(struct bad *b)
{
    sound_table(b);
    table_entry(b, 2, b->r->status_gpa, 1, 0, 0);
    show(b, 0);
}

static void table_data_outside_memory(struct bad *b)
{
    sound_table(b);
    table_entry(b, 1, 1ull << 50, 512, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
                2);
    show(b, 0);
}

/* Longer than any device asks for. */
static void table_of_a_million_entries(struct bad *b)
{
    for (unsigned i = 0; i < 4096; i++)
        table_entry(b, i, b->r->data_gpa, 1, VRING_DESC_F_NEXT,
                    (uint16_t)(i + 1));
    vq_desc(b->q, 0, b->table, 1 << 24, VRING_DESC_F_INDIRECT, 0);
    show(b, 0);
}

/* ---- Packed ---- */

#define AT(b, i, gpa, len, id, flags)                                          \
    vq_pdesc((b)->q, i, gpa, len, id, flags, true)

/* Descriptors 2 and 1, and then 0 by the case: the chain is shown by it. */
static void packed_rest(struct bad *b, uint16_t id)
{
    AT(b, 2, b->r->status_gpa, 1, id, VRING_DESC_F_WRITE);
    AT(b, 1, b->r->data_gpa, 512, id, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
}

static void packed_head(struct bad *b, uint16_t id)
{
    AT(b, 0, b->r->head_gpa, 16, id, VRING_DESC_F_NEXT);
}

/* SPDK#3860. */
static void p_id_is_too_large(struct bad *b)
{
    packed_rest(b, b->q->size);
    packed_head(b, b->q->size);
}

static void p_id_is_far_out(struct bad *b)
{
    packed_rest(b, 0xffff);
    packed_head(b, 0xffff);
}

static void p_chain_has_no_end(struct bad *b)
{
    for (unsigned i = b->q->size; i-- > 0;)
        AT(b, i, b->r->head_gpa, 16, 0, VRING_DESC_F_NEXT);
}

static void p_data_outside_memory(struct bad *b)
{
    packed_rest(b, 0);
    AT(b, 1, 1ull << 50, 512, 0, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
    packed_head(b, 0);
}

static void p_address_and_length_wrap(struct bad *b)
{
    packed_rest(b, 0);
    AT(b, 1, UINT64_MAX - 255, 512, 0, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
    packed_head(b, 0);
}

static void p_readable_after_writable(struct bad *b)
{
    packed_rest(b, 0);
    AT(b, 2, b->r->status_gpa, 1, 0, 0);
    packed_head(b, 0);
}

static void p_table_in_a_chain(struct bad *b)
{
    packed_rest(b, 0);
    AT(b, 1, b->table, 48, 0, VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT);
    packed_head(b, 0);
}

static void p_table_of_no_length(struct bad *b)
{
    AT(b, 0, b->table, 0, 0, VRING_DESC_F_INDIRECT);
}

static void p_table_of_odd_length(struct bad *b)
{
    AT(b, 0, b->table, 33, 0, VRING_DESC_F_INDIRECT);
}

static void p_table_outside_memory(struct bad *b)
{
    AT(b, 0, 1ull << 50, 48, 0, VRING_DESC_F_INDIRECT);
}

static void p_table_leaves_memory(struct bad *b)
{
    AT(b, 0, b->f->region[0].len - 16, 48, 0, VRING_DESC_F_INDIRECT);
}

static void p_table_wraps(struct bad *b)
{
    AT(b, 0, UINT64_MAX - 15, 48, 0, VRING_DESC_F_INDIRECT);
}

static void p_table_of_a_million_entries(struct bad *b)
{
    AT(b, 0, b->table, 1 << 24, 0, VRING_DESC_F_INDIRECT);
}

static void p_table_data_outside_memory(struct bad *b)
{
    struct vring_packed_desc d = {htole64(1ull << 50), htole32(512), 0,
                                  htole16(VRING_DESC_F_WRITE)};

    front_poke(b->f, b->table, &d, sizeof(d));
    AT(b, 0, b->table, 16, 0, VRING_DESC_F_INDIRECT);
}

#define CASE(f)                                                                \
    {                                                                          \
#f, f                                                                  \
    }
struct bad_case {
    const char *name;
    void (*spoil)(struct bad *b);
};

static const struct bad_case split_cases[] = {
    CASE(head_is_no_descriptor),
    CASE(head_is_far_out),
    CASE(index_runs_away),
    CASE(index_runs_backwards),
    CASE(index_runs_half_way_round),
    CASE(chain_loops_to_itself),
    CASE(chain_loops_at_its_end),
    CASE(next_is_no_descriptor),
    CASE(next_is_far_out),
    CASE(readable_after_writable),
    CASE(data_outside_memory),
    CASE(address_and_length_wrap),
    CASE(longer_than_all_memory),
    CASE(table_and_next),
    CASE(table_in_a_table),
    CASE(table_of_no_length),
    CASE(table_of_odd_length),
    CASE(table_outside_memory),
    CASE(table_leaves_memory),
    CASE(table_wraps),
    CASE(table_loops),
    CASE(table_loops_with_nothing_in_it),
    CASE(next_leaves_the_table),
    CASE(table_readable_after_writable),
    CASE(table_data_outside_memory),
    CASE(table_of_a_million_entries),
};

static const struct bad_case packed_cases[] = {
    CASE(p_id_is_too_large),
    CASE(p_id_is_far_out),
    CASE(p_chain_has_no_end),
    CASE(p_data_outside_memory),
    CASE(p_address_and_length_wrap),
    CASE(p_readable_after_writable),
    CASE(p_table_in_a_chain),
    CASE(p_table_of_no_length),
    CASE(p_table_of_odd_length),
    CASE(p_table_outside_memory),
    CASE(p_table_leaves_memory),
    CASE(p_table_wraps),
    CASE(p_table_of_a_million_entries),
    CASE(p_table_data_outside_memory),
};

/* The attacked ring is spoilt, its sister and another device work on, and the
 * ring itself can be made good again by stopping it. */
static void attack(struct vub *v, struct front *other,
                   const struct front_conf *c, const struct bad_case *k)
{
    struct front *f = front_new(v, "d", c);
    struct bad b = {.f = f, .q = f->vq[0], .r = blk_new(f, 4096)};

    front_note("%s%s", k->name, c->event_idx ? ", event index" : "");
    b.table = front_alloc(f, 1 << 17, 16);
    sound(&b);
    blk_add(f->vq[1], blk_new(f, 512), VIRTIO_BLK_T_IN, 0, 512);
    vub_log_mark(v);
    k->spoil(&b);
    vq_notify(b.q);
    vq_need_err(b.q);
    vub_log_wait(v, "ring 0 is broken: ");
    vq_notify(b.q);
    vq_kick(f->vq[1]);
    vq_wait(f->vq[1]);
    blk_verify(f->vq[1], 8, 4096, 1);
    blk_verify(other->vq[0], 8, 4096, 2);
    assert_int_equal(vub_log_count(v, "ring 0 is broken"), 1);
    assert_int_equal(vub_log_count(v, "error"), 1);
    assert_false(vq_has_err(b.q));
    vq_stop(b.q);
    vq_reset(b.q);
    vq_start(b.q);
    blk_verify(b.q, 16, 4096, 3);
    front_free(f);
}

static void a_bad_split_ring_breaks_and_nothing_else(void **state)
{
    struct vub *v = two_disks();
    struct front *other = front_new(v, "e", NULL);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(split_cases); i++)
        for (unsigned event = 0; event < 2; event++) {
            struct front_conf c = {
                .queues = 2, .event_idx = event, .indirect = true};

            attack(v, other, &c, &split_cases[i]);
        }
    front_free(other);
    vub_free(v);
}

static void a_bad_packed_ring_breaks_and_nothing_else(void **state)
{
    struct vub *v = two_disks();
    struct front *other = front_new(v, "e", NULL);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(packed_cases); i++)
        for (unsigned event = 0; event < 2; event++) {
            struct front_conf c = {.queues = 2,
                                   .packed = true,
                                   .event_idx = event,
                                   .indirect = true};

            attack(v, other, &c, &packed_cases[i]);
        }
    front_free(other);
    vub_free(v);
}

/* The same, with a record of what is in flight, which sees every chain too. */
static void bad_rings_break_with_an_inflight_record_too(void **state)
{
    struct vub *v = two_disks();
    struct front *other = front_new(v, "e", NULL);
    struct front_conf c = {.queues = 2, .indirect = true, .inflight = true};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(split_cases); i++)
        attack(v, other, &c, &split_cases[i]);
    c.packed = true;
    for (unsigned i = 0; i < ARRAY_LEN(packed_cases); i++)
        attack(v, other, &c, &packed_cases[i]);
    front_free(other);
    vub_free(v);
}

/* Firecracker#3149: a chain that is in flight may not come again. */
static void a_chain_in_flight_may_not_come_again(void **state)
{
    struct vub *v = vub_start(
        DISK("d", "'queues': 2, 'drain_timeout': 100, ",
             "{'type': 'fault', 'next': " MEMORY ", 'rules': [{'op': 'read',"
             " 'offset': '1M', 'length': 512, 'stuck': true}]}"));

    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        struct front_conf c = {.queues = 2, .packed = packed};
        struct front *f = front_new(v, "d", &c);
        struct vq *q = f->vq[0];
        struct blk_req *r = blk_new(f, 512);
        int id;

        blk_go(q, r, VIRTIO_BLK_T_IN, 2048, 512);
        blk_verify(q, 0, 512, 1); /* by then the read has been taken */
        id = r->id;
        vub_log_mark(v);
        if (packed) {
            uint16_t at = q->avail_idx;

            vq_pdesc(q, at, r->head_gpa, 16, (uint16_t)id, 0, q->avail_wrap);
        } else {
            vq_avail_put(q, (uint16_t)id);
            vq_avail_show(q);
        }
        vq_notify(q);
        vq_need_err(q);
        vub_log_wait(v, "came again before it was answered");
        blk_verify(f->vq[1], 0, 4096, 1);
        vq_stop(q);
        front_free(f);
    }
    vub_free(v);
}

/* More chains than descriptors, of which some are in flight. */
static void an_index_beyond_what_is_in_flight_has_run_away(void **state)
{
    struct vub *v = vub_start(
        DISK("d", "'queues': 2, 'drain_timeout': 100, ",
             "{'type': 'fault', 'next': " MEMORY ", 'rules': [{'op': 'read',"
             " 'offset': '1M', 'length': 512, 'stuck': true}]}"));
    struct front_conf c = {.queues = 2, .size = 8};
    struct front *f = front_new(v, "d", &c);
    struct vq *q = f->vq[0];
    struct blk_req *r = blk_new(f, 512);

    (void)state;
    blk_go(q, r, VIRTIO_BLK_T_IN, 2048, 512);
    vq_enable(q, true); /* its loop has turned: it was taken */
    blk_verify(q, 0, 512, 1);
    vub_log_mark(v);
    /* A sound one-descriptor chain (of no use, but sound), eight times. */
    vq_desc(q, 7, r->head_gpa, 16, 0, 0);
    for (unsigned i = 0; i < 8; i++)
        vq_avail_put(q, 7);
    vq_avail_show(q);
    vq_notify(q);
    vq_need_err(q);
    vub_log_wait(v, "run away");
    blk_verify(f->vq[1], 0, 4096, 1);
    vq_stop(q);
    front_free(f);
    vub_free(v);
}

/* Item 42: what the guest writes into the used ring is of no interest. */
static void scribbling_over_used_entries_changes_nothing(void **state)
{
    struct vub *v = two_disks();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    struct vq *q = f->vq[0];

    (void)state;
    for (uint64_t i = 0; i < 300; i++) {
        uint16_t idx = le16_load(&q->used->idx);

        q->used->idx = htole16((uint16_t)(idx + 12345));
        memset(q->used->ring, 0xff, 8u * q->size);
        q->used->idx = htole16(idx);
        blk_verify(q, i % 100 * 8, 4096, i);
    }
    /* And for good: the index that counts is the device's own. */
    q->used->idx = htole16(0x8000);
    vq_notify(q);
    blk_verify(f->vq[1], 0, 4096, 1);
    front_free(f);
    vub_free(v);
}

BEHAVE_MAIN(T(a_bad_split_ring_breaks_and_nothing_else),
            T(a_bad_packed_ring_breaks_and_nothing_else),
            T(bad_rings_break_with_an_inflight_record_too),
            T(a_chain_in_flight_may_not_come_again),
            T(an_index_beyond_what_is_in_flight_has_run_away),
            T(scribbling_over_used_entries_changes_nothing))
