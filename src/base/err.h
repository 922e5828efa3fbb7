/* base/err.h: an error is a place and a sentence.
 *
 * Functions return 0 or a negative errno everywhere; struct err is filled
 * where a person reads the outcome. */
#ifndef VUB_BASE_ERR_H
#define VUB_BASE_ERR_H

#include <stdarg.h>

#include "base/base.h"

/* Holds the JSON Pointer of every key that a config may have. */
#define ERR_WHERE_BYTES 256

struct err {
    int code;                    /* negative errno */
    char where[ERR_WHERE_BYTES]; /* "/devices/0/store/size"; "" if none */
    char text[256];              /* one sentence its reader can act on */
};

/* Fills *e (which may be NULL) and returns code, which must be negative.
 * where may be NULL or "". What is too long for its place is cut between two
 * characters and ends in "...". */
int err_set(struct err *e, int code, const char *where, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* The same, with ": strerror(errnum)" at the end, whatever must be cut for it;
 * returns -errnum. */
int err_sys(struct err *e, int errnum, const char *where, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

int err_nomem(struct err *e); /* returns -ENOMEM */

/* Enough to repair a file by; one that was never ours has no end of them. */
#define ERRS_MAX 100

/* Several errors, in the order found: config shows all of a file's, up to
 * ERRS_MAX. Those after are counted only, so whoever finds them need not care
 * how many there are. */
struct errs {
    struct err *list; /* the first `count` are filled; owned */
    int count;        /* at most ERRS_MAX */
    unsigned more;    /* than those */
};

#define ERRS_EMPTY ((struct errs){NULL, 0, 0})

static inline unsigned errs_total(const struct errs *es)
{
    return (unsigned)es->count + es->more;
}

/* What the config says is wrong, or cannot be done: appends an error at the
 * key `key` of the object whose JSON Pointer is `at`; returns -EINVAL. key may
 * lead further down ("socket/fd"); NULL: the object as a whole. */
int errs_at(struct errs *es, const char *at, const char *key, const char *fmt,
            ...) PRINTF_LIKE(4, 5);
/* The same of an error that somebody found who does not know the config: its
 * sentence and its code, which is returned; its place is not looked at. */
int errs_adopt(struct errs *es, const char *at, const char *key,
               const struct err *why);

/* What is about no key: where is "" or a place of another kind. Returns
 * code. */
int errs_add(struct errs *es, int code, const char *where, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
int errs_vadd(struct errs *es, int code, const char *where, const char *fmt,
              va_list ap);
int errs_push(struct errs *es, const struct err *e); /* returns e->code */
int errs_nomem(struct errs *es);                     /* returns -ENOMEM */
void errs_free(struct errs *es);

#endif
