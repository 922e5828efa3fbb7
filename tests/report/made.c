/* made KIND DIR: the reports of a record that is made up, in the directory DIR:
 * report.html and junit.xml, pictures beside.
 *
 *   passed   a boot, with pictures, events and processes
 *   failed   the same, where a picture never came
 *   turns    fifty turns of six steps
 *   nested   repeats in a repeat; one fails in a turn of a turn
 *   many     2000 steps, each of its own
 *   vast     more of all than a page may have
 *   hostile  texts of strangers who would like to be more than text
 *   error    vub has gone, no step has failed
 *   empty    nothing at all */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/scenario/record.h"
#include "device/gpu/picture.h"

#define MS UINT64_C(1000000)
#define BEGIN (1000 * MS)

static struct record r;
static uint64_t now = BEGIN;
static const char *dir;

static void fail(const char *what)
{
    fprintf(stderr, "made: %s\n", what);
    exit(2);
}

static void *got(void *p)
{
    if (!p)
        fail("no memory");
    return p;
}

static char *copy(const char *text)
{
    return got(strdup(text));
}

/* ---- what a record has ---- */

static void event(const char *name, const char *device, const char *json)
{
    struct record_event *ev = got(record_add_event(&r, name, device, json));

    ev->at_ns = now;
}

static struct record_step *step(const char *place, const char *name,
                                const char *kind, const char *args,
                                const char *turn, unsigned ms)
{
    struct record_step *s =
        got(record_add_step(&r, place, name, kind, args, turn));

    s->result = STEP_PASSED;
    s->begin_ns = now;
    now += ms * MS;
    s->end_ns = now;
    return s;
}

static void failed(struct record_step *s, const char *why)
{
    s->result = STEP_FAILED;
    s->why = copy(why);
    r.passed = false;
}

static void not_run(const char *place, const char *name, const char *kind,
                    const char *args)
{
    got(record_add_step(&r, place, name, kind, args, NULL));
}

static void process(const char *name, const char *command, const char *output,
                    int status, uint64_t begin, uint64_t end)
{
    struct record_process *p = got(record_add_process(&r, name, command));
    char path[4096];

    free(p->output);
    p->output = copy(output);
    snprintf(path, sizeof(path), "%s/%s.log", dir, name);
    p->log_path = copy(path);
    p->status = status;
    p->begin_ns = begin;
    p->end_ns = end;
}

/* ---- pictures ---- */

static void fill(struct picture *p, uint32_t x, uint32_t y, uint32_t w,
                 uint32_t h, uint32_t color)
{
    for (uint32_t row = y; row < y + h && row < p->height; row++)
        for (uint32_t at = x; at < x + w && at < p->width; at++)
            p->argb[(size_t)row * p->width + at] = color;
}

/* Something like a desktop with a window of text; `lines` are written. */
static struct picture *draw(uint32_t width, uint32_t height, unsigned lines)
{
    struct picture *p = got(picture_new(width, height, NULL));

    for (uint32_t y = 0; y < height; y++)
        fill(p, 0, y, width, 1,
             0xff203040 + 0x000100 * (y * 96 / height) + y * 64 / height);
    fill(p, 0, 0, width, height / 30, 0xff101418);
    fill(p, width / 8, height / 8, width * 3 / 4, height * 3 / 4, 0xff0c0f12);
    fill(p, width / 8, height / 8, width * 3 / 4, height / 24, 0xff3a6ea5);
    for (unsigned i = 0; i < lines; i++)
        for (unsigned word = 0; word < 3 + i % 4; word++)
            fill(p, width / 8 + 12 + word * 64,
                 height / 8 + height / 24 + 10 + i * 16, 24 + (i * word) % 34,
                 8, i % 5 == 4 ? 0xff7ed6a0 : 0xffd0d4d8);
    return p;
}

static void picture(struct record_step *s, const char *title, uint32_t width,
                    uint32_t height, unsigned lines)
{
    struct picture *p = draw(width, height, lines);
    static unsigned number;
    struct record_picture *pic;
    struct picture_hash hash;
    char path[4096];
    uint64_t bytes;
    struct err e;

    snprintf(path, sizeof(path), "%s/screen-%u.png", dir, ++number);
    if (picture_save(p, path, PICTURE_PNG, &bytes, &e) < 0)
        fail(e.text);
    if (picture_hash(p, NULL, &hash) < 0)
        fail("no hash");
    pic = got(record_add_picture(s, title, path, hash.digits));
    pic->width = width;
    pic->height = height;
    picture_unref(p);
}

/* ---- records ---- */

