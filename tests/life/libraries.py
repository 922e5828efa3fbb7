#!/usr/bin/env python3
"""libraries.py VUB LIBISCSI LIBPIXMAN LIBPNG LIBYAML LIBEVDEV: a library that a device
needs and that cannot be loaded is a mistake of that device, and of nobody who
has no use for it. The names are sonames; files of these names that are none
stand before the real ones."""

import json
import os
import subprocess
import sys

from host import LIMIT, PROGRAM, disk, run

ISCSI, PIXMAN, PNG, YAML, EVDEV = sys.argv[2:7]
del sys.argv[2:7]
UNIT = "iscsi://127.0.0.1:1/iqn.2024-01.example:none/0"
RECORDING = "version: 1\ndevices: []\n"


def broken(*names):
    """An environment in which these cannot be loaded."""
    os.makedirs("broken", exist_ok=True)
    for name in os.listdir("broken"):
        os.unlink(os.path.join("broken", name))
    for name in names:
        with open(os.path.join("broken", name), "w") as f:
            f.write("this is no library\n")
    return dict(os.environ, LD_LIBRARY_PATH=os.path.abspath("broken"))


def vub(*args, env):
    done = subprocess.run([PROGRAM, *args], env=env, capture_output=True,
                          text=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def config(*devices, **more):
    with open("vub.json", "w") as f:
        json.dump(dict(runtime_dir="run", devices=devices, **more), f)
    return "--config", "vub.json"


def need(said, place, soname):
    """One line of it tells of the library at that place, and how to get it."""
    start = f"vub.json: {place}: cannot load {soname}, which lib"
    lines = [line for line in said.splitlines() if line.startswith(start)]
    assert len(lines) == 1, (start, said)
    assert " has: " in lines[0] and "file too short" in lines[0], lines


def each_device_says_what_it_lacks():
    with open("recording.yml", "w") as f:
        f.write(RECORDING)
    args = config(
        disk("a"), {"id": "b", "type": "gpu"},
        disk("c", store={"type": "iscsi", "url": UNIT}),
        {"id": "d", "type": "scsi", "luns": [
            {"store": {"type": "null", "size": "1M"}},
            {"lun": 1, "iscsi": {"url": UNIT}}]},
        {"id": "e", "type": "input", "source": {
            "type": "replay", "path": "recording.yml"}})
    status, _, said = vub(*args, env=broken(ISCSI, PIXMAN, YAML))
    assert status == 2, (status, said)
    assert len(said.splitlines()) == 4, said
    need(said, "/devices/1", PIXMAN)
    need(said, "/devices/2/store", ISCSI)
    need(said, "/devices/3/luns/1/iscsi", ISCSI)
    need(said, "/devices/4/source/path", YAML)
    assert os.listdir("run") == []


def a_gpu_needs_pictures_too():
    args = config({"id": "b", "type": "gpu"})
    status, _, said = vub(*args, env=broken(PNG))
    assert status == 2, (status, said)
    need(said, "/devices/0", PNG)


def names_of_events_are_a_librarys():
    keyboard = {"id": "a", "type": "input",
                "source": {"type": "virtual", "preset": "keyboard"}}
    own = {"id": "b", "type": "input", "source": {
        "type": "virtual", "describe": {
            "name": "own", "events": ["KEY_A", "ABS_X"],
            "axes": [{"code": "ABS_X", "max": 9}]}}}
    status, _, said = vub(*config(keyboard), env=broken(EVDEV))
    assert status == 2, (status, said)
    need(said, "/devices/0", EVDEV)
    status, _, said = vub(*config(keyboard, own), "--check", env=broken(EVDEV))
    assert status == 2 and "there is no" not in said, (status, said)
    need(said, "/devices/1/source/describe", EVDEV)
    need(said, "/devices/1/source/describe/axes/0", EVDEV)


def who_has_no_use_for_them_does_not_miss_them():
    nothing = broken(ISCSI, PIXMAN, PNG, YAML, EVDEV)
    args = config(disk("a"))
    status, _, said = vub(*args, "--run", "true", env=nothing)
    assert status == 0, (status, said)
    args = config(disk("a"), control="ctl")
    status, _, said = vub(*args, "--run", "true", env=nothing)
    assert status == 0, (status, said)
    status, said, _ = vub("--version", env=nothing)
    assert status == 0 and said.startswith("vub "), said
    status, said, _ = vub("--help", env=nothing)
    assert status == 0 and "--config" in said, said
    # It looks at the config, not at the host.
    args = config(disk("a"), {"id": "b", "type": "gpu"})
    status, said, _ = vub(*args, "--check", env=nothing)
    assert status == 0 and "no errors" in said, said


def a_device_that_comes_says_what_was_lacking_at_the_start():
    ask = ("ctl", "--socket", "run/ctl", "device.add",
           "config=" + json.dumps({"id": "b", "type": "gpu"}))
    args = config(disk("a"), control="ctl")
    command = " ".join(f"'{word}'" for word in (PROGRAM, *ask))
    status, _, said = vub(*args, "--run", command, env=broken(PIXMAN))
    assert status != 0, said
    assert f"{PIXMAN}, which lib" in said, said
    assert "is loaded only before vub enters its sandbox: start it again " \
        f"(it tried: cannot load {PIXMAN}" in said, said


def iscsi_list_says_it():
    status, _, said = vub("iscsi-list", "127.0.0.1:1", env=broken(ISCSI))
    assert status != 0 and f"cannot load {ISCSI}" in said, (status, said)


run([each_device_says_what_it_lacks, a_gpu_needs_pictures_too,
     names_of_events_are_a_librarys,
     who_has_no_use_for_them_does_not_miss_them,
     a_device_that_comes_says_what_was_lacking_at_the_start,
     iscsi_list_says_it])
