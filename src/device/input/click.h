/* device/input/click.h: pixels of a screen, as places on an axis. */
#ifndef VUB_DEVICE_INPUT_CLICK_H
#define VUB_DEVICE_INPUT_CLICK_H

#include "device/input/source.h"

#define CLICK_SIDE_MAX 65536 /* of a screen, pixels */

/* The place on the axis that means pixel `at` of `side`, at < side; false: it
 * has fewer places than the screen has pixels. */
bool click_place(const struct source_abs *axis, uint32_t at, uint32_t side,
                 int32_t *out);

#endif
