"""One QEMU with a guest that runs a script.

Its control channel and both serial ports are socket pairs, inherited: there
is no path to wait for and nothing to connect to. The first port carries the
firmware's and the kernel's messages, the second one the script's output, so a
kernel message never lands inside a result.

On the second port a line "== WORD VALUE..." is told to the test, which may
answer with a line of its own; "== exit N" ends the script. A guest that has
told its result must then power off: one that hangs there has a back-end that
no longer answers GET_VRING_BASE.
"""

import json
import os
import socket

from . import picture
from .loop import Failure, Lines
from .process import Process

BOOT_SECONDS = 150
PORT_BYTES = 4 << 20  # more than any test prints while nobody looks
POWEROFF_SECONDS = 30


def accelerator():
    """KVM where it is the processor's own. A software one (kvm_pvm) starts,
    but no stock kernel boots on it in reasonable time."""
    try:
        with open("/proc/cpuinfo") as f:
            flags = f.read().split()
        usable = ("vmx" in flags or "svm" in flags) and \
            not os.path.exists("/sys/module/kvm_pvm") and \
            os.access("/dev/kvm", os.R_OK | os.W_OK)
    except OSError:
        usable = False
    return "kvm" if usable else "tcg,thread=multi"


def processor():
    """max has RDRAND: without it a guest gathers randomness for seconds before
    mkfs gets its UUID. QEMU 7.2 emulates CMPXCHG16B with wrong flags at times,
    of which newer kernels die (6.12 does, at every second boot)."""
    return "max" if accelerator() == "kvm" else "max,-cx16"


def properties(props):
    """Those of a device, as QEMU spells them, behind its others."""
    return "".join(f",{key}={value}" for key, value in props.items())


class Input:
    """A vhost-user-input device on the socket at `path`. props: its other
    properties."""

    def __init__(self, path, **props):
        self.path = path
        self.props = props

    def args(self, n):
        return ["-chardev", f"socket,id=device{n},path={self.path}",
                "-device", f"vhost-user-input-pci,chardev=device{n}" +
                properties(self.props)]


class Gpu:
    """A GPU on the socket at `path`. kind: "gpu-pci", or "vga", which is a VGA
    card as well. props: the device's other properties."""

    def __init__(self, path, kind="gpu-pci", **props):
        self.path = path
        self.kind = kind
        self.props = props

    def args(self, n):
        return ["-chardev", f"socket,id=device{n},path={self.path}",
                "-device", f"vhost-user-{self.kind},chardev=device{n}" +
                properties(self.props)]


class Disk:
    """A vhost-user-blk device on the socket at `path`. props: the device's
    other properties, as QEMU spells them."""

    def __init__(self, path, queues=1, reconnect=None, **props):
        self.path = path
        self.queues = queues
        self.reconnect = reconnect
        self.props = props

    def args(self, n):
        chardev = f"socket,id=device{n},path={self.path}"
        if self.reconnect:
            chardev += f",reconnect={self.reconnect}"
        return ["-chardev", chardev, "-device",
                f"vhost-user-blk-pci,chardev=device{n},"
                f"num-queues={self.queues}" + properties(self.props)]


class Scsi:
    """A vhost-user-scsi device on the socket at `path`. QEMU 7.2 does not let
    it reconnect. props: the device's other properties."""

    def __init__(self, path, queues=1, **props):
        self.path = path
        self.queues = queues
        self.props = props

    def args(self, n):
        device = f"vhost-user-scsi-pci,chardev=device{n},num_queues={self.queues}"
        for key, value in self.props.items():
            device += f",{key}={value}"
        return ["-chardev", f"socket,id=device{n},path={self.path}",
                "-device", device]


