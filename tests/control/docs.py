#!/usr/bin/env python3
"""docs.py VUB: what docs/control.md says goes over the socket is what does. Its
config is run in a directory of ours, so paths (the page's config is
/etc/vub/vub.json), the process id, and what the system can of the sandbox are
put in their place; all else is compared to the letter."""

import json
import os
import pathlib
import re

from rig import Client, Vub, run

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs/control.md"


def the_page_is_true():
    text = DOCS.read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    conf = json.loads(next(body for kind, body in blocks if kind == "json"))
    conf["runtime_dir"] = "run"
    with open("disk.img", "wb") as f:
        f.truncate(1 << 20)
    vub = Vub(conf=conf)
    client = Client("run/control.sock")
    here = os.path.realpath("run")
    checked = 0
    for kind, body in blocks:
        for line in body.splitlines() if not kind else ():
            arrow, said = line.split(" ", 1)
            if arrow == "->":
                client.send(said)
                continue
            assert arrow == "<-", line
            said = said.replace("4711", str(vub.process.pid))
            said = said.replace("/run/vub", here)
            said = said.replace("/etc/vub", os.path.realpath("."))
            got = client.line()
            for sandbox in re.findall(r'"sandbox":{[^}]*}', got):
                said = re.sub(r'"sandbox":{[^}]*}', sandbox, said)
            for started in re.findall(r'"started":"[-0-9:TZ]{20}"', got):
                said = re.sub(r'"started":"[^"]*"', started, said)
            assert got == said, f"\nthe page: {said}\nvub says: {got}"
            checked += 1
    assert checked > 10
    vub.end(None)


run([the_page_is_true])