static void begin(const char *name)
{
    r.name = copy(name);
    r.path = copy("config/rigs/boot-test.json");
    r.version = copy("0.1.0");
    r.started = copy("2026-11-30T08:15:00Z");
    r.begin_ns = BEGIN;
    r.passed = true;
}

#define CONSOLE                                                                \
    "\033[2J\033[01;01H\033[=3h\033[2J\033[01;01HSeaBIOS (version "            \
    "1.16.2-debian)\r\n\r\r\n\033[1;32m[    0.000000]\033[0m Linux version "   \
    "6.1.0-28-amd64\r\n[    0.412345] virtio_blk virtio1: [vda] 4194304 "      \
    "512-byte logical blocks (2.15 GB/2.00 GiB)\r\n[    0.934112] "            \
    "virtio_gpu virtio2: features: -virgl +edid +resource_blob\r\n"            \
    "Debian GNU/Linux 12 rig ttyS0\r\n\r\nrig login: root\r\n"                 \
    "\033]0;root@rig: ~\arig:~# dd if=/dev/vda of=/dev/null bs=1M\r\n"         \
    "dd: error reading '/dev/vda': Input/output error\r\n"

static void boot(bool passes)
{
    struct record_step *s;

    step("/steps/0", "run vm", "run",
         "{\"process\": \"vm\", \"command\": \"exec qemu-system-x86_64 -m 1G "
         "-nodefaults -display none -serial stdio\", \"background\": true}",
         NULL, 4);
    now += 80 * MS;
    event("connected", "disk", "{\"device\": \"disk\", \"session\": 1}");
    now += 3 * MS;
    event("connected", "screen", "{\"device\": \"screen\", \"session\": 1}");
    step("/steps/1", "the disk is used", "wait",
         "{\"device\": \"disk\", \"until\": \"running\"}", NULL, 1840);
    event("running", "disk", "{\"device\": \"disk\", \"rings\": 1}");
    s = step("/steps/2", "the login is there", "gpu.wait",
             "{\"device\": \"screen\", \"picture\": \"login.png\", "
             "\"tolerance\": 8, \"masks\": [{\"x\": 0, \"y\": 0, \"width\": "
             "100, \"height\": 16}, {\"x\": 900, \"y\": 700, \"width\": 124, "
             "\"height\": 68}], \"timeout_ms\": 60000}",
             NULL, 5230);
    s->answer = copy("{\"scanout\": 0, \"width\": 1024, \"height\": 768, "
                     "\"hash\": \"2f1c0d9ab3457781c3a90f6d1e8b2244\", "
                     "\"different\": 12}");
    picture(s, "screen, scanout 0", 1024, 768, 14);
    step("/steps/3", "log in", "input.type",
         "{\"device\": \"keyboard\", \"text\": \"root\\n\"}", NULL, 212);
    step("/steps/4", "fault.arm disk bad", "fault.arm",
         "{\"device\": \"disk\", \"rule\": \"bad\"}", NULL, 1);
    s = step("/steps/5", "read the disk", "input.type",
             "{\"device\": \"keyboard\", \"text\": \"dd if=/dev/vda "
             "of=/dev/null bs=1M\\n\"}",
             NULL, 1410);
    now -= 900 * MS;
    for (unsigned i = 0; i < 5; i++) {
        event("fault.fired", "disk",
              "{\"device\": \"disk\", \"filter\": \"fault\", \"rule\": "
              "\"bad\", \"op\": \"read\", \"sector\": 2048, \"sectors\": 8}");
        now += 100 * MS;
    }
    now += 400 * MS;
    if (passes) {
        s = step("/steps/6", "screenshot", "screenshot",
                 "{\"device\": \"screen\"}", NULL, 38);
        picture(s, "screen, scanout 0", 1024, 768, 22);
        picture(s, "screen, scanout 1", 640, 480, 3);
        picture(s, "panel, scanout 0", 320, 64, 0);
        s = step("/steps/7", "the rule has fired", "expect",
                 "{\"of\": \"stats\", \"device\": \"disk\", \"at\": "
                 "\"/filters/0/rules/0/fired\", \"at_least\": 1}",
                 NULL, 2);
        s->answer = copy("5");
        step("/steps/8", "shut down", "wait.exit",
             "{\"process\": \"vm\", \"status\": 0}", NULL, 2240);
    } else {
        s = step("/steps/6", "the error is shown", "gpu.wait",
                 "{\"device\": \"screen\", \"picture\": \"error.png\", "
                 "\"tolerance\": 8, \"timeout_ms\": 10000}",
                 NULL, 10000);
        failed(s, "it has not looked like error.png in 10000 ms: 41211 of "
                  "786432 pixels differ by more than 8");
        s->answer = copy("{\"code\": -32003, \"message\": \"it has not looked "
                         "like error.png in 10000 ms\", \"data\": "
                         "{\"different\": 41211}}");
        picture(s, "screen, scanout 0", 1024, 768, 22);
        picture(s, "screen, scanout 1", 640, 480, 3);
        not_run("/steps/7", "the rule has fired", "expect",
                "{\"of\": \"stats\", \"device\": \"disk\"}");
        not_run("/steps/8", "shut down", "wait.exit", "{\"process\": \"vm\"}");
    }
    event("disconnected", "disk", "{\"device\": \"disk\"}");
    r.end_ns = now + 20 * MS;
    process("vm",
            "exec qemu-system-x86_64 -m 1G -nodefaults -display none -serial "
            "stdio",
            CONSOLE, passes ? 0 : 143, BEGIN + 3 * MS, r.end_ns);
    process("probe", "vub ctl status disk | grep -q running", "", 0,
            BEGIN + 2000 * MS, BEGIN + 2200 * MS);
}

