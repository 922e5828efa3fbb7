/* front/session.h: one connection to a back-end, and the memory shared.
 *
 * Spec: vhost-user. A struct front outlives its connection: memory, rings and
 * the in-flight record stay when the back-end goes, as they do in a virtual
 * machine, and front_resume goes on with the next back-end. */
#ifndef FRONT_SESSION_H
#define FRONT_SESSION_H

#include "base/base.h"
#include "front/check.h"
#include "front/daemon.h"
#include "front/wire.h"
#include "virtio/spec.h"

#define FRONT_QUEUES_MAX 64
#define FRONT_REGIONS_MAX 510     /* one more than vub takes */
#define FRONT_UVA 0x400000000000u /* user address of guest address 0 */
#define FRONT_MSG_FDS 32

struct vq;

struct front_region {
    uint64_t gpa, len, uva, offset; /* offset: in the file */
    int fd;
    uint8_t *host; /* of gpa */
    uint64_t used; /* bytes handed out by front_alloc */
};

/* How to set up a session. All zero: one split ring of 128, no event index,
 * no indirect descriptors, 64 MiB of memory. */
struct front_conf {
    unsigned queues;
    uint16_t size; /* of each ring */
    bool packed, event_idx, indirect;
    bool inflight;         /* GET_INFLIGHT_FD, SET_INFLIGHT_FD */
    bool backend_channel;  /* SET_BACKEND_REQ_FD: f->backend_fd */
    bool rings_stopped;    /* vq_new, but not vq_start */
    uint64_t mem_bytes;    /* of the one region there is, unless the test has
                            * added its own before */
    uint64_t features_off; /* not to be acked even though offered */
    uint64_t protocol_off;
};

struct front {
    int sock;     /* -1: not connected */
    bool dribble; /* everything is sent byte by byte, fds with the first */
    char path[108];
    struct front_conf conf;
    uint64_t offered, acked; /* feature bits */
    uint64_t protocol_offered, protocol;
    unsigned queues_offered;
    struct front_region region[FRONT_REGIONS_MAX];
    unsigned num_regions;
    struct vq *vq[FRONT_QUEUES_MAX]; /* NULL: not made */
    int backend_fd;  /* our end of the back-end channel, -1: none */
    int inflight_fd; /* -1: none */
    struct wire_inflight inflight;
    uint8_t *inflight_mem; /* mapped */
    int log_fd;
    uint8_t *log; /* the dirty log, mapped; NULL: none */
    uint64_t log_len;
    struct blk_req *reqs, *spare;  /* blk.c's */
    void *user;                    /* of whoever made it: scsi.c's */
    void (*free_user)(void *user); /* NULL: nothing to do */
    struct front *next;
};

/* ---- In one call ---- */

/* Connects to DIR/<id>.sock of v and sets everything up; conf NULL: all
 * zero. */
struct front *front_new(struct vub *v, const char *id,
                        const struct front_conf *conf);
/* Disconnects and frees; f may be NULL. */
void front_free(struct front *f);
void front_free_all(void);

/* ---- In steps ---- */

/* A connection and nothing more. */
struct front *front_connect(struct vub *v, const char *id);
struct front *front_connect_path(const char *path);
/* For programs that do not say when they are ready: waits until somebody
 * listens there. */
struct front *front_connect_wait(const char *path);
/* A front-end on a connected socket, which is then its. */
struct front *front_on(int sock);
/* Features, protocol features, owner, back-end channel. Keeps conf. */
void front_negotiate(struct front *f, const struct front_conf *conf);
/* The memory (made now, if there is none): SET_MEM_TABLE for up to 8
 * regions, else ADD_MEM_REG for each. */
void front_share(struct front *f);
/* In-flight record if wanted, then rings: those of conf are made and started;
 * those that exist are started where they stopped. */
void front_start_rings(struct front *f);
/* negotiate, share, start_rings. */
void front_set_up(struct front *f, const struct front_conf *conf);

/* Hangs up. Memory, rings and the in-flight record stay. */
void front_disconnect(struct front *f);
/* Connects again to the same path. Then front_set_up(f, &f->conf) goes on
 * with the same memory and rings, as QEMU does. */
void front_reconnect(struct front *f);
/* Both. */
void front_resume(struct front *f);

/* ---- Messages ---- */

struct front_msg {
    struct wire_header h;
    union {
        uint64_t u64;
        struct wire_state state;
        struct wire_config config;
        struct wire_inflight inflight;
        uint8_t bytes[1024];
    };
    int fds[FRONT_MSG_FDS]; /* the caller's to close */
    unsigned num_fds;
};

