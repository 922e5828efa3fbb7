#!/usr/bin/env python3
"""takeover.py VUB: --take-over: one vub goes on where another has stopped. Here
is what they say to each other, and to whoever looks; what guests notice is
tests/behave/take_over.c's."""

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import threading

from host import (LIMIT, PROGRAM, Client, Manager, Vub, activated, connect,
                  ctl, disk, listening, run)

(HELLO, SOCKET, OFFERED, WANT, BEGIN, DEVICE, SAID, KEPT, GIVEN, READY, GO,
 MINE, GIVE_UP) = range(13)
HELLO_BODY = "=QQI32s112s4x"
SOCKET_BODY = "=65s16s4096s3xII"
WANT_BODY = "=65s3xI"
DEVICE_BODY = "=65s3xiIIII"
GIVE_UP_BODY = "=256s"


class Wire:
    """One end of the pair."""

    def __init__(self, sock):
        self.socket = sock
        self.socket.settimeout(LIMIT)

    def send(self, kind, body=b"", fds=()):
        socket.send_fds(self.socket, [struct.pack("=II", kind, len(body)) +
                                      body], list(fds))

    def take(self):
        """(kind, body, fds), or None: the other has hung up."""
        data, fds, _, _ = socket.recv_fds(self.socket, 8192, 64)
        if not data:
            return None
        kind, length = struct.unpack_from("=II", data)
        assert len(data) == 8 + length, (kind, length, len(data))
        return kind, data[8:], fds

    def close(self):
        self.socket.close()


def text(raw):
    return raw.split(b"\0")[0].decode()


class Taker(Wire):
    """Somebody who takes over, as vub --take-over would, up to a point."""

    def __init__(self, path="run/c.sock", **more):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        client.settimeout(LIMIT)
        client.sendall(json.dumps({
            "jsonrpc": "2.0", "id": 1, "method": "hand-over",
            "params": dict(protocol=1, **more)}).encode() + b"\n")
        data, fds, _, _ = socket.recv_fds(client, 65536, 4)
        self.answer = json.loads(data)
        self.client = client
        assert len(fds) == ("result" in self.answer), (self.answer, fds)
        if fds:
            super().__init__(socket.socket(fileno=fds[0]))
            assert self.socket.type == socket.SOCK_SEQPACKET

    def offer(self):
        """The sockets, by ids."""
        kind, hello, _ = self.take()
        assert kind == HELLO
        self.watchdog, _, count, version, notify = struct.unpack(HELLO_BODY,
                                                                 hello)
        self.notify = text(notify)
        self.sockets = {}
        for _ in range(count):
            kind, body, fds = self.take()
            assert kind == SOCKET, kind
            name, type_, path, _, _ = struct.unpack(SOCKET_BODY, body)
            self.sockets[text(name)] = (text(type_), text(path))
            for fd in fds:
                os.close(fd)
        assert self.take()[0] == OFFERED
        return self.sockets

    def want(self, *ids):
        for name in ids:
            self.send(WANT, struct.pack(WANT_BODY, name.encode(), 1))
        self.send(BEGIN)

    def devices(self):
        """Those that are given, by ids."""
        given = {}
        while True:
            kind, body, fds = self.take()
            for fd in fds:
                os.close(fd)
            if kind == DEVICE:
                name, _, _, _, said, kept = struct.unpack(DEVICE_BODY, body)
                given[text(name)] = (len(fds), said, kept)
            elif kind == GIVEN:
                return given
            else:
                assert kind in (SAID, KEPT), kind


class Giver:
    """Somebody who looks like a vub that hands over, at `path`."""

    def __init__(self, path, talk):
        self.listener = listening(path)
        self.talk = talk
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        conn, _ = self.listener.accept()
        line = b""
        while not line.endswith(b"\n"):
            line += conn.recv(4096)
        assert json.loads(line)["method"] == "hand-over"
        ours, theirs = socket.socketpair(socket.AF_UNIX,
                                         socket.SOCK_SEQPACKET)
        self.talk(conn, theirs, Wire(ours))
        conn.close()
        theirs.close()
        ours.close()

    def end(self):
        self.thread.join(LIMIT)
        assert not self.thread.is_alive()
        self.listener.close()


