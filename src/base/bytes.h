/* base/bytes.h: numbers that another party may write while we read.
 *
 * Guest values stay le16/le32/le64 until they are loaded here, once, into a
 * local. A load is a single volatile access of the full width: what was
 * checked is what is used. */
#ifndef VUB_BASE_BYTES_H
#define VUB_BASE_BYTES_H

#include <endian.h>
#include <stdint.h>

typedef uint16_t le16;
typedef uint32_t le32;
typedef uint64_t le64;

static inline uint16_t le16_load(const le16 *p)
{
    return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static inline uint32_t le32_load(const le32 *p)
{
    return le32toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static inline uint64_t le64_load(const le64 *p)
{
    return le64toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

/* What the other party wrote before *p is visible after this. */
static inline uint16_t le16_load_acquire(const le16 *p)
{
    return le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static inline void le16_store(le16 *p, uint16_t v)
{
    __atomic_store_n(p, htole16(v), __ATOMIC_RELAXED);
}

static inline void le32_store(le32 *p, uint32_t v)
{
    __atomic_store_n(p, htole32(v), __ATOMIC_RELAXED);
}

static inline void le64_store(le64 *p, uint64_t v)
{
    __atomic_store_n(p, htole64(v), __ATOMIC_RELAXED);
}

/* What we wrote before is visible to whoever sees v in *p. */
static inline void le16_store_release(le16 *p, uint16_t v)
{
    __atomic_store_n(p, htole16(v), __ATOMIC_RELEASE);
}

#endif
