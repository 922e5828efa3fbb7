"""Traces as vub writes them, and as nobody does: docs/trace.md has the bytes,
which are written here from there, not from the program."""

import random
import struct

READ, WRITE, FLUSH, DISCARD, ZERO = range(5)
LOST, STOP, GOES_ON = 8, 9, 10
FUA, UNMAP = 1, 2
SECOND = 10**9


def head(size=1 << 30, block=512, part=0, session=7, version=1,
         device=b"disk", store=b"file", magic=b"vubtrace", lengths=(256, 40)):
    h = struct.pack("<8sIIIIQQIIQQ64s16s", magic, version, *lengths, part,
                    session, size, block, 0, 1_800_000_000 * SECOND,
                    5 * SECOND, device, store)
    return h.ljust(256, b"\0")


def record(op, submit, took=1000, offset=0, length=4096, sequence=0, error=0,
           worker=0, flags=0):
    if op == FLUSH:
        offset = length = 0
    return struct.pack("<QQQQIHBB", submit, submit + took, offset, length,
                       sequence, error, worker, op | flags << 4)


def mixed(num=20000, seconds=10, size=1 << 30, seed=1):
    """A guest that reads at random, writes a log, flushes now and then, and
    has a bad second in the middle."""
    rng = random.Random(seed)
    log, out = size // 2, []
    for i in range(num):
        at = int(rng.random() * seconds * SECOND)
        slow = 30 if 0.5 < at / SECOND / seconds < 0.6 else 1
        kind = rng.random()
        if kind < 0.6:
            out.append((READ, at, int(rng.lognormvariate(11.5, 0.5)) * slow,
                        rng.randrange(size // 4 // 4096) * 4096, 4096))
        elif kind < 0.95:
            out.append((WRITE, at, int(rng.lognormvariate(10.5, 0.4)) * slow,
                        None, 16384))
        elif kind < 0.98:
            out.append((FLUSH, at, int(rng.lognormvariate(14, 0.7)) * slow,
                        0, 0))
        else:
            out.append((DISCARD, at, int(rng.lognormvariate(12, 0.2)), 3 * size
                        // 4 + rng.randrange(1000) * 65536, 65536))
    out.sort(key=lambda r: r[1])
    text = head(size)
    for i, (op, at, took, offset, length) in enumerate(out):
        if op == WRITE:
            offset, log = log, log + length
            if log > size * 3 // 4:
                log = size // 2
        text += record(op, at, took, offset, length, i)
    return text
