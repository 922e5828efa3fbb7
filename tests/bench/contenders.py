"""Who is measured, and how one sample of it is taken.

A sample is a fresh process on the first core, the load on the last one, a
short warm-up, a measured stretch, and an end: two back-ends never live at the
same time, so none takes the other's core, image lock or cache. Whatever a
contender needs (a config, a command line) is written here as its user would
write it."""

import json
import os
import signal
import socket
import subprocess
import time

START_LIMIT_S = 10


class Failed(Exception):
    """No sample; the text says why."""


class Rig:
    """What all contenders share: programs, places, cores, durations."""

    def __init__(self, build, base, files, cores, seconds, exclusive,
                 retries):
        self.vub = os.path.join(build, "src", "vub")
        self.base = base
        self.load = os.path.join(build, "tests", "bench", "bench_load")
        self.floor = os.path.join(build, "tests", "bench", "bench_floor")
        self.files = files
        self.cores = cores
        self.seconds = seconds
        self.warm = seconds / 5  # before a sample; changes with the cell
        self.exclusive = exclusive
        self.retries = retries
        self.watched = True  # others' work is told from ours
        # What the load calls hung; it tells, and does not stay.
        self.env = dict(os.environ, VUB_TEST_TIMEOUT_MS="5000")

    def back(self, workers=1):
        """The cores of the back-end."""
        return self.cores[:workers]

    def front(self, queues=1):
        """Those of the load: a thread for each of two queues, if there are
        cores for that."""
        return self.cores[-2:] if queues > 1 and len(self.cores) >= 4 \
            else self.cores[-1:]

    def timing(self, *cores):
        out = ["--seconds", str(self.seconds), "--warm", str(self.warm)]
        # With real-time priority the others only run while we sleep.
        if self.watched and not self.exclusive:
            out += ["--watch",
                    ",".join(str(c) for some in cores for c in some)]
        return out

    def pinned(self, cores, command, priority=1, **options):
        """A process inherits the affinity of the thread that starts it, and
        its priority, which is for --exclusive only."""
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)
        if self.exclusive:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        try:
            return subprocess.Popen(command, env=self.env, **options)
        finally:
            os.sched_setaffinity(0, mine)
            if self.exclusive:
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    def run_json(self, command, cores, priority=1):
        process = self.pinned(cores, command, priority, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(
                timeout=60 + 4 * (self.seconds + self.warm))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failed("%s takes too long" % os.path.basename(command[0]))
        if process.returncode != 0:
            lines = err.strip().splitlines() or ["no reason given"]
            raise Failed(lines[-1])
        return json.loads(out)


    def line_ns(self):
        """A cache line to the other core and back. On virtual machines it
        changes with where the host runs the cores, and all that is polled
        with it."""
        cores = self.back() + self.front()
        out = self.run_json([self.floor, "line", "--seconds", "0.02",
                             "--warm", "0.005", "--core", str(cores[0]),
                             "--other-core", str(cores[1])], cores)
        return out["p50_ns"]


class Contender:
    def __init__(self, name):
        self.name = name

    def sample(self, rig, cell):
        raise NotImplementedError


class Floor(Contender):
    """A bare loop on the same file or on memory; see floor.c."""

    def __init__(self, name, plain=False, mapped=False):
        super().__init__(name)
        self.plain = plain
        self.mapped = mapped

    def sample(self, rig, cell):
        what = "map" if self.mapped else \
            "memcpy" if cell.medium == "memory" else "io"
        command = [rig.floor, what,
                   "--size", str(cell.size), "--block", str(cell.block),
                   "--depth", str(cell.depth * cell.queues),
                   "--core", str(rig.back()[0])] + rig.timing(rig.back())
        if cell.medium != "memory":
            command += ["--file", rig.files.path(cell.medium)]
        if cell.medium == "direct":
            command.append("--direct")
        if cell.op == "write":
            command.append("--write")
        if cell.sequential:
            command.append("--sequential")
        if self.plain:
            command.append("--plain")
        return rig.run_json(command, rig.back())


class Eventfd(Contender):
    def sample(self, rig, cell):
        return rig.run_json(
            [rig.floor, "eventfd", "--core", str(rig.back()[0]),
             "--other-core", str(rig.front()[0])] +
            rig.timing(rig.back(), rig.front()), rig.back() + rig.front())


class Fio(Contender):
    def sample(self, rig, cell):
        what = cell.op if cell.sequential else "rand" + cell.op
        result = rig.run_json(
            ["fio", "--name=bench", "--output-format=json",
             "--filename=" + rig.files.path(cell.medium), "--rw=" + what,
             "--bs=%d" % cell.block, "--iodepth=%d" % cell.depth,
             "--ioengine=io_uring", "--time_based",
             "--direct=%d" % (cell.medium == "direct"),
             "--runtime=%dms" % (rig.seconds * 1000),
             "--ramp_time=%dms" % (rig.warm * 1000), "--thread",
             "--cpus_allowed=%d" % rig.back()[0],
             "--percentile_list=50:99:99.9"], rig.back())
        job = result["jobs"][0]
        done = job[cell.op]
        seconds = done["runtime"] / 1000
        percent = done["clat_ns"].get("percentile", {})
        return {"ops": done["total_ios"], "seconds": seconds,
                "cpu_ns": (job["usr_cpu"] + job["sys_cpu"]) / 100
                          * seconds * 1e9,
                "p50_ns": percent.get("50.000000", 0),
                "p99_ns": percent.get("99.000000", 0),
                "p999_ns": percent.get("99.900000", 0)}


class Backend(Contender):
    """A vhost-user back-end under the load program."""

    packed = False
    workers = 1
    end = signal.SIGTERM

    def command(self, rig, cell, sock):
        raise NotImplementedError

    def start(self, rig, cell):
        sock = os.path.join(rig.files.scratch(), "d.sock")
        if os.path.exists(sock):
            os.unlink(sock)
        command = self.command(rig, cell, sock)
        log = open(os.path.join(rig.files.scratch(), "log"), "w+")
        process = rig.pinned(rig.back(self.workers), command,
                             stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        process.log = log
        return process, sock

    def stop(self, process):
        process.send_signal(self.end)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.log.close()

    def ask(self, rig, cell, front):
        """The load, but for the back-end that it is for."""
        command = [rig.load, "--op", cell.op, "--block", str(cell.block),
                   "--depth", str(cell.depth),
                   "--queues", str(cell.queues), "--notify", cell.notify,
                   "--cores", ",".join(map(str, front))]
        if not cell.event_idx:
            command.append("--no-event-idx")
        if cell.sequential:
            command.append("--sequential")
        if cell.indirect:
            command.append("--indirect")
        if cell.medium == "memory":
            command.append("--fill")
        if self.packed:
            command.append("--packed")
        return command

    def sample(self, rig, cell, more=()):
        front = rig.front(cell.queues)
        process, sock = self.start(rig, cell)
        command = self.ask(rig, cell, front)
        command += ["--socket", sock, "--pid", str(process.pid)]
        command += rig.timing(rig.back(self.workers), front)
        command += more
        try:
            # Where a back-end has all cores the front-end must get at one.
            return rig.run_json(command, front, priority=2)
        except Failed as failed:
            process.poll()
            process.log.seek(0)
            said = process.log.read().strip().splitlines()
            raise Failed("%s%s" % (failed, ": " + said[-1] if said else ""))
        finally:
            self.stop(process)

    def listen_ms(self, rig, cell):
        """From start to the first connect that succeeds."""
        begin = time.perf_counter()
        process, sock = self.start(rig, cell)
        try:
            while time.perf_counter() - begin < START_LIMIT_S:
                with socket.socket(socket.AF_UNIX) as s:
                    try:
                        s.connect(sock)
                        return (time.perf_counter() - begin) * 1000
                    except OSError:
                        if process.poll() is not None:
                            break
            raise Failed("does not listen")
        finally:
            self.stop(process)


class Vub(Backend):
    def __init__(self, name, poll_us=None, engine=None, packed=False,
                 workers=1, base=False, mapped=True):
        super().__init__(name)
        self.mapped = mapped
        self.base = base
        self.poll_us = poll_us
        self.engine = engine
        self.packed = packed
        self.workers = workers

    def command(self, rig, cell, sock):
        if cell.medium in ("memory", "null"):
            store = {"type": cell.medium, "size": str(cell.size)}
        else:
            store = {"type": "file", "path": rig.files.path(cell.medium),
                     "direct": cell.medium == "direct"}
            if self.engine:
                store["engine"] = self.engine
            if not self.mapped:
                store["map"] = 0
        worker = ["w%d" % i for i in range(cell.queues)]
        device = {"id": "d", "type": "block", "queues": cell.queues,
                  "worker": worker[:self.workers],
                  "store": store}
        if self.poll_us is not None:
            device["poll_us"] = self.poll_us
        path = os.path.join(rig.files.scratch(), "bench.json")
        with open(path, "w") as f:
            json.dump({"runtime_dir": rig.files.scratch(),
                       "devices": [device]}, f)
        return [rig.base if self.base else rig.vub, "--config", path]


class Qsd(Backend):
    """qemu-storage-daemon, one iothread, as its manual shows it. Debian 12's
    does not always end when asked to while a front-end goes."""

    end = signal.SIGKILL

    def __init__(self, name, aio):
        super().__init__(name)
        self.aio = aio

    def command(self, rig, cell, sock):
        if self.aio is None:
            node = "driver=null-co,node-name=n0,size=%d" % cell.size
        else:
            node = ("driver=file,node-name=n0,filename=%s,aio=%s,"
                    "cache.direct=%s" %
                    (rig.files.path(cell.medium), self.aio,
                     "on" if cell.medium == "direct" else "off"))
        return ["qemu-storage-daemon", "--object", "iothread,id=io0",
                "--blockdev", node, "--export",
                "type=vhost-user-blk,id=e0,node-name=n0,writable=on,"
                "iothread=io0,num-queues=%d,addr.type=unix,addr.path=%s" %
                (cell.queues, sock)]


ALL = {c.name: c for c in [
    Vub("vub"),
    Vub("vub-base", base=True),
    Vub("vub-packed", packed=True),
    Vub("vub-nospin", poll_us=0),
    Vub("vub-always", poll_us="always"),
    Vub("vub-always-packed", poll_us="always", packed=True),
    Vub("vub-threads", engine="threads"),
    Vub("vub-uring", engine="io_uring"),
    Vub("vub-2workers", workers=2),
    Vub("vub-unmapped", mapped=False),
    Qsd("qsd-uring", "io_uring"),
    Qsd("qsd-threads", "threads"),
    Qsd("qsd-native", "native"),
    Qsd("qsd-null", None),
    Fio("fio-uring"),
    Floor("floor"),
    Floor("floor-plain", plain=True),
    Floor("floor-map", mapped=True),
    Eventfd("eventfd"),
]}
