/* A SCSI controller's back-end that is killed, stopped or reset with commands
 * under way: what may be executed twice is, in its order, before anything new;
 * what may not ends with a unit attention; no stop takes for ever. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "luns.h"

#define MiB (1u << 20)
#define MODE_CHANGED 0x012a /* the qualifier, then the code */
#define IMAGE "{'type': 'file', 'path': 'img'}"
#define NOTHING "{'type': 'null', 'size': '8M'}"

/* Unit 0:0, whose upper half never answers, or does, after its healing; 0:1,
 * which is well; and another controller. */
static void configure(struct vub *v, const char *store, bool is_sick)
{
    vub_config(
        v,
        SAN("'drain_timeout': 400, ",
            "{'store': %s%s%s}, {'lun': 1, "
            "'store': " NOTHING
            "}") ", {'id': 'other', 'type': 'scsi', 'luns': [" LUN(0, 0,
                                                                   SMALL) "]}",
        is_sick ? "{'type': 'fault', 'rules': [{'op': 'any', 'offset': "
                  "'4M', 'stuck': true}], 'next': "
                : "",
        store, is_sick ? "}" : "");
}

static struct vub *new_with_image(void)
{
    struct vub *v = vub_new();
    int fd = open(vub_path(v, "img"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    assert_int_equal(ftruncate(fd, 8 * MiB), 0);
    close(fd);
    return v;
}

static struct scsi *session(struct vub *v, const struct front_conf *mode)
{
    struct front_conf c = *mode;

    c.inflight = true;
    c.size = 64;
    return scsi_open(v, "san", &c, 4);
}

/* What QEMU knows after a crash. */
static void resume(struct scsi *s)
{
    for (unsigned i = 0; i < s->f->conf.queues; i++) {
        struct vq *q = s->f->vq[i];

        q->base = q->packed ? 1u << 15 | 1u << 31 : le16_load(&q->used->idx);
    }
    front_resume(s->f);
}

/* The next back-end, which is not sick. */
static void heal(struct vub *v, const char *store, struct scsi *s)
{
    configure(v, store, false);
    vub_run(v);
    resume(s);
}

/* QEMU takes a new record when a guest begins anew. */
static void forget_record(struct front *f)
{
    munmap(f->inflight_mem, f->inflight.mmap_size);
    close(f->inflight_fd);
    f->inflight_mem = NULL;
    f->inflight_fd = -1;
}

static unsigned recorded_in_flight(struct scsi *s, unsigned queue)
{
    unsigned n = 0, i = VIRTIO_SCSI_REQUESTQ + queue;

    for (unsigned k = 0; k < s->f->inflight.queue_size; k++)
        n += s->f->conf.packed
                 ? front_inflight_packed(s->f, i)->desc[k].inflight
                 : front_inflight_split(s->f, i)->desc[k].inflight;
    return n;
}

static void all_ring_modes(void (*one)(const struct front_conf *c))
{
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        front_note("%s", mode_name(&ring_modes[mode]));
        one(&ring_modes[mode]);
    }
}

static const struct scsi_lun sick = {{1, 0, 0x40, 0}};
static const struct scsi_lun well = {{1, 0, 0x40, 1}};

static struct scsi *begin(struct vub *v, const char *store,
                          const struct front_conf *mode)
{
    struct scsi *s;

    configure(v, store, true);
    vub_run(v);
    s = session(v, mode);
    scsi_attend(s->queue[0], sick);
    scsi_attend(s->queue[0], well);
    return s;
}

/* A command to the stuck half; what comes behind it has ended, so it is under
 * way. */
static struct scsi_req *stick(struct vq *q, const uint8_t *cdb, unsigned len,
                              uint32_t out, uint32_t in)
{
    struct scsi_req *r = scsi_new(scsi_of(q), sick, 4096);

    front_fill(r->data, 4096, r->tag);
    scsi_go(q, r, cdb, len, out, in);
    scsi_need_good(scsi_do(q, well, TEST_UNIT_READY));
    assert_false(r->done);
    return r;
}

/* ---- Killed ---- */

static void survive(const struct front_conf *c)
{
    struct vub *v = new_with_image();
    uint8_t want[4096], got[4096];
    struct scsi_req *r[8], *look, *later;
    struct scsi *s;

    s = begin(v, IMAGE, c);
    for (unsigned i = 0; i < 8; i++)
        r[i] = stick(s->queue[i % 2],
                     CDB_16(SCSI_WRITE_16, STUCK_BLOCK + i * 8, 8), 4096, 0);
    look =
        stick(s->queue[0], CDB_16(SCSI_READ_16, STUCK_BLOCK + 80, 8), 0, 4096);
    assert_int_equal(recorded_in_flight(s, 0), 5);
    assert_int_equal(recorded_in_flight(s, 1), 4);
    vub_kill(v);
    later = scsi_new(s, sick, 4096); /* nobody is there */
    assert_true(scsi_add(s->queue[1], later, TEST_UNIT_READY, 0, 0));
    vq_show(s->queue[1]);
    heal(v, IMAGE, s);
    for (unsigned i = 0; i < 8; i++)
        scsi_need_good(*scsi_wait(s->queue[i % 2], r[i]));
    scsi_need_good(*scsi_wait(s->queue[0], look));
    /* A new command is the first to be told that something has happened. */
    scsi_need_sense(*scsi_wait(s->queue[1], later), SCSI_UNIT_ATTENTION,
                    SCSI_ASC_NEXUS_LOSS);
    /* The write cache is off. */
    scsi_event_need(s, VIRTIO_SCSI_T_PARAM_CHANGE, MODE_CHANGED,
                    scsi_at_peripheral(0, 0));
    scsi_need_sense(scsi_do(s->queue[0], sick, TEST_UNIT_READY),
                    SCSI_UNIT_ATTENTION, SCSI_ASC_MODE_CHANGED);
    scsi_need_good(scsi_do(s->queue[0], sick, TEST_UNIT_READY));
    for (unsigned i = 0; i < 8; i++) {
        front_fill(want, 4096, r[i]->tag);
        scsi_read(s->queue[i % 2], sick, STUCK_BLOCK + i * 8, got, 4096);
        assert_memory_equal(got, want, 4096);
    }
    assert_int_equal(recorded_in_flight(s, 0), 0);
    assert_int_equal(recorded_in_flight(s, 1), 0);
    assert_int_equal(s->queue[0]->num_free, 64);
    scsi_close(s);
    vub_free(v);
}

static void commands_in_flight_survive_a_kill(void **state)
{
    (void)state;
    all_ring_modes(survive);
}

/* The store is one that answers at once, so the order of answers is that in
 * which commands were done again. */
static void keep_order(const struct front_conf *c)
{
    enum { OLD = 9, NEW = 3 };
    struct vub *v = new_with_image();
    struct scsi_req *r[OLD + NEW];
    struct scsi *s;

    s = begin(v, NOTHING, c);
    for (unsigned i = 0; i < OLD; i++) {
        r[i] = stick(s->queue[0], CDB_16(SCSI_READ_16, STUCK_BLOCK + i, 1), 0,
                     512);
        if (i % 3 == 0) /* mixes up the free list */
            scsi_need_good(scsi_do(s->queue[0], well, TEST_UNIT_READY));
    }
    assert_int_equal(recorded_in_flight(s, 0), OLD);
    vub_kill(v);
    for (unsigned i = OLD; i < OLD + NEW; i++) {
        r[i] = scsi_new(s, sick, 512);
        assert_true(
            scsi_add(s->queue[0], r[i], CDB_16(SCSI_READ_16, i, 1), 0, 512));
    }
    vq_show(s->queue[0]);
    heal(v, NOTHING, s);
    for (unsigned i = 0; i < OLD + NEW; i++)
        scsi_wait(s->queue[0], r[i]);
    for (unsigned i = 0; i < OLD; i++)
        scsi_need_good(r[i]->answer);
    for (unsigned i = 1; i < OLD + NEW; i++)
        assert_int_equal(r[i]->order, r[i - 1]->order + 1);
    scsi_close(s);
    vub_free(v);
}

static void they_are_done_again_in_their_order(void **state)
{
    (void)state;
    all_ring_modes(keep_order);
}

/* Whether it was executed nobody knows; twice it must not be. */
static void do_not_compare_again(const struct front_conf *c)
{
    struct vub *v = new_with_image();
    uint8_t zeros[512] = {0}, got[512];
    struct scsi_req *twice, *write;
    struct scsi *s;

    s = begin(v, IMAGE, c);
    twice = scsi_new(s, sick, 1024);
    memset(twice->data, 0, 512); /* what is there */
    memset(twice->data + 512, 0xee, 512);
    scsi_go(s->queue[0], twice,
            CDB(SCSI_COMPARE_AND_WRITE, 0, BE64(STUCK_BLOCK), 0, 0, 0, 1, 0, 0),
            1024, 0);
    write =
        stick(s->queue[0], CDB_16(SCSI_WRITE_16, STUCK_BLOCK + 8, 8), 4096, 0);
    assert_int_equal(recorded_in_flight(s, 0), 2);
    vub_kill(v);
    heal(v, IMAGE, s);
    scsi_need_sense(*scsi_wait(s->queue[0], twice), SCSI_ABORTED_COMMAND,
                    SCSI_ASC_NEXUS_LOSS);
    scsi_need_good(*scsi_wait(s->queue[0], write));
    scsi_attend(s->queue[0], sick);
    scsi_read(s->queue[0], sick, STUCK_BLOCK, got, 512);
    assert_memory_equal(got, zeros, 512);
    assert_int_equal(recorded_in_flight(s, 0), 0);
    scsi_close(s);
    vub_free(v);
}

static void what_depends_on_what_was_there_is_not_repeated(void **state)
{
    (void)state;
    all_ring_modes(do_not_compare_again);
}

/* Commands that no unit of ours lets wait, put into the record as if one had:
 * as a split ring has it, a flag and a number. */
static void commands_that_are_not_known_are_not_repeated(void **state)
{
    static const struct {
        uint8_t cdb[16];
        bool again;
    } cases[] = {
        {{SCSI_PR_OUT, 0}, false},
        {{SCSI_RESERVE_6}, false},
        {{SCSI_RELEASE_10}, false},
        {{SCSI_MODE_SELECT_6, 0x10}, false},
        {{SCSI_START_STOP_UNIT}, false},
        {{0xc1, 1}, false},
        {{0x01}, false},
        {{SCSI_TEST_UNIT_READY}, true},
        {{SCSI_SYNC_CACHE_10}, true},
        {{SCSI_SYNC_CACHE_16}, true},
        {{SCSI_READ_10, 0}, true},
        {{SCSI_REPORT_LUNS, 0}, true},
    };
    struct vub *v = new_with_image();

    (void)state;
    configure(v, IMAGE, false);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_inflight_split *record;
        struct scsi_req *r;
        struct scsi *s;

        front_note("opcode %#x", cases[i].cdb[0]);
        vub_run(v);
        s = session(v, &ring_modes[0]);
        scsi_attend(s->queue[0], sick);
        vub_kill(v);
        r = scsi_new(s, sick, 96);
        assert_true(scsi_add(s->queue[0], r, cases[i].cdb, 16, 0, 0));
        vq_show(s->queue[0]);
        record = front_inflight_split(s->f, VIRTIO_SCSI_REQUESTQ);
        record->desc[r->id].inflight = 1;
        record->desc[r->id].counter = 1000;
        vub_run(v);
        resume(s);
        scsi_wait(s->queue[0], r);
        if (!cases[i].again)
            assert_int_equal(r->answer.status, SCSI_CHECK_CONDITION);
        if (!cases[i].again)
            assert_true(r->answer.key == SCSI_UNIT_ATTENTION ||
                        r->answer.key == SCSI_ABORTED_COMMAND ||
                        r->answer.key == SCSI_ILLEGAL_REQUEST);
        else if (cases[i].cdb[0] != SCSI_REPORT_LUNS)
            scsi_need_good(r->answer);
        else /* without room for the list */
            assert_int_equal(r->answer.key, SCSI_ILLEGAL_REQUEST);
        scsi_close(s);
        vub_stop(v);
    }
    vub_free(v);
}

