"""The in-flight record, as QEMU holds it: vhost-user, "Inflight I/O tracking".

The back-end makes the record, the front-end keeps it. So what a killed vub
left undone is seen from outside, in the memory that the next vub will get,
whatever either of them says of it."""

import glob
import mmap
import os
import struct

from .loop import Failure

# Of one queue's part: bytes before the entries, bytes of an entry. The first
# byte of an entry says whether its request is in flight.
SPLIT = 16, 16
PACKED = 32, 32


class Record:
    def __init__(self, qemu, queues, packed):
        self._queues = queues
        self._header, self._entry = PACKED if packed else SPLIT
        self._path = self._find(qemu.process.pid)

    def _find(self, pid):
        for path in glob.glob(f"/proc/{pid}/fd/*"):
            try:
                if "inflight" in os.readlink(path):
                    return path
            except FileNotFoundError:
                pass  # closed meanwhile
        raise Failure("QEMU holds no in-flight record")

    def in_flight(self):
        """How many requests are, while vub stands still or is dead."""
        with open(self._path, "rb") as f, \
                mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as record:
            part = len(record) // self._queues
            return sum(self._count(record[i * part:(i + 1) * part])
                       for i in range(self._queues))

    def _count(self, part):
        _, _, entries = struct.unpack_from("<QHH", part)
        return sum(part[self._header + i * self._entry]
                   for i in range(entries))
