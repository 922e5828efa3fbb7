"""One vub takes over from another, several times, while a guest works: fio
verifies its load on a file, on memory and on a SCSI disk; every key arrives
once, and one that is held is held; and the screen shows what is painted there,
in vub's screenshot and in QEMU's. No connection of QEMU's is ever lost.

Variants: on split and on packed rings; and a GPU."""

import hashlib

from rig.image import Writes
from rig.rig import block
from rig.screen import Screen, gpu
from scenarios.gpu import PAINT, boot, need, start_painting

ROUNDS = 6
KEYS = {"KEY_A": 30, "KEY_S": 31, "KEY_D": 32}
EV_KEY = 1

DISKS = """
is packed "$(feature vda 34)" %(packed)d

node() {
    for n in /sys/class/input/event*; do
        [ "$(cat $n/device/name)" != "$1" ] || echo "/dev/input/${n##*/}"
    done
}

exec 3<"$(node "vub keyboard")"
dd bs=24 <&3 >/tmp/raw 2>/dev/null &
keys=$!
for n in /sys/block/sd*; do unit=/dev/${n##*/}; done

cat >/tmp/jobs.fio <<'END'
[global]
ioengine=libaio
direct=1
verify_fatal=1
verify_dump=0
group_reporting
rw=randwrite
verify=crc32c
size=4m

[file]
filename=/dev/vda
bsrange=4k-16k
blockalign=4k
iodepth=16

[memory]
filename=/dev/vdb
bs=4k
iodepth=8

[unit]
filename=UNIT
bs=4k
iodepth=8
END
sed -i "s:UNIT:$unit:" /tmp/jobs.fio
tell running
( hear enough && touch /tmp/enough ) </dev/ttyS1 &
passes=0
while [ ! -e /tmp/enough ] || [ $passes = 0 ]; do
    fio --eta=never --output=/tmp/fio.out /tmp/jobs.fio || { cat /tmp/fio.out; exit 1; }
    passes=$((passes + 1))
done
tell passes $passes
kill $keys
wait $keys || true
# Without what the guest's own repeat adds to a key that is held for long.
tell events "$(od -An -v -tu2 -w24 /tmp/raw |
    awk '$9 == 1 && $11 < 2 { print $9, $10, $11 }' | md5sum | cut -d ' ' -f 1)"
wait
"""


class Keyboard:
    """Keys that are sent, and what the guest is to have seen of them."""

    def __init__(self, rig, vub):
        self._rig = rig
        self._vub = vub
        self._seen = hashlib.md5()

    def send(self, *events):
        control = self._rig.control(self._vub)  # of whoever is there now
        for key, value in events:
            control.call("input.send", device="keyboard", events=[
                {"type": "EV_KEY", "code": key, "value": value}])
            self._seen.update(f"{EV_KEY} {KEYS[key]} {value}\n".encode())
        control.close()

    def seen(self):
        return self._seen.hexdigest()


def pause_of(rig, vub):
    control = rig.control(vub)
    origin = control.call("status")["taken_over"]
    control.close()
    return origin["front_ends"], origin["pause_ms"]


def disks(rig):
    packed = {"packed": "on"} if rig.variant == "packed" else {}
    image = rig.image()
    vub = rig.vub(
        block(image, queues=2),
        {"id": "ram", "type": "block",
         "store": {"type": "memory", "size": "16M"}},
        {"id": "san", "type": "scsi",
         "luns": [{"store": {"type": "memory", "size": "16M"}}]},
        {"id": "keyboard", "type": "input",
         "source": {"type": "virtual", "preset": "keyboard"}})
    keyboard = Keyboard(rig, vub)
    guest = rig.guest(
        DISKS % {"packed": bool(packed)},
        [rig.disk(vub, queues=2, **packed), rig.disk(vub, "ram", **packed),
         rig.scsi(vub, **packed), rig.input(vub, "keyboard", **packed)],
        kit="takeover", cpus=2)
    guest.wait_told("running")
    writes = Writes(rig.loop, image)
    for n in range(ROUNDS):
        writes.wait(20)
        keyboard.send(("KEY_A", 1))
        vub.hand_over()
        keyboard.send(("KEY_S", 1), ("KEY_A", 0), ("KEY_S", 0))
        front_ends, ms = pause_of(rig, vub)
        need("front-ends that were taken over", front_ends, 4)
        rig.note(f"taken over, within {ms} ms")
    writes.wait(20)
    writes.close()
    guest.say("enough")
    rig.note(f"verified passes: {guest.wait_told('passes', 120)}")
    need("events", guest.wait_told("events"), keyboard.seen())
    guest.wait_success()


def screen(rig):
    vub = rig.vub(gpu(scanouts=[{"width": 1280, "height": 800}]))
    guest = boot(rig, vub, PAINT)
    shown = start_painting(guest, 1280, 800)
    guest.say(f"storm 3 {20 * ROUNDS}")
    for n in range(ROUNDS):
        guest.wait_told("boxes")
        vub.hand_over()
    guest.wait_told("done")
    shown = shown.storm(3, 20 * ROUNDS)
    control = rig.control(vub)
    Screen(rig, control, guest).need(shown, f"painted by {ROUNDS + 1} vubs")
    control.close()
    vub.hand_over()
    control = rig.control(vub)
    seen = Screen(rig, control, guest)
    seen.need(shown, "and still there")
    guest.say("box 10 20 333 44 12ab34")
    guest.wait_told("done")
    seen.need(shown.box(10, 20, 333, 44, 0x12ab34), "a part of it")
    guest.say("end")
    guest.wait_success()
    control.close()


def run(rig):
    if rig.variant == "gpu":
        screen(rig)
    else:
        disks(rig)
