/* Places are chains on the stack, and become text only when something is
 * wrong: a good config costs no pointer. */
#include "conf/reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/text.h"

static void put(char *out, size_t room, size_t *len, char c)
{
    if (*len + 1 < room)
        out[*len] = c;
    ++*len;
}

size_t place_pointer(const struct place *p, char *out, size_t room)
{
    char digits[16];
    const char *name = p->name;
    size_t len = 0;

    if (p->up) {
        len = place_pointer(p->up, out, room);
        if (!name) {
            snprintf(digits, sizeof(digits), "%d", p->index);
            name = digits;
        }
        put(out, room, &len, '/');
        for (; *name; name++) {
            /* RFC 6901, section 3 */
            if (*name == '~' || *name == '/') {
                put(out, room, &len, '~');
                put(out, room, &len, *name == '~' ? '0' : '1');
            } else {
                put(out, room, &len, *name);
            }
        }
    }
    if (room)
        out[MIN(len, room - 1)] = '\0';
    return len;
}

void reader_fail(struct reader *r, const struct place *p, const char *fmt, ...)
{
    char where[ERR_WHERE_BYTES + 1] = ""; /* errs_vadd sees that it is cut */
    va_list ap;

    if (r->e->count < ERRS_MAX) /* nobody will see those after */
        place_pointer(p, where, sizeof(where));
    va_start(ap, fmt);
    errs_vadd(r->e, -EINVAL, where, fmt, ap);
    va_end(ap);
}

void reader_fail_type(struct reader *r, const struct place *p,
                      const struct conf_key *k, const struct json *n)
{
    char wanted[160], is[80];

    text_expected(k, wanted, sizeof(wanted));
    json_describe(n, is, sizeof(is));
    reader_fail(r, p, "must be %s, not %s", wanted, is);
}

void *reader_alloc(struct reader *r, size_t size)
{
    void *p = doc_alloc(r->doc, size);

    if (!p)
        r->no_memory = true;
    return p;
}
