/* Texts of strangers in reports: whatever they are, what comes out is UTF-8
 * that XML allows, and has no markup but the entities that we write. */
#include <stdio.h>

#include "base/utf8.h"
#include "daemon/scenario/report_impl.h"
#include "fuzz.h"

static bool is_entity(const char *s)
{
    static const char *const known[] = {"&amp;",  "&lt;",  "&gt;",
                                        "&quot;", "&#39;", "&#10;"};

    for (unsigned i = 0; i < ARRAY_LEN(known); i++)
        if (strncmp(s, known[i], strlen(known[i])) == 0)
            return true;
    return false;
}

static void check(const char *s, size_t len, bool lines)
{
    CHECK(strlen(s) == len && utf8_is_valid(s));
    for (size_t n; *s; s += n) {
        n = utf8_char(s, strnlen(s, 4));
        CHECK(!utf8_is_control(s, n) || (lines && (*s == '\n' || *s == '\t')));
        CHECK(!strchr("<>\"'", *s) && (*s != '&' || is_entity(s)));
        CHECK(n != 3 || (memcmp(s, "\xef\xbf\xbe", 3) != 0 &&
                         memcmp(s, "\xef\xbf\xbf", 3) != 0));
    }
}

static void put(unsigned how, const char *text, size_t max)
{
    char *out = NULL;
    size_t len;
    FILE *f = open_memstream(&out, &len);

    CHECK(f);
    switch (how) {
    case 0:
        report_put_text(f, text);
        break;
    case 1:
        report_put_start(f, text, max);
        break;
    case 2:
        report_put_end(f, text, max);
        break;
    case 3:
        report_put_json(f, text, max);
        break;
    case 4:
        report_put_value(f, text, max);
        break;
    default:
        report_put_line(f, text, (unsigned)max);
        break;
    }
    CHECK(fclose(f) == 0);
    check(out, len, how < 4);
    free(out);
}

/* The first two bytes: where to cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t max;
    char *text;

    if (size < 2)
        return 0;
    max = data[0] | (size_t)data[1] << 8;
    text = strndup((const char *)data + 2, size - 2);
    if (!text)
        return 0;
    for (unsigned how = 0; how < 6; how++)
        put(how, text, how == 3 ? max + 1000 : max);
    free(text);
    return 0;
}
