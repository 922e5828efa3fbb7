"""systemd as a guest's first process: this machine's own, with no more units
than it needs to come up, and those of packaging/ as they would be installed.

What a unit says goes to the console, since there is no journal. The test's
script is a unit too."""

import glob
import os

KITS = ("systemd", "systemd-newer")
MANAGER = "/lib/systemd/systemd"
PROGRAMS = ("systemctl",)
UNITS = "/lib/systemd/system"
# What others ask for is left out, and missed by nobody.
TARGETS = ("basic", "sysinit", "sockets", "paths", "slices", "timers",
           "local-fs", "swap", "shutdown", "umount", "multi-user",
           "network-online", "network")
PACKAGED = os.path.join(os.path.dirname(__file__),
                        "../../../packaging/systemd")
FILES = {
    "etc/passwd": "root:x:0:0:root:/:/bin/sh\n"
                  "vub:x:990:990:vub:/:/bin/false\n",
    "etc/group": "root:x:0:\nvub:x:990:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/systemd/system/default.target":
        "[Unit]\nRequires=basic.target\nWants=test.service\n",
    "etc/systemd/system/test.service":
        "[Unit]\nAfter=basic.target\n"
        "[Service]\nExecStart=/bin/sh /run-serial\n",
    # Where there is no journal, and what the sanitizers of a build want.
    **{f"etc/systemd/system/{unit}.service.d/test.conf":
       "[Service]\nStandardOutput=append:/dev/console\n"
       "StandardError=inherit\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n"
       for unit in ("vub", "vub@")},
}


def sources():
    """The files that go in, for whoever asks whether they are newer."""
    return [MANAGER, *_units()]


def add(archive, add_program):
    for path in ("run", "root", "srv", "var/tmp", "etc/vub"):
        archive.dir(path)
    add_program(archive, MANAGER, MANAGER.lstrip("/"))
    for path in _units():
        with open(path, "rb") as f:
            archive.file("etc/systemd/system/" + os.path.basename(path),
                         f.read())
    for path, text in FILES.items():
        archive.file(path, text.encode())
    archive.link("var/run", "/run")
    archive.link("usr/bin/vub", "/tools/vub")
    archive.link("usr/bin/systemctl", "/tools/systemctl")


def _units():
    return [f"{UNITS}/{name}.target" for name in TARGETS] + \
        sorted(glob.glob(PACKAGED + "/*"))