def accept(conn, theirs):
    socket.send_fds(conn, [b'{"jsonrpc": "2.0", "id": 1, "result": {}}\n'],
                    [theirs.fileno()])
    theirs.close()


def hello(wire, sockets=0):
    wire.send(HELLO, struct.pack(HELLO_BODY, 0, 0, sockets, b"9.9", b""))


def offer_socket(wire, name, type_, path, fds, kind=0):
    wire.send(SOCKET, struct.pack(SOCKET_BODY, name.encode(), type_.encode(),
                                  os.path.abspath(path).encode(), 0, kind),
              fds)


def two(**more):
    return dict({"runtime_dir": "run", "control": "c.sock",
                 "devices": [disk("a"), disk("b")]}, **more)


def fails(*args, conf=None, status=1):
    """What a vub says that cannot take over."""
    with open("new.json", "w") as f:
        json.dump(conf or two(), f)
    done = subprocess.run([PROGRAM, "--config", "new.json", *args], text=True,
                          capture_output=True, timeout=LIMIT)
    assert done.returncode == status, (done.returncode, done.stderr)
    return done.stderr


def taken_by(old, *args, conf=None, **kwargs):
    """The next vub, when the one before it has ended; and what that said."""
    new = Vub(conf=conf or two(), args=("--take-over", *args), **kwargs)
    assert new.is_ready, new.end(None, 1)
    return new, old.end(None)


# ---- the whole ----

def it_goes_on_with_the_same_sockets():
    old = Vub(conf=two())
    inodes = [os.stat(f"run/{n}").st_ino for n in ("a.sock", "b.sock",
                                                   "c.sock")]
    new, said = taken_by(old)
    assert f"vub: process {new.process.pid} has taken over\n" in said, said
    assert "removed" not in said and "stopping" not in said, said
    assert inodes == [os.stat(f"run/{n}").st_ino
                      for n in ("a.sock", "b.sock", "c.sock")]
    connect("run/a.sock").close()
    status = Client().do("status")
    assert status["pid"] == new.process.pid, status
    origin = status["taken_over"]
    assert origin["pid"] == old.process.pid, status
    assert origin["version"] == status["version"], status
    assert origin["front_ends"] == 0 and origin["pause_ms"] < 60000, status
    assert [d["id"] for d in status["devices"]] == ["a", "b"], status
    said = new.end()
    assert f"taking over from process {old.process.pid} " in said, said
    assert os.listdir("run") == [], os.listdir("run")


def again_and_again():
    vub = Vub(conf=two())
    for _ in range(10):
        front = connect("run/a.sock")
        vub, _ = taken_by(vub)
        front.close()
    assert Client().do("status")["pid"] == vub.process.pid
    vub.end()
    assert os.listdir("run") == []


def one_that_was_started_as_usual_tells_nothing_of_it():
    vub = Vub(conf=two())
    status = Client().do("status")
    assert "taken_over" not in status and status["started"].endswith("Z")
    vub.end()


def who_waits_in_the_backlog_is_served():
    old = Vub(conf=two())
    first = connect("run/a.sock")
    waits = connect("run/a.sock")
    new, _ = taken_by(old)
    first.close()
    # GET_FEATURES
    waits.sendall(struct.pack("=III", 1, 1, 0))
    assert len(waits.recv(20)) == 20
    waits.close()
    new.end()


# ---- another config ----

def devices_of_one_of_both_come_and_go():
    old = Vub(conf=two())
    gone = connect("run/b.sock")
    new, said = taken_by(old, conf=two(devices=[disk("a"), disk("n")]))
    assert gone.recv(1) == b""
    connect("run/n.sock").close()
    assert sorted(os.listdir("run")) == ["a.sock", "c.sock", "n.sock"]
    new.end()


