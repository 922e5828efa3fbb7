#!/usr/bin/env python3
"""units.py VUB: what docs/operating.md shows of units is what systemd takes."""

import pathlib
import re
import shutil
import subprocess

from host import LIMIT, PROGRAM, run

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs/operating.md"


def systemd_takes_the_units_of_the_page():
    if not shutil.which("systemd-analyze"):
        return "skipped: there is no systemd-analyze"
    units = re.findall(r"^`(vub[\w-]*\.\w+)`.*?^```ini\n(.*?)^```$",
                       DOCS.read_text(), re.M | re.S)
    names = [name for name, _ in units]
    assert names == ["vub.service", "vub-root.socket"], names
    for name, text in units:
        pathlib.Path(name).write_text(text.replace("/usr/bin/vub", PROGRAM))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
         *(f"./{name}" for name in names)],
        text=True, capture_output=True, timeout=LIMIT)
    said = [line for line in done.stderr.splitlines() if "vub" in line]
    assert done.returncode == 0 and not said, done
    return None


run([systemd_takes_the_units_of_the_page])
