#!/usr/bin/env python3
"""print_args.py VUB: what --print-args prints, run as it is by QEMU and by
libvirt, if they are there; and looked at for those that are not."""

import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys

from vmm import HAS_KVM, LIMIT, PROGRAM, Qemu, emulated, has_qemu, run

NOBODY = 65534

DISK = {"type": "memory", "size": "1M"}
DEVICES = [
    {"id": "disk", "type": "block", "queues": 2, "store": DISK},
    {"id": "0.small_", "type": "block", "queue_size": 64, "seg_max": 8,
     "store": DISK},
    {"id": "odd", "type": "block", "socket": "a,b'c &<\"[].sock",
     "store": DISK},
    {"id": "san", "type": "scsi", "queues": 3,
     "luns": [{"lun": 0, "store": DISK}]},
    {"id": "san2", "type": "scsi", "queue_size": 16, "seg_max": 8,
     "luns": [{"lun": 0, "store": DISK}]},
    {"id": "keys", "type": "input",
     "source": {"type": "virtual", "preset": "keyboard"}},
    {"id": "screen", "type": "gpu", "scanouts": [{}, {}]},
    {"id": "rig", "type": "gpu", "display": "headless"},
]
UNUSABLE = [
    {"id": "given--", "type": "block", "store": DISK, "socket": {"fd": 0}},
    {"id": "tiny", "type": "input", "queue_size": 32,
     "source": {"type": "virtual", "preset": "mouse"}},
]


def write(devices, name="vub.json", **more):
    with open(name, "w") as f:
        json.dump(dict({"runtime_dir": "run", "devices": devices}, **more), f)


def printed(vmm, name="vub.json"):
    done = subprocess.run([PROGRAM, "--config", name, f"--print-args={vmm}"],
                          text=True, capture_output=True, timeout=LIMIT)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


class Vub:
    def __init__(self, config="vub.json", **kwargs):
        ready, theirs = os.pipe()
        self.process = subprocess.Popen(
            [PROGRAM, "--config", config, "--ready-fd", str(theirs)],
            pass_fds=[theirs], stderr=subprocess.PIPE, text=True, **kwargs)
        os.close(theirs)
        atexit.register(self.process.kill)  # of a test that fails
        with os.fdopen(ready) as f:
            assert f.read() == "ready\n", self.process.stderr.read()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=LIMIT)[1]
        assert self.process.returncode == 0, said
        return said


def nobody(command, **kwargs):
    """libvirt without root wants no users of its own."""
    if os.geteuid() == 0:
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                   "--clear-groups", *command]
    return subprocess.run(command, text=True, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=LIMIT, **kwargs)


def words(text):
    """Of a command, as a shell takes it."""
    script = re.sub(r"^(?!#)", "printf '%s\\\\0' ", text, count=1, flags=re.M)
    out = subprocess.run(["sh", "-c", script], text=True, check=True,
                         capture_output=True).stdout
    return out.split("\0")[:-1]


def qemu_runs_what_is_printed():
    if not has_qemu():
        return "there is no qemu-system-x86_64"
    write(DEVICES)
    command = printed("qemu")
    assert "cannot be used" not in command, command
    vub = Vub()
    # A shell's comments are left to the shell; more can be added at the end.
    lines = command.rstrip("\n").split("\n")
    head = [line for line in lines if line.startswith("#")]
    assert lines[:len(head)] == head
    env = None if HAS_KVM else emulated()
    qemu = Qemu("\n".join(lines[len(head):]), env=env)
    assert qemu.devices() == sorted(
        3 * ["vhost-user-blk-pci"] + 2 * ["vhost-user-scsi-pci"] +
        ["vhost-user-input-pci", "vhost-user-vga", "vhost-user-gpu-pci"])
    cpus = qemu.do("query-cpus-fast")
    assert len(cpus) == 3, cpus  # as many as the most queues for requests
    qemu.end()
    said = vub.end()
    for device in DEVICES:
        assert f"vub: {device['id']}: front-end (process" in said, said
    return None


def what_qemu_cannot_use_is_said():
    write(UNUSABLE + DEVICES[:1])
    said = printed("qemu")
    assert ("# given-- cannot be used: its socket is an fd that vub inherits, "
            "and its path is not known.\n") in said, said
    assert ("# tiny cannot be used: QEMU's rings for it have 64 entries, and "
            "\"queue_size\" is less.\n") in said, said
    assert words(said).count("-device") == 1, said


