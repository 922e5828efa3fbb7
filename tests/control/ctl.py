#!/usr/bin/env python3
"""ctl.py VUB: vub ctl: what it prints, for people and for scripts, and its exit
status."""

import json
import os
import select
import signal
import socket
import subprocess

from rig import LIMIT, PROGRAM, Client, Vub, ctl, disk, run


def status_is_a_table():
    vub = Vub([disk("a", queues=2, worker=["x", "y"]), disk("longer-name")])
    here = os.path.realpath("run")
    lines = ctl("--socket", "run/c.sock", "status").splitlines()
    assert lines == [
        f"vub 0.1.0, process {vub.process.pid}, log level info",
        "DEVICE       TYPE   STATE  PROCESS  WORKERS      SOCKET",
        f"a            block  none   -        x,y          {here}/a.sock",
        "  ring 0: not set up, 0 in flight, 0 kicks, 0 calls, 0 chains",
        "  ring 1: not set up, 0 in flight, 0 kicks, 0 calls, 0 chains",
        "  block: size 1048576, store memory, read_only no, write_cache no",
        "  queue 0: nothing yet",
        "  queue 1: nothing yet",
        f"longer-name  block  none   -        longer-name  "
        f"{here}/longer-name.sock",
        "  ring 0: not set up, 0 in flight, 0 kicks, 0 calls, 0 chains",
        "  block: size 1048576, store memory, read_only no, write_cache no",
        "  queue 0: nothing yet"], "\n".join(lines)
    vub.end()


def status_has_the_rules_of_filters():
    store = {"type": "fault", "next": {"type": "memory", "size": "1M"},
             "rules": [{"name": "dead", "op": "read", "armed": False},
                       {"op": "write"}]}
    lun = {"target": 1, "store": store}
    vub = Vub([disk("a", store=store),
               {"id": "b", "type": "scsi", "luns": [lun]},
               {"id": "g", "type": "gpu", "display": "headless"}])
    lines = ctl("--socket", "run/c.sock", "status").splitlines()
    for of in "", "lun 0, ":
        at = lines.index(f"  {of}filter 0: type fault, seed 1")
        assert lines[at + 1:at + 3] == [
            f"  {of}filter 0, rule 0: name dead, op read, outcome error, "
            "armed no",
            f"  {of}filter 0, rule 1: op write, outcome error, armed yes"], \
            "\n".join(lines)
    assert any(line.startswith("  scanout 0: ") for line in lines), lines
    vub.end()


def status_has_throttles_behind_the_devices():
    store = {"type": "throttle", "iops": 100,
             "next": {"type": "memory", "size": "1M"}}
    vub = Vub([disk("a", store=store),
               disk("b", store=dict(store, name="gold", bps_read="1M"))])
    at = ("--socket", "run/c.sock")
    lines = ctl(*at, "status").splitlines()
    assert lines[-5:] == [
        "THROTTLES",
        "  throttle: name a, iops 100, iops_burst 10",
        "  user: device a",
        "  throttle: name gold, iops 100, iops_burst 10, bps_read 1048576, "
        "bps_read_burst 104857",
        "  user: device b"], "\n".join(lines)
    assert ctl(*at, "throttle.set", "name=gold", "bps_read=0", "iops=2") == \
        "iops: 2\niops_burst: 1\n"
    lines = ctl(*at, "status", "device=b").splitlines()
    assert lines[-3:] == ["THROTTLES",
                          "  throttle: name gold, iops 2, iops_burst 1",
                          "  user: device b"], "\n".join(lines)
    vub.end()


def results_are_lines_or_json():
    vub = Vub()
    conf = ("--config", "vub.json")
    assert ctl(*conf, "block.resize", "device=d", "size=2M") == \
        "size: 2097152\nwas: 1048576\n"
    assert ctl(*conf, "--json", "block.resize", "device=d", "size=3145728") == \
        '{"size":3145728,"was":2097152}\n'
    got = json.loads(ctl(*conf, "--json", "status", "device=d"))
    assert got["devices"][0]["block"]["size"] == 3 << 20
    assert "block.resize device=... [size=...]\n" in ctl(*conf, "help")
    assert ctl(*conf, "events", "a=1", status=2, said=(
        "vub: a: there is no such key; there are none here\n")) == ""
    assert ctl(*conf, "quit") == ""
    vub.end(None)


def errors_have_a_place_and_a_status():
    vub = Vub([disk("1")])
    at = ("--socket", "run/c.sock")
    for args, status, said in (
            (["block.resize", "device=1", "size=1000"], 1,
             "size: 1000 bytes is not a whole number of blocks of 512"),
            (["block.resize", "device=2"], 2,
             'device: there is no device "2"'),
            (["block.resise"], 2, "block.resise: there is no such command; "
                                  'did you mean "block.resize"?'),
            (["log.level", "level=loud"], 2,
             'level: must be "error", "warning", "info" or "debug", not '
             '"loud"'),
            (["log.level", "level"], 2,
             "level: a parameter is written as KEY=VALUE"),
            (["log.level", "=x"], 2,
             "=x: a parameter is written as KEY=VALUE"),
            (["log.level", "level={"], 2, None),
            (["log.level", "a.b=1", "level=info"], 2,
             "a: there is no such key; the keys here are level"),
            (["block.resize", "device=1", "size={\"a\":"], 2,
             "size={\"a\":: the value is not JSON: line 1, column 6: the text "
             "ends where a value is wanted")):
        done = subprocess.run([PROGRAM, "ctl", *at, *args], text=True,
                              capture_output=True, timeout=LIMIT)
        assert done.returncode == status and done.stdout == "", done
        if said:
            assert done.stderr == f"vub: {said}\n", done.stderr
    vub.end()


