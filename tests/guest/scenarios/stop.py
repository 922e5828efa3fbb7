"""QEMU's stop and cont under verified load: stop drains the rings, the disk
is silent while the guest stands, and nothing is lost when it goes on."""

from rig import load
from rig.image import Writes
from rig.rig import block

ROUNDS = 6


def run(rig):
    image = rig.image()
    vub = rig.vub(block(image, queues=2))
    packed = {"packed": "on"} if rig.variant == "packed" else {}
    guest = rig.guest(load.until_enough(), [rig.disk(vub, queues=2, **packed)],
                      kit="fio", cpus=2)
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
