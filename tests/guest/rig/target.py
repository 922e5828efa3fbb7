"""An iSCSI target: tgt, as tests/iscsi starts it, as a process of the rig."""

import os
import sys

from .loop import Failure
from .process import Process

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "..", "iscsi"))

from tgt import START_S, Lun, Tgt, TgtError  # noqa: E402


class Target(Tgt):
    """images: paths of its units, which are numbered from 1. chap: (user,
    secret), which it asks of whoever logs in."""

    def __init__(self, loop, directory, logs, images, chap=None,
                 name="target"):
        self._loop = loop
        self._logs = logs
        self._title = name
        try:
            super().__init__(directory, [Lun(path, thin=False)
                                         for path in images], chap=chap)
            self.start()
        except TgtError as e:
            raise Failure(str(e)) from e

    def spawn(self, command):
        self.process = Process(self._loop, self._title, command, self._logs,
                               env=self.env())
        # The last thing it does before it serves its sockets.
        self._loop.wait(lambda: self.process.output.seen("bs_init"), START_S,
                        f"{self._title} to start")

    def said(self):
        return "\n".join(self.process.output.lines)

    def kill(self):
        """SIGKILL: no logout, no more answers."""
        if self.process:
            self.process.close()

    def address(self, lun):
        """For programs that want the secret in a url."""
        who = f"{self.chap[0]}%{self.chap[1]}@" if self.chap else ""
        return f"iscsi://{who}{self.portal}/{self.name}/{lun}"

    def close(self):
        self.kill()
