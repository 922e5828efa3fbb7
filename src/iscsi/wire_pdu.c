/* What a target may say, and when: RFC 7143, chapters 11 to 13.
 *
 * libiscsi 1.19 would: send Data-Out for ever if a target takes segments of 0
 * bytes; make PDUs for as many GiB as an R2T asks for; collect data of a read
 * that asked for none without end; read sense data beyond its end, by the
 * lengths in it; look at the task of a write after its end, while Data-Out of
 * it waits; give up on an answer with a status that it does not know; read a
 * CHAP challenge of an odd number of digits beyond its end; take a target's
 * proof before it has asked for it; note the address of no target; log out, and
 * not come back, when told to; queue an answer for each ping of a target that
 * reads none. */
#include <stdlib.h>
#include <string.h>

#include "iscsi/wire.h"

#define STRAYS_MAX                                                             \
    64               /* PDUs for tasks that we do not know, of a connection    \
                      */
#define PINGS_MAX 16 /* of the target's, that libiscsi has not answered yet */
#define BURSTS_MAX 4
#define SENSE_SEGMENT_MAX 8192
#define TEXT_MAX 32768

enum {
    NOP_IN = 0x20,
    SCSI_RESPONSE = 0x21,
    TMF_RESPONSE = 0x22,
    LOGIN_RESPONSE = 0x23,
    TEXT_RESPONSE = 0x24,
    DATA_IN = 0x25,
    LOGOUT_RESPONSE = 0x26,
    R2T = 0x31,
    ASYNC = 0x32,
    REJECT = 0x3f,
};

enum {
    NOP_OUT = 0x00,
    SCSI_COMMAND = 0x01,
    LOGIN_REQUEST = 0x03,
    DATA_OUT = 0x05,
};

#define FINAL 0x80
#define NO_TAG 0xffffffffu

uint32_t wire_crc32c(const uint8_t *p, size_t len)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static enum wire_verdict stray(struct wire *w)
{
    if (++w->strays <= STRAYS_MAX)
        return WIRE_SKIP;
    wire_fault(w, "answers to commands that it was not sent");
    return WIRE_BAD;
}

static enum wire_verdict residual(struct wire *w, struct wire_task *t,
                                  const uint8_t *h)
{
    uint32_t count = be32_at(h + 44);

    if (h[1] & 0x02)
        t->under = MIN(count, t->len);
    else if (h[1] & 0x04)
        t->over = count;
    (void)w;
    return WIRE_PASS;
}

/* t has its answer, of which libiscsi will see that it is GOOD. */
static enum wire_verdict take_status(struct wire *w, struct wire_task *t,
                                     uint8_t *h)
{
    if (!t->sent) { /* libiscsi would forget it in the middle of its PDU */
        wire_fault(w, "an answer to a command that it has not got");
        return WIRE_BAD;
    }
    t->answered = true;
    t->status = h[3];
    residual(w, t, h);
    h[2] = h[3] = 0;
    memset(h + 44, 0, 4);
    return WIRE_PASS;
}

/* 11.4 */
static enum wire_verdict response(struct wire *w, uint8_t *h,
                                  const uint8_t *data, size_t have,
                                  uint32_t *len)
{
    struct wire_task *t = wire_find(w, be32_at(h + 16));
    unsigned sense = 0;

    if (!t || t->answered || !t->started)
        return stray(w);
    if (!(h[1] & FINAL)) {
        wire_fault(w, "an answer that is not final");
        return WIRE_BAD;
    }
    if (*len > SENSE_SEGMENT_MAX) {
        wire_fault(w, "an answer with %u bytes of sense data", *len);
        return WIRE_BAD;
    }
    if (have < *len)
        return WIRE_MORE;
    if (*len >= 2)
        sense = MIN(be16_at(data), *len - 2);
    t->sense_len = (uint8_t)MIN(sense, SCSI_SENSE_MAX);
    if (t->sense_len)
        memcpy(t->sense, data + 2, t->sense_len);
    t->failed = h[2] != 0;
    if (take_status(w, t, h) == WIRE_BAD)
        return WIRE_BAD;
    h[1] = FINAL;
    memset(h + 4, 0, 4);
    *len = 0;
    return WIRE_PASS;
}

/* 11.7 */
static enum wire_verdict data_in(struct wire *w, uint8_t *h, uint32_t len)
{
    struct wire_task *t = wire_find(w, be32_at(h + 16));
    const bool status = h[1] & 0x01;

    if (!t || t->answered || !t->started)
        return stray(w);
    if (!t->in || be32_at(h + 40) != t->got || len > t->len - t->got) {
        wire_fault(w, "data that were not asked for: %u bytes at %u of %u", len,
                   be32_at(h + 40), t->in ? t->len : 0);
        return WIRE_BAD;
    }
    if ((h[1] & 0x40) || (status && !(h[1] & FINAL))) {
        wire_fault(w, "data with flags %02x", h[1]);
        return WIRE_BAD;
    }
    t->got += len;
    w->in_task = len ? t : NULL;
    if (!status)
        return WIRE_PASS;
    if (take_status(w, t, h) == WIRE_BAD)
        return WIRE_BAD;
    h[1] = FINAL | 0x01;
    return WIRE_PASS;
}

