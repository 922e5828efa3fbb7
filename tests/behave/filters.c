/* What is true of every filter of docs/rig.md: it stands behind disks and
 * units, in the process of vub and in one of its own, lets go what it holds
 * when its session ends, and is handed on, or says why it is not. */
#include "isolated.h"
#include "luns.h"

#define IMAGE "{'type': 'memory', 'size': '8M'}"

struct filter {
    const char *type, *config; /* %s: what it is around */
    const char *holds;         /* NULL: nothing that is not below; else why it
                                * is not handed on while it does */
};

static const struct filter filters[] = {
    {"fault", "{'type': 'fault', 'rules': [{'armed': false}], 'next': %s}"},
    {"delay", "{'type': 'delay', 'all': {'us': 100}, 'next': %s}"},
    {"powercut", "{'type': 'powercut', 'next': %s}",
     "bytes that the guest has not flushed, which cannot be handed on: flush, "
     "or cut the power, first"},
    {"cow", "{'type': 'cow', 'next': %s}",
     "filter cow has 4096 bytes in its overlay, which cannot be handed on: "
     "reset or commit it first"},
    {"trace", "{'type': 'trace', 'path': 't', 'next': %s}"},
};

/* Around what is below; good for a few calls. */
static const char *around(const struct filter *l, const char *below)
{
    static char texts[4][1024];
    static unsigned next;
    char *text = texts[next++ % ARRAY_LEN(texts)];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof(texts[0]), l->config, below);
#pragma GCC diagnostic pop
    return text;
}

/* A vub with disk "d", of these stores. */
static struct vub *disk_start(const char *more, const char *store)
{
    char text[2048];

    snprintf(text, sizeof(text),
             "{'id': 'd', 'type': 'block', 'queues': 2, %s 'store': %s}", more,
             store);
    return ctl_start(text);
}

static void tell(struct vub *v, const char *method, const char *params,
                 const char *answer)
{
    struct ctl c;

    ctl_open(&c, v);
    ctl_call(&c, method, params);
    ctl_need(&c, answer);
    ctl_close(&c);
}

static void each_stands_behind_a_unit(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(filters); i++) {
        char text[2048], type[64];
        struct scsi *s;
        struct vub *v;

        front_note("%s", filters[i].type);
        snprintf(text, sizeof(text),
                 SAN("", "{'target': 0, 'lun': 3, "
                         "'store': %s}"),
                 around(&filters[i], IMAGE));
        v = ctl_start(text);
        s = scsi_open(v, "san", &(struct front_conf){.queues = 2}, 4);
        scsi_attend(s->queue[0], scsi_at(0, 3));
        for (unsigned n = 0; n < 8; n++)
            scsi_verify(s->queue[n % 2], scsi_at(0, 3), n * 5, LEN, n);
        scsi_need_good(
            scsi_do(s->queue[1], scsi_at(0, 3), CDB(SCSI_SYNC_CACHE_10)));
        snprintf(type, sizeof(type), "\"filters\":[{\"type\":\"%s\"",
                 filters[i].type);
        tell(v, "status", "{'device': 'san'}", type);
        scsi_close(s);
        vub_free(v);
    }
    front_note(" ");
}

/* ---- sessions that end ---- */

/* Below it is what answers no write, and no flush. */
static void what_each_holds_ends_with_the_session(void **state)
{
    static const char stuck[] =
        "{'type': 'fault', 'name': 'below', 'next': " IMAGE ", 'rules': "
        "[{'op': 'write', 'stuck': true}, {'op': 'flush', 'stuck': true}]}";

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(filters); i++)
        for (unsigned apart = 0; apart < 2; apart++) {
            struct vub *v = disk_start(apart ? APART "'drain_timeout': 600, "
                                             : "'drain_timeout': 600, ",
                                       around(&filters[i], stuck));
            struct front *f =
                front_new(v, "d", &(struct front_conf){.queues = 2});
            struct blk_req *r[3];
            char buf[512];

            front_note("%s%s", filters[i].type, apart ? ", isolated" : "");
            for (unsigned n = 0; n < 3; n++)
                r[n] = blk_new(f, 512);
            blk_go(f->vq[0], r[0], VIRTIO_BLK_T_OUT, 1, 512);
            blk_go(f->vq[1], r[1], VIRTIO_BLK_T_OUT, 2, 512);
            blk_go(f->vq[0], r[2], VIRTIO_BLK_T_FLUSH, 0, 0);
            blk_read(f->vq[0], 64, buf, 512); /* they are there by now */
            front_free(f);
            tell(v, "fault.disarm", "{'device': 'd', 'filter': 'below'}",
                 "\"rules\":2");
            f = front_new(v, "d", NULL);
            put(f, 0, 1);
            need_at(f, 0, 1);
            blk_flush(f->vq[0]);
            front_free(f);
            vub_free(v);
        }
    front_note(" ");
}

