/* What all VMMs have in common: the devices of a config as a guest has them,
 * and how words are quoted. */
#include "daemon/print_args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/print_args_impl.h"
#include "device/gpu/gpu.h"
#include "virtio/spec.h"

const char *const vmm_words[] = {
    [VMM_QEMU] = "qemu",       [VMM_LIBVIRT] = "libvirt",
    [VMM_CROSVM] = "crosvm",   [VMM_CLOUD_HYPERVISOR] = "cloud-hypervisor",
    [VMM_LIBKRUN] = "libkrun", NULL,
};

static void (*const printers[])(FILE *f, struct guest *g) = {
    [VMM_QEMU] = print_qemu,
    [VMM_LIBVIRT] = print_libvirt,
    [VMM_CLOUD_HYPERVISOR] = print_cloud_hypervisor,
    [VMM_CROSVM] = print_crosvm,
    [VMM_LIBKRUN] = print_libkrun,
};

/* ---- devices ---- */

static const struct {
    const char *name; /* in a config */
    unsigned virtio_id;
} types[] = {
    [GUEST_BLOCK] = {"block", 2},
    [GUEST_SCSI] = {"scsi", 8},
    [GUEST_INPUT] = {"input", 18},
    [GUEST_GPU] = {"gpu", 16},
};

unsigned guest_virtio_id(enum guest_type type)
{
    return types[type].virtio_id;
}

bool guest_has_gpu(const struct guest *g)
{
    for (int i = 0; i < g->count; i++)
        if (g->list[i].type == GUEST_GPU && !g->list[i].why)
            return true;
    return false;
}

static void describe_gpu(struct guest_device *g, const struct gpu_conf *c)
{
    g->scanouts = MAX((unsigned)c->scanouts.count, 1u);
    g->headless = c->display == GPU_DISPLAY_HEADLESS;
}

static int describe(struct guest_device *g, const struct conf_any *conf,
                    const char *runtime_dir)
{
    const struct device_common *c = conf->data;

    *g = (struct guest_device){.id = c->id, .ring = 1};
    while (g->type < ARRAY_LEN(types) - 1 &&
           strcmp(types[g->type].name, conf->table->name) != 0)
        g->type++;
    g->queues = g->requests = device_type_of(conf)->queues(conf->data);
    if (g->type == GUEST_SCSI)
        g->requests -= VIRTIO_SCSI_REQUESTQ;
    if (g->type == GUEST_GPU)
        describe_gpu(g, conf->data);
    while (g->ring * 2 <= c->queue_size)
        g->ring *= 2;
    if (c->socket.has_fd) {
        g->why = "its socket is an fd that vub inherits, and its path is not "
                 "known";
        return 0;
    }
    g->path = config_socket_path(runtime_dir, c);
    return g->path ? 0 : -ENOMEM;
}

int print_args(FILE *f, enum vmm vmm, const struct config *c, struct errs *e)
{
    struct guest g = {.cpus = 1,
                      .has_kvm = access("/dev/kvm", R_OK | W_OK) == 0};
    char *runtime_dir = config_runtime_dir(c);
    int rc = 0;

    g.list = calloc((unsigned)c->devices.count, sizeof(*g.list));
    if (!g.list || !runtime_dir) {
        rc = errs_nomem(e);
        goto out;
    }
    for (; rc == 0 && g.count < c->devices.count; g.count++) {
        struct guest_device *d = &g.list[g.count];

        if (describe(d, &c->devices.list[g.count], runtime_dir) < 0)
            rc = errs_nomem(e);
        if (d->type == GUEST_BLOCK || d->type == GUEST_SCSI)
            g.cpus = MAX(g.cpus, d->requests);
    }
    if (rc == 0)
        printers[vmm](f, &g);
out:
    for (int i = 0; i < g.count; i++)
        free(g.list[i].path);
    free(g.list);
    free(runtime_dir);
    return rc;
}

/* ---- words ---- */

void words_add(struct words *w, const char *fmt, ...)
{
    char *piece = NULL, *text;
    va_list args;
    int len;

    va_start(args, fmt);
    len = vasprintf(&piece, fmt, args);
    va_end(args);
    text = len < 0 ? NULL : realloc(w->text, w->len + (size_t)len + 1);
    if (!text) {
        w->failed = true;
    } else {
        memcpy(text + w->len, piece, (size_t)len + 1);
        w->text = text;
        w->len += (size_t)len;
    }
    if (len >= 0)
        free(piece);
}

void words_add_escaped(struct words *w, const char *text, const char *special,
                       char escape)
{
    for (const char *c = text; *c; c++) {
        if (strchr(special, *c))
            words_add(w, "%c", escape ? escape : *c);
        words_add(w, "%c", *c);
    }
}

void words_free(struct words *w)
{
    free(w->text);
    *w = WORDS_EMPTY;
}

void print_word(FILE *f, struct words *w)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789%+,-./:=@_";
    const char *text = w->text ? w->text : "";

    if (w->len && text[strspn(text, plain)] == '\0') {
        fputs(text, f);
    } else {
        putc('\'', f);
        for (const char *c = text; *c; c++) {
            if (*c == '\'')
                fputs("'\\'", f);
            putc(*c, f);
        }
        putc('\'', f);
    }
    words_free(w);
}

void print_next(FILE *f)
{
    fputs(" \\\n    ", f);
}

void print_why(FILE *f, const struct guest *g)
{
    for (int i = 0; i < g->count; i++)
        if (g->list[i].why)
            fprintf(f, "# %s cannot be used: %s.\n", g->list[i].id,
                    g->list[i].why);
}
