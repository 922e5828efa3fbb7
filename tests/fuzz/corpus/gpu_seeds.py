#!/usr/bin/env python3
"""Writes the seeds of gpu_fuzz: pictures as a guest shows them, and what else
may happen to them.

See gpu_fuzz.c for the form of a step, gpu_commands.c for that of a command.
Usage: gpu_seeds.py DIRECTORY
"""
import pathlib
import sys

COMMANDS = ["FLUSH", "TRANSFER", "FLUSH2", "TRANSFER2", "SCANOUT", "SCANOUT2",
            "SCANOUT_BLOB", "SCANOUT_BLOB2", "CREATE", "CREATE_BLOB", "UNREF",
            "ATTACH", "ATTACH2", "DETACH", "INFO", "EDID", "UUID",
            "CAPSET_INFO", "CAPSET", "CURSOR"]
PLAIN, HEADLESS, LARGE, DMABUF, SLOW = b"\0", b"\1", b"\2", b"\3", b"\x40"
KICK, KICK_CURSOR, TURN = bytes([145]), bytes([144]), bytes([168])
FULL, PART, FENCE = 0, 15, 16


def command(name, *rest):
    """rest: the resource, what the command takes, how it lies in its chain."""
    return bytes([5, COMMANDS.index(name), *rest])


def cursor(*rest):
    return bytes([112, *rest])


def scene(what, where):
    return bytes([136, what, where])


def settle(*said):
    """said: what the display answers, if it has been asked."""
    return bytes([216, *said])


def store(where, blocks, seed):
    return bytes([204, where & 255, where >> 8, blocks, seed])


def remap(number):
    return bytes([224 + number])


def call(*what):
    return bytes([100, *what])


def restart(ring, anew=False):
    return bytes([232 + ring + 2 * anew])


WORK = bytes([102, 0])  # a thread of a call
BEGIN = settle(0, 0)  # it offers no features, and has one display
DRAW = command("TRANSFER", 0, FULL, 0, 0) + command("FLUSH", 0, FULL, 0) + KICK
FLUSH = command("FLUSH", 0, FULL, 0) + KICK
SOME = bytes([184, 60])  # that the display reads
ALL = bytes([184, 255])

