/* daemon/trace/canvas.h: what a plot is drawn on: rectangles and words, that
 * become an SVG as they come, or pixels of a PNG at the end.
 *
 * Units are those of the SVG; a PNG has CANVAS_SCALE pixels for each. Colors
 * are 0xAARRGGBB. Threads: any, one per canvas. */
#ifndef VUB_DAEMON_TRACE_CANVAS_H
#define VUB_DAEMON_TRACE_CANVAS_H

#include "base/err.h"

#define CANVAS_SCALE 2
#define CANVAS_LETTER 6 /* the width of one, units */

struct canvas;

/* By the ending of path, which is made, or written over: .svg or .png. */
int canvas_open(struct canvas **out, const char *path, unsigned width,
                unsigned height, struct err *e);
/* What lies outside is cut off. */
void canvas_rect(struct canvas *c, double x, double y, double w, double h,
                 uint32_t color);
/* y: where letters stand. anchor: which part of the text is at x: 0 its
 * start, 1 its middle, 2 its end. Text may be of a stranger. */
void canvas_text(struct canvas *c, double x, double y, unsigned anchor,
                 uint32_t color, const char *text);
/* Frees c, whatever is returned. */
int canvas_close(struct canvas *c, struct err *e);

#endif
