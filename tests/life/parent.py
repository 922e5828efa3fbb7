#!/usr/bin/env python3
"""parent.py VUB: --exit-with-parent."""

import os
import signal
import subprocess
import sys
import threading

from host import LIMIT, PROGRAM, Client, Talk, connect, disk, run

# Starts the rest of its arguments, and does not wait for them.
STARTS = """
import subprocess, sys
print(subprocess.Popen(sys.argv[1:]).pid, flush=True)
sys.stdin.read()
"""


def started(*args):
    """A parent, whose child is vub, and writes to the parent's stderr."""
    with open("vub.json", "w") as f:
        f.write('{"runtime_dir": "run", "devices": [{"id": "d", "type": '
                '"block", "store": {"type": "memory", "size": "1M"}}]}')
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS, PROGRAM, "--config", "vub.json", *args],
        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    parent.child = int(parent.stdout.readline())
    said = ""
    while "1 device ready" not in said:
        line = parent.stderr.readline()
        assert line, said
        said += line
    return parent


def it_ends_when_its_parent_does():
    for end in (subprocess.Popen.kill, lambda p: p.stdin.close()):
        parent = started("--exit-with-parent")
        front = connect("run/d.sock")
        end(parent)
        said = parent.stderr.read()  # to its end: that of both
        assert "stopping: the parent process has ended\n" in said, said
        assert front.recv(1) == b""
        assert os.listdir("run") == []
        parent.wait(LIMIT)


def so_does_its_command():
    parent = started("--exit-with-parent", "--run",
                     "trap 'echo told >&2; exit' TERM; echo up >&2; read x")
    while parent.stderr.readline() != "up\n":
        pass
    parent.kill()
    said = parent.stderr.read()
    assert "told\n" in said, said
    parent.wait(LIMIT)


def it_lives_on_if_it_is_not_asked_to_end():
    parent = started()
    parent.kill()
    parent.wait(LIMIT)
    connect("run/d.sock").close()
    os.kill(parent.child, signal.SIGTERM)
    assert "stopping: SIGTERM" in parent.stderr.read()


def a_thread_of_its_parent_may_end():
    vub = []
    thread = threading.Thread(
        target=lambda: vub.append(Talk([disk()], "--exit-with-parent")))
    thread.start()
    thread.join()
    vub[0].hear("1 device ready")
    Client().do("status")
    Client().do("quit")
    vub[0].end()
    assert "parent" not in vub[0].said, vub[0].said


run([it_ends_when_its_parent_does, so_does_its_command,
     it_lives_on_if_it_is_not_asked_to_end, a_thread_of_its_parent_may_end])