static void refuse_volatile(const struct front_conf *c)
{
    struct vub *v = new_with_image();
    struct scsi *s, *other;
    struct scsi_req *r;

    s = begin(v, SMALL, c);
    r = stick(s->queue[0], CDB_16(SCSI_WRITE_16, STUCK_BLOCK, 8), 4096, 0);
    vub_kill(v);
    heal(v, SMALL, s);
    vub_log_wait(v, "has forgotten what was written");
    scsi_need_sense(*scsi_wait(s->queue[0], r), SCSI_HARDWARE_ERROR,
                    SCSI_ASC_INTERNAL_FAILURE);
    scsi_need_sense(scsi_do(s->queue[0], sick, TEST_UNIT_READY),
                    SCSI_HARDWARE_ERROR, SCSI_ASC_INTERNAL_FAILURE);
    other = scsi_open(v, "other", NULL, 1);
    scsi_attend(other->queue[0], sick);
    scsi_verify(other->queue[0], sick, 0, 4096, 1);
    scsi_close(other);
    scsi_close(s);
    vub_free(v);
}

static void a_volatile_store_refuses_to_recover(void **state)
{
    (void)state;
    all_ring_modes(refuse_volatile);
}

/* ---- Stopped ---- */

/* GET_VRING_BASE has its answer within drain_timeout, and so does the guest. */
static void stop(const struct front_conf *c)
{
    struct vub *v = new_with_image();
    struct scsi_req *a, *b, *elsewhere;
    struct scsi *s;

    s = begin(v, IMAGE, c);
    a = stick(s->queue[0], CDB_16(SCSI_WRITE_16, STUCK_BLOCK, 8), 4096, 0);
    b = stick(s->queue[0], CDB_16(SCSI_READ_16, STUCK_BLOCK + 8, 8), 0, 4096);
    elsewhere =
        stick(s->queue[1], CDB_16(SCSI_READ_16, STUCK_BLOCK + 16, 8), 0, 4096);
    vq_stop(s->queue[0]);
    assert_true(scsi_is_done(s->queue[0], a));
    assert_true(scsi_is_done(s->queue[0], b));
    scsi_need_response(a->answer, VIRTIO_SCSI_S_ABORTED);
    scsi_need_response(b->answer, VIRTIO_SCSI_S_ABORTED);
    /* Only that ring's. */
    assert_false(scsi_is_done(s->queue[1], elsewhere));
    scsi_verify(s->queue[1], sick, 0, 4096, 1);
    vq_start(s->queue[0]);
    scsi_verify(s->queue[0], sick, 0, 4096, 2);
    assert_int_equal(vq_stop(s->events), vq_stop(s->events));
    vq_stop(s->control);
    vq_stop(s->queue[1]);
    scsi_need_response(*scsi_wait(s->queue[1], elsewhere),
                       VIRTIO_SCSI_S_ABORTED);
    assert_true(front_lives(s->f));
    scsi_close(s);
    vub_free(v);
}

