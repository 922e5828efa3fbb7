/* The registry of kept memory: a list of memory files, each with who owns it
 * and its name.
 *
 * An entry is in use while somebody has it mapped, and waits for a user after
 * keep_put. keep_drop ends it, unless it is handed on (taken): then it waits
 * again, for the process that goes on, or for a user in this one if that comes
 * to nothing.
 *
 * What is put may come from a process that a guest has taken over, which may
 * have another fd of it still. So the file has to be sealed against shrinking:
 * no page of it can go from under us and there is no SIGBUS to be met. Large
 * pages, which can run out, and what cannot be written to are refused too. */
#include "os/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/list.h"
#include "os/closer.h"
#include "os/memory.h"

struct entry {
    struct list node;
    struct keep_item item;
    bool in_use, taken;
};

/* All under the mutex; `watched` is atomic as well. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list entries = {&entries, &entries};
static void (*tell)(const struct keep_item *item, void *arg);
static void *tell_arg;
static bool watched;

static struct entry *entry_of(struct list *node)
{
    return container_of(node, struct entry, node);
}

static bool is_of(const struct entry *en, const char *id)
{
    return strcmp(en->item.id, id) == 0;
}

static struct entry *find(const char *id, const char *name)
{
    LIST_EACH (&entries, it)
        if (is_of(entry_of(it), id) &&
            strcmp(entry_of(it)->item.name, name) == 0)
            return entry_of(it);
    return NULL;
}

static unsigned count(const char *id)
{
    unsigned n = 0;

    LIST_EACH (&entries, it)
        n += is_of(entry_of(it), id);
    return n;
}

static bool is_name(const char *s)
{
    size_t len = strnlen(s, KEEP_NAME_MAX + 1);

    return len > 0 && len <= KEEP_NAME_MAX;
}

/* 0: there is no such length. */
static uint64_t whole_pages(uint64_t len)
{
    uint64_t page = memory_page_bytes();

    return len > INT64_MAX - page ? 0 : (len + page - 1) & ~(page - 1);
}

/* The fd is the entry's. NULL: no memory. */
static struct entry *add(const char *id, const char *name, uint64_t len, int fd)
{
    struct entry *en = calloc(1, sizeof(*en));

    if (!en)
        return NULL;
    snprintf(en->item.id, sizeof(en->item.id), "%s", id);
    snprintf(en->item.name, sizeof(en->item.name), "%s", name);
    en->item.len = len;
    en->item.fd = fd;
    list_add(&entries, &en->node);
    return en;
}

static void tell_of(const struct entry *en)
{
    if (tell)
        tell(&en->item, tell_arg);
}

/* Its fd is the caller's now. */
static int forget(struct entry *en)
{
    int fd = en->item.fd;

    en->item.fd = -1;
    tell_of(en);
    list_del(&en->node);
    free(en);
    return fd;
}

/* Under the mutex: the entry that is asked for, found, or made if make. */
static int get(struct entry **out, bool *found, bool make, const char *id,
               const char *name, uint64_t len, struct err *e)
{
    struct entry *en = find(id, name);
    char file[KEEP_NAME_MAX + sizeof("vub-kept-")];
    int fd, rc;

    if (en && en->in_use)
        return err_set(e, -EBUSY, "", "kept memory %s is in use", name);
    *found = en && en->item.len == len;
    if (*found) {
        *out = en;
        return 0;
    }
    if (en)
        close(forget(en));
    if (!make)
        return err_set(e, -ENOENT, "", "nobody has left %s", name);
    if (count(id) >= KEEP_ITEMS_MAX)
        return err_set(e, -EMFILE, "",
                       "no more than %d pieces of memory are "
                       "kept of a device",
                       KEEP_ITEMS_MAX);
    snprintf(file, sizeof(file), "vub-kept-%s", name);
    rc = memory_create(file, whole_pages(len), &fd, e);
    if (rc < 0)
        return rc;
    en = add(id, name, len, fd);
    if (!en) {
        close(fd);
        return err_nomem(e);
    }
    *out = en;
    return 0;
}

static void put_back(struct entry *en, bool found)
{
    if (!found) {
        list_del(&en->node);
        close(en->item.fd);
        free(en);
    }
}

static int map(struct kept *k, bool make, const char *id, const char *name,
               uint64_t len, struct err *e)
{
    struct entry *en = NULL;
    uint8_t *at;
    bool found = false;
    int rc;

    memset(k, 0, sizeof(*k));
    if (!is_name(id) || !is_name(name) || len == 0 || whole_pages(len) == 0)
        return err_set(e, -EINVAL, "",
                       "kept memory %s of %" PRIu64 " bytes makes no sense",
                       name, len);
    pthread_mutex_lock(&lock);
    rc = get(&en, &found, make, id, name, len, e);
    if (rc < 0)
        goto out;
    at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
              en->item.fd, 0);
    if (at == MAP_FAILED) {
        rc = err_sys(e, errno, "", "cannot map %" PRIu64 " bytes of memory",
                     len);
        put_back(en, found);
        goto out;
    }
    madvise(at, len, MADV_DONTDUMP); /* much of it is a guest's */
    en->in_use = true;
    *k = (struct kept){.at = at, .len = len, .fd = en->item.fd, .found = found};
    if (!found)
        tell_of(en);
out:
    pthread_mutex_unlock(&lock);
    return rc;
}

int keep_get(struct kept *k, const char *id, const char *name, uint64_t len,
             struct err *e)
{
    return map(k, true, id, name, len, e);
}

int keep_find(struct kept *k, const char *id, const char *name, uint64_t len,
              struct err *e)
{
    return map(k, false, id, name, len, e);
}

