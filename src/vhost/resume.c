/* A front-end that another process has served so far: what it has said is told
 * again, each message as if it had just come, and nothing is answered. So there
 * is one way to everything that a session can be.
 *
 * Nothing of its own is read before all of that is done and the device has
 * started: until then whoever has handed it on may take it back, and would miss
 * it. What is refused now was taken there, so the two differ in what matters:
 * the session ends, and leaves the connection as it is.
 *
 * A session that is held (endpoint_conf.waits) is told all but of its display,
 * which is the last and would be spoken to, and starts no ring: whatever may be
 * refused has been by then, and nothing was done that could not be done again
 * elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "vhost/endpoint_impl.h"
#include "vhost/session.h"

static void close_fds(struct session *s)
{
    struct msg *m = &s->told_msg;

    for (unsigned i = 0; i < m->num_fds; i++)
        if (m->fds[i] >= 0)
            closer_fd(endpoint_closer(s->endpoint), m->fds[i]);
    m->num_fds = 0;
}

static void tell(struct session *s)
{
    const struct msg *from = transcript_at(s->said, s->next_told++);
    struct msg *m = &s->told_msg;

    m->header = from->header;
    m->payload = from->payload;
    for (unsigned i = 0; i < from->num_fds; i++) {
        int fd = fcntl(from->fds[i], F_DUPFD_CLOEXEC, 0);

        if (fd < 0) {
            close_fds(s);
            session_end(s, LOG_ERROR, strerror(errno));
            return;
        }
        m->fds[m->num_fds++] = fd;
    }
    session_handle(s, m);
}

void resume_look(struct session *s)
{
    if (!s->resumed || s->arrived || s->telling || s->ending ||
        s->device_state == DEVICE_STARTING)
        return;
    s->arrived = true;
    s->conn.shared = !endpoint_conf(s->endpoint)->path;
    endpoint_session_arrived(s->endpoint, NULL);
    conn_next(&s->conn);
    session_hold(s); /* whatever waits for a message to end */
    session_release(s);
}

void resume_fails(struct session *s, const char *why)
{
    if (!s->resumed || s->arrived)
        return;
    s->arrived = true;
    close_fds(s);
    endpoint_session_arrived(s->endpoint, why);
}

/* All is told that may be told yet. */
static bool has_to_wait(struct session *s)
{
    return s->held && (s->next_told == transcript_count(s->said) ||
                       transcript_at(s->said, s->next_told)->header.request ==
                           MSG_GPU_SET_SOCKET);
}

void session_go(struct session *s)
{
    s->held = false;
    session_hold(s);
    session_release(s); /* starts the rings, and goes on */
}

void resume_left(struct session *s)
{
    if (!s->resumed || s->arrived)
        return;
    s->arrived = true;
    endpoint_session_arrived(s->endpoint, NULL);
}

/* A loop: there may be a thousand of them. */
void resume_next(struct session *s)
{
    close_fds(s);
    if (s->in_resume)
        return;
    s->in_resume = true;
    while (s->telling && !s->ending && !s->msg && s->holds == 0) {
        if (has_to_wait(s)) {
            endpoint_session_arrived(s->endpoint, NULL);
            break;
        }
        if (s->next_told < transcript_count(s->said))
            tell(s);
        else
            s->telling = false;
    }
    s->in_resume = false;
    resume_look(s);
}

void session_resume(struct session *s)
{
    s->telling = true;
    resume_next(s);
}
