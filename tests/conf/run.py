#!/usr/bin/env python3
"""run.py VUB: the program as a process: the ready line, sockets, signals, exit
status. What goes over the sockets is tests/behave's. Nothing sleeps: each
step waits for the ready line, an exit, or the end of a connection."""

import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

LIMIT = 60  # seconds, for what should take milliseconds


def device(name, **keys):
    return dict({"id": name, "type": "block",
                 "store": {"type": "memory", "size": "1M"}}, **keys)


class Vub:
    """A vub that is ready."""

    program = None

    def __init__(self, devices, args=(), expect_ready=True, pass_fds=(),
                 conf=None, program=None, **kwargs):
        with open("vub.json", "w") as f:
            json.dump(conf or {"runtime_dir": "run", "devices": devices}, f)
        ready, write = os.pipe()
        self.process = subprocess.Popen(
            [program or Vub.program, "--config", "vub.json", "--ready-fd",
             str(write), *args], stderr=subprocess.PIPE, text=True,
            pass_fds=[write, *pass_fds], **kwargs)
        os.close(write)
        with os.fdopen(ready) as f:
            told = f.read()  # to its end: vub closes it
        assert told == ("ready\n" if expect_ready else ""), \
            (told, self.process.stderr.read())

    def end(self, sent=signal.SIGTERM, status=0):
        """Sends a signal if one is given; what it has said."""
        if sent:
            self.process.send_signal(sent)
        _, said = self.process.communicate(timeout=LIMIT)
        assert self.process.returncode == status, \
            (self.process.returncode, said)
        return said

    def tasks(self, field=None):
        """Names of the threads; with a field of their status."""
        path = f"/proc/{self.process.pid}/task"
        found = {}
        for task in os.listdir(path):
            with open(f"{path}/{task}/status") as f:
                lines = dict(line.split(":\t", 1) for line in f)
            found[lines["Name"].strip()] = \
                lines[field].strip() if field else None
        return found


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(LIMIT)
    s.connect(path)
    return s


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def starts_and_stops():
    for sent in (signal.SIGTERM, signal.SIGINT):
        vub = Vub([device("a"), device("b", queues=2, worker=["x", "y"],
                                       socket={"mode": "0660"})])
        assert mode_of("run") == 0o700
        assert mode_of("run/a.sock") == 0o600
        assert mode_of("run/b.sock") == 0o660
        said = vub.end(sent)
        assert os.listdir("run") == [], os.listdir("run")
        run = os.path.realpath("run")
        assert said.splitlines() == [
            f"vub: a: block, 1 queue, at {run}/a.sock",
            f"vub: b: block, 2 queues on worker x, y, at {run}/b.sock",
            "vub: 2 devices ready",
            f"vub: stopping: {sent.name}"], said


def sockets_listen_when_ready():
    vub = Vub([device("a"), device("b", socket="sub.name"),
               device("c", socket=os.path.abspath("elsewhere.sock"))])
    front_ends = [connect(p) for p in
                  ("run/a.sock", "run/sub.name", "elsewhere.sock")]
    vub.end()  # with front-ends that have not said a word
    for s in front_ends:
        assert s.recv(1) == b""
    assert not os.path.exists("elsewhere.sock")


def workers_are_threads():
    vub = Vub([device("own"), device("shared1", worker="w"),
               device("shared2", worker="w"),
               device("spread", queues=3, worker=["x", "y", "z"]),
               device("few", queues=1, worker=["x", "unused"])])
    tasks = vub.tasks("SigBlk")
    names = set(tasks) - {"vub"}
    assert names == {"own", "w", "x", "y", "z"}, names
    for name in names:
        blocked = int(tasks[name], 16)
        for taken in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            assert blocked & 1 << (taken - 1), (name, taken)
    vub.end()


def hangup_is_survived():
    vub = Vub([device("a")])
    for _ in range(20):
        vub.process.send_signal(signal.SIGHUP)
    vub.end()


def second_signal_ends_at_once():
    vub = Vub([device("a")])
    # Stopped, it gets both in one turn of its loop.
    vub.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, vub.process.pid, os.WSTOPPED)
    vub.process.send_signal(signal.SIGTERM)
    vub.process.send_signal(signal.SIGINT)
    vub.process.send_signal(signal.SIGCONT)
    vub.end(None, 1)


