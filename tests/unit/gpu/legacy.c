/* What is left is in the registry of kept memory of this process: closing a
 * device that keep_take has marked is what its end is for the next one. */
#include "legacy.h"

#include <stdlib.h>
#include <unistd.h>

#include "os/keep.h"

static const struct rect all = {0, 0, 64, 64}, some = {7, 9, 20, 30};

struct script *legacy_picture(void)
{
    static struct script s;

    s.num = 0;
    script_create(&s, 7, 64, 64);
    script_attach(&s, 7, 0, 70, 256);
    script_transfer(&s, 7, &all, 0);
    script_scanout(&s, 0, 7, &all);
    script_create(&s, 0x80000001, 900, 700);
    script_create_blob(&s, 9, 65536, 0x8000, 2, 32768);
    script_scanout_blob(&s, 1, 9, &some, 256);
    script_ref(&s, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, 9);
    script_cursor(&s, true, 0, 7, 5, 6);
    return &s;
}

struct script *legacy_none(void)
{
    static struct script s;

    return &s;
}

unsigned legacy_take_all(void)
{
    struct keep_item *items;
    int num = keep_take("gpu", &items);

    assert_true(num >= 0);
    for (int i = 0; i < num; i++)
        close(items[i].fd);
    free(items);
    return (unsigned)num;
}

void legacy_hand_on(struct whole *d)
{
    legacy_take_all();
    whole_close(d);
    keep_untake("gpu");
}

void legacy_leave(struct world *w, const struct script *s, const char *more)
{
    struct whole *d = whole_open(more);

    whole_start(d, w, false);
    whole_run(d, s, 8);
    whole_stop(d);
    world_write_state(w, d->gpu); /* to look may make pages, too */
    whole_save(d);
    legacy_hand_on(d);
}

void legacy_expect(struct world *w, struct gpu *g)
{
    struct world *now = world_new(false);

    world_write_state(now, g);
    assert_string_equal(now->state, w->state);
    world_free(now);
}

void legacy_expect_nothing(struct gpu *g)
{
    assert_int_equal(g->resources.count, 0);
    assert_int_equal(g->resources.bytes, 0);
    assert_int_equal(g->resources.entries, 0);
    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
        assert_null(g->scanouts[i].frame.res);
        assert_false(g->scanouts[i].cursor.drawn);
    }
    assert_int_equal(g->events_read, 0);
    assert_false(g->was_running);
}

struct world *legacy_world;

int legacy_setup(void **state)
{
    (void)state;
    legacy_world = world_new(false);
    return 0;
}

int legacy_teardown(void **state)
{
    (void)state;
    keep_forget("gpu");
    world_free(legacy_world);
    return 0;
}
