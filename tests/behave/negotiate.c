/* What is offered, what may be acked, and in which order things may come. */
#include "behave.h"

#define BIT(b) FEATURE(b)

static const uint64_t ring_features =
    BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_INDIRECT_DESC) |
    BIT(VIRTIO_F_EVENT_IDX) | BIT(VIRTIO_F_RING_PACKED) | BIT(VHOST_F_LOG_ALL) |
    BIT(VHOST_USER_F_PROTOCOL_FEATURES);

static const uint64_t disk_features =
    BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
    BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_TOPOLOGY) |
    BIT(VIRTIO_BLK_F_CONFIG_WCE) | BIT(VIRTIO_BLK_F_DISCARD) |
    BIT(VIRTIO_BLK_F_WRITE_ZEROES);

static void a_disk_offers_what_it_can_do_and_no_more(void **state)
{
    struct vub *v = vub_start(DISK("one", "", MEMORY) "," DISK(
        "four", "'queues': 4, ", MEMORY) "," DISK("ro", "'read_only': true, ",
                                                  MEMORY));
    struct front *f;

    (void)state;
    f = front_connect(v, "one");
    assert_int_equal(front_get(f, WIRE_GET_FEATURES),
                     ring_features | disk_features);
    front_free(f);
    f = front_connect(v, "four");
    assert_int_equal(front_get(f, WIRE_GET_FEATURES),
                     ring_features | disk_features | BIT(VIRTIO_BLK_F_MQ));
    front_free(f);
    /* What writes is not offered where nothing may be written. */
    f = front_connect(v, "ro");
    assert_int_equal(front_get(f, WIRE_GET_FEATURES),
                     ring_features | BIT(VIRTIO_BLK_F_RO) |
                         (disk_features & ~(BIT(VIRTIO_BLK_F_DISCARD) |
                                            BIT(VIRTIO_BLK_F_WRITE_ZEROES))));
    front_free(f);
    vub_free(v);
}

static void protocol_features_are_those_of_the_first_step(void **state)
{
    struct vub *v = vub_start(DISK("d", "'queues': 3, ", MEMORY));
    struct front *f = front_connect(v, "d");

    (void)state;
    assert_int_equal(
        front_get(f, WIRE_GET_PROTOCOL_FEATURES),
        BIT(WIRE_PF_MQ) | BIT(WIRE_PF_LOG_SHMFD) | BIT(WIRE_PF_REPLY_ACK) |
            BIT(WIRE_PF_BACKEND_REQ) | BIT(WIRE_PF_CONFIG) |
            BIT(WIRE_PF_BACKEND_SEND_FD) | BIT(WIRE_PF_INFLIGHT_SHMFD) |
            BIT(WIRE_PF_RESET_DEVICE) | BIT(WIRE_PF_CONFIGURE_MEM_SLOTS));
    front_negotiate(f, &(struct front_conf){0});
    assert_int_equal(f->queues_offered, 3);
    assert_int_equal(front_get(f, WIRE_GET_MAX_MEM_SLOTS), 509);
    front_free(f);
    vub_free(v);
}

/* QEMU acks RING_RESET, and packed rings, for devices that did not offer
 * them. */
static void unoffered_features_are_logged_once_and_ignored(void **state)
{
    struct vub *v = vub_start(DISK("d", "", MEMORY));
    struct front *f = front_connect(v, "d");

    (void)state;
    front_negotiate(f, &(struct front_conf){0});
    f->acked |= BIT(VIRTIO_F_RING_RESET) | BIT(VIRTIO_F_IN_ORDER);
    front_ok_u64(f, WIRE_SET_FEATURES, f->acked);
    front_ok_u64(f, WIRE_SET_FEATURES, f->acked);
    assert_int_equal(vub_log_count(v, "not offered"), 1);
    assert_non_null(strstr(vub_log_wait(v, "not offered"), "0x10800000000"));
    front_share(f);
    front_start_rings(f);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_free(v);
}

static void unoffered_protocol_features_are_ignored(void **state)
{
    struct vub *v = vub_start(DISK("d", "", MEMORY));
    struct front *f = front_connect(v, "d");
    uint64_t status = 0;

    (void)state;
    front_negotiate(f, &(struct front_conf){0});
    front_ok_u64(f, WIRE_SET_PROTOCOL_FEATURES,
                 f->protocol | BIT(WIRE_PF_STATUS) | BIT(63));
    assert_int_equal(vub_log_count(v, "not offered"), 1);
    assert_int_not_equal(
        front_ack(f, WIRE_SET_STATUS, &status, sizeof(status), NULL, 0), 0);
    front_share(f);
    front_start_rings(f);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_free(v);
}

