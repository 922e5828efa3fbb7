"""Who may start a vub: a service manager, one who has its sockets open, or
somebody who wants to see what it says while it runs."""

import fcntl
import json
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../control"))

from rig import LIMIT, PROGRAM, Client, Vub, ctl, disk, run  # noqa: E402,F401

# As the child of whoever starts it: fds at 3 and up, and its own pid.
ACTIVATE = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
for n, fd in enumerate(fds):
    os.dup2(fd, 3 + n)
    os.close(fd)
if os.environ.get("LISTEN_PID") == "self":
    os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager:
    """The socket that NOTIFY_SOCKET names."""

    def __init__(self, name="notify"):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.name = name
        self.socket.bind(name.replace("@", "\0", 1))
        self.socket.settimeout(LIMIT)

    def env(self, **more):
        return dict(os.environ, NOTIFY_SOCKET=self.name if self.name[0] == "@"
                    else os.path.abspath(self.name), **more)

    def take(self, wanted=None):
        """The next message, or the next that has a line which begins so, as
        a dictionary."""
        while True:
            text = self.socket.recv(4096).decode()
            lines = text.split("\n")
            assert all(re.fullmatch(r"[A-Z_]+=[^\n]*", line)
                       for line in lines), text
            if wanted is None or any(line.startswith(wanted)
                                     for line in lines):
                return dict(line.split("=", 1) for line in lines)


class Talk:
    """A vub whose lines are read as they come; not waited for."""

    def __init__(self, devices, *args, conf=None, **kwargs):
        with open("vub.json", "w") as f:
            json.dump(conf or {"runtime_dir": "run", "control": "c.sock",
                               "devices": devices}, f)
        self.process = subprocess.Popen(
            [PROGRAM, "--config", "vub.json", *args], text=True,
            stderr=subprocess.PIPE, **kwargs)
        self.said = ""

    def hear(self, text):
        """Reads lines up to one that has the text."""
        for line in self.process.stderr:
            self.said += line
            if text in line:
                return line
        raise AssertionError((text, self.said))

    def end(self, status=0):
        out, rest = self.process.communicate(timeout=LIMIT)
        self.said += rest
        assert self.process.returncode == status, \
            (self.process.returncode, self.said)
        return out


def activated(fds, names, *args, conf, pid="self", count=None, env=None):
    """vub with those fds at 3 and up; names None: LISTEN_FDNAMES is not there.
    What was said, once it has ended, is the caller's to read."""
    with open("vub.json", "w") as f:
        json.dump(conf, f)
    env = dict(env or os.environ, LISTEN_PID=str(pid),
               LISTEN_FDS=str(len(fds) if count is None else count))
    if names is not None:
        env["LISTEN_FDNAMES"] = names
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
    process = subprocess.Popen(
        [sys.executable, "-c", ACTIVATE, ",".join(map(str, high)), PROGRAM,
         "--config", "vub.json", *args], pass_fds=high, text=True, env=env,
        stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    for fd in high:
        os.close(fd)
    return process


def listening(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen()
    return s


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(LIMIT)
    s.connect(path)
    return s
