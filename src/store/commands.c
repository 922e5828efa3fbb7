/* Commands of stores: which there are, and whom one is for. */
#include "store/command.h"

#include <string.h>

#include "store/impl.h"

const struct store_command *store_command_at(unsigned i, const char **type)
{
    for (const struct conf_table *const *t = store_union.tables; *t; t++) {
        const struct store_ops *ops = (*t)->ops;

        for (const struct store_command *c = ops->commands; c && c->name; c++) {
            if (i-- > 0)
                continue;
            *type = ops->type;
            return c;
        }
    }
    return NULL;
}

static bool is_sought(const struct store_search *f, const struct store *s)
{
    if (strcmp(s->ops->type, f->type) != 0)
        return false;
    return !f->name || (s->name && strcmp(s->name, f->name) == 0);
}

void store_search(struct store_search *f, struct store *s)
{
    for (; s; s = store_next(s)) {
        if (!is_sought(f, s))
            continue;
        if (f->count++ == 0)
            f->found = s;
    }
}

int store_search_over(const struct store_search *f, struct err *e)
{
    if (f->count == 1)
        return 0;
    if (f->count > 1)
        return err_set(e, -EINVAL, "/params/filter",
                       "the device has %u stores of the type %s%s: give the "
                       "config of the one a \"name\" of its own, and say that",
                       f->count, f->type, f->name ? " and that name" : "");
    if (f->name)
        return err_set(e, -ENOENT, "/params/filter",
                       "the device has no store of the type %s with the name "
                       "\"%.64s\"",
                       f->type, f->name);
    return err_set(e, -ENOENT, "/params/device",
                   "the device has no store of the type %s", f->type);
}
