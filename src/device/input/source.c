/* The kinds of sources. */
#include "device/input/source.h"

#include "device/input/impl.h"
#include "device/input/kinds.h"

static const struct conf_table *const source_tables[] = {
    &evdev_table,
    &replay_table,
    &virtual_table,
    NULL,
};

const struct conf_union source_union = {
    .what = "source",
    .tables = source_tables,
};

struct source *input_source_of(struct device *d)
{
    return input_of(d)->source;
}
