"""A disk grows and shrinks under a running guest: the file is truncated, vub
is told by SIGHUP, the guest sees the new size and can use it."""

import os

from rig.image import MIB
from rig.rig import block

SCRIPT = """
is sectors "$(cat /sys/block/vda/size)" 32768
mkfs.ext4 -q -F /dev/vda
tell ready
hear grown
is sectors "$(cat /sys/block/vda/size)" 65536
dd if=/dev/urandom of=/dev/vda bs=1M seek=24 count=8 conv=fsync 2>/dev/null
tell hash "$(hash /dev/vda 8 24)"
hear shrunk
is sectors "$(cat /sys/block/vda/size)" 49152
is bytes-behind "$(dd if=/dev/vda bs=1M skip=24 count=1 | wc -c)" 0
fails dd if=/dev/zero of=/dev/vda bs=1M seek=24 count=1
"""


def run(rig):
    image = rig.image(size=16 * MIB)
    vub = rig.vub(block(image))
    guest = rig.guest(SCRIPT, [rig.disk(vub)])
    guest.wait_told("ready")

    os.truncate(image.path, 32 * MIB)
    vub.reload_sizes()
    # The driver's message is the event: it comes once the size is in place.
    guest.wait_console("new size: 65536 512-byte logical blocks")
    guest.say("grown")
    assert guest.wait_told("hash") == image.hash(24 * MIB, 8 * MIB)

    os.truncate(image.path, 24 * MIB)
    vub.reload_sizes()
    guest.wait_console("new size: 49152 512-byte logical blocks")
    guest.say("shrunk")
    guest.wait_success()
