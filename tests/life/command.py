#!/usr/bin/env python3
"""command.py VUB: --run: a command that vub serves, and ends with."""

import os
import pty
import resource
import select
import signal
import socket
import subprocess
import sys

from host import LIMIT, PROGRAM, Talk, connect, disk, run

PYTHON = f"exec {sys.executable} -B -c"

# A command that tells what it is sent, and asks vub for its status when it is
# to end: which is there until the command is not.
ASKS = f"""{PYTHON} '
import os, signal, socket, sys
front = socket.socket(socket.AF_UNIX)
front.connect(os.environ["VUB_VM1_ROOT"])

def on_signal(num, frame):
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ["VUB_CONTROL"])
    s.sendall(b"{{\\"jsonrpc\\": \\"2.0\\", \\"id\\": 1, "
              b"\\"method\\": \\"status\\"}}\\n")
    assert b"connected" in s.recv(65536)
    front.setblocking(False)
    try:
        front.recv(1)
    except BlockingIOError:
        os._exit(num)
    os._exit(1)

for num in (signal.SIGTERM, signal.SIGINT):
    signal.signal(num, on_signal)
print("up", flush=True)
while True:
    signal.pause()
'"""


def a_status_is_the_commands():
    for command, status in (("true", 0), ("exit 7", 7), ("exit 255", 255),
                            ("kill -KILL $$", 137), ("kill -TERM $$", 143),
                            ("/nonexistent", 127)):
        vub = Talk([disk()], "--run", command)
        vub.end(status)
        assert os.listdir("run") == []


def it_finds_the_sockets_in_its_environment():
    vub = Talk([disk("vm1-root"), disk("b.9_x")], "--run",
               "test -S $VUB_VM1_ROOT && test -S $VUB_B_9_X && "
               "test -S $VUB_CONTROL && env | grep -c ^VUB_",
               stdout=subprocess.PIPE, env={
                   k: v for k, v in os.environ.items()
                   if not k.startswith("VUB_")})
    assert vub.end() == "3\n"
    # What is in the environment already is an older vub's.
    vub = Talk([disk("a")], "--run", "echo $VUB_A; env | grep -c ^VUB_A=",
               stdout=subprocess.PIPE, env=dict(os.environ, VUB_A="old"))
    assert vub.end() == os.path.realpath("run") + "/a.sock\n1\n"


def two_ids_may_not_mean_one_variable():
    for ids, control, said in (
            (("a-b", "a.b"), None, 'id: a.b and "a-b" (/devices/0) have'),
            (("b", "B"), None, 'id: B and "b" (/devices/0) have'),
            (("Control",), "c.sock", "(that of the control socket)")):
        conf = {"runtime_dir": "run", "devices": [disk(i) for i in ids]}
        if control:
            conf["control"] = control
        vub = Talk(None, "--run", "true", conf=conf)
        vub.end(2)
        assert said in vub.said, vub.said
        assert not os.path.exists("run")


