/* DISCARD and WRITE_ZEROES: requests that are lists of ranges.
 * Spec: virtio, "Block Device", "Device Operation". */
#include "disk.h"

#include <string.h>

#define MEMORY "'store': {'type': 'memory', 'size': '1M'}"
#define FILE_DISK "'store': {'type': 'file', 'path': '@/disk', 'lock': false}"
#define SECTORS 2048

static char data[4096], back[4096];

static int setup(void **state)
{
    (void)state;
    memset(data, 0x5a, sizeof(data));
    memset(back, 0, sizeof(back));
    return 0;
}

static void many_ranges_in_a_request(void **state)
{
    static const char *const stores[] = {MEMORY, FILE_DISK};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(stores); i++) {
        struct disk *d = disk_new(stores[i], i);
        const struct virtio_blk_range list[] = {
            blk_range(1, 2, VIRTIO_BLK_RANGE_F_UNMAP), blk_range(0, 0, 0),
            blk_range(5, 1, 0), blk_range(SECTORS, 0, 0)};
        const struct virtio_blk_range all[] = {blk_range(0, SECTORS, 0)};

        assert_int_equal(disk_write(d, 0, data, 4096), 0);
        assert_int_equal(
            disk_ranges(d, VIRTIO_BLK_T_WRITE_ZEROES, list, sizeof(list)),
            VIRTIO_BLK_S_OK);
        assert_int_equal(disk_read(d, 0, back, 4096), 0);
        for (int s = 0; s < 8; s++) {
            const char *want = data + s * 512;
            static const char zeros[512];

            if (s == 1 || s == 2 || s == 5)
                want = zeros;
            assert_memory_equal(back + s * 512, want, 512);
        }
        assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_DISCARD, all, sizeof(all)),
                         VIRTIO_BLK_S_OK);
        disk_free(d);
    }
}

static void bad_ranges_do_nothing(void **state)
{
    struct disk *d = disk_new(MEMORY, false);
    struct virtio_blk_range list[64];
    struct virtio_blk_config c = disk_config(d);
    const uint32_t most_discard = le32toh(c.max_discard_sectors);
    const uint32_t most_zeroes = le32toh(c.max_write_zeroes_sectors);
    const uint32_t segs = le32toh(c.max_discard_seg);
    const struct {
        uint8_t status;
        struct virtio_blk_range range;
        bool discard;
    } bad[] = {
        {VIRTIO_BLK_S_IOERR, blk_range(SECTORS, 1, 0), true},
        {VIRTIO_BLK_S_IOERR, blk_range(SECTORS - 1, 2, 0), true},
        {VIRTIO_BLK_S_IOERR, blk_range(UINT64_MAX, 1, 0), true},
        {VIRTIO_BLK_S_IOERR, blk_range(UINT64_MAX >> 9, 2, 0), false},
        {VIRTIO_BLK_S_IOERR, blk_range(0, UINT32_MAX, 0), true},
        {VIRTIO_BLK_S_IOERR, blk_range(0, most_discard + 1, 0), true},
        {VIRTIO_BLK_S_IOERR, blk_range(0, most_zeroes + 1, 0), false},
        {VIRTIO_BLK_S_IOERR, blk_range(SECTORS + 1, 0, 0), false},
        {VIRTIO_BLK_S_UNSUPP, blk_range(0, 1, 2), false},
        {VIRTIO_BLK_S_UNSUPP, blk_range(0, 1, 0x80000001), false},
        {VIRTIO_BLK_S_UNSUPP, blk_range(0, 1, VIRTIO_BLK_RANGE_F_UNMAP), true},
        /* An unknown flag comes first, whatever else is wrong. */
        {VIRTIO_BLK_S_UNSUPP, blk_range(SECTORS, 9, 4), true},
    };

    (void)state;
    assert_int_equal(segs, le32toh(c.max_write_zeroes_seg));
    assert_true(segs < ARRAY_LEN(list));
    assert_int_equal(disk_write(d, 0, data, 512), 0);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        list[0] = blk_range(0, 1, 0);
        list[1] = bad[i].range;
        assert_int_equal(disk_ranges(d,
                                     bad[i].discard ? VIRTIO_BLK_T_DISCARD
                                                    : VIRTIO_BLK_T_WRITE_ZEROES,
                                     list, 2 * sizeof(list[0])),
                         bad[i].status);
    }
    for (unsigned i = 0; i < ARRAY_LEN(list); i++)
        list[i] = blk_range(0, 1, 0);
    assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_DISCARD, list, 0),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_DISCARD, list, 15),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_WRITE_ZEROES, list, 17),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_WRITE_ZEROES, list,
                                 (segs + 1) * sizeof(list[0])),
                     VIRTIO_BLK_S_IOERR);
    /* All were refused whole. */
    assert_int_equal(disk_read(d, 0, back, 512), 0);
    assert_memory_equal(back, data, 512);
    assert_int_equal(
        disk_ranges(d, VIRTIO_BLK_T_WRITE_ZEROES, list, segs * sizeof(list[0])),
        VIRTIO_BLK_S_OK);
    disk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(many_ranges_in_a_request, setup),
        cmocka_unit_test_setup(bad_ranges_do_nothing, setup),
    };

    return cmocka_run_group_tests_name("ranges", tests, NULL, NULL);
}
