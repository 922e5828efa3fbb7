/* SCSI devices of the host as logical units, which needs a kernel that has
 * some: the driver scsi_debug, beside a vub that serves its generic node to a
 * front-end. Run in a guest (scenario node), as root; VUB in the
 * environment is the program. */
#include <fcntl.h>
#include <unistd.h>

#include "../../behave/behave.h"
#include "front/scsi.h"

#define DEBUG "/sys/bus/pseudo/drivers/scsi_debug/"

static void set(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
        front_fail("cannot write %s to %s", value, path);
    close(fd);
}

static struct vub *serve(void)
{
    return vub_start("{'id': 'san', 'type': 'scsi', 'queues': 2,"
                     " 'drain_timeout': 20000,"
                     " 'luns': [{'target': 2, 'lun': 1, 'sg': '/dev/sg0'}]}");
}

static struct scsi_lun unit(void)
{
    return scsi_at(2, 1);
}

static void the_guest_sees_the_device_itself(void **state)
{
    struct vub *v = serve();
    struct scsi *s = scsi_open(v, "san", NULL, 0);
    struct vq *q = s->queue[0];
    struct scsi_answer a;
    char inquiry[97] = "";

    (void)state;
    scsi_attend(q, unit());
    a = scsi_in(q, unit(), CDB(SCSI_INQUIRY, 0, 0, 0, 96, 0), inquiry, 96);
    scsi_need_good(a);
    assert_memory_equal(inquiry + 8, "Linux   scsi_debug", 18);
    assert_int_equal(scsi_blocks(q, unit()), 8 << 11);
    scsi_close(s);
    vub_free(v);
}

static void what_is_written_is_read_on_all_kinds_of_rings(void **state)
{
    struct vub *v = serve();

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ring_modes); i++) {
        struct scsi *s = scsi_open(v, "san", &ring_modes[i], 0);

        front_note("ring mode %u", i);
        scsi_attend(s->queue[1], unit());
        for (uint32_t len = 512; len <= 128 << 10; len *= 4)
            scsi_verify(s->queue[i % 2], unit(), len >> 9, len, i);
        scsi_close(s);
    }
    vub_free(v);
}

/* The kernel takes 16 of a node. */
static void more_commands_than_the_kernel_takes_wait_their_turn(void **state)
{
    struct vub *v = serve();
    struct scsi *s = scsi_open(v, "san", NULL, 0);
    struct vq *q = s->queue[0];
    struct scsi_req *r[40];

    (void)state;
    scsi_attend(q, unit());
    for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
        r[i] = scsi_new(s, unit(), 4096);
        assert_true(scsi_add(q, r[i], CDB_16(SCSI_READ_16, i * 8, 8), 0, 4096));
    }
    vq_kick(q);
    for (unsigned i = 0; i < ARRAY_LEN(r); i++)
        scsi_need_good(*scsi_wait(q, r[i]));
    scsi_close(s);
    vub_free(v);
}

static void sense_and_residuals_are_the_devices_own(void **state)
{
    struct vub *v = serve();
    struct scsi *s = scsi_open(v, "san", NULL, 0);
    struct vq *q = s->queue[0];
    struct scsi_answer a;
    char buf[4096];

    (void)state;
    scsi_attend(q, unit());
    a = scsi_in(q, unit(), CDB_16(SCSI_READ_16, 1 << 20, 8), buf, 4096);
    scsi_need_sense(a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    a = scsi_in(q, unit(),
                CDB(SCSI_READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0), buf,
                4096);
    scsi_need_good(a);
    assert_int_equal(a.residual, 4096 - 8);
    a = scsi_do(q, unit(), CDB(0xc1, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    scsi_need_sense(a, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
    scsi_close(s);
    vub_free(v);
}

static void a_reset_is_done_and_waits_for_what_was_under_way(void **state)
{
    struct vub *v = serve();
    struct scsi *s = scsi_open(v, "san", NULL, 0);
    struct vq *q = s->queue[0];
    struct scsi_req *r = scsi_new(s, unit(), 4096);
    struct scsi_control c;

    (void)state;
    scsi_attend(q, unit());
    set(DEBUG "delay", "250"); /* jiffies: a second */
    scsi_go(q, r, CDB_16(SCSI_READ_16, 0, 8), 0, 4096);
    while (scsi_tmf(s, VIRTIO_SCSI_T_TMF_QUERY_TASK, unit(), r->tag) !=
           VIRTIO_SCSI_S_FUNCTION_SUCCEEDED)
        assert_false(scsi_is_done(q, r));
    scsi_tmf_go(s, &c, VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, unit(), 0);
    assert_int_equal(scsi_tmf_wait(s, &c), VIRTIO_SCSI_S_FUNCTION_COMPLETE);
    /* Its end came first. */
    assert_true(scsi_is_done(q, r));
    set(DEBUG "delay", "0");
    assert_true(scsi_attend(q, unit()) > 0);
    scsi_verify(q, unit(), 0, 4096, 1);
    scsi_close(s);
    vub_free(v);
}

/* Last: the device is gone then. */
static void a_device_that_goes_fails_its_commands_and_nothing_else(void **state)
{
    struct vub *v =
        vub_start("{'id': 'san', 'type': 'scsi', 'luns':"
                  " [{'target': 2, 'lun': 1, 'sg': '/dev/sg0'},"
                  "  {'store': {'type': 'memory', 'size': '1M'}}]}");
    struct scsi *s = scsi_open(v, "san", NULL, 0);
    struct vq *q = s->queue[0];
    struct scsi_answer a;

    (void)state;
    scsi_attend(q, unit());
    scsi_attend(q, scsi_at(0, 0));
    set("/sys/class/scsi_generic/sg0/device/delete", "1");
    vub_log_wait(v, "the device has gone");
    a = scsi_do(q, unit(), TEST_UNIT_READY);
    scsi_need_response(a, VIRTIO_SCSI_S_TRANSPORT_FAILURE);
    scsi_verify(q, scsi_at(0, 0), 0, 4096, 1);
    scsi_close(s);
    vub_free(v);
}

BEHAVE_MAIN(T(the_guest_sees_the_device_itself),
            T(what_is_written_is_read_on_all_kinds_of_rings),
            T(more_commands_than_the_kernel_takes_wait_their_turn),
            T(sense_and_residuals_are_the_devices_own),
            T(a_reset_is_done_and_waits_for_what_was_under_way),
            T(a_device_that_goes_fails_its_commands_and_nothing_else))
