"""What a scenario holds in its hand: images, vubs and guests, and their end.

A scenario is a function run(rig). It passes when it returns, the vubs it left
running end cleanly on SIGTERM, and nothing died on the way."""

import glob
import os
import shutil
import sys
import tempfile

from . import initramfs, kernel
from .control import Control
from .image import MIB, Image
from .loop import Failure, Loop
from .process import Process
from .qemu import Disk, Gpu, Input, Qemu, Scsi
from .target import Target
from .vub import Vub, write_config

# Of guests, by kit.
MEMORY = {"fio": "448M", "isolation": "448M", "takeover": "448M",
          "scsi": "448M", "uinput": "512M", "node": "512M",
          "udmabuf": "640M", "systemd": "640M", "systemd-newer": "640M"}
TAIL = 25  # lines of each log that a failure shows


class Rig:
    """binary: vub. cache: a directory that keeps the kernel and the base of
    the initramfs between runs. variant: the scenario's own business. tools:
    the directory of libraries and programs that the tests are built with."""

    def __init__(self, binary, cache, variant=None, tools=None):
        self.binary = binary
        self.cache = cache
        self.variant = variant
        self.tools = tools
        self.loop = Loop()
        # A short path: a front-end's socket path ends at 107 bytes.
        self.dir = tempfile.mkdtemp(prefix="vub-guest-")
        self.logs = os.path.join(self.dir, "logs")
        os.mkdir(self.logs)
        self._vubs = []
        self._guests = []
        self._targets = []
        self._processes = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def note(self, text):
        """A line of progress."""
        print(f"{self.loop.elapsed():6.1f} s  {text}", flush=True)

    def image(self, name="disk.img", size=64 * MIB, fill=None):
        return Image(self.path(name), size, fill)

    def vub(self, *devices, sets=(), name="vub"):
        """One that serves these devices of a config."""
        directory = self.path(name)
        os.mkdir(directory)
        config = os.path.join(directory, "devices.json")
        write_config(config, directory, devices)
        return self.vub_with(config, directory, sets, name)

    def vub_with(self, config, directory, sets=(), name="vub"):
        vub = Vub(self.loop, self.binary, config, directory, self.logs, sets,
                  name)
        self._vubs.append(vub)
        self.note(f"{name} listens")
        return vub

    def control(self, vub):
        return Control(self.loop, vub.socket("control"),
                       os.path.join(self.logs, vub.name + "-control.log"))

    def disk(self, vub, device="disk", **options):
        return Disk(vub.socket(device), **options)

    def input(self, vub, device, **options):
        return Input(vub.socket(device), **options)

    def gpu(self, vub, device="screen", **options):
        return Gpu(vub.socket(device), **options)

    def scsi(self, vub, device="san", **options):
        return Scsi(vub.socket(device), **options)

    def process(self, name, argv, **more):
        """Another program of this machine."""
        process = Process(self.loop, name, argv, self.logs, **more)
        self._processes.append(process)
        return process

    def target(self, *images, **options):
        """An iSCSI target with a unit for each image, from 1 on."""
        target = Target(self.loop, self.dir, self.logs,
                        [image.path for image in images], **options)
        self._targets.append(target)
        self.note(f"a target listens at {target.portal}")
        return target

    def guest(self, script, devices, name="qemu", kit="plain", programs=(),
              memory=None, **more):
        """A guest that runs `script` (sh; see initramfs/run-script), with a
        kit of initramfs.py, and with more programs, by their paths here."""
        k = kernel.find(self.cache, newer=kit in kernel.NEWER_KITS)
        initrd = self.path(name + ".cpio")
        initramfs.build(initrd, initramfs.base(self.cache, k, kit), script,
                        programs)
        return self.qemu(devices, name=name, kernel=k, initrd=initrd,
                         memory=memory or MEMORY.get(kit, "256M"), **more)

    def qemu(self, devices, name="qemu", quiet=False, **more):
        """quiet: what the script prints is kept, and not shown."""
        show = None if quiet else lambda line: self.note(f"{name}: {line}")
        qemu = Qemu(self.loop, name, self.logs, devices, show=show,
                    tools=self.tools, **more)
        self._guests.append(qemu)
        return qemu

    def finish(self):
        """The clean end of what still runs."""
        for guest in self._guests:
            guest.close()
        for vub in self._vubs:
            if vub.process.status is None:
                vub.stop()

    def close(self, keep):
        for one in (self._guests + self._vubs + self._targets +
                    self._processes):
            one.close()
        if not keep:
            shutil.rmtree(self.dir)

    def show_logs(self):
        for path in sorted(glob.glob(os.path.join(self.logs, "**", "*.log"),
                                     recursive=True)):
            name = os.path.relpath(path, self.logs)
            with open(path, errors="replace") as f:
                lines = f.read().splitlines()
            if lines:
                print(f"--- {name}, last of {len(lines)} lines")
                print("\n".join(lines[-TAIL:]))


def block(image, id="disk", **keys):
    """A block device of the config on an image."""
    return {"id": id, "type": "block",
            "store": {"type": "file", "path": image.path}, **keys}


def run(rig, scenario, keep=False):
    """0 or 1, for the exit status; says why."""
    try:
        scenario(rig)
        rig.finish()
    except Failure as failure:
        rig.show_logs()
        print(f"FAILED after {rig.loop.elapsed():.1f} s: {failure}")
        if keep:
            print(f"everything is kept in {rig.dir}")
        sys.stdout.flush()
        rig.close(keep)
        return 1
    except BaseException:
        rig.show_logs()
        rig.close(keep)
        raise
    rig.note("passed")
    if keep:
        print(f"everything is kept in {rig.dir}")
    rig.close(keep)
    return 0
