"""A read-only disk refuses every kind of write in the guest, serves reads,
and its file is not touched."""

from rig.image import MIB
from rig.rig import block

SCRIPT = """
is read-only "$(cat /sys/block/vda/ro)" 1
is feature "$(feature vda 5)" 1
tell hash "$(hash /dev/vda)"
fails dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync
fails /tools/blkdiscard /dev/vda
fails /tools/blkdiscard -z /dev/vda
fails mkfs.ext4 -q -F /dev/vda
# A guest may call its own view writable; the disk still is not.
/tools/blockdev --setrw /dev/vda || true
fails dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync
tell hash "$(hash /dev/vda)"
"""


def run(rig):
    image = rig.image(size=16 * MIB, fill=0x33)
    before = image.hash(), image.stamp(), image.allocated()
    vub = rig.vub(block(image, read_only=True))
    guest = rig.guest(SCRIPT, [rig.disk(vub)])
    for _ in range(2):
        assert guest.wait_told("hash") == before[0]
    guest.wait_success()
    assert (image.hash(), image.stamp(), image.allocated()) == before
