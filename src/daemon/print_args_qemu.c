/* QEMU. Its guests have the rings that it says, whatever the guest wants: disks
 * and SCSI hosts by a property, GPUs and input devices as they come. */
#include "daemon/print_args_impl.h"

/* Of rings, by default; and what version 7.2 has for the two others. */
#define QEMU_RING 128
#define QEMU_RING_FIXED 64
/* virtqueue_size: "must be > 2". */
#define QEMU_RING_SCSI_MIN 4

void qemu_judge(struct guest_device *d)
{
    if (d->why)
        return;
    if ((d->type == GUEST_GPU || d->type == GUEST_INPUT) &&
        d->ring < QEMU_RING_FIXED)
        d->why = "QEMU's rings for it have 64 entries, and \"queue_size\" is "
                 "less";
    else if (d->type == GUEST_SCSI && d->ring < QEMU_RING_SCSI_MIN)
        d->why = "a ring of QEMU's SCSI hosts has 4 entries or more, and "
                 "\"queue_size\" is less";
}

const struct guest_device *qemu_vga(const struct guest *g)
{
    for (int i = 0; QEMU_HAS_VGA && i < g->count; i++)
        if (g->list[i].type == GUEST_GPU && !g->list[i].why &&
            !g->list[i].headless)
            return &g->list[i];
    return NULL;
}

void qemu_describe(struct qemu_device *q, const struct guest_device *d,
                   bool is_vga)
{
    static const char *const names[] = {
        [GUEST_BLOCK] = "blk-pci",
        [GUEST_SCSI] = "scsi-pci",
        [GUEST_INPUT] = "input-pci",
        [GUEST_GPU] = "gpu-pci",
    };

    *q = (struct qemu_device){WORDS_EMPTY, WORDS_EMPTY};
    words_add(&q->chardev, "socket,id=vub-%s,path=", d->id);
    words_add_escaped(&q->chardev, d->path, ",", 0);
    words_add(&q->device, "vhost-user-%s,chardev=vub-%s",
              is_vga ? "vga" : names[d->type], d->id);
    switch (d->type) {
    case GUEST_BLOCK:
        words_add(&q->device, ",num-queues=%u", d->requests);
        if (d->ring < QEMU_RING)
            words_add(&q->device, ",queue-size=%u", d->ring);
        break;
    case GUEST_SCSI:
        words_add(&q->device, ",num_queues=%u", d->requests);
        if (d->ring < QEMU_RING)
            words_add(&q->device, ",virtqueue_size=%u", d->ring);
        break;
    case GUEST_INPUT:
        break;
    case GUEST_GPU:
        if (d->scanouts > 1)
            words_add(&q->device, ",max_outputs=%u", d->scanouts);
        break;
    }
}

static bool has_input(const struct guest *g)
{
    for (int i = 0; i < g->count; i++)
        if (g->list[i].type == GUEST_INPUT && !g->list[i].why)
            return true;
    return false;
}

static bool has_disk(const struct guest *g)
{
    for (int i = 0; i < g->count; i++)
        if (g->list[i].type == GUEST_BLOCK && !g->list[i].why)
            return true;
    return false;
}

static void print_notes(FILE *f, const struct guest *g)
{
    fputs("# For QEMU 7.2 or later; vub's tests run it with 7.2.\n", f);
    if (has_input(g) || guest_has_gpu(g))
        fputs(
            "# 7.2 wants KVM for input devices and GPUs; later ones do not.\n",
            f);
    if (guest_has_gpu(g))
        fputs("# A GPU is seen with -vnc :1, or in a window that has OpenGL "
              "(-display gtk,gl=on).\n",
              f);
    if (has_disk(g))
        fputs("# A disk's guest outlives a restart of vub if its -chardev has "
              "reconnect=1\n# (from 9.2 on: reconnect-ms=1000).\n",
              f);
    print_why(f, g);
}

void print_qemu(FILE *f, struct guest *g)
{
    const struct guest_device *vga;
    struct qemu_device q;

    for (int i = 0; i < g->count; i++)
        qemu_judge(&g->list[i]);
    vga = qemu_vga(g);
    print_notes(f, g);
    fputs("qemu-system-" QEMU_ARCH, f);
    print_next(f);
    fputs("-machine " QEMU_MACHINE ",accel=kvm:tcg,memory-backend=vub-memory",
          f);
    print_next(f);
    fprintf(f, "-smp %u -m 1G", g->cpus);
    print_next(f);
    fputs("-object memory-backend-memfd,id=vub-memory,size=1G,share=on", f);
    if (QEMU_HAS_VGA && guest_has_gpu(g)) {
        print_next(f);
        fputs("-vga none", f);
    }
    for (int i = 0; i < g->count; i++) {
        const struct guest_device *d = &g->list[i];

        if (d->why)
            continue;
        qemu_describe(&q, d, d == vga);
        print_next(f);
        fputs("-chardev ", f);
        print_word(f, &q.chardev);
        print_next(f);
        fputs("-device ", f);
        print_word(f, &q.device);
    }
    putc('\n', f);
}
