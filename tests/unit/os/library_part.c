/* A library to be loaded by library_test.c. */
int part_answer(void);
int part_twice(int n);

int part_answer(void)
{
    return 42;
}

int part_twice(int n)
{
    return 2 * n;
}
