/* The node is opened for each dma-buf, by the broker: nothing is kept open for
 * what may never be asked for, and in the sandbox nothing can be opened here.
 */
#include "os/udmabuf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "os/broker.h"

#define DEVICE "/dev/udmabuf"

bool udmabuf_is_there(void)
{
    return access(DEVICE, R_OK | W_OK) == 0;
}

int udmabuf_create(int memfd, uint64_t offset, uint64_t len)
{
    const struct udmabuf_create create = {
        .memfd = (uint32_t)memfd,
        .flags = UDMABUF_FLAGS_CLOEXEC,
        .offset = offset,
        .size = len,
    };
    int fd = broker_open(DEVICE, O_RDWR | O_CLOEXEC, 0), rc;

    if (fd < 0)
        return fd;
    rc = ioctl(fd, UDMABUF_CREATE, &create);
    if (rc < 0)
        rc = -errno;
    close(fd);
    return rc;
}
