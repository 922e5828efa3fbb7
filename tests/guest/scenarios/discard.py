"""What the guest discards gives space back on the host, what it zeroes reads
as zeros, and neighbours stay as they were. Then the same through a file
system's fstrim."""

from rig.image import MIB
from rig.rig import block

SIZE = 48 * MIB

RANGES = f"""
tell before
hear go

/tools/blkdiscard -o {8 * MIB} -l {8 * MIB} /dev/vda
tell discarded
hear go

/tools/blkdiscard -z -o {24 * MIB} -l {4 * MIB} /dev/vda
is zeroed "$(hash /dev/vda 4 24)" \\
    "$(dd if=/dev/zero bs=1M count=4 2>/dev/null | sha256sum | cut -d ' ' -f 1)"
is kept "$(hash /dev/vda 4 28)" "$(hash /dev/vda 4 32)"
tell zeroed
hear go

mkfs.ext4 -q -F -E nodiscard /dev/vda
mount -t ext4 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/file bs=1M count=16 2>/dev/null
sync
tell filled
hear go

rm /mnt/file
sync
/tools/fstrim -v /mnt
tell trimmed
umount /mnt
"""


def run(rig):
    image = rig.image(size=SIZE, fill=0x5a)
    vub = rig.vub(block(image))
    guest = rig.guest(RANGES, [rig.disk(vub)])

    guest.wait_told("before")
    full = image.allocated()
    assert full >= SIZE, full
    guest.say("go")

    guest.wait_told("discarded")
    after = image.allocated()
    rig.note(f"allocated: {full >> 10} KiB, discarded: {after >> 10} KiB")
    assert full - after >= 8 * MIB, (full, after)
    assert image.read(8 * MIB - 512, 512) == b"\x5a" * 512
    assert image.read(16 * MIB, 512) == b"\x5a" * 512
    guest.say("go")

    guest.wait_told("zeroed")
    assert image.read(24 * MIB, 4 * MIB) == bytes(4 * MIB)
    assert image.read(24 * MIB - 512, 512) == b"\x5a" * 512
    assert image.read(28 * MIB, 512) == b"\x5a" * 512
    guest.say("go")

    guest.wait_told("filled")
    filled = image.allocated()
    guest.say("go")

    guest.wait_told("trimmed")
    trimmed = image.allocated()
    rig.note(f"filled: {filled >> 10} KiB, trimmed: {trimmed >> 10} KiB")
    assert filled - trimmed >= 16 * MIB, (filled, trimmed)
    guest.wait_success()
