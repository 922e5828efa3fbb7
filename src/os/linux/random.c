/* By getrandom(2), which needs no file, so that the sandbox need not leave one.
 */
#include "os/random.h"

#include <errno.h>
#include <sys/random.h>

int random_bytes(void *to, size_t len)
{
    /* So few come whole, and no signal interrupts it. */
    ssize_t n = getrandom(to, len, GRND_NONBLOCK);

    if (n < 0)
        return -errno;
    return (size_t)n == len ? 0 : -EIO;
}
