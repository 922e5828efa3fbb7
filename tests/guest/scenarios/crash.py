"""vub is killed with SIGKILL under verified load and started again, several
times. QEMU connects again by itself and hands over the in-flight record; the
guest notices a pause, and every block is what it should be.

Every other time vub dies wherever it happens to be; in between it is stopped
(SIGSTOP) at a write until the record has requests in flight, so that there is
something to recover for certain."""

from rig import load
from rig.image import Writes
from rig.inflight import Record
from rig.loop import Failure
from rig.rig import block

ROUNDS = 6
TRIES = 2000


def stop_in_flight(vub, writes, record):
    """How many requests are in flight in the vub that now stands still."""
    for _ in range(TRIES):
        writes.wait(1)
        vub.pause()
        count = record.in_flight()
        if count > 0:
            return count
        vub.resume()
    raise Failure(f"{TRIES} writes, and never one in flight")


def run(rig):
    image = rig.image()
    vub = rig.vub(block(image, queues=2))
    packed = {"packed": "on"} if rig.variant == "packed" else {}
    check = f"is packed \"$(feature vda 34)\" {1 if packed else 0}"
    guest = rig.guest(
        load.until_enough(before=check),
        [rig.disk(vub, queues=2, reconnect=1, **packed)], kit="fio", cpus=2)
    guest.wait_told("running")
    record = Record(guest, 2, packed)
    writes = Writes(rig.loop, image)
    for n in range(ROUNDS):
        writes.wait(20)
        if n % 2:
            stop_in_flight(vub, writes, record)
        vub.kill()
        rig.note(f"vub killed with {record.in_flight()} requests in flight")
        vub.start()
    writes.wait(20)
    writes.close()
    guest.say("enough")
    rig.note(f"verified passes: {guest.wait_told('passes')}")
    guest.wait_success()
