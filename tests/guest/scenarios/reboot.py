"""The guest reboots, twice, in one QEMU: firmware and kernel take the disk
anew on the same connection, and find what was written before. With `scsi` the
disk is a unit of a SCSI host."""

from rig import units
from rig.rig import block

SCRIPT = """
boots=$(dd if=/dev/vda bs=4k count=1 2>/dev/null | tr -d '\\0')
boots=$((boots + 1))
echo $boots | dd of=/dev/vda bs=4k conv=sync,fsync 2>/dev/null
dd if=/dev/urandom of=/dev/vda bs=1M seek=$boots count=1 conv=fsync 2>/dev/null
tell boot $boots
tell hash "$(hash /dev/vda)"
[ $boots = 3 ] || { reboot -f; hear nothing; }
"""


def run(rig):
    image = rig.image(size=8 << 20)
    if rig.variant == "scsi":
        vub = rig.vub(units.controller(units.file(0, 0, image)))
        script = units.ATTACHED + SCRIPT.replace("/dev/vda",
                                                 "/dev/$(disk 0 0)")
        guest = rig.guest(script, [rig.scsi(vub, queues=2)], kit="demo",
                          cpus=2)
    else:
        vub = rig.vub(block(image))
        guest = rig.guest(SCRIPT, [rig.disk(vub)])
    for boot in ("1", "2", "3"):
        if rig.variant == "scsi":
            units.boot(guest, int(boot))
        assert guest.wait_told("boot") == boot
        assert guest.wait_told("hash") == image.hash()
        rig.note(f"boot {boot}")
    guest.wait_success()
