#!/usr/bin/env python3
"""clients.py VUB: who connects to the control socket, how many, and what
becomes of those who do not read, hang up, or are somebody else."""

import json
import os
import signal
import stat
import subprocess

from rig import LIMIT, NOBODY, PROGRAM, Client, Vub, disk, run


def request(number, method, **params):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method,
                       "params": params})


def many_clients_are_served():
    vub = Vub()
    clients = [Client() for _ in range(256)]
    for client in clients:
        client.send(request("x", "status"))
    for client in clients:
        assert client.take()["id"] == "x"
    # One more is told, and those that are there stay.
    more = Client()
    told = more.take()
    assert told["id"] is None and told["error"] == {
        "code": -32000,
        "message": "there are 256 clients already, which is the most"}, told
    assert more.line() is None
    clients[7].do("help")
    # A place becomes free.
    clients.pop().close()
    while True:
        try:
            Client().do("help")
            break
        except AssertionError:
            continue
    vub.end()


def many_requests_are_under_way():
    vub = Vub([disk(f"d{i}") for i in range(20)])
    client = Client()
    client.send(*(request(i, "status") for i in range(300)))
    assert sorted(client.take()["id"] for _ in range(300)) == list(range(300))
    vub.end()


def one_that_does_not_read_is_dropped():
    vub = Vub([disk(f"disk{i}", worker="w") for i in range(250)])
    slow, other = Client(), Client()
    slow.send(*(request(i, "status") for i in range(64)))
    taken = 0
    while slow.line(may_be_cut=True) is not None:
        taken += 1
        if taken == 1:
            # 64 answers of more than 64 KiB wait, and then nobody.
            while "is dropped" not in vub.process.stderr.readline():
                other.do("log.level", level="info")
            other.do("help")
    assert taken < 64
    other.do("status", device="disk3")
    said = vub.end()
    assert "is dropped" not in said, said  # it is told once


