"""A child process whose output and end are events of the loop.

A child never outlives the rig: the kernel kills it when the rig dies, however
that happens. A child that ends while nobody expects it fails the test at
once, whatever the test is waiting for."""

import ctypes
import os
import signal
import subprocess

from .loop import Failure, Lines

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_the_rig():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Process:
    """name.log in the directory `logs` gets what it prints. on_line(text), if
    given, is called for each line of it."""

    # Called when it has ended, before that is judged: what it said last may
    # still wait in a socket.
    last_words = None

    def __init__(self, loop, name, argv, logs, pass_fds=(), env=None,
                 on_line=None):
        self.loop = loop
        self.name = name
        self.status = None
        self.may_end = False
        self._popen = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, pass_fds=pass_fds, env=env,
            preexec_fn=_die_with_the_rig,
            start_new_session=True)  # a terminal's Ctrl-C is the rig's alone
        self.pid = self._popen.pid
        self.output = Lines(loop, os.dup(self._popen.stdout.fileno()),
                            os.path.join(logs, name + ".log"), on_line)
        self._popen.stdout.close()
        self._pidfd = os.pidfd_open(self.pid)
        loop.watch(self._pidfd, self._on_end)

    def _on_end(self):
        self._reap()
        if not self.may_end:
            raise Failure(f"{self.name} ended by itself: "
                          f"{self.describe_status()}")

    def _reap(self):
        if self.status is not None:
            return
        self.loop.forget(self._pidfd)
        os.close(self._pidfd)
        self.status = self._popen.wait()
        self.output.drain()
        if self.last_words:
            self.last_words()

    def describe_status(self):
        if self.status is None:
            return "still running"
        if self.status < 0:
            return signal.Signals(-self.status).name
        return f"exit status {self.status}"

    def signal(self, number):
        if self.status is None:
            os.kill(self.pid, number)

    def pause(self):
        """SIGSTOP; stands still when this returns."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self):
        self.signal(signal.SIGCONT)

    def wait_end(self, seconds, what=None):
        """Its exit status; negative is a signal's number."""
        self.may_end = True
        self.loop.wait(lambda: self.status is not None, seconds,
                       what or f"{self.name} to end")
        return self.status

    def kill(self):
        """SIGKILL, and its end. Safe for one that has ended."""
        self.may_end = True
        self.signal(signal.SIGKILL)
        self._reap()

    def close(self):
        self.kill()
        self.output.close()
