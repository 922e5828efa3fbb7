/* store/engine.h: how a file store does I/O that may wait.
 *
 * An engine belongs to one channel and its loop. Requests given to it end by
 * store_complete. `threads` does everything; `uring` does what the kernel does
 * well without threads, and hands the rest to a `threads`. */
#ifndef VUB_STORE_ENGINE_H
#define VUB_STORE_ENGINE_H

#include "os/file.h"
#include "store/impl.h"

struct engine {
    /* Always pending. */
    void (*submit)(struct engine *e, struct store_req *r);
    void (*kick)(struct engine *e);
    /* Those of owner that no kernel or thread has yet end here, with -EIO. */
    void (*give_up)(struct engine *e, const void *owner);
    /* Nothing is pending. Frees e, now or in a later turn of the loop. */
    void (*close)(struct engine *e);
};

/* fd stays the caller's; it is open until engine->close was called. */
int engine_threads_open(struct engine **out, struct loop *loop, int fd,
                        enum file_kind kind, struct err *e);
/* direct: fd is open for direct I/O. threads: for what it cannot do; the
 * caller's. e says why not. */
int engine_uring_open(struct engine **out, struct loop *loop, int fd,
                      enum file_kind kind, bool direct, struct engine *threads,
                      struct err *e);
/* uring_reserve for so many engines. */
void engine_uring_reserve(unsigned num);
/* Would engine_uring_open succeed? 0, or why not. */
int engine_uring_probe(int fd, struct err *e);

/* store/lock.c: the image lock. -EAGAIN with a sentence: somebody has it. */
int lock_acquire(int fd, const char *path, bool read_only, struct err *e);
void lock_release(int fd);

#endif
