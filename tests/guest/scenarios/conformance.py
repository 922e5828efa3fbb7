"""libiscsi's conformance tests, iscsi-test-cu, in the guest: on a unit of an
iSCSI target (`proxied`), where each test must end as it does from this machine
against the target itself; and on a disk of vub's own (`local`), where none
fails and each that is left out has a reason here.

A test ends in one of three ways; CUnit calls one that is left out passed."""

import fnmatch
import re

from rig import units
from rig.loop import Failure

SECONDS = 240
FAMILY = "ALL"
TESTS = 230  # that this family has

SCRIPT = units.ATTACHED + f"""
tell running
iscsi-test-cu -d -t {FAMILY} /dev/$(node 1 0) 2>&1 || true
tell done
"""

# On a generic node of a guest there is no session of the test's own. These want
# one: a second initiator, or PDUs that are not as they should be. They are left
# out there, whatever they say of the target directly.
SESSION = {
    "ProutPreempt.RemoveRegistration": "a second initiator preempts",
    "ProutReserve.Access*": "a second initiator tries to read and write",
    "ProutReserve.Ownership*": "a second initiator looks",
    "Reserve6.2Initiators": "a second initiator reserves",
    "Reserve6.Logout": "the session ends by a logout",
    "Reserve6.ITNexusLoss": "the session is lost",
    "Reserve6.LUNReset": "a second initiator looks",
    "iSCSIcmdsn.*": "PDUs have wrong numbers",
    "iSCSIdatasn.*": "PDUs have wrong numbers",
    "iSCSIResiduals.*": "PDUs announce other lengths than their CDBs",
}

# What is left out on a disk of vub's beside these; docs/scsi-disk.md says more.
LEFT_OUT = {
    **SESSION,
    "CompareAndWrite.InvalidDataOutSize": "it changes iSCSI PDUs",
    "ExtendedCopy.*": "no such command",
    "MultipathIO.*": "it wants a second path",
    "PreventAllow.*": "the medium is not removable",
    "PrinReadKeys.*": "no reservations",
    "PrinReportCapabilities.*": "no reservations",
    "PrinServiceactionRange.*": "no reservations",
    "ProutClear.*": "no reservations",
    "ProutRegister.*": "no reservations",
    "ProutReserve.Simple": "no reservations",
    "ReadOnly.ReadOnlySBC": "the disk is not protected",
    "ReceiveCopyResults.*": "no such command",
    "ReportSupportedOpcodes.OneCommand": "the test asks for INVALID FIELD IN "
                                         "CDB, and calls it \"not "
                                         "implemented\"",
    "Reserve6.Simple": "no reservations",
    "Reserve6.Target*": "it wants a session of its own",
    "Sanitize.*": "no such command, and nobody has allowed it",
    "StartStopUnit.Simple": "the medium is not removable",
    "WriteAtomic16.*": "no such command",
    "WriteSame10.InvalidDataOutSize": "WRITE SAME (10) does not unmap",
    "WriteSame10.Unmap*": "WRITE SAME (10) does not unmap",
    "WriteSame16.InvalidDataOutSize": "the test wants WRITE SAME (10) to "
                                      "unmap",
    "WriteSame16.UnmapUnaligned": "nothing is unaligned: a physical block is "
                                  "one logical one",
}


def matching(table, test):
    """The keys of the table that mean this test."""
    return [key for key in table if fnmatch.fnmatchcase(test, key)]


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
        if line.endswith("FAILED"):  # "[FAILED]" alone may be what it wants
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
    target = rig.target(rig.image())
    expected = directly(rig, target.url(1))
    rig.note(f"directly: {count(expected)}")
    vub = rig.vub(units.controller(units.iscsi(rig, 1, 0, target, 1)))
    found = in_guest(rig, vub)
    rig.note(f"in the guest: {count(found)}")
    wrong = []
    for test in sorted(expected.keys() | found.keys()):
        wanted = "skipped" if matching(SESSION, test) else expected.get(test)
        if found.get(test) != wanted:
            wrong.append(f"{test}: {expected.get(test)} directly, "
                         f"{found.get(test)} in the guest")
    judge(expected, wrong)


def local(rig):
    vub = rig.vub(units.controller(units.file(
        1, 0, rig.image(), physical_block_size=512)))
    found = in_guest(rig, vub)
    rig.note(f"in the guest: {count(found)}")
    wrong = [f"{test}: {how}" for test, how in found.items()
             if how == "failed" or
             how == "skipped" and not matching(LEFT_OUT, test)]
    used = {key for test, how in found.items() if how == "skipped"
            for key in matching(LEFT_OUT, test)}
    wrong += [f"{key}: nothing of it is left out" for key in LEFT_OUT
              if key not in used]
    judge(found, wrong)


def judge(found, wrong):
    if wrong or len(found) < TESTS:
        raise Failure(f"of {len(found)} tests:\n" + "\n".join(wrong))


def run(rig):
    {"proxied": proxied, "local": local}[rig.variant](rig)
