/* os/claim.h: a name that one process of the host has at a time.
 *
 * The kernel takes it back when the process ends, however it does: a new one
 * finds what it left free. It is for telling apart those who mean well: names
 * belong to nobody, so another user may take one first. Processes in different
 * network namespaces do not see each other's. Threads: any. */
#ifndef VUB_OS_CLAIM_H
#define VUB_OS_CLAIM_H

/* At most CLAIM_NAME_MAX bytes. Returns an fd, whose close gives it back;
 * -EADDRINUSE: somebody has it, perhaps ourselves; or another negative errno.
 */
#define CLAIM_NAME_MAX 100
int claim_name(const char *name);

#endif
