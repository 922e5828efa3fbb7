#!/usr/bin/env python3
"""units.py VUB: the units of packaging/systemd are what systemd takes."""

import pathlib
import shutil
import subprocess

from host import LIMIT, PROGRAM, run

UNITS = pathlib.Path(__file__).resolve().parents[2] / "packaging/systemd"


def systemd_takes_the_units():
    if not shutil.which("systemd-analyze"):
        return "there is no systemd-analyze"
    names = sorted(path.name for path in UNITS.iterdir())
    assert names == ["vub-device@.socket", "vub.service", "vub@.service"], names
    instances = []
    for name in names:
        text = (UNITS / name).read_text()
        assert "/usr/bin/vub" in text or name.endswith(".socket"), name
        instances.append(name.replace("@.", "@vm1-root."))
        for each in (name, instances[-1]):
            pathlib.Path(each).write_text(text.replace("/usr/bin/vub", PROGRAM))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
         *(f"./{name}" for name in instances)],
        text=True, capture_output=True, timeout=LIMIT)
    said = [line for line in done.stderr.splitlines() if "vub" in line]
    assert done.returncode == 0 and not said, done
    return None


run([systemd_takes_the_units])