def two_on_one_socket():
    vub = Vub([device("a")])
    for _ in range(2):
        other = Vub([device("b"), device("a")], expect_ready=False)
        said = other.end(None, 1)
        assert said == (f"vub.json: /devices/1/socket: "
                        f"{os.path.realpath('run/a.sock')} is in use: process "
                        f"{vub.process.pid} (vub) listens on it\n"), said
        assert os.listdir("run") == ["a.sock"]  # b's is gone again
    connect("run/a.sock").close()
    vub.end()


def a_killed_one_is_replaced():
    Vub([device("a")]).end(signal.SIGKILL, -signal.SIGKILL)
    assert os.listdir("run") == ["a.sock"]
    vub = Vub([device("a")])
    connect("run/a.sock").close()
    vub.end()
    assert os.listdir("run") == []


def what_is_no_socket_is_kept():
    os.makedirs("run", exist_ok=True)
    with open("run/a.sock", "w") as f:
        f.write("precious")
    said = Vub([device("a")], expect_ready=False).end(None, 1)
    assert "/devices/0/socket: " in said and "not a socket" in said, said
    with open("run/a.sock") as f:
        assert f.read() == "precious"
    os.unlink("run/a.sock")


def directories():
    conf = {"runtime_dir": "no/such", "devices": [device("a")]}
    said = Vub(None, conf=conf, expect_ready=False).end(None, 1)
    assert said.startswith("vub.json: /runtime_dir: cannot make the "
                           "directory "), said
    # Nothing goes there: nothing is made there.
    conf["devices"][0]["socket"] = os.path.abspath("a.sock")
    Vub(None, conf=conf).end()
    env = dict(os.environ, XDG_RUNTIME_DIR=os.path.abspath("."))
    vub = Vub(None, conf={"devices": [device("a")]}, env=env)
    connect("vub/a.sock").close()
    vub.end()
    # Paths are relative to the config, wherever we are.
    os.mkdir("cwd")
    with open("vub.json", "w") as f:
        json.dump({"runtime_dir": "run", "devices": [device("a")]}, f)
    done = subprocess.Popen([Vub.program, "--config", "../vub.json"],
                            cwd="cwd", stderr=subprocess.PIPE, text=True)
    line = done.stderr.readline()
    assert line.rstrip().endswith(os.path.realpath("run") + "/a.sock"), line
    done.terminate()
    done.communicate(timeout=LIMIT)


def long_socket_paths():
    deep = os.path.join(os.path.abspath("."), *["d" * 60] * 4)
    os.makedirs(deep)
    vub = Vub([device("a", socket=f"{deep}/a.sock")])
    os.chdir(deep)
    connect("a.sock").close()
    os.chdir(os.path.join(*[".."] * 4))
    vub.end()
    assert os.listdir(deep) == []


def inherited_sockets():
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("given.sock")
    listening.listen()
    ours, theirs = socket.socketpair()
    vub = Vub([device("a", socket={"fd": listening.fileno()}),
               device("b", socket={"fd": theirs.fileno()})],
              pass_fds=[listening.fileno(), theirs.fileno()])
    theirs.close()
    s = connect("given.sock")
    said = vub.end()
    ours.settimeout(LIMIT)
    assert ours.recv(1) == b"" and s.recv(1) == b""
    assert f"vub: a: block, 1 queue, at fd {listening.fileno()}\n" in said
    assert os.path.exists("given.sock")  # whose it is removes it
    os.unlink("given.sock")
    # What is no socket, and a socket that is nothing yet.
    plain, bare = os.open("vub.json", os.O_RDONLY), socket.socket(socket.AF_UNIX)
    said = Vub([device("a", socket={"fd": plain}),
                device("b", socket={"fd": bare.fileno()})],
               pass_fds=[plain, bare.fileno()],
               expect_ready=False).end(None, 1)
    os.close(plain)
    assert f"/devices/0/socket: fd {plain} is not a unix stream" in said, said
    assert f"/devices/1/socket: fd {bare.fileno()} neither listens" in said


