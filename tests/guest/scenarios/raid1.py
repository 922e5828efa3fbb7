"""The rig `raid1` of config/rigs: a mirror of Linux' md under load that loses a
disk of vub's, goes on, gets it back, is made whole, and then loses the other:
no write fails, and every byte is as it was written.

Variant: both, where it loses both at a time, which no mirror stands: that is
found."""

import html

from rig import example
from rig.loop import Failure

# What the guest has seen, in this order, among other lines.
SEEN = ("[2/2] [UU]", "== md Fail /dev/md0 /dev/vda", "[2/1] [_U]",
        "== right 3840 blocks", "re-added /dev/vda", "[2/2] [UU]",
        "== md Fail /dev/md0 /dev/vdb", "[2/1] [U_]", "== right 3840 blocks",
        "== exit 0")


def need_in_order(lines, texts):
    at = 0
    for text in texts:
        while at < len(lines) and text not in lines[at]:
            at += 1
        if at == len(lines):
            raise Failure(f"the guest did not see \"{text}\" in its turn")
        at += 1


def right(rig):
    result = example.run(rig, "raid1")
    result.need_passed()
    need_in_order(result.log("vm"), SEEN)
    told = html.unescape(result.html())
    for disk in "left", "right":
        if f'"event":"fault.fired","device":"{disk}"' not in told:
            raise Failure(f"the report does not tell that {disk} has failed")


def lose_both(_, scenario):
    steps = scenario["steps"]
    [at] = [i for i, step in enumerate(steps)
            if step.get("name") == "the left disk dies"]
    steps.insert(at, {"fault.arm": {"device": "right", "rule": "dead"}})
    scenario["timeout_ms"] = 5000


def both(rig):
    """md never gives up its last disk: it fails what is asked of it."""
    rigs = example.spoilt(rig, "raid1", lose_both)
    result = example.run(rig, "raid1", rigs=rigs)
    if result.status != 1 or not result.failures():
        raise Failure(f"exit status {result.status}, with both disks dead")
    rig.note(f"found: {result.failures()[0]}")
    if not [line for line in result.log("vm")
            if line.startswith(("guest_steady: writing block",
                                "guest_steady: reading block"))]:
        raise Failure("the load has not seen its write fail, nor a read")


def run(rig):
    {None: right, "both": both}[rig.variant](rig)
