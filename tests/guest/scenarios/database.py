"""config/rigs/database-eio: sqlite on a disk that fails a write, again and
again. It has to say so each time, and to hold what it has committed."""

import re

from rig import example

ROUNDS = 17


def run(rig):
    run = example.run(rig, "database-eio")
    run.need_passed()
    lines = run.log("vm")
    refused = [line for line in lines if line.startswith("== refused ")]
    assert len(refused) == ROUNDS, refused
    assert all("disk I/O error" in line for line in refused), refused
    held = [int(m[1]) for m in (re.match(r"== holds (\d+) ", line)
                                for line in lines) if m]
    rig.note(f"transactions, after each of {ROUNDS} errors: {held}")
    assert len(held) == ROUNDS and held == sorted(held) and held[-1] > 0, held
