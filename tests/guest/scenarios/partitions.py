"""A partition table is written, read back by the kernel at once and again by
another boot; the partitions are apart from each other."""

from rig.image import MIB
from rig.rig import block

FIRST = """
sfdisk --quiet /dev/vda <<'END'
label: gpt
size=16MiB, name=one
size=8MiB, name=two
name=three
END
is partitions "$(ls -d /sys/block/vda/vda? | wc -l)" 3
is size-of-two "$(cat /sys/block/vda/vda2/size)" 16384
for n in 1 2 3; do
    yes "partition $n" | dd of=/dev/vda$n bs=1M count=4 iflag=fullblock 2>&1
    tell hash "$(hash /dev/vda$n 4)"
done
"""

SECOND = """
sfdisk --verify /dev/vda
is partitions "$(ls -d /sys/block/vda/vda? | wc -l)" 3
for n in 1 2 3; do
    tell hash "$(hash /dev/vda$n 4)"
done
"""


def run(rig):
    image = rig.image()
    vub = rig.vub(block(image))
    seen = []
    for name, script in ("first", FIRST), ("second", SECOND):
        guest = rig.guest(script, [rig.disk(vub)], name=name)
        seen.append([guest.wait_told("hash") for _ in range(3)])
        guest.wait_success()
    assert seen[0] == seen[1], seen
    assert len(set(seen[0])) == 3, seen
    # The first partition starts at 1 MiB; the host finds it there too.
    assert image.hash(MIB, 4 * MIB) == seen[0][0]
