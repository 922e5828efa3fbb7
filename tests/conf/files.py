#!/usr/bin/env python3
"""files.py VUB: configs that cannot be kept in a tree, or not as text."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time

GOOD = (b'{"devices": [{"id": "a", "type": "block", '
        b'"store": {"type": "memory", "size": "1M"}}]}')

# name: content, and what is said of it
CASES = {
    "empty": (b"", "the file is empty"),
    "space": (b" \n\t\r\n", "the file is empty"),
    "bom": (b"\xef\xbb\xbf" + GOOD,
            "line 1, column 1: the file starts with a byte order mark: "
            "save it as plain UTF-8"),
    "utf16": (GOOD.decode().encode("utf-16"),
              "line 1, column 1: a value is wanted here"),
    "nul-first": (b"\0" + GOOD,
                  "line 1, column 1: there is a NUL byte: is this a text "
                  "file in UTF-8?"),
    "nul-last": (GOOD + b"\0",
                 "line 1, column 87: something follows the end of the "
                 "document"),
    "nul-inside": (b'{"devices": "a\0b"}',
                   "line 1, column 15: a control character in a string is "
                   "written as an escape"),
    "latin1": (b'{"devices": "\xe4"}',
               "line 1, column 14: the text is not valid UTF-8"),
    "overlong": (b'{"devices": "\xc0\xaf"}',
                 "line 1, column 14: the text is not valid UTF-8"),
    "huge": (GOOD + b" " * (5 << 20), "the file is larger than 4 MiB"),
    "deep": (b"[" * 3000000,
             "line 1, column 33: objects and lists are nested too deep"),
    "crlf": (GOOD.replace(b" ", b"\r\n"), None),
    "large": (GOOD + b" " * (3 << 20), None),
}


def check(vub, path, expected, **kwargs):
    done = subprocess.run([vub, "--check", "--config", path], text=True,
                          capture_output=True, **kwargs)
    want = (0, "") if expected is None else (2, f"{path}: {expected}\n")
    if (done.returncode, done.stderr) != want:
        sys.exit(f"{path}: {done.returncode}, {done.stderr!r}, "
                 f"expected {want}")


def check_no_directory(vub):
    """What has no directory: paths start in the current one."""
    text = GOOD.decode().replace('"memory", "size": "1M"',
                                 '"file", "path": "no.img"')
    with open("named", "w") as f:
        f.write(text)

    def look(path, place, **kwargs):
        done = subprocess.run([vub, "--config", path], capture_output=True,
                              text=True, **kwargs)
        assert f"{place}/no.img: No such file" in done.stderr, done.stderr
        assert done.returncode == 2

    here = os.getcwd()
    look("/dev/stdin", here, input=text)
    with open("named") as f:  # a here-document of some shells is a file
        look("/dev/stdin", here, stdin=f)
        look("/proc/self/fd/0", here, stdin=f)
        f.seek(0)
        look(f"/dev/fd/{f.fileno()}", here, pass_fds=[f.fileno()])
    os.mkdir("below")
    look("../named", here, cwd="below")
    os.symlink("../named", "below/link")
    look("below/link", f"{here}/below")


def check_fifo(vub):
    """It is read to its end, however it comes; if it has none, not for ever."""
    os.mkfifo("fifo")
    for pieces, status in ((GOOD.split(b" "), 0),
                           (itertools.repeat(b" " * 65536), 2)):
        process = subprocess.Popen([vub, "--check", "--config", "fifo"],
                                   stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL)
        try:
            with open("fifo", "wb", buffering=0) as f:
                for piece in pieces:
                    f.write(piece + b" ")
        except BrokenPipeError:
            assert status == 2
        said = process.communicate(timeout=100)[1].decode()
        assert process.returncode == status, said
        assert said == ("" if status == 0 else
                        "fifo: the file is larger than 4 MiB\n"), said


def device(**keys):
    return dict({"id": "a", "type": "block",
                 "store": {"type": "null", "size": 512}}, **keys)


def floods():
    """Large files in which everything is wrong in one way: what is said is
    bounded and counted, and it does not take longer than reading does."""
    many = range(30000)
    yield "ids", [device() for _ in many], 29999
    yield "sockets", [device(id=str(i), socket="s") for i in many], 29999
    yield "fds", [device(id=str(i), socket={"fd": 9}) for i in many], 29999
    yield "workers", [device(worker=["w"] * 500000)], 499999
    yield "own", [device(id="w")] + \
        [device(id=str(i), worker="w") for i in many], 30000
    yield "always", [device(id=str(i), worker="w", poll_us="always")
                     for i in many], 30000
    yield "types", [1] * 500000, 500000
    yield "stores", [device(id=str(i), store={}) for i in many], 30000
    yield "sizes", [device(id=str(i), store={"type": "null", "size": 513})
                    for i in many], 30000
    yield "empty", [{}] * 500000, 500000


def check_floods(vub):
    took = {}
    for name, devices, count in floods():
        with open("flood", "w") as f:
            json.dump({"devices": devices}, f, separators=(",", ":"))
        start = time.monotonic()
        done = subprocess.run([vub, "--check", "--config", "flood"], text=True,
                              capture_output=True, timeout=100)
        took[name] = time.monotonic() - start
        lines = done.stderr.splitlines()
        assert done.returncode == 2, (name, done)
        assert len(lines) == 101, (name, len(lines), lines[:2])
        assert all(line.startswith("flood: /devices/") for line in lines[:-1])
        assert lines[-1] == (f"flood: there are {count - 100} more errors; "
                             "repair these first"), (name, lines[-1])
    # One error more than is told.
    with open("flood", "w") as f:
        json.dump({"devices": [1] * 101}, f)
    done = subprocess.run([vub, "--check", "--config", "flood"], text=True,
                          capture_output=True)
    assert done.stderr.endswith("flood: there is 1 more error; repair these "
                                "first\n"), done.stderr
    print("floods:", ", ".join(f"{n} {t:.1f} s" for n, t in took.items()))


def main():
    vub = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for name, (content, expected) in CASES.items():
            with open(name, "wb") as f:
                f.write(content)
            check(vub, name, expected)
        check(vub, ".", "is a directory, not a file")
        check(vub, "missing/file", "cannot be opened: No such file or directory")
        check(vub, "crlf/file", "cannot be opened: Not a directory")
        os.symlink("loop", "loop")
        check(vub, "loop",
              "cannot be opened: Too many levels of symbolic links")
        if os.getuid() != 0:
            os.chmod("crlf", 0)
            check(vub, "crlf", "cannot be opened: Permission denied")
        with open("sparse", "wb") as f:
            f.truncate(1 << 30)
        check(vub, "sparse", "the file is larger than 4 MiB")
        check_no_directory(vub)
        check_fifo(vub)
        check_floods(vub)
    print(f"{len(CASES) + 5} files")


main()
