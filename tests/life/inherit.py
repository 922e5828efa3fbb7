#!/usr/bin/env python3
"""inherit.py VUB: sockets that whoever starts vub has opened, by name."""

import os
import shutil
import signal
import socket
import subprocess

from host import (LIMIT, PROGRAM, Client, Vub, activated, connect, disk,
                  listening, run)


def conf(*ids, **more):
    return dict({"runtime_dir": "run", "devices": [disk(i) for i in ids]},
                **more)


def end(process, status=0, sent=signal.SIGTERM):
    """Waits until it is ready, unless it is to fail; what it said."""
    said = ""
    if status == 0:
        for line in process.stderr:
            said += line
            if line.endswith(" ready\n"):
                break
        process.send_signal(sent)
    said += process.communicate(timeout=LIMIT)[1]
    assert process.returncode == status, (process.returncode, said)
    return said


def each_device_gets_the_socket_of_its_name():
    a, b = listening("for-a"), listening(os.path.abspath("for-b"))
    process = activated([b.fileno(), a.fileno()], "b:a",
                        conf=conf("a", "b", "c"))
    a.close()
    b.close()
    fronts = [connect("for-a"), connect("for-b")]
    said = end(process)
    for front in fronts:
        assert front.recv(1) == b""
    here = os.path.realpath(".")
    assert "vub: a: block, 1 queue, at fd 4\n" in said, said
    assert f"vub: b: block, 1 queue, at fd 3, {here}/for-b\n" in said, said
    assert f"vub: c: block, 1 queue, at {here}/run/c.sock\n" in said, said
    # Whose they are removes them.
    assert os.path.exists("for-a") and os.path.exists("for-b")
    assert os.listdir("run") == []


def the_control_socket_may_be_inherited():
    a, c = listening("for-a"), listening("for-control")
    process = activated([a.fileno(), c.fileno()], "a:control",
                        conf=conf("a", control="c.sock"))
    client = Client("for-control")
    device = client.do("status")["devices"][0]
    assert device["fd"] == 3, device
    client.do("quit")
    assert process.wait(LIMIT) == 0
    assert os.path.exists("for-control") and not os.path.exists("run")


def a_connected_one_is_used():
    ours, theirs = socket.socketpair()
    process = activated([theirs.fileno()], "a", conf=conf("a"))
    theirs.close()
    said = end(process)
    ours.settimeout(LIMIT)
    assert ours.recv(1) == b""
    assert "a: block, 1 queue, at fd 3\n" in said, said


def those_of_another_process_are_not_ours():
    a = listening("for-a")
    for pid in (1, "", "nonsense"):
        process = activated([a.fileno()], "a", conf=conf("a"), pid=pid)
        said = end(process)
        assert "run/a.sock" in said, said


def mistakes_are_told_in_a_sentence():
    a, bare = listening("for-a"), socket.socket(socket.AF_UNIX)
    one, two = [a.fileno()], [a.fileno(), a.fileno()]
    ours, theirs = socket.socketpair()
    has_control = conf("a", control="c.sock")
    for fds, names, given, status, said_of in (
            (one, "x", conf("a"), 2,
             'LISTEN_FDNAMES: fd 3 has the name "x", which is no device\'s id'),
            (one, "unknown", conf("a"), 2, "FileDescriptorName= says it"),
            (one, "", conf("a"), 2, 'fd 3 has the name ""'),
            (one, None, conf("a"), 2, "LISTEN_FDNAMES: is missing"),
            (two, "a", conf("a"), 2,
             "LISTEN_FDNAMES: has 1 name for the 2 of LISTEN_FDS"),
            (one, "a:b", conf("a"), 2,
             "LISTEN_FDNAMES: has 2 names for the 1 of LISTEN_FDS"),
            (two, "a:a", conf("a"), 2, "fds 3 and 4 both have the name a"),
            (one, "control", conf("a"), 2, "which the config does not ask for"),
            (one, "control", conf("control", control="c.sock"), 2,
             "/devices/0/id: is that of the control socket"),
            ([bare.fileno()], "a", conf("a"), 1,
             "/devices/0/socket: fd 3 neither listens nor is connected"),
            ([theirs.fileno()], "control", has_control, 1,
             "/control: fd 3 does not listen")):
        process = activated(fds, names, conf=given)
        said = end(process, status)
        assert len(said.splitlines()) == 1 and said_of in said, (names, said)
        assert not os.path.exists("run") or os.listdir("run") == []
    for count in ("-1", "x", "5000", "999999999999999999999"):
        said = end(activated(one, "a", conf=conf("a"), count=count), 2)
        assert "LISTEN_FDS: must be a number up to 4096, not" in said, said
    said = end(activated(one, "a:b", conf=conf("a", "b"), count=2), 2)
    assert "says that there are 2, but fd 4 is not open" in said, said
    ours.close()


def one_that_the_config_names_by_its_number_needs_no_name():
    a = listening("for-a")
    given = {"runtime_dir": "run", "devices": [disk("a", socket={"fd": 3})]}
    process = activated([a.fileno()], "whatever", conf=given)
    connect("for-a").close()
    assert "a: block, 1 queue, at fd 3\n" in end(process)


def children_know_nothing_of_it():
    a = listening("for-a")
    process = activated([a.fileno()], "a", "--run",
                        "env | grep -E '^(LISTEN|NOTIFY|WATCHDOG)'; "
                        "ls /proc/self/fd",
                        conf=conf("a"),
                        env=dict(os.environ, WATCHDOG_USEC="1000000"))
    out, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, said
    assert out.split() == ["0", "1", "2", "3"], out  # 3 is the directory


def a_second_vub_names_the_first_and_touches_nothing():
    vub = Vub()
    # It has not even looked for its image.
    with open("other.json", "w") as f:
        f.write('{"runtime_dir": "run", "devices": [{"id": "d", "type": '
                '"block", "store": {"type": "file", "path": "missing"}}]}')
    done = subprocess.run([PROGRAM, "--config", "other.json"], text=True,
                          stderr=subprocess.PIPE)
    path = os.path.realpath("run/d.sock")
    assert (done.returncode, done.stderr) == (
        1, f"other.json: /devices/0/socket: {path} is in use: process "
        f"{vub.process.pid} (vub) listens on it\n"), done
    vub.end()


def systemd_activates_it():
    program = shutil.which("systemd-socket-activate")
    if not program:
        return "there is no systemd-socket-activate"
    with open("vub.json", "w") as f:
        f.write('{"runtime_dir": "run", "control": "c.sock", "devices": '
                '[{"id": "d", "type": "block", "store": {"type": "memory", '
                '"size": "1M"}}]}')
    process = subprocess.Popen(
        [program, "-l", os.path.abspath("d"), "-l", os.path.abspath("c"),
         "--fdname=d:control", PROGRAM, "--config", "vub.json"],
        stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("Listening on") and " as 4" in line:
            break
    client = Client("c")  # which starts it
    assert client.do("status")["devices"][0]["socket"].endswith("/d")
    connect("d").close()
    client.do("quit")
    assert process.wait(LIMIT) == 0
    return None


run([each_device_gets_the_socket_of_its_name,
     the_control_socket_may_be_inherited, a_connected_one_is_used,
     those_of_another_process_are_not_ours, mistakes_are_told_in_a_sentence,
     one_that_the_config_names_by_its_number_needs_no_name,
     children_know_nothing_of_it,
     a_second_vub_names_the_first_and_touches_nothing, systemd_activates_it])
