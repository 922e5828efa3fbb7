/* tests/unit/device/device_text.h: a device by what a config says of it. */
#ifndef VUB_TESTS_DEVICE_TEXT_H
#define VUB_TESTS_DEVICE_TEXT_H

#include "conf/conf.h"

/* Reads the members of a device, "'id': 'd', 'type': 'block', ...": ' stands
 * for ", and @ for dir (NULL: "/"), where relative paths start. *out is *doc's.
 * As conf_read_text. */
int device_text_read(struct conf_any *out, struct conf_doc **doc,
                     const char *members, const char *dir, struct errs *e);
/* The same, which must succeed. */
struct conf_any device_text(struct conf_doc **doc, const char *members,
                            const char *dir);

#endif
