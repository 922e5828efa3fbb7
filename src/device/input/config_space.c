/* The config space: the driver selects a question, and reads the answer.
 *
 * Spec: virtio, "Input Device", "Device configuration layout". The two bytes
 * of the question may be written in any order, each alone or both together or,
 * as QEMU does it, with all the rest, which is ignored. The answer is made when
 * it is read, so it always belongs to the question. */
#include <errno.h>
#include <string.h>

#include "device/input/impl.h"

static void answer_text(struct virtio_input_config *c, const char *text)
{
    c->size = (uint8_t)strnlen(text, sizeof(c->u.string));
    memcpy(c->u.string, text, c->size);
}

/* Up to the last byte that is not zero. */
static void answer_bits(struct virtio_input_config *c, const uint8_t *bits)
{
    unsigned size = SOURCE_BITS_BYTES;

    while (size > 0 && bits[size - 1] == 0)
        size--;
    c->size = (uint8_t)size;
    memcpy(c->u.bitmap, bits, size);
}

static void answer_ids(struct virtio_input_config *c,
                       const struct source_desc *d)
{
    c->size = sizeof(c->u.ids);
    c->u.ids = (struct virtio_input_devids){
        htole16(d->bustype),
        htole16(d->vendor),
        htole16(d->product),
        htole16(d->version),
    };
}

static void answer_abs(struct virtio_input_config *c,
                       const struct source_abs *a)
{
    c->size = sizeof(c->u.abs);
    c->u.abs = (struct virtio_input_absinfo){
        htole32((uint32_t)a->min),  htole32((uint32_t)a->max),
        htole32((uint32_t)a->fuzz), htole32((uint32_t)a->flat),
        htole32((uint32_t)a->res),
    };
}

static void answer(struct virtio_input_config *c, const struct source_desc *d)
{
    switch (c->select) {
    case VIRTIO_INPUT_CFG_EV_BITS:
        if (c->subsel != EV_SYN && c->subsel < SOURCE_EV_TYPES)
            answer_bits(c, d->bits[c->subsel]);
        return;
    case VIRTIO_INPUT_CFG_ABS_INFO:
        if (c->subsel < SOURCE_ABS_MAX && source_has(d, EV_ABS, c->subsel))
            answer_abs(c, &d->abs[c->subsel]);
        return;
    default:
        break;
    }
    if (c->subsel != 0)
        return;
    switch (c->select) {
    case VIRTIO_INPUT_CFG_ID_NAME:
        answer_text(c, d->name);
        break;
    case VIRTIO_INPUT_CFG_ID_SERIAL:
        answer_text(c, d->serial);
        break;
    case VIRTIO_INPUT_CFG_ID_DEVIDS:
        answer_ids(c, d);
        break;
    case VIRTIO_INPUT_CFG_PROP_BITS:
        answer_bits(c, d->props);
        break;
    default:
        break;
    }
}

void input_config_read(struct device *d, void *config)
{
    const struct input *in = input_of(d);
    struct virtio_input_config c = {in->select, in->subsel};

    answer(&c, &in->desc);
    memcpy(config, &c, sizeof(c));
}

int input_config_write(struct device *d, uint32_t offset, const void *data,
                       uint32_t len)
{
    struct input *in = input_of(d);
    const uint8_t *bytes = data;

    if (offset > offsetof(struct virtio_input_config, subsel) || len == 0)
        return -EACCES;
    if (offset == offsetof(struct virtio_input_config, select))
        in->select = *bytes++;
    if (offset + len > offsetof(struct virtio_input_config, subsel))
        in->subsel = *bytes;
    kept_selected(in);
    return 0;
}
