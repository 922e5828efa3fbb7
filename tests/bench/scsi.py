"""scripts/bench scsi: vub's SCSI host beside what one would run instead.

A unit of an iSCSI target (tgt, on a file in memory) through vub, against
iscsi-perf, which asks the same unit by the same library with nothing between:
that is the most that can be had. A disk of vub's own against its block device
on the same store. block.py says how samples are taken.

With the target on a core of its own, vub and its guest share the other one if
there are just two; on a shared core the target has vub, or iscsi-perf, beside
it. The guest sleeps until it is called: an iSCSI target takes long enough."""

import contextlib
import copy
import json
import os
import re
import statistics
import subprocess
import sys
import time

import block
import machine
import matrix
import report
from contenders import ALL, Backend, Contender, Failed

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "iscsi"))

from tgt import Lun, Tgt, TgtError  # noqa: E402

SIZE = 256 << 20
OWN, SHARED = "tgt-own", "tgt-shared"


def placed(rig, cell):
    """The rig of a cell with a target: who initiates, and its guest; and the
    target's core. What the target does is no disturbance, so nobody looks for
    any."""
    out = copy.copy(rig)
    first, last = rig.cores[0], rig.cores[-1]
    initiator = first if cell.medium == SHARED else rig.cores[1]
    out.cores = [initiator, last]
    out.watched = False
    return out, first


@contextlib.contextmanager
def priority(rig):
    """What is started meanwhile has it."""
    if rig.exclusive:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        if rig.exclusive:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def with_target(rig, cell, use):
    """use(rig, url) while a target runs that serves the file as unit 1."""
    here, core = placed(rig, cell)
    target = Tgt(rig.files.scratch(), [Lun(rig.files.path("tmpfs"))],
                 cpus=str(core))
    try:
        with priority(rig):
            target.start()
        return use(here, target.url(1))
    except TgtError as e:
        raise Failed(str(e)) from e
    finally:
        target.stop()


class Vub(Backend):
    """One unit, 0:0, of whatever the cell's medium is."""

    def __init__(self, name, poll_us=None, packed=False, base=False):
        super().__init__(name)
        self.base = base
        self.poll_us = poll_us
        self.packed = packed

    def command(self, rig, cell, sock):
        unit = {"store": {"type": cell.medium, "size": str(cell.size)}}
        if cell.medium in (OWN, SHARED):
            unit = {"iscsi": {"url": self.url}}
        device = {"id": "d", "type": "scsi", "luns": [unit]}
        if self.poll_us is not None:
            device["poll_us"] = self.poll_us
        path = os.path.join(rig.files.scratch(), "bench.json")
        with open(path, "w") as f:
            json.dump({"runtime_dir": rig.files.scratch(),
                       "devices": [device]}, f)
        return [rig.base if self.base else rig.vub, "--config", path]

    def sample(self, rig, cell, more=()):
        def through(here, url):
            self.url = url
            return super(Vub, self).sample(here, cell, more)

        more = ("--scsi", "0:0", *more)
        if cell.medium in (OWN, SHARED):
            return with_target(rig, cell, through)
        return super().sample(rig, cell, more)


class IscsiPerf(Contender):
    """Random reads, counted for whole seconds. It does not tell latencies: the
    mean stands for them."""

    def sample(self, rig, cell):
        return with_target(rig, cell, lambda here, url:
                           self.ask(here, cell, url))

    def ask(self, rig, cell, url):
        seconds = max(1, round(rig.seconds))
        process = rig.pinned(
            rig.back(), ["iscsi-perf", "-r", "-m", str(cell.depth), "-b",
                         str(cell.block // 512), "-t", str(seconds), url],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        found = re.findall(r"^iops average (\d+)", said, re.M)
        if process.returncode != 0 or not found:
            raise Failed("iscsi-perf: " + said.strip()[-100:])
        iops = int(found[-1])
        mean = 1e9 * cell.depth / iops
        return {"ops": iops * seconds, "seconds": seconds,
                "cpu_ns": (used.ru_utime + used.ru_stime) * 1e9,
                "p50_ns": mean, "p99_ns": mean, "p999_ns": mean}


EVERYONE = {c.name: c for c in [
    Vub("vub"),
    Vub("vub-base", base=True),
    Vub("vub-nospin", poll_us=0),
    Vub("vub-packed", packed=True),
    IscsiPerf("iscsi-perf"),
]}
EVERYONE["vub-block"] = ALL["vub"]
EVERYONE["eventfd"] = ALL["eventfd"]


def plan(quick):
    out = []

    def add(names, **cell):
        out.append((matrix.Cell(size=SIZE, **cell), tuple(names)))

    for medium in (OWN, SHARED):
        for depth in (1, 32):
            names = ["vub", "vub-nospin", "iscsi-perf"]
            if depth == 1:
                names.append("eventfd")
            add(names, medium=medium, op="read", depth=depth, notify="call")
        if not quick:
            add(["vub", "iscsi-perf"], medium=medium, op="read", depth=32,
                block=128 << 10, notify="call")
    for op in ("read", "write"):
        for depth in (32,) if quick else (1, 32, 128):
            names = ["vub", "vub-block"]
            if depth == 32:
                names.insert(1, "vub-packed")
            add(names, medium="memory", op=op, depth=depth)
    for depth in (32,) if quick else (1, 32, 128):
        add(["vub", "vub-packed", "vub-block"], medium="null", op="read",
            depth=depth)
    return out


def wanted():
    out = [matrix.Wanted("of iscsi-perf", "%s-read-4k-d32-call" % medium,
                         "iops", "vub", ("iscsi-perf",), 0.9)
           for medium in (OWN, SHARED)]
    out += [matrix.Wanted("of the block device", "memory-%s-4k-d32-poll" % op,
                          "iops", "vub", ("vub-block",), 0.8)
            for op in ("read", "write")]
    return out


def latencies(results):
    """At depth 1 a request through vub takes what iscsi-perf's takes, and a
    wake-up each way."""
    out = []
    for medium in (OWN, SHARED):
        cell = "%s-read-4k-d1-call" % medium
        values = [(1e9 / report.iops(s["vub"]) -
                   1e9 / report.iops(s["iscsi-perf"])) / s["eventfd"]["p50_ns"]
                  for s in results.get(cell, ())
                  if {"vub", "iscsi-perf", "eventfd"} <= s.keys()]
        if values:
            out.append((cell + ": vub over iscsi-perf, in eventfd round trips,"
                        " at most 1.00", report.spread(values),
                        report.verdict(values, 1.0, False)))
    return out


def main():
    o = block.options("scripts/bench scsi", __doc__.splitlines()[0], EVERYONE)
    todo = block.choose(o, plan(o.quick))
    return block.run(o, todo, wanted(), EVERYONE, SIZE, more=latencies)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
