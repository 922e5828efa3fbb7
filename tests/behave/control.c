/* The control socket beside guests that work: what status knows of a session,
 * events in their order, a resize that the guest sees; and that neither a stuck
 * worker nor a client that does not read stops anybody else. The protocol
 * itself is tests/control's. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "behave.h"
#include "control.h"

/* ---- sessions and events ---- */

static void status_tells_of_a_session(void **state)
{
    struct vub *v =
        with_control(DISK("d", "'queues': 2, 'worker': ['a', 'b'], ", MEMORY));
    struct front_conf conf = {.queues = 2, .packed = true};
    struct ctl *c = ctl_new(v);
    struct front *f;
    const char *line;
    char text[80];

    (void)state;
    need(ctl_ask(c, "status", ""), "'state':'none','rings':[{'index':0,"
                                   "'in_flight':0,");
    f = front_connect(v, "d");
    front_settle(f);
    need(ctl_ask(c, "status", ""), "'state':'connected'");
    front_free(f);

    f = front_new(v, "d", &conf);
    for (uint64_t i = 0; i < 5; i++)
        blk_verify(f->vq[1], i * 8, 4096, i); /* a write and a read each */
    line = ctl_ask(c, "status", "'device':'d'");
    snprintf(text, sizeof(text), "'front_end':{'pid':%d,'uid':%u}", getpid(),
             getuid());
    need(line, "'state':'running'");
    need(line, text);
    need(line, "'workers':['a','b']");
    need(line, "'BLK_FLUSH'");
    need(line, "'RING_PACKED'");
    need(line, "'REPLY_ACK'");
    need(line, "{'index':1,'size':128,'started':true,'enabled':true,"
               "'packed':true,'in_flight':0,");
    need(line, "'chains':10}");
    need(line, "'writes':5,");
    need(line, "'bytes_read':20480,'bytes_written':20480,'errors':0}");
    front_free(f);
    ctl_free(c);
    vub_free(v);
}

static void what_is_in_flight_is_counted(void **state)
{
    struct vub *v = with_control(
        DISK("d", "'drain_timeout': 300, ",
             "{'type': 'fault', 'next': " MEMORY
             ", 'rules': [{'op': 'any', 'offset': '1M', 'stuck': true}]}"));
    struct front *f = front_new(v, "d", NULL);
    struct ctl *c = ctl_new(v);
    struct blk_req *r[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        r[i] = blk_new(f, 512);
        blk_go(f->vq[0], r[i], VIRTIO_BLK_T_IN, 2048 + i, 512);
    }
    blk_verify(f->vq[0], 0, 512, 1); /* by then they have been taken */
    need(ctl_ask(c, "status", ""), "'in_flight':3,");
    front_free(f);
    ctl_free(c);
    vub_free(v);
}

static void stats_know_how_long_requests_took(void **state)
{
    struct vub *v = with_control(DISK("d", "", MEMORY));
    struct front *f = front_new(v, "d", NULL);
    struct ctl *c = ctl_new(v);
    uint8_t buf[4096];

    (void)state;
    need(ctl_ask(c, "stats", ""), "'latency':{'count':0,'sum_ns':0,");
    for (int i = 0; i < 5; i++)
        blk_read(f->vq[0], 0, buf, sizeof(buf));
    front_settle(f); /* an answer is shown before it counts */
    need(ctl_ask(c, "stats", "'device':'d'"), "'state':'running',");
    need(ctl_ask(c, "stats", "'device':'d'"),
         "'chains':5,'latency':{'count':5,");
    need(ctl_ask(c, "metrics", ""), "vub_ring_latency_seconds_count{device=\\'"
                                    "d\\',queue=\\'0\\'} 5\\u000a");
    need(ctl_ask(c, "metrics", ""),
         "vub_block_bytes_total{device=\\'d\\',queue=\\'0\\',"
         "operation=\\'read\\'} 20480\\u000a");
    front_free(f);
    ctl_free(c);
    vub_free(v);
}

static void events_come_in_their_order(void **state)
{
    struct vub *v =
        with_control(DISK("d", "", MEMORY) "," DISK("e", "", MEMORY));
    struct ctl *c = ctl_new(v);
    struct front *f;
    struct blk_req *r;
    const char *line;

    (void)state;
    need(ctl_ask(c, "events", ""), "'result':{}");
    f = front_new(v, "d", NULL);
    need(ctl_answer(c), "'params':{'event':'connect','device':'d','pid':");
    r = blk_new(f, 512);
    r->data_gpa = UINT64_MAX;
    blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 0, 512);
    need(ctl_answer(c),
         "'params':{'event':'ring.broken','device':'d','ring':0,'why':");
    need(ctl_ask(c, "block.resize", "'device':'e','size':'128M'"),
         "'params':{'event':'config','device':'e'}");
    need(ctl_answer(c), "'result':{'size':134217728,'was':67108864}");
    front_free(f);
    line = ctl_answer(c);
    need(line, "'params':{'event':'disconnect','device':'d','pid':");
    need(line, "'why':'it hung up'");
    /* And of one that is to blame. */
    f = front_new(v, "d", NULL);
    need(ctl_answer(c), "'params':{'event':'connect','device':'d','pid':");
    assert_int_equal(send(f->sock, "what is that", 12, 0), 12);
    need(ctl_answer(c), "'params':{'event':'disconnect','device':'d','pid':");
    front_need_hangup(f);
    front_free(f);
    ctl_free(c);
    vub_free(v);
}

