/* A thread per question, which nobody waits for: the asker may go first, and
 * the last of the two frees what they share. */
#include "os/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/linux/broker_own.h"
#include "os/thread.h"

struct resolve {
    pthread_mutex_t lock; /* over what follows */
    bool answered, given_up;
    void (*done)(void *arg);
    void *arg;
    /* The thread's until it has answered. */
    struct resolve_answer answer;
    char host[RESOLVE_HOST_BYTES];
};

static void resolve_free(struct resolve *r)
{
    pthread_mutex_destroy(&r->lock);
    free(r);
}

bool resolve_numeric(const char *host, char out[RESOLVE_TEXT_BYTES])
{
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *ai;
    bool good;

    if (getaddrinfo(host, NULL, &hints, &ai) != 0)
        return false;
    good = getnameinfo(ai->ai_addr, ai->ai_addrlen, out, RESOLVE_TEXT_BYTES,
                       NULL, 0, NI_NUMERICHOST) == 0;
    freeaddrinfo(ai);
    return good;
}

void resolve_here(const char *host, struct resolve_answer *a)
{
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_ADDRCONFIG,
    };
    struct addrinfo *list;
    int rc;

    rc = getaddrinfo(host, NULL, &hints, &list);
    if (rc != 0) {
        snprintf(a->why, sizeof(a->why), "%s",
                 rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        return;
    }
    for (struct addrinfo *ai = list; ai && a->num < RESOLVE_MAX;
         ai = ai->ai_next) {
        if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6)
            continue;
        if (getnameinfo(ai->ai_addr, ai->ai_addrlen, a->address[a->num],
                        RESOLVE_TEXT_BYTES, NULL, 0, NI_NUMERICHOST) == 0)
            a->num++;
    }
    freeaddrinfo(list);
    if (a->num == 0)
        snprintf(a->why, sizeof(a->why), "it has no address");
}

/* Files, libraries and sockets: nothing that a sandbox should have. */
static void ask(struct resolve *r)
{
    int rc = broker_resolve(r->host, &r->answer);

    if (rc == -ENOSYS)
        resolve_here(r->host, &r->answer);
    else if (rc < 0)
        snprintf(r->answer.why, sizeof(r->answer.why), "%s", strerror(-rc));
}

static void run(void *arg)
{
    struct resolve *r = arg;
    bool given_up;

    pthread_mutex_lock(&r->lock); /* resolve_start is done with the thread */
    pthread_mutex_unlock(&r->lock);
    ask(r);
    pthread_mutex_lock(&r->lock);
    given_up = r->given_up;
    if (!given_up) {
        r->answered = true;
        r->done(r->arg);
    }
    pthread_mutex_unlock(&r->lock);
    if (given_up)
        resolve_free(r);
}

int resolve_start(struct resolve **out, const char *host,
                  void (*done)(void *arg), void *arg, struct err *e)
{
    struct resolve *r = calloc(1, sizeof(*r));
    struct thread t;
    int rc;

    if (!r)
        return err_nomem(e);
    pthread_mutex_init(&r->lock, NULL);
    r->done = done;
    r->arg = arg;
    snprintf(r->host, sizeof(r->host), "%s", host);
    pthread_mutex_lock(&r->lock);
    rc = thread_start(&t, "vub-resolve", run, r, e);
    if (rc == 0)
        pthread_detach(t.id);
    pthread_mutex_unlock(&r->lock);
    if (rc < 0) {
        resolve_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

const struct resolve_answer *resolve_result(const struct resolve *r)
{
    return &r->answer;
}

bool resolve_end(struct resolve *r)
{
    bool answered;

    pthread_mutex_lock(&r->lock);
    answered = r->answered;
    r->given_up = true;
    pthread_mutex_unlock(&r->lock);
    if (answered)
        resolve_free(r);
    return answered;
}

void resolve_own_name(char out[RESOLVE_HOST_BYTES])
{
    if (gethostname(out, RESOLVE_HOST_BYTES) != 0)
        out[0] = '\0';
    out[RESOLVE_HOST_BYTES - 1] = '\0';
}

void resolve_own_id(char out[RESOLVE_ID_BYTES])
{
    FILE *f = fopen("/etc/machine-id", "re");

    if (!f || !fgets(out, RESOLVE_ID_BYTES, f))
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (f)
        fclose(f);
}
