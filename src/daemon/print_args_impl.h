/* daemon/print_args_impl.h: what the writers of print_args*.c share. */
#ifndef VUB_DAEMON_PRINT_ARGS_IMPL_H
#define VUB_DAEMON_PRINT_ARGS_IMPL_H

#include <stdio.h>

#include "base/base.h"

enum guest_type { GUEST_BLOCK, GUEST_SCSI, GUEST_INPUT, GUEST_GPU };

/* A device, as a VMM asks for it. */
struct guest_device {
    const char *id;
    enum guest_type type;
    char *path;        /* of its socket; owned */
    unsigned queues;   /* all of them */
    unsigned requests; /* those for requests, of disks and SCSI hosts */
    unsigned ring;     /* entries that a ring may have: a power of two */
    unsigned scanouts;
    bool headless;
    const char *why; /* it cannot be used; NULL: it can */
};

struct guest {
    struct guest_device *list;
    int count;
    unsigned cpus; /* at best */
    bool has_kvm;
};

/* Each fills in why, then writes. */
void print_qemu(FILE *f, struct guest *g);
void print_libvirt(FILE *f, struct guest *g);
void print_cloud_hypervisor(FILE *f, struct guest *g);
void print_crosvm(FILE *f, struct guest *g);
void print_libkrun(FILE *f, struct guest *g);

/* The number of virtio, "Device Types". */
unsigned guest_virtio_id(enum guest_type type);

/* A text under construction; failed: no memory. */
struct words {
    char *text;
    size_t len;
    bool failed;
};

#define WORDS_EMPTY ((struct words){NULL, 0, false})

void words_add(struct words *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* text, and before each character that is in special: the character again, or
 * escape if that is not 0. */
void words_add_escaped(struct words *w, const char *text, const char *special,
                       char escape);
void words_free(struct words *w);

/* One word of a shell's, quoted if it has to be; written and emptied. */
void print_word(FILE *f, struct words *w);
/* " \" and a new line with four spaces before the next word. */
void print_next(FILE *f);
/* Comments of a shell's for what cannot be used. */
void print_why(FILE *f, const struct guest *g);

/* QEMU's, also where libvirt passes them on. */
struct qemu_device {
    struct words chardev, device;
};

/* As QEMU can: why is set if not. is_vga: a GPU that is a VGA card as well. */
void qemu_judge(struct guest_device *d);
void qemu_describe(struct qemu_device *q, const struct guest_device *d,
                   bool is_vga);
/* The first GPU that somebody sees, on machines that have VGA; NULL: none. */
const struct guest_device *qemu_vga(const struct guest *g);
bool guest_has_gpu(const struct guest *g);

#if defined(__aarch64__)
#define QEMU_ARCH "aarch64"
#define QEMU_MACHINE "virt"
#define QEMU_HAS_VGA false
#else
#define QEMU_ARCH "x86_64"
#define QEMU_MACHINE "q35"
#define QEMU_HAS_VGA true
#endif

#endif
