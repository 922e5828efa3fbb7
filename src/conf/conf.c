/* A document: its text, read whole, becomes a tree; --set changes the tree;
 * read.c makes structs of it; the tree goes. */
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/reader.h"
#include "os/broker.h"

/* A thousand devices take a few hundred KiB. */
#define FILE_MAX_BYTES (4u << 20)

struct block {
    struct block *next;
    alignas(max_align_t) char data[];
};

struct conf_doc {
    struct block *blocks;
    char *dir; /* one of the blocks; NULL: it was not read as a whole */
    unsigned more_refs; /* atomic: beside the first */
};

void *doc_alloc(struct conf_doc *doc, size_t size)
{
    struct block *b = calloc(1, sizeof(*b) + size);

    if (!b)
        return NULL;
    b->next = doc->blocks;
    doc->blocks = b;
    return b->data;
}

struct conf_doc *conf_new(void)
{
    return calloc(1, sizeof(struct conf_doc));
}

const char *conf_dir(const struct conf_doc *doc)
{
    return doc->dir;
}

struct conf_doc *conf_ref(struct conf_doc *doc)
{
    __atomic_fetch_add(&doc->more_refs, 1, __ATOMIC_RELAXED);
    return doc;
}

void conf_free(struct conf_doc *doc)
{
    struct block *next;

    if (!doc || __atomic_fetch_sub(&doc->more_refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (struct block *b = doc->blocks; b; b = next) {
        next = b->next;
        free(b);
    }
    free(doc);
}

/* Applies all of them: each that fails is an error of its own. */
static int apply_sets(struct json *tree, const char *const *sets,
                      struct errs *e)
{
    int rc = 0;

    for (; sets && *sets; sets++) {
        struct err why;

        if (json_set(tree, *sets, &why) < 0)
            rc = errs_push(e, &why);
    }
    return rc;
}

int conf_read_text(struct conf_doc **out_doc, void **out,
                   const struct conf_table *root, const char *text, size_t len,
                   const char *dir, const char *const *sets, struct errs *e)
{
    struct conf_doc *doc = NULL;
    struct json *tree;
    struct err why;
    void *data = NULL;
    int rc, set_rc;

    tree = json_parse(text, len, &why);
    if (!tree)
        return errs_push(e, &why);
    doc = conf_new();
    if (!doc) {
        rc = errs_nomem(e);
        goto out;
    }
    doc->dir = doc_alloc(doc, strlen(dir) + 1);
    if (!doc->dir) {
        rc = errs_nomem(e);
        goto out;
    }
    strcpy(doc->dir, dir);
    set_rc = apply_sets(tree, sets, e);
    rc = read_tree(doc, &data, root, tree, dir, e);
    if (rc == 0)
        rc = set_rc;
    if (rc == 0) {
        *out_doc = doc;
        *out = data;
        doc = NULL; /* the caller's now */
    }
out:
    conf_free(doc);
    json_free(tree);
    return rc;
}

/* Reads fd to its end into *text, which the caller frees and which has a NUL
 * behind it. */
static int read_all(int fd, char **text, size_t *len, struct errs *e)
{
    size_t room = 16384, have = 0;
    char *buf = malloc(room + 1), *more;
    ssize_t n;

    while (buf) {
        n = read(fd, buf + have, room - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int rc = -errno;

            free(buf);
            return errs_add(e, rc, "", "cannot be read: %s", strerror(-rc));
        }
        have += (size_t)n;
        if (n == 0) {
            buf[have] = '\0';
            *text = buf;
            *len = have;
            return 0;
        }
        if (have > FILE_MAX_BYTES) {
            free(buf);
            return errs_add(e, -EFBIG, "", "the file is larger than %u MiB",
                            FILE_MAX_BYTES >> 20);
        }
        if (have < room)
            continue;
        room *= 2;
        more = realloc(buf, room + 1);
        if (!more)
            free(buf);
        buf = more;
    }
    return errs_nomem(e);
}

/* Where relative paths of the file start: its directory; of what has none, a
 * pipe or a file that is known by a descriptor (/dev/stdin, /dev/fd/3), the
 * current one. */
static int directory_of(const char *path, bool is_pipe, char *dir,
                        struct errs *e)
{
    char copy[PATH_MAX];
    bool found;

    snprintf(copy, sizeof(copy), "%s", path);
    found = realpath(is_pipe ? "." : dirname(copy), dir);
    if (found && (strcmp(dir, "/dev") == 0 || strncmp(dir, "/proc/", 6) == 0))
        found = realpath(".", dir);
    if (!found)
        return errs_add(e, -errno, "", "its directory cannot be found: %s",
                        strerror(errno));
    return 0;
}

int conf_read_file(struct conf_doc **doc, void **out,
                   const struct conf_table *root, const char *path,
                   const char *const *sets, struct errs *e)
{
    char dir[PATH_MAX], *text = NULL;
    size_t len = 0;
    struct stat st;
    int fd, rc;

    fd = broker_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
    if (fd < 0) {
        rc = errs_add(e, fd, "", "cannot be opened: %s", strerror(-fd));
        goto out;
    }
    if (fstat(fd, &st) < 0) {
        rc = errs_add(e, -errno, "", "cannot be opened: %s", strerror(errno));
        goto out;
    }
    if (S_ISDIR(st.st_mode)) {
        rc = errs_add(e, -EISDIR, "", "is a directory, not a file");
        goto out;
    }
    rc = directory_of(path, !S_ISREG(st.st_mode), dir, e);
    if (rc < 0)
        goto out;
    rc = read_all(fd, &text, &len, e);
    if (rc < 0)
        goto out;
    rc = conf_read_text(doc, out, root, text, len, dir, sets, e);
out:
    if (fd >= 0)
        close(fd);
    free(text);
    return rc;
}
