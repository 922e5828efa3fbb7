"""What a guest shows is what is seen: its console and test patterns as stored
in pictures/, what a program paints there to the pixel; by vub's screenshot and
by QEMU's, through a mode change, under a cursor; and the guest knows its screen
by our EDID.

Variants: as a PCI device and as a VGA card; on packed rings; without any
display of QEMU's; stopped and continued while it paints; rebooted; QEMU killed
and another one started on the same vub; and dma-bufs, of a vub in the guest,
whose kernel has udmabuf."""

import os

from rig import picture
from rig.edid import Edid
from rig.loop import Failure
from rig.screen import Screen, gpu
from rig.vnc import Vnc

NAME = "lab screen"
SERIAL = "0815"
WIDTH, HEIGHT = 1280, 800
OTHER = 1024, 768

# Pixels of it depend on nothing but the font.
CONSOLE = r"""
console() {
    printf '\033c\033[?25l\n  %s\n\n' 'A console of Linux, on a screen of vub.'
    for colour in 0 1 2 3 4 5 6 7; do
        printf '  \033[3%dm%s \033[1m%s\033[0m \033[4%dm%s\033[0m \033[7m%s\033[0m\n' \
            $colour 'like this' 'brighter' $colour '        ' ' reversed '
    done
    printf '\n  %s\n' '!"#$%&()*+,-./0123456789:;<=>?@[\]^_`{|}~' \
        'ABCDEFGHIJKLMNOPQRSTUVWXYZ' 'abcdefghijklmnopqrstuvwxyz'
}

console >/dev/tty1
tell console
"""

SEE_SCREEN = """
cd /sys/class/drm/card0-Virtual-1
tell status "$(cat status)"
tell mode "$(head -n 1 modes)"
tell edid "$(od -An -v -tx1 edid | tr -d ' \\n')"
tell packed "$(cut -c 35 /sys/bus/virtio/devices/virtio0/features)"
cd /
"""

# modetest shows its pattern until its input ends.
PATTERNS = """
connector=$(modetest -M virtio_gpu -c | awk '$3 == "connected" { print $1 }')
for size in %dx%d %dx%d; do
    hear pattern
    hear enough | modetest -M virtio_gpu -s $connector:$size
done
""" % (WIDTH, HEIGHT, *OTHER)

PAINT = """
guest_screen
"""


def need(what, found, wanted):
    if found != wanted:
        raise Failure(f"{what} is {found!r}, not {wanted!r}")


def serve(rig, **keys):
    vub = rig.vub(gpu(scanouts=[{"width": WIDTH, "height": HEIGHT,
                                 "name": NAME, "serial": SERIAL}], **keys))
    return vub, rig.control(vub)


def boot(rig, vub, script, name="qemu", extra=(), **device):
    return rig.guest(script, [rig.gpu(vub, **device)], name=name, kit="gpu",
                     cpus=2, extra=extra,
                     programs=[os.path.join(rig.tools, "guest_screen")])


def see_screen(guest, size, packed):
    need("the status", guest.wait_told("status"), "connected")
    need("the first mode", guest.wait_told("mode"), "%dx%d" % size)
    edid = Edid(guest.wait_told("edid"))
    need("the EDID's size", (edid.width, edid.height), size)
    need("the EDID's name", edid.name, NAME)
    need("the EDID's serial", edid.serial, SERIAL)
    need("packed", guest.wait_told("packed"), str(int(packed)))


def command(guest, text):
    guest.say(text)
    guest.wait_told("done")


def start_painting(guest, *size):
    guest.wait_told("screen")
    command(guest, "mode %d %d" % size)
    return picture.painted(*size)


def see_cursor(guest, screen, base):
    """It is over the picture, not in it; and goes over the border."""
    command(guest, "cursor 100 200 5 7")
    screen.need(base.with_cursor(100, 200), "a cursor", cursor=True)
    screen.need(base, "without it")
    x, y = base.width - 20, base.height - 30
    command(guest, f"move {x} {y}")
    screen.need(base.with_cursor(x, y), "moved", cursor=True)
    command(guest, "hide")
    screen.need(base, "hidden", cursor=True)


