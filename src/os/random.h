/* os/random.h: bytes that nobody can guess. Threads: any. */
#ifndef VUB_OS_RANDOM_H
#define VUB_OS_RANDOM_H

#include "base/base.h"

/* At most 256 of them; does not wait. -EAGAIN: the system has just been
 * started, and has none yet. */
int random_bytes(void *to, size_t len);

#endif
