/* tests/unit/scsi/host.h: a controller with a guest that has two rings, in this
 * process: one for task management, one for commands.
 *
 * The test plays vhost and the guest, and may play the units too (host_plays):
 * such a unit keeps its tasks until the test ends them. */
#ifndef VUB_TESTS_UNIT_SCSI_HOST_H
#define VUB_TESTS_UNIT_SCSI_HOST_H

#include "../virtio/guest.h"
#include "device/scsi/impl.h"

struct host {
    struct loop loop;
    struct loop *ring_loop[DEVICE_MAX_QUEUES];
    struct conf_doc *doc;
    struct device *device;
    struct guest *control, *queue; /* 64 descriptors each */
    bool started;
    uint8_t response, status; /* of the last host_do */
    uint8_t key;              /* of its sense data, if there was any */
    uint16_t asc;

    /* A unit that the test plays: */
    struct list tasks, tmfs; /* by unit_node: what it has */
    unsigned given_up;       /* times that it was asked to */
};

/* luns: their config; ' stands for ". The rings run. */
struct host *host_new(const char *luns);
/* The two halves of that: opened, and a session with these features. */
struct host *host_open(const char *luns);
void host_start(struct host *h, uint64_t features, bool recovered);
/* Another process has it, open; this one was killed, or handed it on. spoil: 0,
 * or a seed for what becomes of what it has left. */
struct host *host_kill(struct host *h, const char *luns, unsigned spoil);
struct host *host_hand_on(struct host *h, const char *luns);
/* Drains and stops the rings, closes the device. Nothing may wait for ever. */
void host_free(struct host *h);
/* The unit's only purpose from now on is to keep what it gets. */
void host_plays(struct host *h, uint8_t target, uint16_t lun);
struct lun *host_lun(struct host *h, uint8_t target, uint16_t lun);

/* Offers TEST UNIT READY; it has the descriptors id and id + 1. */
void host_offer(struct host *h, uint16_t id, uint8_t lun, uint64_t tag);
/* Executes a command, whose data goes out or comes in; its status. */
uint8_t host_do(struct host *h, uint8_t lun, const uint8_t *cdb, size_t cdb_len,
                const void *out, uint32_t out_len, void *in, uint32_t in_len);
/* A command of the control socket, of which ' stands for ": 0, or what is
 * wrong. */
int host_told(struct host *h, const char *name, const char *params);
/* Task management, likewise. */
void host_offer_tmf(struct host *h, uint16_t id, uint32_t function, uint8_t lun,
                    uint64_t tag);
/* The ring is kicked once, and flushed. */
void host_kick(struct host *h, struct guest *g);
/* Turns the loop, and flushes both. */
void host_turn(struct host *h);
/* What is answered to the request with that id. */
uint8_t host_response(struct host *h, uint16_t id);
uint8_t host_tmf_response(struct host *h, uint16_t id);

/* Of a unit that the test plays: its first task ends; so does its first task
 * management. */
void host_end(struct host *h);
void host_end_tmf(struct host *h);

#endif
