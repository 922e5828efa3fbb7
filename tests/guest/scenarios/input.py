"""What the guest knows of input devices is what the config says, and what is
sent arrives: names, ids, axes, every event in its place, 10,000 frames with
none lost; LEDs that the guest sets come back. On split rings, and on packed
ones, which QEMU 7.2 has if its device says packed=on, and not otherwise."""

import hashlib

from rig.loop import Failure

FRAMES = 10000
TURN = 25  # frames; the kernel has room for 32 before somebody reads them
LED_EVENTS = 2
EVENT_BYTES = 24  # of struct input_event
EV_SYN, EV_KEY = 0, 1
KEYS = {"KEY_A": 30, "KEY_S": 31, "KEY_D": 32, "KEY_F": 33, "KEY_G": 34}

SCRIPT = """
node() {
    for n in /sys/class/input/event*; do
        [ "$(cat $n/device/name)" != "$1" ] || echo "/dev/input/${n##*/}"
    done
}

# Until the test has seen enough of it.
watch() {
    tell watching "$1"
    evtest "$(node "$1")" &
    hear enough
    kill $!
    wait $! || true
}

# feature NODE BIT: 0 or 1, as negotiated.
feature() {
    cut -c "$(($2 + 1))" "/sys/class/input/${1##*/}/device/device/features"
}

for name in "vub keyboard" "vub mouse" "lab tablet" "recorded keys" \\
        "recorded pointer"; do
    at=$(node "$name")
    tell device "$name" "$at"
    is packed "$(feature "$at" 34)" %(packed)d
    is event-index "$(feature "$at" 29)" 1
done
watch "lab tablet"
watch "vub mouse"
watch "recorded keys"
watch "recorded pointer"
watch "vub keyboard"

for led in /sys/class/leds/input*::capslock/brightness; do :; done
echo 1 >"$led"
hear lit
echo 0 >"$led"
hear dark

exec 3<"$(node "vub keyboard")"
tell reading
bytes=%(first)d # the kernel has kept the LEDs until the next SYN_REPORT
for _ in $(seq %(turns)d); do
    dd bs=$bytes count=1 iflag=fullblock <&3 2>/dev/null
    tell took >/dev/ttyS1
    bytes=%(turn)d
done >/tmp/raw
tell events "$(od -An -v -tu2 -w24 /tmp/raw |
    awk '$9 <= 1 { print $9, $10, $11 }' | md5sum | cut -d ' ' -f 1)"
"""

RECORDING = """# EVEMU 1.3
N: recorded keys
I: 0003 1234 5678 0111
P: 00 00 00 00 00 00 00 00
B: 00 0b 00 00 00 00 00 00 00
B: 01 00 00 01 40 00 00 00 00
E: 0.000001 0001 0010 0001
E: 0.000001 0000 0000 0000
E: 0.020001 0001 0010 0000
E: 0.020001 0000 0000 0000
E: 0.040001 0001 001e 0001
E: 0.040001 0000 0000 0000
E: 0.060001 0001 001e 0000
E: 0.060001 0000 0000 0000
"""

# A mouse that also points at places, as some virtual machines have it.
POINTER = """# EVEMU 1.3
N: recorded pointer
I: 0003 1234 5679 0111
P: 00 00 00 00 00 00 00 00
B: 00 0f 00 00 00 00 00 00 00
B: 01 00 00 00 00 00 00 00 00
B: 01 00 00 00 00 00 00 00 00
B: 01 00 00 00 00 00 00 00 00
B: 01 00 00 00 00 00 00 00 00
B: 01 00 00 01 00 00 00 00 00
B: 02 03 00 00 00 00 00 00 00
B: 03 03 00 00 00 00 00 00 00
A: 00 0 4095 0 0 0
A: 01 0 4095 0 0 0
E: 0.000001 0002 0000 0005
E: 0.000001 0002 0001 -003
E: 0.000001 0000 0000 0000
E: 0.020001 0003 0000 1234
E: 0.020001 0003 0001 0567
E: 0.020001 0001 0110 0001
E: 0.020001 0000 0000 0000
E: 0.040001 0001 0110 0000
E: 0.040001 0000 0000 0000
"""


