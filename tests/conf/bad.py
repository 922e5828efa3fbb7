#!/usr/bin/env python3
"""bad.py VUB NAME [--write]: runs bad/NAME and compares what is said, where @
stands for the directory."""

import difflib
import os
import subprocess
import sys
import tempfile

BAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bad")


def main():
    vub, name = sys.argv[1:3]
    args = ["--config", f"{name}.json", "--check"]
    path = os.path.join(BAD, name)
    if os.path.exists(path + ".args"):
        with open(path + ".args") as f:
            args = f.read().splitlines()
    # Sockets are bound before what a config names is opened.
    with tempfile.TemporaryDirectory() as directory:
        env = dict(os.environ, XDG_RUNTIME_DIR=directory)
        done = subprocess.run([vub, *args], cwd=BAD, env=env, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)
    said = done.stderr.replace(BAD, "@")
    if "--write" in sys.argv:
        with open(path + ".expect", "w") as f:
            f.write(said)
        return
    with open(path + ".expect") as f:
        expected = f.read()
    sys.stdout.writelines(difflib.unified_diff(
        expected.splitlines(True), said.splitlines(True),
        f"{name}.expect", "what it says"))
    if said != expected:
        sys.exit(f"{name}: not what was expected")
    if done.returncode != 2:
        sys.exit(f"{name}: exit status {done.returncode}, expected 2")
    if done.stdout:
        sys.exit(f"{name}: unexpected output: {done.stdout}")


main()
