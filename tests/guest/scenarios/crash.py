"""vub is killed with SIGKILL under verified load and started again, several
times. QEMU connects again by itself and hands over the in-flight record; the
guest notices a pause, and every block is what it should be."""

from rig import load
from rig.image import Writes
from rig.rig import block

ROUNDS = 5


def run(rig):
    image = rig.image()
    vub = rig.vub(block(image, queues=2))
    packed = {"packed": "on"} if rig.variant == "packed" else {}
    check = f"is packed \"$(feature vda 34)\" {1 if packed else 0}"
    guest = rig.guest(
        load.until_enough(before=check),
        [rig.disk(vub, queues=2, reconnect=1, **packed)], fio=True, cpus=2)
    guest.wait_told("running")
    writes = Writes(rig.loop, image)
    recovered = 0
    for n in range(ROUNDS):
        writes.wait(20 + 15 * n)
        vub.kill()
        vub.start()
        rig.note("vub killed and started again")
        writes.wait(20)
        if vub.process.output.seen("with requests to recover"):
            recovered += 1
    # Between two requests the record is empty; not every time, under load.
    assert recovered > 0
    rig.note(f"{recovered} times of {ROUNDS} with requests to recover")
    writes.close()
    guest.say("enough")
    rig.note(f"verified passes: {guest.wait_told('passes')}")
    guest.wait_success()
