/* getopt_long does the reading: its values are the indices of our rows. */
#include "words.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "meter.h"

#define WORDS_MAX 32

static void take(const struct word *w, const char *value)
{
    switch (w->type) {
    case WORD_TEXT:
        *(const char **)w->to = value;
        break;
    case WORD_INT:
        *(int *)w->to = atoi(value);
        break;
    case WORD_UNSIGNED:
        *(unsigned *)w->to = (unsigned)strtoul(value, NULL, 0);
        break;
    case WORD_SIZE:
        *(uint64_t *)w->to = strtoull(value, NULL, 0);
        break;
    case WORD_SECONDS:
        *(double *)w->to = strtod(value, NULL);
        break;
    case WORD_TRUE:
    case WORD_FALSE:
        *(bool *)w->to = w->type == WORD_TRUE;
        break;
    case WORD_OTHER:
        w->read(w->to, value);
        break;
    }
}

int words_read(const struct word *words, int argc, char **argv)
{
    struct option options[WORDS_MAX + 1] = {{0}};
    int i, c;

    for (i = 0; words[i].name; i++) {
        bool is_alone =
            words[i].type == WORD_TRUE || words[i].type == WORD_FALSE;

        if (i == WORDS_MAX)
            meter_die("too many words");
        options[i].name = words[i].name;
        options[i].has_arg = is_alone ? no_argument : required_argument;
        options[i].val = i;
    }
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c < 0 || c >= i)
            exit(2);
        take(&words[c], optarg);
    }
    return optind;
}

void words_watch(void *to, const char *value)
{
    (void)to;
    meter_watch(value);
}