/* Spec, "Ring states": the ring then starts enabled. */
static void a_front_end_without_protocol_features_is_served(void **state)
{
    struct vub *v = vub_start(DISK("d", "", MEMORY));
    struct front *f;

    (void)state;
    f = front_new(v, "d",
                  &(struct front_conf){
                      .features_off = BIT(VHOST_USER_F_PROTOCOL_FEATURES)});
    assert_int_equal(f->protocol, 0);
    blk_verify(f->vq[0], 0, 4096, 1);
    vq_stop(f->vq[0]);
    front_free(f);
    vub_free(v);
}

static void each_protocol_feature_may_be_left_out(void **state)
{
    struct vub *v = vub_start(DISK("d", "'queues': 2, ", MEMORY));

    (void)state;
    for (int bit = 0; bit <= WIRE_PF_CONFIGURE_MEM_SLOTS; bit++) {
        struct front_conf c = {.queues = 2, .protocol_off = BIT(bit)};
        struct front *f = front_new(v, "d", &c);

        blk_verify(f->vq[1], 8, 4096, (uint64_t)bit);
        vq_stop(f->vq[1]);
        front_free(f);
    }
    vub_free(v);
}

/* Features and rings are one guest's: the next may choose others. */
static void every_session_negotiates_anew(void **state)
{
    struct vub *v = vub_start(DISK("d", "'queues': 2, ", MEMORY));

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ring_modes); i++) {
        struct front *f = front_new(v, "d", &ring_modes[i]);

        for (unsigned k = 0; k < 20; k++)
            blk_verify(f->vq[k % 2], k * 16, 512 * (k + 1), k);
        front_free(f);
    }
    vub_free(v);
}

/* scsi front-ends ask for the in-flight record before SET_FEATURES. */
static void the_inflight_record_may_be_asked_for_before_features(void **state)
{
    struct vub *v = vub_start(DISK("d", "", MEMORY));
    struct front *f = front_connect(v, "d");
    struct wire_inflight want = {.num_queues = 1, .queue_size = 128};
    struct front_msg m;

    (void)state;
    front_get(f, WIRE_GET_FEATURES);
    f->protocol = front_get(f, WIRE_GET_PROTOCOL_FEATURES);
    front_send(f, WIRE_SET_PROTOCOL_FEATURES, 0, &f->protocol, 8, NULL, 0);
    front_send(f, WIRE_GET_INFLIGHT_FD, 0, &want, WIRE_INFLIGHT_BYTES, NULL, 0);
    front_reply(f, WIRE_GET_INFLIGHT_FD, &m);
    assert_int_equal(m.num_fds, 1);
    assert_true(m.inflight.mmap_size >= 128 * 16);
    close(m.fds[0]);
    front_negotiate(f, &(struct front_conf){.packed = true});
    front_share(f);
    front_start_rings(f);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_free(v);
}

/* A ring waits for features, memory, size, addresses and a kick fd, in
 * whatever order they come. */
static void a_ring_starts_when_the_last_thing_it_needs_comes(void **state)
{
    struct vub *v = vub_start(DISK("d", "", MEMORY));
    struct front_conf c = {.rings_stopped = true};

    (void)state;
    for (int last = 0; last < 3; last++) {
        struct front *f = front_connect(v, "d");
        struct vq *q;

        front_negotiate(f, &c);
        front_region_add(f, 0, 64 << 20);
        q = vq_new(f, 0, 64, false, false, false);
        if (last != 0)
            front_share(f);
        if (last != 1) {
            vq_tell(q);
        } else {
            vq_tell_fd(q, WIRE_SET_VRING_KICK, q->kick_fd);
            vq_tell_addr(q, 0);
            vq_tell_fd(q, WIRE_SET_VRING_CALL, q->call_fd);
        }
        if (last != 2)
            vq_enable(q, true);
        if (last == 0)
            front_share(f);
        else if (last == 1)
            front_ok_state(f, WIRE_SET_VRING_NUM, 0, 64);
        else
            vq_enable(q, true);
        blk_verify(q, 0, 4096, (uint64_t)last);
        front_free(f);
    }
    vub_free(v);
}

BEHAVE_MAIN(T(a_disk_offers_what_it_can_do_and_no_more),
            T(protocol_features_are_those_of_the_first_step),
            T(unoffered_features_are_logged_once_and_ignored),
            T(unoffered_protocol_features_are_ignored),
            T(a_front_end_without_protocol_features_is_served),
            T(each_protocol_feature_may_be_left_out),
            T(every_session_negotiates_anew),
            T(the_inflight_record_may_be_asked_for_before_features),
            T(a_ring_starts_when_the_last_thing_it_needs_comes))
