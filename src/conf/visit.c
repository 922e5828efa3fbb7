/* The structs of a config once more, by the tables that filled them. */
#include "conf/conf.h"

static void visit_keys(const struct conf_key *k, const void *data,
                       const struct conf_visitor *v);

static void visit_any(const struct conf_any *o, const struct conf_visitor *v)
{
    v->object(o, v->arg);
    visit_keys(o->table->keys, o->data, v);
}

static void visit_list(const struct conf_key *k, const struct conf_anys *list,
                       const struct conf_visitor *v)
{
    for (int i = 0; i < list->count; i++) {
        if (k->type == CONF_UNIONS)
            visit_keys(k->of->common, list->list[i].data, v);
        visit_any(&list->list[i], v);
    }
}

static void visit_key(const struct conf_key *k, const void *data,
                      const struct conf_visitor *v)
{
    const char *field = (const char *)data + k->offset;
    const struct conf_any *any;
    const char *path;

    if (k->seen_offset && !((const bool *)data)[k->seen_offset - 1])
        return;
    switch (k->type) {
    case CONF_PATH:
        path = *(const char *const *)field;
        if (path && v->path)
            v->path(k, path, v->arg);
        break;
    case CONF_TABLE:
        conf_visit(k->table, field, v);
        break;
    case CONF_UNION:
        any = (const struct conf_any *)field;
        if (!any->data)
            break;
        visit_keys(k->of->common, any->data, v);
        visit_any(any, v);
        break;
    case CONF_UNIONS:
    case CONF_TABLES:
        visit_list(k, (const struct conf_anys *)field, v);
        break;
    default:
        break;
    }
}

/* k NULL: there are none. */
static void visit_keys(const struct conf_key *k, const void *data,
                       const struct conf_visitor *v)
{
    for (; k && k->name; k++)
        visit_key(k, data, v);
}

void conf_visit(const struct conf_table *t, const void *data,
                const struct conf_visitor *v)
{
    /* Nobody changes it. */
    struct conf_any o = {.table = t, .data = (void *)data};

    visit_any(&o, v);
}
