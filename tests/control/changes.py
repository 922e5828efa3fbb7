#!/usr/bin/env python3
"""changes.py VUB: devices that come and go while vub runs, and a config that is
read again."""

import json
import os
import signal
import socket
import threading

from rig import Client, Vub, connect, disk, errors, run, served, write


def threads(vub):
    """Those that have a name of their own."""
    names = []
    tasks = sorted(os.listdir(f"/proc/{vub.process.pid}/task"), key=int)
    with open(f"/proc/{vub.process.pid}/maps") as f:
        if "libtsan" in f.read():
            del tasks[1]  # the sanitizer's, by the name of the first worker
    for task in tasks:
        try:
            with open(f"/proc/{vub.process.pid}/task/{task}/comm") as f:
                names.append(f.read().strip())
        except OSError:
            pass
    return sorted(name for name in names if name != "vub")


def fds(vub):
    return len(os.listdir(f"/proc/{vub.process.pid}/fd"))


def rss_kib(vub):
    with open(f"/proc/{vub.process.pid}/status") as f:
        return int(next(s for s in f if s.startswith("VmRSS")).split()[1])


def one_is_added_and_removed():
    vub = Vub([disk("a")])
    client, other = Client(), Client()
    other.do("events")
    assert client.do("device.add", config=disk("b")) == {
        "socket": os.path.abspath("run/b.sock")}
    front_end = connect("run/b.sock")
    assert served(client) == ["a", "b"]
    assert other.event() == {"event": "device.added", "device": "b"}
    assert "b" in threads(vub)
    assert client.do("device.remove", device="b") == {}
    assert front_end.recv(1) == b""
    assert not os.path.exists("run/b.sock")
    assert served(client) == ["a"]
    while other.event()["event"] != "device.removed":
        pass
    got = client.ask("device.remove", device="b")
    assert got["error"]["message"] == 'there is no device "b"', got
    client.do("device.add", config=disk("b"))
    client.do("device.remove", device="a")
    client.do("device.remove", device="b")
    assert served(client) == []
    said = vub.end()
    assert "vub: b: block, 1 queue, at " in said, said
    assert said.count("b: removed") == 2, said


def a_hundred_come_and_go():
    vub = Vub([disk("a")])
    client = Client()
    counted = None
    for i in range(110):
        client.do("device.add", config=disk("b", worker=["v", "w"], queues=2)
                  if i % 2 else {"id": "b", "type": "input", "source":
                                 {"type": "virtual", "preset": "mouse"}}
                  if i % 4 else {"id": "b", "type": "scsi", "luns": [
                      {"target": 1, "lun": 1,
                       "store": {"type": "memory", "size": "1M"}}]}
                  if i % 8 else {"id": "b", "type": "gpu",
                                 "display": "headless"})
        front_end = connect("run/b.sock")
        client.do("status")
        client.do("device.remove", device="b")
        assert front_end.recv(1) == b""
        front_end.close()
        if i == 9:
            while threads(vub) != ["a"]:
                client.do("status")
            counted = fds(vub), rss_kib(vub)
    while threads(vub) != ["a"]:
        client.do("status")
    assert fds(vub) == counted[0], (fds(vub), counted)
    vub.end()


def mistakes_are_told_and_change_nothing():
    vub = Vub([disk("a"), disk("b", socket="other.sock"),
               {"id": "i", "type": "input",
                "source": {"type": "virtual", "preset": "mouse"}}])
    client = Client()
    client.do("device.add", config=disk("late"))
    before = fds(vub), threads(vub)
    taken = socket.socket(socket.AF_UNIX)
    taken.bind("run/taken.sock")
    taken.listen()

    def told(config, at, message):
        got = client.ask("device.add", config=config)
        want = {"at": "/params/config" + at, "message": message}
        assert "error" in got and want in errors(got), got
        return len(errors(got))

    told({"id": "x"}, "/type", 'is missing: the type of a device is "block", '
         '"gpu", "input" or "scsi"')
    assert told({"id": "x", "type": "block", "stoer": {}, "queues": 0},
                "/stoer", 'there is no such key; did you mean "store"?') == 3
    told(disk("a"), "/id", "/devices/a has the id a already")
    told(disk("late"), "/id", "/devices/late has the id late already")
    told(disk("x", socket="other.sock"), "/socket",
         f"/devices/b has the socket {os.getcwd()}/run/other.sock already")
    told(disk("x", socket="c.sock"), "/socket",
         f"/control has the socket {os.getcwd()}/run/c.sock already")
    told(disk("x", socket={"fd": 3}), "/socket/fd",
         "a descriptor can be given to vub only when it starts: name a path")
    told(disk("x", worker="a"), "/worker",
         '"a" is the own worker of /devices/a, which would have to name it to '
         'share it')
    told(disk("x", worker="input", poll_us="always"), "/poll_us",
         '"always" takes a worker of its own, but "input" serves /devices/i '
         'too')
    told({"id": "x", "type": "block",
          "store": {"type": "file", "path": "none.img"}}, "/store/path",
         f"cannot open {os.getcwd()}/none.img: No such file or directory")
    told(disk("taken"), "/socket", f"{os.getcwd()}/run/taken.sock is in use: "
         f"process {os.getpid()} (python3) listens on it")
    got = client.ask("device.add")
    assert errors(got) == [{"at": "/params/config",
                            "message": "is missing"}], got
    assert served(client) == ["a", "b", "i", "late"]
    assert (fds(vub), threads(vub)) == before
    assert sorted(os.listdir("run")) == ["a.sock", "c.sock", "i.sock",
                                         "late.sock", "other.sock",
                                         "taken.sock"]
    vub.end()