static void a_resize_reaches_the_guest(void **state)
{
    struct vub *v = with_control(DISK("d", "", MEMORY));
    struct front_conf conf = {.backend_channel = true};
    struct front *f = front_new(v, "d", &conf);
    struct ctl *c = ctl_new(v);
    uint8_t zeros[4096] = {0}, buf[4096];

    (void)state;
    blk_verify(f->vq[0], 131072 - 8, 4096, 1);
    need(ctl_ask(c, "block.resize", "'device':'d','size':'128M'"),
         "'result':{'size':134217728,'was':67108864}");
    front_need_config_change(f);
    assert_int_equal(blk_capacity(f), 262144);
    blk_verify(f->vq[0], 262144 - 8, 4096, 2);

    /* What it loses is not there any more when it grows again. */
    need(ctl_ask(c, "block.resize", "'device':'d','size':'64M'"),
         "'result':{'size':67108864");
    front_need_config_change(f);
    assert_int_equal(
        blk_do(f->vq[0], VIRTIO_BLK_T_IN, 262144 - 8, buf, sizeof(buf)),
        VIRTIO_BLK_S_IOERR);
    need(ctl_ask(c, "block.resize", "'device':'d','size':'192M'"),
         "'result':{'size':201326592");
    front_need_config_change(f);
    blk_read(f->vq[0], 262144 - 8, buf, sizeof(buf));
    assert_memory_equal(buf, zeros, sizeof(buf));
    need(ctl_ask(c, "block.resize", "'device':'d','size':'192M'"),
         "'result':{'size':201326592,'was':201326592}");
    assert_false(front_wait_fd(f->backend_fd, POLLIN, 0));
    front_free(f);
    ctl_free(c);
    vub_free(v);
}

/* A terabyte below 2^62 bytes, and those. */
#define NEARLY "4194303T"
#define MOST "4194304T"

static void sizes_have_an_end(void **state)
{
    struct vub *v = with_control(DISK("d", "", MEMORY) "," DISK(
        "n", "", "{'type': 'null', 'size': '1M'}"));
    struct front *f = front_new(v, "n", NULL);
    struct ctl *c = ctl_new(v);
    uint8_t buf[512];

    (void)state;
    need(ctl_ask(c, "block.resize", "'device':'n','size':'" NEARLY "'"),
         "'result':{'size':4611684918915760128,");
    need(ctl_ask(c, "block.resize", "'device':'n','size':'" MOST "'"),
         "'result':{'size':4611686018427387904,");
    assert_int_equal(blk_capacity(f), UINT64_C(1) << 53);
    assert_int_equal(blk_do(f->vq[0], VIRTIO_BLK_T_IN, (UINT64_C(1) << 53) - 1,
                            buf, sizeof(buf)),
                     VIRTIO_BLK_S_OK);
    assert_int_equal(
        blk_do(f->vq[0], VIRTIO_BLK_T_IN, UINT64_C(1) << 53, buf, sizeof(buf)),
        VIRTIO_BLK_S_IOERR);
    need(ctl_ask(c, "block.resize", "'device':'n','size':'4194305T'"),
         "must be a size from 512 to " MOST);
    need(ctl_ask(c, "block.resize",
                 "'device':'n','size':'18446744073709551615'"),
         "must be a size from 512 to " MOST);
    need(ctl_ask(c, "block.resize", "'device':'d','size':'" MOST "'"),
         "can grow to 1073741824 bytes");
    need(ctl_ask(c, "block.resize", "'device':'d','size':'1G'"),
         "'result':{'size':1073741824,");
    front_free(f);
    ctl_free(c);
    vub_free(v);
}

/* ---- those who do not answer, and those who do not read ---- */

static struct vub *with_two(pid_t *held)
{
    struct vub *v;

    setenv("VUB_DUMPABLE", "1", 1);
    v = with_control(DISK("d", "", MEMORY) "," DISK("e", "", MEMORY));
    unsetenv("VUB_DUMPABLE");
    *held = hold_thread(v, "d");
    if (*held < 0) {
        print_message("skipped: threads of the program may not be held\n");
        vub_free(v);
        skip();
    }
    return v;
}