def relative_paths_are_those_of_who_types_them():
    screen = {"id": "g", "type": "gpu", "display": "headless"}
    vub = Vub([screen])
    os.mkdir("elsewhere")
    here = os.path.realpath("elsewhere")
    ctl("--socket", os.path.realpath("run/c.sock"), "gpu.wait", "device=g",
        "picture=../none.png", cwd="elsewhere", status=1, said=(
            f"vub: picture: cannot open {here}/../none.png: "
            "No such file or directory\n"))
    client = Client()
    client.send('{"jsonrpc":"2.0","id":1,"method":"gpu.wait",'
                '"params":{"device":"g","picture":"none.png"}}')
    assert os.path.realpath("none.png") in client.line()
    vub.end()


def usage():
    for args, said in (
            ([], "which command? See vub ctl --help"),
            (["--nonsense", "status"],
             "--nonsense: there is no such option; see vub ctl --help"),
            (["--timeout", "0", "status"],
             "--timeout: must be a number of milliseconds"),
            (["--socket"], "--socket: needs a value"),
            (["--socket", "x", "--config", "y", "status"],
             "--config: names the socket, as --socket does: leave one out")):
        ctl(*args, status=2, said=f"vub: {said}\n")
    text = ctl("--help")
    for command in ("status", "events", "block.resize", "log.level", "quit"):
        assert f"\n  {command}" in text
    assert max(map(len, text.splitlines())) < 80
    with open("none.json", "w") as f:
        json.dump({"devices": [disk()]}, f)
    ctl("--config", "none.json", "status", status=2,
        said='vub: none.json: has no "control": such a vub cannot be asked\n')
    ctl("--config", "missing.json", "status", status=2,
        said="vub: missing.json: cannot be opened: No such file or "
             "directory\n")


def where_it_looks():
    hint = ('vub: does a vub run, with "control" in its config? --socket and '
            "--config say where\n")
    here = os.path.realpath(".")
    env = dict(os.environ, XDG_RUNTIME_DIR=here)
    os.mkdir("vub")
    ctl("status", status=1, env=env, said=(
        f"vub: cannot connect to {here}/vub/control.sock: No such file or "
        f"directory\n{hint}"))
    vub = Vub(conf={"devices": [disk()], "control": {}}, env=env)
    assert "DEVICE" in ctl("status", env=env)
    assert "DEVICE" in ctl("--config", "vub.json", "status", env=env)
    vub.end(signal.SIGKILL, -signal.SIGKILL)
    ctl("status", status=1, env=env, said=(
        f"vub: cannot connect to {here}/vub/control.sock: Connection "
        f"refused\n{hint}"))


def events_are_lines():
    vub = Vub()
    at = ("--socket", "run/c.sock")
    watch = subprocess.Popen([PROGRAM, "ctl", *at, "events"], text=True,
                             stdout=subprocess.PIPE)
    raw = subprocess.Popen([PROGRAM, "ctl", *at, "--json", "events"],
                           text=True, stdout=subprocess.PIPE)
    client = Client()
    # Nobody tells when they listen: until both have said something.
    heard = [None, None]
    while None in heard:
        for level in ("debug", "info"):
            client.do("log.level", level=level)
        for i, process in enumerate((watch, raw)):
            if not heard[i] and select.select([process.stdout], [], [], 0)[0]:
                heard[i] = process.stdout.readline()
    assert heard[0] == "log.level level=debug was=info\n" or \
        heard[0] == "log.level level=info was=debug\n", heard
    assert json.loads(heard[1])["event"] == "log.level"
    front_end = socket.socket(socket.AF_UNIX)
    front_end.connect("run/d.sock")
    who = f"device=d pid={os.getpid()} uid={os.getuid()}"
    while (line := watch.stdout.readline()) != f"connect {who}\n":
        assert line.startswith("log.level "), line
    front_end.close()
    line = watch.stdout.readline()
    assert line.startswith(f"disconnect {who} why="), line
    vub.end()
    assert watch.communicate(timeout=LIMIT)[0] == ""
    raw.communicate(timeout=LIMIT)
    assert (watch.returncode, raw.returncode) == (0, 0)


def it_does_not_wait_for_ever():
    deaf = socket.socket(socket.AF_UNIX)
    deaf.bind("deaf.sock")
    deaf.listen()
    here = os.path.realpath(".")
    ctl("--socket", "deaf.sock", "--timeout", "100", "status", status=1,
        said=f"vub: {here}/deaf.sock: no answer for 100 ms\n")
    deaf.accept()[0].close()
    for answer, said in ((b"", "the connection ended before the answer"),
                         (b"nonsense\n", "what it says is no answer"),
                         (b"{}\n", "what it says is no answer")):
        process = subprocess.Popen(
            [PROGRAM, "ctl", "--socket", "deaf.sock", "status"], text=True,
            stderr=subprocess.PIPE)
        connection = deaf.accept()[0]
        while connection.recv(4096)[-1:] != b"\n":
            pass
        connection.sendall(answer)
        connection.close()
        assert process.communicate(timeout=LIMIT)[1] == \
            f"vub: {here}/deaf.sock: {said}\n"
        assert process.returncode == 1


run([status_is_a_table, status_has_the_rules_of_filters,
     status_has_throttles_behind_the_devices,
     results_are_lines_or_json, errors_have_a_place_and_a_status,
     relative_paths_are_those_of_who_types_them, usage, where_it_looks,
     events_are_lines, it_does_not_wait_for_ever])
