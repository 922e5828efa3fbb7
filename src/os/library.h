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
 * After library_load(&libfoo.library, e) libfoo.open(...) is foo_open(...). In
 * a build without VUB_LAZY_LIBRARIES the linker has filled in the same table.
 *
 * A sandbox lets nothing be loaded, which would be new code: library_seal.
 *
 * Threads: any. */
#ifndef VUB_OS_LIBRARY_H
#define VUB_OS_LIBRARY_H

#include "base/err.h"

struct library {
    const char *soname;       /* NULL: the program is linked with it */
    const char *package;      /* Debian's that has it, for people */
    const char *const *names; /* of functions */
    void *calls;              /* a pointer for each, in that order */
    unsigned count;

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

/* The type of it. */
#define LIBRARY_CALLS(lib, LIST)                                               \
    struct lib##_calls {                                                       \
        struct library library;                                                \
        LIST(LIBRARY_POINTER)                                                  \
    }

/* build: what the build says of it, soname and package. */
#if VUB_LAZY_LIBRARIES
#define LIBRARY(lib, LIST, build)                                              \
    struct lib##_calls lib = {                                                 \
        {LIBRARY_FROM(build),                                                  \
         .names = (const char *const[]){LIST(LIBRARY_NAME)},                   \
         .calls = &(lib).library + 1,                                          \
         .count = (sizeof(lib) - sizeof((lib).library)) / sizeof(void *)}}
#define LIBRARY_FROM(...) LIBRARY_FROM_(__VA_ARGS__)
#define LIBRARY_FROM_(the_soname, the_package)                                 \
    .soname = (the_soname), .package = (the_package)
#else
#define LIBRARY(lib, LIST, build)                                              \
    struct lib##_calls lib = {LIST(LIBRARY_LINKED)}
#endif

#endif
