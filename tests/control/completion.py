#!/usr/bin/env python3
"""completion.py VUB: what is offered where half a word is typed, and that the
shells get it. zsh's script is only read here, and run where there is a fish."""

import os
import re
import shutil
import subprocess

from rig import LIMIT, PROGRAM, Vub, disk, run


def offered(*words):
    """Each word, without what it means."""
    done = subprocess.run([PROGRAM, "complete", "vub", *words], text=True,
                          timeout=LIMIT, capture_output=True, check=True)
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def options_are_those_of_help():
    for command in ([], ["ctl"], ["iscsi-list"], ["block"], ["gpu"],
                    ["trace", "print"], ["trace", "plot"],
                    ["trace", "replay"], ["scenario"]):
        text = subprocess.run([PROGRAM, *command, "--help"], text=True,
                              capture_output=True, check=True).stdout
        told = re.findall(r"^  (?:-\w, )?(--[-\w]+)", text, re.M)
        assert offered(*command, "-") == told, command
        assert told
    assert "--socket" in offered("ctl", "top", "--")
    assert "--print-docs" not in offered("--p")


def arguments_are_words_or_files():
    assert offered("--log-level", "w") == ["warning"]
    assert offered("--log-level=w") == ["--log-level=warning"]
    assert offered("--print-completion", "") == ["bash", "zsh", "fish"]
    assert offered("--config", "") == [":files"]
    assert offered("--config=") == [":files"]
    assert offered("ctl", "--socket", "/ru") == [":files"]
    assert offered("ctl", "--timeout", "") == []
    assert offered("--config", "x.json", "c") == []
    for words in ([], ["ctl", "none", ""], ["ctl", "status", "x=y=", "="],
                  ["none", "none"], ["--none", "--none="], ["ctl", "--"],
                  ["ctl", "-", "-", ""]):
        offered(*words)


def commands_and_their_parameters():
    assert offered("c") == ["ctl"]
    assert offered("bl") == offered("block") == ["block"]
    assert offered("block", "--blk-file", "") == [":files"]
    assert offered("block", "-b", "") == [":files"]
    assert offered("input", "--no") == ["--no-grab"]
    assert offered("t") == ["trace"]
    assert offered("trace", "") == ["print", "summary", "plot", "replay"]
    assert offered("trace", "su") == ["summary"]
    assert offered("trace", "print", "x") == [":files"]
    assert offered("trace", "plot", "--output", "") == [":files"]
    assert offered("trace", "replay", "--timing=f") == ["--timing=fast"]
    assert offered("trace", "none", "") == offered("trace", "p", "") == []
    assert offered("sc") == ["scenario", "scsi"]
    assert offered("scenario", "--rep") == ["--report"]
    assert offered("scenario", "x") == [":files"]
    assert offered("--scenario", "") == offered("--report", "") == [":files"]
    assert offered("ctl", "sta") == ["status", "stats"]
    assert offered("ctl", "to") == ["top"]
    assert offered("ctl", "--json", "--socket", "x", "qu") == ["quit"]
    assert offered("ctl", "block.resize", "") == ["device=", "size="]
    assert offered("ctl", "block.resize", "size=1M", "") == ["device="]
    assert offered("ctl", "log.level", "level=d") == ["level=debug"]
    assert offered("ctl", "gpu.resize", "enabled=") == \
        ["enabled=true", "enabled=false"]
    assert offered("ctl", "gpu.wait", "picture=x") == [":files"]
    assert offered("ctl", "top", "") == ["device="]


def devices_are_those_of_the_vub_that_is_asked():
    vub = Vub([disk("one"), disk("other"),
               {"id": "osc", "type": "scsi"}])
    at = ("ctl", "--socket", "run/c.sock")
    assert offered(*at, "status", "device=o") == \
        ["device=one", "device=other", "device=osc"]
    assert offered(*at, "block.resize", "device=o") == \
        ["device=one", "device=other"]
    assert offered("ctl", "--config=vub.json", "top", "device=os") == \
        ["device=osc"]
    vub.end()
    assert offered(*at, "status", "device=") == []


def in_shell(name, script, *args):
    if not shutil.which(name):
        print(f"(no {name} here)")
        return None
    os.makedirs("bin", exist_ok=True)
    if not os.path.exists("bin/vub"):
        os.symlink(PROGRAM, "bin/vub")
    path = os.path.realpath("bin") + ":" + os.environ["PATH"]
    done = subprocess.run(
        [name, *args, "-c", script], text=True, timeout=LIMIT,
        capture_output=True,
        env=dict(os.environ, PATH=path, HOME=os.path.realpath(".")))
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


def shells_get_it():
    with open("v.json", "w"):
        pass
    ask = ('source <(vub --print-completion bash); COMP_LINE="$L"; '
           'COMP_POINT=${#COMP_LINE}; _vub; printf "%s\n" "${COMPREPLY[@]}"')
    for line, wants in (("vub ctl sta", ["status", "stats"]),
                        ("vub ctl log.level level=d", ["debug"]),
                        ("vub ctl log.level ", ["level="]),
                        ("vub --config v", ["v.json"]),
                        ("vub ctl gpu.wait picture=v", ["v.json"])):
        assert in_shell("bash", f"L='{line}'; {ask}") == wants, line
    assert in_shell("zsh", "vub --print-completion zsh >z; zsh -f -n z",
                    "-f") in (None, [])
    for line, wants in (("vub ctl sta", ["stats", "status"]),
                        ("vub ctl log.level level=d", ["level=debug"]),
                        ("vub ctl log.level ", ["level="]),
                        ("vub --config v.j", ["v.json"]),
                        ("vub ctl gpu.wait picture=v.", ["picture=v.json"])):
        got = in_shell("fish", "vub --print-completion fish | source; "
                               f"complete -C '{line}'", "--no-config")
        assert got is None or \
            [w.split("\t")[0] for w in got] == wants, (line, got)


run([options_are_those_of_help, arguments_are_words_or_files,
     commands_and_their_parameters, devices_are_those_of_the_vub_that_is_asked,
     shells_get_it])
