"""scripts/bench block: vub's block device beside what one would run instead.

Rounds: in each, every contender of a cell is measured once, one after the
other, in an order that turns from round to round; ratios are taken within a
round. See matrix.py (what), contenders.py (who), report.py (how it reads)."""

import argparse
import json
import os
import sys
import time

import machine
import matrix
import report
from contenders import ALL, Failed, Rig

KIB = 1024
DISTURBED = 0.1  # cores' worth of others' work during a sample
TRIES = 3  # for one sample
RETRIES = 40  # in all: a busy machine must not take for ever
# Until a vub has mapped what is asked for often. Large requests ask for a place
# seldom, and each page of what goes to a disk is dear to write to at first.
WARM_CACHED_S, WARM_LONG_S = 0.6, 2.5


def options(prog, about, everyone):
    p = argparse.ArgumentParser(prog=prog, description=about)
    p.add_argument("--quick", action="store_true",
                   help="what the wishes need, short samples")
    p.add_argument("--only", metavar="TEXT", action="append",
                   help="only cells whose name contains TEXT (and the "
                   "extras, if 'extras' does); may be given again")
    p.add_argument("--contenders", metavar="A,B",
                   help="only these: " + ", ".join(everyone))
    p.add_argument("--base", metavar="VUB", help="measure this vub too, as "
                   "vub-base: before and after in one run")
    p.add_argument("--json", metavar="FILE", help="write all samples there")
    p.add_argument("--rounds", type=int)
    p.add_argument("--seconds", type=float, help="of one sample")
    p.add_argument("--disk-dir", default="/var/tmp",
                   help="where the files on disk are made (%(default)s)")
    p.add_argument("--exclusive", action="store_true",
                   help="with real-time priority: nothing else runs on the "
                   "two cores during a sample; for machines that are not "
                   "idle (needs root)")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    p.add_argument("--list", action="store_true", help="name the cells, stop")
    return p.parse_args()


def wants(only, name):
    return not only or any(text in name for text in only)


def worse(a, b):
    return a.get("foreign", 0) > b.get("foreign", 0)


def quiet_sample(rig, cell, contender):
    """A sample; others while others' programs disturb it, as long as there
    are retries left. The least disturbed one."""
    best = None
    for _ in range(TRIES):
        if rig.exclusive:
            time.sleep(rig.seconds / 2)  # the others' turn
        sample = contender.sample(rig, cell)
        if best is None or worse(best, sample):
            best = sample
        if best.get("foreign", 0) <= DISTURBED or rig.retries == 0:
            break
        rig.retries -= 1
    return best


def measure_cell(rig, cell, contenders, rounds, everyone):
    """([{contender: sample}] per round, {contender: why it has none},
    [line_ns] per round)."""
    out, failures, line = [], {}, []
    rig.warm = rig.seconds / 5
    if cell.medium in ("tmpfs", "ext4"):
        slow = cell.block > 4096 or (cell.medium, cell.op) == ("ext4", "write")
        rig.warm = max(rig.warm, WARM_LONG_S if slow else WARM_CACHED_S)
    rig.files.prepare(cell.medium, cell.op)
    for index in range(rounds):
        samples = {}
        line.append(rig.line_ns())
        turn = index % len(contenders)
        for name in contenders[turn:] + contenders[:turn]:
            if name in failures:
                continue
            try:
                samples[name] = quiet_sample(rig, cell, everyone[name])
            except Failed as failed:
                failures[name] = str(failed)
        out.append(samples)
    return out, failures, line


def measure_extras(rig, quick):
    """Memory, time to listen, wake-ups when idle: a null disk each. Returns
    ([rows to print], [wishes judged], {for the JSON})."""
    cell = matrix.Cell("null", "read", 1)
    idle_s = 2 if quick else 10
    rows = [("", "resident KiB", "listening ms", "idle wake-ups")]
    judged, data = [], {}
    for name in ("vub", "qsd-null"):
        try:
            starts = [ALL[name].listen_ms(rig, cell) for _ in range(5)]
            sample = ALL[name].sample(rig, cell, ("--idle", str(idle_s)))
        except Failed as failed:
            rows.append((name, str(failed)))
            continue
        rss, wakes = sample["rss"] / KIB, sample["idle_wakeups"]
        data[name] = {"listen_ms": starts, "sample": sample}
        rows.append((name, "%.0f" % rss, report.spread(starts),
                     "%d in %d s" % (wakes, idle_s)))
        if name == "vub":
            judged = [
                ("resident beside guest memory, at most 4096 KiB",
                 "%.0f" % rss, "met" if rss <= 4096 else "missed"),
                ("listening within 15 ms", report.spread(starts),
                 report.verdict(starts, 15, False)),
                ("no wake-ups when idle", str(wakes),
                 "met" if wakes == 0 else "missed")]
    return rows, judged, data


