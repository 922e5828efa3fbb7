/* vhost/relay_display_impl.h: what the files of a relay's display share. */
#ifndef VUB_VHOST_RELAY_DISPLAY_IMPL_H
#define VUB_VHOST_RELAY_DISPLAY_IMPL_H

#include "vhost/relay_impl.h"
#include "virtio/display_wire.h"

#define DISPLAY_ROOM_BYTES (256u << 10)
#define DISPLAY_KINDS (WIRE_DMABUF_SCANOUT2 + 1)
#define DISPLAY_REPLY_MAX                                                      \
    (sizeof(struct wire_header) + sizeof(struct virtio_gpu_resp_edid))
/* Before others on the loop have their turn. */
#define DISPLAY_ROUNDS 16

/* Our end of a socket that a child has. It lives until its handles are closed.
 */
struct display_end {
    struct relay *relay;
    struct relay_display *display; /* NULL: nobody's any more */
    struct watch watch;
    struct timer timer; /* it has hung up, and its keeper is to say why */
    unsigned handles;
    int fd;
    bool ended;
};

struct relay_display {
    struct relay *relay;
    struct relay_session *session;
    bool shared, leaving;
    bool closed, watch_gone; /* both: it is freed */
    int fd;
    struct watch watch;
    bool lost;
    struct display_end *child; /* NULL: none */

    /* from the child */
    struct wire_header header; /* of the message that comes in */
    size_t header_bytes;       /* of it that are there */
    uint32_t body_left;        /* bytes that have not come */
    int header_fd;             /* came with it; -1: none */

    /* to the display */
    uint8_t *room; /* [DISPLAY_ROOM_BYTES] */
    size_t len, sent;
    int fd_out; /* goes with the message at fd_at; -1: none */
    size_t fd_at;
    uint64_t message_left; /* bytes of the message that is being sent */
    uint64_t zeros;        /* of those that come behind the buffer */
    bool full;             /* the display's socket has no room */

    /* from the display */
    uint8_t reply[DISPLAY_REPLY_MAX];
    size_t reply_bytes;
    size_t reply_len, reply_sent; /* to the child; len 0: none is whole */
    bool child_full;
    bool faulty; /* it has said what is wrong, which the child is to say */
    uint64_t asked[DISPLAY_KINDS];   /* by the child, and not answered */
    uint64_t orphans[DISPLAY_KINDS]; /* by those who are dead */
};

/* ---- relay_display.c ---- */

/* It shows nothing any more; whoever is left sees that. */
void display_lose(struct relay_display *d, enum log_level level,
                  const char *why);
/* Likewise: the display has hung up, which a child has a line for too. */
void display_gone(struct relay_display *d);
void display_drop_fd(struct relay_display *d, int *fd);
/* What the display has said is wrong: the child says why, if there is one. */
void display_fault(struct relay_display *d, const char *why);
/* The child has hung up. */
void display_child_ended(struct relay_display *d);
/* Something has moved: what is waited for now? The last thing that is done. */
void display_update(struct relay_display *d);

/* ---- relay_display_out.c ---- */

/* From the child to the display, until nothing moves. */
void display_show(struct relay_display *d);
/* Could more be taken from the child now? */
bool display_has_room(struct relay_display *d);
/* The child says no more. A part of a message that the display has begun to
 * read is ended for it; of the rest it does not hear. */
void display_cut(struct relay_display *d);

/* ---- relay_display_in.c ---- */

/* Bytes of the reply to it; -1: it has none. */
int64_t display_reply_bytes(uint32_t request);
/* From the display to the child. */
void display_hear(struct relay_display *d);
/* Does the display owe an answer, or a part of one? */
bool display_owes(const struct relay_display *d);

#endif
