#!/usr/bin/env python3
"""list.py VUB: vub iscsi-list, with the scripted target and with tgt."""

import json
import os
import subprocess
import sys
import tempfile

import tgt

HERE = os.path.dirname(os.path.abspath(__file__))
VUB = sys.argv[1]


class Target:
    def __init__(self, *args):
        self.p = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "target.py"), *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.p.stdout.readline().split()[1])

    def say(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        return self.p.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.p.stdin.close()
        self.p.wait()


def vub(*args, env=None):
    return subprocess.run([VUB, "iscsi-list", *args], capture_output=True,
                          text=True, timeout=60, errors="surrogateescape",
                          env=dict(os.environ, **(env or {})))


def listed(*args, env=None):
    r = vub("--json", *args, env=env)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)["targets"]


def a_portal_s_targets_and_units_are_listed():
    with Target("--lun", "1M", "--lun", "2G") as t:
        r = vub(f"127.0.0.1:{t.port}")
        assert r.returncode == 0, r.stderr
        lines = r.stdout.splitlines()
        assert lines[0].startswith("iqn.2026-01.example:disk  at 127.0.0.1:")
        assert lines[1].split()[:5] == ["unit", "0", "disk", "1.0", "MiB"]
        assert lines[2].split()[:5] == ["unit", "1", "disk", "2.0", "GiB"]
        found = listed(f"localhost:{t.port}")
        assert [u["size"] for u in found[0]["units"]] == [1 << 20, 2 << 30]


def secrets_come_from_files_or_the_environment():
    with Target("--lun", "1M", "--chap", "vub:secret-of-vub", "--mutual",
                "disk:secret-of-disk") as t, \
            tempfile.NamedTemporaryFile("w") as f:
        portal = f"127.0.0.1:{t.port}"
        f.write("secret-of-vub\n")
        f.flush()
        found = listed("--chap-user", "vub", "--chap-secret-file", f.name,
                       "--mutual-user", "disk", "--mutual-secret-env", "ITS",
                       portal, env={"ITS": "secret-of-disk"})
        assert len(found[0]["units"]) == 1
        os.chmod(f.name, 0o644)
        r = vub("--chap-user", "vub", "--chap-secret-file", f.name, portal)
        assert r.returncode == 2 and "chmod 600" in r.stderr, r
        r = vub("--chap-user", "vub", "--chap-secret-env", "MINE", portal,
                env={"MINE": "another"})
        assert r.returncode == 1 and "another" not in r.stderr, r
        assert "Authentication" in r.stderr, r


def what_cannot_be_is_said():
    for args, status, words in (
            ([], 2, "which portal"), (["a:b:c"], 2, "no HOST[:PORT]"),
            (["--nonsense", "h"], 2, "no such option"),
            (["--timeout", "0", "h"], 2, "1 to 3600000"),
            (["--initiator", "me", "h"], 2, "no iSCSI name"),
            (["--chap-user", "me", "h"], 2, "needs a secret"),
            (["127.0.0.1:1"], 1, "refused"),
            (["nowhere.invalid"], 1, "no address")):
        r = vub(*args)
        assert r.returncode == status and words in r.stderr, (args, r)
        assert not r.stdout
    r = vub("--help")
    assert r.returncode == 0 and r.stdout.startswith("usage: vub iscsi-list")


def a_target_may_say_what_it_likes():
    with Target("--lun", "1M") as t:
        portal = f"127.0.0.1:{t.port}"
        # Not a byte of it reaches a terminal as it is.
        t.say("fault text_name iqn.\x1b[2J\x07x")
        r = vub(portal)
        assert r.returncode == 0 and "\x1b" not in r.stdout + r.stderr, r
        for fault in ("text_no_nul", "text_raw " + b"x=y\0".hex(),
                      "text_raw " + b"TargetAddress=1.2.3.4\0".hex(),
                      "text_raw " + b"TargetName=\0".hex(),
                      "text_raw " + (b"TargetName=a\0" * 2000).hex(),
                      "login_garbage", "login_silent", "redirect*",
                      "login_refuse 0x302"):
            t.say("fault " + fault)
            r = vub("--timeout", "500", portal)
            assert r.returncode in (0, 1) and "Sanitizer" not in r.stderr, \
                (fault, r)
            t.say("faultless")
        t.say("fault silent*")
        r = vub("--timeout", "500", portal)
        assert r.returncode == 0 and "does not answer" in r.stdout, r
        t.say("faultless")
        t.say("fault data_long*")
        r = vub("--timeout", "500", portal)
        assert r.returncode == 0, r


def a_real_target_is_listed():
    if not tgt.installed():
        print("[  SKIPPED ] a_real_target_is_listed: there is no tgt")
        return
    with tempfile.TemporaryDirectory() as d, \
            tgt.Tgt(d, [tgt.Lun("16M"), tgt.Lun("8M")]) as t:
        units = listed(t.portal)[0]["units"]
        assert [u["unit"] for u in units] == [0, 1, 2], units
        assert [u.get("size") for u in units] == [None, 16 << 20, 8 << 20]


def main():
    for test in (a_portal_s_targets_and_units_are_listed,
                 secrets_come_from_files_or_the_environment,
                 what_cannot_be_is_said, a_target_may_say_what_it_likes,
                 a_real_target_is_listed):
        test()
        print("ok", test.__name__, flush=True)


if __name__ == "__main__":
    main()
