/* A unit that is a device of the host, whose node is played here: os/sg.h is
 * wrapped by the linker. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host.h"

#define NODE "{'lun': 0, 'sg': '/dev/sg0'}"
#define DISK "{'lun': 1, 'store': {'type': 'memory', 'size': '1M'}}"

static struct {
    int fd;
    struct sg_cmd *has[64]; /* commands of the kernel's, in order */
    unsigned num, ready;    /* of them, from the first, to be fetched */
    bool gone;
} node;

int __wrap_sg_open(const char *path, int *fd, struct err *e);
int __wrap_sg_send(int fd, struct sg_cmd *c);
struct sg_cmd *__wrap_sg_fetch(int fd);
bool __wrap_sg_is_gone(int fd);
int __wrap_sg_reset(int fd);

int __wrap_sg_open(const char *path, int *fd, struct err *e)
{
    (void)path;
    (void)e;
    memset(&node, 0, sizeof(node));
    *fd = node.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(node.fd >= 0);
    return 0;
}

int __wrap_sg_send(int fd, struct sg_cmd *c)
{
    assert_int_equal(fd, node.fd);
    node.has[node.num++] = c;
    return 0;
}

/* Of this node and no other, whatever else may have its number by now. */
struct sg_cmd *__wrap_sg_fetch(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct sg_cmd *c;

    assert_int_equal(poll(&p, 1, 0) < 0 || p.revents & POLLNVAL, 0);
    if (node.ready == 0)
        return NULL;
    c = node.has[0];
    node.ready--;
    node.num--;
    memmove(node.has, node.has + 1, node.num * sizeof(*node.has));
    c->result = node.gone ? -ENODEV : 0;
    c->status = SCSI_GOOD;
    c->sense_len = 0;
    c->residual = 0;
    return c;
}

bool __wrap_sg_is_gone(int fd)
{
    (void)fd;
    return node.gone;
}

int __wrap_sg_reset(int fd)
{
    (void)fd;
    return 0;
}

/* The first n that the kernel has are done. */
static void done(unsigned n)
{
    node.ready = n;
    assert_int_equal(eventfd_write(node.fd, 1), 0);
}

static bool removed;

static void on_gone(void *arg)
{
    (void)arg;
    removed = true;
}

static void remove_it(struct host *h)
{
    removed = false;
    luns_remove(scsi_of(h->device), host_lun(h, 0, 0), on_gone, NULL);
}

/* Until the unit is gone, or there is nothing to do. */
static void turns(struct host *h)
{
    for (int i = 0; i < 20 && !removed; i++)
        host_turn(h);
}

static void commands_go_to_the_node(void **state)
{
    struct host *h = host_new(NODE);

    (void)state;
    host_offer(h, 0, 0, 1);
    host_kick(h, h->queue);
    assert_int_equal(node.num, 1);
    done(1);
    host_turn(h);
    guest_expect(h->queue, 0, 108);
    assert_int_equal(host_response(h, 0), VIRTIO_SCSI_S_OK);
    host_free(h);
}

/* What the kernel has it may still write to when it is fetched. */
static void task_management_waits_for_a_unit_that_is_removed(void **state)
{
    struct host *h = host_new(NODE "," DISK);

    (void)state;
    host_offer(h, 0, 0, 1);
    host_offer(h, 2, 0, 2);
    host_kick(h, h->queue);
    host_offer_tmf(h, 0, VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, 0, 0);
    host_kick(h, h->control);
    remove_it(h);
    done(1);
    turns(h);
    guest_expect(h->queue, 0, 108);
    guest_expect_none(h->control);
    assert_false(removed);
    done(1);
    turns(h);
    assert_true(removed);
    guest_expect(h->queue, 2, 108);
    guest_expect(h->control, 0, 1);
    host_free(h);
}

/* The end of its last task is the end of the unit, in the middle of a visit to
 * the node. */
static void a_unit_goes_when_its_last_task_has_ended(void **state)
{
    struct host *h = host_new(NODE "," DISK);

    (void)state;
    host_offer(h, 0, 0, 1);
    host_kick(h, h->queue);
    remove_it(h);
    done(1);
    turns(h);
    assert_true(removed);
    guest_expect(h->queue, 0, 108);
    host_free(h);
}

static void so_does_one_whose_device_has_gone(void **state)
{
    struct host *h = host_new(NODE "," DISK);

    (void)state;
    host_offer(h, 0, 0, 1);
    host_offer(h, 2, 0, 2);
    host_kick(h, h->queue);
    node.gone = true;
    done(0);
    host_turn(h);
    remove_it(h);
    done(2);
    turns(h);
    assert_true(removed);
    guest_expect(h->queue, 0, 108);
    guest_expect(h->queue, 2, 108);
    host_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_go_to_the_node),
        cmocka_unit_test(task_management_waits_for_a_unit_that_is_removed),
        cmocka_unit_test(a_unit_goes_when_its_last_task_has_ended),
        cmocka_unit_test(so_does_one_whose_device_has_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
