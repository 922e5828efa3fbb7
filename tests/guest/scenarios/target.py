"""An iSCSI target is killed under verified load and started again, several
times: the guest notices a pause, and every block is what it should be. Then
one of its units grows."""

import os

from rig import load, units
from rig.image import MIB, Writes

ROUNDS = 5

GROWN = """
tell verified
hear grown
echo 1 >"$(unit_dir 1 0)/rescan"
is sectors "$(cat /sys/block/$(disk 1 0)/size)" 196608
dd if=/dev/urandom of=/dev/$(disk 1 0) bs=1M seek=88 count=8 conv=fsync \\
    2>/dev/null
tell hash "$(hash /dev/$(disk 1 0) 8 88)"
"""


def run(rig):
    images = [rig.image("a.img"), rig.image("b.img")]
    target = rig.target(*images, chap=units.CHAP)
    vub = rig.vub(units.controller(units.iscsi(rig, 1, 0, target, 1),
                                   units.iscsi(rig, 1, 3, target, 2)))
    control = rig.control(vub)
    guest = rig.guest(
        load.until_enough(before=units.ATTACHED, after=GROWN,
                          disk="/dev/$(disk 1 0)"),
        [rig.scsi(vub, queues=2)], kit="scsi", cpus=2)
    units.boot(guest, 2)
    guest.wait_told("running")
    writes = Writes(rig.loop, images[0])
    for _ in range(ROUNDS):
        writes.wait(200)
        target.kill()
        rig.note("target killed")
        target.start()
    writes.wait(20)
    writes.close()
    guest.say("enough")
    guest.wait_told("verified")

    os.truncate(images[0].path, 96 * MIB)
    target.grow(1)
    guest.say("grown")
    assert guest.wait_told("hash") == images[0].hash(88 * MIB, 8 * MIB)
    rig.note(f"verified passes: {guest.wait_told('passes')}")
    [san] = control.call("status", device="san")["devices"]
    losses = san["scsi"]["luns"][0]["iscsi"]["losses"]
    assert losses == ROUNDS, losses
    control.close()
    guest.wait_success()
