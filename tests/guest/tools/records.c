/* A writer that remembers what it was promised, and checks it afterwards: in
 * the guest of config/rigs/power-cuts.
 *
 *   records write DIR SEED SAY LIST  writes records into the new directory DIR
 *                                    until a write fails, and adds a line to
 *                                    LIST: what had been acknowledged by then
 *   records check LIST               is all of that there, byte by byte?
 *   records down DIR                 DIR's ext4 writes nothing any more
 *
 * There are two promises of a file system in it. A record is acknowledged when
 * fsync of its file has succeeded (and of the directory, if the file is new).
 * And the file "state" is replaced as a whole: another one is written, made
 * stable and renamed over it, so what is there is the last one that was
 * acknowledged, or the one after it.
 *
 * What a record holds is made from SEED and its number, so that nothing has to
 * be remembered but how many there are. Between them pages of a file "noise"
 * are overwritten that nobody asks to be stable: they are in the disk's cache
 * when the power goes. At record SAY it says "enough". */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_MAX 3000
#define PER_FILE 16
#define PER_STATE 8
#define TOO_MANY 4000 /* the power should have gone by then */
#define STATES UINT64_C(0x8000000000000000)
#define NOISE_PLACES 64
#define NOISE_MAX 8 /* pages at a time */
#define PAGE 4096

/* As in the kernel's fs/ext4/ext4.h, which user space has no header of. */
#define EXT4_SHUTDOWN _IOR('X', 125, uint32_t)
#define EXT4_SHUTDOWN_NOLOGFLUSH 2

struct writer {
    const char *dir;
    uint64_t seed;
    int dir_fd, log_fd, noise_fd;
    unsigned records, states; /* acknowledged */
};

struct record {
    size_t len;
    uint8_t bytes[RECORD_MAX];
};

/* splitmix64 */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void make_record(struct record *r, uint64_t seed, uint64_t number)
{
    uint64_t state = seed ^ (number * UINT64_C(0xd1342543de82ef95));

    r->len = 1 + next(&state) % RECORD_MAX;
    for (size_t i = 0; i < r->len; i += 8) {
        uint64_t bits = next(&state);
        size_t left = r->len - i;

        memcpy(r->bytes + i, &bits, left < 8 ? left : 8);
    }
}

static void say(const char *text)
{
    printf("== %s\n", text);
    fflush(stdout);
}

/* ---- writing ---- */

static bool write_whole(int fd, const struct record *r)
{
    return write(fd, r->bytes, r->len) == (ssize_t)r->len && fsync(fd) == 0;
}

