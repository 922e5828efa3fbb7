"""Somebody who looks at a guest's screen through QEMU's VNC server, and makes
the window larger: RFC 6143, and its community version for SetDesktopSize."""

import socket
import struct

from .loop import Failure
from .picture import Picture

SECONDS = 20
ENCODING_RAW = 0
ENCODING_EXTENDED_DESKTOP_SIZE = -308


class Vnc:
    def __init__(self, loop, path):
        self._loop = loop
        self._data = bytearray()
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        s.setblocking(False)
        self._socket = s
        loop.watch(s.fileno(), self._ready)
        self._take(12)
        s.send(b"RFB 003.008\n")
        [kinds] = self._take(1)
        if b"\x01" not in self._take(kinds):
            raise Failure("the VNC server wants a password")
        s.send(b"\x01")  # no security
        if self._take(4) != bytes(4):
            raise Failure("the VNC server does not like us")
        s.send(b"\x01")  # others may look too
        self.width, self.height, _, name = struct.unpack(">HH16sI",
                                                         self._take(24))
        self._take(name)
        s.send(struct.pack(">BxHii", 2, 2, ENCODING_RAW,
                           ENCODING_EXTENDED_DESKTOP_SIZE))

    def _ready(self):
        data = self._socket.recv(1 << 16)
        if not data:
            raise Failure("the VNC server has gone")
        self._data += data

    def _take(self, count):
        self._loop.wait(lambda: len(self._data) >= count, SECONDS,
                        "the VNC server")
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken

    def picture(self):
        """All of the screen, of the size that it had when we came."""
        pixels = bytearray(3 * self.width * self.height)
        missing = self.width * self.height
        self._socket.send(struct.pack(">BxHHHH", 3, 0, 0, self.width,
                                      self.height))
        while missing > 0:
            kind, count = struct.unpack(">BxH", self._take(4))
            if kind != 0:
                raise Failure(f"the VNC server sent message {kind}")
            for _ in range(count):
                missing -= self._rectangle(pixels)
        return Picture(self.width, self.height, bytes(pixels))

    def _rectangle(self, pixels):
        """Takes one; how many pixels it has."""
        x, y, width, height, encoding = struct.unpack(">HHHHi", self._take(12))
        if encoding == ENCODING_EXTENDED_DESKTOP_SIZE:
            self._take(16 * self._take(4)[0])
            return 0
        for row in range(y, y + height):
            data = self._take(4 * width)  # blue, green, red, nothing
            start = 3 * (row * self.width + x)
            for colour in range(3):
                pixels[start + colour:start + 3 * width:3] = \
                    data[2 - colour::4]
        return width * height

    def resize(self, width, height):
        """One screen of that size, please. What QEMU answers is not read."""
        self._socket.send(struct.pack(">BxHHBx", 251, width, height, 1) +
                          struct.pack(">IHHHHI", 0, 0, 0, width, height, 0))

    def close(self):
        self._loop.forget(self._socket.fileno())
        self._socket.close()
