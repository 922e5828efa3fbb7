#!/usr/bin/env python3
"""libvirt.py VUB: libvirt starts a domain with the XML of docs/libvirt.md: a
libvirtd of the test's own, for a session of a user who is not root."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

from page import LIMIT, PROGRAM, Vub, blocks

NOBODY = 65534


def domain():
    """Without devices that QEMU 7.2 wants KVM for, if there is none."""
    memory, disk, line = blocks("libvirt.md", "xml")
    kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
    if not kvm:
        line, cut = re.subn(
            r"  <qemu:arg value='-chardev'/>\n"
            r"  <qemu:arg value='socket,id=keyboard,.*?,addr=0x1e'/>\n", "",
            line, flags=re.S)
        assert cut == 1, line
        print("[  SKIPPED ] docs.libvirt: keyboard: no KVM here")
    return f"""<domain type='{'kvm' if kvm else 'qemu'}'
    xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>vub-test</name>
  <memory unit='MiB'>128</memory>
  <vcpu>2</vcpu>
  {memory}
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {disk}
    <video><model type='none'/></video>
  </devices>
  {line}
</domain>
"""


def virsh(*args):
    return subprocess.run(["virsh", "-c", "qemu:///session", *args], text=True,
                          capture_output=True, timeout=LIMIT)


def main():
    for name in ("runtime", "home"):
        os.mkdir(name)
    os.environ.update(XDG_RUNTIME_DIR=os.path.abspath("runtime"),
                      HOME=os.path.abspath("home"))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        os.environ.pop(name, None)
    with open("domain.xml", "w") as f:
        f.write(domain())
    vub = Vub()
    # It says "ready" nowhere but to who waits for its daemon to detach.
    subprocess.run(["libvirtd", "--daemon", "--timeout", "30"], check=True,
                   timeout=LIMIT)
    try:
        done = virsh("create", "domain.xml", "--validate")
        assert done.returncode == 0, (done, vub.process.poll())
        # The firmware finds the disk, and its driver starts.
        vub.hear("vub: root: front-end connected")
        done = virsh("destroy", "vub-test")
        assert done.returncode == 0, done
        vub.gone("root")
        vub.end()
    finally:
        virsh("destroy", "vub-test")
        with open("runtime/libvirt/libvirtd.pid") as f:
            os.kill(int(f.read()), 15)
    print("the domain of the page: ok")


def as_nobody(directory):
    """A session of root is the system's."""
    if os.getuid() != 0:
        return
    os.chown(directory, NOBODY, NOBODY)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


if shutil.which("libvirtd") and shutil.which("virsh") and \
        shutil.which("qemu-system-x86_64"):
    # Its sockets' paths must be short.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        child = os.fork()
        if child == 0:
            os.chdir(directory)
            as_nobody(directory)
            if os.access(PROGRAM, os.X_OK):
                main()
            else:
                print("[  SKIPPED ] docs.libvirt: nobody may not run the vub")
            sys.exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.exit(status)
print("[  SKIPPED ] docs.libvirt: libvirtd, virsh or QEMU is not there")