def a_device_of_another_type_is_another_one():
    old = Vub(conf=two())
    front = connect("run/b.sock")
    inode = os.stat("run/b.sock").st_ino
    kbd = {"id": "b", "type": "input",
           "source": {"type": "virtual", "preset": "keyboard"}}
    new, _ = taken_by(old, conf=two(devices=[disk("a"), kbd]))
    assert front.recv(1) == b""
    assert os.stat("run/b.sock").st_ino == inode
    connect("run/b.sock").close()
    new.end()
    assert os.listdir("run") == []


def sockets_may_move():
    old = Vub(conf=two())
    moved = two(control="other.sock",
                devices=[disk("a", socket=os.path.abspath("a-elsewhere")),
                         disk("b")])
    new = Vub(conf=moved, args=("--take-over=run/c.sock",))
    assert new.is_ready, new.end(None, 1)
    old.end(None)
    assert sorted(os.listdir("run")) == ["b.sock", "other.sock"]
    connect("a-elsewhere").close()
    assert Client("run/other.sock").do("status")["taken_over"]
    new.end()
    assert os.listdir("run") == [] and not os.path.exists("a-elsewhere")


def it_need_have_no_control_socket_itself():
    old = Vub(conf=two())
    conf = two()
    del conf["control"]
    said = fails("--take-over", conf=conf)
    assert '--take-over: this config has no "control": ' in said, said
    new = Vub(conf=conf, args=("--take-over=run/c.sock",))
    assert new.is_ready
    old.end(None)
    assert sorted(os.listdir("run")) == ["a.sock", "b.sock"]
    new.end()


def a_config_that_cannot_be_served_changes_nothing():
    old = Vub(conf=two())
    pid = old.process.pid
    bad = disk("b", store={"type": "file", "path": "missing.img"})
    front = connect("run/a.sock")
    said = fails("--take-over", conf=two(devices=[disk("a"), bad]), status=2)
    assert "missing.img" in said, said
    client = Client()
    status = client.do("status")
    while [d["id"] for d in status["devices"]] != ["a", "b"]:
        status = client.do("status")
    assert status["pid"] == pid, status
    front.sendall(struct.pack("=III", 1, 1, 0))
    assert len(front.recv(20)) == 20
    connect("run/b.sock").close()
    said = old.end()
    assert "does not take over: /devices/1/store/path: " in said, said
    assert "all is served here again" in said, said
    assert os.listdir("run") == []


# ---- refusals ----

def options_that_make_no_sense_are_refused():
    said = fails("--take-over", "--run", "true", status=2)
    assert "--take-over: takes over front-ends that run" in said, said
    said = fails("--take-over=", status=2)
    assert "--take-over: needs the path of a socket behind =" in said, said
    said = fails("--take-over", "--take-over=x", status=2)
    assert "--take-over: is given twice" in said, said


def somebody_must_be_there():
    said = fails("--take-over")
    assert "--take-over: there is no vub to take over from: " in said, said
    assert not os.path.exists("run/a.sock")
    os.mkdir("run") if not os.path.exists("run") else None
    listening("run/c.sock").close()
    said = fails("--take-over")
    assert "there is no vub to take over from: " in said, said


def a_command_is_not_handed_over():
    old = Vub(conf=two(), args=("--run", "exec sleep 1000"))
    said = fails("--take-over")
    assert "does not hand over: this vub runs a command (--run)" in said, said
    connect("run/a.sock").close()
    old.process.terminate()
    old.process.communicate(timeout=LIMIT)


def another_protocol_is_a_sentence():
    old = Vub(conf=two())
    out = Client().ask("hand-over", protocol=2)["error"]
    assert "hands over by protocol 1, not 2" in out["message"], out
    out = Client().ask("hand-over")["error"]
    assert "protocol" in json.dumps(out), out
    old.end()


def one_that_is_too_old_is_a_sentence():
    os.mkdir("run")

    def talk(conn, theirs, wire):
        conn.sendall(b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, '
                     b'"message": "there is no such command"}}\n')

    giver = Giver("run/c.sock", talk)
    said = fails("--take-over")
    assert f"process {os.getpid()} is a vub that is too old to hand over" in \
        said, said
    giver.end()


