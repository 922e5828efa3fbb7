/* os/library.h: shared libraries that few configs have a use for.
 *
 * Who serves a disk pays neither memory nor time for the libraries of a GPU,
 * needs no package of theirs, and has none of their code. So these are not
 * linked but loaded, by those who are about to call them, and stay. What is
 * called of a library is one list, in the file that includes its header or in a
 * header beside:
 *
 *     #define LIBFOO(CALL) CALL(foo_, open) CALL(foo_, close)
 *     LIBRARY_CALLS(libfoo, LIBFOO);
 *     static LIBRARY(libfoo, LIBFOO, VUB_LIBRARY_foo);
 *
 * After library_load(&libfoo_library, e) libfoo.open(...) is foo_open(...). In
 * a build without VUB_LAZY_LIBRARIES the linker has filled in the same table.
 * Either way it is read-only then, as what the linker fills in is: whoever can
 * make us write somewhere finds no functions to replace. So it has pages of its
 * own, which take no memory before.
 *
 * A sandbox lets nothing be loaded, which would be new code: library_seal.
 *
 * Threads: any. */
#ifndef VUB_OS_LIBRARY_H
#define VUB_OS_LIBRARY_H

#include <stddef.h>

#include "base/err.h"

struct library {
    const char *soname;       /* NULL: the program is linked with it */
    const char *package;      /* Debian's that has it, for people */
    const char *const *names; /* of functions; the last is NULL */
    void *calls;              /* a pointer for each, in that order, */
    size_t bytes;             /* in whole pages */

    /* os/ only */
    bool loaded;
    char why[192]; /* it could not be loaded last time; "": nobody tried */
};

/* Loads l, once. On failure nothing of it may be called; what is repaired by
 * then is found when it is tried again. e: its place is ""; may be NULL. */
int library_load(struct library *l, struct err *e);
/* From now on what has not been loaded cannot be. For the whole process. */
void library_seal(void);

/* ---- making one ---- */

#define LIBRARY_POINTER(prefix, name) __typeof__(prefix##name) *name;
#define LIBRARY_NAME(prefix, name) #prefix #name,
#define LIBRARY_LINKED(prefix, name) .name = prefix##name,

/* LIBRARY_CALLS: the type of a table; LIBRARY_TABLE: the table, for a header;
 * LIBRARY: the table and what loads it. build: what the build says of the
 * library, soname and package. */
#if VUB_LAZY_LIBRARIES

/* The largest pages that there are with this processor. */
#if defined(__x86_64__) || defined(__i386__)
#define LIBRARY_PAGE 4096
#else
#define LIBRARY_PAGE 65536
#endif

#define LIBRARY_CALLS(lib, LIST)                                               \
    struct lib##_calls {                                                       \
        LIST(LIBRARY_POINTER)                                                  \
    } __attribute__((aligned(LIBRARY_PAGE)))
#define LIBRARY_TABLE(lib) struct lib##_calls lib
#define LIBRARY(lib, LIST, build)                                              \
    LIBRARY_TABLE(lib);                                                        \
    static struct library lib##_library = {                                    \
        LIBRARY_FROM(build),                                                   \
        .names = (const char *const[]){LIST(LIBRARY_NAME) NULL},               \
        .calls = &(lib), .bytes = sizeof(lib)}
#define LIBRARY_FROM(...) LIBRARY_FROM_(__VA_ARGS__)
#define LIBRARY_FROM_(the_soname, the_package)                                 \
    .soname = (the_soname), .package = (the_package)

#else

#define LIBRARY_CALLS(lib, LIST)                                               \
    struct lib##_calls {                                                       \
        LIST(LIBRARY_POINTER)                                                  \
    }
#define LIBRARY_TABLE(lib) const struct lib##_calls lib
#define LIBRARY(lib, LIST, build)                                              \
    LIBRARY_TABLE(lib) = {LIST(LIBRARY_LINKED)};                               \
    static struct library lib##_library

#endif

#endif
