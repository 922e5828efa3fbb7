/* Pictures and files.
 *
 * A picture is written beside its place and renamed, so that nobody sees half
 * of one. The file beside is locked while it is written: another who writes a
 * picture there finds it locked, and one that was left behind by a crash is
 * found unlocked, and used. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/gpu/picture.h"
#include "device/gpu/png.h"
#include "os/broker.h"

#define BAND_PIXELS 4096
#define PNG_MAGIC "\211PNG\r\n\032\n"

/* ---- PPM ---- */

unsigned picture_ppm_head(const struct picture *p, char out[PICTURE_PPM_HEAD])
{
    return (unsigned)snprintf(out, PICTURE_PPM_HEAD, "P6\n%u %u\n255\n",
                              p->width, p->height);
}

/* Errors are f's. */
static void ppm_save(const struct picture *p, FILE *f)
{
    size_t all = (size_t)p->width * p->height, n;
    uint8_t band[3 * BAND_PIXELS];
    char head[PICTURE_PPM_HEAD];

    fwrite(head, picture_ppm_head(p, head), 1, f);
    for (size_t at = 0; at < all && !ferror(f); at += n) {
        n = MIN(all - at, (size_t)BAND_PIXELS);
        picture_rgb(p, at, n, band);
        fwrite(band, 3, n, f);
    }
}

/* The character after white space and comments; EOF. */
static int ppm_skip(FILE *f)
{
    int c = getc(f);

    while (c == ' ' || (c >= '\t' && c <= '\r') || c == '#') {
        if (c == '#')
            while (c != '\n' && c != EOF)
                c = getc(f);
        c = getc(f);
    }
    return c;
}

/* A number of the head, and the one character after it. */
static bool ppm_number(FILE *f, uint32_t *out)
{
    int c = ppm_skip(f);

    if (c < '0' || c > '9')
        return false;
    for (*out = 0; c >= '0' && c <= '9'; c = getc(f)) {
        *out = *out * 10 + (uint32_t)(c - '0');
        if (*out > 99999)
            return false;
    }
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool ppm_pixels(FILE *f, struct picture *p)
{
    size_t all = (size_t)p->width * p->height, n;
    uint8_t band[3 * BAND_PIXELS];

    for (size_t at = 0; at < all; at += n) {
        n = MIN(all - at, (size_t)BAND_PIXELS);
        if (fread(band, 3, n, f) != n)
            return false;
        for (size_t i = 0; i < n; i++)
            p->argb[at + i] = 0xff000000u | (uint32_t)band[3 * i] << 16 |
                              (uint32_t)band[3 * i + 1] << 8 | band[3 * i + 2];
    }
    return true;
}

/* Behind "P6". */
static struct picture *ppm_load(FILE *f, struct err *e)
{
    uint32_t width, height, top;
    struct picture *p;

    if (!ppm_number(f, &width) || !ppm_number(f, &height) ||
        !ppm_number(f, &top)) {
        err_set(e, -EINVAL, "", "its first lines are not those of a PPM");
        return NULL;
    }
    if (top != 255) {
        err_set(e, -EINVAL, "", "its maximum is %u: only 255 is known here",
                top);
        return NULL;
    }
    p = picture_new(width, height, e);
    if (p && !ppm_pixels(f, p)) {
        err_set(e, -EINVAL, "", "it ends before its last pixel");
        picture_unref(p);
        return NULL;
    }
    return p;
}

/* ---- writing ---- */

/* A fifo, a device, a directory: nothing that a picture may take the place
 * of. */
static int check_place(const char *path, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_sys(e, errno, "", "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, -EEXIST, "", "%s is there, and is no regular file",
                       path);
    return 0;
}

/* 0: fd is locked, and still is the file of that name; -EAGAIN: the one who had
 * it locked has renamed it meanwhile. */
static int lock_part(int fd, const char *part, struct err *e)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat mine, named;

    if (fstat(fd, &mine) < 0)
        return err_sys(e, errno, "", "%s", part);
    if (!S_ISREG(mine.st_mode) || mine.st_uid != geteuid() || mine.st_nlink > 1)
        return err_set(e, -EEXIST, "", "%s is there, and is not vub's", part);
    if (fcntl(fd, F_OFD_SETLK, &all) < 0) {
        if (errno == EAGAIN || errno == EACCES)
            return err_set(e, -EBUSY, "",
                           "another picture is being written "
                           "to the same path");
        /* no locks on this file system */
    }
    if (fstat(fd, &mine) < 0 || lstat(part, &named) < 0 ||
        mine.st_ino != named.st_ino || mine.st_dev != named.st_dev)
        return -EAGAIN;
    if (ftruncate(fd, 0) < 0)
        return err_sys(e, errno, "", "cannot write %s", part);
    return 0;
}

