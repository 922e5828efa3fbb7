"""QEMU is killed under load and started again on the same vub: no clean-up
by the front-end, rings left half full, and the next one finds a whole disk
with every write that had been flushed."""

from rig import load
from rig.image import Writes
from rig.rig import block

FIRST = """
mkfs.ext4 -q -F /dev/vda
mount -t ext4 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/kept bs=1M count=4 conv=fsync 2>/dev/null
tell sum "$(sha256sum </mnt/kept)"
while true; do
    dd if=/dev/urandom of=/mnt/lost bs=64k count=64 conv=fsync 2>/dev/null
done
"""

SECOND = """
mount -t ext4 /dev/vda /mnt
tell sum "$(sha256sum </mnt/kept)"
umount /mnt
e2fsck -fn /dev/vda
""" + load.run(load.SUITE)


def run(rig):
    image = rig.image()
    vub = rig.vub(block(image))
    guest = rig.guest(FIRST, [rig.disk(vub)], name="first")
    kept = guest.wait_told("sum")
    writes = Writes(rig.loop, image)
    writes.wait(20)
    guest.process.kill()
    writes.close()
    rig.note("QEMU killed under load")
    guest = rig.guest(SECOND, [rig.disk(vub)], name="second", kit="fio")
    assert guest.wait_told("sum") == kept
    guest.wait_success()