def asking_by_hand_does_nothing():
    old = Vub(conf=two())
    ctl("--config", "vub.json", "hand-over", "protocol=1")
    client = Client()
    client.do("config.reload")  # its turn comes when that is over
    said = old.end()
    assert "does not take over: it has ended" in said, said


# ---- who dies, and when ----

def the_new_one_may_die_at_any_point():
    old = Vub(conf=two())
    front = connect("run/a.sock")

    def nothing(taker):
        pass

    def offered(taker):
        assert taker.offer() == {
            "": ("", os.path.abspath("run/c.sock")),
            "a": ("block", os.path.abspath("run/a.sock")),
            "b": ("block", os.path.abspath("run/b.sock"))}, taker.sockets

    def wanting(taker):
        taker.offer()
        taker.send(WANT, struct.pack(WANT_BODY, b"a", 1))

    def begun(taker):
        taker.offer()
        taker.want("", "a", "b")

    def first(taker):
        begun(taker)
        assert taker.take()[0] == DEVICE

    def given(taker):
        begun(taker)
        assert sorted(taker.devices()) == ["a", "b"]

    def told_to_go(taker):
        given(taker)
        taker.send(READY)
        assert taker.take()[0] == GO

    for point in (nothing, offered, wanting, begun, first, given,
                  told_to_go):
        taker = Taker()
        point(taker)
        taker.close()
        client = Client()
        client.do("config.reload")
        status = client.do("status")
        assert sorted(d["id"] for d in status["devices"]) == ["a", "b"], status
        front.sendall(struct.pack("=III", 1, 1, 0))
        assert len(front.recv(20)) == 20, point
        connect("run/b.sock").close()
    said = old.end()
    assert said.count("does not take over: it has ended") == 7, said
    assert os.listdir("run") == []


def what_makes_no_sense_is_the_end_of_it():
    old = Vub(conf=two())
    for kind, body in ((READY, b""), (GO, b""), (99, b""), (HELLO, b"x"),
                       (WANT, b"a"), (WANT, b"a" * 65),
                       (WANT, struct.pack(WANT_BODY, b"nobody", 1)),
                       (BEGIN, b"more")):
        taker = Taker()
        taker.offer()
        taker.send(kind, body)
        kind, body, _ = taker.take()
        assert kind == GIVE_UP, kind
        assert taker.take() is None
    taker = Taker()
    taker.offer()
    taker.socket.send(b"xy")
    assert taker.take()[0] == GIVE_UP
    # Ready before anything was given.
    taker = Taker()
    taker.offer()
    taker.want("a")
    taker.send(BEGIN)
    while (got := taker.take())[0] != GIVE_UP:
        pass
    client = Client()
    client.do("config.reload")
    assert len(client.do("status")["devices"]) == 2
    old.end()


def fds_that_nobody_asked_for_are_closed():
    old = Vub(conf=two())
    for _ in range(3):
        taker = Taker()
        taker.offer()
        read, write = os.pipe()
        taker.send(WANT, struct.pack(WANT_BODY, b"a", 1), [write])
        os.close(write)
        assert taker.take()[0] == GIVE_UP
        assert os.read(read, 1) == b""
        os.close(read)
    old.end()


def it_is_said_why_it_came_to_nothing():
    old = Vub(conf=two())
    taker = Taker()
    taker.offer()
    taker.want("a")
    taker.devices()
    taker.send(GIVE_UP, struct.pack(GIVE_UP_BODY, b"/devices/0: is bad"))
    assert taker.take() is None
    Client().do("config.reload")
    said = old.end()
    assert "does not take over: /devices/0: is bad" in said, said


def a_stop_ends_it():
    for point in ("offer", "want", "devices"):
        old = Vub(conf=two())
        taker = Taker()
        taker.offer()
        if point != "offer":
            taker.want("a")
        if point == "devices":
            taker.devices()
        old.process.terminate()
        while (got := taker.take())[0] != GIVE_UP:
            assert point == "want", got
        assert text(got[1]) == "it is stopping", got
        old.end(None)
        assert os.listdir("run") == [], os.listdir("run")