/* ---- another vub ---- */

static void need_refused(struct vub *first, const char *why)
{
    struct vub *v = vub_beside(first);

    vub_arg(v, "--take-over");
    vub_spawn(v);
    assert_true(vub_wait(v) > 0);
    vub_log_wait(v, why);
    vub_log_mark(first);
    vub_free(v);
}

static struct vub *handed_over(struct vub *first)
{
    struct vub *v = vub_beside(first);

    vub_arg(v, "--take-over");
    vub_run(v);
    assert_int_equal(vub_wait(first), 0);
    return v;
}

/* Its guest goes on with the one that has it, or with the next. */
static void take_over_one(const struct filter *l, const char *more)
{
    struct vub *first = disk_start(more, around(l, IMAGE)), *v;
    struct front *f = front_new(first, "d", NULL);

    put(f, 0, 1);
    if (l->holds) {
        need_refused(first, l->holds);
        need_at(f, 0, 1);
        put(f, 0, 2);
        need_at(f, 0, 2);
    }
    blk_flush(f->vq[0]);
    if (strcmp(l->type, "cow") == 0) {
        need_refused(first, l->holds);
        vq_stop(f->vq[0]);
        tell(first, "cow.commit", "{'device': 'd'}", "\"committed_bytes\"");
        front_free(f);
        f = front_new(first, "d", NULL);
    }
    v = handed_over(first);
    need_at(f, 0, l->holds ? 2 : 1);
    put(f, 8, 3);
    need_at(f, 8, 3);
    front_free(f);
    vub_free(v);
    vub_free(first);
}

static void each_is_taken_over_when_it_holds_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(filters); i++) {
        front_note("%s", filters[i].type);
        take_over_one(&filters[i], "");
        front_note("%s, isolated", filters[i].type);
        take_over_one(&filters[i], APART);
    }
    front_note(" ");
}

static void an_overlay_on_a_file_is_not_handed_on(void **state)
{
    struct vub *first = disk_start("", "{'type': 'cow', 'overlay': 'over', "
                                       "'next': " IMAGE "}");
    struct front *f = front_new(first, "d", NULL);

    (void)state;
    put(f, 0, 1);
    need_refused(first, "filter cow has 4096 bytes in its overlay");
    need_at(f, 0, 1);
    front_free(f);
    vub_free(first);
}

/* What waits for a minute is done, and what comes after waits again. */
static void a_delay_lets_go_and_holds_again(void **state)
{
    struct vub *first = disk_start("", "{'type': 'delay', 'write': "
                                       "{'us': 60000000}, 'next': " IMAGE "}");
    struct front *f = front_new(first, "d", NULL);
    struct blk_req *r = blk_new(f, LEN);
    struct vub *v;
    char buf[512];

    (void)state;
    memset(r->data, 7, LEN);
    blk_go(f->vq[0], r, VIRTIO_BLK_T_OUT, 0, LEN);
    blk_read(f->vq[0], 64, buf, 512); /* it is there by now */
    v = handed_over(first);
    assert_int_equal(blk_wait(f->vq[0], r), VIRTIO_BLK_S_OK);
    need_at(f, 0, 7);
    blk_go(f->vq[0], r, VIRTIO_BLK_T_OUT, 8, LEN);
    blk_read(f->vq[0], 64, buf, 512);
    tell(v, "status", "{'device': 'd'}", "\"waiting\":1,\"held\":1");
    front_free(f);
    vub_free(v);
    vub_free(first);
}

/* ---- a process of its own, which is killed ---- */

/* The guest goes on as if nothing had been, unless something is lost. */
static void
each_goes_on_in_the_next_process_unless_it_held_something(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(filters); i++) {
        struct drive d =
            drive_on(disk_start(APART, around(&filters[i], IMAGE)), NULL);
        bool is_cow = strcmp(filters[i].type, "cow") == 0;

        front_note("%s", filters[i].type);
        if (!is_cow)
            put(d.f, 0, 1);
        blk_flush(d.f->vq[0]);
        kill_process(&d.c, "d");
        need_at(d.f, 0, is_cow ? 0 : 1);
        need_restarts(&d.c, "d", 1);
        put(d.f, 0, 2);
        kill_process(&d.c, "d");
        if (filters[i].holds) {
            vub_log_wait(d.v, "has forgotten what was written");
            drive_again(&d); /* another guest */
            put(d.f, 0, 3);
            need_at(d.f, 0, 3);
        } else {
            need_at(d.f, 0, 2);
        }
        drive_close(&d);
    }
    front_note(" ");
}

BEHAVE_MAIN(T(each_stands_behind_a_unit),
            T(what_each_holds_ends_with_the_session),
            T(each_is_taken_over_when_it_holds_nothing),
            T(an_overlay_on_a_file_is_not_handed_on),
            T(a_delay_lets_go_and_holds_again),
            T(each_goes_on_in_the_next_process_unless_it_held_something))
