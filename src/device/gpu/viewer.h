/* device/gpu/viewer.h: the front-end's display.
 *
 * Spec: vhost-user-gpu. We say on a socket of its own what is shown; it says
 * what it would like to be shown, and is asked for that, never waited for.
 * Nothing is queued: what has changed is noted per scanout, and goes out as
 * there is room, as it is then. A display that reads slowly sees fewer
 * pictures, and the newest. A message that has been begun is finished before
 * anything else, from the frame that it was begun with.
 * The front-end may be as hostile as on the other socket: a wrong answer ends
 * the viewer, and nothing else.
 * Threads: the device's. */
#ifndef VUB_DEVICE_GPU_VIEWER_H
#define VUB_DEVICE_GPU_VIEWER_H

#include "base/json_out.h"
#include "device/gpu/rect.h"
#include "virtio/spec.h"

struct gpu;
struct viewer;

/* What a display would like a scanout to be. */
struct display_one {
    struct rect r; /* its place beside others, and its size */
    bool enabled;
};

/* fd is the viewer's, whatever is returned. NULL: no memory. What scanouts show
 * goes out as soon as a guest runs: before, it may be another one's. */
struct viewer *viewer_open(struct gpu *g, int fd);
/* v may be NULL. Nothing is told of it any more. */
void viewer_close(struct viewer *v);
/* Somebody else is to go on with the display: nothing new is said.
 * gpu_on_viewer_left() comes, from inside or later, when what was begun is
 * ended and what was asked is answered, or not within some seconds. */
void viewer_leave(struct viewer *v);

/* It may be asked again how it would like scanouts to be: gpu_on_displays is
 * called when it has answered, or gpu_on_no_displays after a while in which it
 * has not. v may be NULL, here and below. */
void viewer_ask(struct viewer *v);
/* Is one of these calls to come soon? */
bool viewer_is_asked(const struct viewer *v);
/* Reads what it has said by now, without waiting. It may be lost in here. */
void viewer_listen(struct viewer *v);
/* Has it said how it would like scanouts to be? */
bool viewer_knows_displays(const struct viewer *v);
/* What it says of the display of scanout i: *bytes of EDID, good until the next
 * turn of the loop; NULL: it does not say. */
const uint8_t *viewer_edid(const struct viewer *v, unsigned i, uint32_t *bytes);

/* Scanout i shows another frame, or is off. */
void viewer_scanout(struct viewer *v, unsigned i);
/* Pixels of it have changed; r lies in its frame. */
void viewer_damage(struct viewer *v, unsigned i, const struct rect *r);
void viewer_cursor(struct viewer *v, unsigned i, bool image);
/* Frames may be readable that were not: the control queue runs (what scanouts
 * show is its guest's own from then on), memory is elsewhere, or a blob has got
 * its pages. */
void viewer_look_again(struct viewer *v);

/* Adds members to an object; v is not NULL. */
void viewer_status(const struct viewer *v, struct json_out *o);

#endif
