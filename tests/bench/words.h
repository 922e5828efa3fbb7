/* tests/bench/words.h: the options of the programs here, by tables. Only
 * scripts/bench calls those: a wrong word is told shortly. */
#ifndef VUB_BENCH_WORDS_H
#define VUB_BENCH_WORDS_H

struct word {
    const char *name; /* behind "--"; NULL ends a table */
    enum {
        WORD_TEXT,     /* const char * */
        WORD_INT,      /* int */
        WORD_UNSIGNED, /* unsigned, uint32_t */
        WORD_SIZE,     /* uint64_t */
        WORD_SECONDS,  /* double */
        WORD_TRUE,     /* bool; has no value */
        WORD_FALSE,
        WORD_OTHER, /* read takes it */
    } type;
    void *to;
    void (*read)(void *to, const char *value);
};

/* The index of the first argument behind them. Ends the program if a word is
 * none. */
int words_read(const struct word *words, int argc, char **argv);

/* "--watch 0,1" (meter_watch), for WORD_OTHER. */
void words_watch(void *to, const char *value);

#endif
