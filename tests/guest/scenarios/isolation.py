"""Processes of isolated devices are killed with SIGKILL while a guest works:
fio verifies its load on a file and on memory; every key arrives once, and one
that is held is held; the screen shows what is painted there. QEMU's connections
are never lost, and the guest notices pauses.

Variants: disks and keys, on split and on packed rings; and a GPU."""

import hashlib
import os
import signal

from rig import load
from rig.image import Writes
from rig.rig import block
from rig.screen import Screen, gpu
from scenarios.gpu import PAINT, boot, need, start_painting

ROUNDS = 5
KEYS = {"KEY_A": 30, "KEY_S": 31}
EV_KEY = 1
SECONDS = 30  # for the next process

BEFORE = """
is packed "$(feature vda 34)" %(packed)d

node() {
    for n in /sys/class/input/event*; do
        [ "$(cat $n/device/name)" != "$1" ] || echo "/dev/input/${n##*/}"
    done
}

exec 3<"$(node "vub keyboard")"
dd bs=24 iflag=fullblock <&3 >/tmp/raw 2>/dev/null &
keys=$!
cat >/tmp/memory.fio <<'END'
[memory]
ioengine=libaio
direct=1
filename=/dev/vdb
rw=randwrite
bs=4k
iodepth=8
size=4m
verify=crc32c
verify_fatal=1
END
(
    while [ ! -e /tmp/enough ]; do
        fio --eta=never --output=/tmp/memory.out /tmp/memory.fio ||
            { cat /tmp/memory.out; exit 1; }
    done
) &
memory=$!
"""

AFTER = """
wait $memory
kill $keys
# Without what the guest repeats by itself while a key is held.
tell events "$(od -An -v -tu2 -w24 /tmp/raw |
    awk '$9 == 1 && $11 < 2 { print $9, $10, $11 }' | md5sum | cut -d ' ' -f 1)"
"""


class Keyboard:
    """Keys that are sent, and what the guest is to have seen of them."""

    def __init__(self, control):
        self._control = control
        self._seen = hashlib.md5()

    def send(self, *events):
        for key, value in events:
            self._control.call("input.send", device="keyboard", events=[
                {"type": "EV_KEY", "code": key, "value": value}])
            self._seen.update(f"{EV_KEY} {KEYS[key]} {value}\n".encode())

    def seen(self):
        return self._seen.hexdigest()


def process_of(control, device):
    status = control.call("status", device=device)
    return status["devices"][0]["process"]


def kill(rig, control, device):
    """Returns when the next one serves."""
    before = process_of(control, device)
    os.kill(before["pid"], signal.SIGKILL)
    rig.loop.wait(
        lambda: process_of(control, device)["restarts"] > before["restarts"],
        SECONDS, f"another process of {device}")


def disks(rig):
    packed = {"packed": "on"} if rig.variant == "packed" else {}
    image = rig.image()
    apart = {"isolation": "process"}
    vub = rig.vub(
        block(image, queues=2, **apart),
        {"id": "ram", "type": "block",
         "store": {"type": "memory", "size": "16M"}, **apart},
        {"id": "keyboard", "type": "input",
         "source": {"type": "virtual", "preset": "keyboard"}, **apart})
    control = rig.control(vub)
    keyboard = Keyboard(control)
    guest = rig.guest(
        load.until_enough(
            before=BEFORE % {"packed": bool(packed)}, after=AFTER).replace("\nwait\n", "\n"),
        [rig.disk(vub, queues=2, **packed), rig.disk(vub, "ram", **packed),
         rig.input(vub, "keyboard", **packed)],
        kit="isolation", cpus=2)
    guest.wait_told("running")
    writes = Writes(rig.loop, image)
    for _ in range(ROUNDS):
        writes.wait(20)
        keyboard.send(("KEY_A", 1))
        for device in "disk", "ram", "keyboard":
            kill(rig, control, device)
        keyboard.send(("KEY_S", 1), ("KEY_A", 0), ("KEY_S", 0))
        rig.note("all processes killed")
    writes.wait(20)
    writes.close()
    guest.say("enough")
    need("events", guest.wait_told("events", 120), keyboard.seen())
    rig.note(f"verified passes: {guest.wait_told('passes', 120)}")
    guest.wait_success()
    control.close()


def screen(rig):
    vub = rig.vub(gpu(scanouts=[{"width": 1280, "height": 800}],
                      isolation="process"))
    control = rig.control(vub)
    guest = boot(rig, vub, PAINT)
    shown = start_painting(guest, 1280, 800)
    guest.say(f"storm 3 {20 * ROUNDS}")
    for _ in range(ROUNDS):
        guest.wait_told("boxes")
        kill(rig, control, "screen")
    guest.wait_told("done")
    shown = shown.storm(3, 20 * ROUNDS)
    seen = Screen(rig, control, guest)
    seen.need(shown, f"painted by {ROUNDS + 1} processes")
    kill(rig, control, "screen")
    seen.need(shown, "and still there")
    guest.say("end")
    guest.wait_success()
    control.close()


def run(rig):
    if rig.variant == "gpu":
        screen(rig)
    else:
        disks(rig)