def a_reload_does_what_differs():
    vub = Vub([disk("stays"), disk("goes"), disk("changes")])
    client, other = Client(), Client()
    other.do("events")
    ends = {name: connect(f"run/{name}.sock")
            for name in ("stays", "goes", "changes")}
    inode = os.stat("run/stays.sock").st_ino
    # The same in other words is the same.
    write({"type": "block", "queues": 1, "id": "stays", "poll_us": 50,
           "store": {"size": 1 << 20, "type": "memory"}},
          disk("changes", queues=2), disk("comes"))
    got = client.do("config.reload")
    assert got == {"added": ["comes"], "removed": ["goes"],
                   "changed": ["changes"], "adjusted": [],
                   "kept": ["stays"]}, got
    assert served(client) == ["changes", "comes", "stays"]
    assert ends["goes"].recv(1) == b"" and ends["changes"].recv(1) == b""
    assert os.stat("run/stays.sock").st_ino == inode
    ends["stays"].setblocking(False)
    try:
        assert ends["stays"].recv(1) is None
    except BlockingIOError:
        pass
    for name in ("changes", "comes"):
        connect(f"run/{name}.sock").close()
    rings = client.do("status", device="changes")["devices"][0]["rings"]
    assert len(rings) == 2, rings
    assert client.do("config.reload") == {
        "added": [], "removed": [], "changed": [], "adjusted": [],
        "kept": ["stays", "comes", "changes"]}
    # What somebody has added, and the file does not know, goes.
    client.do("device.add", config=disk("guest"))
    client.do("device.remove", device="comes")
    got = client.do("config.reload")
    assert (got["added"], got["removed"]) == (["comes"], ["guest"]), got
    vub.end()


def a_reload_with_a_mistake_changes_nothing():
    vub = Vub([disk("a"), disk("b")])
    client = Client()
    end = connect("run/a.sock")
    with open("vub.json", "w") as f:
        f.write('{"devices": [}')
    got = client.ask("config.reload")
    assert errors(got) == [{"at": "line 1, column 14", "message":
                            "a value is wanted here, not }"}], got
    write(disk("a", queus=1), {"id": "e", "type": "block"})
    got = client.ask("config.reload")
    assert [e["at"] for e in errors(got)] == \
        ["/devices/0/queus", "/devices/1/store"], got
    write(disk("a"), disk("b"), runtime_dir="elsewhere",
          control={"socket": "c.sock", "mode": "0666"})
    got = client.ask("config.reload")
    assert errors(got) == [
        {"at": f"/{key}", "message":
         "cannot change while vub runs: start it again for that"}
        for key in ("runtime_dir", "control")], got
    # One that is seen only when all is tried.
    os.mkdir("run/full.sock")
    write(disk("a", queues=2), disk("new"), disk("full"))
    got = client.ask("config.reload")
    assert [e["at"] for e in errors(got)] == ["/devices/2/socket"], got
    write(disk("a", queues=2), disk("new"),
          dict(disk("b"), store={"type": "file", "path": "none.img"}))
    got = client.ask("config.reload")
    assert [e["at"] for e in errors(got)] == ["/devices/2/store/path"], got
    os.unlink("vub.json")
    got = client.ask("config.reload")
    assert errors(got)[0]["message"] == \
        "cannot be opened: No such file or directory", got
    assert served(client) == ["a", "b"]
    end.setblocking(False)
    try:
        assert end.recv(1) is None
    except BlockingIOError:
        pass
    vub.end()


def what_fails_late_is_undone():
    """A socket that is free only for a moment: it is found out when the old
    device is gone that the new one cannot come."""
    vub = Vub([disk("a"), disk("b"), disk("x", socket="sub/x.sock")]
              if os.makedirs("run/sub") is None else [])
    client = Client()
    # The directory of what comes in the place of b is a link that leads to
    # where nothing can be made.
    os.symlink("/proc/self", "run/nowhere")
    before = threads(vub)
    os.rename("run/sub", "run/kept")
    os.symlink("nowhere", "run/sub")
    write(disk("a"), disk("b", queues=2),
          disk("x", socket="sub/x.sock", queues=2))
    got = client.ask("config.reload")
    assert any(e["at"].startswith("/devices/2/socket") for e in errors(got)), \
        got
    # b is there as it was; x cannot come back either, and that is told.
    assert served(client) == ["a", "b"], got
    rings = client.do("status", device="b")["devices"][0]["rings"]
    assert len(rings) == 1
    connect("run/b.sock").close()
    while threads(vub) != sorted(set(before) - {"x"}):
        client.do("status")
    os.unlink("run/sub")
    os.rename("run/kept", "run/sub")
    got = client.do("config.reload")
    assert (got["added"], got["changed"]) == (["x"], ["b"]), got
    vub.end()