static void filters(void)
{
    struct record_filter *f = got(record_add_filter(
        &r, "disk", "fault", "bad",
        "{\"name\": \"bad\", \"armed\": true, \"outcome\": \"error\", "
        "\"op\": \"read\", \"matched\": 9, \"fired\": 5}"));

    f->matched = 9;
    f->fired = 5;
    f = got(record_add_filter(&r, "disk", "fault", "slow", "{\"fired\": 0}"));
    f->matched = 120;
    f = got(record_add_filter(&r, "disk", "powercut, cache", NULL, "{}"));
    f->matched = 4211;
    got(record_add_filter(&r, "disk", "cow", NULL, "{}"));
}

static void turns(void)
{
    static const char *const names[] = {"power cut",       "the guest is gone",
                                        "start the guest", "the file system",
                                        "write some",      "look at it"};
    static const char *const kinds[] = {"powercut.cut", "wait",  "run",
                                        "wait.output",  "write", "screenshot"};
    char place[64], turn[32];

    step("/steps/0", "run vm", "run", "{\"command\": \"qemu\"}", NULL, 10);
    for (unsigned i = 0; i < 50; i++)
        for (unsigned j = 0; j < 6; j++) {
            struct record_step *s;

            snprintf(place, sizeof(place), "/steps/1/repeat/steps/%u", j);
            snprintf(turn, sizeof(turn), "%u of 50", i + 1);
            s = step(place, names[j], kinds[j],
                     "{\"device\": \"disk\", \"seed\": 4711}", turn,
                     5 + j * j * 9 + (i * 37 + j * 11) % 40 +
                         (i == 31 && j == 3 ? 900 : 0));
            if (j == 0)
                event("powercut", "disk", "{\"lost\": 12}");
            if (j == 5)
                picture(s, "screen, scanout 0", 320, 240, 2 + (i % 25 == 7));
        }
    step("/steps/2", "stop vm", "stop", "{\"process\": \"vm\"}", NULL, 40);
    r.end_ns = now;
    process("vm", "qemu", "ok\n", 0, BEGIN, now);
}

#define INNER "/steps/0/repeat/steps/1/repeat/steps/"

static void nested(void)
{
    char turn[32];

    for (unsigned i = 1; i <= 2; i++) {
        snprintf(turn, sizeof(turn), "%u of 3", i);
        step("/steps/0/repeat/steps/0", "start", "run", "{}", turn, 30);
        for (unsigned j = 1; j <= 2; j++) {
            struct record_step *s;
            char inner[32];

            snprintf(inner, sizeof(inner), "%u of 2", j);
            step(INNER "0", "type", "input.type", "{}", inner, 20);
            s = step(INNER "1", "see", "gpu.wait", "{}", inner, 40);
            if (i == 2 && j == 1) {
                failed(s, "it was not seen");
                break;
            }
        }
        if (r.passed)
            step("/steps/0/repeat/steps/2", "stop", "stop", "{}", turn, 10);
        else
            got(record_add_step(&r, "/steps/0/repeat/steps/2", "stop", "stop",
                                "{}", turn));
    }
    not_run("/steps/1/repeat/steps/0", "never", "sleep", "{}");
    not_run("/steps/2", "last", "sleep", "{}");
    r.end_ns = now;
}

static void many(unsigned num)
{
    char place[64], name[64];

    for (unsigned i = 0; i < num; i++) {
        snprintf(place, sizeof(place), "/steps/%u", i);
        snprintf(name, sizeof(name), "key %u", i);
        step(place, name, "input.send",
             "{\"device\": \"keyboard\", \"keys\": [\"a\"]}", NULL,
             1 + i * 7 % 13);
        if (i % 10 == 0)
            event(i % 3 ? "input.taken" : "input.dropped", "keyboard", "{}");
    }
    r.end_ns = now;
}

