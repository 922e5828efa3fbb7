"""The one place where the rig waits.

Everything that can happen is a file descriptor that becomes readable: a line
from the guest, an answer from QEMU, a log line, the end of a process, a write
to a disk's image. A test says what it waits for and how long that may take;
while it waits, every other descriptor is served too, so nobody blocks on a
full pipe. Nothing sleeps, and nothing waits without a bound.
"""

import os
import selectors
import time


class Failure(Exception):
    """The test has failed; the text says what was expected."""


class Loop:
    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._started = time.monotonic()

    def watch(self, fd, ready):
        """Calls ready() whenever fd can be read, until forget(fd)."""
        self._selector.register(fd, selectors.EVENT_READ, ready)

    def forget(self, fd):
        """Safe for an fd that is not watched."""
        try:
            self._selector.unregister(fd)
        except (KeyError, ValueError):
            pass

    def wait(self, until, seconds, what):
        """Serves all descriptors until until() is true, and returns what it
        returned. Raises Failure, naming `what`, after `seconds`."""
        end = time.monotonic() + seconds
        while True:
            value = until()
            if value:
                return value
            left = end - time.monotonic()
            if left <= 0:
                raise Failure(f"waited {seconds} s in vain for {what}")
            for key, _ in self._selector.select(left):
                key.data()

    def turn(self):
        """Serves what is ready now; returns at once."""
        for key, _ in self._selector.select(0):
            key.data()

    def elapsed(self):
        return time.monotonic() - self._started


class Lines:
    """The lines that arrive on a descriptor, all kept, and copied to a log.

    Owns the descriptor. on_line(text), if given, is called for each."""

    def __init__(self, loop, fd, log_path, on_line=None):
        self.loop = loop
        self.fd = fd
        self.lines = []
        self.ended = False
        self._rest = b""
        self._on_line = on_line
        self._log = open(log_path, "ab", buffering=0)
        os.set_blocking(fd, False)
        loop.watch(fd, self._ready)

    def _ready(self):
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self.close()
            return
        self._log.write(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._take(line)

    def _take(self, line):
        text = line.decode("utf-8", "replace").strip("\r")
        self.lines.append(text)
        if self._on_line:
            self._on_line(text)

    def drain(self):
        """Takes what has arrived already: for a writer that has ended."""
        while not self.ended:
            before = len(self.lines), self._rest
            self._ready()
            if (len(self.lines), self._rest) == before:
                return

    def close(self):
        """Safe twice. A last line without an end still counts."""
        if self.ended:
            return
        self.ended = True
        self.loop.forget(self.fd)
        os.close(self.fd)
        if self._rest:
            self._take(self._rest)
        self._log.close()

    def seen(self, text, start=0):
        """The first line from number `start` on that holds text, or None."""
        for line in self.lines[start:]:
            if text in line:
                return line
        return None
