/* Scenarios, beside guests that work: what steps wait for and see, how they
 * fail, and that nothing is left when one is over. What is wrong with a file is
 * tests/conf's, what a report says tests/report's. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include "headless.h"

#define FAULTY                                                                 \
    "{'id': 'd', 'type': 'block', 'store': {'type': 'fault', 'rules': ["       \
    "{'name': 'bad', 'op': 'write', 'armed': false}], 'next': " MEMORY "}}"

/* ---- help ---- */

static uint8_t sector[512];

/* Writes DIR/name; ' stands for ". */
static void put(struct vub *v, const char *name, const char *text)
{
    FILE *f = fopen(vub_path(v, "%s", name), "we");

    assert_non_null(f);
    for (; *text; text++)
        putc(*text == '\'' ? '"' : *text, f);
    fclose(f);
}

/* The whole of DIR/name; good until the next. */
static const char *get(struct vub *v, const char *name)
{
    static char text[1 << 20];
    FILE *f = fopen(vub_path(v, "%s", name), "re");
    size_t n;

    if (!f)
        front_fail("there is no %s", name);
    n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    return text;
}

static void need_text(struct vub *v, const char *name, const char *text)
{
    if (!strstr(get(v, name), text))
        front_fail("no %s in %s: %s", text, name, get(v, name));
}

/* A vub with these devices that has this scenario, and a report, "rep". */
static struct vub *prepare(const char *devices, const char *scenario)
{
    struct vub *v = vub_new();

    ctl_config(v, devices);
    put(v, "s.json", scenario);
    vub_arg(v, "--scenario");
    vub_arg(v, "%s", vub_path(v, "s.json"));
    vub_arg(v, "--report");
    vub_arg(v, "%s", vub_path(v, "rep"));
    return v;
}

/* Steps that the test takes part in: a FIFO that one writes, or reads. This end
 * is open both ways, so that nobody waits for the other to open it. */
