"""QEMU beside a vub, driven over QMP on a socket that it inherits."""

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../life"))

from host import LIMIT, PROGRAM, listening, run  # noqa: E402,F401

# Where libguest_nokvm.so is: see tests/guest/tools/nokvm.c.
TOOLS = os.environ.get("VUB_TEST_TOOLS", "")
HAS_KVM = os.access("/dev/kvm", os.R_OK | os.W_OK)

# Reads nothing, and ends QEMU with status 2 * 21 + 1 by isa-debug-exit: that a
# guest has run it shows that firmware has found the disk and read its first
# sector.
BOOT_SECTOR = (b"\xba\x01\x05\xb0\x15\xee\xf4" + b"\0" * 503 + b"\x55\xaa")
BOOTED = 43


def emulated(env=None):
    """The environment of a QEMU whose devices shall not want KVM."""
    env = dict(env or os.environ)
    library = os.path.join(TOOLS, "libguest_nokvm.so")
    if os.path.exists(library):
        env["LD_PRELOAD"] = library
    return env


def has_qemu():
    return shutil.which("qemu-system-x86_64") is not None


class Qemu:
    """A QEMU that does not run its guest. command: for a shell."""

    def __init__(self, command, env=None, pass_fds=(), **kwargs):
        ours, theirs = socket.socketpair()
        fd = theirs.fileno()
        self.process = subprocess.Popen(
            f"exec {command} -display none -S -chardev socket,id=qmp,fd={fd} "
            "-mon qmp,mode=control", shell=True, env=env, text=True,
            pass_fds=[fd, *pass_fds], stderr=subprocess.PIPE, **kwargs)
        theirs.close()
        atexit.register(self.process.kill)  # of a test that fails
        ours.settimeout(LIMIT)
        self.file = ours.makefile("rw")
        assert "QMP" in self.take(), self.process.stderr.read()
        self.do("qmp_capabilities")

    def take(self):
        try:
            line = self.file.readline()
        except ConnectionResetError:
            line = ""
        assert line, self.process.stderr.read()
        return json.loads(line)

    def do(self, command, **arguments):
        self.file.write(json.dumps({"execute": command,
                                    "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            got = self.take()
            if "return" in got or "error" in got:
                assert "return" in got, got
                return got["return"]

    def devices(self):
        """The types of those that the command line has, sorted."""
        return sorted(
            child["type"][len("child<"):-1]
            for group in ("peripheral", "peripheral-anon")
            for child in self.do("qom-list", path=f"/machine/{group}")
            if child["type"].startswith("child<"))

    def end(self):
        self.do("quit")
        said = self.process.communicate(timeout=LIMIT)[1]
        assert self.process.returncode == 0, said
        return said
