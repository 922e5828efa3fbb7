#!/usr/bin/env python3
"""programs.py VUB: vub-block, vub-scsi, vub-input and vub-gpu in the place of
the daemons in QEMU's contrib folder: command lines of QEMU's documents and of
those daemons' own help, unchanged but for the program's name."""

import atexit
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys

from vmm import (BOOTED, BOOT_SECTOR, LIMIT, PROGRAM, Qemu, emulated,
                 has_qemu, listening, run)

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "../iscsi/target.py")
TYPES = ("block", "scsi", "input", "gpu")

# docs/interop/vhost-user.json
FEATURES = {
    "block": {"read-only", "blk-file"},
    "input": {"evdev-path", "no-grab"},
    "gpu": {"render-node", "virgl"},
}


def links():
    """The programs, in the current directory; what PATH is then."""
    for name in TYPES:
        if not os.path.lexists(f"vub-{name}"):
            os.symlink(PROGRAM, f"vub-{name}")
    return dict(os.environ, PATH=f"{os.getcwd()}:{os.environ['PATH']}")


class Daemon:
    """A program that is ready. command: as somebody would type it."""

    def __init__(self, command, pass_fds=()):
        ready, write = os.pipe()
        self.process = subprocess.Popen(
            f"exec {command} --ready-fd {write}", shell=True, text=True,
            env=links(), pass_fds=[write, *pass_fds], stderr=subprocess.PIPE)
        os.close(write)
        atexit.register(self.process.kill)  # of a test that fails
        with os.fdopen(ready) as f:
            told = f.read()
        assert told == "ready\n", self.process.stderr.read()

    def wait(self, status=0):
        said = self.process.communicate(timeout=LIMIT)[1]
        assert self.process.returncode == status, \
            (self.process.returncode, said)
        return said


def said_of(command, status=2):
    done = subprocess.run(command, shell=True, text=True, capture_output=True,
                          env=links(), timeout=LIMIT)
    assert done.returncode == status, (command, done)
    assert status != 2 or not done.stdout, done
    return done.stderr if status else done.stdout


def boot_disk(name="disk.img"):
    with open(name, "wb") as f:
        f.write(BOOT_SECTOR)
        f.truncate(1 << 20)


def boots(device, sock):
    """Does firmware boot from it? By the example of QEMU's
    docs/system/devices/virtio/vhost-user.rst."""
    done = subprocess.run(
        "qemu-system-x86_64 -m 4096 "
        f"-chardev socket,id=ba1,{sock} -device {device},chardev=ba1 "
        "-object memory-backend-memfd,id=mem,size=4G,share=on "
        "-numa node,memdev=mem "
        "-display none -nodefaults -device isa-debug-exit",
        shell=True, stderr=subprocess.PIPE, text=True, timeout=LIMIT)
    assert done.returncode == BOOTED, done


def capabilities_are_what_works():
    for name in TYPES:
        for form in (f"vub-{name}", f"./vub-{name}", f"{PROGRAM} {name}"):
            said = json.loads(said_of(f"{form} --print-capabilities", 0))
            assert said["type"] == name, said
            features = said.get("features", [])
            assert set(features) <= FEATURES.get(name, set()), said
            assert ("features" in said) == (name in FEATURES), said
    assert set(json.loads(said_of("vub-block -c", 0))["features"]) == \
        FEATURES["block"]
    assert json.loads(said_of("vub-gpu -c", 0))["features"] == []
    # The conventions: other options and arguments are ignored.
    said = said_of("vub-gpu --virgl --nonsense x --print-capabilities", 0)
    assert json.loads(said)["type"] == "gpu"


def what_vub_cannot_do_fails_early():
    for option in ("--virgl", "-v", "--render-node=/dev/dri/renderD128",
                   "-r /dev/dri/renderD128"):
        name = "--virgl" if "v" in option[:4] else "--render-node"
        assert said_of(f"vub-gpu {option} --socket-path=x") == \
            f"vub-gpu: {name}: vub draws in two dimensions, without a GPU " \
            "of the host: leave this out\n"
    assert not os.path.exists("x")


def mistakes_are_told_by_their_option():
    boot_disk()
    for command, status, said in (
            ("vub-block -b disk.img", 2,
             "vub-block: --socket-path: is missing, and there is no --fd; see "
             "vub-block --help"),
            ("vub-block -s x", 2,
             "vub-block: --blk-file: is missing; see vub-block --help"),
            ("vub-input -s x", 2,
             "vub-input: --evdev-path: is missing; see vub-input --help"),
            ("vub-scsi -u x", 2,
             "vub-scsi: --iscsi-uri: is missing; see vub-scsi --help"),
            ("vub-gpu", 2,
             "vub-gpu: --socket-path: is missing, and there is no --fd; see "
             "vub-gpu --help"),
            ("vub-block -s x -f 3 -b disk.img", 2,
             "vub-block: --fd: there is --socket-path already: a socket has a "
             "path or an fd, not both"),
            ("vub-block -f x -b disk.img", 2,
             "vub-block: --fd: must be a whole number from 0 to 2147483647, "
             "not \"x\""),
            ("vub-block -f 99 -b disk.img", 2,
             "vub-block: --fd: fd 99 is not open"),
            ("vub-block --blk-fiel=disk.img", 2,
             "vub-block: --blk-fiel: there is no such option; did you mean "
             "--blk-file?"),
            ("vub-block -s x -b disk.img more", 2,
             "vub-block: more: is no option; see vub-block --help"),
            ("vub-block -s none/x -b disk.img", 1,
             "vub-block: --socket-path: cannot open the directory "),
            ("vub-block -s x -b none.img", 2,
             "vub-block: --blk-file: cannot open "),
            ("vub-input -s x -p /dev/null", 2, "vub-input: --evdev-path: "),
            ("vub-scsi -u x -i http://example.org", 2,
             "vub-scsi: --iscsi-uri: ")):
        told = said_of(command, status)
        assert told.startswith(said), (command, told)
        assert len(told.splitlines()) == 1, told