static void a_ring_with_stuck_commands_stops_in_time(void **state)
{
    (void)state;
    all_ring_modes(stop);
}

/* The guest's reset: what was stuck is over, sizes and attentions are as they
 * were in the beginning. */
static void reset(const struct front_conf *c)
{
    struct vub *v = new_with_image();
    struct virtio_scsi_config config;
    struct scsi *s;
    le32 size = htole32(18);

    s = begin(v, IMAGE, c);
    assert_int_equal(
        front_set_config(s->f, offsetof(struct virtio_scsi_config, sense_size),
                         &size, 4),
        0);
    s->sense_size = 18;
    stick(s->queue[0], CDB_16(SCSI_READ_16, STUCK_BLOCK, 8), 0, 4096);
    stick(s->queue[1], CDB_16(SCSI_WRITE_16, STUCK_BLOCK, 8), 4096, 0);
    front_ok(s->f, WIRE_RESET_DEVICE, NULL, 0, NULL, 0);
    scsi_config(s, &config);
    s->sense_size = le32_load(&config.sense_size);
    assert_int_equal(s->sense_size, 96);
    for (unsigned i = 0; i < s->f->conf.queues; i++)
        vq_reset(s->f->vq[i]);
    forget_record(s->f);
    front_start_rings(s->f);
    scsi_need_sense(scsi_do(s->queue[0], sick, TEST_UNIT_READY),
                    SCSI_UNIT_ATTENTION, SCSI_ASC_POWER_ON);
    scsi_attend(s->queue[0], sick);
    scsi_verify(s->queue[0], sick, 0, 4096, 1);
    scsi_close(s);
    vub_free(v);
}

