#!/usr/bin/env python3
"""Writes the seeds of session_fuzz: whole conversations that start a ring.

The fuzzer finds bad messages by itself; a ring that runs takes ten good ones
in the right order, which it would never guess. See session_fuzz.c for the
form of a step. Usage: session_seeds.py DIRECTORY
"""
import pathlib
import struct
import sys

VERSION_1, PACKED, EVENT_IDX, LOG_ALL = 1 << 32, 1 << 34, 1 << 29, 1 << 26
PROTOCOL = 1 << 30
UVA = 0x10000
MEM, EVENT = 0x00, 0x20  # kinds of fds


def message(request, payload=b"", fds=0, kind=MEM, need_reply=True):
    flags = 0x08 if need_reply else 0
    return bytes([request, flags, kind | fds]) + payload.ljust(64, b"\0")


def memory(at, data):
    out = b""
    while data:
        piece, data = data[:255], data[255:]
        out += bytes([200]) + struct.pack(">HB", at, len(piece)) + piece
        at += len(piece)
    return out


def u64(value):
    return struct.pack("<Q", value)


def pair(index, num):
    return struct.pack("<II", index, num)


def start(features, size, log=False):
    out = message(2, u64(features | PROTOCOL | VERSION_1))
    out += message(16, u64(0xffff))
    out += message(5, struct.pack("<IIQQQQ", 1, 0, 0, 65536, UVA, 0), fds=1)
    if log:
        out += message(6, struct.pack("<QQ", 4096, 0), fds=1)
    out += message(8, pair(0, size))
    out += message(10, pair(0, 0 if not features & PACKED else 0x80008000))
    out += message(9, struct.pack("<IIQQQQ", 0, int(log), UVA, UVA + 0x2000,
                                  UVA + 0x1000, 0x2000))
    out += message(12, u64(0), fds=1, kind=EVENT)
    out += message(13, u64(0), fds=1, kind=EVENT)
    out += message(18, pair(0, 1))
    return out


def split_request():
    desc = struct.pack("<QIHH", 0x4000, 64, 1, 1)
    desc += struct.pack("<QIHH", 0x5000, 64, 2, 0)
    return memory(0, desc) + memory(0x1000, struct.pack("<HHH", 0, 1, 0))


def packed_request():
    return memory(0, struct.pack("<QIHH", 0x4000, 64, 0, 0x81)
                  + struct.pack("<QIHH", 0x5000, 64, 0, 0x82))


def main():
    out = pathlib.Path(sys.argv[1])
    kick, stop = bytes([230]), message(11, pair(0, 0))
    record = message(31, struct.pack("<QQHHI", 0, 0, 2, 16, 0))
    seeds = {
        "split": start(0, 16) + split_request() + kick + stop,
        "packed": start(PACKED, 16) + packed_request() + kick + stop,
        "event_idx": start(EVENT_IDX, 8) + split_request() + kick,
        "log": start(LOG_ALL, 16, log=True) + split_request() + kick,
        "reset": start(0, 16) + kick + message(34) + start(0, 16),
        "record": record + message(
            32, struct.pack("<QQHHI", 4096, 0, 2, 16, 0), fds=1)
        + start(0, 16) + split_request() + kick,
        "regions": start(0, 16) + message(
            37, struct.pack("<QQQQQ", 0, 1 << 20, 4096, 1 << 30, 0), fds=1)
        + message(38, struct.pack("<QQQQQ", 0, 1 << 20, 4096, 1 << 30, 0))
        + split_request() + kick,
        "config": message(16, u64(0xffff)) + message(
            24, struct.pack("<III", 0, 32, 0)) + message(
                25, struct.pack("<III", 8, 16, 0) + b"x" * 16),
    }
    for name, seed in seeds.items():
        (out / name).write_bytes(seed)


if __name__ == "__main__":
    main()