static int make_fifo(struct vub *v, const char *name)
{
    int fd;

    assert_int_equal(mkfifo(vub_path(v, "%s", name), 0600), 0);
    fd = open(vub_path(v, "%s", name), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void wait_fifo(int fd, const char *what)
{
    char c[8];

    front_need_fd(fd, POLLIN, what);
    assert_true(read(fd, c, sizeof(c)) > 0);
}

/* A process whose number a step has written to a file. */
static bool is_there(struct vub *v, const char *name)
{
    int pid = atoi(get(v, name));

    assert_true(pid > 0);
    return kill(pid, 0) == 0 || errno != ESRCH;
}

/* Beside a vub that runs: the program vub scenario. */
static struct vub *beside(struct vub *v, const char *scenario)
{
    struct vub *s = vub_beside(v);
    const char *argv[] = {s->exe,
                          "scenario",
                          "--socket",
                          vub_path(v, "ctl"),
                          "--report",
                          vub_path(v, "rep"),
                          vub_path(v, "s.json"),
                          NULL};

    put(v, "s.json", scenario);
    vub_spawn_argv(s, argv);
    return s;
}

/* Ends with that, and the report has that text. */
static void ends(struct vub *v, int status, const char *text)
{
    assert_int_equal(vub_wait(v), status);
    need_text(v, "rep/junit.xml", text);
}

/* One that needs nothing but vub. */
static void scenario_ends(const char *steps, int status, const char *text)
{
    char scenario[8192];
    struct vub *v;

    assert_true(snprintf(scenario, sizeof(scenario),
                         "{'timeout_ms': 10000, 'steps': [%s]}",
                         steps) < (int)sizeof(scenario));
    v = prepare(DISK("d", "", MEMORY), scenario);
    vub_run(v);
    ends(v, status, text);
    vub_free(v);
}

/* ---- with guests ---- */

static void a_guest_comes_meets_a_fault_and_goes(void **state)
{
    struct vub *v = prepare(
        FAULTY,
        "{'name': 'guests', 'timeout_ms': 20000, 'steps': ["
        "{'wait': {'device': 'd', 'until': 'connected'}},"
        "{'wait': {'device': 'd', 'until': 'running'}},"
        "{'fault.arm': {'device': 'd', 'rule': 'bad'}, 'name': 'arm it'},"
        "{'run': {'command': 'echo > armed'}},"
        "{'wait.event': {'event': 'fault.fired', 'device': 'd',"
        "  'match': {'op': 'write', 'name': 'bad'}}},"
        "{'expect': {'of': 'stats', 'device': 'd', 'at_least': 1, 'at_most': 1,"
        "  'at': '/block/queues/0/errors'}, 'timeout_ms': 20000},"
        "{'run': {'command': 'echo > fired'}},"
        "{'wait': {'device': 'd', 'until': 'gone'}}]}");
    int armed = make_fifo(v, "armed"), fired = make_fifo(v, "fired");
    struct front *f;

    (void)state;
    vub_run(v);
    f = front_new(v, "d", NULL);
    blk_verify(f->vq[0], 0, 512, 1);
    wait_fifo(armed, "the fault to be armed");
    assert_int_equal(blk_do(f->vq[0], VIRTIO_BLK_T_OUT, 0, sector, 512),
                     VIRTIO_BLK_S_IOERR);
    wait_fifo(fired, "the event");
    front_free(f);
    close(armed);
    close(fired);
    ends(v, 0, "3 arm it");
    need_text(v, "rep/report.html", "fault.fired");
    vub_free(v);
}

static void pictures_are_taken_when_asked_and_when_a_step_fails(void **state)
{
    struct vub *v =
        prepare(SCREEN(""),
                "{'timeout_ms': 20000, 'steps': ["
                "{'gpu.wait': {'device': 'screen', 'settled_ms': 1}},"
                "{'screenshot': {'device': 'screen', 'file': 'mine.png'}},"
                "{'screenshot': {'device': 'screen'}},"
                "{'gpu.wait': {'device': 'screen', 'picture': 'rep/mine.png',"
                "  'tolerance': 0}},"
                "{'gpu.wait': {'device': 'screen', 'hash': "
                "'00000000000000000000000000000000'},"
                "  'timeout_ms': 50},"
                "{'sleep': {'ms': 0}}]}");
    struct gpu_fb *fb;
    struct gpu *g;

    (void)state;
    vub_run(v);
    g = gpu_open(v, "screen", NULL);
    fb = gpu_fb_new(g, 64, 48, 4096);
    gpu_fb_fill(fb, 3);
    gpu_show(g, 0, 1, XRGB, fb);
    gpu_draw(g, 1, fb, 0, 0, 64, 48);
    ends(v, 1, "tests=\"6\" failures=\"1\" errors=\"0\" skipped=\"1\"");
    need_text(v, "rep/mine.png", "PNG");
    need_text(v, "rep/screenshot-1.png", "PNG");
    need_text(v, "rep/screenshot-2.png", "PNG");
    gpu_close(g);
    vub_free(v);
}

/* ---- what fails, and how ---- */

static void a_step_fails_as_soon_as_it_cannot_pass(void **state)
{
    (void)state;
    scenario_ends("{'run': {'command': 'echo so it is; exit 3'}}", 1,
                  "it has ended with status 3, not with 0: so it is");
    scenario_ends("{'run': {'command': 'echo no', 'output': 'yes'}}", 1,
                  "its output has no &quot;yes&quot;: no");
    scenario_ends("{'run': {'command': 'exit 1', 'background': true,"
                  " 'process': 'p'}},"
                  "{'wait.output': {'process': 'p', 'text': 'x'}}",
                  1,
                  "it has ended with status 1 before it has written "
                  "&quot;x&quot;");
    scenario_ends("{'run': {'command': 'echo so far; sleep 60',"
                  " 'background': true, 'process': 'p'}},"
                  "{'wait.output': {'process': 'p', 'text': 'so'}},"
                  "{'wait.output': {'process': 'p', 'text': '\\non\\nand on'},"
                  " 'timeout_ms': 50}",
                  1,
                  "after 50 ms &quot;p&quot; has not written "
                  "&quot;on&quot;: so far");
    scenario_ends("{'run': {'command': 'kill -9 $$', 'background': true,"
                  " 'process': 'p'}},"
                  "{'wait.exit': {'process': 'p', 'status': 0}}",
                  1, "signal 9 has ended it, not with 0");
    scenario_ends("{'expect': {'of': 'status', 'device': 'd', 'at': '/state',"
                  " 'is': 'running'}}",
                  1,
                  "&quot;/state&quot; is &quot;none&quot;, not "
                  "&quot;running&quot;");
    scenario_ends("{'expect': {'of': 'stats', 'device': 'd', 'at': '/nothing',"
                  " 'is': 1}, 'timeout_ms': 1000}",
                  1, "after 1000 ms there is nothing at &quot;/nothing&quot;");
    scenario_ends("{'wait': {'device': 'd', 'until': 'running'},"
                  " 'timeout_ms': 1000}",
                  1, "after 1000 ms &quot;d&quot; has no front-end");
    scenario_ends("{'device.reload': {'device': 'd'}},"
                  "{'config.reload': {}}, {'device.remove': {'device': 'x'}}",
                  1, "/device: there is no device &quot;x&quot;");
}

/* It reads nothing, and a pipe has room for little. */
static void a_process_that_does_not_read_fails_the_step_that_writes(void **s)
{
    char steps[4096], text[2049];

    (void)s;
    memset(text, 'x', 2048);
    text[2048] = '\0';
    snprintf(steps, sizeof(steps),
             "{'run': {'command': 'exec sleep 1000', 'background': true,"
             " 'process': 'p'}},"
             "{'repeat': {'times': 64, 'steps': ["
             "{'write': {'process': 'p', 'text': '%s'}, 'timeout_ms': 50}]}}",
             text);
    scenario_ends(steps, 1,
                  "after 50 ms it has not read what is written to it");
    scenario_ends("{'run': {'command': 'exec <&-; echo deaf; exec sleep 1000',"
                  " 'background': true, 'process': 'p'}},"
                  "{'wait.output': {'process': 'p', 'text': 'deaf'}},"
                  "{'write': {'process': 'p', 'text': 'x'}}",
                  1, "does not read what is written to it any more");
}

static void
what_a_process_writes_is_found_in_pieces_and_kept_in_its_log(void **state)
{
    struct stat st;
    struct vub *v = prepare(
        DISK("d", "", MEMORY),
        "{'timeout_ms': 60000, 'steps': ["
        "{'run': {'command': 'printf abab; read x; printf ac; cat; echo end',"
        " 'background': true, 'process': 'a/../b'}},"
        "{'wait.output': {'process': 'a/../b', 'text': 'ab'}},"
        "{'wait.output': {'process': 'a/../b', 'text': 'ab'}},"
        "{'write': {'process': 'a/../b', 'text': '\\n'}},"
        "{'wait.output': {'process': 'a/../b', 'text': 'ac'}},"
        "{'run': {'process': 'much', 'command':"
        " 'head -c 32M /dev/zero; printf found; head -c 32M /dev/zero',"
        " 'output': 'found'}}]}");

    (void)state;
    vub_run(v);
    ends(v, 0, "failures=\"0\"");
    assert_int_equal(stat(vub_path(v, "rep/much.log"), &st), 0);
    assert_int_equal(st.st_size, (64 << 20) + 5);
    need_text(v, "rep/a_.._b.log", "ababac");
    vub_free(v);
}

/* ---- how one ends ---- */

static void nothing_that_steps_have_started_is_left(void **state)
{
    struct vub *v =
        prepare(DISK("d", "", MEMORY),
                "{'steps': ["
                "{'run': {'command': 'setsid sleep 1000 & echo $! > away'}},"
                "{'run': {'command': 'sleep 1000 & echo $! > child; echo so;"
                " exec sleep 1000', 'background': true, 'process': 'group'}},"
                "{'wait.output': {'process': 'group', 'text': 'so'}},"
                "{'run': {'command': 'trap : TERM; echo $$ > deaf; echo > told;"
                " while :; do sleep 1000; done', 'background': true}},"
                "{'run': {'command': 'read x < told'}}]}");
    int told = make_fifo(v, "told");

    (void)state;
    vub_run(v);
    ends(v, 0, "failures=\"0\"");
    assert_false(is_there(v, "away"));
    assert_false(is_there(v, "child"));
    assert_false(is_there(v, "deaf"));
    close(told);
    vub_free(v);
}

static void a_signal_interrupts_it_and_the_report_says_so(void **state)
{
    static const struct {
        int sig;
        const char *text;
    } signals[] = {{SIGINT, "interrupted by SIGINT"},
                   {SIGTERM, "interrupted by SIGTERM"}};
    struct vub *v = ctl_start(DISK("d", "", MEMORY));
    int told = make_fifo(v, "told");

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++) {
        struct vub *s = beside(
            v, "{'steps': ["
               "{'run': {'command': 'echo $$ > pid; echo > told; sleep 1000'}},"
               "{'sleep': {'ms': 0}}]}");

        wait_fifo(told, "the command");
        vub_signal(s, signals[i].sig);
        ends(s, 1, signals[i].text);
        assert_false(is_there(v, "pid"));
        vub_free(s);
    }
    close(told);
    vub_free(v);
}

static void sigterm_to_vub_ends_its_scenario_first(void **state)
{
    struct vub *v = prepare(DISK("d", "", MEMORY),
                            "{'steps': [{'run': {'command':"
                            " 'echo $$ > pid; echo > told; sleep 1000'}}]}");
    int told = make_fifo(v, "told");

    (void)state;
    vub_run(v);
    wait_fifo(told, "the command");
    close(told);
    vub_signal(v, SIGTERM);
    ends(v, 1, "interrupted by SIGTERM");
    assert_false(is_there(v, "pid"));
    vub_free(v);
}

static void it_fails_at_once_when_vub_dies(void **state)
{
    struct vub *v = ctl_start(DISK("d", "", MEMORY)), *s;
    int told = make_fifo(v, "told");

    (void)state;
    s = beside(v, "{'steps': [{'run': {'command':"
                  " 'echo $$ > pid; echo > told; sleep 1000'}}]}");
    wait_fifo(told, "the command");
    close(told);
    vub_kill(v);
    ends(s, 1, "vub has gone");
    assert_false(is_there(v, "pid"));
    vub_free(s);
    vub_free(v);
}

/* Its scenario is told by the system. */
static void what_vub_has_started_ends_when_it_is_killed(void **state)
{
    struct vub *v =
        prepare(DISK("d", "", MEMORY),
                "{'steps': [{'run': {'background': true, 'command':"
                " 'bye() { echo > bye; exit; }; trap bye TERM; echo > told;"
                " while :; do sleep 0.1; done'}}, {'sleep': {'ms': 100000}}]}");
    int told = make_fifo(v, "told"), bye = make_fifo(v, "bye");

    (void)state;
    vub_run(v);
    wait_fifo(told, "the command");
    vub_kill(v);
    wait_fifo(bye, "its end");
    close(told);
    close(bye);
    vub_free(v);
}

/* As the system does it to a scenario that a vub has started, some time after
 * the connection has gone. It is no second request to end: what runs has its
 * time. */
static void a_late_sigterm_about_vubs_end_kills_nobody(void **state)
{
    struct vub *v = ctl_start(DISK("d", "", MEMORY));
    int told = make_fifo(v, "told"), bye = make_fifo(v, "bye");
    int go = make_fifo(v, "go"), gone = make_fifo(v, "gone");
    struct vub *s;

    (void)state;
    s = beside(
        v, "{'steps': [{'run': {'background': true, 'command':"
           " 'bye() { trap : TERM; kill -TERM $PPID; echo > bye; read x < go;"
           " echo > gone; exit; }; trap bye TERM; echo > told;"
           " while :; do sleep 0.1; done'}}, {'sleep': {'ms': 100000}}]}");
    wait_fifo(told, "the command");
    vub_kill(v);
    wait_fifo(bye, "that it is to end");
    assert_int_equal(write(go, "\n", 1), 1);
    wait_fifo(gone, "its end");
    ends(s, 1, "vub has gone");
    close(told);
    close(bye);
    close(go);
    close(gone);
    vub_free(s);
    vub_free(v);
}

static void events_beyond_all_bounds_are_survived(void **state)
{
    struct vub *v = ctl_start(FAULTY);
    struct front *f = front_new(v, "d", NULL);
    int told = make_fifo(v, "told"), go = make_fifo(v, "go");
    struct vub *s;

    (void)state;
    s = beside(v, "{'steps': ["
                  "{'fault.arm': {'device': 'd', 'rule': 'bad'}},"
                  "{'run': {'command': 'echo > told; read x < go'}},"
                  "{'wait.event': {'event': 'fault.fired'}},"
                  "{'repeat': {'times': 3000, 'steps': ["
                  "{'log.level': {'level': 'debug'}},"
                  "{'log.level': {'level': 'info'}}]}},"
                  "{'wait.event': {'event': 'log.level',"
                  "  'match': {'level': 'info'}}}]}");
    wait_fifo(told, "the command");
    for (unsigned i = 0; i < 5000; i++)
        blk_do(f->vq[0], VIRTIO_BLK_T_OUT, 0, sector, 512);
    assert_int_equal(write(go, "\n", 1), 1);
    ends(s, 0, "failures=\"0\"");
    close(told);
    close(go);
    vub_free(s);
    front_free(f);
    vub_free(v);
}

/* ---- before anything starts ---- */

static void what_is_wrong_is_told_before_anything_starts(void **state)
{
    struct vub *v = prepare(DISK("d", "", MEMORY),
                            "{'steps': [{'wait': {'device': 'e', 'until':"
                            " 'gone'}}, {'run': {'command': 'echo > ran'}}]}");
    struct vub *w;

    (void)state;
    vub_spawn(v);
    assert_int_equal(vub_wait(v), 2);
    vub_log_wait(v, "/steps/0/wait/device: there is no device \"e\"");
    assert_int_equal(access(vub_path(v, "ctl"), F_OK), -1);
    assert_int_equal(access(vub_path(v, "rep"), F_OK), -1);
    assert_int_equal(access(vub_path(v, "ran"), F_OK), -1);
    /* Without a config vub is asked. */
    w = ctl_start(DISK("d", "", MEMORY));
    put(w, "s.json", get(v, "s.json"));
    vub_free(v);
    v = beside(w, get(w, "s.json"));
    assert_int_equal(vub_wait(v), 2);
    vub_log_wait(v, "/steps/0/wait/device: there is no device \"e\"");
    assert_int_equal(access(vub_path(w, "ran"), F_OK), -1);
    vub_free(v);
    vub_free(w);
}

static void a_report_that_cannot_be_written_is_told_first(void **state)
{
    struct vub *v = prepare(DISK("d", "", MEMORY),
                            "{'steps': [{'run': {'command': 'echo > ran'}}]}");

    (void)state;
    put(v, "rep", "a file\n");
    vub_run(v);
    assert_int_equal(vub_wait(v), 2);
    vub_log_wait(v, "--report: cannot write into");
    assert_int_equal(access(vub_path(v, "ran"), F_OK), -1);
    vub_free(v);
}

BEHAVE_MAIN(T(a_guest_comes_meets_a_fault_and_goes),
            T(pictures_are_taken_when_asked_and_when_a_step_fails),
            T(a_step_fails_as_soon_as_it_cannot_pass),
            T(a_process_that_does_not_read_fails_the_step_that_writes),
            T(what_a_process_writes_is_found_in_pieces_and_kept_in_its_log),
            T(nothing_that_steps_have_started_is_left),
            T(a_signal_interrupts_it_and_the_report_says_so),
            T(sigterm_to_vub_ends_its_scenario_first),
            T(it_fails_at_once_when_vub_dies),
            T(what_vub_has_started_ends_when_it_is_killed),
            T(a_late_sigterm_about_vubs_end_kills_nobody),
            T(events_beyond_all_bounds_are_survived),
            T(what_is_wrong_is_told_before_anything_starts),
            T(a_report_that_cannot_be_written_is_told_first))
