#!/usr/bin/env python3
"""qemu.py VUB: QEMU takes the command lines of docs/qemu.md, with vub behind
them: it goes through the whole set-up of the device, and is told to quit before
any guest runs. VUB_NOKVM in the environment is a library that lets QEMU 7.2 have
input devices and GPUs without KVM; without either those lines are left out."""

import os
import shlex
import shutil
import subprocess
import tempfile

from page import LIMIT, Vub, blocks


def accelerated(args):
    """The arguments with an accelerator that this machine has, the environment
    for it, and whether QEMU takes the device so."""
    env = dict(os.environ)
    if "kvm" not in args or os.access("/dev/kvm", os.R_OK | os.W_OK):
        return args, env, True
    library = env.get("VUB_NOKVM", "")
    env["LD_PRELOAD"] = library
    args = ["tcg" if arg == "kvm" else arg for arg in args]
    return args, env, os.path.exists(library)


def main():
    commands = [shlex.split(block.replace("\\\n", ""))
                for block in blocks("qemu.md", "sh")]
    assert len(commands) == 4, commands
    vub = Vub()
    for command in commands:
        args, env, possible = accelerated(command)
        device = next(arg for arg in args if arg.startswith("vhost-user"))
        name = device.split("chardev=")[1].split(",")[0]
        if not possible:
            print(f"[  SKIPPED ] docs.qemu: {name}: no KVM here")
            continue
        args = ["none" if arg == ":1" else arg for arg in args]
        done = subprocess.run(
            [*args, "-nodefaults", "-S", "-display", "none", "-monitor",
             "stdio"], env=env, input="info status\nquit\n", text=True,
            capture_output=True, timeout=LIMIT)
        assert done.returncode == 0 and "VM status: paused" in done.stdout, \
            (args, done, vub.process.poll())
        vub.gone(name)
        print(f"{name}: ok", flush=True)
    vub.end()


if shutil.which("qemu-system-x86_64"):
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        main()
        os.chdir("/")
else:
    print("[  SKIPPED ] docs.qemu: there is no QEMU here")
