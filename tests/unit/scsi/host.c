#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/json.h"
#include "device_text.h"
#include "left.h"

#define REQUEST_BYTES 0x100 /* of guest memory, for each descriptor */
#define HEAD_BYTES 51       /* with 32 bytes of CDB */
#define ANSWER_BYTES 108    /* with 96 bytes of sense data */

static void on_started(struct device *d, const struct err *e)
{
    struct host *h = d->host_data;

    if (e)
        fail_msg("%s", e->text);
    h->started = true;
}

static void on_config_changed(struct device *d)
{
    (void)d;
}

static const struct device_host device_host = {
    .started = on_started,
    .config_changed = on_config_changed,
};

/* ---- a unit that the test plays ---- */

static struct host *host_of(const struct lun *l)
{
    return l->scsi->device.host_data;
}

static void play_submit(struct lun *l, struct scsi_task *t)
{
    list_add(&host_of(l)->tasks, &t->unit_node);
}

static void play_give_up(struct lun *l, struct scsi_task *t)
{
    (void)t;
    host_of(l)->given_up++;
}

static void play_tmf(struct lun *l, struct scsi_tmf *m)
{
    list_add(&host_of(l)->tmfs, &m->unit_node);
}

static void play_stop(struct lun *l)
{
    lun_disk_ops.stop(l);
}

static void play_reset(struct lun *l)
{
    (void)l;
}

static void play_close(struct lun *l, void (*gone)(void *arg), void *arg)
{
    lun_disk_ops.close(l, gone, arg);
}

static const struct lun_ops play_ops = {
    .type = "play",
    .stop = play_stop,
    .reset = play_reset,
    .submit = play_submit,
    .give_up = play_give_up,
    .tmf = play_tmf,
    .close = play_close,
};

struct lun *host_lun(struct host *h, uint8_t target, uint16_t lun)
{
    return luns_find(scsi_of(h->device), target, lun, NULL);
}

void host_plays(struct host *h, uint8_t target, uint16_t lun)
{
    struct lun *l = host_lun(h, target, lun);

    assert_ptr_equal(l->ops, &lun_disk_ops);
    l->ops = &play_ops;
    l->num_attentions = 0;
}

void host_end(struct host *h)
{
    struct list *node = list_pop(&h->tasks);
    struct scsi_task *t;

    if (!node) {
        fail_msg("there is none");
        return;
    }
    t = container_of(node, struct scsi_task, unit_node);
    t->status = SCSI_GOOD;
    scsi_task_done(t);
}

void host_end_tmf(struct host *h)
{
    struct list *node = list_pop(&h->tmfs);
    struct scsi_tmf *m;

    if (!node) {
        fail_msg("there is none");
        return;
    }
    m = container_of(node, struct scsi_tmf, unit_node);

    /* All of them are of one unit. */
    lun_tmf_done(m->task ? m->task->lun : host_lun(h, 0, 0), m);
}

/* ---- life ---- */

static struct guest *start_ring(struct host *h, unsigned index)
{
    struct guest *g = guest_new(false, 64);
    struct err e;

    g->setup.priv_size = h->device->priv_size;
    g->setup.chain_max = h->device->chain_max;
    guest_start(g);
    g->ring.index = index;
    g->ring.loop = &h->loop;
    g->ring.enabled = true;
    assert_int_equal(h->device->ops->ring_start(h->device, &g->ring, &e), 0);
    return g;
}

struct host *host_open(const char *luns)
{
    struct host *h = calloc(1, sizeof(*h));
    struct errs errs = ERRS_EMPTY;
    struct conf_any conf;
    struct err e;
    char text[2048];

    assert_non_null(h);
    assert_int_equal(loop_open(&h->loop, "test"), 0);
    h->loop.devices = h->loop.block_devices = 1;
    list_init(&h->tasks);
    list_init(&h->tmfs);
    snprintf(text, sizeof(text), "'id': 'test', 'type': 'scsi', 'luns': [%s]",
             luns);
    conf = device_text(&h->doc, text, NULL);
    if (device_type_of(&conf)->open(&h->device, &conf, &errs) < 0)
        fail_msg("%s: %s", errs.list[0].where, errs.list[0].text);
    for (unsigned i = 0; i < h->device->num_queues; i++)
        h->ring_loop[i] = &h->loop;
    h->device->home = &h->loop;
    h->device->ring_loop = h->ring_loop;
    h->device->host = &device_host;
    h->device->host_data = h;
    assert_int_equal(h->device->ops->begin(h->device, &e), 0);
    return h;
}