def count_disturbed(results):
    every = [sample.get("foreign", 0) for rounds in results.values()
             for samples in rounds for sample in samples.values()]
    return sum(foreign > DISTURBED for foreign in every), len(every)


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + text)
        sys.stderr.flush()


def choose(o, cells):
    """[(cell, contenders)] of those in `cells` that the options want."""
    todo = [(cell, names) for cell, names in cells if wants(o.only, cell.name)]
    if o.base:
        todo = [(cell, names + ("vub-base",) * ("vub" in names))
                for cell, names in todo]
    if o.contenders:
        allowed = o.contenders.split(",")
        todo = [(cell, tuple(n for n in names if n in allowed) or
                 tuple(allowed)) for cell, names in todo]
    if not todo and not (o.only and wants(o.only, "extras")):
        sys.exit("bench: no cell has such a name; --list tells them")
    return todo


def run(o, todo, wanted, everyone, size, extras=None, more=None,
        words=report.REQUESTS):
    """Measures todo and prints all that there is to say. size: of the files.
    extras(rig, quick): what is measured beside cells; more(results): wishes
    that are no ratios. Both may be None. The exit status."""
    cores = machine.cores()
    if o.list:
        for cell, names in todo:
            print(cell.name + ":", ", ".join(names))
        return 0
    if len(cores) < 2:
        sys.exit("bench: one core is too few: back-end and front-end need "
                 "one each")
    rounds = o.rounds or (3 if o.quick else 5)
    seconds = o.seconds or (0.3 if o.quick else 1.0)
    about = machine.describe(o.disk_dir, "/dev/shm")
    report.table(about)
    print("%d rounds of %.1f s samples; back-end on core %d, front-end on "
          "core %d" % (rounds, seconds, cores[0], cores[-1]))
    results, lines, beside, judged = {}, {}, {}, []
    begin = time.monotonic()
    with machine.Files(size, o.disk_dir) as files:
        rig = Rig(o.build, o.base, files, cores, seconds, o.exclusive,
                  RETRIES)
        for index, (cell, names) in enumerate(todo):
            progress("%d/%d %s" % (index + 1, len(todo), cell.name))
            got, failures, line = measure_cell(rig, cell, names, rounds,
                                               everyone)
            results[cell.name], lines[cell.name] = got, line
            progress("")
            report.print_cell(cell.name, names, got, failures, line, words)
            sys.stdout.flush()
        if extras and wants(o.only, "extras"):
            rows, judged, beside = extras(rig, o.quick)
            print("\nfootprint, with a null disk")
            report.table(rows, "  ")
    disturbed, total = count_disturbed(results)
    if disturbed:
        print("\n%d of %d samples were disturbed: other programs took more "
              "than %d %% of a core" % (disturbed, total, DISTURBED * 100))
    if disturbed > total / 5:
        print("Too many to believe in IOPS; see --exclusive.")
    if more:
        judged = more(results) + judged
    report.print_verdicts(report.judge(wanted, results) + judged)
    print("took %.0f s, load at the end %.2f" % (time.monotonic() - begin,
                                                 os.getloadavg()[0]))
    if o.json:
        with open(o.json, "w") as f:
            json.dump({"machine": dict(about), "rounds": rounds,
                       "seconds": seconds, "cells": results,
                       "line_ns": lines, "extras": beside}, f, indent=1)
    return 0


def main():
    o = options("scripts/bench block", __doc__.splitlines()[0], ALL)
    todo = choose(o, matrix.plan(o.quick, len(machine.cores())))
    return run(o, todo, matrix.wanted(), ALL, matrix.GIB, measure_extras)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
