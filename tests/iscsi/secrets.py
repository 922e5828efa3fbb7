#!/usr/bin/env python3
"""secrets.py VUB: no CHAP secret is in what vub says: not in its log at its
most talkative, not in its status, not in the answer to a config that is wrong;
whether the login fails or not, and wherever the secret is from."""

import json
import os
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
VUB = sys.argv[1]
MINE, ITS = "zebra-crossing-17", "umbrella-stand-42"
WRONG = "a-wrong-secret-99"
SAID_S = 30


class Target:
    def __init__(self):
        self.p = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "target.py"), "--lun", "1M",
             "--chap", f"vub:{MINE}", "--mutual", f"disk:{ITS}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.p.stdout.readline().split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.p.stdin.close()
        self.p.wait()


def config(directory, target, chap, mutual, kind):
    unit = {"url": f"iscsi://127.0.0.1:{target.port}/"
                   "iqn.2026-01.example:disk/0",
            "chap": dict(chap, user="vub"), "reconnect_timeout": 100,
            "mutual_chap": dict(mutual, user="disk")}
    device = {"id": "san", "type": kind,
              "socket": os.path.join(directory, "san.sock")}
    if kind == "scsi":
        device["luns"] = [{"target": 0, "lun": 0, "iscsi": unit}]
    else:
        device["store"] = dict(unit, type="iscsi")
    path = os.path.join(directory, "vub.json")
    with open(path, "w") as f:
        json.dump({"control": {"socket": os.path.join(directory, "ctl")},
                   "devices": [device]}, f)
    return path


def hears(p, words, said):
    """Reads the log until it has one of the words."""
    bark = threading.Timer(SAID_S, p.kill)
    bark.start()
    for line in p.stderr:
        said.append(line)
        if any(w in line for w in words):
            break
    else:
        raise AssertionError("it has not said " + " or ".join(words) +
                             ":\n" + "".join(said))
    bark.cancel()


def all_that_is_said(path, directory, env, words):
    said = []
    p = subprocess.Popen([VUB, "--config", path, "--log-level", "debug"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, env=env)
    hears(p, words, said)
    r = subprocess.run([VUB, "ctl", "--socket", os.path.join(directory, "ctl"),
                        "status"], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    p.terminate()
    said += p.communicate()
    return "".join(said) + r.stdout + r.stderr


def need_none(text, secrets):
    for s in secrets:
        # Nor as a part, or in hex.
        for form in (s, s.encode().hex(), s[:8], s[-8:]):
            assert form.lower() not in text.lower(), f"{form}:\n{text}"


def file_of(directory, name, secret, mode=0o600):
    path = os.path.join(directory, name)
    with open(path, "w") as f:
        f.write(secret + "\n")
    os.chmod(path, mode)
    return path


def main():
    lets_in = ["there is a session with"]
    does_not = ["no session with"]
    for kind in ("scsi", "block"):
        for mine, its, words in ((MINE, ITS, lets_in), (WRONG, ITS, does_not),
                                 (MINE, WRONG, does_not)):
            for from_file in (True, False):
                with tempfile.TemporaryDirectory() as d, Target() as t:
                    env = dict(os.environ)
                    if from_file:
                        chap = {"secret_file": file_of(d, "a", mine)}
                        mutual = {"secret_file": file_of(d, "b", its)}
                    else:
                        env.update(VUB_A=mine, VUB_B=its)
                        chap = {"secret_env": "VUB_A"}
                        mutual = {"secret_env": "VUB_B"}
                    path = config(d, t, chap, mutual, kind)
                    need_none(all_that_is_said(path, d, env, words),
                              {mine, its})
    # What is wrong with a secret is said without it.
    with tempfile.TemporaryDirectory() as d, Target() as t:
        for chap in ({"secret_file": file_of(d, "a", MINE, 0o644)},
                     {"secret_file": file_of(d, "b", MINE * 20)},
                     {"secret_env": "VUB_A"}):
            env = dict(os.environ, VUB_A=MINE)
            path = config(d, t, chap, {"secret_env": "VUB_A"}, "scsi")
            r = subprocess.run([VUB, "--config", path], env=env,
                               capture_output=True, text=True, timeout=SAID_S)
            assert r.returncode != 0 and r.stderr
            need_none(r.stdout + r.stderr, {MINE})


main()
