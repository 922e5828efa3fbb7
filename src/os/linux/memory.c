/* Mappings and their guard.
 *
 * The SIGBUS handler runs on whatever thread touched a missing page, in the
 * middle of anything. It may take no lock and free nothing, so it reads a
 * table that only grows: chunks of slots, each slot one mapping. Slots are
 * taken and given back under a mutex by ordinary threads; a sequence number,
 * odd while a slot changes, tells the handler to pass over it. The slot it
 * looks for cannot be changing: somebody is using that mapping just now.
 *
 * The handler then maps anonymous memory over the page (on hugetlbfs: the
 * huge page) and returns; the access is made again and succeeds. mmap is not
 * on POSIX's list of what a handler may call, but on Linux it is a bare system
 * call. A fault that is in no slot is not ours: the action found at start is
 * put back and the fault raised again. */
#include "os/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "os/closer.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

struct memory_guard {
    unsigned seq;   /* odd: changing */
    uintptr_t from; /* 0: free */
    uintptr_t to;   /* one past the end */
    uintptr_t page; /* bytes; a power of two */
    bool poisoned;
    struct memory_guard *next_free;
};

#define CHUNK_SLOTS 64

struct chunk {
    struct chunk *next;
    struct memory_guard slot[CHUNK_SLOTS];
};

static struct chunk *chunks; /* atomic: grows at its head, never shrinks */
static bool any_poisoned;    /* atomic */

/* Under the mutex. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct memory_guard *free_slots;
static bool installed;
static struct sigaction before;

/* ---- the handler ---- */

/* Does the guard cover addr? If so *piece is the page around it. */
static bool covers(struct memory_guard *g, uintptr_t addr, uintptr_t *piece,
                   uintptr_t *page, uintptr_t *to)
{
    unsigned seq = __atomic_load_n(&g->seq, __ATOMIC_ACQUIRE);
    uintptr_t from = __atomic_load_n(&g->from, __ATOMIC_ACQUIRE);

    *to = __atomic_load_n(&g->to, __ATOMIC_ACQUIRE);
    *page = __atomic_load_n(&g->page, __ATOMIC_ACQUIRE);
    if ((seq & 1) || seq != __atomic_load_n(&g->seq, __ATOMIC_RELAXED))
        return false;
    if (!from || addr < from || addr >= *to)
        return false;
    *piece = addr & ~(*page - 1);
    return true;
}

static bool patch(uintptr_t at, size_t len)
{
    return mmap((void *)at, len, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
                0) != MAP_FAILED;
}

static bool meet_fault(uintptr_t addr)
{
    struct chunk *c = __atomic_load_n(&chunks, __ATOMIC_ACQUIRE);
    uintptr_t piece, page, to;

    for (; c; c = c->next) {
        for (int i = 0; i < CHUNK_SLOTS; i++) {
            if (!covers(&c->slot[i], addr, &piece, &page, &to))
                continue;
            __atomic_store_n(&c->slot[i].poisoned, true, __ATOMIC_RELAXED);
            __atomic_store_n(&any_poisoned, true, __ATOMIC_RELEASE);
            /* Each patch splits the mapping, and the kernel counts those:
             * when there are too many, the whole rest is patched at once. */
            return patch(piece, page) || patch(piece, to - piece);
        }
    }
    return false;
}

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)context;
    if ((info->si_code != BUS_ADRERR && info->si_code != BUS_MCEERR_AR) ||
        !meet_fault((uintptr_t)info->si_addr)) {
        sigaction(SIGBUS, &before, NULL);
        /* A fault comes again by itself; a signal somebody sent does not. */
        if (info->si_code <= 0)
            raise(signo);
    }
    errno = saved;
}

static int install(struct err *e)
{
    struct sigaction sa;

    if (installed)
        return 0;
    memset(&sa, 0, sizeof(sa));
    sa.sa_sigaction = on_sigbus;
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&sa.sa_mask);
    if (sigaction(SIGBUS, &sa, &before) < 0)
        return err_sys(e, errno, "", "cannot guard shared memory");
    installed = true;
    return 0;
}

/* ---- slots ---- */

/* Under the mutex. */
static int grow(struct err *e)
{
    struct chunk *c = calloc(1, sizeof(*c));

    if (!c)
        return err_nomem(e);
    for (int i = 0; i < CHUNK_SLOTS; i++) {
        c->slot[i].next_free = free_slots;
        free_slots = &c->slot[i];
    }
    c->next = chunks;
    __atomic_store_n(&chunks, c, __ATOMIC_RELEASE);
    return 0;
}

/* A reader that saw any of these stores sees seq odd, or changed, after. */
static void slot_set(struct memory_guard *g, uintptr_t from, uintptr_t to,
                     uintptr_t page)
{
    __atomic_store_n(&g->seq, g->seq + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&g->from, from, __ATOMIC_RELEASE);
    __atomic_store_n(&g->to, to, __ATOMIC_RELEASE);
    __atomic_store_n(&g->page, page, __ATOMIC_RELEASE);
    __atomic_store_n(&g->poisoned, false, __ATOMIC_RELEASE);
    __atomic_store_n(&g->seq, g->seq + 1, __ATOMIC_RELEASE);
}

