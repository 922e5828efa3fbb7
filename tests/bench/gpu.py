"""scripts/bench gpu: vub's GPU beside QEMU's vhost-user-gpu.

A guest's driver without a guest redraws a part of a screen of 1920 x 1080, and
reads the display socket until it is all there; then it draws the next frame
(gpu_load.c). The picture is a 2D resource, which is copied to the host and
sent from there, or a blob, which is sent from guest memory; the peer has no
blobs, and its 2D resource stands for one. Guest memory is one piece or, as
guests really have it, pages in no order. The floor copies as much out of
shared memory and sends it, and knows nothing of queues and pictures.
block.py says how samples are taken."""

import dataclasses
import json
import os
import sys

import block
import matrix
from contenders import Backend, Contender

PEER = "/usr/lib/qemu/vhost-user-gpu"
WIDTH, HEIGHT = 1920, 1080
PIXEL = 4
ROOM = 256 << 10  # SO_SNDBUF, as vub sets it (viewer.h); the kernel doubles it
FRAMES = ("frame", "frames/s")


@dataclasses.dataclass(frozen=True)
class Cell:
    damage: tuple  # width, height
    scattered: bool

    queues = 1
    medium, op = "gpu", "show"  # of which there are no files

    @property
    def name(self):
        what = "full" if self.damage == (WIDTH, HEIGHT) else \
            "%dx%d" % self.damage
        return what + ("-pages" if self.scattered else "-piece")


class Gpu(Backend):
    """A back-end whose guest has a 2D resource or a blob, in the cell's
    memory or always in one piece."""

    blob = False
    one_piece = False

    def ask(self, rig, cell, front):
        command = [os.path.join(os.path.dirname(rig.load), "bench_gpu"),
                   "--damage", "%dx%d" % cell.damage,
                   "--core", str(front[0])]
        if cell.scattered and not self.one_piece:
            command.append("--scattered")
        if self.blob:
            command.append("--blob")
        if self.packed:
            command.append("--packed")
        return command


class Vub(Gpu):
    def __init__(self, name, blob=False, one_piece=False, poll_us=None,
                 packed=False, base=False):
        super().__init__(name)
        self.blob = blob
        self.one_piece = one_piece
        self.poll_us = poll_us
        self.packed = packed
        self.base = base

    def command(self, rig, cell, sock):
        device = {"id": "d", "type": "gpu",
                  "scanouts": [{"width": WIDTH, "height": HEIGHT}]}
        if self.poll_us is not None:
            device["poll_us"] = self.poll_us
        path = os.path.join(rig.files.scratch(), "bench.json")
        with open(path, "w") as f:
            json.dump({"runtime_dir": rig.files.scratch(),
                       "devices": [device]}, f)
        return [rig.base if self.base else rig.vub, "--config", path]


class Qemu(Gpu):
    """Debian's, 2D. Where it may use udmabuf it shows dma-bufs, and sends no
    pixels: then there is no sample."""

    def command(self, rig, cell, sock):
        return [PEER, "--socket-path", sock]


class Floor(Contender):
    """See floor.c, frame and send. room: 0 is the system's, which qemu has."""

    def __init__(self, name, what, room=ROOM):
        super().__init__(name)
        self.what = what
        self.room = room

    def sample(self, rig, cell):
        width, height = cell.damage
        cores = rig.back() + rig.front()
        return rig.run_json(
            [rig.floor, self.what, "--size", str(WIDTH * HEIGHT * PIXEL),
             "--block", str(width * height * PIXEL), "--room", str(self.room),
             "--core", str(cores[0]), "--other-core", str(cores[1])] +
            rig.timing(rig.back(), rig.front()), cores)


EVERYONE = {c.name: c for c in [
    Vub("vub"),
    Vub("vub-base", base=True),
    Vub("vub-piece", one_piece=True),
    Vub("vub-blob", blob=True),
    Vub("vub-blob-piece", blob=True, one_piece=True),
    Vub("vub-nospin", poll_us=0),
    Vub("vub-packed", packed=True),
    Qemu("qemu"),
    Floor("floor", "frame"),
    Floor("floor-send", "send"),
    Floor("floor-default", "frame", room=0),
]}


def plan(quick):
    out = []
    for damage in ((WIDTH, HEIGHT), (512, 512), (64, 64)):
        names = ["vub", "vub-piece", "vub-blob", "vub-blob-piece",
                 "vub-nospin", "qemu", "floor", "floor-send",
                 "floor-default"]
        if not quick:
            names.insert(5, "vub-packed")
        out.append((Cell(damage, True), tuple(names)))
        if not quick:
            names = ["vub", "vub-blob", "qemu", "floor", "floor-send"]
            out.append((Cell(damage, False), tuple(names)))
    return out


def wanted():
    out = []

    def want(text, cell, metric, who, against, bound, at_least=True):
        out.append(matrix.Wanted(text, cell, metric, who, (against,), bound,
                                 at_least))

    for cell in ("full-pages", "full-piece"):
        want("CPU of a copy and a send", cell, "cpu", "vub", "floor", 1.1,
             False)
        want("of qemu", cell, "iops", "vub", "qemu", 1.2)
        want("of qemu's 2D", cell, "iops", "vub-blob", "qemu", 1.4)
    want("of qemu", "64x64-pages", "iops", "vub", "qemu", 2.0)
    for damage in ("full", "512x512", "64x64"):
        cell = damage + "-pages"
        want("CPU of one piece", cell, "cpu", "vub", "vub-piece", 1.1, False)
    want("CPU of one piece", "64x64-pages", "cpu", "vub-blob",
         "vub-blob-piece", 1.1, False)
    return out


def main():
    o = block.options("scripts/bench gpu", __doc__.splitlines()[0], EVERYONE)
    todo = block.choose(o, plan(o.quick))
    return block.run(o, todo, wanted(), EVERYONE, 0, words=FRAMES)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
