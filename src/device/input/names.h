/* device/input/names.h: names of input events, both ways.
 *
 * All of those that Linux' input-event-codes.h has: "EV_KEY", "KEY_A",
 * "BTN_LEFT", "ABS_MT_SLOT", "INPUT_PROP_DIRECT". Without libevdev, which has
 * them, there are none. Threads: any. */
#ifndef VUB_DEVICE_INPUT_NAMES_H
#define VUB_DEVICE_INPUT_NAMES_H

#include "base/err.h"

/* Loads libevdev, which the calls below do too. e: as of library_load. */
int names_ready(struct err *e);
/* Of a config: if it cannot be loaded, that is an error of the object at. */
bool names_missing(const char *at, struct errs *e);

/* False: there is no such name. */
bool name_to_type(const char *name, uint16_t *type);                 /* EV_* */
bool name_to_code(const char *name, uint16_t *type, uint16_t *code); /* KEY_* */
bool name_to_prop(const char *name, uint16_t *prop); /* INPUT_PROP_* */

/* NULL: it has none. */
const char *name_of_type(unsigned type);
const char *name_of_code(unsigned type, unsigned code);

#endif