/* 11.8 */
static enum wire_verdict r2t(struct wire *w, const uint8_t *h)
{
    struct wire_task *t = wire_find(w, be32_at(h + 16));
    uint32_t offset = be32_at(h + 40), len = be32_at(h + 44);

    if (!t || t->answered || !t->started)
        return stray(w);
    if (!t->out || len == 0 || offset > t->len || len > t->len - offset ||
        len > t->len - t->asked || t->bursts >= BURSTS_MAX) {
        wire_fault(w,
                   "it asks for data that there are not: %u bytes at %u "
                   "of %u",
                   len, offset, t->out ? t->len : 0);
        return WIRE_BAD;
    }
    t->asked += len;
    t->bursts++;
    return WIRE_PASS;
}

/* 11.19 */
static enum wire_verdict nop_in(struct wire *w, const uint8_t *h, uint32_t len)
{
    if (len > SENSE_SEGMENT_MAX) {
        wire_fault(w, "a ping of %u bytes", len);
        return WIRE_BAD;
    }
    if (be32_at(h + 16) != NO_TAG || be32_at(h + 20) == NO_TAG)
        return WIRE_PASS;
    if (++w->pings <= PINGS_MAX)
        return WIRE_PASS;
    wire_fault(w, "pings, of which it does not take the answers");
    return WIRE_BAD;
}

static bool starts(const char *s, const char *with, const char **rest)
{
    size_t n = strlen(with);

    if (strncmp(s, with, n) != 0)
        return false;
    *rest = s + n;
    return true;
}

static bool number_within(const char *s, long min, long max)
{
    char *end;
    long v;

    if (*s < '0' || *s > '9' || strlen(s) > 9)
        return false;
    v = strtol(s, &end, 10);
    return !*end && v >= min && v <= max;
}

/* 0x and an even number of digits, for min to max bytes. */
static bool hex_bytes(const char *s, size_t min, size_t max)
{
    size_t n;

    if (s[0] != '0' || (s[1] != 'x' && s[1] != 'X'))
        return false;
    s += 2;
    n = strspn(s, "0123456789abcdefABCDEF");
    return !s[n] && n % 2 == 0 && n / 2 >= min && n / 2 <= max;
}

/* One "key=value" of a login: what libiscsi makes numbers or bytes of. NULL:
 * it is as it must be. */
static const char *bad_key(struct wire *w, const char *s)
{
    const char *v;

    if (starts(s, "MaxRecvDataSegmentLength=", &v) ||
        starts(s, "MaxBurstLength=", &v) || starts(s, "FirstBurstLength=", &v))
        return number_within(v, 512, 16777215)
                   ? NULL
                   : "a length that is out of bounds";
    if (starts(s, "CHAP_A=", &v))
        return strcmp(v, "5") == 0 ? NULL : "a CHAP that is not of MD5";
    if (starts(s, "CHAP_I=", &v))
        return number_within(v, 0, 255) ? NULL : "a CHAP_I that is no byte";
    if (starts(s, "CHAP_C=", &v))
        return hex_bytes(v, 1, 120)
                   ? NULL
                   : "a CHAP challenge in a form that libiscsi does not read";
    if (starts(s, "CHAP_R=", &v)) {
        if (!hex_bytes(v, 16, 16))
            return "a CHAP_R that is not 16 bytes";
        if (!w->challenged)
            return "a proof of who it is before it was asked for one";
        w->proved = true;
        return NULL;
    }
    if (starts(s, "TargetPortalGroupTag=", &v)) {
        if (!number_within(v, 0, 65535))
            return "a portal group that is no number";
        w->group = (int)strtol(v, NULL, 10);
        return NULL;
    }
    if (starts(s, "TargetAddress=", &v))
        return strlen(v) <= 255 ? NULL : "an address that is too long";
    return NULL;
}

/* Texts end in NUL, all of them. */
static bool text_ends(const uint8_t *data, uint32_t len)
{
    return len == 0 || data[len - 1] == '\0';
}

/* 11.11, for SendTargets: libiscsi notes an address at the target before it. */
static enum wire_verdict text(struct wire *w, const uint8_t *data, size_t have,
                              uint32_t len)
{
    bool named = false;
    const char *value;

    if (len > TEXT_MAX) {
        wire_fault(w, "a text of %u bytes", len);
        return WIRE_BAD;
    }
    if (have < len)
        return WIRE_MORE;
    if (!text_ends(data, len)) {
        wire_fault(w, "a text without an end");
        return WIRE_BAD;
    }
    for (uint32_t at = 0; at < len;
         at += (uint32_t)strlen((const char *)data + at) + 1) {
        named |= starts((const char *)data + at, "TargetName=", &value);
        if (!named && data[at]) {
            wire_fault(w, "a list of targets that starts with none");
            return WIRE_BAD;
        }
    }
    return WIRE_PASS;
}

