/* A library's own mistakes are told by the dynamic linker, in a sentence that
 * may begin with the library's name. The table is filled, and read-only, before
 * `loaded` is seen. */
#include "os/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all below */
static bool sealed;

static int fail(struct library *l, int code, struct err *e)
{
    return err_set(e, code, "", "%s", l->why);
}

static int cannot_open(struct library *l, struct err *e)
{
    const char *why = dlerror();
    size_t len = strlen(l->soname);

    if (strncmp(why, l->soname, len) == 0 && strncmp(why + len, ": ", 2) == 0)
        why += len + 2;
    snprintf(l->why, sizeof(l->why), "cannot load %s, which %s has: %.100s",
             l->soname, l->package, why);
    return fail(l, -ELIBACC, e);
}

/* The calls of one version may not be those of another. */
static int has_no(struct library *l, const char *name, struct err *e)
{
    snprintf(l->why, sizeof(l->why),
             "%s has no %s(): it is not the version that vub was built with",
             l->soname, name);
    return fail(l, -ELIBBAD, e);
}

static int cannot_protect(struct library *l, int code, struct err *e)
{
    snprintf(l->why, sizeof(l->why),
             "what vub calls of %s cannot be made read-only: %s", l->soname,
             strerror(-code));
    return fail(l, code, e);
}

static int is_too_late(struct library *l, struct err *e)
{
    return err_set(e, -ELIBACC, "",
                   "%s, which %s has, is loaded only before vub enters its "
                   "sandbox: start it again%s%s%s",
                   l->soname, l->package, l->why[0] ? " (it tried: " : "",
                   l->why, l->why[0] ? ")" : "");
}

static int load(struct library *l, struct err *e)
{
    void *library, *call;

    if (sealed)
        return is_too_late(l, e);
    library = dlopen(l->soname, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return cannot_open(l, e);
    for (unsigned i = 0; l->names[i]; i++) {
        call = dlsym(library, l->names[i]);
        if (!call) {
            /* One that stays is what the linker gives by that name, whatever
             * file has it by then. */
            dlclose(library);
            return has_no(l, l->names[i], e);
        }
        memcpy((char *)l->calls + i * sizeof(call), &call, sizeof(call));
    }
    if (mprotect(l->calls, l->bytes, PROT_READ) < 0)
        return cannot_protect(l, -errno, e);
    __atomic_store_n(&l->loaded, true, __ATOMIC_RELEASE);
    return 0;
}

int library_load(struct library *l, struct err *e)
{
    int rc = 0;

    if (!l->soname || __atomic_load_n(&l->loaded, __ATOMIC_ACQUIRE))
        return 0;
    pthread_mutex_lock(&lock);
    if (!l->loaded)
        rc = load(l, e);
    pthread_mutex_unlock(&lock);
    return rc;
}

void library_seal(void)
{
    pthread_mutex_lock(&lock);
    sealed = true;
    pthread_mutex_unlock(&lock);
}
