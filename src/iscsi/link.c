/* One connection: a context of libiscsi and its socket on our loop.
 *
 * libiscsi works when it is called; it calls back from there. Nothing of ours
 * is done from inside its callbacks but taking notes: what they say is acted
 * upon when it has returned (login_went_on, flights_collect), so that it may be
 * called again, or destroyed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iscsi/impl.h"
#include "os/thread.h"

/* From so many commands at the target on: a target on this core is let run
 * before its answers are read, so that they come several at a time; one that is
 * elsewhere does not mind. */
#define PATIENT_FLIGHTS 4

static struct link *link_of(struct watch *w)
{
    return container_of(w, struct link, watch);
}

static void on_gone(struct watch *w)
{
    struct link *l = link_of(w);

    wire_fini(&l->wire);
    free(l);
}

/* The socket is to be watched for what libiscsi and the wire wait for. */
static void watch_again(struct link *l)
{
    int which = libiscsi.which_events(l->ctx), events = 0;

    if (which & POLLIN)
        events |= UV_READABLE;
    if ((which & POLLOUT) || wire_has_output(&l->wire))
        events |= UV_WRITABLE;
    if (events != l->events && watch_start(&l->watch, events) == 0)
        l->events = events;
}

/* Its words are overwritten soon. */
static void note_failure(struct link *l)
{
    const char *why = libiscsi.get_error(l->ctx);

    if (strncmp(why, "iscsi_service: ", 15) == 0)
        why += 15;
    if (!l->why[0])
        snprintf(l->why, sizeof(l->why), "%.*s", (int)strcspn(why, "\n"), why);
}

void link_serve(struct link *l, int events)
{
    struct iscsi_session *s = l->session;
    struct tap *before = wire_enter(&l->wire, l->fd);
    size_t left;
    int rc;

    l->in_library = true;
    do {
        left = l->wire.in_end - l->wire.in_at;
        rc = libiscsi.service(l->ctx, events);
        /* It stops reading when it waits for nothing more. */
    } while (rc == 0 && !l->wire.why[0] && !l->cancelled && !l->login_failed &&
             (events & POLLIN) && wire_has_input(&l->wire) &&
             l->wire.in_end - l->wire.in_at != left);
    l->in_library = false;
    wire_leave(&l->wire, before);
    s->serve_due = false;
    flights_collect(s);
    if (!tmfs_collect(s)) {
        session_lost(s, s->why);
    } else if (l->wire.why[0]) {
        session_lost(s, l->wire.why);
    } else if (rc < 0 || l->cancelled) {
        note_failure(l);
        session_lost(s, l->why);
    } else {
        watch_again(l);
        login_went_on(s); /* may close l */
    }
}

static void on_ready(struct watch *w, int status, int events)
{
    struct link *l = link_of(w);
    struct iscsi_session *s = l->session;
    int revents = 0;

    if (status < 0) {
        /* What is wrong with the socket shows when it is used. */
        revents = l->detached ? POLLIN : POLLERR;
    } else {
        if (s->num_flights >= PATIENT_FLIGHTS)
            thread_yield();
        if (events & (UV_READABLE | UV_DISCONNECT))
            revents |= POLLIN;
        if (events & UV_WRITABLE)
            revents |= POLLOUT;
        /* What it read may have given it something to write. */
        if (s->state == SESSION_UP)
            revents |= POLLOUT;
    }
    link_serve(l, revents);
    /* libuv does not watch it any more, and libiscsi may not have minded. */
    if (status < 0 && s->link == l) {
        note_failure(l);
        session_lost(s, l->why);
    }
    if (s->state == SESSION_UP)
        commands_send(s);
    session_rearm(s);
    report_now(s);
}

static void on_login(struct iscsi_context *ctx, int status, void *data,
                     void *arg)
{
    struct link *l = arg;

    (void)data;
    if (!l->session)
        return;
    if (status == SCSI_STATUS_GOOD)
        l->logged_in = true;
    else
        l->login_failed = true;
    if (l->login_failed)
        note_failure(l);
    if (status == SCSI_STATUS_REDIRECT)
        snprintf(l->redirect, sizeof(l->redirect), "%s",
                 libiscsi.get_target_address(ctx));
}

