#!/usr/bin/env python3
"""manager.py VUB: what the service manager is told, and how lines look in its
journal."""

import json
import os
import signal
import socket
import subprocess
import time

from host import LIMIT, PROGRAM, Client, Manager, Vub, connect, disk, run


def ready_comes_when_every_socket_listens():
    for name in ("notify", f"@vub-test-{os.getpid()}"):
        manager = Manager(name)
        process = subprocess.Popen(
            [PROGRAM, "--config", config(disk("a"), disk("b"), disk("c"))],
            env=manager.env(), stderr=subprocess.DEVNULL)
        told = manager.take()  # the very first
        assert told == {"READY": "1",
                        "STATUS": "3 devices, 0 with a front-end"}, told
        for path in ("run/a.sock", "run/b.sock", "run/c.sock", "run/c0"):
            connect(path).close()
        process.terminate()
        assert process.wait(LIMIT) == 0
        manager.socket.close()


def config(*devices):
    with open("vub.json", "w") as f:
        json.dump({"runtime_dir": "run", "control": "c0",
                   "devices": devices}, f)
    return "vub.json"


def status_counts_front_ends():
    manager = Manager()
    vub = Vub([disk("a"), disk("b")], env=manager.env())
    a, b = connect("run/a.sock"), connect("run/b.sock")
    manager.take("STATUS=2 devices, 2 with a front-end")
    a.close()
    manager.take("STATUS=2 devices, 1 with a front-end")
    b.close()
    manager.take("STATUS=2 devices, 0 with a front-end")
    vub.end()


def coming_and_going_costs_a_line_a_second():
    manager = Manager()
    vub = Vub(env=manager.env())
    began = time.monotonic()
    for _ in range(300):
        front = connect("run/d.sock")
        front.shutdown(socket.SHUT_WR)
        assert front.recv(1) == b""
    client = Client()
    client.do("status")
    took = time.monotonic() - began
    vub.process.terminate()
    lines = 0
    while "STOPPING" not in manager.take():
        lines += 1
    assert lines <= took + 3, (lines, took)
    vub.end(None)


def a_stop_says_how_long_it_may_take():
    manager = Manager()
    vub = Vub([disk("a", drain_timeout=120000), disk("b")], env=manager.env())
    vub.process.terminate()
    told = manager.take("STOPPING=1")
    assert int(told["EXTEND_TIMEOUT_USEC"]) == 125_000_000, told
    assert told["STATUS"].startswith("stopping: 2 devices"), told
    vub.end(None)


def a_reload_is_told_as_notify_reload_wants_it():
    manager = Manager()
    vub = Vub([disk("a"), disk("b")], env=manager.env())
    manager.take("READY=1")
    for _ in range(3):
        sent = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        vub.process.send_signal(signal.SIGHUP)
        told = manager.take()
        assert told["RELOADING"] == "1", told
        assert int(told["MONOTONIC_USEC"]) >= sent, (told, sent)
        assert manager.take()["READY"] == "1"
    vub.end()


def pings_come_twice_as_often_as_they_must():
    manager = Manager()
    vub = Vub(env=manager.env(WATCHDOG_USEC="400000"))
    manager.take("WATCHDOG=1")
    began = time.monotonic()
    for _ in range(6):
        manager.take("WATCHDOG=1")
    took = time.monotonic() - began
    assert took > 1.0, took  # not much more often, either
    # A main loop that does not come back.
    vub.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, vub.process.pid, os.WSTOPPED)
    manager.socket.settimeout(0)
    try:
        while True:
            manager.take()
    except BlockingIOError:
        pass
    manager.socket.settimeout(1)
    try:
        told = manager.take()
    except TimeoutError:
        told = None
    assert told is None, told
    manager.socket.settimeout(LIMIT)
    vub.process.send_signal(signal.SIGCONT)
    manager.take("WATCHDOG=1")
    vub.end()


def nobody_pings_for_another_process():
    for env in ({"WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"},
                {"WATCHDOG_USEC": "nonsense"}, {"WATCHDOG_USEC": "0"}):
        manager = Manager()
        vub = Vub(env=manager.env(**env))
        Client().do("status")
        vub.process.terminate()
        told = manager.take()
        while "STOPPING" not in told:
            assert "WATCHDOG" not in told, told
            told = manager.take()
        vub.end(None)
        os.unlink("notify")


def a_manager_that_does_not_read_stops_nobody():
    manager = Manager()
    other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    other.setblocking(False)
    filled = 0
    try:
        while True:
            other.sendto(b"FULL=1", "notify")
            filled += 1
    except BlockingIOError:
        pass
    vub = Vub(env=manager.env())
    assert vub.is_ready
    connect("run/d.sock").close()
    client = Client()
    for _ in range(10):  # more than are kept for it
        vub.process.send_signal(signal.SIGHUP)
        client.do("status")
    for _ in range(filled):
        assert "FULL" in manager.take()
    told = manager.take()  # late, not lost: how it has ended
    while "RELOADING" in told:
        told = manager.take()
    assert "READY" in told, told
    vub.end()


def a_manager_that_cannot_be_told_is_done_without():
    for name, why in (("relative", "must be the path of a unix socket"),
                      ("vsock:2:1234", "must be the path of a unix socket"),
                      ("/" + "n" * 120, "is no name of a socket"),
                      ("/nonexistent/n", "No such file or directory")):
        vub = Vub(env=dict(os.environ, NOTIFY_SOCKET=name))
        said = vub.end()
        assert said.count("warning") == 1 and why in said, said


def lines_in_the_journal_have_priorities():
    read, write = os.pipe()
    st = os.fstat(write)
    journal = {"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"}

    def lines(env, *args):
        """Of a start, a warning, and a stop; the pipe is the journal's."""
        process = subprocess.Popen(
            [PROGRAM, "--config", config(disk()), "--log-level", "debug",
             *args], stderr=write,
            env=dict(os.environ, NOTIFY_SOCKET="x", **env))
        said = b""
        while b"ready" not in said:
            said += os.read(read, 4096)
        process.terminate()
        assert process.wait(LIMIT) == 0
        return (said + os.read(read, 4096)).decode().splitlines()

    said = lines(journal)
    assert "<6>1 device ready" in said, said
    assert any(line.startswith("<4>warning: NOTIFY_SOCKET: ")
               for line in said), said
    assert all(line[:3] in ("<4>", "<6>", "<7>") for line in said), said
    # Of a journal that is somebody else's, and for programs.
    for other in ({"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino + 1}"},
                  {"JOURNAL_STREAM": "nonsense"}, {}):
        assert all(line.startswith("vub: ") for line in lines(other))
    said = lines(journal, "--log-format=json")
    assert all(line.startswith("{") for line in said), said
    # Mistakes in the config, too.
    done = subprocess.run([PROGRAM, "--config", "missing"], stderr=write,
                          env=dict(os.environ, **journal))
    said = os.read(read, 4096).decode()
    assert done.returncode == 2 and said.startswith("<3>error: missing: "), said


run([ready_comes_when_every_socket_listens, status_counts_front_ends,
     coming_and_going_costs_a_line_a_second, a_stop_says_how_long_it_may_take,
     a_reload_is_told_as_notify_reload_wants_it,
     pings_come_twice_as_often_as_they_must, nobody_pings_for_another_process,
     a_manager_that_does_not_read_stops_nobody,
     a_manager_that_cannot_be_told_is_done_without,
     lines_in_the_journal_have_priorities])
