/* Who a session is to the target.
 *
 * RFC 7143, 10.1.1 and 6.3.5: the initiator's name, the ISID and the target's
 * portal group are one end of a nexus. Who comes with them again takes the
 * place of the session that had them: the target ends what it still does for
 * that one, and what belongs to the nexus, like a persistent reservation, is
 * there again. A vub that was killed must be able to come back so: hence
 * the ISID is made of names that last, the initiator's, the target's and the
 * device's; and of the host's own id, for hosts with one initiator name, which
 * may be wanted (a guest migrates) or a mistake.
 *
 * Two sessions at a time must not have the same one, or each would throw the
 * other out for ever: those of one device on several workers, and those of two
 * vubs with the same config on one host, as during an upgrade. So an ISID is
 * claimed, and the next one is taken while somebody has it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "iscsi/impl.h"
#include "os/claim.h"

#define ISIDS_MAX 256 /* of one device and target */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* FNV-1a, with the end of the text: "ab", "c" is not "a", "bc". */
static uint64_t hash(uint64_t h, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    do {
        h ^= *p;
        h *= UINT64_C(0x100000001b3);
    } while (*p++);
    return h;
}

/* 24 bits and 16 bits, of which n has 8. */
static void set(struct iscsi_session *s, uint64_t h, unsigned n)
{
    s->isid = (uint32_t)h & 0xffffff;
    s->isid_qualifier = ((uint32_t)(h >> 24) & 0xff00) | n;
}

void isid_choose(struct iscsi_session *s)
{
    static unsigned count; /* atomic */
    char host[RESOLVE_ID_BYTES];
    const char *names[] = {s->params.initiator, s->params.target, s->device,
                           host};
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    int rc = -EADDRINUSE;

    resolve_own_id(host);
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        h = hash(h, names[i]);
    h = mix(h);
    s->isid_claim = -1;
    for (unsigned n = 0; n < ISIDS_MAX && rc == -EADDRINUSE; n++) {
        char name[CLAIM_NAME_MAX];

        snprintf(name, sizeof(name), "vub-isid-%016" PRIx64 "-%u", h, n);
        rc = claim_name(name);
        set(s, h, n);
    }
    if (rc >= 0) {
        s->isid_claim = rc;
        return;
    }
    /* There is no knowing who has it: one that nobody has. */
    set(s, mix(loop_now_ns() ^ (uint64_t)getpid() << 40 ^ (uintptr_t)s),
        __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED) & 0xff);
}

void isid_release(struct iscsi_session *s)
{
    if (s->isid_claim >= 0)
        close(s->isid_claim);
    s->isid_claim = -1;
}
