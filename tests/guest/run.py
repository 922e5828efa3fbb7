#!/usr/bin/env python3
"""Runs one scenario: run.py --vub PROGRAM --cache DIR NAME[-VARIANT].

NAME is a file of scenarios/; `prepare` is none of them but makes the cache
ready. --keep keeps the files of the run."""

import argparse
import importlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from rig import initramfs, kernel, manager, rig  # noqa: E402


def prepare(cache):
    for kit in initramfs.KITS:
        if kit in manager.KITS and not os.path.exists(manager.MANAGER):
            continue
        k = kernel.find(cache, newer=kit in kernel.NEWER_KITS)
        path = initramfs.base(cache, k, kit)
        print(f"{os.path.basename(path)}: {os.path.getsize(path) >> 20} MiB, "
              f"kernel {k.release}")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--vub", required=True)
    options.add_argument("--cache", required=True)
    options.add_argument("--tools", help="where the build has libguest_*")
    options.add_argument("--keep", action="store_true",
                         default=bool(os.environ.get("VUB_GUEST_KEEP")))
    options.add_argument("name")
    chosen = options.parse_args()
    if chosen.name == "prepare":
        prepare(chosen.cache)
        return 0
    name, _, variant = chosen.name.partition("-")
    scenario = importlib.import_module("scenarios." + name)
    return rig.run(rig.Rig(chosen.vub, chosen.cache, variant or None,
                           chosen.tools),
                   scenario.run, chosen.keep)


if __name__ == "__main__":
    sys.exit(main())
