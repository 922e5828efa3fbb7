"""config/rigs/power-cuts: ext4 loses nothing that it has acknowledged in fifty
power cuts. liar: a disk that ignores FLUSH is caught at the first one."""

import re

from rig import example
from rig.loop import Failure

CUTS = 50


def last(lines, pattern):
    """The last line that the pattern matches, as its groups."""
    found = [m for m in (re.search(pattern, line) for line in lines) if m]
    if not found:
        raise Failure(f"the guest has not said {pattern}")
    return found[-1].groups()


def survives(rig):
    run = example.run(rig, "power-cuts")
    run.need_passed()
    lines = run.log("vm")
    records, rounds = last(lines, r"^== kept (\d+) records of (\d+) rounds")
    assert int(rounds) == CUTS, rounds
    # At some of the cuts there was something to lose.
    assert int(records) > 10 * CUTS, records
    cuts = run.answers("wait.event")
    assert len(cuts) == CUTS, len(cuts)
    lossy = [cut for cut in cuts if cut["sectors_lost"]]
    rig.note(f"{records} records, {len(lossy)} of {CUTS} cuts have lost "
             "something that was not acknowledged")
    assert len(lossy) >= CUTS // 5, len(lossy)


def catches(rig):
    run = example.run(rig, "power-cuts", "liar.json")
    run.need_passed()
    lines = run.log("vm")
    rig.note("caught: " + last(lines, r"^== (lost .*)")[0])
    # It was good while the disk told the truth.
    assert last(lines, r"^== kept \d+ records of (\d+) rounds") == ("1",)


def run(rig):
    if rig.variant == "liar":
        catches(rig)
    else:
        survives(rig)