/* From now on there is one way to the connection: the wire. */
static bool detach(struct link *l)
{
    int rc = tap_dead_end(l->fd);

    l->detached = rc == 0;
    if (rc < 0)
        snprintf(l->why, sizeof(l->why), "no socket for libiscsi: %s",
                 strerror(-rc));
    return rc == 0;
}

static void on_connect(struct iscsi_context *ctx, int status, void *data,
                       void *arg)
{
    struct link *l = arg;

    (void)data;
    if (!l->session)
        return;
    if (status != SCSI_STATUS_GOOD || !detach(l) ||
        libiscsi.login_async(ctx, on_login, l) != 0) {
        note_failure(l);
        l->login_failed = true;
    }
}

static struct iscsi_context *make_context(struct iscsi_session *s)
{
    const struct params *p = &s->params;
    struct iscsi_context *ctx = libiscsi.create_context(p->initiator);

    if (!ctx)
        return NULL;
    libiscsi.set_log_level(ctx, 0); /* whatever the environment says */
    libiscsi.set_noautoreconnect(ctx, 1);
    libiscsi.set_timeout(ctx, 0);
    /* The same for all of this session's connections. */
    libiscsi.set_isid_random(ctx, s->isid, s->isid_qualifier);
    libiscsi.set_session_type(ctx, s->discovery ? ISCSI_SESSION_DISCOVERY
                                                : ISCSI_SESSION_NORMAL);
    libiscsi.set_header_digest(ctx, p->header_digest
                                        ? ISCSI_HEADER_DIGEST_CRC32C
                                        : ISCSI_HEADER_DIGEST_NONE);
    /* An idle connection is the kernel's to mind: no wake-ups of ours. */
    libiscsi.set_tcp_keepidle(ctx, 20);
    libiscsi.set_tcp_keepintvl(ctx, 10);
    libiscsi.set_tcp_keepcnt(ctx, 3);
    if (!s->discovery)
        libiscsi.set_targetname(ctx, p->target);
    if (p->chap.user[0])
        libiscsi.set_initiator_username_pwd(ctx, p->chap.user, p->chap.secret);
    if (p->mutual.user[0])
        libiscsi.set_target_username_pwd(ctx, p->mutual.user, p->mutual.secret);
    return ctx;
}

int link_open(struct iscsi_session *s, const char *address, uint16_t port,
              char why[256])
{
    struct link *l = calloc(1, sizeof(*l));
    char portal[PORTAL_TEXT_BYTES];
    int rc = -ENOMEM;

    if (!l || wire_init(&l->wire, s->params.mutual.user[0] != '\0') < 0) {
        snprintf(why, 256, "out of memory");
        goto fail;
    }
    l->session = s;
    l->ctx = make_context(s);
    if (!l->ctx) {
        snprintf(why, 256, "out of memory");
        goto fail_wire;
    }
    portal_text(address, port, portal);
    if (libiscsi.connect_async(l->ctx, portal, on_connect, l) != 0) {
        snprintf(why, 256, "%s", libiscsi.get_error(l->ctx));
        rc = -EIO;
        goto fail_context;
    }
    l->fd = libiscsi.get_fd(l->ctx);
    l->wire.sock = l->sock = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
    if (l->sock < 0) {
        rc = -errno;
        snprintf(why, 256, "%s", strerror(errno));
        goto fail_context;
    }
    l->watch.ready = on_ready;
    l->watch.gone = on_gone;
    rc = watch_open(&l->watch, s->loop, l->sock);
    if (rc < 0) {
        snprintf(why, 256, "%s", strerror(-rc));
        goto fail_socket;
    }
    s->link = l;
    watch_again(l);
    return 0;
fail_socket:
    close(l->sock);
fail_context:
    l->session = NULL;
    libiscsi.destroy_context(l->ctx);
fail_wire:
    wire_fini(&l->wire);
fail:
    free(l);
    return rc;
}

void link_close(struct link *l)
{
    l->session = NULL; /* callbacks mean nothing any more */
    watch_close(&l->watch);
    close(l->sock);
    libiscsi.destroy_context(l->ctx);
    l->ctx = NULL;
}
