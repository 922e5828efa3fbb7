/* The steps, in the order in which they have run.
 *
 * Each is a <details> whose summary is a line: verdict, number, name, kind,
 * time. What has failed is open, and so is all around it. Steps of a repeat
 * are inside the repeat, by turns, and closed, so that fifty turns are one
 * line to who does not want them; a table there tells how long each of its
 * steps took over the turns. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/scenario/report_impl.h"

#define HEAD_ROWS 1000 /* of more than REPORT_STEPS_MAX; whole chunks */
#define NEXT_ROWS 100  /* after the last that has run */
#define ARGS_BYTES (8u << 10)
#define ANSWER_BYTES (16u << 10)
#define FAILED_BYTES (64u << 10) /* of an answer of what has failed */
#define WHY_BYTES (8u << 10)
#define PLACES_MAX 40 /* rows of a repeat's table */
#define PLAIN_MAX 200 /* one below the other; more are in chunks */
#define CHUNK 100
#define BRIEF 120 /* characters of arguments, beside the name */

struct steps {
    FILE *f;
    const struct record *r;
    const struct report_shots *shots;
    struct report_rows rows;
    off_t full;   /* where no more texts are written */
    unsigned gap; /* steps that were left out since the last row */
};

/* A part of them: [begin, end). */
struct span {
    unsigned begin, end;
};

/* ---- which have a row ---- */

struct report_rows report_rows_of(const struct record *r)
{
    unsigned last = 0, n = r->num_steps;

    if (n <= REPORT_STEPS_MAX)
        return (struct report_rows){r, n, n, n};
    for (unsigned i = 0; i < n; i++)
        if (r->steps[i].result != STEP_TO_COME)
            last = i;
    last = MIN(n, last + NEXT_ROWS);
    last = MAX(last, REPORT_STEPS_MAX + 0u);
    return (struct report_rows){
        r, HEAD_ROWS, (last - (REPORT_STEPS_MAX - HEAD_ROWS)) / CHUNK * CHUNK,
        last};
}

bool report_has_row(const struct report_rows *rows, unsigned step)
{
    return step < rows->head || (step >= rows->tail && step < rows->end) ||
           rows->r->steps[step].result == STEP_FAILED;
}

/* ---- spans ---- */

/* The next repeat that a step is in, of which so many bytes of its place tell;
 * `from`: of the one before. 0: there is none, or it has not run. */
static size_t repeat_of(const struct record_step *s, size_t from)
{
    const char *in = s->turn ? strstr(s->place + from, "/repeat/") : NULL;

    return in ? (size_t)(in - s->place) + strlen("/repeat") : 0;
}

/* Which of the repeat's own steps it is, or is inside of. */
static unsigned long child_of(const struct record_step *s, size_t repeat)
{
    size_t skip = repeat + strlen("/steps/");

    return strlen(s->place) > skip ? strtoul(s->place + skip, NULL, 10) : 0;
}

/* What is of the same repeat as step i, in a row. */
static struct span repeat_span(const struct record *r, unsigned i, unsigned end,
                               size_t repeat)
{
    const char *place = r->steps[i].place;
    struct span s = {i, i + 1};

    while (s.end < end && strncmp(r->steps[s.end].place, place, repeat) == 0 &&
           r->steps[s.end].place[repeat] == '/')
        s.end++;
    return s;
}

/* And of the same turn: it goes on as long as its steps do. Those of a repeat
 * inside it are of one of them. */
static struct span turn_span(const struct record *r, unsigned i, unsigned end,
                             size_t repeat)
{
    struct span s = {i, i + 1};
    unsigned long child = child_of(&r->steps[i], repeat), next;

    for (; s.end < end; s.end++, child = next) {
        next = child_of(&r->steps[s.end], repeat);
        if (next < child ||
            (next == child && repeat_of(&r->steps[s.end], repeat) == 0))
            break;
    }
    return s;
}

/* Failed before running before not run before passed. */
static enum step_result result_of(const struct record *r, struct span s)
{
    unsigned counts[STEP_FAILED + 1] = {0};

    for (unsigned i = s.begin; i < s.end; i++)
        counts[r->steps[i].result]++;
    return counts[STEP_FAILED]    ? STEP_FAILED
           : counts[STEP_RUNS]    ? STEP_RUNS
           : counts[STEP_TO_COME] ? STEP_TO_COME
                                  : STEP_PASSED;
}