def libvirt_knows_what_is_printed():
    if not shutil.which("virt-xml-validate"):
        return "there is no virt-xml-validate (libvirt-clients)"
    write(UNUSABLE + DEVICES)
    said = printed("libvirt")
    assert said.count("cannot be used") == 2, said
    with open("domain.xml", "w") as f:
        f.write(said)
    done = subprocess.run(["virt-xml-validate", "domain.xml"], text=True,
                          capture_output=True, timeout=LIMIT)
    assert done.returncode == 0, (done, said)
    return None


def libvirt_command(devices):
    """virsh makes a QEMU's command line of what is printed, with a driver of
    its own. None: it cannot."""
    write(devices)
    os.chmod(".", 0o755)
    done = nobody([PROGRAM, "--config", "vub.json", "--print-args=libvirt"])
    assert done.returncode == 0, done
    with open("domain.xml", "w") as f:
        f.write(done.stdout)
    os.mkdir("root")
    if os.geteuid() == 0:
        os.chown("root", NOBODY, NOBODY)
    root = os.path.abspath("root")
    done = nobody(["virsh", "-c", f"qemu:///embed?root={root}",
                   "domxml-to-native", "qemu-argv", "domain.xml"],
                  env=dict(os.environ, HOME=root))
    if "Failed to connect" in done.stderr or "no connection driver" in \
            done.stderr:
        return None
    assert done.returncode == 0, done
    command = done.stdout.strip()
    # What is libvirt's own: its channel, and files that it has not made.
    for pattern in (r"^.*?(?=/\S*qemu-system-)",
                    r"-object '\{\"qom-type\":\"secret\"[^']*' ",
                    r"-chardev socket,id=charmonitor\S* ", r"-mon \S* ",
                    r"-sandbox \S*", r"-display none "):
        command = re.sub(pattern, "", command)
    return command


def libvirt_runs_what_is_printed():
    if not has_qemu() or not shutil.which("virsh"):
        return "there is no qemu-system-x86_64, or no virsh"
    command = libvirt_command(DEVICES)
    if not command:
        return "libvirt has no driver for QEMU " \
            "(libvirt-daemon-driver-qemu)"
    vub = Vub()
    qemu = Qemu(command, env=emulated())
    names = [name for name in qemu.devices() if name.startswith("vhost-user")]
    assert names == sorted(
        3 * ["vhost-user-blk-pci"] + 2 * ["vhost-user-scsi-pci"] +
        ["vhost-user-input-pci", "vhost-user-vga", "vhost-user-gpu-pci"])
    qemu.end()
    vub.end()
    return None


def libvirt_has_places_for_many():
    if not has_qemu() or not shutil.which("virsh"):
        return "there is no qemu-system-x86_64, or no virsh"
    keys = [dict(DEVICES[5], id=f"keys{n}") for n in range(113)]
    write(keys)
    said = printed("libvirt")
    assert said.count("vhost-user-input-pci") == 112, said
    assert "<!-- keys112 cannot be used: there are 112 places for what " \
        "libvirt does not know. -->\n" in said, said
    command = libvirt_command([
        dict(DEVICES[0], id=f"disk{n}") for n in range(20)] + keys[:20])
    if not command:
        return "libvirt has no driver for QEMU " \
            "(libvirt-daemon-driver-qemu)"
    vub = Vub()
    qemu = Qemu(command, env=emulated())
    assert qemu.devices().count("vhost-user-input-pci") == 20
    assert qemu.devices().count("vhost-user-blk-pci") == 20
    qemu.end()
    vub.end()
    return None


def cloud_hypervisor_has_disks_hosts_and_input():
    write(UNUSABLE + DEVICES)
    said = printed("cloud-hypervisor")
    assert "# For cloud-hypervisor 51, by its documentation; vub's tests do " \
        "not run it.\n" in said, said
    here = os.path.realpath("run")
    assert words(said) == [
        "cloud-hypervisor", "--cpus", "boot=3",
        "--memory", "size=1G,shared=on", "--disk",
        f"vhost_user=on,socket={here}/disk.sock,num_queues=2,queue_size=128",
        f"vhost_user=on,socket={here}/0.small_.sock,num_queues=1,queue_size=64",
        f"vhost_user=on,socket=\"{here}/a,b'c &<\"\"[].sock\",num_queues=1,"
        "queue_size=128", "--generic-vhost-user",
        f"virtio_id=18,socket={here}/tiny.sock,queue_sizes=[32,32]",
        f"virtio_id=8,socket={here}/san.sock,queue_sizes=[128,128,128,128,128]",
        f"virtio_id=8,socket={here}/san2.sock,queue_sizes=[16,16,16]",
        f"virtio_id=18,socket={here}/keys.sock,queue_sizes=[128,128]"], said
    for name in ("screen", "rig"):
        assert f"# {name} cannot be used: cloud-hypervisor has no GPU of " \
            "vhost-user.\n" in said, said