static void vast(void)
{
    size_t len = 200000;
    char *text = got(malloc(len + 1));
    struct record_step *s;

    memset(text, '<', len);
    text[len] = '\0';
    many(20000);
    for (unsigned i = 0; i < r.num_steps; i++)
        r.steps[i].answer = copy("{\"a long answer\": \"------------------"
                                 "----------------------------------------"
                                 "----------------------------------------"
                                 "----------------------------------------\"}");
    for (unsigned i = 0; i < 5000; i++)
        if (i < 500)
            picture(&r.steps[i], "screen", 64, 64, i % 3);
    for (unsigned i = 0; i < 30000; i++)
        event("many", "d", "{\"n\": 1}");
    for (unsigned i = 0; i < 400; i++)
        process("p", text, text, 1, BEGIN, now);
    for (unsigned i = 0; i < 400; i++)
        got(record_add_filter(&r, "d", text, "rule", text));
    s = step("/steps/20000", text, text, text, NULL, 1);
    s->answer = copy(text);
    failed(s, text);
    r.end_ns = now;
    free(text);
}

#define EVIL                                                                   \
    "<script>document.title='evil'</script>\"'><img src=x onerror=alert(1)>"   \
    "</pre></svg></style><!-- ]]> &amp; &#x3c; "                               \
    "\xff\xc0\xaf\xed\xa0\x80\xef\xbf\xbf \x01\x08\x7f \xc2\x9b"               \
    "31mred\033[0m \033]0;title\a \033P+q\033\\ \xe2\x80\xaegnp.exe "          \
    "https://evil.example/x.png"

static void hostile(void)
{
    struct record_step *s;
    struct record_filter *f;
    struct record_picture *pic;

    free(r.name);
    free(r.path);
    free(r.version);
    r.name = copy(EVIL);
    r.path = copy(EVIL);
    r.version = copy(EVIL);
    s = step(EVIL, EVIL, EVIL, EVIL, EVIL, 3);
    s->answer = copy(EVIL);
    s = step("/steps/1", EVIL, EVIL, EVIL, NULL, 3);
    s->answer = copy("[    0.1] no JSON, but it begins so");
    pic = got(record_add_picture(s, EVIL, "/etc/passwd", EVIL));
    pic->width = UINT32_MAX;
    pic->height = UINT32_MAX;
    got(record_add_picture(s, EVIL, "javascript:alert(1)", ""));
    got(record_add_picture(s, EVIL, "/dev/zero", ""));
    failed(s, EVIL);
    event(EVIL, EVIL, EVIL);
    f = got(record_add_filter(&r, EVIL, EVIL, EVIL, EVIL));
    f->matched = f->fired = UINT64_MAX;
    r.end_ns = now;
    process("javascript:alert(1)//", EVIL, EVIL, 137, UINT64_MAX, 1);
    r.why = copy(EVIL);
}

int main(int argc, char **argv)
{
    char path[4096];
    const char *kind;
    struct err e;

    if (argc != 3)
        fail("made KIND DIR");
    kind = argv[1];
    dir = argv[2];
    if (mkdir(dir, 0777) < 0 && errno != EEXIST)
        fail("cannot make the directory");
    if (strcmp(kind, "empty") != 0)
        begin("boot test");
    if (strcmp(kind, "passed") == 0 || strcmp(kind, "failed") == 0) {
        boot(kind[0] == 'p');
        filters();
    } else if (strcmp(kind, "turns") == 0) {
        turns();
    } else if (strcmp(kind, "nested") == 0) {
        nested();
    } else if (strcmp(kind, "many") == 0) {
        many(2000);
    } else if (strcmp(kind, "vast") == 0) {
        vast();
    } else if (strcmp(kind, "hostile") == 0) {
        hostile();
    } else if (strcmp(kind, "error") == 0) {
        step("/steps/0", "run vm", "run", "{}", NULL, 10);
        r.passed = false;
        r.why = copy("vub has gone: its control socket was closed");
        r.end_ns = now;
    } else if (strcmp(kind, "empty") != 0) {
        fail("there is no such kind");
    }
    snprintf(path, sizeof(path), "%s/report.html", dir);
    if (report_html(&r, path, &e) < 0)
        fail(e.text);
    snprintf(path, sizeof(path), "%s/junit.xml", dir);
    if (report_junit(&r, path, &e) < 0)
        fail(e.text);
    record_free(&r);
    return 0;
}
