#!/usr/bin/env python3
"""Writes the seeds of scsi_fuzz: every command as a guest would send it, and
orders of tasks with management between.

See scsi_fuzz.c for the form of a step. Usage: scsi_seeds.py DIRECTORY
"""
import pathlib
import struct
import sys

NONE, OUT, IN = 0, 1, 2
SIMPLE, ORDERED, HEAD = 0, 1, 2
KNOWN = [0x00, 0x03, 0x08, 0x0A, 0x12, 0x15, 0x1A, 0x1B, 0x25, 0x28, 0x2A,
         0x2E, 0x2F, 0x34, 0x35, 0x37, 0x41, 0x42, 0x55, 0x5A, 0x88, 0x89,
         0x8A, 0x8B, 0x8E, 0x8F, 0x90, 0x91, 0x93, 0x9E, 0xA3, 0xA8, 0xAA,
         0xAE, 0xAF, 0xB7]
TURN, HURRY = bytes([200]), bytes([224])


def command(cdb, direction=NONE, length=0, data=b"", attr=SIMPLE, kick=True):
    """length: bytes, or blocks of 512 if it is no byte."""
    blocks = length > 255
    how = (1 if kick else 0) | (2 if attr else 0) | attr << 2
    how |= direction << 4 | (0x40 if blocks else 0)
    if direction == OUT:
        how |= 0x80
    given = sum(1 << i for i, b in enumerate(cdb) if i and b)
    out = bytes([0, how, KNOWN.index(cdb[0])]) + struct.pack("<H", given)
    out += bytes(b for b in cdb[1:] if b)
    out += bytes([length // 512 if blocks else length])
    if direction == OUT:
        out += struct.pack("<H", len(data)) + data
    return out + b"\0"  # as few pieces as can be


def range10(opcode, lba, blocks, flags=0):
    return struct.pack(">BBIBHB", opcode, flags, lba, 0, blocks, 0)


def range16(opcode, lba, blocks, flags=0):
    return struct.pack(">BBQIBB", opcode, flags, lba, blocks, 0, 0)


def tmf(function, task=0):
    return bytes([160 + function]) + (bytes([task]) if function == 0 else b"")


BLOCK = bytes(range(256)) * 2
TELLS = [
    command([0x00, 0, 0, 0, 0, 0]), command([0x03, 1, 0, 0, 18, 0], IN, 18),
    *(command([0x12, 1, page, 0, 255, 0], IN, 255)
      for page in (0x00, 0x80, 0x83, 0x86, 0xB0, 0xB1, 0xB2)),
    command([0x12, 0, 0, 0, 96, 0], IN, 96),
    command([0x25] + [0] * 9, IN, 8),
    command([0x9E, 0x10] + [0] * 11 + [32, 0, 0], IN, 32),
    command([0x9E, 0x12] + [0] * 11 + [24, 0, 0], IN, 24),
    command([0x1A, 0, 0x3F, 0, 255, 0], IN, 255),
    command([0x5A, 0x10, 0x48, 0, 0, 0, 0, 0, 255, 0], IN, 255),
    command([0xA3, 0x0C, 0x80, 0, 0, 0, 0, 0, 4, 0, 0, 0], IN, 1024),
    command([0xA3, 0x0C, 1, 0x28, 0, 0, 0, 0, 0, 64, 0, 0], IN, 64),
    command([0xA3, 0x0D, 0x80, 0, 0, 0, 0, 0, 0, 16, 0, 0], IN, 16),
    command([0x37, 0, 0x1C, 0, 0, 0, 0, 0, 4, 0], IN, 4),
]
MOVES = [
    command(range10(0x2A, 3, 1), OUT, 512, BLOCK),
    command(range10(0x28, 3, 2, 0x18), IN, 1024),
    command(range16(0x8A, 9, 1, 8), OUT, 512, BLOCK),
    command(range16(0x88, 2047, 1), IN, 512),
    command([0x0A, 0, 0, 5, 1, 0], OUT, 512, BLOCK),
    command(range10(0x2F, 3, 1, 2), OUT, 512, BLOCK),
    command(range10(0x2F, 3, 4), NONE),
    command(range16(0x8F, 3, 1, 6), OUT, 512, BLOCK),
    command(range16(0x8E, 7, 1, 2), OUT, 512, BLOCK),
    command([0x89] + [0] * 8 + [20, 0, 0, 0, 1, 0, 0], OUT, 1024,
            bytes(512) + BLOCK),
    command(range16(0x8B, 3, 1), OUT, 512, BLOCK),
    command(range10(0x35, 0, 0)),
    command(range10(0x34, 0, 8, 2)),
]
SAMES = [
    command(range10(0x41, 3, 40), OUT, 512),
    command(range16(0x93, 3, 0), OUT, 512, b"\1"),
    TURN, TURN,
    command(range16(0x93, 3, 50, 9)),
    command([0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0], OUT, 40,
            struct.pack(">HHIQIIQII", 38, 32, 0, 3, 2, 0, 100, 28, 0)),
]
MODES = [
    command([0x15, 0x10, 0, 0, 16, 0], OUT, 16,
            bytes(4) + bytes([10, 10, 0, 0x10, 8]) + bytes(7)),
    command(range10(0x2A, 3, 1), OUT, 512, BLOCK),
    command([0x55, 0x10, 0, 0, 0, 0, 0, 0, 36, 0], OUT, 36,
            bytes([0] * 7 + [8, 0, 0, 0, 0, 0, 0, 2, 0, 8, 18]) + bytes(18)),
    command([0x1B, 0, 0, 0, 0, 0]), command([0x00] * 6),
    command([0x1B, 0, 0, 0, 1, 0]),
]


def order(tail):
    """Reads that hang on disk 3, tasks behind them, and then this."""
    return b"".join([
        command(range10(0x28, 128, 1), IN, 512),
        command(range10(0x28, 130, 1), IN, 512, kick=False),
        command([0x00] * 6, attr=ORDERED),
        command(range10(0x2F, 128, 2)),
        command([0x00] * 6, attr=HEAD),
        command(range10(0x41, 0, 1000), OUT, 512, b"\1"),
        TURN]) + tail


SEEDS = {
    **{f"tells-{disk}": bytes([disk]) + b"".join(TELLS) for disk in range(3)},
    **{f"moves-{disk}": bytes([disk]) + b"".join(MOVES) for disk in range(4)},
    **{f"sames-{disk}": bytes([disk]) + b"".join(SAMES) for disk in range(4)},
    "modes": bytes([0]) + b"".join(MODES),
    "order-abort": bytes([3]) + order(tmf(0, 1) + tmf(0, 2) + TURN),
    "order-set": bytes([3]) + order(tmf(1) + TURN),
    "order-reset": bytes([3]) + order(tmf(4) + tmf(2) + TURN + tmf(3)),
    "order-give-up": bytes([3]) + order(bytes([176, 0, 176, 2]) + HURRY),
    "sizes": bytes([0]) + bytes([232, 0]) + b"".join(MOVES) + bytes([232, 99])
    + b"".join(MOVES) + bytes([255]),
}


def main():
    where = pathlib.Path(sys.argv[1])
    where.mkdir(parents=True, exist_ok=True)
    for name, seed in SEEDS.items():
        (where / name).write_bytes(seed)


if __name__ == "__main__":
    main()