class Watch:
    """What evtest prints of one device."""

    def __init__(self, rig, guest, name, *first):
        """first: what is to be seen of the device's description."""
        self._rig = rig
        self._guest = guest
        told = guest.wait_told("watching")
        if told != name:
            raise Failure(f"the guest watches {told}, not {name}")
        self._start = guest.script.lines.index("== watching " + name)
        self.need(*first, "Testing ...")

    def need(self, *texts):
        """Lines with these texts, in this order."""
        for text in texts:
            self._rig.loop.wait(
                lambda: self._guest.script.seen(text, self._start), 30,
                f"evtest to print \"{text}\"")
            lines = self._guest.script.lines
            self._start = 1 + next(
                i for i in range(self._start, len(lines)) if text in lines[i])

    def end(self):
        self._guest.say("enough")


def see_tablet(rig, guest, control):
    watch = Watch(rig, guest, "lab tablet",
                  "Input device ID: bus 0x6 vendor 0xabcd product 0x1234",
                  "Input device name: \"lab tablet\"", "(ABS_X)",
                  "Min        0", "Max    32767", "(ABS_Y)")
    control.call("input.send", device="tablet", events=[
        {"type": "EV_ABS", "code": "ABS_X", "value": 16384},
        {"type": "EV_ABS", "code": "ABS_Y", "value": 123},
        {"type": "EV_KEY", "code": "BTN_LEFT", "value": 1}])
    watch.need("(ABS_X), value 16384", "(ABS_Y), value 123",
               "(BTN_LEFT), value 1", "SYN_REPORT")
    control.call("input.click", device="tablet", x=1023, y=0, width=1024,
                 height=768, button="right", count=2)
    watch.need("(ABS_X), value 32752", "(ABS_Y), value 21", "SYN_REPORT",
               *(line for _ in range(2) for line in (
                   "(BTN_RIGHT), value 1", "SYN_REPORT",
                   "(BTN_RIGHT), value 0", "SYN_REPORT")))
    watch.end()


def see_mouse(rig, guest, control):
    watch = Watch(rig, guest, "vub mouse")
    control.call("input.send", device="mouse", events=[
        {"type": "EV_REL", "code": "REL_X", "value": -5},
        {"type": "EV_REL", "code": "REL_Y", "value": 7}])
    control.call("input.send", device="mouse", events=[
        {"type": "EV_REL", "code": "REL_WHEEL", "value": -1}])
    watch.need("(REL_X), value -5", "(REL_Y), value 7", "SYN_REPORT",
               "(REL_WHEEL), value -1", "SYN_REPORT")
    watch.end()


def see_recording(rig, guest, control):
    watch = Watch(rig, guest, "recorded keys")
    control.call("input.replay", device="recorded", action="start")
    for key in "KEY_Q", "KEY_A":
        watch.need(f"({key}), value 1", "SYN_REPORT", f"({key}), value 0",
                   "SYN_REPORT")
    watch.end()


def see_pointer(rig, guest, control):
    watch = Watch(rig, guest, "recorded pointer", "(ABS_X)", "Max     4095")
    control.call("input.replay", device="pointer", action="start")
    watch.need("(REL_X), value 5", "(REL_Y), value -3", "SYN_REPORT",
               "(ABS_X), value 1234", "(ABS_Y), value 567",
               "(BTN_LEFT), value 1", "SYN_REPORT", "(BTN_LEFT), value 0")
    watch.end()


