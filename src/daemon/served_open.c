/* How a device is opened: here, or by a process of its own, with what another
 * process has left of it; and what of its config may change then. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/confine.h"
#include "daemon/isolate.h"
#include "daemon/served.h"
#include "daemon/throttles.h"

void heritage_drop(struct heritage *h)
{
    endpoint_visitor_drop(&h->visitor);
    for (int i = 0; i < h->num_kept; i++)
        close(h->kept[i].fd);
    free(h->kept);
    *h = HERITAGE_NONE;
}

void served_inherit(struct served *s, struct heritage *h)
{
    s->heritage = *h;
    s->inherits = true;
    *h = HERITAGE_NONE;
}

void served_disinherit(struct served *s, struct heritage *h)
{
    if (!s->inherits)
        return;
    *h = s->heritage;
    s->heritage = HERITAGE_NONE;
    s->inherits = false;
}

/* Its fds are somebody else's. */
static void kept_is_taken(struct heritage *h)
{
    free(h->kept);
    h->kept = NULL;
    h->num_kept = 0;
}

static bool is_apart(const struct served *s)
{
    return isolate_wanted(s->conf) && !s->is_here;
}

void served_begin(struct served *s)
{
    struct heritage *h = &s->heritage;
    const struct isolate_inherited kept = {h->kept, MAX(h->num_kept, 0)};

    if (!is_apart(s) || s->isolated)
        return;
    s->isolated = isolate_begin(s->conf, s->is_later, &kept);
    if (s->isolated)
        kept_is_taken(h);
}

static int open_isolated(struct served *s, struct errs *e)
{
    int rc;

    served_begin(s);
    if (!s->isolated)
        return errs_nomem(e);
    rc = isolate_await(s->isolated, e);
    if (rc < 0) {
        isolate_free(s->isolated);
        s->isolated = NULL;
    }
    return rc;
}

/* What is kept of it comes to where it looks for it. */
static int put_kept(struct served *s, struct errs *e)
{
    struct heritage *h = &s->heritage;
    int rc = 0, one;

    for (int i = 0; i < h->num_kept; i++) {
        one = keep_put(&h->kept[i]);
        if (one < 0)
            rc = errs_add(e, one, s->conf->at,
                          "what it kept as %s cannot be used: %s",
                          h->kept[i].name, strerror(-one));
    }
    kept_is_taken(h);
    return rc;
}

int served_open(struct served *s, struct errs *e)
{
    int rc;

    if (is_apart(s))
        return open_isolated(s, e);
    rc = put_kept(s, e);
    if (rc < 0)
        return rc;
    rc = device_type_of(s->conf)->open(&s->device, s->conf, e);
    if (rc < 0)
        return rc;
    s->ring_loop = calloc(s->device->num_queues, sizeof(*s->ring_loop));
    if (s->ring_loop)
        return 0;
    s->device->ops->close(s->device);
    s->device = NULL;
    return errs_nomem(e);
}

/* ---- other limits ---- */

bool served_can_adjust(const struct served *s, const struct conf_any *is)
{
    if (!s->isolated)
        return throttles_can_change(s->conf, is);
    return confine_rereads() && conf_same_but_live(s->conf, is, &device_union);
}

void served_adjusted(struct served *s)
{
    if (s->isolated)
        isolate_adjusted(s->isolated);
}
