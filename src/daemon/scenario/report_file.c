/* Who looks at a report while it is written, or after its writer was killed,
 * sees the one before, whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/scenario/report_impl.h"

int report_file_open(struct report_file *out, const char *path, struct err *e)
{
    struct report_file file = {.path = path};
    int fd, rc;

    if (asprintf(&file.beside, "%s.new", path) < 0)
        return err_nomem(e);
    fd = open(file.beside,
              O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) {
        rc = err_sys(e, errno, path, "cannot write it");
        free(file.beside);
        return rc;
    }
    file.f = fdopen(fd, "w");
    if (!file.f) {
        close(fd);
        unlink(file.beside);
        free(file.beside);
        return err_nomem(e);
    }
    *out = file;
    return 0;
}

int report_file_close(struct report_file *file, struct err *e)
{
    /* Where the disk is full, both may say so; errno is of the last. */
    bool failed = fflush(file->f) != 0 || ferror(file->f);
    int rc = 0, errnum = errno;

    if (fclose(file->f) != 0 && !failed) {
        failed = true;
        errnum = errno;
    }
    if (!failed && rename(file->beside, file->path) < 0) {
        failed = true;
        errnum = errno;
    }
    if (failed) {
        unlink(file->beside);
        rc = err_sys(e, errnum ? errnum : EIO, file->path, "cannot write it");
    }
    free(file->beside);
    *file = (struct report_file){0};
    return rc;
}

void report_file_drop(struct report_file *file)
{
    fclose(file->f);
    unlink(file->beside);
    free(file->beside);
    *file = (struct report_file){0};
}