static uint64_t time_of(const struct record *r, struct span s)
{
    uint64_t sum = 0;

    for (unsigned i = s.begin; i < s.end; i++)
        sum += report_took(r, &r->steps[i]);
    return sum;
}

static unsigned rows_in(const struct steps *st, struct span s)
{
    unsigned num = 0;

    for (unsigned i = s.begin; i < s.end; i++)
        num += report_has_row(&st->rows, i);
    return num;
}

/* ---- one step ---- */

static void put_badge(FILE *f, enum step_result result)
{
    static const char *const words[] = {
        [STEP_TO_COME] = "not run",
        [STEP_RUNS] = "not ended",
        [STEP_PASSED] = "passed",
        [STEP_FAILED] = "failed",
    };

    fprintf(f, "<span class=\"badge %s\">%s</span>", report_result(result),
            words[result]);
}

static void put_shots(const struct steps *st, unsigned i)
{
    const struct record_step *s = &st->r->steps[i];

    if (s->num_pictures == 0)
        return;
    fputs("<p class=\"links\">", st->f);
    for (unsigned j = 0; j < s->num_pictures && j < 64; j++) {
        unsigned shot = st->shots->of[st->shots->base[i] + j];

        if (shot < REPORT_PICTURES_MAX || st->shots->list[shot].failed)
            fprintf(st->f, "<a href=\"#picture-%u\">Picture %u</a>: ", shot + 1,
                    shot + 1);
        else
            fprintf(st->f, "Picture %u: ", shot + 1);
        report_put_line(st->f, s->pictures[j].title, 100);
        fputs("<br>", st->f);
    }
    fputs("</p>\n", st->f);
}

static void put_text(const struct steps *st, const char *title,
                     const char *text, size_t max)
{
    if (!text || !*text)
        return;
    fprintf(st->f, "<p class=\"label\">%s</p><pre tabindex=\"0\">", title);
    report_put_json(st->f, text, max);
    fputs("</pre>\n", st->f);
}

static void put_body(const struct steps *st, unsigned i)
{
    const struct record_step *s = &st->r->steps[i];
    bool failed = s->result == STEP_FAILED;
    char at[REPORT_TIME_BYTES];

    if (s->why) {
        fputs("<p class=\"why\">", st->f);
        report_put_start(st->f, s->why, WHY_BYTES);
        fputs("</p>\n", st->f);
    }
    fputs("<dl class=\"facts\"><div><dt>Place</dt><dd><code>", st->f);
    report_put_line(st->f, s->place, 300);
    fputs("</code></dd></div>", st->f);
    if (s->turn) {
        fputs("<div><dt>Turn</dt><dd>", st->f);
        report_put_line(st->f, s->turn, 100);
        fputs("</dd></div>", st->f);
    }
    if (s->begin_ns)
        fprintf(st->f, "<div><dt>Began at</dt><dd>%s</dd></div>",
                report_time(s->begin_ns > st->r->begin_ns
                                ? s->begin_ns - st->r->begin_ns
                                : 0,
                            at));
    fputs("</dl>\n", st->f);
    if (ftello(st->f) > st->full + (failed ? (off_t)REPORT_SECTION_BYTES : 0)) {
        fputs("<p class=\"note\">What was asked and answered is left out: the "
              "page would become too large.</p>\n",
              st->f);
    } else {
        put_text(st, "Arguments", s->args, ARGS_BYTES);
        put_text(st, "Answer", s->answer, failed ? FAILED_BYTES : ANSWER_BYTES);
    }
    put_shots(st, i);
}

static void put_gap(struct steps *st)
{
    if (st->gap)
        fprintf(st->f,
                "<li class=\"gap\">%u step%s left out here, none of which has "
                "failed.</li>\n",
                st->gap, st->gap == 1 ? " is" : "s are");
    st->gap = 0;
}

