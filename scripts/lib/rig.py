#!/usr/bin/env python3
"""Runs a rig of config/rigs, as somebody would by hand. Called by scripts/rig.

It becomes vub, so what vub prints and how it ends is what one gets."""

import argparse
import os
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "guest"))

from rig import example  # noqa: E402


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--vub")
    options.add_argument("--cache")
    options.add_argument("--tools")
    options.add_argument("--reports")
    options.add_argument("--prepare", action="store_true")
    options.add_argument("--from", dest="at")  # where paths are relative to
    options.add_argument("--guest")
    options.add_argument("name", nargs="?")
    options.add_argument("scenario", nargs="?", default="scenario.json")
    chosen = options.parse_args()
    if chosen.name not in example.names():
        if chosen.name:
            print(f"rig: there is no guest for \"{chosen.name}\": one of your "
                  "own uses that of another, see config/rigs/README.md",
                  file=sys.stderr)
        print("rig: there are: " + ", ".join(example.names()), file=sys.stderr)
        return 2
    report = os.path.join(chosen.reports, chosen.name)
    os.makedirs(report, exist_ok=True)
    variables = example.prepare(chosen.name, chosen.cache, chosen.tools,
                                os.path.join(report, "guest.cpio"),
                                chosen.guest and
                                os.path.join(chosen.at, chosen.guest))
    # A short path: a socket's ends at 107 bytes.
    argv = example.command(chosen.vub, chosen.name, chosen.scenario, report,
                           tempfile.mkdtemp(prefix="vub-rig-"), variables)
    text = example.show(variables, argv)
    if chosen.prepare:
        print(text)
        return 0
    print(f"{text}\n", flush=True)
    os.execve(argv[0], argv, {**os.environ, **variables})


if __name__ == "__main__":
    sys.exit(main())
