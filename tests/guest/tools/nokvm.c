/* Preloaded into QEMU 7.2 where there is no KVM.
 *
 * vhost_user_backend_dev_init(), which vhost-user-input and -gpu begin with,
 * says "requires kvm" if kvm_allowed or kvm_eventfds_allowed is false. Nothing
 * in these devices needs KVM, QEMU emulates the eventfds, and later versions
 * dropped the check. Here the two comparisons of that function with 0 become
 * comparisons with 2, which neither variable is; the variables, which all else
 * in QEMU goes by, stay as they are. Where the code does not look as expected
 * nothing is done, and QEMU says what it always says. */
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CODE_BYTES 128

#if defined(__x86_64__)

/* cmpb $0, variable(%rip): 80 3d, four bytes of distance from the end of the
 * instruction, 00. */
static void patch(uint8_t *code, const void *variable)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *from = (void *)((uintptr_t)code & ~(page - 1));

    for (uint8_t *at = code; variable && at < code + CODE_BYTES; at++) {
        int32_t distance;

        memcpy(&distance, at + 2, sizeof(distance));
        if (at[0] != 0x80 || at[1] != 0x3d || at[6] != 0 ||
            at + 7 + distance != (const uint8_t *)variable)
            continue;
        if (mprotect(from, 2 * page, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
            return;
        at[6] = 2;
        mprotect(from, 2 * page, PROT_READ | PROT_EXEC);
        return;
    }
}

__attribute__((constructor)) static void start(void)
{
    uint8_t *code = dlsym(RTLD_DEFAULT, "vhost_user_backend_dev_init");

    if (!code)
        return; /* whatever this is, it is no QEMU */
    patch(code, dlsym(RTLD_DEFAULT, "kvm_allowed"));
    patch(code, dlsym(RTLD_DEFAULT, "kvm_eventfds_allowed"));
}

#endif