static void a_stuck_worker_does_not_stop_status(void **state)
{
    pid_t held;
    struct vub *v = with_two(&held);
    struct ctl *c = ctl_new(v), *other = ctl_new(v);
    struct front *f = front_new(v, "e", NULL);
    const char *line;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        ctl_send(c, "status", "");
        /* Meanwhile others are served. */
        need(ctl_ask(other, "status", "'device':'e'"), "'state':'running'");
        blk_verify(f->vq[0], 0, 4096, i);
        line = ctl_answer(c);
        need(line, "{'id':'d','type':'block'");
        need(line, "'workers':['d'],'answers':false}");
        need(line, "'answers':true,'state':'running'");
    }
    let_go(held);
    need(ctl_ask(c, "status", "'device':'d'"), "'answers':true");
    front_free(f);
    ctl_free(c);
    ctl_free(other);
    vub_free(v);
}

static void what_a_client_that_leaves_has_asked_for_does_not_begin(void **state)
{
    pid_t held;
    struct vub *v = with_two(&held);
    struct ctl *c, *other = ctl_new(v);

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        c = ctl_new(v);
        ctl_send(c, "block.resize", "'device':'d','size':'128M'");
        ctl_send(c, "status", "");
        ctl_send(c, "log.level", "'level':'debug'");
        need(ctl_answer(c), "'was'"); /* all three are under way */
        ctl_free(c);
    }
    /* That they have gone is seen in the turn of the first call, if not
     * before. */
    for (unsigned i = 0; i < 2; i++)
        need(ctl_ask(other, "log.level", "'level':'debug'"), "'level'");
    let_go(held);
    need(ctl_ask(other, "status", "'device':'d'"), "'size':67108864");
    ctl_free(other);
    vub_free(v);
}

static void a_notification_is_done_though_its_client_has_left(void **state)
{
    static const char line[] =
        "{\"jsonrpc\":\"2.0\",\"method\":\"block.resize\","
        "\"params\":{\"device\":\"d\",\"size\":\"128M\"}}\n";
    pid_t held;
    struct vub *v = with_two(&held);
    struct ctl *c = ctl_new(v), *other = ctl_new(v);
    const ssize_t len = sizeof(line) - 1;

    (void)state;
    assert_int_equal(send(c->fd, line, (size_t)len, MSG_NOSIGNAL), len);
    need(ctl_ask(c, "log.level", "'level':'debug'"), "'was'");
    ctl_free(c);
    for (unsigned i = 0; i < 2; i++)
        need(ctl_ask(other, "log.level", "'level':'debug'"), "'level'");
    let_go(held);
    need(ctl_ask(other, "status", "'device':'d'"), "'size':134217728");
    ctl_free(other);
    vub_free(v);
}

static void a_stop_with_calls_under_way_is_clean(void **state)
{
    pid_t held;
    struct vub *v = with_two(&held);
    struct ctl *c = ctl_new(v), *other = ctl_new(v);

    (void)state;
    ctl_send(c, "block.resize", "'device':'d','size':'128M'");
    ctl_send(c, "block.resize", "'device':'d'");
    need(ctl_ask(other, "log.level", "'level':'debug'"), "'level'");
    need(ctl_ask(other, "quit", ""), "'result':{}");
    need(ctl_ask(other, "block.resize", "'device':'d'"),
         "'message':'the device is closing'");
    let_go(held);
    /* What was asked before the stop is done and answered. */
    need(ctl_answer(c), "'result':{'size':134217728,'was':67108864}");
    need(ctl_answer(c), "'result':{'size':134217728,'was':134217728}");
    assert_int_equal(vub_wait(v), 0);
    ctl_free(c);
    ctl_free(other);
    vub_free(v);
}

static void one_that_does_not_read_keeps_no_device_waiting(void **state)
{
    struct vub *v = with_control(DISK("d", "", MEMORY));
    struct ctl *deaf = ctl_new(v), *c = ctl_new(v);
    struct front *f;

    (void)state;
    need(ctl_ask(deaf, "events", ""), "'result':{}");
    need(ctl_ask(c, "events", ""), "'result':{}");
    for (unsigned i = 0; i < 150; i++)
        ctl_send(deaf, "help", "");
    for (unsigned i = 0; i < 100; i++) {
        f = front_new(v, "d", NULL);
        need(ctl_answer(c), "'connect'");
        blk_verify(f->vq[0], 0, 4096, i);
        front_free(f);
        need(ctl_answer(c), "'disconnect'");
    }
    for (unsigned i = 0; i < 150; i++)
        while (strstr(ctl_answer(deaf), "\"event\""))
            ;
    ctl_free(deaf);
    ctl_free(c);
    vub_free(v);
}

BEHAVE_MAIN(T(status_tells_of_a_session), T(what_is_in_flight_is_counted),
            T(stats_know_how_long_requests_took), T(events_come_in_their_order),
            T(a_resize_reaches_the_guest), T(sizes_have_an_end),
            T(a_stuck_worker_does_not_stop_status),
            T(what_a_client_that_leaves_has_asked_for_does_not_begin),
            T(a_notification_is_done_though_its_client_has_left),
            T(a_stop_with_calls_under_way_is_clean),
            T(one_that_does_not_read_keeps_no_device_waiting))
