#!/usr/bin/env python3
"""target.py: a small iSCSI target of our own, with RAM disks, that misbehaves
when told to.

    target.py [--lun SIZE]... [--chap USER:SECRET] [--mutual USER:SECRET]
              [--digest] [--immediate NO] [--initial-r2t YES] [--port N]

Prints "port N" when it listens. Then each line of standard input is a command,
answered by one line; the end of input ends it.

    fault NAME [ARG]     the next time that can be done, do it
    fault NAME* [ARG]    each time
    faultless            no more of them
    drop                 close all connections
    reset                the same by RST
    ping N               that many NOP-Ins that want an answer
    unheard              the ends of connections there are go unnoticed
    deaf / hearing       stop listening, or listen again at the same port
    attention LUN ASC    a unit attention for every session
    resize LUN SIZE      with a unit attention for every session
    fill LUN HEX         its first bytes
    stats                a JSON object: what was seen

RFC 7143. Standard library only."""

import argparse
import collections
import json
import socket
import sys
import threading

sys.dont_write_bytecode = True

from target_session import Connection  # noqa: E402


def size_of(text):
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


class Target:
    def __init__(self, args):
        self.args = args
        self.lock = threading.RLock()
        self.luns = [bytearray(size_of(s)) for s in args.lun]
        self.holders = {}  # of reservations, by unit
        self.faults = {}
        self.seen = collections.Counter()
        self.order = []  # write commands, as they came
        self.connections = []
        self.listener = None
        self.port = args.port
        self.listen()

    def listen(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", self.port))
        s.listen(64)
        self.port = s.getsockname()[1]
        self.listener = s
        threading.Thread(target=self.accept, args=(s,), daemon=True).start()

    def deaf(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self, listener):
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            c = Connection(self, s)
            with self.lock:
                self.seen["connections"] += 1
                self.connections.append(c)
            threading.Thread(target=c.run, daemon=True).start()

    def drop(self):
        with self.lock:
            for c in self.connections:
                c.close()

    def fault(self, name):
        """None, or the argument of a fault that is due."""
        with self.lock:
            if name not in self.faults:
                return None
            arg, again = self.faults[name]
            if not again:
                del self.faults[name]
            self.seen["fault " + name] += 1
            return arg

    def command(self, line):
        words = line.split()
        if words[0] == "fault":
            name = words[1]
            with self.lock:
                self.faults[name.rstrip("*")] = (
                    words[2] if len(words) > 2 else "", name.endswith("*"))
        elif words[0] == "faultless":
            self.faults.clear()
        elif words[0] == "drop":
            self.drop()
        elif words[0] == "reset":
            with self.lock:
                for c in self.connections:
                    c.reset()
        elif words[0] == "ping":
            with self.lock:
                for c in self.connections:
                    for _ in range(int(words[1])):
                        c.ping()
        elif words[0] == "unheard":
            with self.lock:
                for c in self.connections:
                    c.unheard = True
        elif words[0] == "deaf":
            self.deaf()
        elif words[0] == "hearing":
            self.listen()
        elif words[0] == "attention":
            with self.lock:
                for c in self.connections:
                    c.attention[int(words[1])] = int(words[2], 16)
        elif words[0] == "resize":
            with self.lock:
                n, size = int(words[1]), size_of(words[2])
                disk = self.luns[n]
                del disk[size:]
                disk.extend(bytes(size - len(disk)))
                for c in self.connections:
                    c.attention[n] = 0x2a09
        elif words[0] == "fill":
            with self.lock:
                data = bytes.fromhex(words[2])
                self.luns[int(words[1])][:len(data)] = data
        elif words[0] == "stats":
            with self.lock:
                return json.dumps(dict(self.seen, order=self.order,
                                       port=self.port))
        else:
            return "what?"
        return "ok"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--lun", action="append", default=[])
    p.add_argument("--name", default="iqn.2026-01.example:disk")
    p.add_argument("--chap")
    p.add_argument("--mutual")
    p.add_argument("--digest", action="store_true")
    p.add_argument("--immediate", default="Yes")
    p.add_argument("--initial-r2t", default="No")
    p.add_argument("--port", type=int, default=0)
    t = Target(p.parse_args())
    print("port", t.port, flush=True)
    for line in sys.stdin:
        print(t.command(line), flush=True)


if __name__ == "__main__":
    main()
