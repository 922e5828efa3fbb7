/* See decades.h. */
#include "base/decades.h"

#include "base/base.h"

#define LOG_2 0.30102999566398119521 /* to the base 10 */
#define LOG_E 0.43429448190325182765

double decades_power(int n)
{
    double power = 1;

    for (int i = 0; i < MIN(n < 0 ? -n : n, DECADES_MAX); i++)
        power *= 10;
    return n < 0 ? 1 / power : power;
}

int decades_floor(double x)
{
    int n = -DECADES_MAX;

    while (n < DECADES_MAX && x >= decades_power(n + 1))
        n++;
    return n;
}

/* What is left of a power of ten, and then of a power of two, is at most the
 * square root of 2 or so: the series of atanh ends soon. */
double decades_log(double x)
{
    int n = decades_floor(x);
    double rest = x / decades_power(n), t, power, sum = 0, log = n;

    if (!(rest >= 1 && rest < 10))
        return n;
    for (; rest > 1.5; rest /= 2)
        log += LOG_2;
    t = (rest - 1) / (rest + 1);
    power = t;
    for (int i = 1; i < 20; i += 2, power *= t * t)
        sum += power / i;
    return log + 2 * sum * LOG_E;
}