static void put_step(struct steps *st, unsigned i)
{
    const struct record_step *s = &st->r->steps[i];
    char took[REPORT_TIME_BYTES];

    if (!report_has_row(&st->rows, i)) {
        st->gap++;
        return;
    }
    put_gap(st);
    fprintf(st->f,
            "<li id=\"step-%u\" class=\"step %s\" data-result=\"%s\">"
            "<details%s><summary>",
            i + 1, report_result(s->result), report_result(s->result),
            s->result == STEP_FAILED ? " open" : "");
    put_badge(st->f, s->result);
    fprintf(st->f, "<span class=\"number\">%u</span><span class=\"name\">",
            i + 1);
    report_put_line(st->f, s->name, 200);
    fputs("</span><code class=\"brief\">", st->f);
    report_put_line(st->f, s->args, BRIEF);
    fputs("</code><code class=\"kind\">", st->f);
    report_put_line(st->f, s->kind, 60);
    fprintf(st->f, "</code><span class=\"took\">%s</span></summary>\n",
            s->begin_ns ? report_time(report_took(st->r, s), took) : "");
    fputs("<div class=\"body\">", st->f);
    put_body(st, i);
    fputs("</div></details></li>\n", st->f);
}

/* ---- times of a repeat ---- */

/* How long a step of a repeat took over its turns. */
struct place_times {
    unsigned first, times;
    uint64_t least, most, sum;
};

static struct place_times *place_at(struct place_times list[PLACES_MAX],
                                    unsigned *num, const struct record *r,
                                    unsigned i)
{
    for (unsigned n = 0; n < *num; n++)
        if (strcmp(r->steps[list[n].first].place, r->steps[i].place) == 0)
            return &list[n];
    if (*num == PLACES_MAX)
        return NULL;
    list[*num] = (struct place_times){.first = i, .least = UINT64_MAX};
    return &list[(*num)++];
}

static void put_times(FILE *f, uint64_t ns)
{
    char text[REPORT_TIME_BYTES];

    fprintf(f, "<td class=\"n\">%s</td>", report_time(ns, text));
}

static void put_repeat_table(const struct steps *st, struct span s)
{
    struct place_times list[PLACES_MAX];
    unsigned num = 0;

    for (unsigned i = s.begin; i < s.end; i++) {
        uint64_t took = report_took(st->r, &st->r->steps[i]);
        struct place_times *p;

        if (!st->r->steps[i].begin_ns)
            continue;
        p = place_at(list, &num, st->r, i);
        if (!p)
            continue;
        p->times++;
        p->sum += took;
        p->least = MIN(p->least, took);
        p->most = MAX(p->most, took);
    }
    if (num == 0)
        return;
    fputs("<div class=\"scroll\"><table class=\"times\"><thead><tr>"
          "<th scope=\"col\">Over the turns</th><th scope=\"col\" class=\"n\">"
          "times</th><th scope=\"col\" class=\"n\">least</th>"
          "<th scope=\"col\" class=\"n\">mean</th>"
          "<th scope=\"col\" class=\"n\">most</th></tr></thead><tbody>\n",
          st->f);
    for (unsigned n = 0; n < num; n++) {
        fputs("<tr><th scope=\"row\">", st->f);
        report_put_line(st->f, st->r->steps[list[n].first].name, 100);
        fprintf(st->f, "</th><td class=\"n\">%u</td>", list[n].times);
        put_times(st->f, list[n].least);
        put_times(st->f, list[n].sum / list[n].times);
        put_times(st->f, list[n].most);
        fputs("</tr>\n", st->f);
    }
    fputs("</tbody></table></div>\n", st->f);
}

/* ---- steps under a title, which opens ---- */

/* Up to where the title stands. False: none of them has a row. */
static bool begin_title(struct steps *st, struct span s)
{
    enum step_result result = result_of(st->r, s);

    if (rows_in(st, s) == 0) {
        st->gap += s.end - s.begin;
        return false;
    }
    put_gap(st);
    fprintf(st->f, "<li class=\"turn %s\"><details%s><summary>",
            report_result(result), result == STEP_FAILED ? " open" : "");
    put_badge(st->f, result);
    fputs("<span class=\"name\">", st->f);
    return true;
}

/* Up to where the steps stand. */
static void end_title(struct steps *st, struct span s)
{
    char took[REPORT_TIME_BYTES];

    fprintf(st->f, "</span><span class=\"took\">%s</span></summary>\n<ol>\n",
            report_time(time_of(st->r, s), took));
}

static void end_titled(struct steps *st)
{
    put_gap(st);
    fputs("</ol></details></li>\n", st->f);
}

/* ---- many steps that are not repeated ---- */

static void put_chunk(struct steps *st, struct span s)
{
    if (!begin_title(st, s))
        return;
    fprintf(st->f, "Steps %u to %u", s.begin + 1, s.end);
    end_title(st, s);
    for (unsigned i = s.begin; i < s.end; i++)
        put_step(st, i);
    end_titled(st);
}

