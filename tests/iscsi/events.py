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


def is_up(client):
    """The device opens the unit when its loop runs."""
    unit = client.do("status")["devices"][0]["scsi"]["luns"][0]
    return unit.get("iscsi", {}).get("session") == "up"


def a_session_is_lost_and_comes_back():
    target = Target()
    vub = Vub([{"id": "san", "type": "scsi", "luns": [
        {"iscsi": {"url": f"iscsi://127.0.0.1:{target.port}/{IQN}/0"}}]}])
    asks, hears = Client(), Client()
    hears.do("events")
    while not is_up(asks):
        pass
    for _ in range(2):
        target.tell("drop")
        lost, back = hears.event(), hears.event()
        why, down_ms = lost.pop("why"), back.pop("down_ms")
        assert why and down_ms > 0, (why, down_ms)
        # The first time there is a session is no event.
        for event, name in ((lost, "iscsi.lost"), (back, "iscsi.back")):
            assert event == {"event": name, "device": "san", "target": IQN,
                             "portal": f"127.0.0.1:{target.port}"}, event
    told = asks.do("stats")["devices"][0]["iscsi"]
    assert told == [{"target": IQN, "sessions": 1, "up": 1, "logins": 3,
                     "losses": 2, "sent_again": 0}], told
    families = parse(asks.do("metrics")["text"])
    for family, number in (("sessions", 1), ("sessions_up", 1), ("logins", 3),
                           ("losses", 2), ("commands_resent", 0)):
        assert value(families, f"vub_iscsi_{family}", 'device="san"',
                     f'target="{IQN}"') == number, family
    assert f"  iscsi: target {IQN}, sessions 1, up 1, logins 3, losses 2, " \
        "sent_again 0" in ctl("--socket", "run/c.sock", "stats").splitlines()
    vub.end()
    target.end()


run([a_session_is_lost_and_comes_back])
