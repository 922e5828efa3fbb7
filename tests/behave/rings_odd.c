/* Rings that are sound, and hold what is odd: event words, requests that are
 * none, descriptors of no bytes, headers that change while they are read. */
#include "behave.h"

/* Event words and flags of no sense at all. */
static void event_words_may_be_anything(void **state)
{
    struct vub *v = two_disks();

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++)
        for (unsigned word = 0; word < 0x10000; word += 0x1357) {
            struct front_conf c = {
                .queues = 2, .packed = packed, .event_idx = true};
            struct front *f = front_new(v, "d", &c);
            struct vq *q = f->vq[0];
            struct blk_req *r = blk_new(f, 512);
            int64_t end = front_now_ms() + front_timeout_ms();

            if (packed) {
                le16_store(&q->driver->off_wrap, (uint16_t)word);
                le16_store(&q->driver->flags, (uint16_t)(word >> 3));
            } else {
                le16_store(q->used_event, (uint16_t)word);
                le16_store(&q->avail->flags, (uint16_t)(word >> 3));
            }
            for (unsigned i = 0; i < 20; i++) {
                blk_add(q, r, VIRTIO_BLK_T_IN, i, 512);
                vq_show(q);
                vq_notify(q);
                while (vq_pop(q, NULL, NULL) == VQ_NONE)
                    if (front_now_ms() > end)
                        front_fail("no answer with event word %#x", word);
            }
            front_free(f);
        }
    vub_free(v);
}

/* ---- Bad requests in good rings ---- */

/* Nothing but the request fails; its used length is what was written. */
static void a_bad_request_fails_and_the_ring_goes_on(void **state)
{
    static const uint32_t outs[] = {0, 1, 8, 15, 16};
    static const uint32_t ins[] = {0, 1, 2, 511, 512, 514};
    static const uint32_t types[] = {VIRTIO_BLK_T_IN,
                                     VIRTIO_BLK_T_OUT,
                                     VIRTIO_BLK_T_FLUSH,
                                     VIRTIO_BLK_T_GET_ID,
                                     VIRTIO_BLK_T_DISCARD,
                                     VIRTIO_BLK_T_WRITE_ZEROES,
                                     VIRTIO_BLK_T_SECURE_ERASE,
                                     2,
                                     0x80000000,
                                     0xffffffff};
    struct vub *v = two_disks();

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f = front_new(v, "d", &ring_modes[mode]);
        struct vq *q = f->vq[0];
        struct blk_req *r = blk_new(f, 4096);

        for (unsigned t = 0; t < ARRAY_LEN(types); t++)
            for (unsigned o = 0; o < ARRAY_LEN(outs); o++)
                for (unsigned i = 0; i < ARRAY_LEN(ins); i++) {
                    struct vq_buf b[2] = {{r->head_gpa, outs[o]},
                                          {r->data_gpa, ins[i]}};
                    unsigned have_out = outs[o] > 0, have_in = ins[i] > 0;

                    if (!have_out && !have_in)
                        continue;
                    r->head->type = htole32(types[t]);
                    r->head->sector = 0;
                    memset(r->data, BLK_S_NONE, 4096);
                    r->done = false;
                    r->id =
                        vq_add(q, have_out ? b : b + 1, have_out, have_in, r);
                    vq_kick(q);
                    blk_wait(q, r);
                    assert_true(r->written <= ins[i]);
                    for (unsigned k = ins[i]; k < 600; k++)
                        assert_int_equal(r->data[k], BLK_S_NONE);
                    if (have_in && outs[o] < 16)
                        assert_int_equal(r->data[ins[i] - 1],
                                         VIRTIO_BLK_S_IOERR);
                }
        assert_int_equal(vub_log_count(v, "is broken"), 0);
        blk_verify(q, 0, 4096, mode);
        front_free(f);
    }
    vub_free(v);
}

/* Zero-length descriptors, in any place, are nothing. */
static void empty_descriptors_do_not_matter(void **state)
{
    struct vub *v = two_disks();

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f = front_new(v, "d", &ring_modes[mode]);
        struct vq *q = f->vq[0];
        struct blk_req *r = blk_new(f, 512);
        struct vq_buf b[6] = {{r->head_gpa, 0},   {r->head_gpa, 16},
                              {1ull << 55, 0},    {r->data_gpa, 512},
                              {r->status_gpa, 1}, {r->status_gpa, 0}};

        for (unsigned i = 0; i < 10; i++) {
            r->head->type = htole32(VIRTIO_BLK_T_IN);
            r->head->sector = 0;
            *r->status = BLK_S_NONE;
            r->done = false;
            b[2].gpa = i % 2 ? 1ull << 55 : r->data_gpa;
            vq_add(q, b, 2, 4, r);
            vq_kick(q);
            assert_int_equal(blk_wait(q, r), VIRTIO_BLK_S_OK);
        }
        front_free(f);
    }
    vub_free(v);
}

/* Item 41: the header is read once; the guest changes it meanwhile, and what
 * was checked is what is done. The store says no to writes, so any write that
 * gets through by a changed type shows. */
static void a_header_that_changes_under_the_device_harms_nobody(void **state)
{
    struct vub *v =
        vub_start(DISK("d", "'queues': 2, 'read_only': true, ", MEMORY));
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    struct vq *q = f->vq[0];
    struct blk_req *r = blk_new(f, 512);

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        blk_go(q, r, VIRTIO_BLK_T_IN, 0, 512);
        while (!vq_has(q)) {
            le64_store(&r->head->sector, UINT64_MAX);
            le32_store(&r->head->type, VIRTIO_BLK_T_OUT);
            le64_store(&r->head->sector, 0);
            le32_store(&r->head->type, VIRTIO_BLK_T_IN);
        }
        blk_wait(q, r);
        assert_true(*r->status == VIRTIO_BLK_S_OK ||
                    *r->status == VIRTIO_BLK_S_IOERR);
    }
    assert_int_equal(vub_log_count(v, "is broken"), 0);
    front_free(f);
    vub_free(v);
}

BEHAVE_MAIN(T(event_words_may_be_anything),
            T(a_bad_request_fails_and_the_ring_goes_on),
            T(empty_descriptors_do_not_matter),
            T(a_header_that_changes_under_the_device_harms_nobody))
