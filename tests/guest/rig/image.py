"""A disk's image file as the host sees it."""

import ctypes
import hashlib
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_IN_MODIFY = 2
_IN_NONBLOCK = os.O_NONBLOCK

MIB = 1 << 20


class Image:
    """A file of size bytes; sparse, unless `fill` gives its content a byte
    to repeat."""

    def __init__(self, path, size, fill=None):
        self.path = path
        self.size = size
        with open(path, "wb") as f:
            if fill is not None:
                for _ in range(size // MIB):
                    f.write(bytes([fill]) * MIB)
            f.truncate(size)
            f.flush()
            os.fsync(f.fileno())

    def hash(self, offset=0, length=None):
        digest = hashlib.sha256()
        with open(self.path, "rb") as f:
            f.seek(offset)
            digest.update(f.read() if length is None else f.read(length))
        return digest.hexdigest()

    def allocated(self):
        """Bytes of it that take space."""
        return os.stat(self.path).st_blocks * 512

    def stamp(self):
        stat = os.stat(self.path)
        return stat.st_mtime_ns, stat.st_size

    def read(self, offset, length):
        with open(self.path, "rb") as f:
            f.seek(offset)
            return f.read(length)


class Writes:
    """Sees writes to an image as they happen, by inotify: that is how a test
    knows that load is on the disk now. Several writes may count as one."""

    def __init__(self, loop, image):
        self.loop = loop
        self.count = 0
        self._fd = _LIBC.inotify_init1(_IN_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0 or _LIBC.inotify_add_watch(
                self._fd, image.path.encode(), _IN_MODIFY) < 0:
            raise OSError(ctypes.get_errno(), "inotify", image.path)
        loop.watch(self._fd, self._ready)

    def _ready(self):
        try:
            os.read(self._fd, 65536)
        except BlockingIOError:
            return
        self.count += 1

    def wait(self, more, seconds=60):
        """Until so many more have been seen."""
        self.loop.turn()
        wanted = self.count + more
        self.loop.wait(lambda: self.count >= wanted, seconds,
                       f"{more} more writes to the disk's image")

    def close(self):
        self.loop.forget(self._fd)
        os.close(self._fd)
