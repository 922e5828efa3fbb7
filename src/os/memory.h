/* os/memory.h: other people's files, mapped shared, and what happens when
 * they shrink.
 *
 * Guest memory, dirty logs and in-flight records are files that a front-end
 * sent us. Their size is checked when they are mapped, but the front-end may
 * truncate them later, and then every access to what is gone raises SIGBUS.
 * A mapping here is guarded: the fault is met by empty private memory, the
 * access goes on, and the mapping is poisoned for good. What is read there is
 * zero, what is written is lost; whoever sees the poison ends the session.
 * Threads: any, for different mappings; memory_is_poisoned: any. */
#ifndef VUB_OS_MEMORY_H
#define VUB_OS_MEMORY_H

#include "base/base.h"
#include "base/err.h"

struct memory_guard;

struct memory {
    uint8_t *at;  /* where the bytes asked for begin */
    uint64_t len; /* bytes asked for */

    /* os/ only: whole pages of the file's own page size */
    void *map;
    size_t map_len;
    int fd; /* of the file; kept for who takes over from us one day */
    struct memory_guard *guard;
};

/* Is fd memory and nothing else: memfd, tmpfs or huge pages? Any other file may
 * have a file system behind it that answers when it likes, and a thread that
 * touches a page of it waits for that. Asks no file system. */
bool memory_is_ram(int fd);
/* Maps [offset, offset + len) of fd (which stays the caller's) to read and
 * write. Refuses what lies beyond the end of the file. offset need not be a
 * multiple of anything. On failure there is nothing to unmap. */
int memory_map(struct memory *m, int fd, uint64_t offset, uint64_t len,
               struct err *e);
/* Maps the first len bytes of an image, to be read, or also written, at an
 * address that is a multiple of align, a power of two; len is one of a page.
 * Takes no memory: pages are there when they are brought, or touched, which
 * then may wait for a disk. On failure there is nothing to unmap. */
int memory_map_image(struct memory *m, int fd, uint64_t len, uint64_t align,
                     bool writes, struct err *e);
/* Whole pages of it, that are in memory already, will be touched. */
bool memory_bring(uint8_t *at, uint64_t len);
/* They will not be touched for a while. */
void memory_leave(uint8_t *at, uint64_t len);
/* Nobody touches it any more. What is large is unmapped a little later
 * (os/closer.h). Safe on a zero struct. */
void memory_unmap(struct memory *m);

/* Has this mapping lost bytes? */
bool memory_is_poisoned(const struct memory *m);
/* Has any mapping of this process, ever? One load: false nearly always. */
bool memory_any_poisoned(void);

/* A new file of len zero bytes, in memory only, to be sent to others; it
 * cannot shrink. The fd is the caller's. */
int memory_create(const char *name, uint64_t len, int *fd, struct err *e);

/* len bytes of zeros of our own, which take no room until they are written,
 * and then some megabytes at a time where the system has large pages. *room:
 * how large they can grow where they are; all of it is to be released. NULL:
 * there is no address space. */
uint8_t *memory_reserve(uint64_t len, uint64_t *room);
/* They are len bytes from now on, which were fewer. */
bool memory_grow(uint8_t *at, uint64_t len);
void memory_release(uint8_t *at, uint64_t len);
/* Whole pages become zeros again and take no room. False: they are as they
 * were. The second of memory that is a file's, shared. */
bool memory_give_back(uint8_t *at, uint64_t len);
bool memory_give_back_shared(uint8_t *at, uint64_t len);
/* The system may use large pages for it, if it can. A hint. */
void memory_prefer_large(uint8_t *at, uint64_t len);
/* Are whole pages of memory_reserve known to be as they were made? Costs less
 * than to look at what is in them, but no is no answer. */
bool memory_is_untouched(const uint8_t *at, uint64_t len);

/* As memory_reserve, but it cannot grow: len bytes of zeros at the start of a
 * page, for memory_drop. NULL: there is no address space. */
uint8_t *memory_zeros(uint64_t len);
/* The same in a file of its own, of whole pages, as memory_create makes them.
 * NULL: there is none; else *fd is the caller's. */
uint8_t *memory_zeros_in_file(const char *name, uint64_t len, int *fd);
/* What those two gave is no more; fd is closed, unless it is -1. What is large
 * a little later (os/closer.h). */
void memory_drop(uint8_t *at, uint64_t len, int fd);
/* To a file in memory. False: not all of it. */
bool memory_write(int fd, uint64_t offset, const uint8_t *data, uint64_t len);
uint64_t memory_page_bytes(void);

#endif
