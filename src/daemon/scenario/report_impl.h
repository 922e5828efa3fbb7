/* daemon/scenario/report_impl.h: what the files of the reports share.
 *
 * A report is read by people and programs that trust it, and nearly all of
 * its text is of strangers: a guest's console, a process, a scenario. Such
 * text goes through report_put_text and its like, nothing else does.
 * Threads: the only one. */
#ifndef VUB_DAEMON_SCENARIO_REPORT_IMPL_H
#define VUB_DAEMON_SCENARIO_REPORT_IMPL_H

#include <stdio.h>

#include "daemon/scenario/record.h"

/* ---- report_file.c ---- */

/* A file that is written beside its place. */
struct report_file {
    FILE *f;
    const char *path; /* the caller's */
    char *beside;
};

int report_file_open(struct report_file *out, const char *path, struct err *e);
/* Puts it into its place, if all could be written; else it goes. */
int report_file_close(struct report_file *file, struct err *e);
void report_file_drop(struct report_file *file); /* instead */

/* ---- report_text.c ---- */

/* What both HTML and XML understand. Sequences that steer a terminal are left
 * out; other control characters, and those that turn the direction of text,
 * are shown; bytes that are no UTF-8 become U+FFFD; ends of lines become
 * '\n'. */
void report_put_text(FILE *f, const char *s);
/* At most max bytes of s, its start or its end; what is left out is said. */
void report_put_start(FILE *f, const char *s, size_t max);
void report_put_end(FILE *f, const char *s, size_t max);
/* For the value of an attribute, in quotes that are there already. */
void report_put_value(FILE *f, const char *s, size_t max);
/* One line of at most so many characters; "..." if there was more. */
void report_put_line(FILE *f, const char *s, unsigned characters);

/* "20 us", "412 ms", "3.21 s", "12 min 03 s". */
#define REPORT_TIME_BYTES 48
const char *report_time(uint64_t ns, char out[REPORT_TIME_BYTES]);

/* ---- report_json.c ---- */

/* JSON with a member on each line, if it is too long for one; what is no JSON
 * as it is. At most max bytes of it. */
void report_put_json(FILE *f, const char *json, size_t max);

/* ---- report_png.c ---- */

/* The file of a picture, as bytes. */
struct report_png {
    uint8_t *bytes;
    size_t len;
    unsigned width, height; /* what it says */
};

/* Only if it is a PNG of at most max bytes. Its path is that in a record, the
 * report's is where it is looked for. NULL, or why there is none. */
const char *report_png_read(struct report_png *out, const char *path,
                            const char *report, size_t max);
void report_png_free(struct report_png *png);
void report_put_base64(FILE *f, const uint8_t *bytes, size_t len);
/* Does a file lie in the directory of the report? */
bool report_is_beside(const char *path, const char *report);
/* The link to such a file: "./", and its name percent-encoded. */
void report_put_link(FILE *f, const char *path);

/* ---- of a record ---- */

/* The status of a process that was ended by a scenario which was over, or by
 * its step: no failure. */
#define REPORT_STOPPED (128 + 15)

/* When it has ended, or the scenario has. */
uint64_t report_end(const struct record *r, uint64_t end_ns);
uint64_t report_took(const struct record *r, const struct record_step *s);
/* "passed"; a word of ours, which is a class of the style too. */
const char *report_result(enum step_result result);
/* The first that has failed; NULL. */
const struct record_step *report_failed(const struct record *r);

/* ---- report_groups.c: which of many are the same ---- */

/* Below 0, 0, above 0: of the items a and b. */
typedef int (*report_order_fn)(const void *context, unsigned a, unsigned b);

/* For each of num items the number of its group; groups are numbered in the
 * order in which they first appear. To be freed; NULL: no memory. */
unsigned *report_groups(unsigned num, report_order_fn order,
                        const void *context, unsigned *num_groups);

/* ---- report_shots.c: pictures that look the same are one ---- */

struct report_shot {
    const struct record_picture *picture; /* the first whose file has it */
    unsigned step;                        /* which took it first */
    unsigned times;
    bool lost;   /* no file has it any more */
    bool failed; /* one of them is of a step that has failed */
};
struct report_shots {
    struct report_shot *list;
    unsigned num;
    unsigned *base; /* of each step: where its pictures begin in of */
    unsigned *of;   /* of each picture: its place in the list */
};

bool report_shots_find(struct report_shots *out, const struct record *r);
void report_shots_free(struct report_shots *shots);

/* ---- report_steps.c: which steps have a row of their own ---- */

/* The first ones, those around the last that has run, and what has failed. */
struct report_rows {
    const struct record *r;
    unsigned head, tail, end; /* [0, head) and [tail, end) */
};

struct report_rows report_rows_of(const struct record *r);
bool report_has_row(const struct report_rows *rows, unsigned step);

/* ---- the parts of the page, each a section; false: no memory ---- */

#define REPORT_STEPS_MAX 3000   /* that have a row of their own */
#define REPORT_BARS_MAX 4000    /* in the timeline; then some are one */
#define REPORT_EVENTS_MAX 2000  /* that have a row */
#define REPORT_OTHERS_MAX 300   /* processes, filters: that are shown */
#define REPORT_PICTURES_MAX 300 /* that are shown */
#define REPORT_PICTURES_BYTES (24u << 20) /* of PNG files, in all */
#define REPORT_SECTION_BYTES (6u << 20)   /* of a part: then no more texts */

void report_style(FILE *f);
bool report_timeline(FILE *f, const struct record *r);
void report_steps(FILE *f, const struct record *r,
                  const struct report_shots *shots);
void report_pictures(FILE *f, const struct record *r,
                     const struct report_shots *shots, const char *path);
void report_fired(FILE *f, const struct record *r);
bool report_events(FILE *f, const struct record *r);
void report_processes(FILE *f, const struct record *r, const char *path);

#endif
