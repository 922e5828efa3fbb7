#!/usr/bin/env python3
"""changes.py VUB: devices that come and go while vub runs, and a config that is
read again."""

import json
import os
import signal
import socket
import threading

from rig import Client, Vub, disk, run


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.settimeout(60)
    return s


def write(*devices, **root):
    conf = dict({"runtime_dir": "run", "control": "c.sock",
                 "devices": list(devices)}, **root)
    with open("vub.json.new", "w") as f:
        json.dump(conf, f)
    os.rename("vub.json.new", "vub.json")


def served(client):
    return sorted(d["id"] for d in client.do("status")["devices"])


def threads(vub):
    names = []
    for task in os.listdir(f"/proc/{vub.process.pid}/task"):
        try:
            with open(f"/proc/{vub.process.pid}/task/{task}/comm") as f:
                names.append(f.read().strip())
        except OSError:
            pass
    return sorted(names)


def fds(vub):
    return len(os.listdir(f"/proc/{vub.process.pid}/fd"))


def rss_kib(vub):
    with open(f"/proc/{vub.process.pid}/status") as f:
        return int(next(s for s in f if s.startswith("VmRSS")).split()[1])


def errors(answer):
    data = answer["error"].get("data", {})
    return data.get("errors") or [{"at": data.get("at", ""),
                                   "message": answer["error"]["message"]}]


def one_is_added_and_removed():
    vub = Vub([disk("a")])
    client, other = Client(), Client()
    other.do("events")
    assert client.do("device.add", config=disk("b")) == {}
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
            while threads(vub) != ["a", "vub"]:
                client.do("status")
            counted = fds(vub), rss_kib(vub)
    while threads(vub) != ["a", "vub"]:
        client.do("status")
    assert fds(vub) == counted[0], (fds(vub), counted)
    vub.end()


run([one_is_added_and_removed, a_hundred_come_and_go])
