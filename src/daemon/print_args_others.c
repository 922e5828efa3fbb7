/* VMMs that are not run by our tests: written from their documentation and
 * sources, as each output says. */
#include "daemon/print_args_impl.h"

#include <string.h>

/* Larger rings are of no use to a disk, and these VMMs would take them. */
#define RING 128u

static unsigned ring_of(const struct guest_device *d)
{
    return MIN(d->ring, RING);
}

static void add_sizes(struct words *w, const struct guest_device *d)
{
    for (unsigned i = 0; i < d->queues; i++)
        words_add(w, "%s%u", i ? "," : "", ring_of(d));
}

/* ---- cloud-hypervisor ---- */

/* Values with its own punctuation stand in double quotes, which are doubled
 * inside. */
static void add_value_ch(struct words *w, const char *text)
{
    bool quote = strpbrk(text, ",[]\"") != NULL;

    words_add(w, "%s", quote ? "\"" : "");
    words_add_escaped(w, text, quote ? "\"" : "", 0);
    words_add(w, "%s", quote ? "\"" : "");
}

static void put_ch(FILE *f, const struct guest *g, bool disks)
{
    bool first = true;

    for (int i = 0; i < g->count; i++) {
        const struct guest_device *d = &g->list[i];
        struct words w = WORDS_EMPTY;

        if (d->why || (d->type == GUEST_BLOCK) != disks)
            continue;
        /* All values of an option follow its name, which stands once. */
        print_next(f);
        if (disks)
            fputs(first ? "--disk " : "       ", f);
        else
            fputs(first ? "--generic-vhost-user " : "                     ", f);
        first = false;
        if (disks)
            words_add(&w, "vhost_user=on,socket=");
        else
            words_add(&w, "virtio_id=%u,socket=", guest_virtio_id(d->type));
        add_value_ch(&w, d->path);
        if (disks) {
            words_add(&w, ",num_queues=%u,queue_size=%u", d->requests,
                      ring_of(d));
        } else {
            words_add(&w, ",queue_sizes=[");
            add_sizes(&w, d);
            words_add(&w, "]");
        }
        print_word(f, &w);
    }
}

void print_cloud_hypervisor(FILE *f, struct guest *g)
{
    for (int i = 0; i < g->count; i++)
        if (g->list[i].type == GUEST_GPU)
            g->list[i].why = "cloud-hypervisor has no GPU of vhost-user";
    fputs("# For cloud-hypervisor 51, by its documentation; vub's tests do not "
          "run it.\n# Add a --kernel or --firmware.\n",
          f);
    print_why(f, g);
    fputs("cloud-hypervisor", f);
    print_next(f);
    /* It has no more queues than processors. */
    fprintf(f, "--cpus boot=%u", g->cpus);
    print_next(f);
    fputs("--memory size=1G,shared=on", f);
    put_ch(f, g, true);
    put_ch(f, g, false);
    putc('\n', f);
}

/* ---- crosvm ---- */

/* Likewise, with \ before what would end them. */
static void add_value_crosvm(struct words *w, const char *text)
{
    bool quote = strpbrk(text, ",[]\"'\\= ") != NULL;

    words_add(w, "%s", quote ? "\"" : "");
    words_add_escaped(w, text, quote ? "\"\\" : "", '\\');
    words_add(w, "%s", quote ? "\"" : "");
}

void print_crosvm(FILE *f, struct guest *g)
{
    static const char *const names[] = {
        [GUEST_BLOCK] = "block",
        [GUEST_SCSI] = "scsi",
        [GUEST_INPUT] = "input",
    };

    for (int i = 0; i < g->count; i++)
        if (g->list[i].type == GUEST_GPU)
            g->list[i].why = "crosvm speaks a protocol of its own with GPUs";
    fputs("# For crosvm of 2026, by its book and its sources; vub's tests do "
          "not run it.\n# It has the types scsi and input, and no such "
          "back-ends of its own: whether it carries\n# others is not known to "
          "us. Add a kernel's path at the end.\n",
          f);
    print_why(f, g);
    fputs("crosvm run", f);
    print_next(f);
    fprintf(f, "--cpus %u --mem 1024", g->cpus);
    for (int i = 0; i < g->count; i++) {
        const struct guest_device *d = &g->list[i];
        struct words w = WORDS_EMPTY;

        if (d->why)
            continue;
        print_next(f);
        fputs("--vhost-user ", f);
        words_add(&w, "type=%s,socket=", names[d->type]);
        add_value_crosvm(&w, d->path);
        words_add(&w, ",max-queue-size=%u", ring_of(d));
        print_word(f, &w);
    }
    putc('\n', f);
}

/* ---- libkrun ---- */

/* A string of C's. */
static void put_string(FILE *f, const char *text)
{
    putc('"', f);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(f, "\\%c", *c);
        else if ((unsigned char)*c < ' ')
            fprintf(f, "\\%03o", (unsigned char)*c);
        else
            putc(*c, f);
    }
    putc('"', f);
}

void print_libkrun(FILE *f, struct guest *g)
{
    for (int i = 0; i < g->count; i++)
        if (g->list[i].type == GUEST_GPU && !g->list[i].headless)
            g->list[i].why =
                "libkrun shows nothing of a GPU that is outside of "
                "it; one that is \"headless\" works without";
    fputs("/* For libkrun 1.18 with its feature vhost-user, by its libkrun.h; "
          "vub's tests do not\n * run it. The numbers are virtio's of device "
          "types. */\n",
          f);
    for (int i = 0; i < g->count; i++)
        if (g->list[i].why)
            fprintf(f, "/* %s cannot be used: %s. */\n", g->list[i].id,
                    g->list[i].why);
    fprintf(f, "krun_set_vm_config(ctx, %u, 1024);\n", g->cpus);
    for (int i = 0; i < g->count; i++) {
        const struct guest_device *d = &g->list[i];
        struct words w = WORDS_EMPTY;

        if (d->why)
            continue;
        fprintf(f, "krun_add_vhost_user_device(ctx, %u, ",
                guest_virtio_id(d->type));
        put_string(f, d->path);
        fprintf(f,
                ", \"%s\", %u,\n                           "
                "(const uint16_t[]){",
                d->id, d->queues);
        add_sizes(&w, d);
        fprintf(f, "%s});\n", w.text ? w.text : "");
        words_free(&w);
    }
}