def standard_input_and_output_are_its_own():
    vub = Talk([disk()], "--run", "read x; echo $x $x; echo err >&2",
               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    vub.process.stdin.write("hello\n")
    vub.process.stdin.flush()
    assert vub.end() == "hello hello\n"
    assert "err\n" in vub.said, vub.said
    # A socket in their place is vub's.
    given, theirs = socket.socketpair()
    vub = Talk([disk(socket={"fd": 0})], "--run", "readlink /proc/self/fd/0",
               stdin=theirs, stdout=subprocess.PIPE)
    assert vub.end() == "/dev/null\n"
    given.close()
    theirs.close()


def it_is_started_as_vub_was():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = min(77, hard)
    vub = Talk([disk()], "--run", "ulimit -Sn; ulimit -Hn; ls /proc/self/fd; "
               "exec grep -E '^Sig(Blk|Ign)' /proc/self/status",
               stdout=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(
                   resource.RLIMIT_NOFILE, (few, hard)))
    out = vub.end().split()
    assert out[:2] == [str(few), str(hard)], out
    assert out[2:6] == ["0", "1", "2", "3"], out  # 3 is the directory
    ignored = int(out[out.index("SigIgn:") + 1], 16)
    assert int(out[out.index("SigBlk:") + 1], 16) == 0, out
    assert not ignored & 1 << (signal.SIGPIPE - 1), out


def it_is_in_no_sandbox():
    vub = Talk([disk()], "--run", "grep -E '^(NoNew|Seccomp:)' "
               "/proc/self/status; touch made", stdout=subprocess.PIPE)
    with open("/proc/self/status") as f:
        own = [line for line in f if line.startswith(("NoNew", "Seccomp:"))]
    assert vub.end() == "".join(own)
    assert os.path.exists("made")
    vub = Talk(None, "--run", "true", conf={
        "runtime_dir": "run", "sandbox": {"user": "nobody"},
        "devices": [disk()]})
    vub.end(2)
    assert "/sandbox/user: does not go with --run" in vub.said, vub.said


def blocked_signals_are_heard():
    """Whoever starts vub may have blocked all, for itself."""
    def block():
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    vub = Talk([disk()], "--run", "grep SigBlk /proc/self/status; exit 5",
               stdout=subprocess.PIPE, preexec_fn=block)
    assert vub.end(5).split()[1].strip("0") == ""
    vub = Talk([disk()], preexec_fn=block)
    vub.hear("1 device ready")
    vub.process.terminate()
    vub.end(0)


def nothing_is_run_if_not_all_is_served():
    for device, status in (
            (disk(store={"type": "file", "path": "missing"}), 2),
            (disk(socket={"path": "/nonexistent/d.sock"}), 1)):
        vub = Talk([device], "--run", "echo it runs",
                   stdout=subprocess.PIPE)
        assert vub.end(status) == ""


def a_signal_is_the_commands_while_it_is_served():
    for sent in (signal.SIGTERM, signal.SIGINT):
        vub = Talk([disk("vm1-root")], "--run", ASKS, stdout=subprocess.PIPE,
                   start_new_session=True)  # no terminal
        assert vub.process.stdout.readline() == "up\n"
        vub.process.send_signal(sent)
        vub.end(sent)
        assert f"stopping: {sent.name}\n" in vub.said, vub.said


def quit_is_a_signal_too():
    vub = Talk([disk("vm1-root")], "--run", ASKS, stdout=subprocess.PIPE)
    assert vub.process.stdout.readline() == "up\n"
    subprocess.run([PROGRAM, "ctl", "--socket", "run/c.sock", "quit"],
                   check=True)
    vub.end(signal.SIGTERM)


def a_command_that_does_not_end_is_killed_the_second_time():
    vub = Talk([disk()], "--run", "trap '' TERM; echo up; exec sleep 60",
               stdout=subprocess.PIPE)
    assert vub.process.stdout.readline() == "up\n"
    vub.process.terminate()
    vub.hear("stopping: SIGTERM")
    vub.process.terminate()
    vub.end(137)


def one_that_follows_its_front_end_is_given_time():
    """on_disconnect is "exit": a VMM that has left is about to end."""
    vub = Talk([disk(on_disconnect="exit")], "--run", f"""{PYTHON} '
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["VUB_D"])
s.close()
sys.exit(int(sys.stdin.readline()))'""", stdin=subprocess.PIPE)
    vub.hear('on_disconnect is "exit"')
    vub.process.stdin.write("4\n")
    vub.process.stdin.flush()
    vub.end(4)


def it_ends_when_vub_is_killed():
    vub = Talk([disk()], "--run", "echo up; exec sleep 1000",
               stdout=subprocess.PIPE)
    assert vub.process.stdout.readline() == "up\n"
    vub.process.kill()
    # Its end of the pipe is closed.
    assert vub.end(-signal.SIGKILL) == ""


def what_is_typed_at_a_terminal_is_the_commands():
    command = f"""{PYTHON} '
import signal
seen = []
signal.signal(signal.SIGINT, lambda num, frame: seen.append(num))
print("up", flush=True)
while input() != "q":
    print("more", flush=True)
raise SystemExit(len(seen))'"""
    with open("vub.json", "w") as f:
        f.write('{"runtime_dir": "run", "devices": [{"id": "d", "type": '
                '"block", "store": {"type": "memory", "size": "1M"}}]}')
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(PROGRAM, [PROGRAM, "--config", "vub.json", "--run", command])
    said = b""

    def hear(text):
        nonlocal said
        while text not in said:
            assert select.select([terminal], [], [], LIMIT)[0], said
            said += os.read(terminal, 4096)
        said = said.split(text, 1)[1]

    hear(b"up\r\n")
    os.write(terminal, b"\x03")
    hear(b"^C")
    os.write(terminal, b"x\n")
    hear(b"more\r\n")  # it lives on, and so does vub
    assert os.path.exists("run/d.sock")
    connect("run/d.sock").close()
    os.write(terminal, b"q\n")
    hear(b"the command has ended with status 1\r\n")  # interrupted once
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    os.close(terminal)


def options_are_checked():
    for args, said in ((["--run"], "--run: needs a value"),
                       (["--run", ""], "--run: needs a command"),
                       (["--run=a", "--run=b"], "--run: is given twice"),
                       (["--exit-with-parent=1"], "takes no value")):
        done = subprocess.run([PROGRAM, "--config", "x", *args], text=True,
                              stderr=subprocess.PIPE)
        assert done.returncode == 2 and said in done.stderr, done


run([a_status_is_the_commands, it_finds_the_sockets_in_its_environment,
     two_ids_may_not_mean_one_variable, standard_input_and_output_are_its_own,
     it_is_started_as_vub_was, it_is_in_no_sandbox,
     blocked_signals_are_heard, nothing_is_run_if_not_all_is_served,
     a_signal_is_the_commands_while_it_is_served, quit_is_a_signal_too,
     a_command_that_does_not_end_is_killed_the_second_time,
     one_that_follows_its_front_end_is_given_time, it_ends_when_vub_is_killed,
     what_is_typed_at_a_terminal_is_the_commands, options_are_checked])