def others_wait_for_their_turn():
    old = Vub(conf=two())
    taker = Taker()
    taker.offer()
    client = Client()
    client.send(json.dumps({"jsonrpc": "2.0", "id": 7, "method":
                            "device.remove", "params": {"device": "b"}}))
    assert len(Client().do("status")["devices"]) == 2
    taker.want("a", "b")
    assert sorted(taker.devices()) == ["a", "b"]
    assert len(Client().do("status")["devices"]) == 0
    taker.close()
    assert client.take()["id"] == 7
    assert [d["id"] for d in Client().do("status")["devices"]] == ["a"]
    # One that succeeds drops them.
    taker = Taker()
    taker.offer()
    taker.want("", "a")
    taker.devices()
    client.send(json.dumps({"jsonrpc": "2.0", "id": 8, "method":
                            "config.reload"}))
    Client().do("status")
    taker.send(READY)
    assert taker.take()[0] == GO
    taker.send(MINE)
    assert "vub is stopping" in client.take()["error"]["message"]
    said = old.end(None)
    assert f"vub: process {os.getpid()} has taken over\n" in said, said
    assert sorted(os.listdir("run")) == ["a.sock", "c.sock"]


def the_old_one_may_die_at_any_point():
    os.mkdir("run")

    def at_once(conn, theirs, wire):
        pass

    def without_a_word(conn, theirs, wire):
        accept(conn, theirs)

    def in_the_offer(conn, theirs, wire):
        accept(conn, theirs)
        hello(wire, 2)

    def before_devices(conn, theirs, wire):
        accept(conn, theirs)
        hello(wire, 1)
        with listening("run/a.sock") as a:
            offer_socket(wire, "a", "block", "run/a.sock", [a.fileno()])
            wire.send(OFFERED)
            while wire.take()[0] != BEGIN:
                pass

    def in_a_device(conn, theirs, wire):
        before_devices(conn, theirs, wire)
        wire.send(DEVICE, struct.pack(DEVICE_BODY, b"a", 0, 0, 0, 0, 3))

    def after_devices(conn, theirs, wire):
        before_devices(conn, theirs, wire)
        wire.send(DEVICE, struct.pack(DEVICE_BODY, b"a", 0, 0, 0, 0, 0))
        wire.send(GIVEN)
        assert wire.take()[0] == READY

    for talk in (at_once, without_a_word, in_the_offer, before_devices,
                 in_a_device, after_devices):
        giver = Giver("old.sock", talk)
        vub = Vub(conf=two(), args=("--take-over=old.sock",))
        assert vub.is_ready, (talk, vub.end(None, 1))
        giver.end()
        os.unlink("old.sock")
        for name in ("a", "b"):
            connect(f"run/{name}.sock").close()
        said = vub.end()
        assert "has ended while it was handing over" in said, said
        assert os.listdir("run") == [], (talk, os.listdir("run"))


def an_old_one_that_makes_no_sense_is_not_believed():
    os.mkdir("run")
    read, write = os.pipe()
    plain = socket.socket(socket.AF_UNIX)
    stranger = listening("elsewhere")

    def offering(*send):
        def talk(conn, theirs, wire):
            accept(conn, theirs)
            hello(wire, 2)
            for args in send:
                args(wire)
            wire.take()
        return talk

    def no_result(conn, theirs, wire):
        conn.sendall(b'{"jsonrpc": "2.0", "id": 1}\n')

    def no_json(conn, theirs, wire):
        conn.sendall(b"hello\n")

    def no_pair(conn, theirs, wire):
        socket.send_fds(conn, [b'{"id": 1, "result": {}}\n'], [read])

    def endless(conn, theirs, wire):
        try:
            conn.sendall(b"x" * 100000)
        except BrokenPipeError:
            pass

    for talk in (
            no_result, no_json, no_pair, endless,
            offering(lambda w: w.send(HELLO)),
            offering(lambda w: w.send(77)),
            offering(lambda w: w.send(GIVEN)),
            offering(lambda w: w.socket.send(b"abc")),
            offering(lambda w: offer_socket(w, "a", "block", "x", [])),
            offering(lambda w: offer_socket(w, "a", "block", "x", [read])),
            offering(lambda w: offer_socket(w, "a", "block", "x",
                                            [plain.fileno()])),
            offering(lambda w: offer_socket(w, "a", "block", "x",
                                            [stranger.fileno()] * 2)),
            offering(*[lambda w: offer_socket(
                w, "a", "block", "x", [stranger.fileno()])] * 2)):
        giver = Giver("old.sock", talk)
        said = fails("--take-over=old.sock")
        assert f"--take-over: process {os.getpid()} " in said, said
        giver.end()
        os.unlink("old.sock")
        assert os.listdir("run") == [], os.listdir("run")
    for fd in (read, write):
        os.close(fd)


