/* base/decades.h: powers of ten, for axes that people read.
 *
 * libm has them too; every vub would have that in its memory, for the few that
 * draw. Threads: any. */
#ifndef VUB_BASE_DECADES_H
#define VUB_BASE_DECADES_H

#define DECADES_MAX 22 /* whose power is a double without an error */

/* 10^n, n -DECADES_MAX..DECADES_MAX; beyond: that of the border. */
double decades_power(int n);
/* The decade that x is in: n, of 10^n <= x < 10^(n + 1). x at or beyond a
 * border of the above, or no number: that border. */
int decades_floor(double x);
/* The logarithm of x to the base 10, good to 12 digits; likewise. */
double decades_log(double x);

#endif