/* Some in each file: the first makes it. */
static bool add_record(struct writer *w)
{
    struct record r;
    char name[32];
    bool first = w->records % PER_FILE == 0;

    if (first) {
        if (w->log_fd >= 0)
            close(w->log_fd);
        snprintf(name, sizeof(name), "log-%u", w->records / PER_FILE);
        w->log_fd = openat(w->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (w->log_fd < 0)
            return false;
    }
    make_record(&r, w->seed, w->records);
    if (!write_whole(w->log_fd, &r) || (first && fsync(w->dir_fd) < 0))
        return false;
    w->records++;
    return true;
}

static bool replace_state(struct writer *w)
{
    struct record r;
    int fd = openat(w->dir_fd, "state.new", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    bool written;

    if (fd < 0)
        return false;
    make_record(&r, w->seed, STATES + w->states);
    written = write_whole(fd, &r);
    close(fd);
    if (!written || renameat(w->dir_fd, "state.new", w->dir_fd, "state") < 0 ||
        fsync(w->dir_fd) < 0)
        return false;
    w->states++;
    return true;
}

/* In one piece, which can be torn. */
static bool make_noise(struct writer *w)
{
    static uint8_t pages[NOISE_MAX * PAGE];
    uint64_t state = w->seed + w->records;
    size_t len = (1 + next(&state) % NOISE_MAX) * PAGE;
    off_t at = (off_t)(next(&state) % NOISE_PLACES) * PAGE;

    memset(pages, (int)w->records, len);
    return pwrite(w->noise_fd, pages, len, at) == (ssize_t)len &&
           sync_file_range(w->noise_fd, at, (off_t)len,
                           SYNC_FILE_RANGE_WRITE) == 0;
}

static bool step(struct writer *w)
{
    return make_noise(w) && add_record(w) &&
           (w->records % PER_STATE || replace_state(w));
}

static int write_records(const char *dir, uint64_t seed, unsigned enough,
                         const char *list)
{
    struct writer w = {.dir = dir, .seed = seed, .log_fd = -1};
    char noise[256];
    FILE *f;

    snprintf(noise, sizeof(noise), "%s/../noise", dir);
    if (mkdir(dir, 0755) < 0 ||
        (w.dir_fd = open(dir, O_RDONLY | O_DIRECTORY)) < 0 ||
        (w.noise_fd = open(noise, O_WRONLY | O_CREAT, 0644)) < 0) {
        perror(dir);
        return 1;
    }
    say("writing");
    while (w.records < TOO_MANY && step(&w))
        if (w.records == enough)
            say("enough");
    printf("%s: %u records, %u states: %s\n", dir, w.records, w.states,
           w.records < TOO_MANY ? strerror(errno) : "and the power is on");
    f = fopen(list, "a");
    if (!f || w.records == TOO_MANY)
        return 1;
    fprintf(f, "%s %llu %u %u\n", dir, (unsigned long long)seed, w.records,
            w.states);
    return fclose(f) != 0;
}

/* ---- checking ---- */

static bool lost(const char *dir, const char *what, unsigned n, const char *why)
{
    printf("== lost %s: %s %u: %s\n", dir, what, n, why);
    return false;
}

/* Is that at this place of the file? */
static bool is_there(int fd, off_t at, const struct record *r)
{
    uint8_t found[RECORD_MAX];

    return pread(fd, found, r->len, at) == (ssize_t)r->len &&
           memcmp(found, r->bytes, r->len) == 0;
}

static bool check_records(int dir_fd, const char *dir, uint64_t seed,
                          unsigned count)
{
    struct record r;
    char name[32];
    off_t at = 0;
    int fd = -1;
    bool good = true;

    for (unsigned n = 0; n < count && good; n++) {
        if (n % PER_FILE == 0) {
            if (fd >= 0)
                close(fd);
            snprintf(name, sizeof(name), "log-%u", n / PER_FILE);
            fd = openat(dir_fd, name, O_RDONLY);
            at = 0;
        }
        make_record(&r, seed, n);
        if (fd < 0)
            good = lost(dir, "record", n, strerror(errno));
        else if (!is_there(fd, at, &r))
            good = lost(dir, "record", n, "it is not what was written");
        at += (off_t)r.len;
    }
    if (fd >= 0)
        close(fd);
    return good;
}

static bool is_state(int fd, off_t size, uint64_t seed, unsigned number)
{
    struct record r;

    make_record(&r, seed, STATES + number);
    return size == (off_t)r.len && is_there(fd, 0, &r);
}

/* The last that was acknowledged, or the one that was on its way. */
static bool check_state(int dir_fd, const char *dir, uint64_t seed,
                        unsigned count)
{
    int fd = openat(dir_fd, "state", O_RDONLY);
    struct stat s;
    bool good;

    if (fd < 0)
        return count == 0 || lost(dir, "state", count, strerror(errno));
    good = fstat(fd, &s) == 0 &&
           ((count && is_state(fd, s.st_size, seed, count - 1)) ||
            is_state(fd, s.st_size, seed, count));
    close(fd);
    return good || lost(dir, "state", count, "it is not what was written");
}

static int check(const char *list)
{
    unsigned records, states, all = 0, rounds = 0;
    unsigned long long seed;
    FILE *f = fopen(list, "r");
    char dir[200];
    bool good = f != NULL;

    while (good &&
           fscanf(f, "%199s %llu %u %u", dir, &seed, &records, &states) == 4) {
        int fd = open(dir, O_RDONLY | O_DIRECTORY);

        rounds++;
        if (fd < 0) { /* before anything was acknowledged */
            good = records == 0 || lost(dir, "record", 0, strerror(errno));
            continue;
        }
        good = check_records(fd, dir, seed, records) &&
               check_state(fd, dir, seed, states);
        close(fd);
        all += records;
    }
    if (f)
        fclose(f);
    if (good)
        printf("== kept %u records of %u rounds\n", all, rounds);
    fflush(stdout);
    return !good;
}

/* ---- the end of a file system ---- */

static int down(const char *dir)
{
    uint32_t how = EXT4_SHUTDOWN_NOLOGFLUSH;
    int fd = open(dir, O_RDONLY | O_DIRECTORY);

    if (fd < 0 || ioctl(fd, EXT4_SHUTDOWN, &how) < 0) {
        perror(dir);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "write") == 0)
        return write_records(argv[2], strtoull(argv[3], NULL, 0),
                             (unsigned)strtoul(argv[4], NULL, 0), argv[5]);
    if (argc == 3 && strcmp(argv[1], "check") == 0)
        return check(argv[2]);
    if (argc == 3 && strcmp(argv[1], "down") == 0)
        return down(argv[2]);
    fprintf(stderr, "records: see its source\n");
    return 2;
}
