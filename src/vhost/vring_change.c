/* What home changes of a ring that runs: whether it is enabled, where guest
 * memory lies, whom it calls and who kicks it. Each is a command, and while it
 * is under way the front-end waits. */
#include <string.h>
#include <unistd.h>

#include "vhost/session.h"
#include "vhost/vring_impl.h"

static void do_update(struct vring *v)
{
    v->ring.enabled = v->set.enabled;
    if (v->device_started)
        ring_set_dirty(&v->ring, v->cmd.dirty, v->set.log_used, v->set.log_gpa);
    vring_serve(v); /* a kick may have come while it was disabled */
    vring_command_done(v);
}

static void then_updated(struct vring *v)
{
    dirty_unref(v->cmd.dirty);
    v->cmd.dirty = NULL;
}

void vring_update(struct vring *v, struct dirty *dirty)
{
    v->cmd.dirty = dirty ? dirty_ref(dirty) : NULL;
    vring_command(v, do_update, then_updated);
}

static void do_set_mem(struct vring *v)
{
    if (v->device_started) {
        if (!v->cmd.parts[0])
            ring_break(&v->ring, "it does not lie in the new memory table");
        else if (ring_set_mem(&v->ring, v->cmd.mem, v->cmd.parts[0],
                              v->cmd.parts[1], v->cmd.parts[2]) < 0)
            ring_break(&v->ring, "out of memory for a memory table");
        else if (v->device->ops->ring_remapped)
            v->device->ops->ring_remapped(v->device, &v->ring);
        vring_look_after(v);
        vring_serve(v);
    }
    vring_command_done(v);
}

static void then_set_mem(struct vring *v)
{
    mem_unref(v->cmd.mem);
    v->cmd.mem = NULL;
}

void vring_set_mem(struct vring *v, struct mem *mem, void *const parts[3])
{
    v->cmd.mem = mem_ref(mem);
    memcpy(v->cmd.parts, parts, sizeof(v->cmd.parts));
    vring_command(v, do_set_mem, then_set_mem);
}

/* The old watch must have gone before the command is done: a stop, which may
 * come next, waits for one only. */
static void do_open_kick(struct vring *v)
{
    v->kick_fd = v->cmd.fd;
    vring_open_kick(v);
    vring_serve(v);
    if (v->device_started)
        vring_look_after(v); /* the fd may be one that cannot be watched */
    vring_command_done(v);
}

static void on_old_kick_gone(struct watch *w)
{
    do_open_kick(container_of(w, struct vring, kick));
}

static void do_set_kick(struct vring *v)
{
    if (v->kick_fd < 0) {
        do_open_kick(v);
        return;
    }
    v->kick.gone = on_old_kick_gone;
    watch_close(&v->kick);
    close(v->kick_fd);
    v->kick_fd = -1;
}

void vring_set_kick(struct vring *v, int fd)
{
    v->cmd.fd = fd;
    vring_command(v, do_set_kick, NULL);
}

static void do_set_call(struct vring *v)
{
    if (v->call_fd >= 0)
        close(v->call_fd);
    v->call_fd = v->cmd.fd;
    if (v->device_started) {
        v->ring.call_fd = v->call_fd;
        /* Answers given before there was anything to call with, or that called
         * an fd which nobody looks at any more: QEMU gives a ring that it
         * starts again a new one only after that, and looks whether an
         * interrupt was masked before it tells us where the next one goes.
         * Whoever is called for nothing just looks. */
        if (v->kept->stats.chains || v->session->resumed)
            vring_signal(v, v->call_fd);
        vring_look_after(v);
    }
    vring_command_done(v);
}

void vring_set_call(struct vring *v, int fd)
{
    v->cmd.fd = fd;
    vring_command(v, do_set_call, NULL);
}

static void do_set_err(struct vring *v)
{
    if (v->err_fd >= 0)
        close(v->err_fd);
    v->err_fd = v->cmd.fd;
    if (v->told_broken)
        vring_signal(v, v->err_fd);
    if (v->device_started)
        vring_look_after(v);
    vring_command_done(v);
}

void vring_set_err(struct vring *v, int fd)
{
    v->cmd.fd = fd;
    vring_command(v, do_set_err, NULL);
}
