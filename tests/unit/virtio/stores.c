#include "stores.h"

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

static enum stores_way (*before_store)(uint8_t *at);
static void (*after_store)(void);

#if STORES_CAN_STEP
#define TRAP_FLAG 0x100

static void step(ucontext_t *uc, bool on)
{
    if (on)
        uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
    else
        uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}
#else
static void step(ucontext_t *uc, bool on)
{
    (void)uc;
    (void)on;
}
#endif

static void on_store(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    switch (before_store(info->si_addr)) {
    case STORES_STEP:
        step(context, true);
        break;
    case STORES_LET:
        break;
    case STORES_FAULT:
        _exit(1);
    }
}

static void on_stored(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)info;
    after_store();
    step(context, false);
}

void stores_watch(enum stores_way (*before)(uint8_t *at), void (*after)(void))
{
    struct sigaction sa = {.sa_flags = SA_SIGINFO};

    before_store = before;
    after_store = after;
    sa.sa_sigaction = on_store;
    sigaction(SIGSEGV, &sa, NULL);
    sa.sa_sigaction = on_stored;
    sigaction(SIGTRAP, &sa, NULL);
}
