"""libiscsi's conformance tests, iscsi-test-cu, in the guest: on a unit of an
iSCSI target (`proxied`), where each test must end as it does from this machine
against the target itself; and on a disk of vub's own (`local`), where none
fails and each that is left out has a reason here.

A test ends in one of three ways; CUnit calls one that is left out passed."""

import re

from rig import units
from rig.loop import Failure

SECONDS = 240
FAMILY = "ALL"

SCRIPT = units.ATTACHED + f"""
tell running
iscsi-test-cu -d -t {FAMILY} /dev/$(node 1 0) 2>&1 || true
tell done
"""

# On a generic node of Linux, not over iSCSI. Of each: what it says on the
# target directly, and in the guest.
DIFFERENT = {
}

# A disk of vub's: why tests are left out.
LEFT_OUT = {
}


def results(lines):
    """{"Suite.Test": "passed", "failed" or "skipped"}"""
    found, suite, test = {}, None, None
    for line in lines:
        match = re.match(r"Suite: (\S+)", line)
        if match:
            suite = match.group(1)
            continue
        match = re.match(r"  Test: (\S+) \.\.\.", line)
        if match:
            test = f"{suite}.{match.group(1)}"
            found[test] = "passed"
        if test is None:
            continue
        if "[FAILED]" in line or line.endswith("FAILED"):
            found[test] = "failed"
        elif "[SKIPPED]" in line and found[test] == "passed":
            found[test] = "skipped"
    return found


def directly(rig, url):
    process = rig.process("directly", ["iscsi-test-cu", "-d", "-t", FAMILY,
                                       url])
    process.wait_end(SECONDS)
    return results(process.output.lines)


def in_guest(rig, vub):
    guest = rig.guest(SCRIPT, [rig.scsi(vub, queues=2)], kit="conformance",
                      cpus=2, quiet=True)
    units.boot(guest, 1, "scsi generic")
    guest.wait_told("running")
    guest.wait_told("done", SECONDS)
    found = results(guest.script.lines)
    guest.wait_success()
    return found


def count(found):
    return ", ".join(f"{sum(r == how for r in found.values())} {how}"
                     for how in ("passed", "failed", "skipped"))


def proxied(rig):
    target = rig.target({1: rig.image()})
    expected = directly(rig, target.url(1))
    rig.note(f"directly: {count(expected)}")
    vub = rig.vub(units.controller(units.iscsi(rig, 1, 0, target, 1)))
    found = in_guest(rig, vub)
    rig.note(f"in the guest: {count(found)}")
    wrong = [f"{test}: {expected.get(test)} directly, {found.get(test)} in "
             "the guest"
             for test in sorted(expected.keys() | found.keys())
             if expected.get(test) != found.get(test) and
             DIFFERENT.get(test) != (expected.get(test), found.get(test))]
    wrong += [f"{test}: is no longer different" for test in DIFFERENT
              if expected.get(test) == found.get(test)]
    if wrong or len(expected) < 200:
        raise Failure(f"of {len(expected)} tests:\n" + "\n".join(wrong))


def local(rig):
    vub = rig.vub(units.controller(units.file(1, 0, rig.image())))
    found = in_guest(rig, vub)
    rig.note(f"in the guest: {count(found)}")
    wrong = [f"{test}: {how}" for test, how in found.items()
             if how == "failed" or how == "skipped" and
             not reason(test)]
    wrong += [f"{test}: is no longer left out" for test in LEFT_OUT
              if "*" not in test and found.get(test) != "skipped"]
    if wrong or len(found) < 200:
        raise Failure(f"of {len(found)} tests:\n" + "\n".join(wrong))


def reason(test):
    suite = test.split(".")[0]
    return LEFT_OUT.get(test) or LEFT_OUT.get(suite + ".*")


def run(rig):
    {"proxied": proxied, "local": local}[rig.variant](rig)
