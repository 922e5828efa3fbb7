/* libevdev has the names: it is made from the kernel's header. */
#include "device/input/names.h"

#include <libevdev/libevdev.h>

#include "os/library.h"

#define LIBEVDEV(CALL)                                                         \
    CALL(libevdev_, event_code_from_name)                                      \
    CALL(libevdev_, event_code_get_name)                                       \
    CALL(libevdev_, event_type_from_code_name)                                 \
    CALL(libevdev_, event_type_from_name)                                      \
    CALL(libevdev_, event_type_get_name)                                       \
    CALL(libevdev_, property_from_name)

LIBRARY_CALLS(libevdev, LIBEVDEV);
static LIBRARY(libevdev, LIBEVDEV, VUB_LIBRARY_evdev);

int names_ready(struct err *e)
{
    return library_load(&libevdev_library, e);
}

bool names_missing(const char *at, struct errs *e)
{
    struct err why;

    return names_ready(&why) < 0 && errs_adopt(e, at, NULL, &why) < 0;
}

static bool there(void)
{
    return names_ready(NULL) == 0;
}

static bool number(int found, uint16_t *out)
{
    if (found < 0)
        return false;
    *out = (uint16_t)found;
    return true;
}

bool name_to_type(const char *name, uint16_t *type)
{
    return there() && number(libevdev.event_type_from_name(name), type);
}

bool name_to_code(const char *name, uint16_t *type, uint16_t *code)
{
    return there() && number(libevdev.event_type_from_code_name(name), type) &&
           number(libevdev.event_code_from_name(*type, name), code);
}

bool name_to_prop(const char *name, uint16_t *prop)
{
    return there() && number(libevdev.property_from_name(name), prop);
}

const char *name_of_type(unsigned type)
{
    return there() ? libevdev.event_type_get_name(type) : NULL;
}

const char *name_of_code(unsigned type, unsigned code)
{
    return there() ? libevdev.event_code_get_name(type, code) : NULL;
}
