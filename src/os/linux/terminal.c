/* What a terminal was like is kept here, for there is one. */
#include "os/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static bool is_open;
static volatile sig_atomic_t over;

bool terminal_is_there(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

static void on_signal(int num)
{
    (void)num;
    over = 1;
}

int terminal_open(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    /* No SA_RESTART: whoever waits is to see it. */
    const struct sigaction action = {.sa_handler = on_signal};
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &before) < 0)
        return -errno;
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
        return -errno;
    is_open = true;
    return 0;
}

void terminal_close(void)
{
    if (is_open)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    is_open = false;
}

bool terminal_is_over(void)
{
    return over;
}

int terminal_key(int timeout_ms)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned char key;
    ssize_t n;

    if (poll(&p, 1, timeout_ms) <= 0)
        return 0;
    n = read(STDIN_FILENO, &key, 1);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    return n == 1 ? key : -EIO;
}

void terminal_size(int *columns, int *lines)
{
    struct winsize size;

    *columns = 80;
    *lines = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        return;
    if (size.ws_col)
        *columns = size.ws_col;
    if (size.ws_row)
        *lines = size.ws_row;
}