def devices_that_make_no_sense_are_not_believed():
    os.mkdir("run")
    memory = os.memfd_create("m")
    os.ftruncate(memory, 4096)
    one, other = socket.socketpair()

    def giving(*send):
        def talk(conn, theirs, wire):
            accept(conn, theirs)
            hello(wire, 1)
            with listening("run/a.sock") as a:
                offer_socket(wire, "a", "block", "run/a.sock", [a.fileno()])
            wire.send(OFFERED)
            os.unlink("run/a.sock")
            while wire.take()[0] != BEGIN:
                pass
            for args in send:
                wire.send(*args)
            got = wire.take()
            assert got[0] == GIVE_UP and text(got[1]), got
        return talk

    def device(name=b"a", said=0, kept=0, fds=()):
        return DEVICE, struct.pack(DEVICE_BODY, name, 0, 0, 0, said, kept), fds

    kept = KEPT, struct.pack("=64sQ", b"block.1", 4096)
    said = SAID, bytes(288)
    for talk in (giving(device(b"b")), giving(device(), device()),
                 giving(device(said=1)),
                 giving(device(kept=1 << 30)),
                 giving(device(fds=[memory])),
                 giving(kept + ([memory],)),
                 giving(said),
                 giving(device(kept=1), kept + ([memory],)),  # not sealed
                 giving(device(kept=1), (GIVEN,)),
                 giving((READY,)),
                 giving((GO,)),
                 giving(device(said=1, fds=[one.fileno()]), (SAID, b"short")),
                 giving(device(said=1, fds=[one.fileno()]), kept)):
        giver = Giver("old.sock", talk)
        said_ = fails("--take-over=old.sock")
        assert "--take-over: " in said_, said_
        giver.end()
        os.unlink("old.sock")


def who_says_nothing_is_not_waited_for():
    os.mkdir("run")
    done = threading.Event()

    def silent(conn, theirs, wire):
        accept(conn, theirs)
        hello(wire, 1)
        done.wait(LIMIT)

    giver = Giver("old.sock", silent)
    said = fails("--take-over=old.sock")
    assert f"process {os.getpid()} does not answer in time" in said, said
    done.set()
    giver.end()


# ---- the service manager ----

def the_manager_is_told_who_it_is():
    manager = Manager()
    old = Vub(conf=two(), env=manager.env(WATCHDOG_USEC="60000000"))
    manager.take("READY=1")
    # The new one need not have been told where the manager is.
    env = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
    new, _ = taken_by(old, env=env)
    told = manager.take()
    while "WATCHDOG" in told or set(told) == {"STATUS"}:
        told = manager.take()
    assert told == {"MAINPID": str(new.process.pid)}, told
    told = manager.take("READY=1")
    assert told["MAINPID"] == str(new.process.pid), told
    assert told["STATUS"] == "2 devices, 0 with a front-end", told
    new.process.terminate()
    told = manager.take()
    while "STOPPING" not in told:  # of the old one's end it hears nothing
        assert "MAINPID" not in told, told
        told = manager.take()
    new.end(None)