def standard_fds_are_never_images():
    """A vub that is started without them opens nothing in their place: a log
    line would be written into it."""
    with open("disk.img", "wb") as f:
        f.truncate(1 << 20)
    disk = device("a", store={"type": "file", "path": "disk.img"})
    seen = dict(os.environ, VUB_DUMPABLE="1")  # in /proc, by its own user

    def without(*fds):
        def close():
            for fd in fds:
                os.close(fd)
        return close

    def check(vub, fds):
        for fd in fds:
            assert os.readlink(f"/proc/{vub.process.pid}/fd/{fd}") == \
                "/dev/null", fd
        vub.end()
        with open("disk.img", "rb") as f:
            assert not any(f.read()), "it wrote into its disk"

    for fds in ((0, 1, 2), (2,), (1,)):
        check(Vub([disk], preexec_fn=without(*fds), env=seen), fds)
    # One that it closes itself, when all is ready.
    with open("vub.json", "w") as f:
        json.dump({"runtime_dir": "run", "devices": [disk]}, f)
    done = subprocess.Popen(
        [Vub.program, "--config", "vub.json", "--ready-fd", "1"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=seen)
    try:
        assert done.stdout.read() == "ready\n"
        assert os.readlink(f"/proc/{done.pid}/fd/1") == "/dev/null"
    finally:
        done.terminate()
    assert done.wait(LIMIT) == 0
    # Log lines need theirs.
    done = subprocess.run(
        [Vub.program, "--config", "vub.json", "--ready-fd=2"], text=True,
        stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (
        2, "vub: --ready-fd: fd 2 is standard error, where log lines go\n")
    said = Vub([device("a", socket={"fd": 2})], expect_ready=False).end(None, 2)
    assert said == ("vub.json: /devices/0/socket/fd: fd 2 is standard error, "
                    "where log lines go\n"), said


def the_runtime_dir_of_the_environment():
    # Two devices that cannot both have a socket tell where it would be.
    def place(**env):
        where = {k: v for k, v in os.environ.items()
                 if k != "XDG_RUNTIME_DIR"}
        done = subprocess.run(
            [Vub.program, "--check", "--config", "vub.json"], text=True,
            stderr=subprocess.PIPE, env=dict(where, **env))
        assert done.returncode == 2
        return done.stderr.split(" has the socket ")[1].split(" already")[0]

    for path, env in (("/run/vub", {}),
                      ("/run/vub", {"XDG_RUNTIME_DIR": ""}),
                      ("/run/vub", {"XDG_RUNTIME_DIR": "relative"}),
                      ("/x/vub", {"XDG_RUNTIME_DIR": "/x"})):
        with open("vub.json", "w") as f:
            json.dump({"devices": [
                device("a"), device("b", socket=f"{path}/a.sock")]}, f)
        assert place(**env) == f"{path}/a.sock", env
    # Longer than the address of a socket, and longer than a path may be.
    deep = os.path.join(os.path.abspath("."), *["d" * 60] * 4)
    os.makedirs(deep)
    vub = Vub(None, conf={"devices": [device("a")]},
              env=dict(os.environ, XDG_RUNTIME_DIR=deep))
    vub.end()
    assert os.listdir(f"{deep}/vub") == []
    for path, why in (("/" + "d/" * 3000, "File name too long"),
                      ("/" + "d" * 300, "File name too long"),
                      ("/proc", "No such file or directory")):
        said = Vub(None, conf={"devices": [device("a")]}, expect_ready=False,
                   env=dict(os.environ, XDG_RUNTIME_DIR=path)).end(None, 1)
        assert said.startswith("vub.json: /runtime_dir: cannot make the "
                               f"directory {path[:100]}"), said
        assert said.endswith(f": {why}\n"), said


def too_few_files():
    """Whatever it is that cannot be opened any more: one sentence each, and
    what was made is gone again."""
    def limit(count):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                                          (count, count))

    own = [device(f"d{i}") for i in range(200)]
    shared = [dict(d, worker="w") for d in own]
    for devices, count, status, said_of in (
            (own[:40], 64, 2, "cannot make a memory file"),
            (own[:40], 100, 1, "cannot make a loop for the worker d"),
            (shared, 64, 1, "/socket: cannot ")):
        said = Vub(devices, expect_ready=False,
                   preexec_fn=limit(count)).end(None, status)
        lines = said.splitlines()
        assert 0 < len(lines) <= 101, said
        assert said_of in lines[0], said
        assert "Too many open files" in lines[0], said
    # From too few for anything up: it starts, or tells why not and ends.
    with open("vub.json", "w") as f:
        json.dump({"runtime_dir": "run", "devices": own[:2]}, f)
    for count in range(8, 40):  # libuv itself aborts with five
        done = subprocess.Popen(
            [Vub.program, "--config", "vub.json", "--ready-fd", "1"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=limit(count))
        ready = done.stdout.read() == "ready\n"
        if ready:
            done.terminate()
        said = done.communicate(timeout=LIMIT)[1]
        assert done.returncode == 0 if ready else \
            done.returncode in (1, 2) and "Too many open files" in said, \
            (count, done.returncode, said)
    assert ready


def leaving_ends_it():
    vub = Vub([device("a", on_disconnect="exit"), device("b")])
    staying = connect("run/b.sock")
    connect("run/b.sock").close()  # "listen": nothing happens
    connect("run/a.sock").close()
    said = vub.end(None)
    assert 'vub: a: stopping: on_disconnect is "exit"\n' in said, said
    staying.close()


def log_lines_are_json():
    vub = Vub([device("a")], args=["--log-format", "json"])
    lines = [json.loads(line) for line in vub.end().splitlines()]
    assert [line["text"] for line in lines][1:] == \
        ["1 device ready", "stopping: SIGTERM"], lines
    assert lines[0]["device"] == "a" and lines[0]["level"] == "info"
    conf = {"log": {"format": "json", "level": "warning"},
            "runtime_dir": "no/such", "devices": [device("a")]}
    said = Vub(None, conf=conf, expect_ready=False).end(None, 1)
    assert json.loads(said)["level"] == "error", said
    done = subprocess.run([Vub.program, "--check", "--config", "missing",
                           "--log-format=json"], stderr=subprocess.PIPE)
    assert json.loads(done.stderr)["text"].startswith("missing: cannot")


def levels():
    conf = {"log": {"level": "warning"}, "runtime_dir": "run",
            "devices": [device("a")]}
    assert Vub(None, conf=conf).end() == ""
    said = Vub(None, conf=conf, args=["--log-level", "info"]).end()
    assert "1 device ready" in said


def files_and_fds():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = min(64, hard)
    vub = Vub([device("a")], preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (few, hard)))
    with open(f"/proc/{vub.process.pid}/limits") as f:
        line = [line for line in f if line.startswith("Max open files")][0]
    assert line.split()[3] == line.split()[4] == str(hard), line
    # Nothing that is opened here is passed on.
    fds = f"/proc/{vub.process.pid}/fdinfo"
    for fd in os.listdir(fds):
        with open(f"{fds}/{fd}") as f:
            flags = [int(l.split()[1], 8) for l in f if l.startswith("flags")]
        assert int(fd) < 3 or flags[0] & os.O_CLOEXEC, fd
    vub.end()


def others_of_the_same_user_are_kept_out():
    if os.getuid() != 0:
        return  # seen from outside, by root, on a process of somebody else
    os.chmod(".", 0o755)
    shutil.copy(Vub.program, "vub")
    nobody = 65534
    os.mkdir("theirs")
    os.chown("theirs", nobody, nobody)
    conf = {"runtime_dir": "theirs", "devices": [device("a")]}
    for setting, owner in (("", 0), ("0", 0), ("1", nobody)):
        # A clone in /root has rules for the thread sanitizer that nobody can
        # read; they are not needed.
        vub = Vub(None, conf=conf, program="./vub", user=nobody, group=nobody,
                  env=dict(os.environ, VUB_DUMPABLE=setting, TSAN_OPTIONS=""))
        # What is not dumpable is root's in /proc.
        assert os.stat(f"/proc/{vub.process.pid}/maps").st_uid == owner
        vub.end()


def options():
    def run(*args):
        return subprocess.run([Vub.program, *args], text=True,
                              capture_output=True)
    assert run("--version").stdout.startswith("vub 0.")
    for option in ("--config", "--check", "--set", "--ready-fd",
                   "--log-level", "--log-format", "--version", "--help"):
        assert f"  {option}" in run("--help").stdout
    assert max(map(len, run("--help").stdout.splitlines())) < 80
    assert run("--help", "--nonsense").returncode == 0
    with open("vub.json", "w") as f:
        json.dump({"devices": [device("a")]}, f)
    for args in (["--help"], ["--version"], ["--print-docs=schema"],
                 ["--check", "--config", "vub.json"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([Vub.program, *args], text=True,
                                  stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (
            1, "vub: cannot write to standard output: No space left on "
            "device\n"), (args, done)


def main():
    Vub.program = os.path.abspath(sys.argv[1])
    os.umask(0o022)
    tests = [starts_and_stops, sockets_listen_when_ready, workers_are_threads,
             hangup_is_survived, second_signal_ends_at_once,
             two_on_one_socket, a_killed_one_is_replaced,
             what_is_no_socket_is_kept, directories, long_socket_paths,
             inherited_sockets, standard_fds_are_never_images,
             the_runtime_dir_of_the_environment, too_few_files,
             leaving_ends_it, log_lines_are_json, levels,
             files_and_fds, others_of_the_same_user_are_kept_out, options]
    chosen = sys.argv[2:]
    for test in tests:
        if chosen and test.__name__ not in chosen:
            continue
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            test()
            os.chdir("/")
        print(f"{test.__name__}: ok", flush=True)


main()