SEEDS = {
    "scene": PLAIN + BEGIN + scene(0, 0) + settle() + store(0x800, 100, 7) +
             DRAW + settle(),
    "two": PLAIN + BEGIN + scene(1, 0x21) + settle() + scene(18, 0x42) +
           settle() + command("TRANSFER", 0, 5, 40, 70, 0, 0) +
           command("FLUSH", 0, PART, 40, 70, 40, 70, 0) + KICK + settle(),
    "twice": PLAIN + BEGIN + scene(0, 0) +
             command("SCANOUT", 0, PART, 20, 20, 20, 20, 1, 0) + KICK +
             settle() + store(0x100, 255, 3) + DRAW + settle() +
             command("UNREF", 0, 0) + KICK + settle(),
    "slow": SLOW + BEGIN + scene(0, 0) + TURN + bytes([184, 1]) +
            bytes([184, 20]) + FLUSH + TURN + SOME + store(0x100, 50, 3) +
            DRAW + settle(),
    "blob": PLAIN + BEGIN + scene(0x4C, 4) + settle() +
            store(0x6000, 200, 9) + FLUSH + settle() +
            command("DETACH", 0, 0) + KICK + settle() +
            command("ATTACH", 0, 0, 5, 0) + KICK + FLUSH + settle() +
            remap(1) + settle() + remap(0) + settle(),
    "blob-without-pages": PLAIN + BEGIN +
            command("CREATE_BLOB", 0, 4 + 16, 0) + KICK +
            command("SCANOUT_BLOB", 0, 6, FULL, 0, 1, 0) + FLUSH + settle() +
            command("ATTACH", 0, 0, 5, 0) + KICK + settle(),
    "blob-slow": SLOW + BEGIN + scene(0xC0, 0x24) + TURN + SOME + remap(1) +
                 TURN + ALL + remap(0) + settle() + command("UNREF", 0, 0) +
                 KICK + TURN + settle(),
    "blob-restart": SLOW + BEGIN + scene(0xD1, 0x25) + scene(0x49, 0x42) +
                    TURN + SOME + command("DETACH", 1, 0) + KICK + settle() +
                    restart(0) + settle(),
    "blob-shrinks": PLAIN + BEGIN + remap(3) +
                    command("CREATE_BLOB", 1, 4, 0x80, 8, 0) + KICK +
                    command("SCANOUT_BLOB", 1, 6, FULL, 0, 1, 0) +
                    command("FLUSH", 1, FULL, 0) + KICK + bytes([247]) +
                    settle(),
    "backing-shrinks": PLAIN + BEGIN + remap(3) +
                       command("CREATE", 0, 0, 0, 0, 0) + KICK +
                       command("ATTACH", 0, 0, 0x80, 8, 8, 8, 8, 0) + KICK +
                       bytes([247]) + DRAW + settle(),
    "cursor": PLAIN + BEGIN + scene(0, 0) + settle() +
              cursor(0, 0, 10, 20, 0, 0) + KICK_CURSOR + settle() +
              cursor(1, 0, 30, 40, 0, 0) + KICK_CURSOR + settle() +
              cursor(4, 0, 30, 40, 0) + KICK_CURSOR + settle(),
    "restart": PLAIN + BEGIN + scene(0, 0x20) + settle() + restart(0) +
               settle() + remap(2) + settle() + restart(0, True) + settle() +
               scene(0, 0) + settle(),
    "sessions": PLAIN + BEGIN + scene(0, 0x20) + settle() + bytes([248, 0]) +
                settle() + bytes([241, 1]) + settle(0, 0) + scene(9, 0) +
                settle() + bytes([249, 16]) + TURN + bytes([244, 255]) +
                settle(),
    "another-process": PLAIN + BEGIN + scene(0, 0) + scene(18, 0x21) +
                       cursor(0, 0, 10, 20, 0, 0) + KICK_CURSOR + settle() +
                       bytes([250, 16]) + bytes([241, 1]) + settle(0, 0) +
                       settle() + store(0x800, 100, 7) + DRAW + settle() +
                       bytes([250, 16]) + bytes([241, 1]) + settle(0, 0) +
                       command("UNREF", 0, 0) + KICK + settle(),
    "another-process-blob": PLAIN + BEGIN + scene(0x4C, 4) + settle() +
                            bytes([250, 16]) + bytes([241, 1]) + settle(0, 0) +
                            store(0x6000, 200, 9) + FLUSH + settle(),
    "another-process-dmabuf": DMABUF + settle(2, 0) + scene(0x36, 0) +
                              settle() + bytes([250, 16]) + bytes([241, 1]) +
                              settle(2, 0) + DRAW + settle(),
    "spoilt": PLAIN + BEGIN + scene(0, 0) + scene(0x4C, 0x21) + settle() +
              bytes([254, 0, 3, 9, 0, 1, 1, 2, 0, 20, 0, 0, 3, 4, 0, 30, 0]) +
              settle(0, 0) + scene(0, 0) + settle(),
    "headless": HEADLESS + TURN + scene(0, 0x20) + settle() +
                command("EDID", 0, 2, FENCE) + command("INFO", 0, 0) +
                command("UUID", 0, 0) + command("UUID", 0, 0) + KICK +
                settle(),
    "edids": PLAIN + TURN + ALL + bytes([187, 1, 1]) + TURN + ALL +
             bytes([187, 0x13, 3, 3, 5, 5, 0, 0, 1]) + TURN + ALL +
             bytes([187, 7, 1, 1]) + settle(9, 2) +
             command("EDID", 0, 0, 0) + command("EDID", 0, 1, 0) +
             command("INFO", 0, 0) + KICK + settle() + bytes([236, 4]) +
             bytes([237, 4, 1, 2, 3, 4]) + settle(),
    "entries": PLAIN + BEGIN + command("CREATE", 0, 1, 0, 0, 0) +
               command("ATTACH", 0, 0, 0xE0, *range(1, 11), 0) +
               command("ATTACH", 0, 0, 0x9F, 1, 10, 20, 30, 12, 9, 0x30, 0x31,
                       12, 19, 0x55, 60, 70, 0) +
               command("ATTACH", 0, 0, 5, 0) + KICK + DRAW + settle() +
               command("UNREF", 0, 0x91) + KICK + settle(),
    "large": LARGE + BEGIN + bytes([143]) + TURN + settle() + bytes([143]) +
             restart(0) + settle(),
    "large-remapped": LARGE + BEGIN + bytes([143]) + remap(1) + TURN +
                      remap(0) + settle() + bytes([143]) + restart(0, True) +
                      settle(),
    "resize": HEADLESS + TURN + call(0x81, 3, 4) + settle() + call(1, 3, 4) +
              command("INFO", 0, 0) +
              command("EDID", 0, 1, 0) + KICK + settle(),
    "dmabuf": DMABUF + settle(2, 0) + scene(0x36, 0) + settle() +
              store(0x800, 100, 7) + DRAW + settle() + scene(0x36, 0x25) +
              settle() + FLUSH + TURN + ALL +
              command("SCANOUT", 0, FULL, 1, 0) +
              command("UNREF", 1, 0) + KICK + TURN + ALL + settle() +
              bytes([241, 1]) + settle(2, 0) + settle(),
    "dmabuf-pixels": DMABUF + settle(2, 0) + scene(0x36, 0) + settle() +
                     scene(0x4C, 0x21) + settle() +
                     command("SCANOUT", 0, FULL, 1, 0) + KICK + settle() +
                     command("SCANOUT", 1, FULL, 0, 0) +
                     command("SCANOUT_BLOB", 1, 6, FULL, 0, 1, 0) + KICK +
                     settle(),
    "hashes": PLAIN + BEGIN + call(0x10) + scene(0, 0) + call(0x10) +
              call(0x90) + WORK * 4 + call(0x10) + WORK + bytes([101, 0]) +
              settle() + WORK,
    "waits": PLAIN + BEGIN + call(0x50, 100) + call(0x40, 5, 200) +
             call(0x30, 7, 9) + scene(0, 0) + TURN + WORK * 4 +
             store(0x800, 100, 7) + DRAW + WORK * 3 + TURN + WORK * 2 +
             bytes([244, 200]) + TURN + WORK * 2 + settle(),
    "references": PLAIN + BEGIN + call(0x20, 255) + call(0xA1, 9) + WORK * 4 +
                  scene(0, 0) + TURN + WORK * 2 + bytes([244, 255]) + TURN +
                  bytes([101, 1]) + call(0x20, 0) + WORK,
}


def main():
    to = pathlib.Path(sys.argv[1])
    to.mkdir(parents=True, exist_ok=True)
    for name, seed in SEEDS.items():
        (to / name).write_bytes(seed)


if __name__ == "__main__":
    main()
