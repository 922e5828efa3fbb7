#!/usr/bin/env python3
"""top.py VUB: vub ctl top: what a table says, that it goes on at a terminal,
and that the terminal is as before in the end."""

import fcntl
import json
import os
import pty
import re
import signal
import socket
import subprocess
import termios
import threading

from rig import LIMIT, PROGRAM, Vub, ctl, disk, run

AT = ("--socket", "run/c.sock")


def device(name, kind, own, chains=0, buckets=(), total=0, **keys):
    return dict({"id": name, "type": kind, "answers": True, "state": "running",
                 "rings": [{"index": 0, "in_flight": 3, "chains": chains,
                            "latency": {"sum_ns": total,
                                        "buckets": list(buckets)}}],
                 kind: own}, **keys)


def answers():
    """Of a vub, before and after."""
    def block(n):
        return {"queues": [{"errors": 0, "bytes_read": n, "bytes_written": 0},
                           {"errors": n and 7, "bytes_read": 0,
                            "bytes_written": n}]}

    return [[device("d", "block", block(0), 10, [[1023, 10]], 9000),
             device("s", "scsi", {"luns": [{"commands": 5}]}),
             device("k", "input", {"events": 1, "dropped_frames": 0}),
             device("g", "gpu", {"flushes": 4, "updates": 4, "errors": 0}),
             {"id": "stuck", "type": "block", "answers": False}],
            [device("d", "block", block(1 << 50), 1010,
                    [[1023, 990], [2047, 19], [1048575, 1]], 1009000),
             device("s", "scsi", {"luns": []}),
             device("k", "input", {"events": 1 << 40, "dropped_frames": 2}),
             device("g", "gpu", {"flushes": 4, "updates": 4, "errors": 1}),
             {"id": "stuck", "type": "block", "answers": False}]]


def serve(listener):
    connection = listener.accept()[0]
    with connection, connection.makefile("rw") as lines:
        for devices, line in zip(answers(), lines):
            assert json.loads(line)["method"] == "stats"
            lines.write(json.dumps({"jsonrpc": "2.0", "id": 1,
                                    "result": {"devices": devices}}) + "\n")
            lines.flush()
        lines.readline()


def a_table_is_what_came_between_two_answers():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("s")
    listener.listen()
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    rows = [line.split() for line in ctl(
        "--socket", "s", "top", "--interval", "1").splitlines()]
    server.join()
    assert rows[0] == ("DEVICE TYPE STATE IOPS READ MiB WRITE MiB AVERAGE "
                       "99 % DEPTH ERRORS").split()
    by_id = {row[0]: row[1:] for row in rows[1:]}
    d = by_id["d"]
    assert d[:2] == ["block", "running"] and len(d) == 11, d
    assert d[2] not in ("0.0", "-") and float(d[3]) > 0 and float(d[4]) > 0
    # 1000 requests in 1 ms; 980 took at most 1023 ns, 999 at most 2047 ns.
    assert d[5:] == ["1.0", "us", "2.0", "us", "3", "7"], d
    assert by_id["s"] == ["scsi", "running", "0.0", "0.0", "0.0", "-", "-",
                          "3", "0"], by_id["s"]
    assert by_id["k"][-1] == "events/s" and by_id["k"][-3] == "2"
    assert by_id["g"][-6:] == ["3", "1", "0.0", "flushes/s,", "0.0",
                               "updates/s"], by_id["g"]
    assert by_id["stuck"] == ["block", "no", "answer"]


def one_device_may_be_asked_for():
    vub = Vub([disk("one"), disk("other")])
    text = ctl(*AT, "top", "--once", "--interval=1", "device=other")
    assert [line.split()[0] for line in text.splitlines()] == \
        ["DEVICE", "other"], text
    ctl(*AT, "top", "--once", "device=none", status=2,
        said='vub: device: there is no device "none"\n')
    ctl(*AT, "top", "--nonsense", status=2, said=(
        "vub: --nonsense: there is no such option; see vub ctl --help\n"))
    ctl(*AT, "--once", "status", status=2,
        said="vub: --once: is for top only\n")
    vub.end()


class Terminal:
    def __init__(self):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.said = b""
        self.process = subprocess.Popen(
            [PROGRAM, "ctl", *AT, "top", "--interval", "10"],
            stdin=self.slave, stdout=self.slave, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0))

    def hear(self, pattern, times):
        while len(re.findall(pattern, self.said)) < times:
            self.said += os.read(self.master, 4096)

    def end(self, status=0):
        said = self.process.communicate(timeout=LIMIT)[1]
        assert self.process.returncode == status, (status, said)
        assert termios.tcgetattr(self.slave) == self.before
        self.hear(rb"\x1b\[\?25h", 1)  # the cursor
        os.close(self.master)
        os.close(self.slave)
        return said


def it_goes_on_at_a_terminal_until_told():
    vub = Vub()
    for end in (b"q", b"\x03", signal.SIGTERM):
        terminal = Terminal()
        terminal.hear(rb"DEVICE ", 3)
        # Two lines, in the place of the two before.
        assert b"\x1b[2A" in terminal.said
        if isinstance(end, bytes):
            os.write(terminal.master, end)
        else:
            terminal.process.send_signal(end)
        assert terminal.end() == ""
    terminal = Terminal()
    terminal.hear(rb"DEVICE ", 1)
    vub.end()
    assert "the connection ended" in terminal.end(status=1)


run([a_table_is_what_came_between_two_answers, one_device_may_be_asked_for,
     it_goes_on_at_a_terminal_until_told])
