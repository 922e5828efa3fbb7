/* Sentences are written into their place at once: an error costs no memory,
 * so that running out of it can be told too. What does not fit is cut where a
 * reader can see it. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* Of a text that is as long as its place, or longer and cut already: makes
 * room for `rest` at its end, behind points that say what was done. */
static void end_with(char *text, size_t room, const char *rest)
{
    size_t keep = utf8_cut(text, room - 1 - strlen("...") - strlen(rest));

    snprintf(text + keep, room - keep, "...%s", rest);
}

static void put(char *out, size_t room, const char *text)
{
    if ((size_t)snprintf(out, room, "%s", text) >= room)
        end_with(out, room, "");
}

static void fill(struct err *e, int code, const char *where, const char *fmt,
                 va_list ap)
{
    e->code = code;
    put(e->where, sizeof(e->where), where ? where : "");
    if (vsnprintf(e->text, sizeof(e->text), fmt, ap) >= (int)sizeof(e->text))
        end_with(e->text, sizeof(e->text), "");
}

int err_set(struct err *e, int code, const char *where, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    va_start(ap, fmt);
    fill(e, code, where, fmt, ap);
    va_end(ap);
    return code;
}

int err_sys(struct err *e, int errnum, const char *where, const char *fmt, ...)
{
    char reason[100];
    size_t len, left;
    va_list ap;

    if (!e)
        return -errnum;
    va_start(ap, fmt);
    fill(e, -errnum, where, fmt, ap);
    va_end(ap);
    /* A long path must not push out the reason. */
    snprintf(reason, sizeof(reason), ": %s", strerror(errnum));
    len = strlen(e->text);
    left = sizeof(e->text) - len;
    if ((size_t)snprintf(e->text + len, left, "%s", reason) >= left)
        end_with(e->text, sizeof(e->text), reason);
    return -errnum;
}

int err_nomem(struct err *e)
{
    return err_set(e, -ENOMEM, "", "out of memory");
}

int errs_push(struct errs *es, const struct err *e)
{
    struct err *list = NULL;

    if (es->count < ERRS_MAX)
        list = realloc(es->list, sizeof(*list) * (size_t)(es->count + 1));
    if (!list) {
        es->more++;
        return e->code;
    }
    es->list = list;
    es->list[es->count++] = *e;
    return e->code;
}

int errs_vadd(struct errs *es, int code, const char *where, const char *fmt,
              va_list ap)
{
    struct err e;

    fill(&e, code, where, fmt, ap);
    return errs_push(es, &e);
}

int errs_add(struct errs *es, int code, const char *where, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    errs_vadd(es, code, where, fmt, ap);
    va_end(ap);
    return code;
}

int errs_nomem(struct errs *es)
{
    return errs_add(es, -ENOMEM, "", "out of memory");
}

/* Writes the place of a key. */
static void put_key(char *where, size_t room, const char *at, const char *key)
{
    if ((size_t)snprintf(where, room, "%s%s%s", at, key ? "/" : "",
                         key ? key : "") >= room)
        end_with(where, room, "");
}

int errs_at(struct errs *es, const char *at, const char *key, const char *fmt,
            ...)
{
    struct err e;
    va_list ap;

    va_start(ap, fmt);
    fill(&e, -EINVAL, NULL, fmt, ap);
    va_end(ap);
    put_key(e.where, sizeof(e.where), at, key);
    return errs_push(es, &e);
}

int errs_adopt(struct errs *es, const char *at, const char *key,
               const struct err *why)
{
    struct err e = *why;

    put_key(e.where, sizeof(e.where), at, key);
    return errs_push(es, &e);
}

void errs_free(struct errs *es)
{
    free(es->list);
    *es = ERRS_EMPTY;
}
