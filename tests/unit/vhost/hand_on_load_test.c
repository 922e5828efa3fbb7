/* A front-end that is handed on while it works: each request is done once, and
 * what the device knew goes along. */
#include "behave/behave.h"
#include "house.h"

#define MOVES 12
#define DEPTH 8
#define PIECE 4096u

struct mover {
    struct stay s;
    const char *config;
    sem_t ripe; /* so much has been done since */
    bool over;  /* atomic */
    struct thread thread;
};

static void keep_moving(void *arg)
{
    struct mover *m = arg;

    for (unsigned i = 0; i < MOVES; i++) {
        for (unsigned k = 0; k < 3 * DEPTH; k++)
            sem_wait(&m->ripe);
        stay_move(&m->s, m->config);
    }
    __atomic_store_n(&m->over, true, __ATOMIC_RELEASE);
}

/* Writes to all places of a queue at once, then reads all back. */
static void work(struct front *f, struct mover *m, uint32_t type, uint64_t seed)
{
    struct blk_req *r[FRONT_QUEUES_MAX][DEPTH];
    uint8_t want[PIECE];

    for (unsigned i = 0; i < f->conf.queues; i++)
        for (unsigned k = 0; k < DEPTH; k++) {
            r[i][k] = blk_new(f, PIECE);
            if (type == VIRTIO_BLK_T_OUT)
                front_fill(r[i][k]->data, PIECE, seed + i * DEPTH + k);
            blk_go(f->vq[i], r[i][k], type, (i * DEPTH + k) * (PIECE / 512),
                   PIECE);
        }
    for (unsigned i = 0; i < f->conf.queues; i++)
        for (unsigned k = 0; k < DEPTH; k++) {
            assert_int_equal(blk_wait(f->vq[i], r[i][k]), VIRTIO_BLK_S_OK);
            front_fill(want, PIECE, seed + i * DEPTH + k);
            if (type == VIRTIO_BLK_T_IN)
                assert_memory_equal(r[i][k]->data, want, PIECE);
            blk_free(r[i][k]);
            sem_post(&m->ripe);
        }
}

static void load_goes_on(const char *config, const struct front_conf *conf,
                         bool log)
{
    struct mover m = {.config = config, .s.h = house_new()};
    struct stay *s = &m.s;
    struct err e;

    s->h->keeps = true;
    s->t = tenant_move_in(s->h, config, NULL);
    stay_visit(s, conf);
    if (log)
        front_log_start(s->f);
    sem_init(&m.ripe, 0, 0);
    assert_int_equal(thread_start(&m.thread, "mover", keep_moving, &m, &e), 0);
    for (uint64_t seed = 1; !__atomic_load_n(&m.over, __ATOMIC_ACQUIRE);
         seed += 1000) {
        if (log)
            front_log_clear(s->f);
        work(s->f, &m, VIRTIO_BLK_T_OUT, seed);
        work(s->f, &m, VIRTIO_BLK_T_IN, seed);
        if (log)
            assert_true(front_log_count(s->f) >= 2 * DEPTH);
    }
    thread_join(&m.thread);
    assert_int_equal(s->t->connected, 0);
    assert_int_equal(s->t->disconnected, 0);
    assert_true(s->t->start.resumed);
    assert_true(s->t->start.recovered); /* by another device */
    for (unsigned i = 0; i < s->f->conf.queues; i++)
        vq_stop(s->f->vq[i]);
    sem_destroy(&m.ripe);
    stay_end(s);
}

static void requests_go_on_in_each_ring_format(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ring_modes); i++) {
        front_note("mode %u", i);
        load_goes_on(FILE_DISK, &ring_modes[i], false);
    }
}

static void requests_go_on_with_an_in_flight_record(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ring_modes); i++) {
        struct front_conf conf = ring_modes[i];

        front_note("mode %u", i);
        conf.inflight = true;
        load_goes_on(FILE_DISK, &conf, false);
    }
}

static void what_is_written_is_logged_all_the_time(void **state)
{
    (void)state;
    load_goes_on(FILE_DISK,
                 &(struct front_conf){.queues = 2, .event_idx = true}, true);
    load_goes_on(FILE_DISK, &(struct front_conf){.queues = 2, .packed = true},
                 true);
}

static void a_disk_in_memory_goes_on_too(void **state)
{
    (void)state;
    load_goes_on("'type': 'block', 'queues': 2, "
                 "'store': {'type': 'memory', 'size': '4M'}",
                 &(struct front_conf){.queues = 2, .inflight = true}, false);
}

static void the_write_cache_goes_on_as_it_was(void **state)
{
    const uint32_t at = offsetof(struct virtio_blk_config, writeback);
    struct stay s = {.h = house_new()};
    uint8_t is;

    (void)state;
    s.h->keeps = true;
    s.t = tenant_move_in(s.h, FILE_DISK, NULL);
    stay_visit(&s, &(struct front_conf){.queues = 2, .inflight = true});
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t on = i % 2;

        assert_int_equal(front_set_config(s.f, at, &on, 1), 0);
        stay_move(&s, FILE_DISK);
        front_config(s.f, at, &is, 1);
        assert_int_equal(is, on);
    }
    /* One that finds nothing is careful. */
    s.h->keeps = false;
    stay_move(&s, FILE_DISK);
    front_config(s.f, at, &is, 1);
    assert_int_equal(is, 0);
    blk_verify(s.f->vq[0], 0, 4096, 1);
    stay_end(&s);
}

BEHAVE_MAIN(T(requests_go_on_in_each_ring_format),
            T(requests_go_on_with_an_in_flight_record),
            T(what_is_written_is_logged_all_the_time),
            T(a_disk_in_memory_goes_on_too),
            T(the_write_cache_goes_on_as_it_was))
