/* Guest memory that changes, shrinks and goes while the device runs. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "behave.h"

#define MiB (1u << 20)

/* ---- Changes while the device runs ---- */

/* The guest's pages move to another file, as when a VMM remaps them: what is
 * done after the ack is done there. */
static void a_new_table_moves_the_rings_with_it(void **state)
{
    struct vub *v = two_disks();

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f = front_new(v, "d", &ring_modes[mode]);
        struct front_region *r = &f->region[0];

        for (uint64_t i = 0; i < 5; i++) {
            int fd = front_memfd(r->len);
            uint8_t *at;

            blk_verify(f->vq[0], i * 8, 4096, i);
            at = mmap(NULL, r->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            assert_ptr_not_equal(at, MAP_FAILED);
            memcpy(at, r->host, r->used);
            /* Our own pointers stay: the new file is put under them. */
            assert_ptr_equal(mremap(at, r->len, r->len,
                                    MREMAP_MAYMOVE | MREMAP_FIXED, r->host),
                             r->host);
            close(r->fd);
            r->fd = fd;
            front_share(f);
            blk_verify(f->vq[0], i * 8, 4096, i + 100);
            blk_verify(f->vq[1], i * 8, 4096, i + 200);
        }
        front_free(f);
    }
    vub_free(v);
}

/* A ring kept full while regions come and go and the table is said again and
 * again; every request must end well. */
static void regions_come_and_go_under_load(void **state)
{
    enum { DEPTH = 32 };
    struct vub *v = vub_new();
    uint8_t want[DEPTH][4096];
    FILE *img;

    (void)state;
    img = fopen(vub_path(v, "img"), "we");
    assert_int_equal(ftruncate(fileno(img), MiB), 0);
    fclose(img);
    vub_config(v, DISK("d", "'queues': 2, 'worker': ['a', 'b'], ",
                       "{'type': 'file', 'path': 'img',"
                       " 'engine': 'threads'}"));
    vub_run(v);
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f = front_new(v, "d", &ring_modes[mode]);
        struct vq *q = f->vq[1];
        struct blk_req *r[DEPTH];
        unsigned extra = front_region_add(f, 1ull << 40, MiB), done = 0;

        for (unsigned i = 0; i < DEPTH; i++) {
            r[i] = blk_new(f, 4096);
            front_fill(want[i], 4096, i + mode * 100);
            blk_write(q, i * 8, want[i], 4096);
        }
        for (unsigned i = 0; i < DEPTH; i++)
            blk_add(q, r[i], VIRTIO_BLK_T_IN, i * 8, 4096);
        vq_kick(q);
        for (unsigned round = 0; round < 60; round++) {
            void *cookie;

            front_region_tell(f, extra);
            front_region_untell(f, extra);
            if (round % 5 == 0)
                front_ok_u64(f, WIRE_SET_FEATURES, f->acked);
            if (round % 7 == 0) {
                f->num_regions--;
                front_share(f);
                f->num_regions++;
            }
            vq_wait(q);
            while (vq_pop(q, NULL, &cookie) != VQ_NONE) {
                struct blk_req *one = cookie;
                uint64_t i = le64toh(one->head->sector) / 8;

                assert_int_equal(*one->status, VIRTIO_BLK_S_OK);
                assert_memory_equal(one->data, want[i], 4096);
                memset(one->data, 0, 4096);
                blk_add(q, one, VIRTIO_BLK_T_IN, i * 8, 4096);
                done++;
            }
            vq_kick(q);
        }
        assert_true(done >= 60);
        for (unsigned i = 0; i < DEPTH; i++)
            assert_int_equal(blk_wait(q, r[i]), VIRTIO_BLK_S_OK);
        assert_int_equal(vub_maps(v, "memfd:front"), 1);
        front_free(f);
    }
    vub_free(v);
}

/* The request's memory is removed while the store has it: it must stay mapped
 * until the answer is written. */
