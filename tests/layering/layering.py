#!/usr/bin/env python3
"""layering.py SRC: holds every #include below SRC to the order of the folders
(docs/architecture.md, "Layers"), and every foreign header to the folders that
may name it. Prints FILE:LINE: sentence for each that is not allowed."""

import fnmatch
import os
import re
import sys

# A folder sees what stands in an earlier line, and itself; main.c sees all.
ORDER = [
    ["base"],
    ["os"],
    ["conf", "loop", "virtio"],
    ["iscsi"],
    ["store", "vhost"],
    ["device"],
    ["daemon"],
]

# Not even so: they meet in virtio/device.h, or have nothing to say.
STRANGERS = {
    ("device", "vhost"),
    ("iscsi", "virtio"),
}

# Which files may name which foreign header; the first row that fits counts.
# A header that is in no row is the C library's: anybody's.
FOREIGN = [
    ("cjson/*", ["conf/json.c"]),
    ("cJSON.h", ["conf/json.c"]),
    ("uv.h", ["loop/*"]),
    ("uv/*", ["loop/*"]),
    ("liburing*", ["os/linux/*"]),
    ("iscsi/*", ["iscsi/*"]),
    ("libevdev/*", ["device/input/evdev_node.c", "device/input/names.c"]),
    ("yaml.h", ["device/input/recording_libinput.c"]),
    ("pixman*", ["device/gpu/pixels.c"]),
    ("png.h", ["device/gpu/png.c"]),
    ("xxhash.h", ["device/gpu/picture.c"]),
    ("seccomp.h", ["os/linux/*"]),
    # The system's own: os/*.h say what, os/linux/*.c how.
    ("pthread.h", ["os/*"]),
    ("linux/*", ["os/linux/*"]),
    ("scsi/*", ["os/linux/*"]),
    ("asm/*", ["os/linux/*"]),
    ("malloc.h", ["os/linux/*"]),
    ("sched.h", ["os/linux/*"]),
    ("poll.h", ["os/linux/*", "iscsi/*"]),  # libiscsi's events are poll's
    ("sys/types.h", ["*"]),
    ("sys/stat.h", ["*"]),
    ("sys/uio.h", ["*"]),
    ("sys/*", ["os/linux/*"]),
    ("net/*", ["os/linux/*"]),
    ("netinet/*", ["os/linux/*"]),
    ("arpa/*", ["os/linux/*"]),
    ("netdb.h", ["os/linux/*"]),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def rank(folder):
    for n, line in enumerate(ORDER):
        if folder in line:
            return n
    return None


def folder_of(path):
    """The layer of a file, or None for what lies in src itself."""
    return path.split("/")[0] if "/" in path else None


def own_fault(src, path, included):
    """Why `path` may not include our own `included`; None: it may."""
    if not os.path.exists(os.path.join(src, included)):
        return f'there is no src/{included}; includes are written from src'
    if not included.endswith(".h"):
        return f"{included} is no header"
    above, below = folder_of(path), folder_of(included)
    if above is None or above == below:
        return None
    if below is None or rank(below) >= rank(above):
        return f"{above} may not see {below or 'src'}"
    if (above, below) in STRANGERS:
        return f"{above} may never see {below}"
    return None


def foreign_fault(path, included):
    for pattern, allowed in FOREIGN:
        if fnmatch.fnmatch(included, pattern):
            if any(fnmatch.fnmatch(path, a) for a in allowed):
                return None
            return f"only {', '.join(allowed)} may name <{included}>"
    return None


def faults(src):
    """All that is wrong, as "file:line: sentence"."""
    found = []
    for directory, folders, files in sorted(os.walk(src)):
        folders.sort()
        for name in sorted(files):
            if not name.endswith((".c", ".h")):
                continue
            full = os.path.join(directory, name)
            path = os.path.relpath(full, src)
            if folder_of(path) and rank(folder_of(path)) is None:
                found.append(f"{path}:1: {folder_of(path)} has no place in "
                             "the order of the folders")
                continue
            with open(full, encoding="utf-8") as f:
                for number, line in enumerate(f, 1):
                    match = INCLUDE.match(line)
                    if not match:
                        continue
                    quote, included = match.groups()
                    own = quote == '"' or \
                        os.path.exists(os.path.join(src, included))
                    fault = own_fault(src, path, included) if own else \
                        foreign_fault(path, included)
                    if fault:
                        found.append(f"{path}:{number}: {fault}")
    return found


def main():
    found = faults(sys.argv[1])
    print("\n".join(found) if found else "every include is in order")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
