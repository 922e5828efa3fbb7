"""A vub with a control socket, and clients of it. Nothing sleeps: each step
waits for a line, an exit, or the end of a connection."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile

LIMIT = 60  # seconds, for what should take milliseconds
PROGRAM = os.path.abspath(sys.argv[1])
NOBODY = 65534


def disk(name="d", **keys):
    return dict({"id": name, "type": "block",
                 "store": {"type": "memory", "size": "1M"}}, **keys)


class Vub:
    """A vub that is ready, in the current directory."""

    def __init__(self, devices=None, conf=None, args=(), **kwargs):
        conf = conf or {"runtime_dir": "run", "control": "c.sock",
                        "devices": devices or [disk()]}
        with open("vub.json", "w") as f:
            json.dump(conf, f)
        ready, write = os.pipe()
        self.process = subprocess.Popen(
            [PROGRAM, "--config", "vub.json", "--ready-fd", str(write), *args],
            stderr=subprocess.PIPE, text=True, pass_fds=[write], **kwargs)
        os.close(write)
        with os.fdopen(ready) as f:
            told = f.read()  # to its end: vub closes it
        self.is_ready = told == "ready\n"
        atexit.register(self.process.kill)  # of a test that fails

    def end(self, sent=signal.SIGTERM, status=0):
        """Sends a signal if one is given; what it has said."""
        if sent:
            self.process.send_signal(sent)
        _, said = self.process.communicate(timeout=LIMIT)
        assert self.process.returncode == status, \
            (self.process.returncode, said)
        return said


class Client:
    """One connection. Sends and takes lines, as text or as objects."""

    def __init__(self, path="run/c.sock"):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.settimeout(LIMIT)
        self.rest = b""
        self.number = 0

    def send(self, *lines):
        """In one piece."""
        self.socket.sendall(b"".join(
            (line if isinstance(line, bytes) else line.encode()) + b"\n"
            for line in lines))

    def line(self, may_be_cut=False):
        """The next line; None at the end, which is that of a line."""
        while b"\n" not in self.rest:
            try:
                got = self.socket.recv(1 << 16)
            except ConnectionResetError:
                got = b""
            if not got:
                assert may_be_cut or not self.rest, self.rest[:200]
                return None
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def take(self):
        line = self.line()
        return None if line is None else json.loads(line)

    def ask(self, method, **params):
        """Sends a request and returns its answer, whatever else comes."""
        self.number += 1
        self.send(json.dumps({"jsonrpc": "2.0", "id": self.number,
                              "method": method, "params": params}))
        while True:
            got = self.take()
            assert got is not None, (method, "the connection has ended")
            if got.get("id") == self.number:
                return got

    def do(self, method, **params):
        """The same, which must succeed: the result."""
        got = self.ask(method, **params)
        assert "result" in got, got
        return got["result"]

    def event(self):
        """The next event."""
        got = self.take()
        assert got["method"] == "event", got
        return got["params"]

    def close(self):
        self.socket.close()


def connect(path):
    """As a front-end does, that says nothing."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.settimeout(LIMIT)
    return s


def write(*devices, **root):
    """The config file, with these devices."""
    conf = dict({"runtime_dir": "run", "control": "c.sock",
                 "devices": list(devices)}, **root)
    with open("vub.json.new", "w") as f:
        json.dump(conf, f)
    os.rename("vub.json.new", "vub.json")


def served(client):
    """The ids of the devices there are."""
    return sorted(d["id"] for d in client.do("status")["devices"])


def errors(answer):
    """What is wrong, each by its place."""
    data = answer["error"].get("data", {})
    return data.get("errors") or [{"at": data.get("at", ""),
                                   "message": answer["error"]["message"]}]


def ctl(*args, status=0, said="", **kwargs):
    done = subprocess.run([PROGRAM, "ctl", *args], text=True, timeout=LIMIT,
                          capture_output=True, **kwargs)
    assert (done.returncode, done.stderr) == (status, said), done
    return done.stdout


def run(tests):
    """Each test in a directory of its own; names on the command line choose.
    One that is left out returns why, and is told of in the form of cmocka:
    scripts/test counts those."""
    os.umask(0o022)
    for test in tests:
        if sys.argv[2:] and test.__name__ not in sys.argv[2:]:
            continue
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            skipped = test()
            os.chdir("/")
        print(f"[  SKIPPED ] {test.__name__}: {skipped}" if skipped
              else f"{test.__name__}: ok", flush=True)