/* 11.13 */
static enum wire_verdict login(struct wire *w, const uint8_t *h,
                               const uint8_t *data, size_t have, uint32_t len)
{
    const unsigned class = h[36];
    const bool transit = h[1] & 0x80, more = h[1] & 0x40;
    const char *fault;

    if (len > TEXT_MAX) {
        wire_fault(w, "a login response of %u bytes", len);
        return WIRE_BAD;
    }
    if (have < len)
        return WIRE_MORE;
    if (more || !text_ends(data, len)) {
        wire_fault(w, "a login response that is not whole");
        return WIRE_BAD;
    }
    for (uint32_t at = 0; at < len;
         at += (uint32_t)strlen((const char *)data + at) + 1) {
        fault = bad_key(w, (const char *)data + at);
        if (fault) {
            wire_fault(w, "%s", fault);
            return WIRE_BAD;
        }
    }
    w->login_refused = class == 2;
    if (class == 0 && transit && (h[1] & 3) == 3) {
        if (w->mutual && !w->proved) {
            wire_fault(w, "it does not prove who it is, as mutual_chap asks");
            return WIRE_BAD;
        }
        w->phase = WIRE_FULL;
        w->max_cmdsn = be32_at(h + 32);
    }
    return WIRE_PASS;
}

/* 11.9: libiscsi would log out and wait for ever. */
static enum wire_verdict async(struct wire *w, const uint8_t *h)
{
    switch (h[36]) {
    case 0:   /* sense data of a unit, which a command brings too */
    case 255: /* the vendor's */
        return WIRE_SKIP;
    case 1:
        wire_fault(w, "it asks us to log out");
        return WIRE_BAD;
    default:
        wire_fault(w, "it ends the session (event %u)", h[36]);
        return WIRE_BAD;
    }
}

enum wire_verdict wire_judge(struct wire *w, uint8_t *h, const uint8_t *data,
                             size_t have, uint32_t *len)
{
    const uint8_t opcode = h[0] & 0x3f;
    enum wire_verdict v;

    if (w->phase == WIRE_LOGIN) {
        if (opcode == LOGIN_RESPONSE)
            return login(w, h, data, have, *len);
        wire_fault(w, "a PDU of kind %02x instead of a login response", opcode);
        return WIRE_BAD;
    }
    switch (opcode) {
    case SCSI_RESPONSE:
        v = response(w, h, data, have, len);
        break;
    case DATA_IN:
        v = data_in(w, h, *len);
        break;
    case R2T:
        v = r2t(w, h);
        break;
    case NOP_IN:
        v = nop_in(w, h, *len);
        break;
    case TEXT_RESPONSE:
        v = text(w, data, have, *len);
        break;
    case TMF_RESPONSE:
    case LOGOUT_RESPONSE:
        v = *len == 0 ? WIRE_PASS : WIRE_BAD;
        if (v == WIRE_BAD)
            wire_fault(w, "data in a PDU of kind %02x", opcode);
        break;
    case ASYNC:
        v = async(w, h);
        break;
    case REJECT:
        wire_fault(w, "it rejects what it was sent (reason %02x)", h[2]);
        return WIRE_BAD;
    default:
        wire_fault(w, "a PDU of kind %02x", opcode);
        return WIRE_BAD;
    }
    /* 4.2.2.1, MaxCmdSN: only forward. */
    if ((v == WIRE_PASS || v == WIRE_SKIP) &&
        (int32_t)(be32_at(h + 32) - w->max_cmdsn) > 0)
        w->max_cmdsn = be32_at(h + 32);
    return v;
}

/* Is there such a key among the texts of a login request? */
static bool has_key(const uint8_t *text, size_t len, const char *key)
{
    size_t n = strlen(key);

    for (size_t i = 0; i + n <= len; i++) {
        if ((i == 0 || text[i - 1] == '\0') && memcmp(text + i, key, n) == 0)
            return true;
    }
    return false;
}

void wire_note_sent(struct wire *w, const uint8_t *h, size_t len)
{
    const uint8_t opcode = h[0] & 0x3f;
    struct wire_task *t;

    switch (opcode) {
    case LOGIN_REQUEST:
        if (has_key(h + 48, len - 48, "CHAP_C="))
            w->challenged = true;
        break;
    case NOP_OUT:
        if (be32_at(h + 20) != NO_TAG && w->pings > 0)
            w->pings--;
        break;
    case SCSI_COMMAND:
        t = wire_find(w, be32_at(h + 16));
        if (!t)
            break;
        t->started = true;
        if (t->out && !(h[1] & FINAL))
            t->bursts++; /* unsolicited data follow */
        break;
    case DATA_OUT:
        t = wire_find(w, be32_at(h + 16));
        if (t && (h[1] & FINAL) && t->bursts > 0)
            t->bursts--;
        break;
    default:
        break;
    }
}
