/* The pictures, those of what has failed first, then in the order in which
 * they were first seen. The same one is there once, with how often it was
 * taken. A click makes it as large as it is:
 * the picture is the summary of a <details>, and the style does the rest, so
 * it is in the page once and no script is needed. */
#include <inttypes.h>
#include <string.h>

#include "daemon/scenario/report_impl.h"

struct pictures {
    FILE *f;
    const struct record *r;
    const char *path; /* of the report */
    size_t left;      /* bytes that may still be taken in */
};

static void put_title(const struct pictures *p, const struct report_shot *shot)
{
    const struct record_step *s = &p->r->steps[shot->step];

    report_put_line(p->f, shot->picture->title, 200);
    fprintf(p->f, ", at step %u: ", shot->step + 1);
    report_put_line(p->f, s->name, 200);
}

static void put_image(struct pictures *p, const struct report_shot *shot,
                      unsigned num)
{
    struct report_png png;
    const char *why = shot->lost ? "a later one was written to its file"
                                 : report_png_read(&png, shot->picture->path,
                                                   p->path, p->left);

    if (why) {
        fprintf(p->f, "<p class=\"missing\">not in this page: %s</p>\n", why);
        return;
    }
    fprintf(p->f,
            "<details class=\"shot\"><summary title=\"as large as it is, and "
            "back\"><img id=\"image-%u\" width=\"%u\" height=\"%u\" alt=\"",
            num, png.width, png.height);
    put_title(p, shot);
    fputs("\" src=\"data:image/png;base64,", p->f);
    report_put_base64(p->f, png.bytes, png.len);
    fputs("\"></summary></details>\n", p->f);
    p->left -= png.len;
    report_png_free(&png);
}

static void put_caption(const struct pictures *p,
                        const struct report_shot *shot)
{
    const struct record_picture *pic = shot->picture;

    fprintf(p->f,
            "<figcaption><a href=\"#step-%u\">Step %u</a>: ", shot->step + 1,
            shot->step + 1);
    report_put_line(p->f, pic->title, 200);
    if (pic->width && pic->height)
        fprintf(p->f, "<br>%u &#215; %u", pic->width, pic->height);
    if (shot->times > 1)
        fprintf(p->f, ", taken %u times", shot->times);
    if (*pic->hash) {
        fputs("<br><code>", p->f);
        report_put_line(p->f, pic->hash, 80);
        fputs("</code>", p->f);
    }
    fputs("<br><span class=\"file\">", p->f);
    if (*pic->path) {
        const char *name = strrchr(pic->path, '/');

        report_put_line(p->f, name ? name + 1 : pic->path, 200);
    }
    fputs("</span></figcaption>\n", p->f);
}

static void put_picture(struct pictures *p, const struct report_shot *shot,
                        unsigned num)
{
    fprintf(p->f, "<figure id=\"picture-%u\" class=\"%s\">\n", num,
            shot->failed ? "failed" : "");
    put_image(p, shot, num);
    put_caption(p, shot);
    fputs("</figure>\n", p->f);
}

void report_pictures(FILE *f, const struct record *r,
                     const struct report_shots *shots, const char *path)
{
    struct pictures p = {f, r, path, REPORT_PICTURES_BYTES};
    unsigned left_out = 0;

    fputs("<section id=\"pictures\" aria-labelledby=\"pictures-h\">\n"
          "<h2 id=\"pictures-h\">Pictures</h2>\n",
          f);
    if (shots->num == 0)
        fputs("<p class=\"none\">No picture was taken.</p>\n", f);
    fputs("<div class=\"grid\">\n", f);
    for (unsigned i = 0; i < shots->num; i++)
        if (shots->list[i].failed)
            put_picture(&p, &shots->list[i], i + 1);
    for (unsigned i = 0; i < shots->num; i++) {
        if (shots->list[i].failed)
            continue;
        if (i < REPORT_PICTURES_MAX)
            put_picture(&p, &shots->list[i], i + 1);
        else
            left_out++;
    }
    fputs("</div>\n", f);
    if (left_out)
        fprintf(f,
                "<p class=\"note\">%u more pictures are left out; they lie "
                "beside this page.</p>\n",
                left_out);
    fputs("</section>\n", f);
}