static void a_request_in_flight_keeps_its_removed_region(void **state)
{
    struct vub *v = vub_start(DISK("d", "'drain_timeout': 200, ",
                                   "{'type': 'fault', 'next': " MEMORY
                                   ", 'rules': [{'op': 'read',"
                                   " 'stuck': true}]}"));

    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        struct front *f =
            front_new(v, "d", &(struct front_conf){.packed = packed});
        unsigned extra = front_region_add(f, 1ull << 40, MiB);
        struct blk_req *r = blk_new(f, 0);
        struct vq_buf b[3] = {
            {r->head_gpa, 16}, {(1ull << 40) + 4096, 4096}, {(1ull << 40), 1}};
        volatile uint8_t *status = front_ptr(f, 1ull << 40);

        front_region_tell(f, extra);
        assert_int_equal(vub_maps(v, "memfd:front"), 2);
        r->head->type = htole32(VIRTIO_BLK_T_IN);
        *status = BLK_S_NONE;
        vq_add(f->vq[0], b, 1, 2, r);
        vq_kick(f->vq[0]);
        /* A write behind it on the same ring: when that is answered, the read
         * has been taken. */
        blk_write(f->vq[0], 0, "x", 0);
        front_region_untell(f, extra);
        assert_int_equal(vub_maps(v, "memfd:front"), 2);
        vq_stop(f->vq[0]); /* gives it up after drain_timeout */
        assert_int_equal(*status, VIRTIO_BLK_S_IOERR);
        assert_int_equal(vub_maps(v, "memfd:front"), 1);
        front_free(f);
    }
    vub_free(v);
}

static void removing_the_memory_of_a_ring_breaks_it(void **state)
{
    struct vub *v = two_disks();

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f = front_new(v, "d", &ring_modes[mode]);
        struct front *e = front_new(v, "e", NULL);

        front_region_untell(f, 0);
        vq_need_err(f->vq[0]);
        vq_need_err(f->vq[1]);
        vq_notify(f->vq[0]);
        front_settle(f);
        blk_verify(e->vq[0], 0, 4096, 1);
        front_free(f);
        front_free(e);
    }
    vub_free(v);
}

/* ---- Memory that is taken away ---- */

static void shrink(struct front *f, unsigned region, uint64_t len)
{
    assert_int_equal(ftruncate(f->region[region].fd, (off_t)len), 0);
}

/* The file under the rings, under the data, and by a byte or whole. */
static void memory_that_shrinks_ends_its_session_only(void **state)
{
    struct vub *v = two_disks();
    struct front *e = front_new(v, "e", NULL);

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++)
        for (int what = 0; what < 3; what++) {
            struct front *f = front_connect(v, "d");
            struct blk_req *r;

            front_negotiate(f, &ring_modes[mode]);
            front_region_add(f, 0, 32 * MiB);
            front_region_add(f, 1ull << 40, MiB);
            front_share(f);
            front_start_rings(f);
            blk_verify(f->vq[0], 0, 4096, 1);
            r = blk_new(f, 0);
            vub_log_mark(v);
            if (what < 2) {
                /* Data there, for a write (0) and a read (1). */
                r->data_gpa = 1ull << 40;
                shrink(f, 1, 0);
                blk_go(f->vq[0], r, what ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
                       0, 65536);
            } else {
                shrink(f, 0, 0);
                vq_notify(f->vq[0]);
            }
            front_need_hangup(f);
            assert_non_null(strstr(vub_log_wait(v, "is gone:"), "shrank"));
            blk_verify(e->vq[0], 0, 4096, mode);
            /* Our own pointers are as dead as theirs. */
            front_free(f);
        }
    blk_verify(e->vq[0], 0, 65536, 1);
    front_free(e);
    vub_free(v);
}

/* A session leaves no mapping and no fd behind. */
static void a_session_that_is_over_maps_nothing(void **state)
{
    struct vub *v = two_disks();
    struct footprint before = footprint(v), after;

    (void)state;
    assert_int_equal(before.memory - before.kept, 1);
    for (int i = 0; i < 5; i++) {
        struct front_conf c = {.queues = 2, .inflight = true, .packed = i % 2};
        struct front *f = front_new(v, "d", &c);

        front_region_tell(f, front_region_add(f, 1ull << 40, MiB));
        front_log_start(f);
        blk_verify(f->vq[0], 0, 4096, 1);
        front_free(f);
    }
    after = footprint(v);
    assert_int_equal(after.fds, before.fds);
    assert_int_equal(after.memory, before.memory);
    vub_free(v);
}

BEHAVE_MAIN(T(a_new_table_moves_the_rings_with_it),
            T(regions_come_and_go_under_load),
            T(a_request_in_flight_keeps_its_removed_region),
            T(removing_the_memory_of_a_ring_breaks_it),
            T(memory_that_shrinks_ends_its_session_only),
            T(a_session_that_is_over_maps_nothing))
