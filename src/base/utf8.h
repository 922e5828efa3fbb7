/* base/utf8.h: texts of others, character by character.
 *
 * Spec: RFC 3629, section 4: no overlong form, no surrogate, nothing above
 * 10FFFF. */
#ifndef VUB_BASE_UTF8_H
#define VUB_BASE_UTF8_H

#include <string.h>

#include "base/base.h"

/* How many of the len bytes at s make one character; 0: none do. */
static inline size_t utf8_char(const char *s, size_t len)
{
    const unsigned char *c = (const unsigned char *)s;
    unsigned char low = 0x80, high = 0xbf;
    size_t n;

    if (len == 0)
        return 0;
    if (c[0] < 0x80)
        return 1;
    if (c[0] < 0xc2 || c[0] > 0xf4)
        return 0;
    n = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    if (c[0] == 0xe0)
        low = 0xa0;
    else if (c[0] == 0xed)
        high = 0x9f;
    else if (c[0] == 0xf0)
        low = 0x90;
    else if (c[0] == 0xf4)
        high = 0x8f;
    if (len < n || c[1] < low || c[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

/* What of the first len bytes of a longer text may be shown: without a
 * character that is cut in two at their end. */
static inline size_t utf8_cut(const char *s, size_t len)
{
    size_t n = len;

    while (n > 0 && len - n < 3 && ((unsigned char)s[n - 1] & 0xc0) == 0x80)
        n--;
    if (n == 0 || (unsigned char)s[n - 1] < 0xc0)
        return len; /* whole, or no UTF-8 at all */
    n--;
    return utf8_char(s + n, len - n) ? len : n;
}

/* Would the character of n bytes at s do something to a terminal? */
static inline bool utf8_is_control(const char *s, size_t n)
{
    const unsigned char *c = (const unsigned char *)s;

    return n == 1 ? c[0] < 0x20 || c[0] == 0x7f
                  : n == 2 && c[0] == 0xc2 && c[1] < 0xa0;
}

/* Is the whole string UTF-8? */
static inline bool utf8_is_valid(const char *s)
{
    size_t len = strlen(s), n;

    for (; len > 0; s += n, len -= n) {
        n = utf8_char(s, len);
        if (n == 0)
            return false;
    }
    return true;
}

#endif