def look_at_all(rig, kind="gpu-pci", **props):
    vub, control = serve(rig)
    guest = boot(rig, vub, SEE_SCREEN + CONSOLE + PATTERNS +
                 "hear paint" + PAINT, kind=kind, **props)
    screen = Screen(rig, control, guest)
    see_screen(guest, (WIDTH, HEIGHT), "packed" in props)
    guest.wait_told("console")
    screen.need(picture.stored("console"), "the console")
    guest.say("pattern")
    screen.need(picture.stored("smpte"), "a pattern")
    guest.say("enough")
    guest.say("pattern")
    screen.need(picture.stored("smpte-small"), "a pattern in another mode")
    guest.say("enough")
    screen.need(picture.stored("console"), "the console again")
    guest.say("paint")
    shown = start_painting(guest, WIDTH, HEIGHT)
    screen.need(shown, "painted")
    command(guest, "box 10 20 333 44 12ab34")
    shown = shown.box(10, 20, 333, 44, 0x12ab34)
    screen.need(shown, "a part of it")
    see_cursor(guest, screen, shown)
    shown = start_storm(guest, shown, 5, 100)
    guest.wait_told("done")
    screen.need(shown, "painted over and over")
    command(guest, "mode %d %d" % OTHER)
    screen.need(picture.painted(*OTHER), "in another mode")
    guest.say("end")
    guest.wait_success()
    control.close()


