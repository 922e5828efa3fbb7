/* conf/reader.h: inside conf/: where the reader is, what it found wrong, and
 * whose memory it fills.
 *
 * conf.c makes a document, read.c and keyed.c walk the tree by tables, value.c
 * reads the values that are no objects. Everything that tables fill lives in
 * one list of allocations of the document, freed at once. */
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

/* An object of the file and the keys it may have: the table's own, and those
 * that all members of its union share, or of another table. */
struct object {
    const struct place *place;
    const struct conf_table *tables[2]; /* whose checks are due; NULL: none */
    const struct conf_union *of;        /* NULL: it has no "type" */
    const struct conf_key *keys[2];
    void *data[2];   /* which they fill */
    uint64_t met[2]; /* bit i: keys[..][i] was in the file */
};

/* By its keys; then the checks of its tables. */
void reader_object(struct reader *r, const struct json *n, struct object *o);
/* False: it is none, which is said. */
bool reader_is_object(struct reader *r, const struct json *n,
                      const struct place *p);
/* The elements of a list, of so many bytes each, as `one` reads them: false if
 * there is nothing in *out. NULL: it is no list. */
void *reader_list(struct reader *r, const struct json *n, const struct place *p,
                  const struct conf_key *k, size_t size,
                  bool (*one)(struct reader *r, const struct json *n,
                              const struct place *p, const struct conf_key *k,
                              void *out),
                  int *count);
/* keyed.c: a CONF_KEYED. */
void reader_keyeds(struct reader *r, const struct json *n,
                   const struct place *p, const struct conf_key *k,
                   struct conf_keyeds *out);

/* Reads the tree by root's keys into *out, the document's. 0, or a negative
 * errno with errors in e. */
int read_tree(struct conf_doc *doc, void **out, const struct conf_table *root,
              const struct json *tree, const char *dir, struct errs *e);

#endif
