/* conf/reader.h: inside conf/: where the reader is, what it found wrong, and
 * whose memory it fills.
 *
 * conf.c makes a document, read.c walks the tree by tables, value.c reads the
 * values that are no objects. Everything that tables fill lives in one list of
 * allocations of the document, freed at once. */
#ifndef VUB_CONF_READER_H
#define VUB_CONF_READER_H

#include "conf/conf.h"
#include "conf/json.h"

/* Where we are: a chain on the stack. up NULL: the document itself. */
struct place {
    const struct place *up;
    const char *name; /* NULL: an element */
    int index;
};

struct reader {
    struct conf_doc *doc;
    const char *dir; /* where relative paths start; absolute */
    struct errs *e;
    /* Of the errors in e, inside elements of lists: see conf_table.check. */
    unsigned excused;
    bool no_memory;
};

/* Writes the JSON Pointer of p as snprintf would: always ended, cut to room,
 * the whole length returned. */
size_t place_pointer(const struct place *p, char *out, size_t room);

void reader_fail(struct reader *r, const struct place *p, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* "must be ..., not ...": n is not what k wants. */
void reader_fail_type(struct reader *r, const struct place *p,
                      const struct conf_key *k, const struct json *n);

/* Zeroed, the document's. NULL: noted in r, and the reading fails as a whole:
 * callers only must not use it. */
void *reader_alloc(struct reader *r, size_t size);
void *doc_alloc(struct conf_doc *doc, size_t size); /* conf.c's */

/* n as JSON, the document's; NULL: noted likewise. */
const char *reader_json(struct reader *r, const struct json *n);

/* Says which keys are there more than once, in the whole tree. */
void reader_check_duplicates(struct reader *r, const struct place *p,
                             const struct json *n);

/* Reads a value of any type but those that hold objects by tables. */
void read_scalar(struct reader *r, const struct json *n, const struct place *p,
                 const struct conf_key *k, void *field);

/* Reads the tree by root's keys into *out, the document's. 0, or a negative
 * errno with errors in e. */
int read_tree(struct conf_doc *doc, void **out, const struct conf_table *root,
              const struct json *tree, const char *dir, struct errs *e);

#endif
