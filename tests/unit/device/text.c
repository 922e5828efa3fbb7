/* See device_text.h. */
#include "device_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/devices.h"

struct root {
    struct conf_any device;
};

static const struct conf_key root_keys[] = {
    {"device", CONF_UNION, CONF_AT(struct root, device), .required = true,
     .of = &device_union},
    {NULL},
};

static const struct conf_table root_table = {
    .name = "test",
    .size = sizeof(struct root),
    .keys = root_keys,
};

int device_text_read(struct conf_any *out, struct conf_doc **doc,
                     const char *members, const char *dir, struct errs *e)
{
    char *text = NULL;
    void *root;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    int rc;

    assert_non_null(f);
    dir = dir ? dir : "/";
    fputs("{\"device\": {", f);
    for (const char *c = members; *c; c++) {
        if (*c == '@')
            fputs(dir, f);
        else
            fputc(*c == '\'' ? '"' : *c, f);
    }
    fputs("}}", f);
    assert_int_equal(fclose(f), 0);
    rc = conf_read_text(doc, &root, &root_table, text, len, dir, NULL, e);
    if (rc == 0)
        *out = ((struct root *)root)->device;
    free(text);
    return rc;
}

struct conf_any device_text(struct conf_doc **doc, const char *members,
                            const char *dir)
{
    struct errs e = ERRS_EMPTY;
    struct conf_any device = {0};

    if (device_text_read(&device, doc, members, dir, &e) < 0)
        fail_msg("%s: %s", e.list[0].where, e.list[0].text);
    return device;
}
