/* Pictures lie beside the report as PNG files; a page that is to be whole by
 * itself has them inside, in base64 (RFC 4648, section 4). Somebody may have
 * changed the files since: what is taken in is a PNG, or nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/scenario/report_impl.h"

#define PNG_MAGIC "\211PNG\r\n\032\n"
#define PNG_HEAD 33 /* magic, and the whole of the first chunk */

/* ---- files ---- */

/* path as it can be opened: a relative one begins at the report's directory,
 * if there is such a file. To be freed; NULL: no memory. */
static char *where(const char *path, const char *report)
{
    const char *slash = strrchr(report, '/');
    char *out;

    if (*path != '/' && slash) {
        if (asprintf(&out, "%.*s/%s", (int)(slash - report), report, path) < 0)
            return NULL;
        if (access(out, F_OK) == 0)
            return out;
        free(out);
    }
    return strdup(path);
}

static const char *read_all(struct report_png *out, int fd, size_t max)
{
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return "it is no file";
    if ((uint64_t)st.st_size > max)
        return "it is too large";
    if (st.st_size < PNG_HEAD)
        return "it is no PNG";
    out->bytes = malloc((size_t)st.st_size);
    if (!out->bytes)
        return "there is no memory";
    while (out->len < (size_t)st.st_size) {
        n = read(fd, out->bytes + out->len, (size_t)st.st_size - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return "it cannot be read";
        out->len += (size_t)n;
    }
    return NULL;
}

static unsigned be32(const uint8_t *b)
{
    return (unsigned)b[0] << 24 | (unsigned)b[1] << 16 | (unsigned)b[2] << 8 |
           b[3];
}

const char *report_png_read(struct report_png *out, const char *path,
                            const char *report, size_t max)
{
    char *name = where(path, report);
    struct report_png png = {0};
    const char *why;
    int fd;

    if (!name)
        return "there is no memory";
    fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    free(name);
    if (fd < 0)
        return "there is no such file";
    why = read_all(&png, fd, max);
    close(fd);
    if (!why && (memcmp(png.bytes, PNG_MAGIC, 8) != 0 ||
                 memcmp(png.bytes + 12, "IHDR", 4) != 0))
        why = "it is no PNG";
    if (why) {
        free(png.bytes);
        return why;
    }
    png.width = be32(png.bytes + 16);
    png.height = be32(png.bytes + 20);
    *out = png;
    return NULL;
}

void report_png_free(struct report_png *png)
{
    free(png->bytes);
    *png = (struct report_png){0};
}

void report_put_base64(FILE *f, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    char out[4];

    for (size_t i = 0; i < len; i += 3) {
        size_t n = MIN(len - i, (size_t)3);
        unsigned bits = (unsigned)bytes[i] << 16;

        if (n > 1)
            bits |= (unsigned)bytes[i + 1] << 8;
        if (n > 2)
            bits |= bytes[i + 2];
        for (unsigned j = 0; j < 4; j++)
            out[j] = j > n ? '=' : digits[bits >> (18 - 6 * j) & 63];
        fwrite(out, 1, sizeof(out), f);
    }
}

/* ---- links ---- */

bool report_is_beside(const char *path, const char *report)
{
    const char *name = strrchr(path, '/'), *slash = strrchr(report, '/');

    if (!name)
        return *path;
    return slash && name[1] && name - path == slash - report &&
           memcmp(path, report, (size_t)(slash - report)) == 0;
}

void report_put_link(FILE *f, const char *path)
{
    const char *name = strrchr(path, '/');

    name = name ? name + 1 : path;
    /* So that no name is taken for a scheme. */
    fputs("./", f);
    for (const unsigned char *c = (const unsigned char *)name; *c; c++) {
        if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
            (*c >= '0' && *c <= '9') || strchr("-._~", *c))
            putc(*c, f);
        else
            fprintf(f, "%%%02X", *c);
    }
}
