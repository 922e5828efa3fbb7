#!/usr/bin/env python3
"""symbols.py VUB [LIBISCSI]: do libiscsi's calls on its socket go to vub?

The program must give the four calls to its libraries (os/tap.h), and the
libiscsi that it loads by that name, or is linked with, must have no other way
to a socket. libiscsi reads /dev/urandom by read, so that one may be there: what
it would find on its socket is the end. Exit status 77: libiscsi is in the
program, so there is nothing to see."""

import ctypes
import re
import subprocess
import sys

OURS = {"recv", "send", "readv", "writev"}
OTHERS = {"recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg", "sendmmsg",
          "write", "pread", "pwrite", "pread64", "pwrite64", "preadv",
          "pwritev", "preadv2", "pwritev2", "splice", "sendfile", "sendfile64",
          "syscall", "dup", "dlsym", "fdopen", "io_uring_queue_init",
          "io_submit"}


def run(*args):
    return subprocess.run(args, check=True, capture_output=True,
                          text=True).stdout


def symbols(path):
    """Names of dynamic symbols: those it has, those it wants."""
    has, wants = set(), set()
    for line in run("readelf", "--dyn-syms", "--wide", path).splitlines():
        m = re.match(r"\s*\d+:\s+\S+\s+\S+\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+"
                     r"([^@\s]+)", line)
        if not m:
            continue
        kind, binding, visibility, section, name = m.groups()
        if section == "UND":
            wants.add(name)
        elif (kind, visibility) == ("FUNC", "DEFAULT") and binding != "LOCAL":
            has.add(name)
    return has, wants


def library_of(vub, name=None):
    """Where the dynamic linker finds it; None: nowhere."""
    if name:
        ctypes.CDLL(name)
        with open("/proc/self/maps", encoding="utf-8") as f:
            found = re.search(r"(/\S*/libiscsi\.so\S*)$", f.read(), re.M)
    else:
        found = re.search(r"libiscsi\.so\S* => (\S+)", run("ldd", vub))
    return found and found[1]


def main():
    vub = sys.argv[1]
    bad = []
    has, _ = symbols(vub)
    library = library_of(*sys.argv[1:])
    if not library:
        print("skipped: libiscsi is linked statically", file=sys.stderr)
        sys.exit(77)
    _, wants = symbols(library)
    bad += [f"vub does not give {s} to its libraries" for s in OURS - has]
    bad += [f"libiscsi does not use {s}: how does it use its socket?"
            for s in OURS - wants]
    bad += [f"libiscsi uses {s}, which is not interposed"
            for s in wants if s in OTHERS or
            re.fullmatch(r"__(recv|read|recvfrom|pread)\w*_chk", s)]
    for line in sorted(bad):
        print(line, file=sys.stderr)
    sys.exit(1 if bad else 0)


main()