def the_watchdog_goes_on():
    manager = Manager()
    old = Vub(conf=two(), env=manager.env(WATCHDOG_USEC="400000"))
    env = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
    new, _ = taken_by(old, env=env)
    manager.take("MAINPID")
    for _ in range(4):
        manager.take("WATCHDOG=1")
    new.end()


# The last word of the old one may be half the time old, and the next one's
# first would be late.
def the_watchdog_hears_of_the_next_one_at_once():
    manager = Manager()
    old = Vub(conf=two(), env=manager.env(WATCHDOG_USEC="600000000"))
    manager.take("WATCHDOG=1")
    env = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
    new, _ = taken_by(old, env=env)
    manager.take("MAINPID")
    manager.take("WATCHDOG=1")
    new.end()


def one_that_comes_to_nothing_is_no_news():
    manager = Manager()
    old = Vub(conf=two(), env=manager.env())
    taker = Taker()
    taker.offer()
    assert taker.notify == os.path.abspath("notify"), taker.notify
    taker.want("a", "b")
    taker.devices()
    taker.close()
    Client().do("config.reload")
    old.process.terminate()
    told = manager.take()
    while "STOPPING" not in told:
        assert "MAINPID" not in told, told
        told = manager.take()
    old.end(None)


# ---- sockets of others ----

def sockets_that_were_given_go_on():
    a, c = (listening(os.path.abspath(n)) for n in ("for-a", "for-control"))
    conf = {"runtime_dir": "run", "control": "c.sock",
            "devices": [disk("a"), disk("b")]}
    old = activated([a.fileno(), c.fileno()], "a:control", conf=conf)
    a.close()
    c.close()
    for line in old.stderr:
        if line.endswith(" ready\n"):
            break
    conf["control"] = os.path.abspath("for-control")
    conf["devices"][0]["socket"] = os.path.abspath("for-a")
    new = Vub(conf=conf, args=("--take-over",))
    assert new.is_ready
    assert old.wait(LIMIT) == 0
    connect("for-a").close()
    assert Client("for-control").do("status")["taken_over"]
    new.end()
    # Whose they are removes them.
    assert os.path.exists("for-a") and os.path.exists("for-control")


def a_socket_that_is_given_again_is_used():
    a = listening(os.path.abspath("for-a"))
    conf = {"runtime_dir": "run", "control": "c.sock", "devices": [disk("a")]}
    old = activated([a.fileno()], "a", conf=conf)
    for line in old.stderr:
        if line.endswith(" ready\n"):
            break
    new = activated([a.fileno()], "a", "--take-over", conf=conf)
    a.close()
    for line in new.stderr:
        if line.endswith(" ready\n"):
            break
    assert old.wait(LIMIT) == 0
    connect("for-a").close()
    new.terminate()
    assert new.wait(LIMIT) == 0
    assert os.path.exists("for-a")


run([it_goes_on_with_the_same_sockets, again_and_again,
     one_that_was_started_as_usual_tells_nothing_of_it,
     who_waits_in_the_backlog_is_served, devices_of_one_of_both_come_and_go,
     a_device_of_another_type_is_another_one, sockets_may_move,
     it_need_have_no_control_socket_itself,
     a_config_that_cannot_be_served_changes_nothing,
     options_that_make_no_sense_are_refused, somebody_must_be_there,
     a_command_is_not_handed_over, another_protocol_is_a_sentence,
     one_that_is_too_old_is_a_sentence, asking_by_hand_does_nothing,
     the_new_one_may_die_at_any_point, what_makes_no_sense_is_the_end_of_it,
     fds_that_nobody_asked_for_are_closed, it_is_said_why_it_came_to_nothing,
     a_stop_ends_it, others_wait_for_their_turn,
     the_old_one_may_die_at_any_point,
     an_old_one_that_makes_no_sense_is_not_believed,
     devices_that_make_no_sense_are_not_believed,
     who_says_nothing_is_not_waited_for,
     the_manager_is_told_who_it_is, the_watchdog_goes_on,
     the_watchdog_hears_of_the_next_one_at_once,
     one_that_comes_to_nothing_is_no_news, sockets_that_were_given_go_on,
     a_socket_that_is_given_again_is_used])