def start_storm(guest, shown, seed, boxes):
    """What it will come to. Each 20 boxes are told."""
    guest.say(f"storm {seed} {boxes}")
    for _ in range(boxes // 20):
        guest.wait_told("boxes")
    return shown.storm(seed, boxes)


def pci(rig):
    look_at_all(rig)


def vga(rig):
    look_at_all(rig, kind="vga")


def packed(rig):
    look_at_all(rig, packed="on")


def decided(rig):
    """The front-end's size wins, and the log says so."""
    vub, control = serve(rig)
    guest = boot(rig, vub, SEE_SCREEN, xres=OTHER[0], yres=OTHER[1])
    see_screen(guest, OTHER, False)
    if not vub.process.output.seen("%dx%d pixels, as the front-end's" % OTHER):
        raise Failure("the log does not say whose size it is")
    guest.wait_success()
    control.close()


def stop(rig):
    vub, control = serve(rig)
    guest = boot(rig, vub, PAINT)
    screen = Screen(rig, control, guest)
    shown = start_painting(guest, WIDTH, HEIGHT)
    screen.need(shown, "painted")
    rounds = 6
    guest.say(f"storm 3 {20 * rounds}")
    for _ in range(rounds):
        guest.wait_told("boxes")
        guest.qmp("stop")
        screen.shot()  # what it shows goes on being shown
        guest.qmp("cont")
    guest.wait_told("done")
    shown = shown.storm(3, 20 * rounds)
    screen.need(shown, f"painted, and stopped {rounds} times")
    guest.qmp("stop")
    screen.need(shown, "while the guest stands")
    guest.qmp("cont")
    command(guest, "box 1 2 30 40 ffffff")
    screen.need(shown.box(1, 2, 30, 40, 0xffffff), "a part of it")
    guest.say("end")
    guest.wait_success()
    control.close()


def reboot(rig):
    """Three boots on one connection: none shows what the last one did."""
    vub, control = serve(rig)
    guest = boot(rig, vub, CONSOLE + "hear paint" + PAINT + """
read -r what
[ "$what" = off ] || { reboot -f; hear nothing; }
""")
    screen = Screen(rig, control, guest)
    for n in range(3):
        guest.wait_told("console")
        screen.need(picture.stored("console"), f"boot {n + 1}: the console")
        guest.say("paint")
        start_painting(guest, WIDTH, HEIGHT)
        command(guest, "cursor 3 4 0 0")
        screen.need(picture.painted(WIDTH, HEIGHT).with_cursor(3, 4),
                    "painted, with a cursor", cursor=True)
        guest.say("end")
        guest.say("off" if n == 2 else "again")
    guest.wait_success()
    control.close()


def killed(rig):
    vub, control = serve(rig)
    for n, name in enumerate(("first", "second", "third")):
        guest = boot(rig, vub, PAINT, name=name)
        screen = Screen(rig, control, guest)
        shown = start_painting(guest, WIDTH, HEIGHT)
        screen.need(shown, f"painted by the {name} guest")
        guest.say("storm 1 1000000")
        guest.wait_told("boxes")
        if name != "third":
            guest.process.kill()
    guest.process.kill()
    control.close()


def headless(rig):
    """A test rig without a display: pictures are waited for, and the next boot
    has the size that was asked for. QEMU 7.2 tells a running guest nothing."""
    vub, control = serve(rig, display="headless")
    guest = boot(rig, vub, SEE_SCREEN + CONSOLE + """
hear paint
guest_screen
read -r what
[ "$what" = off ] || { reboot -f; hear nothing; }
""")
    screen = Screen(rig, control)
    see_screen(guest, (WIDTH, HEIGHT), False)
    guest.wait_told("console")
    screen.need(picture.stored("console"), "the console")
    screen.wait(settled_ms=100)
    # QEMU 7.2 says so once, and then does nothing but look at it.
    if guest.process.output.seen("failed to read msg header"):
        raise Failure("QEMU spins: its display's socket has been closed")
    old = screen.call("hash")["hash"]
    screen.call("resize", width=OTHER[0], height=OTHER[1])
    call = control.send("gpu.wait", device="screen", changed=True,
                        **{"from": old})
    guest.say("paint")
    shown = start_painting(guest, WIDTH, HEIGHT)
    control.result(call)
    screen.need(shown, "painted")
    see_cursor(guest, screen, shown)
    painted = screen.call("hash", cursor=False)
    need("the hash's size", (painted["width"], painted["height"]),
         (WIDTH, HEIGHT))
    command(guest, "box 0 0 9 9 1")
    screen.need(shown.box(0, 0, 9, 9, 1), "a part of it")
    command(guest, "mode %d %d" % (WIDTH, HEIGHT))
    screen.wait(hash=painted["hash"], cursor=False)
    if shown.difference(screen.shot(format="ppm")):
        raise Failure("the PPM is another picture than the PNG")
    guest.say("end")
    guest.say("again")
    see_screen(guest, OTHER, False)
    guest.wait_told("console")
    guest.say("paint")
    screen.need(start_painting(guest, *OTHER), "painted in the new size")
    guest.say("end")
    guest.say("off")
    guest.wait_success()
    control.close()


def window(rig):
    """Somebody looks through VNC, and makes the window larger: the guest is
    told, asks, and gets what the display would like."""
    vub, control = serve(rig)
    path = rig.path("vnc.sock")
    guest = boot(rig, vub, PAINT, extra=["-vnc", "unix:" + path])
    screen = Screen(rig, control, guest)
    shown = start_painting(guest, WIDTH, HEIGHT)
    screen.need(shown, "painted")
    vnc = Vnc(rig.loop, path)
    if shown.difference(vnc.picture()):
        raise Failure(f"by VNC: {shown.difference(vnc.picture())}")
    vnc.resize(*OTHER)
    command(guest, "hotplug")
    guest.say("preferred")
    need("the preferred mode", guest.wait_told("preferred"), "%d %d" % OTHER)
    guest.wait_told("done")
    command(guest, "mode %d %d" % OTHER)
    screen.need(picture.painted(*OTHER), "painted in the new size")
    vnc.close()
    guest.say("end")
    guest.wait_success()
    control.close()


# The others of these tests need no guest.
UDMABUF = """
export VUB=/tools/vub VUB_DUMPABLE=1 ASAN_OPTIONS=detect_leaks=0
export VUB_TEST_TIMEOUT_MS=40000
[ -c /dev/udmabuf ]
behave_gpu_display 'dmabufs*' 2>&1
"""


def udmabuf(rig):
    """The behaviour tests of dma-bufs, where there is udmabuf."""
    guest = rig.guest(UDMABUF, [], kit="udmabuf", cpus=2, programs=[
        rig.binary, os.path.join(rig.tools, "..", "behave",
                                 "behave_gpu_display")])
    guest.wait_success()
    for text in "SKIPPED", "Running 0 test":
        if guest.script.seen(text):
            raise Failure("left out: " + guest.script.seen(text))


VARIANTS = {f.__name__: f for f in (pci, vga, packed, decided, window, stop,
                                    reboot, killed, headless, udmabuf)}


def run(rig):
    VARIANTS[rig.variant](rig)