static int open_part(const char *part, int *out, struct err *e)
{
    int fd, rc;

    do {
        fd = broker_open(part,
                         O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK |
                             O_NOCTTY | O_CLOEXEC,
                         0666);
        if (fd < 0)
            return broker_fail(e, fd, "write", part);
        rc = lock_part(fd, part, e);
        if (rc < 0)
            close(fd);
    } while (rc == -EAGAIN);
    *out = fd;
    return rc;
}

/* f is closed, whatever is returned. */
static int write_part(const struct picture *p, FILE *f, unsigned format,
                      uint64_t *bytes, struct err *e)
{
    off_t end;
    int rc = 0;

    errno = 0;
    if (format == PICTURE_PNG)
        rc = png_save(p, f, e);
    else
        ppm_save(p, f);
    if ((rc == 0 || rc == -EIO) && (ferror(f) || fflush(f) != 0))
        rc = err_sys(e, errno ? errno : EIO, "", "cannot write the picture");
    end = ftello(f);
    *bytes = end < 0 ? 0 : (uint64_t)end;
    return rc;
}

int picture_save(const struct picture *p, const char *path, unsigned format,
                 uint64_t *bytes, struct err *e)
{
    char *part = NULL;
    FILE *f = NULL;
    int fd = -1, rc;

    rc = check_place(path, e);
    if (rc < 0)
        return rc;
    if (asprintf(&part, "%s.part", path) < 0)
        return err_nomem(e);
    rc = open_part(part, &fd, e);
    if (rc < 0)
        goto out;
    f = fdopen(fd, "w");
    if (!f) {
        rc = err_nomem(e);
        goto out;
    }
    fd = -1; /* f's now */
    rc = write_part(p, f, format, bytes, e);
    /* It is locked until it has its name. */
    if (rc == 0) {
        rc = broker_rename(part, path);
        if (rc < 0)
            broker_fail(e, rc, "write", path);
    }
    if (rc < 0)
        broker_unlink(part);
out:
    if (f)
        fclose(f);
    if (fd >= 0)
        close(fd);
    free(part);
    return rc;
}

/* ---- reading ---- */

static struct picture *load(FILE *f, struct err *e)
{
    char magic[8];

    if (fread(magic, 1, 2, f) == 2 && memcmp(magic, "P6", 2) == 0)
        return ppm_load(f, e);
    rewind(f);
    if (fread(magic, 1, 8, f) == 8 && memcmp(magic, PNG_MAGIC, 8) == 0) {
        rewind(f);
        return png_load(f, e);
    }
    err_set(e, -EINVAL, "", "it is neither a PNG nor a PPM of the kind P6");
    return NULL;
}

struct picture *picture_load(const char *path, struct err *e)
{
    struct picture *p = NULL;
    FILE *f = NULL;
    struct stat st;
    struct err why;
    int fd;

    /* Not to wait for who writes into a fifo. */
    fd = broker_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    if (fd < 0) {
        broker_fail(e, fd, "open", path);
        goto out;
    }
    if (fstat(fd, &st) < 0) {
        err_sys(e, errno, "", "cannot open %s", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(e, -EINVAL, "", "%s is no regular file", path);
        goto out;
    }
    if ((uint64_t)st.st_size > PICTURE_FILE_MAX) {
        err_set(e, -EFBIG, "", "%s is too large for a picture", path);
        goto out;
    }
    f = fdopen(fd, "r");
    if (!f) {
        err_nomem(e);
        goto out;
    }
    fd = -1; /* f's now */
    p = load(f, &why);
    if (!p)
        err_set(e, why.code, "", "%s: %s", path, why.text);
out:
    if (f)
        fclose(f);
    if (fd >= 0)
        close(fd);
    return p;
}
