#!/usr/bin/env python3
"""scenario.py VUB: what docs/scenario.md shows: every step on it is one, and the
example passes, with the PC that it needs."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import page

def check(scenario):
    """Without a config, and without a vub that could be asked."""
    pathlib.Path("one.json").write_text(json.dumps(scenario))
    done = subprocess.run([page.PROGRAM, "scenario", "--socket", "none",
                           "one.json"], text=True, capture_output=True)
    assert done.returncode == 1, done.stderr


def parts_are_steps():
    count = 0
    for text in page.blocks("scenario.md", "json"):
        if text.startswith("[\n"):
            count += len(json.loads(text))
            check({"steps": json.loads(text)})
    assert count > 3


def the_example_passes():
    rig, scenario = [json.loads(text)
                     for text in page.blocks("scenario.md", "json")[:2]]
    pathlib.Path("rig.json").write_text(json.dumps(rig))
    pathlib.Path("boot-test.json").write_text(json.dumps(scenario))
    if not shutil.which("qemu-system-x86_64"):
        check(scenario)
        print("there is no QEMU: the example is only read")
        return
    done = subprocess.run(
        [page.PROGRAM, "--config", "rig.json", "--scenario", "boot-test.json",
         "--report", "report", "--set", "/runtime_dir=run"], text=True,
        capture_output=True, timeout=5 * page.LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"passed: {scenario['name']}, 8 of 8 steps" in done.stdout, \
        done.stdout
    assert sorted(os.listdir("report")) == \
        ["junit.xml", "pc.log", "report.html"]


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        parts_are_steps()
        the_example_passes()


main()