void host_start(struct host *h, uint64_t features, bool recovered)
{
    const struct device_start start = {features, recovered};

    h->device->ops->start(h->device, &start);
    while (!h->started)
        uv_run(&h->loop.uv, UV_RUN_ONCE);
    h->control = start_ring(h, VIRTIO_SCSI_CONTROLQ);
    h->queue = start_ring(h, VIRTIO_SCSI_REQUESTQ);
}

struct host *host_new(const char *luns)
{
    struct host *h = host_open(luns);

    host_start(h, 0, false);
    return h;
}

static void stop_ring(struct host *h, struct guest *g)
{
    const struct device_ops *ops = h->device->ops;

    ops->ring_drain(h->device, &g->ring, DRAIN_BEGIN);
    ops->ring_drain(h->device, &g->ring, DRAIN_CANCEL);
    while (g->ring.in_flight > 0)
        uv_run(&h->loop.uv, UV_RUN_ONCE);
    ops->ring_stop(h->device, &g->ring);
    ring_flush(&g->ring);
    guest_stop(g);
    guest_free(g);
}

static void on_gone(void *arg)
{
    *(bool *)arg = true;
}

static void end_session(struct host *h)
{
    if (!h->queue)
        return;
    stop_ring(h, h->control);
    stop_ring(h, h->queue);
    h->control = h->queue = NULL;
    h->device->ops->stop(h->device);
}

struct host *host_kill(struct host *h, const char *luns, unsigned spoil)
{
    struct left left;

    left_take(&left, "test");
    if (spoil)
        left_spoil(&left, spoil);
    h->device->suspends = true; /* what it does now does not count */
    host_free(h);
    assert_int_equal(left_count("test"), 0);
    left_put(&left);
    h = host_open(luns);
    keep_forget("test"); /* what nobody has asked for */
    return h;
}

struct host *host_hand_on(struct host *h, const char *luns)
{
    struct err e = {0};

    h->device->suspends = true;
    end_session(h);
    if (h->device->ops->save(h->device, &e) < 0)
        fail_msg("%s", e.text);
    return host_kill(h, luns, 0);
}

void host_free(struct host *h)
{
    bool gone = false;

    end_session(h);
    h->device->gone = on_gone;
    h->device->gone_arg = &gone;
    h->device->ops->close(h->device);
    /* Units close one after the other. */
    while (!gone)
        uv_run(&h->loop.uv, UV_RUN_NOWAIT);
    conf_free(h->doc);
    loop_close(&h->loop);
    free(h);
}

/* ---- requests ---- */

static uint64_t place(uint16_t id)
{
    return GUEST_DATA + (uint64_t)id * REQUEST_BYTES;
}

void host_offer(struct host *h, uint16_t id, uint8_t lun, uint64_t tag)
{
    const struct piece p[] = {
        {place(id), HEAD_BYTES, false},
        {place((uint16_t)(id + 1)), ANSWER_BYTES, true},
    };
    struct virtio_scsi_req_cmd head = {
        .lun = {1, 0, 0, lun},
        .id = htole64(tag),
    };
    uint8_t *at = guest_at(h->queue, place(id));

    memset(at, 0, 2 * REQUEST_BYTES);
    memcpy(at, &head, sizeof(head));
    guest_offer(h->queue, id, p, 2);
}