def one_that_does_not_read_stops_itself_only():
    vub = Vub()
    slow, other = Client(), Client()
    line = request(1, "help").encode() + b"\n"
    slow.socket.setblocking(False)
    sent = refused = 0
    while refused < 50:  # it is not read any more
        try:
            sent += slow.socket.send(line * 100)
        except BlockingIOError:
            refused += 1
            other.do("log.level", level="info")
    slow.socket.settimeout(LIMIT)
    for _ in range(sent // len(line)):
        assert slow.take()["id"] == 1
    said = vub.end()
    assert "dropped" not in said, said


def events_that_are_not_read_are_counted():
    vub = Vub()
    slow, other = Client(), Client()
    slow.do("events")
    rounds = 6000
    for i in range(rounds):
        other.do("log.level", level=("debug", "info")[i % 2])
    seen = lost = 0
    while seen + lost < rounds:
        event = slow.event()
        if event["event"] == "lost":
            lost += event["count"]
        else:
            seen += 1
            # Until some are lost none is missing, and none comes twice.
            if not lost:
                assert event["level"] == ("info", "debug")[seen % 2], event
    assert seen + lost == rounds and lost > 0, (seen, lost)
    slow.do("help")
    said = vub.end()
    assert "dropped" not in said, said


def events_go_to_those_who_asked():
    vub = Vub()
    deaf, one, two = Client(), Client(), Client()
    one.do("events")
    two.do("events")
    two.do("events")  # twice is once
    for level in ("debug", "info", "error"):
        deaf.do("log.level", level=level)
    for client in (one, two):
        assert [client.event()["level"] for _ in range(3)] == \
            ["debug", "info", "error"]
    one.close()
    deaf.do("log.level", level="info")
    assert two.event() == {"event": "log.level", "level": "info",
                           "was": "error"}
    assert deaf.do("log.level", level="info")["was"] == "info"
    vub.end()


def some_hang_up_in_the_middle():
    vub = Vub([disk(f"d{i}") for i in range(8)])
    for i in range(100):
        client = Client()
        client.send(*(request(j, ("status", "block.resize")[j % 2],
                              **({}, {"device": "d3"})[j % 2])
                      for j in range(i % 20)))
        if i % 5 == 0:
            client.do("help")
        if i % 3 == 0:
            client.socket.sendall(b'{"jsonrpc":')
        client.close()
    Client().do("status")
    vub.end()


def only_the_same_user_and_root():
    if os.getuid() != 0:
        return "it takes root to be somebody else"
    # That of PATH may lie where nobody else looks.
    python = "/usr/bin/python3"
    if not os.path.exists(python):
        return f"there is no {python}"
    os.chmod(".", 0o755)
    path = os.path.abspath("open.sock")
    conf = {"runtime_dir": "run", "devices": [disk()],
            "control": {"socket": path, "mode": "0666"}}
    script = ("import socket, sys; s = socket.socket(socket.AF_UNIX); "
              "s.connect(sys.argv[1]); s.settimeout(60)\n"
              "try: s.sendall(b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
              "\"quit\"}\\n')\n"
              "except BrokenPipeError: pass\n"  # refused already
              "data = b''\n"
              "while True:\n"
              "    try: got = s.recv(4096)\n"
              "    except ConnectionResetError: break\n"
              "    if not got: break\n"
              "    data += got\n"
              "print(data.decode(), end='')")

    def as_nobody():
        return subprocess.run([python, "-c", script, path], text=True,
                              user=NOBODY, group=NOBODY, timeout=LIMIT,
                              capture_output=True)

    vub = Vub(conf=conf)
    done = as_nobody()
    assert done.stdout == (
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"user '
        f'{NOBODY} may not control this vub: only user 0 and root may"}}}}\n'
        ), done
    Client(path).do("help")
    for _ in range(15):
        assert "may not control" in as_nobody().stdout
    said = vub.end()
    assert f"vub: warning: user {NOBODY} (process " in said, said
    # One who tries again and again does not fill the log.
    assert 1 <= said.count("may not use the control socket") < 16, said
    # Of a vub of nobody's, root may ask too.
    os.mkdir("theirs")
    os.chown("theirs", NOBODY, NOBODY)
    conf["runtime_dir"] = "theirs"
    conf["control"]["socket"] = os.path.abspath("theirs/c.sock")
    path = conf["control"]["socket"]
    with open(PROGRAM, "rb") as f, open("vub", "wb") as g:
        g.write(f.read())
    os.chmod("vub", 0o755)
    with open("vub.json", "w") as f:
        json.dump(conf, f)
    # A clone in /root has rules for the thread sanitizer that they cannot
    # read; none are needed.
    process = subprocess.Popen(["./vub", "--config", "vub.json"], text=True,
                               stderr=subprocess.PIPE, user=NOBODY,
                               group=NOBODY,
                               env=dict(os.environ, TSAN_OPTIONS=""))
    while "ready" not in process.stderr.readline():
        assert process.poll() is None
    Client(path).do("help")
    assert '"result"' in as_nobody().stdout
    said = process.communicate(timeout=LIMIT)[1]
    assert process.returncode == 0, said


def the_socket_is_replaced_if_nobody_listens():
    vub = Vub(conf={"runtime_dir": "run", "devices": [disk()],
                    "control": {"socket": "c.sock", "mode": "0640"}})
    assert stat.S_IMODE(os.stat("run/c.sock").st_mode) == 0o640
    vub.end(signal.SIGKILL, -signal.SIGKILL)
    assert os.path.exists("run/c.sock")
    vub = Vub()
    assert stat.S_IMODE(os.stat("run/c.sock").st_mode) == 0o600
    Client().do("help")
    other = Vub(conf={"runtime_dir": "run", "control": "c.sock",
                      "devices": [disk("other")]})
    said = other.end(None, 1)
    assert not other.is_ready
    assert said == (f"vub.json: /control: {os.path.realpath('run/c.sock')} is "
                    f"in use: process {vub.process.pid} (vub) listens on it\n"), said
    Client().do("help")
    vub.end()
    assert os.listdir("run") == []


def without_the_key_there_is_none():
    vub = Vub(conf={"runtime_dir": "run", "devices": [disk()]})
    assert os.listdir("run") == ["d.sock"]
    vub.end()
    vub = Vub(conf={"runtime_dir": "run", "devices": [disk()], "control": {}})
    Client("run/control.sock").do("help")
    vub.end()


def quit_is_answered_first():
    vub = Vub()
    client, idle = Client(), Client()
    client.send(request(1, "quit"), request(2, "quit"), request(3, "status"))
    assert client.take() == {"jsonrpc": "2.0", "id": 1, "result": {}}
    rest = []
    while (line := client.take()) is not None:
        rest.append(line["id"])
    assert 2 in rest
    assert idle.line() is None
    said = vub.end(None)
    assert f"vub: stopping: quit, by process {os.getpid()}\n" in said, said
    assert os.listdir("run") == []


run([many_clients_are_served, many_requests_are_under_way,
     one_that_does_not_read_is_dropped,
     one_that_does_not_read_stops_itself_only, events_that_are_not_read_are_counted,
     events_go_to_those_who_asked, some_hang_up_in_the_middle,
     only_the_same_user_and_root, the_socket_is_replaced_if_nobody_listens,
     without_the_key_there_is_none, quit_is_answered_first])
