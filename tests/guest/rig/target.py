"""An iSCSI target: Debian's tgtd, on 127.0.0.1, on a port of its own, told
what to serve through a control socket of its own. It needs no root, and
leaves the host's own tgtd alone."""

import os
import random
import socket
import subprocess

from .loop import Failure
from .process import Process

NAME = "iqn.2026-01.example:disk"
START_SECONDS = 20
ADMIN_SECONDS = 20
SBIN = "/usr/sbin:/sbin"


def free_port():
    """Below those that the kernel gives to who connects: one who tries to
    connect while the target is away would meet itself."""
    for _ in range(100):
        port = random.randrange(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise Failure("no free port")


class Target:
    """luns: {number: path}. chap: (user, secret), which it asks of whoever
    logs in."""

    def __init__(self, loop, directory, logs, luns, chap=None, name="target",
                 core=None):
        self.name = name
        self.port = free_port()
        self.process = None
        self._loop = loop
        self._logs = logs
        self._luns = luns
        self._chap = chap
        self._core = core
        # Only its place tells one control socket from another.
        self._env = {**os.environ, "TGT_IPC_SOCKET":
                     os.path.join(directory, name + "-control"),
                     "PATH": os.environ.get("PATH", "") + ":" + SBIN}
        self.start()

    def url(self, lun, user=None):
        """user: with its secret, for programs that want them there."""
        who = f"{user[0]}%{user[1]}@" if user else ""
        return f"iscsi://{who}127.0.0.1:{self.port}/{NAME}/{lun}"

    def start(self):
        """Returns when it lets initiators in."""
        argv = ["tgtd", "-f", "--iscsi", f"portal=127.0.0.1:{self.port}"]
        if self._core is not None:
            argv = ["taskset", "-c", str(self._core), *argv]
        self.process = Process(self._loop, self.name, argv, self._logs,
                               env=self._env)
        # The last thing it does before it serves its sockets.
        self._loop.wait(lambda: self.process.output.seen("bs_init"),
                        START_SECONDS, f"{self.name} to start")
        self._admin("target", "new", "-T", NAME)
        for number, path in self._luns.items():
            self._admin("logicalunit", "new", "--lun", str(number), "-b", path)
        if self._chap:
            user, secret = self._chap
            self._admin("account", "new", "--user", user, "--password", secret,
                        of_target=False)
            self._admin("account", "bind", "--user", user)
        self._admin("target", "bind", "-I", "ALL")

    def update(self, number, **params):
        """Of a unit, as tgtadm calls them."""
        self._admin("logicalunit", "update", "--lun", str(number), "--params",
                    ",".join(f"{k}={v}" for k, v in params.items()))

    def resize(self, number):
        """The unit is as large as its file is now."""
        path = self._luns[number]
        self._admin("logicalunit", "update", "--lun", str(number), "--params",
                    "online=0")
        self._admin("logicalunit", "update", "--lun", str(number), "--params",
                    f"path={path}")
        self._admin("logicalunit", "update", "--lun", str(number), "--params",
                    "online=1")

    def _admin(self, mode, op, *words, of_target=True):
        argv = ["tgtadm", "--lld", "iscsi", "--mode", mode, "--op", op, *words]
        if of_target:
            argv += ["--tid", "1"]
        done = subprocess.run(argv, env=self._env, capture_output=True,
                              text=True, timeout=ADMIN_SECONDS,
                              stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failure(f"{' '.join(argv)}: {done.stderr.strip()}")

    def kill(self):
        """SIGKILL: no logout, no more answers."""
        self.process.close()

    def close(self):
        if self.process:
            self.process.close()
