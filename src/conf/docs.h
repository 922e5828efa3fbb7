/* conf/docs.h: what the tables say, for editors and readers.
 *
 * The files config/vub.schema.json and the key sections of docs/vub.json.5
 * are made by these and kept in the tree; a test makes them again and
 * compares. Threads: the main one. */
#ifndef VUB_CONF_DOCS_H
#define VUB_CONF_DOCS_H

#include <stdio.h>

#include "conf/conf.h"

/* JSON Schema, draft 2020-12. It accepts every document that conf_read_file
 * does; of what it cannot say (rules between keys, uniqueness) it says
 * nothing. */
void conf_schema_write(FILE *f, const struct conf_table *root);

/* mdoc: a subsection for the document and one for each member of each
 * union. */
void conf_man_write(FILE *f, const struct conf_table *root);

/* mdoc: a text as a line of its own, and keys as a list of items. */
void conf_man_text(FILE *f, const char *text);
void conf_man_keys(FILE *f, const struct conf_key *k);

/* The unions that a table leads to, in the order met, each once. Returns how
 * many are in list, which has room for `max`. */
#define CONF_UNIONS_MAX 16
#define CONF_KEYEDS_MAX 4
int conf_unions(const struct conf_table *t, const struct conf_union **list,
                int count, int max);

#endif