static struct entry *find_fd(int fd)
{
    LIST_EACH (&entries, it)
        if (entry_of(it)->item.fd == fd)
            return entry_of(it);
    return NULL;
}

void keep_drop(struct kept *k)
{
    struct entry *en;
    int fd = -1;

    if (!k->at)
        return;
    pthread_mutex_lock(&lock);
    en = find_fd(k->fd);
    if (en && en->taken)
        en->in_use = false;
    else if (en)
        fd = forget(en);
    pthread_mutex_unlock(&lock);
    closer_unmap(k->at, k->len, fd);
    memset(k, 0, sizeof(*k));
}

bool keep_survives_kill(void)
{
    return __atomic_load_n(&watched, __ATOMIC_ACQUIRE);
}

/* ---- what changes as a whole ---- */

/* The number of times that it was written, in a line of its own, and two
 * copies: its last bit is which of them is good. */
#define PAIR_HEAD_BYTES 64

uint64_t keep_pair_bytes(uint32_t len)
{
    return PAIR_HEAD_BYTES + 2 * (uint64_t)len;
}

void keep_pair_write(uint8_t *at, const void *whole, uint32_t len)
{
    uint64_t *times = (uint64_t *)at;
    uint64_t next = __atomic_load_n(times, __ATOMIC_RELAXED) + 1;

    next += next == 0; /* a stranger's number */
    memcpy(at + PAIR_HEAD_BYTES + (next & 1 ? len : 0), whole, len);
    __atomic_store_n(times, next, __ATOMIC_RELEASE);
}

bool keep_pair_read(const uint8_t *at, void *whole, uint32_t len)
{
    uint64_t times = __atomic_load_n((const uint64_t *)at, __ATOMIC_ACQUIRE);

    if (times == 0)
        return false;
    memcpy(whole, at + PAIR_HEAD_BYTES + (times & 1 ? len : 0), len);
    return true;
}

/* ---- handing on ---- */

static int copy_of(const struct entry *en, struct keep_item *out)
{
    *out = en->item;
    out->fd = fcntl(en->item.fd, F_DUPFD_CLOEXEC, 0);
    return out->fd < 0 ? -errno : 0;
}

int keep_take(const char *id, struct keep_item **items)
{
    struct keep_item *list;
    int n = 0, rc = 0;

    pthread_mutex_lock(&lock);
    list = calloc((size_t)count(id) + 1, sizeof(*list)); /* never none */
    if (!list)
        rc = -ENOMEM;
    LIST_EACH (&entries, it) {
        if (rc < 0)
            break;
        if (!is_of(entry_of(it), id))
            continue;
        rc = copy_of(entry_of(it), &list[n]);
        n += rc == 0;
    }
    LIST_EACH (&entries, it)
        if (rc == 0 && is_of(entry_of(it), id))
            entry_of(it)->taken = true;
    pthread_mutex_unlock(&lock);
    if (rc < 0) {
        while (n > 0)
            close(list[--n].fd);
        free(list);
        return rc;
    }
    *items = list;
    return n;
}

void keep_untake(const char *id)
{
    pthread_mutex_lock(&lock);
    LIST_EACH (&entries, it)
        if (is_of(entry_of(it), id))
            entry_of(it)->taken = false;
    pthread_mutex_unlock(&lock);
}

/* -EINVAL: it is not as keep_get makes it. */
static int check_file(int fd, uint64_t len)
{
    int seals = fcntl(fd, F_GET_SEALS); /* fails for what is not memory */
    uint64_t bytes = whole_pages(len);
    struct statfs fs;
    struct stat st;

    if (seals < 0 ||
        (seals & (F_SEAL_SHRINK | F_SEAL_SEAL)) !=
            (F_SEAL_SHRINK | F_SEAL_SEAL) ||
        seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return -EINVAL;
    if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
        return -errno;
    if ((uint64_t)fs.f_type == HUGETLBFS_MAGIC || len == 0 || bytes == 0 ||
        st.st_size < 0 || (uint64_t)st.st_size != bytes ||
        (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR)
        return -EINVAL;
    return 0;
}

bool keep_is_memory(int fd, uint64_t len)
{
    return check_file(fd, len) == 0;
}

int keep_put(const struct keep_item *item)
{
    struct entry *en;
    int rc = -EINVAL;

    if (is_name(item->id) && is_name(item->name))
        rc = check_file(item->fd, item->len);
    if (rc < 0) {
        close(item->fd);
        return rc;
    }
    pthread_mutex_lock(&lock);
    en = find(item->id, item->name);
    if (en && en->in_use)
        rc = -EBUSY;
    else if (en)
        close(forget(en));
    if (rc == 0 && count(item->id) >= KEEP_ITEMS_MAX)
        rc = -EMFILE;
    if (rc == 0 && !add(item->id, item->name, item->len, item->fd))
        rc = -ENOMEM;
    pthread_mutex_unlock(&lock);
    if (rc < 0)
        close(item->fd);
    return rc;
}

void keep_forget(const char *id)
{
    pthread_mutex_lock(&lock);
    LIST_EACH_SAFE (&entries, it)
        if (is_of(entry_of(it), id) && !entry_of(it)->in_use)
            close(forget(entry_of(it)));
    pthread_mutex_unlock(&lock);
}

void keep_on_change(void (*fn)(const struct keep_item *item, void *arg),
                    void *arg)
{
    pthread_mutex_lock(&lock);
    tell = fn;
    tell_arg = arg;
    pthread_mutex_unlock(&lock);
    __atomic_store_n(&watched, fn != NULL, __ATOMIC_RELEASE);
}
