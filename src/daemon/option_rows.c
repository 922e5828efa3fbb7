/* getopt splits the arguments and is not let to speak: it says only what kind
 * of thing is wrong, and from the argument that it stumbled over the sentence
 * is made here. What it returns for a long option is the row's index, above all
 * letters. */
#include "daemon/option_rows.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "conf/text.h"

/* What getopt says an option is: this and its row's index, or its letter. */
#define LONG 256

/* ---- texts ---- */

void option_row_help(FILE *f, const struct option_row *r)
{
    const int indent = 26;
    int column = fprintf(f, "  ");

    if (r->letter)
        column += fprintf(f, "-%c, ", r->letter);
    column += fprintf(f, r->optional ? "--%s[=%s%s]" : "--%s%s%s", r->name,
                      r->argument && !r->optional ? " " : "",
                      r->argument ? r->argument : "");
    if (column >= indent)
        column = fprintf(f, "\n") - 1;
    fprintf(f, "%*s", indent - column, "");
    text_wrap(f, r->help, indent, indent);
}

void option_row_man(FILE *f, const struct option_row *r)
{
    fprintf(f, ".It ");
    if (r->letter)
        fprintf(f, "Fl %c , ", r->letter);
    fprintf(f, "Fl \\-%s%s%s\n%s\n", r->name,
            r->optional   ? " Ns Op = Ns Ar "
            : r->argument ? " Ar "
                          : "",
            r->argument ? r->argument : "", r->help);
}

/* ---- scanning ---- */

/* getopt says only that something is wrong; arg is what it stumbled over. */
static int fail_unknown(const struct option_scan *s, const char *arg,
                        struct err *e)
{
    char name[ERR_WHERE_BYTES + 1]; /* err_set sees that it is cut */
    const char *near = NULL;
    unsigned best = UINT32_MAX;

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
    for (int i = 0; i < s->count; i++) {
        if (strncmp(name, "--", 2) == 0 && s->rows[i]->help &&
            text_is_slip(name + 2, s->rows[i]->name, &best))
            near = s->rows[i]->name;
    }
    if (near)
        return err_set(e, -EINVAL, name,
                       "there is no such option; did you mean --%s?", near);
    return err_set(e, -EINVAL, name, "there is no such option; see %s --help",
                   s->program);
}

static const struct option_row *row_of(const struct option_scan *s, int id)
{
    if (id >= LONG)
        return s->rows[id - LONG];
    for (int i = 0; i < s->count; i++)
        if (s->rows[i]->letter == id)
            return s->rows[i];
    return NULL;
}

void option_rows_add(struct option_scan *s, const struct option_row *rows)
{
    for (; rows->name; rows++) {
        assert(s->count < OPTION_ROWS_MAX);
        s->rows[s->count++] = rows;
    }
}

int option_rows_scan(const struct option_scan *s, int argc, char **argv,
                     struct err *e)
{
    struct option table[OPTION_ROWS_MAX + 1] = {{NULL}};
    char letters[2 * OPTION_ROWS_MAX + 3] = "+:";
    size_t len = 2;
    int id, rc = 0;

    assert(s->count <= OPTION_ROWS_MAX);
    for (int i = 0; i < s->count; i++) {
        const struct option_row *r = s->rows[i];

        table[i].name = r->name;
        table[i].has_arg = r->optional   ? optional_argument
                           : r->argument ? required_argument
                                         : no_argument;
        table[i].val = LONG + i;
        if (r->letter)
            letters[len++] = r->letter;
        if (r->letter && r->argument)
            letters[len++] = ':';
    }
    opterr = 0;
    optind = 0; /* the GNU way to start over */
    while (rc == 0) {
        int at = optind ? optind : 1;

        id = getopt_long(argc, argv, letters, table, NULL);
        if (id == -1)
            break;
        if (id == ':')
            rc = err_set(e, -EINVAL, argv[at], "needs a value");
        else if (id == '?' && optopt >= LONG)
            rc = err_set(e, -EINVAL, argv[at], "takes no value");
        else if (id == '?')
            rc = fail_unknown(s, argv[at], e);
        else
            rc = s->take(s->arg, row_of(s, id), optarg, e);
    }
    return rc < 0 ? rc : optind;
}
