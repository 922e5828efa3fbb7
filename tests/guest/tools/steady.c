/* Load that knows what it has written: guest_steady DEVICE writes blocks at
 * random places of it, one after the other and past the page cache, without an
 * end; a block says where it belongs and how often it has been written, so that
 * one that is old, misplaced or torn is found. Each eighth time it reads one
 * back. The first error ends it, with a sentence.
 *
 * Lines of standard input are commands, answered while the load goes on:
 *
 *     more N   answered "== more N" when N further blocks have been written
 *     check    all blocks are read and compared: "== right BLOCKS WRITES"
 *     end
 *
 * Run in a guest (config/rigs/raid1), as root. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES 4096
#define WORDS (BLOCK_BYTES / sizeof(uint64_t))
#define LINE_BYTES 64

struct steady {
    int fd;
    const char *path;
    uint64_t blocks, written;
    uint64_t wanted, more; /* written, that a command waits for; 0: none does */
    uint32_t *times;       /* that each block has been written */
    uint64_t *words;       /* one block, aligned for O_DIRECT */
    uint64_t random;
    char line[LINE_BYTES]; /* the part of a command that has come */
    size_t length;
};

__attribute__((noreturn, format(printf, 1, 2))) static void
fail(const char *format, ...)
{
    va_list args;

    printf("guest_steady: ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    exit(1);
}

/* splitmix64: each word of a block depends on all that it is about. */
static uint64_t mixed(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* What word i of a block is after so many times; all is zero before. */
static uint64_t word(uint64_t block, uint32_t times, size_t i)
{
    return times ? mixed(mixed(block << 32 | times) + i) : 0;
}

static void write_block(struct steady *s, uint64_t block)
{
    uint32_t times = s->times[block] + 1;
    ssize_t n;

    for (size_t i = 0; i < WORDS; i++)
        s->words[i] = word(block, times, i);
    n = pwrite(s->fd, s->words, BLOCK_BYTES, (off_t)(block * BLOCK_BYTES));
    if (n != BLOCK_BYTES)
        fail("writing block %" PRIu64 " of %s: %s", block, s->path,
             n < 0 ? strerror(errno) : "cut short");
    s->times[block] = times;
    s->written++;
}

static void check_block(struct steady *s, uint64_t block)
{
    ssize_t n =
        pread(s->fd, s->words, BLOCK_BYTES, (off_t)(block * BLOCK_BYTES));

    if (n != BLOCK_BYTES)
        fail("reading block %" PRIu64 " of %s: %s", block, s->path,
             n < 0 ? strerror(errno) : "cut short");
    for (size_t i = 0; i < WORDS; i++)
        if (s->words[i] != word(block, s->times[block], i))
            fail("block %" PRIu64 " of %s is wrong from its byte %zu on; it "
                 "has been written %" PRIu32 " times",
                 block, s->path, i * sizeof(uint64_t), s->times[block]);
}

static void check_all(struct steady *s)
{
    for (uint64_t block = 0; block < s->blocks; block++)
        check_block(s, block);
    printf("== right %" PRIu64 " blocks after %" PRIu64 " writes\n", s->blocks,
           s->written);
}

static uint64_t any_block(struct steady *s)
{
    s->random = mixed(s->random);
    return s->random % s->blocks;
}

/* False: it is the last one. */
static bool obey(struct steady *s, const char *line)
{
    if (strcmp(line, "end") == 0)
        return false;
    if (strcmp(line, "check") == 0)
        check_all(s);
    else if (sscanf(line, "more %" SCNu64, &s->more) == 1)
        s->wanted = s->written + s->more;
    else
        fail("no command: %s", line);
    return true;
}

/* Obeys what has come, and waits for nothing. False: that was all. */
static bool obey_all(struct steady *s)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

    while (poll(&p, 1, 0) > 0) {
        char c;

        if (read(STDIN_FILENO, &c, 1) != 1)
            return false;
        if (c != '\n') {
            if (s->length == sizeof(s->line) - 1)
                fail("a command is too long");
            s->line[s->length++] = c;
            continue;
        }
        s->line[s->length] = '\0';
        s->length = 0;
        if (!obey(s, s->line))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct steady s = {.random = 1};
    off_t end;

    if (argc != 2) {
        fprintf(stderr, "usage: guest_steady DEVICE\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    s.path = argv[1];
    s.fd = open(s.path, O_RDWR | O_DIRECT | O_CLOEXEC);
    end = s.fd < 0 ? -1 : lseek(s.fd, 0, SEEK_END);
    if (end < BLOCK_BYTES)
        fail("%s: %s", s.path, end < 0 ? strerror(errno) : "is too small");
    s.blocks = (uint64_t)end / BLOCK_BYTES;
    s.times = calloc(s.blocks, sizeof(*s.times));
    s.words = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    if (!s.times || !s.words)
        fail("%s", strerror(ENOMEM));
    while (obey_all(&s)) {
        write_block(&s, any_block(&s));
        if (s.written % 8 == 0)
            check_block(&s, any_block(&s));
        if (s.wanted && s.written >= s.wanted) {
            printf("== more %" PRIu64 "\n", s.more);
            s.wanted = 0;
        }
    }
    free(s.times);
    free(s.words);
    close(s.fd);
    return 0;
}
