/* os/udmabuf.h: a file in memory as a dma-buf, which graphics processors can
 * read. Not every system can. Threads: any. */
#ifndef VUB_OS_UDMABUF_H
#define VUB_OS_UDMABUF_H

#include "base/base.h"

/* Can this process make any? */
bool udmabuf_is_there(void);
/* Of [offset, offset + len) of a file that memory_create() made: whole pages,
 * of which the system may allow so many (64 MiB). The fd is the caller's, and
 * the file may be closed before it. */
int udmabuf_create(int memfd, uint64_t offset, uint64_t len);

#endif
