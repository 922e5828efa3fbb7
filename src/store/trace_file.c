/* Heads and records, as bytes and as structs. Structs are made of foreign bytes
 * here only, and what could not be is refused here: every field, and what is
 * true between fields. Versions to come may add to the end of a head and of a
 * record, hence both lengths; they are refused, too, by their number. */
#include "store/trace_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"

static const uint8_t magic[8] = {'v', 'u', 'b', 't', 'r', 'a', 'c', 'e'};

#define BLOCK_MAX (1u << 24)
#define ERROR_MAX 4095 /* as the kernel has it */
#define FLAGS (STORE_FUA | STORE_UNMAP | STORE_HURRY)

/* As it lies in the file. */
struct head_bytes {
    uint8_t magic[8];
    le32 version, head_bytes, record_bytes, part;
    le64 session, size;
    le32 block_size, reserved;
    le64 start_real_ns, start_ns;
    char device[TRACE_DEVICE_BYTES];
    char store[TRACE_STORE_BYTES];
    uint8_t rest[112];
};

struct record_bytes {
    le64 submit_ns, done_ns, offset, len;
    le32 sequence;
    le16 error;
    uint8_t worker;
    uint8_t op; /* the upper four bits: flags */
};

_Static_assert(sizeof(struct head_bytes) == TRACE_HEAD_BYTES, "");
_Static_assert(sizeof(struct record_bytes) == TRACE_RECORD_BYTES, "");

const char *trace_op_name(unsigned op)
{
    static const char *const names[] = {
        [STORE_READ] = "read",   [STORE_WRITE] = "write",
        [STORE_FLUSH] = "flush", [STORE_DISCARD] = "discard",
        [STORE_ZERO] = "zero",   [TRACE_LOST] = "lost",
        [TRACE_STOP] = "stop",   [TRACE_GOES_ON] = "goes-on",
    };

    return op < ARRAY_LEN(names) && names[op] ? names[op] : NULL;
}

/* ---- writing ---- */

void trace_put_head(const struct trace_head *h, uint8_t out[TRACE_HEAD_BYTES])
{
    struct head_bytes b = {
        .version = htole32(TRACE_VERSION),
        .head_bytes = htole32(TRACE_HEAD_BYTES),
        .record_bytes = htole32(TRACE_RECORD_BYTES),
        .part = htole32(h->part),
        .session = htole64(h->session),
        .size = htole64(h->size),
        .block_size = htole32(h->block_size),
        .start_real_ns = htole64(h->start_real_ns),
        .start_ns = htole64(h->start_ns),
    };

    memcpy(b.magic, magic, sizeof(magic));
    memcpy(b.device, h->device, sizeof(b.device));
    memcpy(b.store, h->store, sizeof(b.store));
    memcpy(out, &b, sizeof(b));
}

void trace_put(const struct trace_record *r, uint8_t out[TRACE_RECORD_BYTES])
{
    const struct record_bytes b = {
        .submit_ns = htole64(r->submit_ns),
        .done_ns = htole64(r->done_ns),
        .offset = htole64(r->offset),
        .len = htole64(r->len),
        .sequence = htole32(r->sequence),
        .error = htole16(r->error),
        .worker = r->worker,
        .op = (uint8_t)(r->op | (r->flags & FLAGS) << 4),
    };

    memcpy(out, &b, sizeof(b));
}

/* ---- reading ---- */

bool trace_is_one(const uint8_t *in, size_t len)
{
    return len >= sizeof(magic) && memcmp(in, magic, sizeof(magic)) == 0;
}

static bool ends(const char *text, size_t room)
{
    return memchr(text, '\0', room) != NULL;
}

int trace_get_head(struct trace_head *h, const uint8_t in[TRACE_HEAD_BYTES],
                   struct err *e)
{
    struct head_bytes b;

