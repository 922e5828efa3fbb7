"""SCSI units come and go while a guest is there, and change their sizes: by the
control socket, and by a file that grows. The guest's kernel is told each time,
and works with what it has then."""

import os

from rig import units
from rig.image import MIB

SCRIPT = units.ATTACHED + """
count() {
    ls -d /sys/block/sd? | wc -l
}

# What is written to the unit is what is read.
check() {
    dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null
    dd if=/tmp/data of=/dev/$(disk $1 $2) bs=1M conv=fsync 2>/dev/null
    is "data of $1:$2" "$(hash /dev/$(disk $1 $2) 4)" \\
        "$(sha256sum </tmp/data | cut -d ' ' -f 1)"
}

# The driver tells of a size just before it is in place.
has_sectors() {
    for try in $(seq 1000); do
        [ "$(cat /sys/block/$1/size)" != "$2" ] || break
    done
    is sectors "$(cat /sys/block/$1/size)" "$2"
}

is disks "$(count)" 2
tell ready

hear "2:0 is new"
is disks "$(count)" 3
is sectors "$(cat /sys/block/$(disk 2 0)/size)" 32768
check 2 0
tell hash "$(hash /dev/$(disk 2 0))"

hear "0:5 is new, 2:0 is gone"
is disks "$(count)" 3
check 0 5
fails ls -d /sys/class/scsi_device/*:0:2:0
tell used

hear "0:0 has grown"
has_sectors $(disk 0 0) 65536
dd if=/dev/urandom of=/dev/$(disk 0 0) bs=1M seek=28 count=4 conv=fsync \\
    2>/dev/null
tell used

hear "0:1 has grown"
has_sectors $(disk 0 1) 49152
dd if=/dev/urandom of=/dev/$(disk 0 1) bs=1M seek=16 count=8 conv=fsync \\
    2>/dev/null
tell hash "$(hash /dev/$(disk 0 1) 8 16)"

hear "0:1 has shrunk"
has_sectors $(disk 0 1) 40960
fails dd if=/dev/zero of=/dev/$(disk 0 1) bs=1M seek=20 count=1
check 0 1
"""


def blocks(n):
    """The driver's message, just before the size is in place."""
    return f"] {n} 512-byte logical blocks"


def run(rig):
    image = rig.image(size=16 * MIB)
    vub = rig.vub(units.controller(units.memory(0, 0, "12M"),
                                   units.file(0, 1, image)),
                  sets=[f"/sandbox/paths={os.path.dirname(image.path)}"])
    control = rig.control(vub)
    guest = rig.guest(SCRIPT, [rig.scsi(vub, queues=2)], kit="scsi", cpus=2)
    units.boot(guest, 2)
    guest.wait_told("ready")

    plugged = rig.image("plugged.img", size=16 * MIB)
    control.call("scsi.lun_add", device="san", target=2, lun=0,
                 store={"type": "file", "path": plugged.path})
    units.wait_attached(guest, 3)
    guest.say("2:0 is new")
    assert guest.wait_told("hash") == plugged.hash()
    control.call("scsi.lun_remove", device="san", target=2, lun=0)
    guest.wait_console("Synchronizing SCSI cache")
    # The kernel does one after the other: it is gone when this one is there.
    control.call("scsi.lun_add", device="san", target=0, lun=5,
                 store={"type": "memory", "size": "16M"})
    units.wait_attached(guest, 4)
    guest.say("0:5 is new, 2:0 is gone")
    guest.wait_told("used")
    rig.note("units came and went")

    control.call("scsi.resize", device="san", target=0, lun=0, size="32M")
    guest.wait_console(blocks(65536))
    guest.say("0:0 has grown")
    guest.wait_told("used")
    os.truncate(image.path, 24 * MIB)
    vub.reload_sizes()
    guest.wait_console(blocks(49152))
    guest.say("0:1 has grown")
    assert guest.wait_told("hash") == image.hash(16 * MIB, 8 * MIB)
    os.truncate(image.path, 20 * MIB)
    vub.reload_sizes()
    guest.wait_console(blocks(40960))
    guest.say("0:1 has shrunk")
    control.close()
    guest.wait_success()
