/* The floors: what the machine itself gives, without any back-end. Each is
 * the least that must be done for the same request, on the core on which the
 * back-end would run, by one thread that does nothing else:
 *
 *   pread, pwrite   one system call per request, on the same file, at offsets
 *                   of the same generator, from and into as many buffers as
 *                   the ring is deep, in shared memory as a guest's is
 *   memcpy          the same without the system call: the medium is memory
 *   map             a copy from, or to, a mapping of that file
 *
 * Both may use what a back-end may: no access times where the file is ours,
 * large pages of memory. --plain: without, as most programs would be written.
 *
 *   eventfd         two threads that wake each other: what a kick and a call
 *                   cost when both sides sleep
 *   line            two threads that pass a cache line to and fro: what it
 *                   costs that a ring is shared
 *
 *   frame           a process that copies a picture out of shared memory and
 *                   sends it over a unix socket, each time it is kicked; its
 *                   reader, on the other core, kicks it when it has read all
 *   send            the same without the copy
 *
 * One JSON object on stdout. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "meter.h"
#include "words.h"

struct options {
    const char *what, *file;
    uint64_t size, block;
    unsigned depth;
    int room; /* of the painter's socket, as SO_SNDBUF; 0: the system's */
    double seconds, warm;
    bool direct, sequential, write, plain;
    int core, other_core;
};

static uint8_t *shared_memory(uint64_t len)
{
    int fd = memfd_create("bench-floor", MFD_CLOEXEC);
    uint8_t *p;

    if (fd < 0 || ftruncate(fd, (off_t)len) < 0)
        meter_die("no memory: %s", strerror(errno));
    p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        meter_die("no memory: %s", strerror(errno));
    close(fd);
    memset(p, 0xa5, len);
    return p;
}

/* Which block comes next. */
struct walk {
    uint64_t blocks, next, random;
    bool sequential;
};

static uint64_t walk_next(struct walk *w)
{
    if (!w->sequential)
        return meter_random(&w->random, w->blocks);
    if (w->next == w->blocks)
        w->next = 0;
    return w->next++;
}

/* A medium: one request, of one block. */
struct medium {
    int fd;
    uint8_t *memory;
    uint64_t block;
    bool write;
};

static inline void medium_do(const struct medium *m, uint64_t block,
                             uint8_t *buf)
{
    uint64_t at = block * m->block;
    ssize_t n;

    if (m->memory) {
        if (m->write)
            memcpy(m->memory + at, buf, m->block);
        else
            memcpy(buf, m->memory + at, m->block);
        return;
    }
    n = m->write ? pwrite(m->fd, buf, m->block, (off_t)at)
                 : pread(m->fd, buf, m->block, (off_t)at);
    if (n != (ssize_t)m->block)
        meter_die("short or failed I/O at %" PRIu64 ": %s", at,
                  n < 0 ? strerror(errno) : "end of file");
}

/* The clock is read once per 16 requests if they are many, so that it does
 * not weigh on the floor; a latency is then the mean of them. */
static void run_medium(const struct options *o, const struct medium *medium,
                       struct meter *meter)
{
    struct walk walk = {.blocks = o->size / o->block,
                        .random = 88172645463325252u,
                        .sequential = o->sequential};
    uint8_t *bufs = shared_memory(o->depth * o->block);
    unsigned slot = 0, group = o->depth < 16 ? 1 : 16, i;
    uint64_t end_ns, ticks, now;
    int phase;

    for (phase = 0; phase < 2; phase++) {
        double seconds = phase ? o->seconds : o->warm;

        meter_start(meter, 0);
        end_ns = meter->from_ns + (uint64_t)(seconds * 1e9);
        ticks = meter->from_ticks;
        for (unsigned round = 0;; round++) {
            for (i = 0; i < group; i++) {
                medium_do(medium, walk_next(&walk), bufs + slot * o->block);
                if (++slot == o->depth)
                    slot = 0;
            }
            now = meter_ticks();
            meter_add_some(meter, (now - ticks) / group, group);
            ticks = now;
            if (round % 16 == 0 && meter_clock_ns() >= end_ns)
                break;
        }
        meter_stop(meter);
    }
}

