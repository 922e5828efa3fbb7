#!/usr/bin/env python3
"""Writes the seeds of picture_fuzz: small pictures of each kind.

See picture_fuzz.c for the first byte. Usage: picture_seeds.py DIRECTORY
"""
import pathlib
import random
import struct
import sys
import zlib

FILE, CHUNKS, PACKED = 0, 64, 128
GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}
# Of Adam7: the first column and row of a pass, and how far apart they are.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
          (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]

some = random.Random(1)


def chunk(kind, data):
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def rows(width, height, color, depth):
    bits = width * CHANNELS[color] * depth
    top = 2 if color == PALETTE else 256
    return b"".join(
        bytes([y % 5]) + bytes(some.randrange(top) for _ in range(bits + 7 >> 3))
        for y in range(height if width else 0))


def png(width, height, color, depth=8, interlaced=False, extra=b""):
    """Behind the eight bytes that all have in common."""
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0,
                       interlaced)
    if interlaced:
        pixels = b"".join(
            rows(-(-(width - x) // dx), -(-(height - y) // dy), color, depth)
            for x, y, dx, dy in PASSES if width > x and height > y)
    else:
        pixels = rows(width, height, color, depth)
    return (chunk(b"IHDR", head) + extra +
            chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b""))


def packed(flags, width, height, depth, color, interlaced=0):
    """depth, color: indices into the tables of picture_fuzz.c."""
    return bytes([PACKED | flags, width, height,
                  depth | color << 3 | interlaced << 6, 5, 1, 2, 3, 4,
                  *range(16)])


COLORS = chunk(b"PLTE", bytes(range(256)) * 3)
TEXT = (chunk(b"tEXt", b"Comment\0hello") + chunk(b"gAMA", b"\0\0\xb1\x8f") +
        chunk(b"zTXt", b"x\0\0" + zlib.compress(b"a" * 100)))

PNGS = {
    "rgb": png(5, 4, RGB),
    "rgba": png(3, 3, RGBA),
    "gray-1": png(9, 2, GRAY, 1),
    "gray-16": png(2, 2, GRAY, 16),
    "gray-alpha": png(4, 4, GRAY_ALPHA),
    "palette": png(6, 3, PALETTE, extra=COLORS),
    "palette-4": png(7, 3, PALETTE, 4, extra=chunk(b"PLTE", bytes(48))),
    "interlaced": png(9, 9, RGB, interlaced=True),
    "interlaced-palette": png(5, 6, PALETTE, interlaced=True, extra=COLORS),
    "transparent": png(4, 4, RGB, extra=chunk(b"tRNS", bytes(range(6)))),
    "text": png(2, 2, RGB, extra=TEXT),
}

SEEDS = {
    **{name: bytes([CHUNKS]) + data for name, data in PNGS.items()},
    "file": bytes([FILE]) + b"\x89PNG\r\n\x1a\n" + PNGS["rgb"],
    "ppm": bytes([FILE]) + b"P6\n# so it begins\n3 2\n255\n" +
           bytes(range(18)),
    "ppm-large": bytes([FILE]) + b"P6 16384\t16384 255\n" + bytes(18),
    "packed-rgb": packed(0, 7, 8, 0, 1),
    "packed-palette": packed(32, 8, 5, 3, 2, 1),
    "packed-gray": packed(16, 5, 5, 1, 0, 1),
    "packed-changed": packed(7, 5, 5, 0, 4),
}


def main():
    to = pathlib.Path(sys.argv[1])
    to.mkdir(parents=True, exist_ok=True)
    for name, seed in SEEDS.items():
        (to / name).write_bytes(seed)


if __name__ == "__main__":
    main()