def crosvm_has_all_but_gpus():
    write(DEVICES)
    said = printed("crosvm")
    assert "vub's tests do not run it.\n" in said, said
    here = os.path.realpath("run")
    got = words(said)
    assert got[:6] == ["crosvm", "run", "--cpus", "3", "--mem", "1024"], got
    assert got[6::2] == 6 * ["--vhost-user"], got
    assert got[7] == f"type=block,socket={here}/disk.sock,max-queue-size=128"
    assert got[11] == f"type=block,socket=\"{here}/a,b'c &<\\\"[].sock\"," \
        "max-queue-size=128", got
    assert got[-1] == f"type=input,socket={here}/keys.sock,max-queue-size=128"
    for name in ("screen", "rig"):
        assert f"# {name} cannot be used: crosvm speaks a protocol of its " \
            "own with GPUs.\n" in said, said


def libkrun_is_called_in_c():
    write(DEVICES)
    said = printed("libkrun")
    assert "/* screen cannot be used: libkrun shows nothing" in said, said
    if not shutil.which("cc"):
        return "there is no cc"
    with open("krun.c", "w") as f:
        f.write('''
#include <stdint.h>
#include <stdio.h>
int krun_set_vm_config(uint32_t, uint8_t, uint32_t);
int krun_add_vhost_user_device(uint32_t, uint32_t, const char *, const char *,
                               uint16_t, const uint16_t *);
int krun_set_vm_config(uint32_t ctx, uint8_t cpus, uint32_t mib)
{
    return printf("%u %u %u\\n", ctx, cpus, mib);
}
int krun_add_vhost_user_device(uint32_t ctx, uint32_t type, const char *path,
                               const char *name, uint16_t num,
                               const uint16_t *sizes)
{
    printf("%u %u %s %s", ctx, type, path, name);
    for (int i = 0; i < num; i++)
        printf(" %u", sizes[i]);
    return putchar('\\n');
}
int main(void)
{
    uint32_t ctx = 5;
''' + said + "    return 0;\n}\n")
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "krun.c", "-o",
                    "krun"], check=True)
    got = subprocess.run(["./krun"], text=True, capture_output=True,
                         check=True).stdout.splitlines()
    here = os.path.realpath("run")
    assert got[0] == "5 3 1024", got
    assert got[1] == f"5 2 {here}/disk.sock disk 128 128", got
    assert got[3] == f"5 2 {here}/a,b'c &<\"[].sock odd 128", got
    assert got[-1] == f"5 16 {here}/rig.sock rig 128 128", got
    return None


def nothing_is_opened():
    write([{"id": "d", "type": "block",
            "store": {"type": "file", "path": "missing"}}])
    assert "run/d.sock" in printed("qemu")
    assert not os.path.exists("run")


def it_can_be_added_to_run():
    """By a shell's own means: the command line as it is printed."""
    if not has_qemu():
        return "there is no qemu-system-x86_64"
    write(DEVICES[:2])
    with open("start.sh", "w") as f:
        f.write(printed("qemu").rstrip("\n") + " \\\n    -display none "
                "-device isa-debug-exit -S -monitor stdio\n")
    done = subprocess.run(
        [PROGRAM, "--config", "vub.json", "--run",
         "echo quit | sh start.sh"], text=True, capture_output=True,
        timeout=LIMIT)
    assert done.returncode == 0, done
    return None


run([qemu_runs_what_is_printed, what_qemu_cannot_use_is_said,
     libvirt_knows_what_is_printed, libvirt_runs_what_is_printed,
     libvirt_has_places_for_many,
     cloud_hypervisor_has_disks_hosts_and_input,
     crosvm_has_all_but_gpus, libkrun_is_called_in_c,
     nothing_is_opened, it_can_be_added_to_run])