def see_typing(rig, guest, control):
    watch = Watch(rig, guest, "vub keyboard")
    control.call("input.type", device="keyboard", text="Hi!\n")
    watch.need("(KEY_LEFTSHIFT), value 1", "(KEY_H), value 1",
               "(KEY_H), value 0", "(KEY_LEFTSHIFT), value 0",
               "(KEY_I), value 1", "(KEY_I), value 0",
               "(KEY_LEFTSHIFT), value 1", "(KEY_1), value 1",
               "(KEY_ENTER), value 1", "(KEY_ENTER), value 0")
    watch.end()


def wait_led(rig, control, wanted):
    """Asks until it is so: nothing tells of a LED."""
    end = rig.loop.elapsed() + 20
    while True:
        [device] = control.call("status", device="keyboard")["devices"]
        if ("LED_CAPSL" in device["input"]["source"]["leds"]) == wanted:
            return
        if rig.loop.elapsed() > end:
            raise Failure(f"waited in vain for caps lock to be {wanted}")


def send_many(guest, control):
    """Keys down and up; what od and awk print of them."""
    expected = hashlib.md5()
    for first in range(0, FRAMES, TURN):
        calls = []
        for i in range(first, first + TURN):
            key, value = list(KEYS)[i // 2 % len(KEYS)], 1 - i % 2
            expected.update(f"{EV_KEY} {KEYS[key]} {value}\n"
                            f"{EV_SYN} 0 0\n".encode())
            calls.append(control.send("input.send", device="keyboard",
                                      events=[{"type": "EV_KEY", "code": key,
                                               "value": value}]))
        for call in calls:
            control.result(call)
        guest.wait_told("took")
    return expected.hexdigest()


def run(rig):
    recording = rig.path("keys.evemu")
    with open(recording, "w") as f:
        f.write(RECORDING)
    pointer = rig.path("pointer.evemu")
    with open(pointer, "w") as f:
        f.write(POINTER)
    devices = [
        # Without EV_REP: a guest that is slow would repeat keys by itself.
        {"id": "keyboard", "filter": {"mask": "EV_REP"},
         "source": {"type": "virtual", "preset": "keyboard"}},
        {"id": "mouse", "source": {"type": "virtual", "preset": "mouse"}},
        {"id": "tablet", "name": "lab tablet",
         "filter": {"vendor": "0xabcd", "product": "0x1234"},
         "source": {"type": "virtual", "preset": "tablet"}},
        {"id": "recorded", "source": {"type": "replay", "path": recording,
                                      "start": "command"}},
        {"id": "pointer", "source": {"type": "replay", "path": pointer,
                                     "start": "command"}}]
    vub = rig.vub(*({**d, "type": "input"} for d in devices))
    control = rig.control(vub)
    packed = rig.variant == "packed"
    script = SCRIPT % {"first": (2 * TURN + LED_EVENTS) * EVENT_BYTES,
                       "turn": 2 * TURN * EVENT_BYTES,
                       "turns": FRAMES // TURN, "packed": packed}
    props = {"packed": "on"} if packed else {}
    guest = rig.guest(script,
                      [rig.input(vub, d["id"], **props) for d in devices],
                      kit="input", cpus=2)
    for name in ("vub keyboard", "vub mouse", "lab tablet", "recorded keys",
                 "recorded pointer"):
        told = guest.wait_told("device")
        if not told.startswith(name + " /dev/input/event"):
            raise Failure(f"the guest has no {name}: {told}")
    see_tablet(rig, guest, control)
    see_mouse(rig, guest, control)
    see_recording(rig, guest, control)
    see_pointer(rig, guest, control)
    see_typing(rig, guest, control)
    wait_led(rig, control, True)
    guest.say("lit")
    wait_led(rig, control, False)
    guest.say("dark")
    guest.wait_told("reading")
    expected = send_many(guest, control)
    found = guest.wait_told("events", 60)
    if found != expected:
        raise Failure(f"the events were others: {found}, not {expected}")
    rig.note(f"{FRAMES} frames, in order, none lost")
    control.close()
    guest.wait_success()
