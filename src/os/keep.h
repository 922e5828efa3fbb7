/* os/keep.h: memory that outlives this process.
 *
 * What a device knows beside its config, its store and its rings (which keys
 * its guest holds, its write cache, resources of a GPU) lies in memory that has
 * a name. Another process that goes on with the device, a new vub that takes
 * over or the next child of an isolated one, asks for that memory by the same
 * name and finds it as it was left.
 *
 * It may have been left by SIGKILL, in the middle of a change. So whoever keeps
 * something keeps it in a way that this can be told and undone: two copies and
 * the number of the good one, or words that are whole at each moment. What is
 * found is checked as a stranger's would be: a process that a guest has taken
 * over may have written it.
 *
 * The layout is part of the name ("block.1"): memory of another layout, or of
 * another length, is not found.
 *
 * Threads: any, but for keep_on_change: before others exist. */
#ifndef VUB_OS_KEEP_H
#define VUB_OS_KEEP_H

#include "base/err.h"

struct kept {
    uint8_t *at;  /* [len] shared memory, whole pages; zeros if not found */
    uint64_t len; /* bytes, as asked for */
    int fd;       /* of the file, which is the registry's */
    bool found;   /* somebody before us has left it */
};

/* Memory of device `id` by that name, 1 to KEEP_NAME_MAX bytes each. One user
 * at a time. Pages that nobody touches take no room. On failure there is
 * nothing to drop. */
#define KEEP_NAME_MAX 64
int keep_get(struct kept *k, const char *id, const char *name, uint64_t len,
             struct err *e);
/* The same, if somebody before us has left it; else -ENOENT. */
int keep_find(struct kept *k, const char *id, const char *name, uint64_t len,
              struct err *e);
/* Nobody needs what is there any more: the device is gone for good, or begins
 * anew. Safe on a zero struct. Of a device that is handed on (keep_take) only
 * this process's mapping goes. */
void keep_drop(struct kept *k);

/* Is what is kept there for another process whenever this one ends, even by
 * SIGKILL (keep_on_change)? If so, what is large is kept from the start; if
 * not, it may be put into kept memory when the device is handed on
 * (device_ops.save), at the price of a pause. */
bool keep_survives_kill(void);

/* Something of len bytes that changes as a whole: two copies and the number of
 * the good one, in keep_pair_bytes(len) bytes of kept memory. One thread at a
 * time. */
uint64_t keep_pair_bytes(uint32_t len);
void keep_pair_write(uint8_t *at, const void *whole, uint32_t len);
/* False: it was never written. */
bool keep_pair_read(const uint8_t *at, void *whole, uint32_t len);

/* ---- for who hands on ---- */

struct keep_item {
    /* Ends in a zero each. */
    char id[KEEP_NAME_MAX + 1], name[KEEP_NAME_MAX + 1];
    uint64_t len;
    int fd;
};

/* What there is of a device, by copies of the fds, which are the caller's;
 * those in use are marked, so that keep_drop does not forget them. Returns how
 * many, or a negative errno. items: to be freed. */
int keep_take(const char *id, struct keep_item **items);
/* It is not handed on after all. */
void keep_untake(const char *id);
/* The other end: takes the fd, in place of what is there by that name. A file
 * that is not memory as keep_get makes it, of that length and unable to shrink,
 * is refused, and so is more than KEEP_ITEMS_MAX of a device: fd is closed. */
#define KEEP_ITEMS_MAX 1024
int keep_put(const struct keep_item *item);
/* Is fd such a file? For who only passes it on. */
bool keep_is_memory(int fd, uint64_t len);
/* Nobody asks any more for what was put for this device: forgets it. */
void keep_forget(const char *id);
/* Everything that is new, or dropped (fd -1), is told at once, from whatever
 * thread, in its order; keep_survives_kill is true from now on. item is good
 * for the call, and its fd the registry's. tell may not call anything in
 * here. */
void keep_on_change(void (*tell)(const struct keep_item *item, void *arg),
                    void *arg);

#endif
