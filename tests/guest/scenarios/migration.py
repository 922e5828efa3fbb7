"""A guest moves to another QEMU under verified load. Each QEMU has a vub of
its own, both on the same file with the image lock on: the first gives it up
when its rings have drained, the second takes it when its rings start."""

from rig import load
from rig.image import Writes
from rig.rig import block

MOVE_SECONDS = 60
BANDWIDTH = 4 << 30  # bytes/s: memory is what we move, not time
DOWNTIME_MS = 2000


def wait_moved(source, loop):
    """Serves everything while QEMU moves the guest: its events arrive on the
    control channel, told apart by their status."""
    def status():
        return source.migration in ("completed", "failed", "cancelled")

    loop.wait(status, MOVE_SECONDS, "the guest to be moved")
    assert source.migration == "completed", \
        source.qmp("query-migrate").get("error-desc", source.migration)


def run(rig):
    image = rig.image()
    packed = {"packed": "on"} if rig.variant == "packed" else {}
    vubs = [rig.vub(block(image, queues=2), name=name)
            for name in ("vub-there", "vub-here")]
    there, here = (rig.disk(vub, queues=2, **packed) for vub in vubs)
    guest = rig.guest(load.until_enough(), [there], name="there", kit="fio",
                      cpus=2)
    guest.wait_told("running")
    address = "unix:" + rig.path("move.sock")
    target = rig.guest(load.until_enough(), [here], name="here", kit="fio",
                       cpus=2, extra=["-incoming", address])

    writes = Writes(rig.loop, image)
    writes.wait(20)
    for qemu in (guest, target):
        qemu.qmp("migrate-set-capabilities",
                 capabilities=[{"capability": "events", "state": True}])
    guest.qmp("migrate-set-parameters", **{"max-bandwidth": BANDWIDTH,
                                           "downtime-limit": DOWNTIME_MS})
    guest.qmp("migrate", uri=address)
    wait_moved(guest, rig.loop)
    rig.note("moved")
    guest.quit()
    writes.wait(20)
    writes.close()
    target.say("enough")
    rig.note(f"verified passes: {target.wait_told('passes')}")
    target.wait_success()
