"""What is measured: cells, who competes in each, and what is wanted of vub.

Not every combination: a base (4 KiB random, polled by the guest, event index
on) over media, directions and depths, and each other dimension varied alone
around it. A cell's name is what --only searches."""

import dataclasses

GIB = 1 << 30


@dataclasses.dataclass(frozen=True)
class Cell:
    medium: str  # tmpfs, ext4, direct, memory, null
    op: str  # read, write
    depth: int
    block: int = 4096
    queues: int = 1
    notify: str = "poll"  # poll: spin on the used ring; call: by eventfd
    event_idx: bool = True
    sequential: bool = False
    indirect: bool = False  # descriptors in tables, as Linux does
    size: int = GIB

    @property
    def name(self):
        parts = [self.medium, self.op, "%dk" % (self.block // 1024),
                 "d%d" % self.depth]
        if self.queues > 1:
            parts.append("q%d" % self.queues)
        if self.sequential:
            parts.append("seq")
        if self.indirect:
            parts.append("indirect")
        parts.append(self.notify)
        if not self.event_idx:
            parts.append("noev")
        return "-".join(parts)


QSD = ("qsd-uring", "qsd-threads")


def plan(quick, cores):
    """[(cell, names of contenders)], in the order they are run."""
    out = []

    def add(contenders, **cell):
        out.append((Cell(**cell), tuple(contenders)))

    depths = (1, 32, 128)
    # The page cache.
    for medium in ("tmpfs", "ext4"):
        for op in ("read", "write"):
            for depth in depths:
                if quick and (op, depth) == ("write", 1):
                    continue
                names = ["vub", *QSD, "floor"]
                if op == "read" and depth > 1:
                    names.append("floor-plain")
                if op == "read" or medium == "tmpfs":
                    names.append("floor-map")
                if not quick:
                    names.insert(1, "vub-unmapped")
                if (op, depth) == ("read", 32):
                    names.insert(1, "vub-packed")
                if (op, depth) == ("read", 1):
                    names.insert(1, "vub-always")
                add(names, medium=medium, op=op, depth=depth)
        if not quick:
            for op in ("read", "write"):
                add(["vub", *QSD, "floor"], medium=medium, op=op, depth=32,
                    block=128 << 10, sequential=True)
    # By eventfd, with and without event index.
    for medium in ("tmpfs",) if quick else ("tmpfs", "ext4"):
        for depth in (32,) if quick else (32, 128):
            add(["vub", *QSD], medium=medium, op="read", depth=depth,
                notify="call")
        if not quick:
            add(["vub", *QSD], medium=medium, op="read", depth=32,
                notify="call", event_idx=False)
    # The disk itself.
    for op in ("read", "write"):
        for depth in (32,) if quick else depths:
            names = ["vub", *QSD, "fio-uring"]
            if not quick:
                names[1:1] = ["vub-threads"]
                names.insert(-1, "qsd-native")
            add(names, medium="direct", op=op, depth=depth)
        if not quick:
            add(["vub", *QSD, "fio-uring"], medium="direct", op=op, depth=32,
                notify="call")
            add(["vub", *QSD, "fio-uring"], medium="direct", op=op, depth=32,
                block=128 << 10, sequential=True)
    # No medium: what a request itself costs.
    for depth in depths:
        names = ["vub", "qsd-null"]
        if depth == 1:
            names[1:1] = ["vub-always"]
        else:
            names[1:1] = ["vub-packed"]
        add(names, medium="null", op="read", depth=depth)
    for event_idx in (True,) if quick else (True, False):
        add(["vub", "vub-packed", "qsd-null"], medium="null", op="read",
            depth=32, notify="call", event_idx=event_idx)
    if not quick:
        add(["vub", "vub-packed", "qsd-null"], medium="null", op="read",
            depth=32, indirect=True)
        add(["vub", "vub-packed", *QSD, "floor"], medium="tmpfs", op="read",
            depth=32, indirect=True)
    # Memory.
    for op in ("read", "write"):
        for depth in (32,) if quick else depths:
            names = ["vub", "floor", "floor-plain"]
            if depth == 32:
                names.insert(1, "vub-packed")
            add(names, medium="memory", op=op, depth=depth)
    # Both sides sleep.
    for medium in ("null",) if quick else ("null", "tmpfs"):
        others = ("qsd-null",) if medium == "null" else QSD
        add(["vub", "vub-nospin", *others, "eventfd"], medium=medium,
            op="read", depth=1, notify="call")
    # Two rings.
    for medium in ("null",) if quick else ("null", "tmpfs"):
        others = ("qsd-null",) if medium == "null" else QSD
        names = ["vub", *others]
        if cores >= 4:
            names[1:1] = ["vub-2workers"]
        add(names, medium=medium, op="read", depth=32, queues=2)
    # Two rings that keep two workers busy, on any two cores: large requests
    # are nearly all the back-end's work, and the front-end sleeps, but for 2 %
    # of the core that it shares with a worker. Deep, so that a worker has a
    # second batch while the front-end is told of the first.
    for medium in ("memory", "tmpfs"):
        add(["vub", "vub-2workers"], medium=medium, op="read", depth=64,
            queues=2, block=128 << 10, notify="call")
    return out


@dataclasses.dataclass(frozen=True)
class Wanted:
    """metric of `who` divided by the best of `against`, within one round."""
    text: str
    cell: str
    metric: str  # iops, cpu (per request), p50
    who: str
    against: tuple
    bound: float
    at_least: bool = True


def wanted():
    out = []

    def want(text, cell, metric, who, against, bound, at_least=True):
        if isinstance(against, str):
            against = (against,)
        out.append(Wanted(text, cell, metric, who, against, bound, at_least))

    for medium, factor, polled in (("tmpfs", 2.5, 2.0), ("ext4", 1.8, 1.2)):
        for op in ("read", "write"):
            for depth in (32, 128):
                cell = "%s-%s-4k-d%d-poll" % (medium, op, depth)
                want("of a bare p%s loop" % op, cell, "iops", "vub",
                     "floor", 0.9)
                if op == "read":
                    want("of one that keeps access times", cell, "iops",
                         "vub", "floor-plain", 0.9)
                want("of the best qsd", cell, "iops", "vub", QSD, factor)
        want("of the best qsd", medium + "-read-4k-d1-poll", "iops", "vub",
             QSD, polled)
    for op in ("read", "write"):
        cell = "direct-%s-4k-d32-poll" % op
        want("of fio io_uring", cell, "iops", "vub", "fio-uring", 1.0)
        want("of the best qsd", cell, "iops", "vub", QSD, 1.0)
        want("CPU of fio io_uring", cell, "cpu", "vub", "fio-uring", 1.0,
             at_least=False)
        want("CPU of the best qsd", cell, "cpu", "vub", QSD, 1.0,
             at_least=False)
    want("of qsd null-co", "null-read-4k-d1-poll", "iops", "vub", "qsd-null",
         1.8)
    want("of qsd null-co", "null-read-4k-d32-poll", "iops", "vub",
         "qsd-null", 1.5)
    for op in ("read", "write"):
        want("of a bare memcpy loop", "memory-%s-4k-d32-poll" % op, "iops",
             "vub", "floor", 0.8)
    want("no spin: p50 of a bare eventfd round trip",
         "null-read-4k-d1-call", "p50", "vub-nospin", "eventfd", 1.1, False)
    want("default spin: p50 of qsd null-co", "null-read-4k-d1-call", "p50",
         "vub", "qsd-null", 1.0, False)
    for medium in ("null", "tmpfs", "memory"):
        want("packed of split", medium + "-read-4k-d32-poll", "iops",
             "vub-packed", "vub", 1.0)
    for cell in ("null-read-4k-d32-q2-poll", "tmpfs-read-128k-d64-q2-call",
                 "memory-read-128k-d64-q2-call"):
        want("two workers of one", cell, "iops", "vub-2workers", "vub", 1.5)
    return out
