#!/usr/bin/env python3
"""tgt.py: Debian's iSCSI target daemon, tgt, for tests: a process of ours at
127.0.0.1, with its control socket and its disks in a directory of the test.
Needs no privileges and no device.

As a module:

    with Tgt(directory, [Lun("64M"), Lun("32M")], chap=("vub", "secret")) as t:
        ... f"iscsi://127.0.0.1:{t.port}/{t.name}/1" ...
        t.kill()
        t.start()

As a program it does that for the life of its standard input:

    tgt.py --dir DIR [--lun SIZE]... [--name IQN] [--chap USER:SECRET]
           [--mutual USER:SECRET]

Prints "port N", then answers lines by lines: kill, start, stop, resize LUN
SIZE. Units are numbered from 1: tgt's own 0 is a controller. Exit status 77: tgt
is not installed."""

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

NAME = "iqn.2026-01.example:disk"
START_S = 20
# A user's PATH has no sbin, which is where tgtd is.
os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class TgtError(Exception):
    pass


def installed():
    return bool(shutil.which("tgtd") and shutil.which("tgtadm"))


class Lun:
    """One disk: a size for a new file, or the path of one that is there."""

    def __init__(self, what, thin=True):
        self.what = what
        self.thin = thin


def free_port():
    """Below those that the kernel gives to who connects: one who tries to
    connect while the target is away could meet itself there."""
    for _ in range(100):
        port = random.randrange(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise TgtError("no free port")


class Tgt:
    def __init__(self, directory, luns, name=NAME, chap=None, mutual=None,
                 cpus=None):
        if not installed():
            raise TgtError("tgtd and tgtadm are not installed (package tgt)")
        self.dir = os.path.abspath(directory)
        self.name = name
        self.chap = chap
        self.mutual = mutual
        self.cpus = cpus
        self.port = None
        self.process = None
        self.luns = []
        for n, lun in enumerate(luns, 1):
            path = lun.what
            if not os.path.exists(path):
                path = os.path.join(self.dir, f"lun{n}.img")
                subprocess.run(["truncate", "-s", lun.what, path], check=True)
            self.luns.append((path, lun.thin))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *args):
        self.stop()

    @property
    def portal(self):
        return f"127.0.0.1:{self.port}"

    def url(self, lun):
        return f"iscsi://{self.portal}/{self.name}/{lun}"

    def env(self):
        # The control socket's path, of which tgt makes PATH.0.
        return dict(os.environ, TGT_IPC_SOCKET=os.path.join(self.dir, "tgt"))

    def adm(self, *args, check=True):
        r = subprocess.run(["tgtadm", "--lld", "iscsi", *args],
                           env=self.env(), capture_output=True, text=True)
        if check and r.returncode:
            raise TgtError(f"tgtadm {' '.join(args)}: {r.stderr.strip()}")
        return r.returncode == 0

    def start(self):
        """At the same port as before, if there was one. The target is made
        whole before anybody can log in to a half of it: it is offline till
        then."""
        tries = 1 if self.port else 5
        for left in range(tries, 0, -1):
            port = self.port or free_port()
            try:
                self._start(port)
                self.port = port
                return
            except TgtError:
                self.kill()
                if left == 1:
                    raise

    def _start(self, port):
        for leftover in ("tgt.0", "tgt.0.lock"):
            path = os.path.join(self.dir, leftover)
            if os.path.exists(path):
                os.unlink(path)
        command = ["tgtd", "-f", "-C", "0", "--iscsi",
                   f"portal=127.0.0.1:{port}"]
        if self.cpus:
            command = ["taskset", "-c", self.cpus] + command
        self.spawn(command)
        if "unable to bind" in self.said():
            raise TgtError(f"port {port} is taken")
        self.adm("--op", "new", "--mode", "target", "--tid", "1", "-T",
                 self.name)
        for n, (path, thin) in enumerate(self.luns, 1):
            self.add_lun(n, path, thin)
        for who, direction in ((self.chap, []), (self.mutual, ["--outgoing"])):
            if who:
                self.adm("--op", "new", "--mode", "account", "--user", who[0],
                         "--password", who[1])
                self.adm("--op", "bind", "--mode", "account", "--tid", "1",
                         "--user", who[0], *direction)
        self.adm("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL")

    def spawn(self, command):
        """Returns when tgtadm is heard. With kill and said this is all that
        knows what kind of process it is."""
        with open(os.path.join(self.dir, "tgtd.log"), "w") as out:
            self.process = subprocess.Popen(command, env=self.env(),
                                            stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out)
        deadline = time.monotonic() + START_S
        while not self.adm("--op", "show", "--mode", "sys", check=False):
            if self.process.poll() is not None or \
                    time.monotonic() > deadline:
                raise TgtError(f"tgtd has not started: {self.said()}")
            time.sleep(0.01)  # it has no way to say that it is ready

    def said(self):
        """What it has logged."""
        with open(os.path.join(self.dir, "tgtd.log")) as f:
            return f.read()

    def add_lun(self, n, path, thin=True):
        self.adm("--op", "new", "--mode", "logicalunit", "--tid", "1",
                 "--lun", str(n), "-b", path)
        self.adm("--op", "update", "--mode", "logicalunit", "--tid", "1",
                 "--lun", str(n), "--params",
                 f"thin_provisioning={1 if thin else 0}")

    def resize(self, n, size):
        """tgt cannot: the unit goes, and comes back larger."""
        path, thin = self.luns[n - 1]
        self.adm("--op", "delete", "--mode", "logicalunit", "--tid", "1",
                 "--lun", str(n))
        subprocess.run(["truncate", "-s", size, path], check=True)
        self.add_lun(n, path, thin)

    def grow(self, n):
        """The unit is as large as its file is now, and stays the same one."""
        path, _ = self.luns[n - 1]
        for change in ("online=0", f"path={path}", "online=1"):
            self.adm("--op", "update", "--mode", "logicalunit", "--tid", "1",
                     "--lun", str(n), "--params", change)

    def kill(self):
        """Without a word to anybody."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self):
        self.kill()


def pair(text):
    return tuple(text.split(":", 1)) if text else None


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--dir", required=True)
    p.add_argument("--lun", action="append", default=[])
    p.add_argument("--name", default=NAME)
    p.add_argument("--chap")
    p.add_argument("--mutual")
    a = p.parse_args()
    if not installed():
        print("tgt is not installed", file=sys.stderr)
        sys.exit(77)
    t = Tgt(a.dir, [Lun(s) for s in a.lun], a.name, pair(a.chap),
            pair(a.mutual))
    with t:
        print("port", t.port, flush=True)
        for line in sys.stdin:
            words = line.split()
            if words[0] in ("kill", "start", "stop"):
                getattr(t, words[0])()
            elif words[0] == "resize":
                t.resize(int(words[1]), words[2])
            print("ok", flush=True)


if __name__ == "__main__":
    main()
