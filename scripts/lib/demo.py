#!/usr/bin/env python3
"""The demonstration itself: a vub with every device of a config, a guest that
uses them, and a report of what it saw. Called by scripts/demo.

It knows a device by its "type"; TYPES has what each is shown with. The images
that the config names are not touched: each `file` store gets a new one in a
directory of this run. It stands on the rig of the guest tests."""

import argparse
import json
import os
import shlex
import signal
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "guest"))

from rig import kernel, qemu, units  # noqa: E402
from rig.edid import Edid  # noqa: E402
from rig.image import MIB, Image  # noqa: E402
from rig.loop import Failure  # noqa: E402
from rig.qemu import Disk, accelerator  # noqa: E402
from rig.rig import Rig, run  # noqa: E402
from rig.screen import Screen  # noqa: E402

IMAGE_SIZE = 64 * MIB
CHECKED = 8  # MiB written to each disk and read back
FOR_EVER = 1 << 20  # seconds


class Stage:
    """What all parts have: the rig, new images of plain `file` stores by the
    ids of their devices, and where a picture is left."""

    def __init__(self, rig, images, picture):
        self.rig = rig
        self.images = images
        self.picture = picture


class Block:
    """A disk: the Nth in the guest is the Nth on QEMU's command line."""

    count = 0

    def __init__(self, stage, conf):
        self.conf = conf
        self.id = conf["id"]
        self.image = stage.images.get(self.id)
        self.node = "/dev/vd" + chr(ord("a") + Block.count)
        Block.count += 1

    def front_end(self, vub):
        return Disk(vub.socket(self.id), queues=self.conf.get("queues", 1))

    def script(self):
        """Tells size, serial, whether it is read-only, and two checksums:
        of what was written and of what was read back."""
        disk = os.path.basename(self.node)
        return f"""
cd /sys/block/{disk}
tell sectors "$(cat size)"
tell serial "$(cat serial)"
tell queues "$(ls mq | wc -l)"
tell read-only "$(cat ro)"
[ "$(cat ro)" = 1 ] || {{
    dd if=/dev/urandom of=/tmp/data bs=1M count={CHECKED} 2>/dev/null
    tell wrote "$(sha256sum </tmp/data)"
    dd if=/tmp/data of={self.node} bs=1M conv=fsync 2>/dev/null
}}
tell read "$(hash {self.node} {CHECKED})"
"""

    def report(self, guest, _control):
        size = int(guest.wait_told("sectors")) * 512
        serial = guest.wait_told("serial") or "(none)"
        queues = guest.wait_told("queues")
        read_only = guest.wait_told("read-only") == "1"
        print(f"  {self.id}: {self.node}, {size // MIB} MiB, "
              f"serial {serial}, queues {queues}"
              f"{', read-only' if read_only else ''}")
        wrote = None if read_only else guest.wait_told("wrote").split()[0]
        read = guest.wait_told("read")
        if wrote is None:
            print(f"      read {CHECKED} MiB, sha256 {read[:16]}...")
        elif wrote == read:
            print(f"      wrote {CHECKED} MiB and read them back, "
                  f"sha256 {read[:16]}...: the same")
        else:
            raise Failure(f"{self.id}: wrote {wrote}, read {read}")
        if self.image:
            there = self.image.hash(0, CHECKED * MIB)
            if there != read:
                raise Failure(f"{self.id}: the file has {there}")
            print("      its file on this machine holds the same")


class Scsi:
    """A SCSI host: what the guest finds of its units, and a check of each."""

    def __init__(self, _stage, conf):
        self.conf = conf
        self.id = conf["id"]
        self.units = [(u.get("target", 0), u.get("lun", 0))
                      for u in conf["luns"]]

    def front_end(self, vub):
        return qemu.Scsi(vub.socket(self.id),
                         queues=self.conf.get("queues", 1))

    def script(self):
        """For each unit: who it says it is, its size, and two checksums."""
        text = units.SHELL + "tell probed\nhear attached\n"
        for target, lun in self.units:
            text += f"""
disk=$(disk {target} {lun})
cd /sys/block/$disk
tell disk "$disk"
tell vendor "$(cat device/vendor)"
tell model "$(cat device/model)"
tell serial "$(tail -c +5 device/vpd_pg80)"
tell sectors "$(cat size)"
dd if=/dev/urandom of=/tmp/data bs=1M count={CHECKED} 2>/dev/null
tell wrote "$(sha256sum </tmp/data)"
dd if=/tmp/data of=/dev/$disk bs=1M conv=fsync 2>/dev/null
tell read "$(hash /dev/$disk {CHECKED})"
"""
        return text

    def report(self, guest, _control):
        guest.wait_told("probed")
        units.wait_attached(guest, len(self.units))
        guest.say("attached")
        print(f"  {self.id}: a SCSI host with {len(self.units)} units")
        for target, lun in self.units:
            disk, vendor, model, serial, sectors, wrote, read = (
                guest.wait_told(word).strip() for word in
                ("disk", "vendor", "model", "serial", "sectors", "wrote",
                 "read"))
            print(f"      target {target}, unit {lun}: /dev/{disk}, {vendor} "
                  f"{model}, serial {serial}, {int(sectors) * 512 // MIB} MiB")
            if wrote.split()[0] != read:
                raise Failure(f"{self.id}: wrote {wrote}, read {read}")
            print(f"      wrote {CHECKED} MiB and read them back, "
                  f"sha256 {read[:16]}...: the same")


