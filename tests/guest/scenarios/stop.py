"""QEMU's stop and cont under verified load: stop drains the rings, the disk
is silent while the guest stands, and nothing is lost when it goes on. With
`scsi` the disk is a unit of a SCSI host."""

from rig import load, units
from rig.image import Writes
from rig.rig import block

ROUNDS = 6


def run(rig):
    image = rig.image()
    packed = {"packed": "on"} if rig.variant == "packed" else {}
    if rig.variant == "scsi":
        vub = rig.vub(units.controller(units.file(0, 0, image)))
        guest = rig.guest(load.until_enough(before=units.ATTACHED,
                                            disk="/dev/$(disk 0 0)"),
                          [rig.scsi(vub, queues=2)], kit="scsi", cpus=2)
        units.boot(guest, 1)
    else:
        vub = rig.vub(block(image, queues=2))
        guest = rig.guest(load.until_enough(),
                          [rig.disk(vub, queues=2, **packed)], kit="fio",
                          cpus=2)
    guest.wait_told("running")
    writes = Writes(rig.loop, image)
    for _ in range(ROUNDS):
        writes.wait(20)
        guest.qmp("stop")
        stopped = image.stamp()
        assert guest.qmp("query-status")["status"] == "paused"
        guest.qmp("query-block")  # time for a late write to show
        assert image.stamp() == stopped
        guest.qmp("cont")
    writes.wait(20)
    writes.close()
    guest.say("enough")
    rig.note(f"verified passes: {guest.wait_told('passes')}")
    guest.wait_success()
