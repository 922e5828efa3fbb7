/* A library to be loaded by library_test.c, and an older version of it. */
int part_answer(void);

int part_answer(void)
{
    return 42;
}

#ifndef OLD
int part_twice(int n);

int part_twice(int n)
{
    return 2 * n;
}
#endif