class Qemu:
    """initrd None: no kernel is given, firmware boots what it finds."""

    def __init__(self, loop, name, logs, devices, kernel=None, initrd=None,
                 memory="256M", cpus=1, extra=(), show=None, tools=None,
                 font="VGA8x16"):
        """show(line), if given, is called for each line of the script. tools:
        where libguest_nokvm.so is, for devices that want KVM for no reason.
        font: of the guest's console, one that its kernel has."""
        self.loop = loop
        self.name = name
        self._show = show
        self.told = []  # (word, rest of the line)
        self.migration = None  # the status of the last MIGRATION event
        self._answers = []
        qmp, qmp_theirs = socket.socketpair()
        console, console_theirs = socket.socketpair()
        script, script_theirs = socket.socketpair()
        # QEMU's serial port drops what its socket does not take at once.
        for s in console_theirs, script_theirs:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PORT_BYTES)
        theirs = [s.fileno() for s in (qmp_theirs, console_theirs,
                                       script_theirs)]
        argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config",
                "-display", "none", "-vga", "none", "-smp", str(cpus),
                "-object", f"memory-backend-memfd,id=mem,size={memory},"
                           "share=on",
                "-M", "q35,memory-backend=mem", "-m", memory,
                "-accel", accelerator(), "-cpu", processor()]
        for channel, fd in zip(("qmp", "console", "script"), theirs):
            argv += ["-chardev", f"socket,id={channel},fd={fd}"]
        argv += ["-mon", "qmp,mode=control",
                 "-serial", "chardev:console", "-serial", "chardev:script"]
        if initrd:
            argv += ["-kernel", kernel.image, "-initrd", initrd, "-append",
                     "console=ttyS0 loglevel=6 panic=-1 "
                     f"random.trust_cpu=on fbcon=font:{font}"]
        for n, device in enumerate(devices):
            argv += device.args(n)
        env = dict(os.environ)
        if tools and accelerator() != "kvm":
            env["LD_PRELOAD"] = os.path.join(tools, "libguest_nokvm.so")
        self.process = Process(loop, name, [*argv, *extra], logs,
                               pass_fds=theirs, env=env)
        for s in (qmp_theirs, console_theirs, script_theirs):
            s.close()

        def log(part):
            return os.path.join(logs, f"{name}-{part}.log")

        self._qmp_lines = Lines(loop, qmp.detach(), log("qmp"), self._on_qmp)
        self.console = Lines(loop, console.detach(), log("console"),
                             self._on_console)
        self.script = Lines(loop, script.detach(), log("script"),
                            self._on_script)
        self.process.last_words = self._drain
        self.qmp("qmp_capabilities")

    # The control channel.

    def qmp(self, command, seconds=30, **arguments):
        """What the command returned."""
        self._answers.clear()
        self._write(self._qmp_lines, json.dumps(
            {"execute": command, "arguments": arguments}))
        answer = self.loop.wait(lambda: self._answers and self._answers.pop(),
                                seconds, f"{self.name}'s answer to {command}")
        if "error" in answer:
            raise Failure(f"{self.name}: {command}: "
                          f"{answer['error'].get('desc')}")
        return answer["return"]

    def screendump(self, path):
        """What QEMU's one screen shows."""
        self.qmp("screendump", filename=path)
        return picture.read(path)

    def _on_qmp(self, line):
        message = json.loads(line)
        if "return" in message or "error" in message:
            self._answers.append(message)
        elif message.get("event") == "MIGRATION":
            self.migration = message["data"]["status"]

    # The guest.

    def _on_console(self, line):
        if "Kernel panic" in line:
            raise Failure(f"{self.name}: {line}")

    def _on_script(self, line):
        if not line.startswith("== "):
            if self._show:
                self._show(line)
            return
        word, _, rest = line[3:].partition(" ")
        if word == "exit":
            self.process.may_end = True
        self.told.append((word, rest))

    def wait_told(self, word, seconds=BOOT_SECONDS):
        """The values of the next line that tells `word`. Words are heard in
        order: skipping one is a failure, so is the script's end."""
        self.loop.wait(lambda: self.told, seconds,
                       f"{self.name}'s script to tell \"{word}\"")
        found, rest = self.told.pop(0)
        if found != word:
            raise Failure(f"{self.name}'s script told \"{found} {rest}\" "
                          f"instead of \"{word}\"")
        return rest

    def say(self, line):
        """To the script."""
        self._write(self.script, line)

    def wait_console(self, text, seconds=BOOT_SECONDS, start=0):
        return self.loop.wait(
            lambda: self.console.seen(text, start), seconds,
            f"\"{text}\" on {self.name}'s console")

    def wait_success(self, seconds=BOOT_SECONDS):
        """The script ends with 0, the guest powers off, QEMU ends."""
        code = self.wait_told("exit", seconds)
        if code != "0":
            raise Failure(f"{self.name}'s script ended with {code}: "
                          + " | ".join(self.script.lines[-4:]))
        status = self.process.wait_end(
            POWEROFF_SECONDS, f"{self.name} to power off after its result")
        if status != 0:
            raise Failure(f"{self.name}: {self.process.describe_status()}")

    # Its end.

    def quit(self):
        """Ends QEMU the clean way, whatever the guest is doing."""
        self.process.may_end = True
        self._write(self._qmp_lines, '{"execute": "quit"}')
        if self.process.wait_end(POWEROFF_SECONDS) != 0:
            raise Failure(f"{self.name}: {self.process.describe_status()}")
        self.close()

    def close(self):
        self.process.close()
        self._drain()

    def _drain(self):
        for lines in (self._qmp_lines, self.console, self.script):
            lines.drain()
            lines.close()

    def _write(self, lines, text):
        if lines.ended:
            raise Failure(f"{self.name} has gone")
        os.write(lines.fd, text.encode() + b"\n")