def help_tells_all_options():
    for name in TYPES:
        told = said_of(f"vub-{name} -h", 0)
        assert told.startswith(f"usage: vub-{name} "), told
        for option in ("--socket-path PATH", "--fd FDNUM",
                       "--print-capabilities"):
            assert option in told, told


def sigterm_ends_it_cleanly():
    boot_disk()
    daemon = Daemon("vub-block --socket-path=x --blk-file=disk.img")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait()
    assert not os.path.exists("x")


def it_ends_with_its_front_end():
    boot_disk()
    for option, front in (("-s x", "path"), ("-f {}", "listening"),
                          ("-f {}", "connected")):
        if front == "connected":
            ours, theirs = socket.socketpair()
        elif front == "listening":
            theirs = listening("y")
        fds = [] if front == "path" else [theirs.fileno()]
        daemon = Daemon(f"vub-block {option.format(*fds)} -b disk.img",
                        pass_fds=fds)
        if front != "connected":
            ours = socket.socket(socket.AF_UNIX)
            ours.connect("x" if front == "path" else "y")
        if fds:
            theirs.close()
        ours.close()
        said = daemon.wait()
        assert "stopping: on_disconnect is" in said, said
    assert not os.path.exists("x")


def vub_block_boots_a_guest():
    if not has_qemu():
        return "there is no qemu-system-x86_64"
    boot_disk()
    # contrib/vhost-user-blk: -s, -b, -r
    daemon = Daemon("vub-block --socket-path=foo.sock --blk-file=disk.img")
    boots("vhost-user-blk-pci", "path=foo.sock")
    daemon.wait()
    daemon = Daemon("vub-block -s foo.sock -b disk.img -r")
    boots("vhost-user-blk-pci,num-queues=4", "path=foo.sock")
    daemon.wait()
    with open("disk.img", "rb") as f:
        assert f.read(512) == BOOT_SECTOR
    return None


def vub_block_has_a_queue_for_each_processor():
    if not has_qemu():
        return "there is no qemu-system-x86_64"
    boot_disk()
    daemon = Daemon("vub-block -s foo.sock -b disk.img")
    qemu = Qemu("qemu-system-x86_64 -smp 32 -m 128 "
                "-chardev socket,id=ba1,path=foo.sock "
                "-device vhost-user-blk-pci,chardev=ba1 "
                "-object memory-backend-memfd,id=mem,size=128M,share=on "
                "-numa node,memdev=mem")
    assert qemu.devices() == ["vhost-user-blk-pci"]
    qemu.end()
    daemon.wait()
    return None


def vub_scsi_boots_a_guest():
    if not has_qemu():
        return "there is no qemu-system-x86_64"
    target = subprocess.Popen([sys.executable, "-B", TARGET, "--lun", "1M"],
                              text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    port = int(target.stdout.readline().split()[1])
    url = f"iscsi://127.0.0.1:{port}/iqn.2026-01.example:disk/0"
    target.stdin.write(f"fill 0 {BOOT_SECTOR.hex()}\n")
    target.stdin.flush()
    assert target.stdout.readline() == "ok\n"
    # contrib/vhost-user-scsi: -u unix_sock_path -i iscsi_uri
    daemon = Daemon(f"vub-scsi -u foo.sock -i {url}")
    boots("vhost-user-scsi-pci", "path=foo.sock")
    daemon.wait()
    target.stdin.close()
    target.wait(LIMIT)
    return None


def vub_gpu_gets_its_socket_as_libvirt_gives_it():
    """libvirt makes a pair of sockets: one end is the program's, --fd, the
    other QEMU's."""
    if not has_qemu():
        return "there is no qemu-system-x86_64"
    ours, theirs = socket.socketpair()
    fd = fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD, 50)
    daemon = Daemon(f"vub-gpu --fd={theirs.fileno()}",
                    pass_fds=[theirs.fileno()])
    theirs.close()
    qemu = Qemu("qemu-system-x86_64 -m 128 -vga none "
                f"-chardev socket,id=chr-vu-video0,fd={fd} "
                "-device vhost-user-vga,id=video0,max_outputs=1,"
                "chardev=chr-vu-video0 "
                "-object memory-backend-memfd,id=mem,size=128M,share=on "
                "-numa node,memdev=mem", env=emulated(), pass_fds=[fd])
    ours.close()
    os.close(fd)
    assert qemu.devices() == ["vhost-user-vga"]
    qemu.end()
    daemon.wait()
    return None


run([capabilities_are_what_works, what_vub_cannot_do_fails_early,
     mistakes_are_told_by_their_option, help_tells_all_options,
     sigterm_ends_it_cleanly, it_ends_with_its_front_end,
     vub_block_boots_a_guest, vub_block_has_a_queue_for_each_processor,
     vub_scsi_boots_a_guest, vub_gpu_gets_its_socket_as_libvirt_gives_it])
