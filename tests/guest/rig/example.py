"""The rigs of config/rigs: what each needs to be run, and a run of it.

An example is a directory with devices.json, scenario.json, perhaps more
scenarios, and guest.sh, which is what its guest does. The scenario starts QEMU
itself; only the guest's kernel and root are made here, and handed on in the
environment, by names that every example uses alike."""

import json
import os
import re
import shlex
import shutil
import signal
import xml.etree.ElementTree

from . import initramfs, kernel
from .loop import Failure
from .qemu import accelerator

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), *[".."] * 3))
RIGS = os.path.join(ROOT, "config", "rigs")
END_SECONDS = 300
STOP_SECONDS = 45
STEP = re.compile(r"\[ *\d+/\d+\] ")  # begins, or has passed

# The kit of initramfs.py that the guest of each is made of, and programs of
# our own, by the names that the build has for them.
GUESTS = {
    "power-cuts": ("plain", ["guest_records"]),
    "database-eio": ("database", []),
    "installer": ("installer", ["guest_button"]),
    "raid1": ("raid", ["guest_steady"]),
}
# Empty files for disks of those that keep what was written: where the config
# has its path, the variable that has it too, and bytes.
IMAGES = {"installer": ("/devices/4/store/path", "RIG_TARGET", 64 << 20)}


def names():
    return sorted(GUESTS)


def prepare(name, cache, tools, initrd, script=None):
    """Makes the guest of an example, its root at the path `initrd`; script:
    a file with what it does, by default the example's. Returns the variables
    that its scenario uses."""
    kit, programs = GUESTS[name]
    k = kernel.find(cache, newer=kit in kernel.NEWER_KITS)
    with open(script or os.path.join(RIGS, name, "guest.sh")) as f:
        text = f.read()
    initramfs.build(initrd, initramfs.base(cache, k, kit), text,
                    [os.path.join(tools, program) for program in programs])
    emulated = accelerator() != "kvm"
    variables = {
        "RIG_KERNEL": os.path.abspath(k.image),
        "RIG_INITRD": os.path.abspath(initrd),
        "RIG_ACCEL": accelerator(),
        # For LD_PRELOAD: QEMU 7.2 wants KVM for GPUs and input devices.
        "RIG_PRELOAD": os.path.abspath(
            os.path.join(tools, "libguest_nokvm.so")) if emulated else "",
    }
    if name in IMAGES:
        _, variable, size = IMAGES[name]
        path = os.path.join(os.path.dirname(os.path.abspath(initrd)),
                            "disk.img")
        with open(path, "wb") as f:
            f.truncate(size)
        variables[variable] = path
    return variables


def settings(name, variables):
    """What an example's config is to say otherwise: values for --set."""
    if name not in IMAGES:
        return []
    where, variable, _ = IMAGES[name]
    return [f"{where}={variables[variable]}"]


def command(vub, name, scenario, report, runtime_dir, variables, rigs=RIGS):
    """The command line that runs it. rigs: where the examples are."""
    directory = os.path.relpath(os.path.join(rigs, name))
    argv = [vub, "--config", os.path.join(directory, "devices.json"),
            "--scenario", os.path.join(directory, scenario),
            "--report", report]
    for one in [f"/runtime_dir={runtime_dir}", *settings(name, variables)]:
        argv += ["--set", one]
    return argv


def show(variables, argv):
    """As somebody would type it."""
    lines = [f"export {name}={shlex.quote(value)}"
             for name, value in variables.items()]
    return "\n".join([*lines, shlex.join(argv)])


class Run:
    """What came of a scenario. status: vub's exit status. output: the lines
    that it printed. steps: of each step of the JUnit file its name and what
    it failed of, or None."""

    def __init__(self, status, output, report):
        self.status = status
        self.output = output
        self.report = report
        self.steps = []
        path = os.path.join(report, "junit.xml")
        if not os.path.exists(path):
            raise Failure(f"there is no {path}")
        self.junit = xml.etree.ElementTree.parse(path).getroot()
        for case in self.junit.iter("testcase"):
            wrong = case.find("failure")
            if wrong is None:
                wrong = case.find("error")
            if wrong is None:
                wrong = case.find("skipped")
            # "7 take it": its number keeps names apart there
            name = case.get("name").partition(" ")[2]
            self.steps.append((name, None if wrong is None else
                               wrong.get("message") or wrong.text or "failed"))

    def html(self):
        with open(os.path.join(self.report, "report.html")) as f:
            return f.read()

    def failures(self):
        return [step for step in self.steps if step[1] is not None]

    def answers(self, kind):
        """What was answered to each step of that kind that has no name of its
        own."""
        answers = []
        for case in self.junit.iter("testcase"):
            out = case.find("system-out")
            if f" {kind} " in case.get("name") and out is not None:
                answers.append(json.loads(out.text))
        return answers

    def need_failed(self, step, text):
        """That step has failed, because of something that has this text in
        it, and vub says so by its exit status."""
        if self.status != 1:
            raise Failure(f"exit status {self.status}, not 1")
        why = dict(self.failures()).get(step)
        if why is None or text not in why:
            raise Failure(f"\"{step}\" should have failed of \"{text}\"; "
                          f"this did: {self.failures()[:1]}")

    def log(self, name):
        """The lines of what the process `name` of the scenario has written."""
        with open(os.path.join(self.report, name + ".log"),
                  errors="replace") as f:
            return f.read().splitlines()

    def need_passed(self):
        if self.status != 0 or self.failures():
            raise Failure(f"exit status {self.status}, what failed first is "
                          f"{self.failures()[:1]}")
        if not self.html():
            raise Failure("the report is empty")


def spoilt(rig, name, spoil):
    """A copy of an example with something wrong, where `rigs` of run() says
    that it is: spoil(path, scenario) is called with the copy's directory and
    what its scenario.json has, to change."""
    path = rig.path(os.path.join("rigs", name))
    shutil.copytree(os.path.join(RIGS, name), path)
    file = os.path.join(path, "scenario.json")
    with open(file) as f:
        scenario = json.load(f)
    spoil(path, scenario)
    with open(file, "w") as f:
        json.dump(scenario, f)
    return os.path.dirname(path)


def run(rig, name, scenario="scenario.json", sets=(), seconds=END_SECONDS,
        rigs=RIGS):
    """Runs a scenario of an example to its end."""
    variables = prepare(name, rig.cache, rig.tools, rig.path("guest.cpio"))
    report = os.path.join(rig.logs, "report")
    argv = command(rig.binary, name, scenario, report, rig.dir, variables,
                   rigs)
    for one in sets:
        argv += ["--set", one]
    rig.note(f"{name}, {scenario}: {accelerator()}")
    process = rig.process("vub", argv, env={**os.environ, **variables},
                          on_line=lambda line: STEP.match(line) or
                          rig.note(line))
    try:
        status = process.wait_end(seconds, f"{scenario} of {name} to end")
    except Failure:
        process.signal(signal.SIGTERM)  # it ends QEMU, and writes the report
        process.wait_end(STOP_SECONDS)
        raise
    return Run(status, process.output.lines, report)