static void floor_file(const struct options *o, struct meter *meter)
{
    struct medium medium = {.block = o->block, .write = o->write};

    medium.fd = open(o->file, (o->write ? O_RDWR : O_RDONLY) | O_CLOEXEC |
                                  (o->direct ? O_DIRECT : 0));
    if (medium.fd < 0)
        meter_die("cannot open %s: %s", o->file, strerror(errno));
    if (!o->plain)
        fcntl(medium.fd, F_SETFL, fcntl(medium.fd, F_GETFL) | O_NOATIME);
    run_medium(o, &medium, meter);
    close(medium.fd);
}

static void floor_map(const struct options *o, struct meter *meter)
{
    struct medium medium = {.fd = -1, .block = o->block, .write = o->write};
    int prot = PROT_READ | (o->write ? PROT_WRITE : 0);
    int fd = open(o->file, (o->write ? O_RDWR : O_RDONLY) | O_CLOEXEC);

    if (fd < 0)
        meter_die("cannot open %s: %s", o->file, strerror(errno));
    medium.memory = mmap(NULL, o->size, prot, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (medium.memory == MAP_FAILED)
        meter_die("cannot map %s: %s", o->file, strerror(errno));
    run_medium(o, &medium, meter);
    munmap(medium.memory, o->size);
    close(fd);
}

static void floor_memory(const struct options *o, struct meter *meter)
{
    struct medium medium = {.fd = -1, .block = o->block, .write = o->write};

    medium.memory = mmap(NULL, o->size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (medium.memory == MAP_FAILED)
        meter_die("no memory: %s", strerror(errno));
    if (!o->plain)
        madvise(medium.memory, o->size, MADV_HUGEPAGE);
    memset(medium.memory, 0x5a, o->size);
    run_medium(o, &medium, meter);
    munmap(medium.memory, o->size);
}

struct pair {
    int there, back, core;
};

static void *answer_thread(void *arg)
{
    const struct pair *p = arg;
    uint64_t n;

    meter_pin(p->core);
    for (;;) {
        if (read(p->there, &n, sizeof(n)) != sizeof(n) || n > 1)
            return NULL; /* the other end is done */
        n = 1;
        if (write(p->back, &n, sizeof(n)) != sizeof(n))
            return NULL;
    }
}

static void floor_eventfd(const struct options *o, struct meter *meter)
{
    struct pair pair = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC),
                        o->core};
    uint64_t end_ns, ticks, now, n;
    pthread_t thread;
    int phase;

    if (pair.there < 0 || pair.back < 0)
        meter_die("eventfd: %s", strerror(errno));
    meter_pin(o->other_core);
    if (pthread_create(&thread, NULL, answer_thread, &pair) != 0)
        meter_die("no thread");
    for (phase = 0; phase < 2; phase++) {
        meter_start(meter, 0);
        end_ns =
            meter->from_ns + (uint64_t)((phase ? o->seconds : o->warm) * 1e9);
        ticks = meter->from_ticks;
        do {
            n = 1;
            if (write(pair.there, &n, sizeof(n)) != sizeof(n) ||
                read(pair.back, &n, sizeof(n)) != sizeof(n))
                meter_die("eventfd: %s", strerror(errno));
            now = meter_ticks();
            meter_add(meter, now - ticks);
            ticks = now;
        } while (meter_clock_ns() < end_ns);
        meter_stop(meter);
    }
    n = 2;
    if (write(pair.there, &n, sizeof(n)) == sizeof(n))
        pthread_join(thread, NULL);
    close(pair.there);
    close(pair.back);
}

/* A word that each side makes its own in turn: odd there, even here. */
struct line {
    uint64_t word __attribute__((aligned(128)));
    int core __attribute__((aligned(128)));
};

