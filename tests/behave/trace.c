/* Traces of disks: what is in the file of what a guest has asked, whatever
 * became of vub meanwhile. The file is read as docs/trace.md has it. */
#include "isolated.h"

#define TRACED "{'type': 'trace', 'path': 't', 'next': " MEMORY "}"
#define HEAD 256u
#define RECORD 40u
#define GOES_ON 10u

struct counts {
    unsigned records, marks, workers[2], reads;
};

/* It is whole records, each of which has ended after it began. */
static struct counts read_trace(struct vub *v)
{
    FILE *f = fopen(vub_path(v, "t"), "r");
    struct counts c = {0};
    uint8_t head[HEAD], r[RECORD];
    size_t n;

    assert_non_null(f);
    assert_int_equal(fread(head, 1, HEAD, f), HEAD);
    assert_memory_equal(head, "vubtrace", 8);
    assert_memory_equal(head + 64, "d", 2);
    while ((n = fread(r, 1, RECORD, f)) == RECORD) {
        uint64_t submit, done;

        memcpy(&submit, r, 8);
        memcpy(&done, r + 8, 8);
        assert_true(submit <= done);
        if ((r[39] & 15) >= 8) {
            assert_int_equal(r[39], GOES_ON);
            c.marks++;
            continue;
        }
        assert_true(r[38] < 2);
        c.workers[r[38]]++;
        c.reads += (r[39] & 15) == 0;
        c.records++;
    }
    assert_int_equal(n, 0);
    fclose(f);
    return c;
}

static void write_and_read(struct vq *q, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        blk_verify(q, 8 * i, 4096, i);
}

static void requests_of_all_workers_are_in_the_trace(void **state)
{
    struct vub *v =
        vub_start(DISK("d", "'queues': 2, 'worker': ['a', 'b'], ", TRACED));
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    struct counts c;

    (void)state;
    write_and_read(f->vq[0], 40);
    write_and_read(f->vq[1], 60);
    blk_flush(f->vq[0]);
    front_free(f);
    vub_stop(v);
    c = read_trace(v);
    assert_int_equal(c.records, 201);
    assert_int_equal(c.reads, 100);
    assert_int_equal(c.marks, 0);
    assert_int_equal(MIN(c.workers[0], c.workers[1]), 81);
    vub_free(v);
}

/* Until so many are in the file. */
static void need_records(struct ctl *c, const char *text)
{
    int64_t end = front_now_ms() + front_timeout_ms();

    do {
        ctl_call(c, "status", "{'device': 'd'}");
        if (front_now_ms() > end)
            front_fail("there is never %s", text);
    } while (!strstr(ctl_answer(c), text));
}

static void what_was_written_is_there_when_vub_is_killed(void **state)
{
    struct drive d = drive_open(DISK("d", "", TRACED), NULL);

    (void)state;
    write_and_read(d.f->vq[0], 50);
    need_records(&d.c, "\"records\":100,");
    vub_kill(d.v);
    assert_int_equal(read_trace(d.v).records, 100);

    vub_run(d.v); /* and begins another */
    drive_again(&d);
    write_and_read(d.f->vq[0], 3);
    vub_stop(d.v);
    assert_int_equal(read_trace(d.v).records, 6);
    drive_close(&d);
}

static void a_vub_that_takes_over_goes_on_in_the_trace(void **state)
{
    struct vub *v = ctl_start(DISK("d", "", TRACED)), *next = vub_beside(v);
    struct front *f = front_new(v, "d", NULL);
    struct counts c;

    (void)state;
    write_and_read(f->vq[0], 20);
    vub_arg(next, "--take-over");
    vub_run(next);
    assert_int_equal(vub_wait(v), 0);
    write_and_read(f->vq[0], 30);
    front_free(f);
    vub_stop(next);
    c = read_trace(v);
    assert_int_equal(c.marks, 1);
    assert_int_equal(c.records, 100);
    vub_free(next);
    vub_free(v);
}

static void the_next_process_of_an_isolated_device_goes_on(void **state)
{
    struct drive d = drive_open(DISK("d", APART, TRACED), NULL);
    struct counts counts;

    (void)state;
    write_and_read(d.f->vq[0], 20);
    need_records(&d.c, "\"records\":40,");
    kill_process(&d.c, "d");
    write_and_read(d.f->vq[0], 30);
    vub_stop(d.v);
    counts = read_trace(d.v);
    assert_int_equal(counts.marks, 1);
    assert_int_equal(counts.records, 100);
    drive_close(&d);
}

static void who_listens_is_told_that_a_trace_is_full(void **state)
{
    struct drive d = drive_open(
        DISK("d", "",
             "{'type': 'trace', 'path': 't', 'max_size': '1M', "
             "'next': {'type': 'fault', 'rules': [], 'next': " MEMORY "}}"),
        NULL);
    struct ctl events;

    (void)state;
    ctl_open(&events, d.v);
    ctl_listen(&events);
    write_and_read(d.f->vq[0], 14000);
    do
        blk_flush(d.f->vq[0]);
    while (!ctl_has_answer(&events));
    ctl_need(&events, "\"event\":\"trace.full\",\"device\":\"d\",\"path\":");
    ctl_call(&d.c, "status", "{'device': 'd'}");
    ctl_need(&d.c, "\"state\":\"full\",\"records\":26206,");
    ctl_close(&events);
    drive_close(&d);
}

BEHAVE_MAIN(T(requests_of_all_workers_are_in_the_trace),
            T(what_was_written_is_there_when_vub_is_killed),
            T(a_vub_that_takes_over_goes_on_in_the_trace),
            T(the_next_process_of_an_isolated_device_goes_on),
            T(who_listens_is_told_that_a_trace_is_full))