    memcpy(&b, in, sizeof(b));
    if (!trace_is_one(in, TRACE_HEAD_BYTES))
        return err_set(e, -EINVAL, "", "it is no trace of vub");
    if (le32toh(b.version) != TRACE_VERSION)
        return err_set(e, -EINVAL, "",
                       "it is of version %" PRIu32 ": this vub knows %d",
                       le32toh(b.version), TRACE_VERSION);
    *h = (struct trace_head){
        .session = le64toh(b.session),
        .part = le32toh(b.part),
        .block_size = le32toh(b.block_size),
        .size = le64toh(b.size),
        .start_real_ns = le64toh(b.start_real_ns),
        .start_ns = le64toh(b.start_ns),
    };
    memcpy(h->device, b.device, sizeof(b.device));
    memcpy(h->store, b.store, sizeof(b.store));
    if (le32toh(b.head_bytes) != TRACE_HEAD_BYTES ||
        le32toh(b.record_bytes) != TRACE_RECORD_BYTES)
        return err_set(e, -EINVAL, "",
                       "its head and records are %" PRIu32 " and %" PRIu32
                       " bytes, not %d and %d",
                       le32toh(b.head_bytes), le32toh(b.record_bytes),
                       TRACE_HEAD_BYTES, TRACE_RECORD_BYTES);
    if (h->block_size == 0 || h->block_size > BLOCK_MAX ||
        (h->block_size & (h->block_size - 1)))
        return err_set(e, -EINVAL, "", "blocks of %" PRIu32 " bytes cannot be",
                       h->block_size);
    if (h->size > STORE_SIZE_MAX || h->size % h->block_size)
        return err_set(e, -EINVAL, "", "a store of %" PRIu64 " bytes cannot be",
                       h->size);
    if (!ends(h->device, sizeof(h->device)) ||
        !ends(h->store, sizeof(h->store)))
        return err_set(e, -EINVAL, "", "a name in it has no end");
    return 0;
}

static const char *fault_of(const struct trace_record *r,
                            const struct trace_head *h)
{
    uint64_t end;

    if (!trace_op_name(r->op))
        return "there is no such operation";
    if (r->done_ns < r->submit_ns || r->done_ns > INT64_MAX)
        return "it ends before it begins";
    if (trace_is_mark(r))
        return NULL;
    if (r->flags & ~FLAGS)
        return "there is no such flag";
    if (r->error > ERROR_MAX)
        return "there is no such error";
    if (!add_u64(r->offset, r->len, &end) || end > STORE_SIZE_MAX)
        return "it lies beyond the end of any store";
    if ((r->offset | r->len) & (h->block_size - 1))
        return "it is not of whole blocks";
    return NULL;
}

int trace_get(struct trace_record *r, const uint8_t in[TRACE_RECORD_BYTES],
              const struct trace_head *h, struct err *e)
{
    struct record_bytes b;
    const char *fault;

    memcpy(&b, in, sizeof(b));
    *r = (struct trace_record){
        .submit_ns = le64toh(b.submit_ns),
        .done_ns = le64toh(b.done_ns),
        .offset = le64toh(b.offset),
        .len = le64toh(b.len),
        .sequence = le32toh(b.sequence),
        .error = le16toh(b.error),
        .worker = b.worker,
        .op = b.op & 15,
        .flags = b.op >> 4,
    };
    fault = fault_of(r, h);
    return fault ? err_set(e, -EINVAL, "", "%s", fault) : 0;
}

int trace_read_head(struct trace_reader *r, FILE *f, struct err *e)
{
    uint8_t bytes[TRACE_HEAD_BYTES];
    size_t n = fread(bytes, 1, sizeof(bytes), f);

    *r = (struct trace_reader){.f = f};
    if (ferror(f))
        return err_sys(e, errno, "", "cannot read it");
    if (n < sizeof(bytes))
        return err_set(e, -EINVAL, "", "it is no trace of vub: too short");
    return trace_get_head(&r->head, bytes, e);
}

int trace_next(struct trace_reader *r, struct trace_record *out, struct err *e)
{
    uint8_t bytes[TRACE_RECORD_BYTES];
    size_t n = fread(bytes, 1, sizeof(bytes), r->f);
    struct err why;

    if (ferror(r->f))
        return err_sys(e, errno, "", "cannot read it");
    if (n < sizeof(bytes)) {
        r->torn = n > 0;
        return 0;
    }
    if (trace_get(out, bytes, &r->head, &why) < 0)
        return err_set(e, -EINVAL, "", "record %" PRIu64 ": %s", r->read,
                       why.text);
    r->read++;
    return 1;
}