static void a_reset_begins_anew(void **state)
{
    (void)state;
    all_ring_modes(reset);
}

/* The front-end went away and the back-end did not: its commands are over
 * before the next one's begin. */
static void hand_on(const struct front_conf *c)
{
    struct vub *v = new_with_image();
    struct scsi_req *r[4];
    struct scsi *s;

    s = begin(v, IMAGE, c);
    for (unsigned i = 0; i < 4; i++)
        r[i] = stick(s->queue[i % 2],
                     CDB_16(SCSI_READ_16, STUCK_BLOCK + i * 8, 8), 0, 4096);
    resume(s);
    front_settle(s->f);
    for (unsigned i = 0; i < 4; i++)
        scsi_need_response(*scsi_wait(s->queue[i % 2], r[i]),
                           VIRTIO_SCSI_S_ABORTED);
    scsi_attend(s->queue[0], sick);
    scsi_verify(s->queue[0], sick, 0, 4096, 1);
    assert_int_equal(recorded_in_flight(s, 0), 0);
    scsi_close(s);
    vub_free(v);
}

static void the_next_session_starts_after_the_last_command(void **state)
{
    (void)state;
    all_ring_modes(hand_on);
}

static void a_clean_stop_leaves_nothing_in_flight(void **state)
{
    struct vub *v = new_with_image();
    struct scsi_req *r;
    struct scsi *s;

    (void)state;
    s = begin(v, IMAGE, &ring_modes[5]);
    r = stick(s->queue[0], CDB_16(SCSI_WRITE_16, STUCK_BLOCK, 8), 4096, 0);
    vub_stop(v);
    scsi_need_response(*scsi_wait(s->queue[0], r), VIRTIO_SCSI_S_ABORTED);
    assert_int_equal(recorded_in_flight(s, 0), 0);
    scsi_close(s);
    vub_free(v);
}

BEHAVE_MAIN(T(commands_in_flight_survive_a_kill),
            T(they_are_done_again_in_their_order),
            T(what_depends_on_what_was_there_is_not_repeated),
            T(commands_that_are_not_known_are_not_repeated),
            T(a_volatile_store_refuses_to_recover),
            T(a_ring_with_stuck_commands_stops_in_time), T(a_reset_begins_anew),
            T(the_next_session_starts_after_the_last_command),
            T(a_clean_stop_leaves_nothing_in_flight))
