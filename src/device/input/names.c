/* libevdev has the names: it is made from the kernel's header. */
#include "device/input/names.h"

#include <libevdev/libevdev.h>

static bool number(int found, uint16_t *out)
{
    if (found < 0)
        return false;
    *out = (uint16_t)found;
    return true;
}

bool name_to_type(const char *name, uint16_t *type)
{
    return number(libevdev_event_type_from_name(name), type);
}

bool name_to_code(const char *name, uint16_t *type, uint16_t *code)
{
    return number(libevdev_event_type_from_code_name(name), type) &&
           number(libevdev_event_code_from_name(*type, name), code);
}

bool name_to_prop(const char *name, uint16_t *prop)
{
    return number(libevdev_property_from_name(name), prop);
}

const char *name_of_type(unsigned type)
{
    return libevdev_event_type_get_name(type);
}

const char *name_of_code(unsigned type, unsigned code)
{
    return libevdev_event_code_get_name(type, code);
}
