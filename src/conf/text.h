/* conf/text.h: what a key may hold, in words, and other small texts.
 *
 * One sentence per key serves error messages, the schema and the man page.
 * Threads: any. */
#ifndef VUB_CONF_TEXT_H
#define VUB_CONF_TEXT_H

#include <stdio.h>

#include "conf/conf.h"

/* Writes what a key wants, to stand after "must be": a whole number from 1 to
 * 1024. Cut if too long, always ended. */
void text_expected(const struct conf_key *k, char *out, size_t room);

/* The range of a number's key: max 0 and the words are dealt with. */
uint64_t text_max(const struct conf_key *k);
/* The most that a CONF_HEX may have behind its "0x". */
unsigned text_hex_digits(const struct conf_key *k);

/* Of a key with a shorthand: is that true or false, or else a string? */
bool text_shorthand_is_bool(const struct conf_key *k);

/* How far two words are from each other: letters to add, leave out, change,
 * or swap. */
unsigned text_distance(const char *a, const char *b);
/* Is `near` so close to `word` that a slip is likely? *best: the distance of
 * the nearest so far (start with UINT32_MAX); lowered if this one is nearer. */
bool text_is_slip(const char *word, const char *near, unsigned *best);

/* Writes words in lines of up to 78 columns, and an end of line. The first line
 * goes on at `column`, further ones begin at `indent`. */
void text_wrap(FILE *f, const char *text, int column, int indent);

/* Appends to a text of *len bytes in room; *len never passes room - 1. */
void text_add(char *out, size_t room, size_t *len, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Appends one of several words: "a", "b" or "c". */
void text_add_word(char *out, size_t room, size_t *len, const char *word,
                   bool last);

#endif
