/* front/pieces.h: a stream of bytes in guest memory, cut into pieces, with
 * guard bytes around each: a device that writes beside one is found out. */
#ifndef FRONT_PIECES_H
#define FRONT_PIECES_H

#include "front/session.h"
#include "front/vq.h"

#define PIECES_MAX 512

/* Pieces of a stream of len bytes, put into b, at most `room`. cuts gives their
 * lengths; 0 ends the list, and what is left is one piece more. NULL: one
 * piece. How many there are. */
unsigned pieces_cut(struct front *f, uint32_t len, const uint32_t *cuts,
                    struct vq_buf *b, unsigned room);
/* Fills the n pieces from the stream, and the stream from the pieces. */
void pieces_put(struct front *f, const struct vq_buf *b, unsigned n,
                const uint8_t *from);
void pieces_get(struct front *f, const struct vq_buf *b, unsigned n,
                uint8_t *to);
/* Fails if a byte beside a piece was touched. */
void pieces_check_guards(struct front *f, const struct vq_buf *b, unsigned n);

#endif
