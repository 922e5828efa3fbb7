#!/usr/bin/env python3
"""events.py VUB: who listens to events hears that a session with a target is
lost, and that it is back; who asks for numbers is told how often."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../control"))

from open_metrics import parse, value  # noqa: E402
from rig import Client, Vub, ctl, run  # noqa: E402

IQN = "iqn.2026-01.example:disk"


class Target:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "target.py"), "--lun", "1M"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def session(client):
    """The device opens the unit when its loop runs."""
    device = client.do("status")["devices"][0]
    unit = device["scsi"]["luns"][0] if "scsi" in device else device["block"]
    return unit.get("iscsi", {}).get("session")


def of_a_host(url):
    return {"id": "san", "type": "scsi", "luns": [{"iscsi": {"url": url}}]}


def of_a_disk(url):
    return {"id": "san", "type": "block",
            "store": {"type": "iscsi", "url": url}}


def heard(client):
    """The next event of a session; a disk that has a size now is another."""
    event = client.event()
    return heard(client) if event["event"] == "config" else event


def sessions_are_lost_and_come_back():
    for device in (of_a_host, of_a_disk):
        a_session_is_lost_and_comes_back(device)


def a_session_is_lost_and_comes_back(device):
    target = Target()
    vub = Vub([device(f"iscsi://127.0.0.1:{target.port}/{IQN}/0")])
    asks, hears = Client(), Client()
    hears.do("events")
    while session(asks) != "up":
        pass
    for _ in range(2):
        target.tell("drop")
        lost, back = heard(hears), heard(hears)
        why, down_ms = lost.pop("why"), back.pop("down_ms")
        assert why and down_ms > 0, (why, down_ms)
        # The first time there is a session is no event.
        for event, name in ((lost, "iscsi.lost"), (back, "iscsi.back")):
            assert event == {"event": name, "device": "san", "target": IQN,
                             "portal": f"127.0.0.1:{target.port}"}, event
    told, = asks.do("stats")["devices"][0]["iscsi"]
    again = told["sent_again"]  # a question of the disk's own, if anything
    assert told == {"target": IQN, "sessions": 1, "up": 1, "logins": 3,
                    "losses": 2, "sent_again": again}, told
    families = parse(asks.do("metrics")["text"])
    for family, number in (("sessions", 1), ("sessions_up", 1), ("logins", 3),
                           ("losses", 2), ("commands_resent", again)):
        assert value(families, f"vub_iscsi_{family}", 'device="san"',
                     f'target="{IQN}"') == number, family
    assert f"  iscsi: target {IQN}, sessions 1, up 1, logins 3, losses 2, " \
        f"sent_again {again}" in ctl("--socket", "run/c.sock", "stats").splitlines()
    vub.end()
    target.end()


run([sessions_are_lost_and_come_back])
