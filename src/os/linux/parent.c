/* A pidfd, where there is one: it means the process. PR_SET_PDEATHSIG means the
 * thread that started us, which a program may end and live on; it is for old
 * kernels, and for a parent in another pid namespace, which has no number here.
 *
 * Whoever is our parent when asked may be somebody who adopted us. So the
 * parent is the one we had when the program began, and it must be the same
 * still when all is set up: until then its number was its own. */
#include "os/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/linux/own.h"

int parent_open(void)
{
    int fd = -1;

#ifdef SYS_pidfd_open
    if (process_parent > 0)
        fd = (int)syscall(SYS_pidfd_open, process_parent, 0);
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    if (fd < 0)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != process_parent) {
        if (fd >= 0)
            close(fd);
        return -ESRCH;
    }
    return fd >= 0 ? fd : -ENOSYS;
}