static void put_plain(struct steps *st, struct span s)
{
    struct span part;

    if (s.end - s.begin <= PLAIN_MAX) {
        for (unsigned i = s.begin; i < s.end; i++)
            put_step(st, i);
        return;
    }
    for (unsigned i = s.begin; i < s.end; i = part.end) {
        part = (struct span){i, MIN(s.end, i - i % CHUNK + CHUNK)};
        put_chunk(st, part);
    }
}

/* ---- repeats, and what is in them ---- */

static void put_items(struct steps *st, struct span s, size_t repeat);

/* "7 of 50", as a step of the turn itself has it; of others it is another. */
static const char *turn_name(const struct record *r, struct span s,
                             size_t repeat)
{
    for (unsigned i = s.begin; i < s.end; i++)
        if (r->steps[i].turn && repeat_of(&r->steps[i], repeat) == 0)
            return r->steps[i].turn;
    return NULL;
}

static void put_turn(struct steps *st, struct span s, size_t repeat,
                     unsigned number)
{
    const char *name = turn_name(st->r, s, repeat);

    if (!begin_title(st, s))
        return;
    fputs("Turn ", st->f);
    if (name)
        report_put_line(st->f, name, 100);
    else
        fprintf(st->f, "%u", number);
    end_title(st, s);
    put_items(st, s, repeat);
    end_titled(st);
}

static unsigned count_turns(const struct record *r, struct span s,
                            size_t repeat)
{
    unsigned num = 0;

    for (unsigned i = s.begin; i < s.end; num++)
        i = turn_span(r, i, s.end, repeat).end;
    return num;
}

static void put_repeat(struct steps *st, struct span s, size_t repeat)
{
    enum step_result result = result_of(st->r, s);
    unsigned turns = count_turns(st->r, s, repeat), number = 0;
    char took[REPORT_TIME_BYTES];
    struct span turn;

    if (rows_in(st, s) == 0) {
        st->gap += s.end - s.begin;
        return;
    }
    put_gap(st);
    fprintf(st->f, "<li class=\"repeat %s\"><details%s><summary>",
            report_result(result), result == STEP_FAILED ? " open" : "");
    put_badge(st->f, result);
    fprintf(st->f,
            "<span class=\"number\">%u</span><span class=\"name\">Repeat: %u "
            "turn%s, steps %u to %u</span><span class=\"took\">%s</span>"
            "</summary>\n<div class=\"body\">",
            s.begin + 1, turns, turns == 1 ? "" : "s", s.begin + 1, s.end,
            report_time(time_of(st->r, s), took));
    put_repeat_table(st, s);
    fputs("<ol>\n", st->f);
    for (unsigned i = s.begin; i < s.end; i = turn.end) {
        turn = turn_span(st->r, i, s.end, repeat);
        put_turn(st, turn, repeat, ++number);
    }
    put_gap(st);
    fputs("</ol></div></details></li>\n", st->f);
}

/* What is in a turn of a repeat; 0: in the scenario. */
static void put_items(struct steps *st, struct span s, size_t repeat)
{
    for (unsigned i = s.begin; i < s.end;) {
        size_t inner = repeat_of(&st->r->steps[i], repeat);
        struct span part = {i, i + 1};

        if (inner) {
            part = repeat_span(st->r, i, s.end, inner);
            put_repeat(st, part, inner);
        } else {
            while (part.end < s.end &&
                   repeat_of(&st->r->steps[part.end], repeat) == 0)
                part.end++;
            put_plain(st, part);
        }
        i = part.end;
    }
}

void report_steps(FILE *f, const struct record *r,
                  const struct report_shots *shots)
{
    struct steps st = {.f = f,
                       .r = r,
                       .shots = shots,
                       .rows = report_rows_of(r),
                       .full = ftello(f) + (off_t)REPORT_SECTION_BYTES};

    fputs("<section id=\"steps\" aria-labelledby=\"steps-h\">\n"
          "<h2 id=\"steps-h\">Steps</h2>\n",
          f);
    if (r->num_steps == 0)
        fputs("<p class=\"none\">No step has run.</p>\n", f);
    fputs("<ol>\n", f);
    put_items(&st, (struct span){0, r->num_steps}, 0);
    put_gap(&st);
    fputs("</ol>\n</section>\n", f);
}