static int guard(struct memory *m, size_t page, struct err *e)
{
    int rc;

    pthread_mutex_lock(&lock);
    rc = install(e);
    if (rc == 0 && !free_slots)
        rc = grow(e);
    if (rc == 0) {
        m->guard = free_slots;
        free_slots = m->guard->next_free;
        slot_set(m->guard, (uintptr_t)m->map, (uintptr_t)m->map + m->map_len,
                 page);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static void unguard(struct memory_guard *g)
{
    pthread_mutex_lock(&lock);
    slot_set(g, 0, 0, 0);
    g->next_free = free_slots;
    free_slots = g;
    pthread_mutex_unlock(&lock);
}

/* ---- mappings ---- */

static int page_size(int fd, uint64_t *page, struct err *e)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return err_sys(e, errno, "", "cannot look at shared memory");
    *page = (uint64_t)fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize
                                                   : (uint64_t)getpagesize();
    return 0;
}

static int check_size(int fd, uint64_t end, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(e, errno, "", "cannot look at shared memory");
    /* Memory of a device (/dev/dax) has no size to compare with. */
    if (S_ISREG(st.st_mode) && end > (uint64_t)st.st_size)
        return err_set(e, -EINVAL, "",
                       "shared memory up to byte %" PRIu64
                       " was announced, but its file has only %" PRIu64,
                       end, (uint64_t)st.st_size);
    return 0;
}

bool memory_is_ram(int fd)
{
    return fcntl(fd, F_GET_SEALS) >= 0; /* no other file has seals */
}

int memory_map(struct memory *m, int fd, uint64_t offset, uint64_t len,
               struct err *e)
{
    uint64_t end, page = 0, skip, map_len;
    int rc;

    memset(m, 0, sizeof(*m));
    if (len == 0 || !add_u64(offset, len, &end) || end > INT64_MAX)
        return err_set(e, -EINVAL, "",
                       "shared memory of %" PRIu64 " bytes at offset %" PRIu64
                       " of its file makes no sense",
                       len, offset);
    rc = check_size(fd, end, e);
    if (rc == 0)
        rc = page_size(fd, &page, e);
    if (rc < 0)
        return rc;

    skip = offset & (page - 1);
    map_len = (skip + len + page - 1) & ~(page - 1);
    if (map_len > PTRDIFF_MAX)
        return err_set(e, -ENOMEM, "",
                       "shared memory of %" PRIu64 " bytes is too large", len);
    m->map = mmap(NULL, map_len, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_NORESERVE, fd, (off_t)(offset - skip));
    if (m->map == MAP_FAILED) {
        m->map = NULL;
        return err_sys(e, errno, "",
                       "cannot map shared memory of %" PRIu64 " bytes", len);
    }
    m->map_len = map_len;
    madvise(m->map, m->map_len, MADV_DONTDUMP); /* it is not ours to dump */
    m->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (m->fd < 0)
        rc = err_sys(e, errno, "", "cannot keep the file of shared memory");
    else
        rc = guard(m, page, e);
    if (rc < 0) {
        if (m->fd >= 0)
            close(m->fd);
        munmap(m->map, m->map_len);
        memset(m, 0, sizeof(*m));
        return rc;
    }
    m->at = (uint8_t *)m->map + skip;
    m->len = len;
    return 0;
}

/* Both are multiples of a page's. */
static void *map_aligned(int fd, uint64_t len, uint64_t align, int prot)
{
    uint8_t *room, *at;
    uint64_t skip;

    room = mmap(NULL, len + align, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return NULL;
    skip = -(uintptr_t)room & (align - 1);
    at = room + skip;
    if (mmap(at, len, prot, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0) ==
        MAP_FAILED) {
        munmap(room, len + align);
        return NULL;
    }
    if (skip)
        munmap(room, skip);
    munmap(at + len, align - skip);
    return at;
}

int memory_map_image(struct memory *m, int fd, uint64_t len, uint64_t align,
                     bool writes, struct err *e)
{
    int rc;

    memset(m, 0, sizeof(*m));
    m->fd = -1;
    m->map = map_aligned(fd, len, align, PROT_READ | (writes ? PROT_WRITE : 0));
    if (!m->map)
        return err_sys(e, errno, "", "cannot map %" PRIu64 " bytes", len);
    m->map_len = len;
    madvise(m->map, len, MADV_RANDOM); /* a page that is missed comes alone */
    madvise(m->map, len, MADV_DONTDUMP);
    rc = guard(m, memory_page_bytes(), e);
    if (rc < 0) {
        munmap(m->map, len);
        memset(m, 0, sizeof(*m));
        return rc;
    }
    m->at = m->map;
    m->len = len;
    return 0;
}

bool memory_bring(uint8_t *at, uint64_t len)
{
    return madvise(at, len, MADV_POPULATE_READ) == 0;
}

void memory_leave(uint8_t *at, uint64_t len)
{
    madvise(at, len, MADV_DONTNEED);
}

void memory_unmap(struct memory *m)
{
    if (!m->map)
        return;
    /* The addresses may be somebody else's as soon as they are unmapped. */
    unguard(m->guard);
    closer_unmap(m->map, m->map_len, m->fd);
    memset(m, 0, sizeof(*m));
}

bool memory_is_poisoned(const struct memory *m)
{
    return m->guard && __atomic_load_n(&m->guard->poisoned, __ATOMIC_ACQUIRE);
}

bool memory_any_poisoned(void)
{
    return __atomic_load_n(&any_poisoned, __ATOMIC_ACQUIRE);
}

int memory_create(const char *name, uint64_t len, int *fd, struct err *e)
{
    int f = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int rc;

    if (f < 0)
        return err_sys(e, errno, "", "cannot make a memory file");
    if (len > INT64_MAX || ftruncate(f, (off_t)len) < 0 ||
        fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        rc = err_sys(e, len > INT64_MAX ? EFBIG : errno, "",
                     "cannot make a memory file of %" PRIu64 " bytes", len);
        close(f);
        return rc;
    }
    *fd = f;
    return 0;
}

/* ---- memory of our own ---- */

/* So much address space beside what is used, which costs nothing. */
#define GROW_TIMES 16
#define GROW_MAX_BYTES (UINT64_C(1) << 44)

uint8_t *memory_reserve(uint64_t len, uint64_t *room)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *at = MAP_FAILED;

    *room = len;
    if (len < GROW_MAX_BYTES / GROW_TIMES) {
        *room = len * GROW_TIMES;
        at = mmap(NULL, *room, PROT_NONE, flags, -1, 0);
    }
    if (at == MAP_FAILED) {
        *room = len; /* there may be a limit */
        at = mmap(NULL, len, PROT_NONE, flags, -1, 0);
    }
    if (at == MAP_FAILED)
        return NULL;
    if (memory_grow(at, len))
        return at;
    munmap(at, *room);
    return NULL;
}

bool memory_grow(uint8_t *at, uint64_t len)
{
    if (mprotect(at, len, PROT_READ | PROT_WRITE) < 0)
        return false;
    memory_prefer_large(at, len);
    madvise(at, len, MADV_DONTDUMP); /* a guest's disk */
    return true;
}

/* Random access to gigabytes in small pages is mostly misses of the TLB: with
 * large ones a 4 KiB request costs a fifth less. The kernel may be set not to
 * take the hint, of shared memory mostly. */
void memory_prefer_large(uint8_t *at, uint64_t len)
{
    madvise(at, len, MADV_HUGEPAGE);
}

void memory_release(uint8_t *at, uint64_t len)
{
    munmap(at, len);
}

bool memory_give_back(uint8_t *at, uint64_t len)
{
    return madvise(at, len, MADV_DONTNEED) == 0;
}

bool memory_give_back_shared(uint8_t *at, uint64_t len)
{
    return madvise(at, len, MADV_REMOVE) == 0;
}

/* mincore tells of anonymous pages which are in memory: those that are not are
 * not there at all, if there is no swap. */
bool memory_is_untouched(const uint8_t *at, uint64_t len)
{
    uint64_t page = memory_page_bytes();
    unsigned char in_memory[4096];
    struct sysinfo info;

    if (sysinfo(&info) < 0 || info.totalswap != 0)
        return false;
    while (len > 0) {
        uint64_t some = MIN(len, sizeof(in_memory) * page);
        uint64_t pages = (some + page - 1) / page;

        if (mincore((void *)at, some, in_memory) < 0)
            return false;
        for (uint64_t i = 0; i < pages; i++)
            if (in_memory[i] & 1)
                return false;
        at += some;
        len -= some;
    }
    return true;
}

/* Smaller than that, a large page would be mostly empty. */
#define LARGE_BYTES (UINT64_C(2) << 20)

uint8_t *memory_zeros(uint64_t len)
{
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        return NULL;
    if (len >= LARGE_BYTES)
        madvise(at, len, MADV_HUGEPAGE); /* as in memory_grow */
    madvise(at, len, MADV_DONTDUMP);
    return at;
}

uint8_t *memory_zeros_in_file(const char *name, uint64_t len, int *fd)
{
    uint64_t page = memory_page_bytes();
    struct err e;
    void *at;
    int f;

    if (len > INT64_MAX - page ||
        memory_create(name, (len + page - 1) & ~(page - 1), &f, &e) < 0)
        return NULL;
    at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, f,
              0);
    if (at == MAP_FAILED) {
        close(f);
        return NULL;
    }
    madvise(at, len, MADV_DONTDUMP);
    *fd = f;
    return at;
}

void memory_drop(uint8_t *at, uint64_t len, int fd)
{
    closer_unmap(at, len, fd);
}

bool memory_write(int fd, uint64_t offset, const uint8_t *data, uint64_t len)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        offset += (uint64_t)n;
        data += n;
        len -= (uint64_t)n;
    }
    return true;
}

uint64_t memory_page_bytes(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}
