/* libvirt has an element for vhost-user disks. Of the others it knows GPUs, but
 * only those whose back-end it starts itself, one for each domain; what vub
 * serves goes to QEMU as it is. Those stand where libvirt puts nothing, which
 * fills its bus from below: QEMU would make them first, in the first places. */
#include "daemon/print_args_impl.h"

#include <string.h>

#define LIBVIRT_RING 128

/* Slots of the first bus that are ours, and functions of each. */
#define SLOT_FIRST 0x10u
#define SLOTS 14u
#define FUNCTIONS 8u

/* A text of XML. Control characters it cannot have: libvirt_judge. */
static void put_text(FILE *f, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '&')
            fputs("&amp;", f);
        else if (*c == '<')
            fputs("&lt;", f);
        else if (*c == '>')
            fputs("&gt;", f);
        else if (*c == '\'')
            fputs("&apos;", f);
        else
            putc(*c, f);
    }
}

/* In a comment of XML there are no two dashes. */
static void put_comment(FILE *f, const char *text)
{
    for (const char *c = text; *c; c++) {
        putc(*c, f);
        if (c[0] == '-' && (c[1] == '-' || c[1] == '\0'))
            putc(' ', f);
    }
}

static void libvirt_judge(struct guest_device *d)
{
    qemu_judge(d);
    for (const char *c = d->path; !d->why && *c; c++)
        if ((unsigned char)*c < ' ')
            d->why = "the path of its socket has control characters, and XML "
                     "has none";
}

/* vda to vdz, vdaa, and so on. */
static void put_target(FILE *f, unsigned n)
{
    char name[8];
    unsigned at = sizeof(name) - 1;

    name[at] = '\0';
    for (n++; n > 0; n = (n - 1) / 26)
        name[--at] = (char)('a' + (n - 1) % 26);
    fprintf(f, "      <target dev='vd%s' bus='virtio'/>\n", &name[at]);
}

static void put_disk(FILE *f, const struct guest_device *d, unsigned n)
{
    fputs("    <disk type='vhostuser' device='disk'>\n", f);
    fprintf(f, "      <driver name='qemu' type='raw' queues='%u'", d->requests);
    if (d->ring < LIBVIRT_RING)
        fprintf(f, " queue_size='%u'", d->ring);
    fputs("/>\n      <source type='unix' path='", f);
    put_text(f, d->path);
    fputs("'>\n        <reconnect enabled='yes' timeout='1'/>\n"
          "      </source>\n",
          f);
    put_target(f, n);
    fputs("    </disk>\n", f);
}

static void put_argument(FILE *f, const char *option, struct words *value)
{
    fprintf(f, "    <qemu:arg value='%s'/>\n    <qemu:arg value='", option);
    put_text(f, value->text ? value->text : "");
    fputs("'/>\n", f);
    words_free(value);
}

static bool is_disk(const struct guest_device *d)
{
    return d->type == GUEST_BLOCK;
}

static void put_others(FILE *f, const struct guest *g, unsigned count)
{
    const struct guest_device *vga = qemu_vga(g);
    struct qemu_device q;
    unsigned n = 0;

    fputs("  <!-- libvirt 9.0 has no element for vhost-user devices of other "
          "types that it does not\n       start itself: these go to QEMU as "
          "they are. -->\n  <qemu:commandline>\n",
          f);
    for (int i = 0; i < g->count; i++) {
        const struct guest_device *d = &g->list[i];

        if (d->why || is_disk(d))
            continue;
        qemu_describe(&q, d, d == vga);
        words_add(&q.device, ",bus=pcie.0,addr=0x%x.0x%x%s",
                  SLOT_FIRST + n % SLOTS, n / SLOTS,
                  count > SLOTS ? ",multifunction=on" : "");
        n++;
        put_argument(f, "-chardev", &q.chardev);
        put_argument(f, "-device", &q.device);
    }
    fputs("  </qemu:commandline>\n", f);
}

void print_libvirt(FILE *f, struct guest *g)
{
    unsigned disks = 0, others = 0;

    fputs("<!-- For libvirt 9.0 or later, with QEMU 7.2 or later; vub's tests "
          "run it with these. -->\n",
          f);
    for (int i = 0; i < g->count; i++) {
        struct guest_device *d = &g->list[i];

        libvirt_judge(d);
        if (!d->why && !is_disk(d) && others == SLOTS * FUNCTIONS)
            d->why = "there are 112 places for what libvirt does not know";
        if (!d->why) {
            others += !is_disk(d);
            continue;
        }
        fputs("<!-- ", f);
        put_comment(f, d->id);
        fprintf(f, " cannot be used: %s. -->\n", d->why);
    }
    fprintf(f,
            "<domain type='%s'"
            " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
            "  <name>vub</name>\n"
            "  <memory unit='MiB'>1024</memory>\n"
            "  <memoryBacking>\n"
            "    <source type='memfd'/>\n"
            "    <access mode='shared'/>\n"
            "  </memoryBacking>\n"
            "  <vcpu>%u</vcpu>\n"
            "  <os>\n"
            "    <type arch='" QEMU_ARCH "' machine='" QEMU_MACHINE
            "'>hvm</type>\n"
            "  </os>\n"
            "  <features>\n"
            "    <acpi/>\n"
            "  </features>\n"
            "  <devices>\n",
            g->has_kvm ? "kvm" : "qemu", g->cpus);
    for (int i = 0; i < g->count; i++)
        if (!g->list[i].why && is_disk(&g->list[i]))
            put_disk(f, &g->list[i], disks++);
    fputs("  </devices>\n", f);
    if (others)
        put_others(f, g, others);
    fputs("</domain>\n", f);
}