/* Bytes as they are, with fds. False: the back-end has hung up. */
bool front_send_bytes(struct front *f, const void *buf, size_t len,
                      const int *fds, unsigned num_fds);
/* The same on any socket; dribble: byte by byte. */
bool front_send_on(int sock, bool dribble, const void *buf, size_t len,
                   const int *fds, unsigned num_fds);
/* One message, version 1; flags are added (WIRE_NEED_REPLY). */
bool front_send(struct front *f, uint32_t request, uint32_t flags,
                const void *payload, uint32_t len, const int *fds,
                unsigned num_fds);
/* One message. False: the back-end has hung up. */
bool front_recv(struct front *f, struct front_msg *m);
/* The same from any socket; the back-end channel. */
bool front_recv_from(int sock, struct front_msg *m);
/* The answer to a request: fails unless it is one. */
void front_reply(struct front *f, uint32_t request, struct front_msg *m);

/* With NEED_REPLY; the number that comes back: 0 is success. -1: hung up. */
int64_t front_ack(struct front *f, uint32_t request, const void *payload,
                  uint32_t len, const int *fds, unsigned num_fds);
/* Must succeed. Without REPLY_ACK it is sent and settled. */
void front_ok(struct front *f, uint32_t request, const void *payload,
              uint32_t len, const int *fds, unsigned num_fds);
void front_ok_u64(struct front *f, uint32_t request, uint64_t value);
void front_ok_state(struct front *f, uint32_t request, uint32_t index,
                    uint32_t num);
/* A request without payload that is answered by a number. */
uint64_t front_get(struct front *f, uint32_t request);
/* A round trip: what was sent before has been handled. */
void front_settle(struct front *f);
/* vub_fds once what was sent has been dealt with, fds that came along too. */
int front_fds(struct front *f, struct vub *v);
/* Waits for the back-end to hang up, whatever it says before that. */
void front_need_hangup(struct front *f);
/* Is the session alive? A round trip that may fail. */
bool front_lives(struct front *f);

/* GET_CONFIG; fails unless len bytes come back. */
void front_config(struct front *f, uint32_t offset, void *buf, uint32_t len);
/* SET_CONFIG; what front_ack says. */
int64_t front_set_config(struct front *f, uint32_t offset, const void *buf,
                         uint32_t len);
/* Waits for CONFIG_CHANGE on the back-end channel, and answers it if that is
 * asked for. */
void front_need_config_change(struct front *f);

/* ---- Memory ---- */

/* A region of a memfd of its own; not told to the back-end. Its index. */
unsigned front_region_add(struct front *f, uint64_t gpa, uint64_t len);
/* The same, of a file that the caller has and keeps, from offset. */
unsigned front_region_add_fd(struct front *f, uint64_t gpa, uint64_t len,
                             int fd, uint64_t offset);
/* As the messages carry it. */
struct wire_region front_region_wire(const struct front *f, unsigned i);
/* ADD_MEM_REG, REM_MEM_REG of region i: must succeed. */
void front_region_tell(struct front *f, unsigned i);
void front_region_untell(struct front *f, unsigned i);
/* Guest addresses. The whole lies in one region. */
uint64_t front_alloc(struct front *f, uint64_t len, uint64_t align);
uint64_t front_alloc_in(struct front *f, unsigned region, uint64_t len,
                        uint64_t align);
/* Our pointer to a guest address that is in a region. */
void *front_ptr(const struct front *f, uint64_t gpa);
/* Copies, byte by byte, wherever region borders are. */
void front_poke(struct front *f, uint64_t gpa, const void *from, size_t len);
void front_peek(struct front *f, uint64_t gpa, void *to, size_t len);
/* What messages call that address. */
uint64_t front_uva(const struct front *f, uint64_t gpa);
/* A memfd of that size. The caller's. */
int front_memfd(uint64_t size);

/* ---- The dirty log ---- */

/* A log for all memory, SET_LOG_BASE, LOG_ALL, the flag of each ring. */
void front_log_start(struct front *f);
/* LOG_ALL and the flags are taken back. The bits stay to be looked at. */
void front_log_stop(struct front *f);
bool front_log_dirty(const struct front *f, uint64_t gpa);
unsigned front_log_count(const struct front *f);
void front_log_clear(struct front *f);

/* ---- In flight ---- */

/* Queue i's part of the record. */
struct wire_inflight_split *front_inflight_split(struct front *f, unsigned i);
struct wire_inflight_packed *front_inflight_packed(struct front *f, unsigned i);

#endif
