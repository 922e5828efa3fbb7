/* os/linux/sandbox_own.h: the parts of the sandbox, for os/linux/sandbox.c. */
#ifndef VUB_OS_LINUX_SANDBOX_OWN_H
#define VUB_OS_LINUX_SANDBOX_OWN_H

#include "os/sandbox.h"

/* Sanitizers look into their own process, in ways that nobody else should. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

/* landlock.c. A set of rules, made while files can still be opened; -ENOSYS:
 * this kernel has no Landlock. *abi: its version. */
int landlock_prepare(const struct sandbox_rules *rules, int *abi);
/* Applies the set, and closes it. no_new_privs is set. */
int landlock_apply(int set);

/* seccomp.c. no_new_privs is set. -ENOSYS: not in this build or kernel. */
int seccomp_apply(const struct sandbox_rules *rules);

#endif