def sockets_and_names_may_be_handed_on():
    limited = {"type": "throttle", "iops": 100,
               "next": {"type": "memory", "size": "1M"}}
    vub = Vub([disk("a"), disk("b", store=dict(limited, name="t")),
               disk("e", store=dict(limited, name="t"))])
    client = Client()
    other = dict(limited, iops=200, name="t")
    write(disk("n", socket="a.sock"), disk("b", store=other),
          disk("e", store=other), disk("m", socket="./run/../run//b.sock"))
    got = client.ask("config.reload")
    assert "error" in got, got
    write(disk("n", socket="a.sock"), disk("b", store=other, queues=2),
          disk("e", store=other, queues=2))
    got = client.do("config.reload")
    assert got == {"added": ["n"], "removed": ["a"], "changed": ["b", "e"],
                   "adjusted": [], "kept": []}, got
    got = client.do("status")["throttles"]
    assert [t["iops"] for t in got] == [200], got
    connect("run/a.sock").close()
    vub.end()


def a_device_is_read_again():
    vub = Vub([disk("a"), disk("b")])
    client = Client()
    ends = [connect("run/a.sock"), connect("run/b.sock")]
    write(disk("e"), disk("a", queues=3))
    client.do("device.reload", device="a")
    assert ends[0].recv(1) == b""
    connect("run/a.sock").close()
    rings = client.do("status", device="a")["devices"][0]["rings"]
    assert len(rings) == 3
    assert served(client) == ["a", "b"]
    got = client.ask("device.reload", device="b")
    assert errors(got) == [{"at": "/params/device", "message":
                            'the config has no device "b" any more'}], got
    got = client.ask("device.reload", device="e")
    assert errors(got) == [{"at": "/params/device", "message":
                            'there is no device "e"'}], got
    vub.end()


def changes_wait_for_each_other():
    vub = Vub([disk("a")])
    clients = [Client() for _ in range(8)]

    def work(client, number):
        for i in range(10):
            client.do("device.add", config=disk(f"d{number}-{i}", worker="w"))
            client.do("config.reload" if i == 5 else "status")
        for i in range(10):
            client.ask("device.remove", device=f"d{number}-{i}")

    workers = [threading.Thread(target=work, args=(c, i))
               for i, c in enumerate(clients)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert served(clients[0]) == ["a"]
    # In one piece, from one client: in their order.
    lines = [json.dumps({"jsonrpc": "2.0", "id": i, "method": method,
                         "params": params})
             for i, (method, params) in enumerate(
                 [("device.add", {"config": disk("x")}),
                  ("device.add", {"config": disk("x")}),
                  ("device.remove", {"device": "x"}),
                  ("device.remove", {"device": "x"})])]
    clients[0].send(*lines)
    got = [clients[0].take() for _ in lines]
    assert [(g["id"], "result" in g) for g in got] == \
        [(0, True), (1, False), (2, True), (3, False)], got
    # Whoever goes before his turn has not asked.
    gone = Client()
    gone.send(*(json.dumps({"jsonrpc": "2.0", "id": i, "method": "device.add",
                            "params": {"config": disk(f"g{i}")}})
                for i in range(20)))
    gone.close()
    clients[1].do("config.reload")
    assert "g19" not in served(clients[1])
    vub.end()


def a_stop_comes_in_the_middle():
    for i in range(20):
        vub = Vub([disk("a"), disk("b")])
        write(disk("a", queues=2), disk("e"))
        client = Client()
        client.send(*(json.dumps({"jsonrpc": "2.0", "id": n, "method": method,
                                  "params": params})
                      for n, (method, params) in enumerate(
                          [("config.reload", {}),
                           ("device.add", {"config": disk("d")}),
                           ("device.remove", {"device": "a"})])))
        if i % 2:
            client.take()
        vub.end()
        os.unlink("vub.json")
        assert os.listdir("run") == [], os.listdir("run")


def a_hangup_is_a_reload():
    vub = Vub([disk("a")])
    client = Client()
    client.do("events")
    write(disk("a"), disk("b"))
    vub.process.send_signal(signal.SIGHUP)
    assert client.event() == {"event": "device.added", "device": "b"}
    write(disk("a"), disk("b"), log={"level": "debug"})
    vub.process.send_signal(signal.SIGHUP)
    while client.do("status")["log_level"] != "debug":
        pass
    write(disk("a", queues=0))
    vub.process.send_signal(signal.SIGHUP)
    while "the devices are as they were" not in vub.process.stderr.readline():
        pass
    assert served(client) == ["a", "b"]
    vub.end()


run([one_is_added_and_removed, a_hundred_come_and_go,
     mistakes_are_told_and_change_nothing, a_reload_does_what_differs,
     a_reload_with_a_mistake_changes_nothing, what_fails_late_is_undone,
     sockets_and_names_may_be_handed_on, a_device_is_read_again,
     changes_wait_for_each_other, a_stop_comes_in_the_middle,
     a_hangup_is_a_reload])