uint8_t host_do(struct host *h, uint8_t lun, const uint8_t *cdb, size_t cdb_len,
                const void *out, uint32_t out_len, void *in, uint32_t in_len)
{
    /* Far behind what others offer. */
    const uint64_t data = place(48);
    const struct piece p[] = {
        {place(0), HEAD_BYTES, false},
        {out_len ? data : place(1), out_len ? out_len : ANSWER_BYTES, !out_len},
        {out_len ? place(1) : data, out_len ? ANSWER_BYTES : in_len, true},
    };
    struct virtio_scsi_req_cmd head = {.lun = {1, 0, 0, lun}};
    struct virtio_scsi_resp_cmd *a = guest_at(h->queue, place(1));
    uint8_t *at = guest_at(h->queue, place(0));
    uint32_t len;
    uint16_t id;

    memset(at, 0, 2 * REQUEST_BYTES);
    memcpy(at, &head, sizeof(head));
    memcpy(at + sizeof(head), cdb, cdb_len);
    if (out_len)
        memcpy(guest_at(h->queue, data), out, out_len);
    guest_offer(h->queue, 0, p, out_len || in_len ? 3 : 2);
    host_kick(h, h->queue);
    while (!guest_take(h->queue, &id, &len)) {
        uv_run(&h->loop.uv, UV_RUN_ONCE);
        host_kick(h, h->queue);
    }
    if (in_len)
        memcpy(in, guest_at(h->queue, data), in_len);
    h->response = a->response;
    h->status = a->status;
    h->key = 0;
    h->asc = 0;
    if (le32toh(a->sense_len))
        scsi_sense_read((uint8_t *)(a + 1), le32toh(a->sense_len), &h->key,
                        &h->asc);
    return a->status;
}

struct told {
    struct call call;
    bool answered;
    int code;
};

static void on_answered(struct call *c, const struct err *e)
{
    struct told *t = container_of(c, struct told, call);

    t->answered = true;
    t->code = e ? e->code : 0;
    json_out_free(&c->out);
}

int host_told(struct host *h, const char *name, const char *params)
{
    struct told t = {.call = {.answered = on_answered}};
    const struct command *row = scsi_commands;
    struct conf_doc *doc = conf_new();
    struct errs errs = ERRS_EMPTY;
    char text[1024];
    struct json *tree;
    void *out[2];
    struct err e;

    while (strcmp(row->name, name) != 0)
        row++;
    snprintf(text, sizeof(text), "%s", params);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    tree = json_parse(text, strlen(text), &e);
    assert_non_null(tree);
    if (conf_read_object(doc, out,
                         (const struct conf_table *const[]){NULL, row->params},
                         tree, NULL, "/", &errs) < 0)
        fail_msg("%s: %s", errs.list[0].where, errs.list[0].text);
    t.call.args = out[1];
    t.call.doc = doc;
    t.call.params = tree;
    t.call.dir = "/";
    row->run(h->device, &t.call);
    while (!t.answered)
        uv_run(&h->loop.uv, UV_RUN_ONCE);
    json_free(tree);
    conf_free(doc);
    return t.code;
}

void host_offer_tmf(struct host *h, uint16_t id, uint32_t function, uint8_t lun,
                    uint64_t tag)
{
    struct virtio_scsi_ctrl_tmf_req ask = {
        .type = htole32(VIRTIO_SCSI_T_TMF),
        .subtype = htole32(function),
        .lun = {1, 0, 0, lun},
        .id = htole64(tag),
    };
    const struct piece p[] = {
        {place(id), sizeof(ask), false},
        {place((uint16_t)(id + 1)), 1, true},
    };

    memcpy(guest_at(h->control, place(id)), &ask, sizeof(ask));
    guest_offer(h->control, id, p, 2);
}

void host_kick(struct host *h, struct guest *g)
{
    h->device->ops->ring_kick(h->device, &g->ring);
    ring_flush(&g->ring);
}

void host_turn(struct host *h)
{
    uv_run(&h->loop.uv, UV_RUN_NOWAIT);
    ring_flush(&h->queue->ring);
    ring_flush(&h->control->ring);
}

uint8_t host_response(struct host *h, uint16_t id)
{
    const struct virtio_scsi_resp_cmd *a =
        guest_at(h->queue, place((uint16_t)(id + 1)));

    return a->response;
}

uint8_t host_tmf_response(struct host *h, uint16_t id)
{
    return *(uint8_t *)guest_at(h->control, place((uint16_t)(id + 1)));
}
