/* The key sections of vub.json(5), in mdoc. */
#include <string.h>

#include "conf/docs.h"
#include "conf/text.h"

/* Text for a line of its own: what roff would take for its own is escaped. */
static void put_text(FILE *f, const char *s)
{
    if (*s == '.' || *s == '\'')
        fputs("\\&", f);
    for (; *s; s++) {
        if (*s == '\\')
            fputs("\\e", f);
        else if (*s == '-')
            fputs("\\-", f);
        else
            putc(*s, f);
    }
}

/* An argument of a macro: quotes are its delimiters. */
static void put_argument(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (*s == '"')
            fputs("\\(dq", f);
        else if (*s == '\\')
            fputs("\\e", f);
        else
            putc(*s, f);
    }
}

static void put_keys(FILE *f, const struct conf_key *k);

static void put_key(FILE *f, const struct conf_key *k)
{
    char wanted[160];

    fprintf(f, ".It Cm %s\n", k->name);
    if (k->type == CONF_UNION) {
        fprintf(f, "A %s, as below.", k->of->what);
    } else if (k->type == CONF_UNIONS || k->type == CONF_KEYED) {
        fprintf(f, "A list of %ss, as below.",
                k->type == CONF_KEYED ? k->keyed->what : k->of->what);
    } else {
        text_expected(k, wanted, sizeof(wanted));
        wanted[0] = wanted[0] >= 'a' && wanted[0] <= 'z'
                        ? (char)(wanted[0] - 'a' + 'A')
                        : wanted[0];
        put_text(f, wanted);
        putc('.', f);
    }
    if (k->required)
        fputs(" Required.", f);
    putc('\n', f);
    if (k->def) {
        fputs("Default:\n.Ql \"", f);
        put_argument(f, k->def);
        fputs("\" .\n", f);
    }
    if (k->help) {
        put_text(f, k->help);
        putc('\n', f);
    }
    if (k->shorthand)
        fprintf(f, "%s is taken as\n.Cm %s .\n",
                text_shorthand_is_bool(k) ? "True or false" : "A string",
                k->shorthand);
    if (k->type == CONF_TABLE || k->type == CONF_TABLES)
        put_keys(f, k->table->keys);
}

void conf_man_keys(FILE *f, const struct conf_key *k)
{
    for (; k->name; k++)
        put_key(f, k);
}

static void put_keys(FILE *f, const struct conf_key *k)
{
    if (!k || !k->name)
        return;
    fputs(".Bl -tag -width Ds\n", f);
    conf_man_keys(f, k);
    fputs(".El\n", f);
}

void conf_man_text(FILE *f, const char *text)
{
    if (!text)
        return;
    put_text(f, text);
    putc('\n', f);
}

void conf_man_write(FILE *f, const struct conf_table *root)
{
    const struct conf_union *unions[CONF_UNIONS_MAX];
    int count = conf_unions(root, unions, 0, CONF_UNIONS_MAX);

    fputs(".Ss The document\n", f);
    conf_man_text(f, root->help);
    put_keys(f, root->keys);
    for (int i = 0; i < count; i++) {
        const struct conf_union *u = unions[i];

        if (u->common) {
            fprintf(f, ".Ss Every %s\n", u->what);
            put_keys(f, u->common);
        }
        for (int j = 0; u->tables[j]; j++) {
            const struct conf_table *t = u->tables[j];

            fprintf(f, ".Ss A %s of \\(dqtype\\(dq: \\(dq%s\\(dq\n", u->what,
                    t->name);
            conf_man_text(f, t->help);
            put_keys(f, t->keys);
        }
    }
}