class Input:
    """A virtual keyboard or tablet. What is done with it: a word is typed, or
    a place is touched."""

    WORD = "vub"
    CODES = {47: "KEY_V", 22: "KEY_U", 48: "KEY_B"}
    PLACE = (12345, 23456)

    def __init__(self, _stage, conf):
        self.conf = conf
        self.id = conf["id"]
        self.preset = conf["source"]["preset"]
        self.name = conf.get("name", "vub " + self.preset)

    def front_end(self, vub):
        return qemu.Input(vub.socket(self.id))

    def events(self):
        """How many the guest will see, SYN_REPORTs too."""
        return 4 * len(self.WORD) if self.preset == "keyboard" else 3

    def script(self):
        """Tells "TYPE CODE LOW HIGH," for each event: the value's halves."""
        return f"""
for node in /sys/class/input/event*; do
    [ "$(cat $node/device/name)" = "{self.name}" ] && break
done
tell input "$(cat $node/device/id/vendor) $(cat $node/device/id/product)"
{{
    tell reading
    dd bs=24 count={self.events()} 2>/dev/null | od -An -v -tu2 -w24
}} <"/dev/input/${{node##*/}}" | awk '
    /^==/ {{ print; next }}
    {{ seen = seen " " $9 " " $10 " " $11 " " $12 "," }}
    END {{ print "== events" seen }}'
"""

    def report(self, guest, control):
        vendor, product = guest.wait_told("input").split()
        print(f"  {self.id}: \"{self.name}\", vendor 0x{vendor}, "
              f"product 0x{product}")
        guest.wait_told("reading")
        if self.preset == "keyboard":
            control.call("input.type", device=self.id, text=self.WORD)
        else:
            x, y = self.PLACE
            control.call("input.send", device=self.id, events=[
                {"type": "EV_ABS", "code": "ABS_X", "value": x},
                {"type": "EV_ABS", "code": "ABS_Y", "value": y}])
        seen = [[int(word) for word in event.split()]
                for event in guest.wait_told("events").split(",") if event]
        if self.preset == "keyboard":
            keys = [self.CODES.get(code, code)
                    for kind, code, down, _ in seen if kind == 1 and down]
            print(f"      \"{self.WORD}\" was typed, the guest saw "
                  f"{' '.join(map(str, keys))}")
            right = keys == ["KEY_" + c for c in self.WORD.upper()]
        else:
            place = tuple(low + (high << 16)
                          for kind, _, low, high in seen if kind == 3)
            print(f"      moved to {self.PLACE}, the guest saw {place}")
            right = place == self.PLACE
        if not right:
            raise Failure(f"{self.id}: the guest saw {seen}")


class Gpu:
    """A screen. The guest writes on its console what devices it has; vub takes
    a picture of that, and QEMU has to show the same."""

    FONT = "TER16x32"  # can be read when the picture is made smaller
    SETTLED_MS = 500

    def __init__(self, stage, conf):
        self.stage = stage
        self.conf = conf
        self.id = conf["id"]

    def front_end(self, vub):
        return qemu.Gpu(vub.socket(self.id))

    def script(self):
        return r"""
title() {
    printf '\n  \033[1;36m%s\033[0m\n' "$1"
}

disk() {
    printf '    %-10s %5d MiB  %s\n' ${1##*/} $(($(cat $1/size) / 2048)) "$2"
}

driver=$(basename "$(readlink /sys/class/drm/card0/device/virtio*/driver)")
{
    printf '\033c\033[?25l\n  \033[1;33m%s\033[0m\n' \
        'The screen of a guest: all that it has is served by vub.'
    printf '\n  Linux %s\n' "$(uname -r)"
    title disks
    for disk in /sys/block/vd*; do
        disk $disk "$(cat $disk/serial)"
    done
    for disk in /sys/block/sd*; do
        disk $disk "$(tail -c +5 $disk/device/vpd_pg80)"
    done
    title 'input devices'
    for input in /sys/bus/virtio/devices/*/input/input*; do
        printf '    %-10s %s\n' ${input##*/} "$(cat $input/name)"
    done
    title screen
    for screen in /sys/class/drm/card0-*; do
        printf '    %-10s %s, driver %s\n' ${screen##*/card0-} \
            "$(head -n 1 $screen/modes)" $driver
    done
    printf '\n  '
    for colour in 1 3 2 6 4 5 7; do
        printf '\033[4%dm          ' $colour
    done
    printf '\033[0m'
} >/dev/tty1
tell driver $driver
tell mode "$(head -n 1 /sys/class/drm/card0-*/modes)"
tell edid "$(od -An -v -tx1 /sys/class/drm/card0-*/edid | tr -d ' \n')"
hear seen
"""

    def report(self, guest, control):
        driver, mode = guest.wait_told("driver"), guest.wait_told("mode")
        edid = Edid(guest.wait_told("edid"))
        print(f"  {self.id}: {mode}, driver {driver}, monitor "
              f"\"{edid.name}\", {edid.width}x{edid.height}")
        screen = Screen(self.stage.rig, control, guest, self.id)
        screen.wait(settled_ms=self.SETTLED_MS)
        screen.call("screenshot", path=os.path.abspath(self.stage.picture))
        shot = screen.shot()
        screen.need_dump(shot, self.id)
        guest.say("seen")
        print(f"      QEMU shows the same {shot.size} pixels as vub's "
              f"screenshot, which is in {self.stage.picture}")


