"""A file system: made, filled, unmounted, checked, and read again by another
boot with the checksums that were taken before it was unmounted."""

from rig.rig import block

FIRST = """
mkfs.ext4 -q -F /dev/vda
mount -t ext4 /dev/vda /mnt
mkdir /mnt/small
for n in $(seq 200); do
    echo "file $n" >/mnt/small/$n
done
dd if=/dev/urandom of=/mnt/large bs=1M count=12 2>/dev/null
cp /tools/mkfs.ext4 /mnt/program
rm /mnt/small/1??
cd /mnt
find . -type f | sort | xargs sha256sum >/tmp/sums
cp /tmp/sums /mnt/sums
cd /
umount /mnt
e2fsck -fn /dev/vda
tell sums "$(sha256sum </tmp/sums)"
"""

SECOND = """
mount -t ext4 -o ro /dev/vda /mnt
cd /mnt
sha256sum -c sums >/tmp/checked || { grep -v OK /tmp/checked; exit 1; }
is files "$(wc -l </tmp/checked)" 102
tell sums "$(sha256sum <sums)"
cd /
umount /mnt
"""


def run(rig):
    vub = rig.vub(block(rig.image(size=48 << 20)))
    seen = []
    for name, script in ("first", FIRST), ("second", SECOND):
        guest = rig.guest(script, [rig.disk(vub)], name=name)
        seen.append(guest.wait_told("sums"))
        guest.wait_success()
    assert seen[0] == seen[1], seen