static void *line_thread(void *arg)
{
    struct line *l = arg;
    uint64_t seen = 0, now;

    meter_pin(l->core);
    while (seen != UINT64_MAX) {
        now = __atomic_load_n(&l->word, __ATOMIC_ACQUIRE);
        if (now != seen && now % 2 == 1 && now != UINT64_MAX)
            __atomic_store_n(&l->word, now + 1, __ATOMIC_RELEASE);
        seen = now;
    }
    return NULL;
}

static void floor_line(const struct options *o, struct meter *meter)
{
    struct line line = {.core = o->core};
    uint64_t end_ns, ticks, now, word = 0;
    pthread_t thread;

    /* The thread starts where it shall run: with real-time priority it would
     * not get off our core while we spin. */
    if (pthread_create(&thread, NULL, line_thread, &line) != 0)
        meter_die("no thread");
    meter_pin(o->other_core);
    for (int phase = 0; phase < 2; phase++) {
        meter_start(meter, 0);
        end_ns =
            meter->from_ns + (uint64_t)((phase ? o->seconds : o->warm) * 1e9);
        ticks = meter->from_ticks;
        do {
            for (int i = 0; i < 16; i++) {
                __atomic_store_n(&line.word, ++word, __ATOMIC_RELEASE);
                word++;
                while (__atomic_load_n(&line.word, __ATOMIC_ACQUIRE) != word)
                    ;
            }
            now = meter_ticks();
            meter_add_some(meter, (now - ticks) / 16, 16);
            ticks = now;
        } while (meter_clock_ns() < end_ns);
        meter_stop(meter);
    }
    __atomic_store_n(&line.word, UINT64_MAX, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
}

/* One who sends pictures when kicked, and the way to who reads them. */
struct painter {
    int kick, out, in;
    uint8_t *guest, *frame; /* of o->size bytes each */
};

static uint8_t *private_memory(const struct options *o)
{
    uint8_t *p = mmap(NULL, o->size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        meter_die("no memory: %s", strerror(errno));
    if (!o->plain)
        madvise(p, o->size, MADV_HUGEPAGE);
    memset(p, 0x5a, o->size);
    return p;
}

static void send_all(int fd, void *head, size_t head_len, void *body,
                     size_t body_len)
{
    struct iovec iov[] = {{head, head_len}, {body, body_len}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t n;

    while (body_len) {
        n = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (n < (ssize_t)m.msg_iov[0].iov_len)
            meter_die("sendmsg: %s", n < 0 ? strerror(errno) : "too little");
        if (m.msg_iovlen == 2)
            n -= (ssize_t)head_len;
        body_len -= (size_t)n;
        body = (uint8_t *)body + n;
        iov[1] = (struct iovec){body, body_len};
        m.msg_iov = &iov[1];
        m.msg_iovlen = 1;
    }
}

/* The process of the painter. As long as a message of the display socket is,
 * header and all. */
static void paint(const struct options *o, const struct painter *p)
{
    uint64_t random = 88172645463325252u, at, n;
    uint8_t head[32] = {0};

    meter_pin(o->core);
    while (read(p->kick, &n, sizeof(n)) == sizeof(n) && n == 1) {
        at = meter_random(&random, (o->size - o->block) / 64 + 1) * 64;
        if (!strcmp(o->what, "frame"))
            memcpy(p->frame + at, p->guest + at, o->block);
        send_all(p->out, head, sizeof(head), p->frame + at, o->block);
    }
    _exit(0);
}

/* As a front-end reads: the head, then what follows. */
static void read_frame(int fd, uint8_t *to, uint64_t len)
{
    uint64_t want = 12;
    ssize_t n;

    while (len) {
        n = recv(fd, to, want, 0);
        if (n <= 0)
            meter_die("recv: %s", n < 0 ? strerror(errno) : "end of file");
        want -= (uint64_t)n;
        len -= (uint64_t)n;
        to += n;
        if (!want)
            want = len;
    }
}

static void floor_frame(const struct options *o, struct meter *meter)
{
    uint64_t end_ns, ticks, n = 1;
    struct painter p;
    uint8_t *read_to;
    int pair[2], phase;
    pid_t pid;

    p.kick = eventfd(0, EFD_CLOEXEC);
    if (p.kick < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        (o->room && setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &o->room,
                               sizeof(o->room)) < 0))
        meter_die("no socket: %s", strerror(errno));
    p.out = pair[0];
    p.in = pair[1];
    p.guest = shared_memory(o->size);
    p.frame = private_memory(o);
    read_to = malloc(o->block + 32);
    pid = fork();
    if (!read_to || pid < 0)
        meter_die("no memory");
    if (pid == 0) {
        close(p.in);
        paint(o, &p);
    }
    close(p.out);
    meter_pin(o->other_core);
    for (phase = 0; phase < 2; phase++) {
        meter_start(meter, pid);
        end_ns =
            meter->from_ns + (uint64_t)((phase ? o->seconds : o->warm) * 1e9);
        do {
            ticks = meter_ticks();
            if (write(p.kick, &n, sizeof(n)) != sizeof(n))
                meter_die("eventfd: %s", strerror(errno));
            read_frame(p.in, read_to, o->block + 32);
            meter_add(meter, meter_ticks() - ticks);
        } while (meter_clock_ns() < end_ns);
        meter_stop(meter);
    }
    n = 2;
    if (write(p.kick, &n, sizeof(n)) == sizeof(n))
        waitpid(pid, NULL, 0);
    free(read_to);
    close(p.in);
    close(p.kick);
}

static void parse(struct options *o, int argc, char **argv)
{
    const struct word words[] = {
        {"file", WORD_TEXT, &o->file},
        {"size", WORD_SIZE, &o->size},
        {"block", WORD_SIZE, &o->block},
        {"depth", WORD_UNSIGNED, &o->depth},
        {"room", WORD_INT, &o->room},
        {"seconds", WORD_SECONDS, &o->seconds},
        {"warm", WORD_SECONDS, &o->warm},
        {"core", WORD_INT, &o->core},
        {"other-core", WORD_INT, &o->other_core},
        {"watch", WORD_OTHER, NULL, words_watch},
        {"write", WORD_TRUE, &o->write},
        {"direct", WORD_TRUE, &o->direct},
        {"sequential", WORD_TRUE, &o->sequential},
        {"plain", WORD_TRUE, &o->plain},
        {NULL},
    };
    int rest = words_read(words, argc, argv);

    if (rest + 1 != argc || !o->depth || !o->block || o->size < o->block)
        meter_die(
            "usage: bench_floor io|memcpy|map|eventfd|line|frame|send ...");
    o->what = argv[rest];
}

int main(int argc, char **argv)
{
    static struct meter meter;
    struct options o = {.size = 4096,
                        .block = 4096,
                        .depth = 1,
                        .seconds = 1,
                        .warm = 0.1,
                        .core = -1,
                        .other_core = -1};

    parse(&o, argc, argv);
    meter_pin(o.core);
    if (!strcmp(o.what, "io") && o.file)
        floor_file(&o, &meter);
    else if (!strcmp(o.what, "map") && o.file)
        floor_map(&o, &meter);
    else if (!strcmp(o.what, "memcpy"))
        floor_memory(&o, &meter);
    else if (!strcmp(o.what, "eventfd"))
        floor_eventfd(&o, &meter);
    else if (!strcmp(o.what, "line"))
        floor_line(&o, &meter);
    else if (!strcmp(o.what, "frame") || !strcmp(o.what, "send"))
        floor_frame(&o, &meter);
    else
        meter_die("no such floor: %s", o.what);
    printf("{");
    meter_print(&meter);
    printf("}\n");
    return 0;
}
