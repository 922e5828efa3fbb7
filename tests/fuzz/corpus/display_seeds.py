#!/usr/bin/env python3
"""Writes the seeds of display_fuzz: a display that answers well, and ones that
do not.

See display_fuzz.c for the form of a step. Usage: display_seeds.py DIRECTORY
"""
import pathlib
import sys

PLAIN, DMABUF, SLOW, READY = 0, 1, 2, 4  # bits of the first byte
FEATURES, INFO, EDID, UPDATE = range(4)
# As it should be; other flags; another size; a size that there is not;
# not zeros; words changed from there on.
GOOD, FLAGS, SIZE, LONG, FILLED, WORD = 0, 1, 2, 4, 8, 16
ANSWER, SAY, READ, TURN = b"\x50", b"\x61", b"\x81", b"\xc8"
READ_SOME = bytes([128, 9])
SCENE, BLOB = bytes([160, 0, 0, 1]), bytes([160, 0xC9, 0x25, 1])


def nearly(kind, how, *rest):
    return bytes([0, kind, how, *rest]) + SAY + TURN


def anything(*what):
    return bytes([48, len(what), *what]) + SAY + TURN


def config(bits):
    return bytes([bits])


def ready(bits, features=0):
    """It has answered what it was asked before the first step."""
    return bytes([bits | READY, features, 0])


FIRST = TURN + READ
ANSWERS = FIRST + bytes([80, 1]) + bytes([80, 0x1F, 1, 1, 1, 2, 2, 2, 3, 3, 3,
                                          4, 4, 4]) + SAY + TURN + READ

SEEDS = {
    "answers": config(PLAIN) + ANSWERS + SCENE + TURN + READ + ANSWER + SAY +
               TURN,
    "draws": ready(PLAIN) + SCENE + TURN + READ_SOME + BLOB + TURN +
             READ_SOME + SCENE + TURN + READ,
    "dmabuf": ready(DMABUF, 3) + SCENE + TURN + READ + nearly(UPDATE, GOOD),
    "slow": ready(SLOW) + SCENE + TURN + READ_SOME + BLOB + TURN + READ_SOME,
    "unasked": ready(PLAIN) + SCENE + nearly(INFO, GOOD) +
               nearly(EDID, GOOD),
    "features-twice": config(PLAIN) + FIRST + nearly(FEATURES, FILLED, 255) +
                      nearly(FEATURES, FILLED, 255),
    "large-edid": config(PLAIN) + FIRST + nearly(FEATURES, FILLED, 1) +
                  nearly(INFO, WORD, 64, 0) + READ +
                  nearly(EDID, WORD | 128, 255, 255, 255, 255, 0),
    "displays": config(PLAIN) + FIRST + nearly(FEATURES, GOOD) +
                nearly(INFO, FILLED | WORD, 255, 0, 2),
    "sizes": config(PLAIN) + FIRST + nearly(INFO, SIZE, 7, 1),
    "long": config(PLAIN) + FIRST + nearly(INFO, LONG, 255, 255, 255, 255),
    "flags": config(PLAIN) + FIRST + nearly(FEATURES, FLAGS, 0),
    "anything": config(PLAIN) + FIRST + anything(1, 0, 0, 0, 4, 0) +
                anything(0, 0, 8, 0, 0, 0, 1, 0) + anything(0, 0, 0, 0, 0, 0),
    "hangs-up": ready(SLOW) + SCENE + TURN + bytes([224 + 3]) + TURN +
                bytes([240, 0]) + TURN + READ + bytes([225]) + TURN +
                bytes([241, 0x8C]) + TURN + READ + bytes([226]) + SCENE + TURN,
    "fds": ready(PLAIN) + bytes([234, 1]) + TURN + bytes([240, 0]) + TURN +
           bytes([239, 1]) + bytes([250]) + TURN,
    "sessions": ready(PLAIN) + SCENE + bytes([250]) + TURN + bytes([240, 0]) +
                FIRST + bytes([246, 200]) + TURN + SCENE + bytes([251]) + TURN,
}


def main():
    to = pathlib.Path(sys.argv[1])
    to.mkdir(parents=True, exist_ok=True)
    for name, seed in SEEDS.items():
        (to / name).write_bytes(seed)


if __name__ == "__main__":
    main()