TYPES = {"block": Block, "scsi": Scsi, "input": Input, "gpu": Gpu}


def file_stores(node, pointer):
    """JSON Pointers of all stores of the type `file` below node."""
    if isinstance(node, dict):
        if node.get("type") == "file" and "path" in node:
            yield pointer
        node = node.items()
    elif isinstance(node, list):
        node = enumerate(node)
    else:
        return
    for key, value in node:
        yield from file_stores(value, f"{pointer}/{key}")


def new_images(rig, devices):
    """For each device with a plain `file` store, its image by id; and the
    --set that put every `file` store on an image of its own."""
    images, sets = {}, []
    for n, conf in enumerate(devices):
        for pointer in file_stores(conf, f"/devices/{n}"):
            image = Image(rig.path(f"image{len(sets)}.img"), IMAGE_SIZE)
            with open(image.path, "r+b") as f:
                f.write(os.urandom(CHECKED * MIB))  # for those only read
            sets.append(f"{pointer}/path={image.path}")
            if pointer == f"/devices/{n}/store":
                images[conf["id"]] = image
    return images, sets


def demonstrate(rig, config, picture, keep):
    with open(config) as f:
        document = json.load(f)
    devices = document["devices"]
    images, sets = new_images(rig, devices)
    stage = Stage(rig, images, picture)
    parts = [TYPES[conf["type"]](stage, conf) for conf in devices]
    directory = rig.path("run")
    os.mkdir(directory)
    vub = rig.vub_with(config, directory,
                       [f"/runtime_dir={directory}", *sets])
    rig.note(f"vub serves {len(parts)} devices of {config}")
    control = rig.control(vub) if "control" in document else None
    guest = rig.guest("".join(part.script() for part in parts),
                      [part.front_end(vub) for part in parts], cpus=2,
                      kit="demo", font=Gpu.FONT)
    rig.note("a guest boots: Linux "
             f"{kernel.find(rig.cache).release}, {accelerator()}")
    for part in parts:
        part.report(guest, control)
    guest.wait_success()
    rig.note("the guest has powered off")
    if control:
        control.close()
    if keep:
        leave_running(rig, vub, parts)


def leave_running(rig, vub, parts):
    print(f"""
vub is left running, process {vub.process.pid}; Ctrl-C ends it. To attach a
virtual machine of your own, give QEMU memory that it can share, and a device
for each socket:

    qemu-system-x86_64 ... \\
        -object memory-backend-memfd,id=mem,size=1G,share=on \\
        -machine q35,memory-backend=mem -m 1G \\""")
    lines = []
    for n, part in enumerate(parts):
        chardev, device = part.front_end(vub).args(n)[1::2]
        lines.append(f"        -chardev {shlex.quote(chardev)} \\\n"
                     f"        -device {shlex.quote(device)}")
    print(" \\\n".join(lines))
    print(f"\nWhat vub says of it is in {os.path.join(rig.logs, 'vub.log')}",
          flush=True)
    try:
        rig.loop.wait(lambda: vub.process.status is not None, FOR_EVER,
                      "Ctrl-C")
    except KeyboardInterrupt:
        print()


def hung_up(*_):
    """Like Ctrl-C, but the terminal is gone: nothing can be told any more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    raise KeyboardInterrupt


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--vub", required=True)
    options.add_argument("--config", required=True)
    options.add_argument("--cache", required=True)
    options.add_argument("--tools", required=True)
    options.add_argument("--picture", required=True)
    options.add_argument("--keep", action="store_true")
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C
    signal.signal(signal.SIGHUP, hung_up)
    rig = Rig(chosen.vub, chosen.cache, tools=chosen.tools)

    def show(r):
        try:
            demonstrate(r, chosen.config, chosen.picture, chosen.keep)
        except KeyboardInterrupt:
            r.show_logs = lambda: None  # nothing is wrong
            raise

    try:
        status = run(rig, show)
    except KeyboardInterrupt:
        print("\ndemo: stopped")
        return 128 + signal.SIGINT
    print("demo: ok" if status == 0 else "demo: failed")
    return status


if __name__ == "__main__":
    sys.exit(main())
