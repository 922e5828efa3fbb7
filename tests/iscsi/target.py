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
    stats                a JSON object: what was seen

RFC 7143. Standard library only."""

import argparse
import collections
import ctypes
import hashlib
import json
import os
import socket
import struct
import sys
import threading

BLOCK = 512
SENSE_UA, SENSE_ILLEGAL, SENSE_HARDWARE = 6, 5, 4


def crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        table.append(n)
    return table


CRC = crc32c_table()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 255]
    return struct.pack("<I", crc ^ 0xffffffff)


def size_of(text):
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def fixed_sense(key, asc):
    return struct.pack(">BBBIBIHBBBB", 0x70, 0, key, 0, 10, 0, asc, 0, 0, 0, 0)


class Target:
    def __init__(self, args):
        self.args = args
        self.lock = threading.RLock()
        self.luns = [bytearray(size_of(s)) for s in args.lun]
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
        elif words[0] == "stats":
            with self.lock:
                return json.dumps(dict(self.seen, order=self.order,
                                       port=self.port))
        else:
            return "what?"
        return "ok"


class Gone(Exception):
    pass


class Connection:
    def __init__(self, target, sock):
        self.t = target
        self.s = sock
        self.out = threading.RLock()
        self.statsn = 1
        self.cmdsn = 0
        self.digest = False
        self.max_data = 8192     # the initiator's, of a PDU
        self.first_burst = 65536
        self.immediate = target.args.immediate != "No"
        self.initial_r2t = target.args.initial_r2t != "No"
        self.full = False
        self.initiator = None
        self.unheard = False
        self.discovery = False
        self.chap = None
        self.writes = {}   # by itt
        self.held = {}     # commands that are not answered
        self.attention = {}
        self.window = 64

    # Bytes.

    def close(self):
        try:
            self.s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def reset(self):
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
        # The thread that reads has the socket, too: a copy that is closed
        # resets nothing. Connecting it to nowhere does.
        try:
            libc = ctypes.CDLL(None)
            libc.connect(self.s.fileno(), bytes(16), 16)
        except OSError:
            pass
        self.close()

    def take(self, n):
        data = b""
        while len(data) < n:
            piece = self.s.recv(n - len(data))
            if not piece:
                raise Gone
            data += piece
        return data

    def take_pdu(self):
        h = self.take(48)
        if self.digest and self.take(4) != crc32c(h):
            raise Gone
        length = int.from_bytes(h[5:8], "big")
        data = self.take((length + 3) & ~3)[:length]
        return h, data

    def send(self, opcode, flags, itt, fields=b"", data=b"", lun=0, at4=None,
             status=True, b2=0, b3=0):
        """fields: bytes 20 to 47, of which 24 to 35 are filled in here."""
        fields = bytearray(fields.ljust(28, b"\0"))
        with self.out:
            struct.pack_into(">III", fields, 4, self.statsn, self.cmdsn,
                             (self.cmdsn + self.window) & 0xffffffff)
            if status:
                self.statsn += 1
            h = struct.pack(">BBBBIQI", opcode, flags, b2, b3,
                            len(data) if at4 is None else at4, lun, itt)
            pdu = h + bytes(fields)
            if self.digest:
                pdu += crc32c(pdu)
            pdu += data + bytes(-len(data) % 4)
            if self.t.fault("close_mid_pdu") is not None and self.full:
                self.s.sendall(pdu[:30])
                self.close()
                raise Gone
            if self.t.fault("dribble") is not None:
                for i in range(len(pdu)):
                    self.s.sendall(pdu[i:i + 1])
                return
            self.s.sendall(pdu)

    # Login: RFC 7143, 6.

    def run(self):
        try:
            while True:
                h, data = self.take_pdu()
                self.handle(h, data)
        except (Gone, OSError):
            pass
        finally:
            if not self.unheard:
                self.end()

    def end(self):
        self.s.close()
        with self.t.lock:
            if self in self.t.connections:
                self.t.connections.remove(self)

    def handle(self, h, data):
        opcode = h[0] & 0x3f
        itt = int.from_bytes(h[16:20], "big")
        if not self.full:
            if opcode == 3:
                self.login(h, data, itt)
            return
        if not h[0] & 0x40 and opcode in (0, 1, 2, 4, 6):
            with self.out:
                self.cmdsn = (self.cmdsn + 1) & 0xffffffff
        if opcode == 0:
            self.nop(h, data, itt)
        elif opcode == 1:
            self.scsi(h, data, itt)
        elif opcode == 2:
            self.task_management(h, itt)
        elif opcode == 4:
            self.text(data, itt)
        elif opcode == 5:
            self.data_out(h, data, itt)
        elif opcode == 6:
            self.t.seen["logouts"] += 1
            self.send(0x26, 0x80, itt)
            self.close()

    def login_answer(self, flags, itt, keys, status=0, raw=None):
        data = raw if raw is not None else b"".join(
            f"{k}={v}\0".encode() for k, v in keys)
        fields = bytearray(28)
        struct.pack_into(">H", fields, 16, status)
        with self.out:
            struct.pack_into(">III", fields, 4, self.statsn, self.cmdsn,
                             (self.cmdsn + self.window) & 0xffffffff)
            self.statsn += 1
            pdu = struct.pack(">BBBBI", 0x23, flags, 0, 0, len(data)) + \
                self.isid + struct.pack(">HI", 1, itt) + bytes(fields)
            self.s.sendall(pdu + data + bytes(-len(data) % 4))

    def login(self, h, data, itt):
        t = self.t
        self.isid = h[8:14]
        self.cmdsn = int.from_bytes(h[24:28], "big")
        keys = dict(k.split("=", 1)
                    for k in data.decode(errors="replace").split("\0") if k)
        t.seen["login pdus"] += 1
        t.seen["login tsih " + h[14:16].hex()] += 1
        if "InitiatorName" in keys:
            self.initiator = keys["InitiatorName"]
            t.seen["initiator " + self.initiator] += 1
        if "SessionType" in keys:
            self.discovery = keys["SessionType"] == "Discovery"
        csg = h[1] >> 2 & 3
        nsg = h[1] & 3
        if t.fault("login_silent") is not None:
            return
        if t.fault("login_garbage") is not None:
            self.s.sendall(os.urandom(4096))
            return
        if (arg := t.fault("login_refuse")) is not None:
            self.login_answer(0, itt, [], status=int(arg or "0x203", 0))
            self.close()
            return
        if (arg := t.fault("redirect")) is not None:
            where = arg or f"127.0.0.1:{t.port}"
            self.login_answer(0, itt, [("TargetAddress", where + ",1")],
                              status=0x101)
            return
        if t.fault("login_no_nul") is not None:
            self.login_answer(h[1], itt, [], raw=b"TargetAddress=abcd")
            return
        if csg == 0:
            self.security(h, keys, itt, nsg)
            return
        if t.args.chap and not self.chap == "ok":
            self.login_answer(0, itt, [], status=0x201)
            self.close()
            return
        self.operational(keys, itt)

    def security(self, h, keys, itt, nsg):
        t = self.t
        if t.fault("chap_skip") is not None:
            # It never proves who it is.
            self.chap = "ok"
            self.login_answer(0x80 | nsg, itt, [("AuthMethod", "None")])
            return
        if t.fault("chap_lie_stage") is not None:
            self.full = True
            self.login_answer(0x80 | 1 << 2 | 3, itt, [])
            return
        if t.fault("chap_proof_first") is not None:
            self.chap = "ok"
            user = (t.args.mutual or "x:").split(":")[0]
            self.login_answer(0x80 | nsg, itt,
                              [("CHAP_N", user), ("CHAP_R", "0x" + "00" * 16)])
            return
        if not t.args.chap:
            self.login_answer(0x80 | nsg, itt, [("AuthMethod", "None")])
            return
        user, secret = t.args.chap.split(":")
        if "CHAP_R" in keys:
            want = hashlib.md5(b"\x07" + secret.encode() +
                               self.chap).hexdigest()
            if keys["CHAP_N"] != user or \
                    keys["CHAP_R"][2:].lower() != want:
                self.login_answer(0, itt, [], status=0x201)
                self.close()
                return
            self.chap = "ok"
            proof = []
            if t.args.mutual and "CHAP_C" in keys:
                who, theirs = t.args.mutual.split(":")
                if t.fault("chap_wrong_proof") is not None:
                    theirs += "x"
                r = hashlib.md5(bytes([int(keys["CHAP_I"])]) +
                                theirs.encode() +
                                bytes.fromhex(keys["CHAP_C"][2:])).hexdigest()
                proof = [("CHAP_N", who), ("CHAP_R", "0x" + r)]
            self.login_answer(0x80 | nsg, itt, proof)
        elif "CHAP_A" in keys:
            self.chap = os.urandom(16)
            challenge = "0x" + self.chap.hex()
            if t.fault("chap_odd") is not None:
                challenge = challenge[:-1]
            if t.fault("chap_long") is not None:
                challenge = "0x" + "ab" * 3000
            self.login_answer(0, itt, [("CHAP_A", 5), ("CHAP_I", 7),
                                       ("CHAP_C", challenge)])
        else:
            self.login_answer(0, itt, [("AuthMethod", "CHAP")])

    def operational(self, keys, itt):
        t = self.t
        self.max_data = int(keys.get("MaxRecvDataSegmentLength", 8192))
        self.immediate &= keys.get("ImmediateData", "Yes") == "Yes"
        self.initial_r2t |= keys.get("InitialR2T", "Yes") == "Yes"
        self.first_burst = min(65536, int(keys.get("FirstBurstLength", 65536)))
        digest = "CRC32C" if t.args.digest and \
            "CRC32C" in keys.get("HeaderDigest", "") else "None"
        segment = t.fault("login_segment")
        answer = [
            ("TargetPortalGroupTag", t.fault("group") or 1),
            ("HeaderDigest", digest), ("DataDigest", "None"),
            ("MaxRecvDataSegmentLength", segment or 8192),
            ("InitialR2T", "Yes" if self.initial_r2t else "No"),
            ("ImmediateData", "Yes" if self.immediate else "No"),
            ("FirstBurstLength", self.first_burst),
            ("MaxBurstLength", 262144), ("MaxOutstandingR2T", 1),
            ("MaxConnections", 1), ("ErrorRecoveryLevel", 0)]
        with t.lock:
            # Session reinstatement: RFC 7143, 6.3.5.
            for c in list(t.connections):
                if c is not self and c.full and \
                        (c.isid, c.initiator) == (self.isid, self.initiator):
                    t.seen["reinstated"] += 1
                    c.held.clear()
                    c.close()
                    c.end()
            self.full = True
            t.seen["sessions"] += 1
            t.seen["isid " + self.isid.hex()] += 1
        # Power on, as every new session finds it.
        self.attention = {n: 0x2900 for n in range(len(t.luns))}
        self.login_answer(0x80 | 1 << 2 | 3, itt, answer)
        self.digest = digest == "CRC32C"

    # Full feature phase.

    def ping(self):
        self.send(0x20, 0x80, 0xffffffff, struct.pack(">I", 0x1234),
                  status=False)

    def nop(self, h, data, itt):
        if itt == 0xffffffff:
            self.t.seen["pongs"] += 1
            return
        self.t.seen["pings"] += 1
        if self.t.fault("nop_silent") is None:
            self.send(0x20, 0x80, itt, struct.pack(">I", 0xffffffff), data)

    def text(self, data, itt):
        t = self.t
        if b"SendTargets" not in data:
            return
        if t.fault("text_no_nul") is not None:
            self.send(0x24, 0x80, itt, struct.pack(">I", 0xffffffff),
                      b"TargetName=iqn.2026-01.example:abc")
            return
        if (arg := t.fault("text_raw")) is not None:
            self.send(0x24, 0x80, itt, struct.pack(">I", 0xffffffff),
                      bytes.fromhex(arg))
            return
        name = t.fault("text_name") or t.args.name
        self.send(0x24, 0x80, itt, struct.pack(">I", 0xffffffff),
                  f"TargetName={name}\0TargetAddress=127.0.0.1:{t.port},1\0"
                  .encode())

    def task_management(self, h, itt):
        t = self.t
        function = h[1] & 0x7f
        with t.lock:
            t.seen[f"tmf {function}"] += 1
        if t.fault("tmf_silent") is not None:
            return
        response = t.fault("tmf_response")
        ritt = int.from_bytes(h[20:24], "big")
        lun = h[8:16]
        if function == 1 and t.fault("tmf_late") is not None:
            # It asks for data while it aborts, and then reads nothing.
            w = self.writes[ritt]
            with self.out:
                self.r2t(ritt, w[0], w[3], w[4] - w[3])
                self.send(0x22, 0x80, itt)
            threading.Event().wait(60)
        if function == 1:
            known = self.held.pop(ritt, None) is not None or \
                self.writes.pop(ritt, None) is not None
            code = 0 if known else 1
        else:
            code = 0
            for table in (self.held, self.writes):
                for i in [i for i, w in table.items() if w[0] == lun]:
                    del table[i]
        self.send(0x22, 0x80, itt, b2=int(response) if response else code)

    def answer(self, itt, status=0, sense=b"", under=0, over=0):
        t = self.t
        flags = 0x80 | (2 if under else 0) | (4 if over else 0)
        data = b""
        if status == 2:
            data = struct.pack(">H", len(sense)) + sense
        if (arg := t.fault("sense_bytes")) is not None:
            # A segment as it likes, hex.
            status, data = 2, bytes.fromhex(arg)
        if (arg := t.fault("sense_huge")) is not None:
            status, data = 2, struct.pack(">H", 60000) + bytes(int(arg or 200))
        if (arg := t.fault("status")) is not None:
            status = int(arg, 0)
        if t.fault("residual_lie") is not None:
            flags, under = 0x82, 0xfffffff0
        if t.fault("overflow_lie") is not None:
            flags, under = 0x84, 0xfffffff0
        fields = bytearray(28)
        struct.pack_into(">I", fields, 24, under or over)
        b2 = 1 if t.fault("response") is not None else 0
        if t.fault("not_final") is not None:
            flags &= 0x7f
        if t.fault("wrong_itt") is not None:
            itt ^= 0x55
        if t.fault("reject") is not None:
            self.send(0x3f, 0x80, 0xffffffff, data=bytes(48), b2=4)
            return
        if (arg := t.fault("async")) is not None:
            f = bytearray(28)
            f[16] = int(arg)
            self.send(0x32, 0x80, 0xffffffff, bytes(f))
            if int(arg) not in (0, 255):
                return
        if t.fault("bad_opcode") is not None:
            self.send(0x2f, 0x80, itt)
            return
        if t.fault("ahs") is not None:
            self.send(0x21, flags, itt, bytes(fields), at4=1 << 24)
            return
        self.send(0x21, flags, itt, bytes(fields), data, b2=b2, b3=status)
        if t.fault("twice") is not None:
            self.send(0x21, flags, itt, bytes(fields), data, b3=status)

    def check(self, itt, key, asc):
        self.answer(itt, 2, fixed_sense(key, asc))

    def data_in(self, itt, data, want):
        """With the status in the last PDU, as most targets do."""
        t = self.t
        offset = 0
        under = max(want - len(data), 0)
        over = max(len(data) - want, 0)
        data = data[:want]
        if (arg := t.fault("data_offset")) is not None:
            offset = int(arg, 0)
        if t.fault("data_long") is not None:
            data += bytes(4096)
        if t.fault("data_none") is not None:
            data = b""
        if not data or t.fault("separate_status") is not None:
            if data:
                self.send(0x25, 0x80, itt, struct.pack(">IIIIIII", 0xffffffff,
                          0, 0, 0, 0, offset, 0), data, status=False)
            self.answer(itt, 0, under=under, over=over)
            return
        sn = 0
        while data:
            piece, data = data[:self.max_data], data[self.max_data:]
            flags = 0
            if not data:
                flags = 0x81 | (2 if under else 0) | (4 if over else 0)
            if t.fault("data_ack") is not None:
                flags |= 0x40
            fields = struct.pack(">IIIIIII", 0xffffffff, 0, 0, 0, sn, offset,
                                 (under or over) if not data else 0)
            self.send(0x25, flags, itt, fields, piece, status=not data)
            offset += len(piece)
            sn += 1

    def scsi(self, h, data, itt):
        t = self.t
        lun_field = h[8:16]
        n = int.from_bytes(h[8:10], "big") & 0x3fff
        cdb = h[32:48]
        op = cdb[0]
        want = int.from_bytes(h[20:24], "big")
        final = h[1] & 0x80
        with t.lock:
            t.seen["commands"] += 1
            t.seen[f"op {op:02x}"] += 1
            if op in (0x8a, 0x2a):
                t.order.append(int.from_bytes(cdb[2:10], "big")
                               if op == 0x8a else
                               int.from_bytes(cdb[2:6], "big"))
        if (arg := t.fault("silent")) is not None and \
                (not arg or int(arg, 16) == op):
            self.held[itt] = (lun_field,)
            return
        if (arg := t.fault("close_on")) is not None:
            if not arg or int(arg, 16) == op:
                self.close()
                raise Gone
            t.faults["close_on"] = (arg, False)
        if op not in (0x12, 0xa0, 0x03) and n in self.attention:
            asc = self.attention.pop(n)
            if h[1] & 0x20 and not final:
                # Unsolicited data come all the same.
                self.writes[itt] = (lun_field, None, bytearray(want),
                                    len(data), want, asc, cdb)
                return
            self.check(itt, SENSE_UA, asc)
            return
        if h[1] & 0x20:
            self.write_command(h, data, itt, n, cdb, want, final, lun_field)
            return
        if n >= len(t.luns) and op not in (0x12, 0xa0):
            self.check(itt, SENSE_ILLEGAL, 0x2500)
            return
        self.read_command(itt, n, cdb, want)

    def read_command(self, itt, n, cdb, want):
        t = self.t
        op = cdb[0]
        disk = t.luns[n] if n < len(t.luns) else bytearray()
        blocks = len(disk) // BLOCK
        if op == 0x12:
            self.data_in(itt, self.inquiry(n, cdb), want)
        elif op == 0x25:
            self.data_in(itt, struct.pack(">II", min(blocks - 1, 0xffffffff),
                                          BLOCK), want)
        elif op == 0x9e and cdb[1] & 0x1f == 0x10:
            self.data_in(itt, struct.pack(">QIBBH16x", blocks - 1, BLOCK, 0, 0,
                                          0x8000)[:int.from_bytes(
                                              cdb[10:14], "big")], want)
        elif op == 0xa0:
            luns = b"".join(struct.pack(">HHI", i, 0, 0)
                            for i in range(len(t.luns)))
            self.data_in(itt, struct.pack(">II", len(luns), 0) + luns, want)
        elif op in (0x28, 0x88):
            lba = int.from_bytes(cdb[2:10] if op == 0x88 else cdb[2:6], "big")
            count = int.from_bytes(cdb[10:14] if op == 0x88 else cdb[7:9],
                                   "big")
            if lba + count > blocks:
                self.check(itt, SENSE_ILLEGAL, 0x2100)
                return
            self.data_in(itt, bytes(disk[lba * BLOCK:(lba + count) * BLOCK]),
                         want)
        elif op == 0x1a:
            self.data_in(itt, bytes([3, 0, 0x10, 0]), want)  # DPOFUA
        elif op == 0x00 or op in (0x35, 0x91):
            if t.fault("data_unasked") is not None:
                self.data_in(itt, bytes(512), 512)
                return
            if op == 0x35 and t.fault("sync_error") is not None:
                self.check(itt, SENSE_HARDWARE, 0x4400)
            elif op == 0x35 and t.fault("sync_busy") is not None:
                self.answer(itt, 8)
            else:
                self.answer(itt)
        else:
            self.check(itt, SENSE_ILLEGAL, 0x2000)

    def inquiry(self, n, cdb):
        there = n < len(self.t.luns)
        if not cdb[1] & 1:
            data = bytes([0 if there else 0x7f, 0, 6, 2, 31, 0, 0, 2]) + \
                b"VUB     SCRIPTED TARGET 0001"
        elif cdb[2] == 0:
            data = bytes([0, 0, 0, 4, 0x00, 0x80, 0xb0, 0xb2])
        elif cdb[2] == 0x80:
            data = bytes([0, 0x80, 0, 4]) + b"%04d" % n
        elif cdb[2] == 0xb0:
            data = struct.pack(">BBHBBHIIIIII", 0, 0xb0, 60, 0, 0, 8, 65535,
                               128, 0, 65535, 16, 8) + bytes(32)
        elif cdb[2] == 0xb2:
            data = bytes([0, 0xb2, 0, 4, 0, 0xe0, 2, 0])
        else:
            data = bytes([0, cdb[2], 0, 0])
        return data[:int.from_bytes(cdb[3:5], "big")]

    def write_command(self, h, data, itt, n, cdb, want, final, lun_field):
        t = self.t
        body = bytearray(want)
        body[:len(data)] = data
        if t.fault("early") is not None:
            self.answer(itt)
            return
        self.writes[itt] = [lun_field, n, body, len(data), want, 0, cdb]
        for name, offset, length in (
                ("r2t_beyond", want, 4096), ("r2t_huge", 0, 0xfffffffc),
                ("r2t_zero", 0, 0), ("r2t_wrap", 0xfffffff0, 64)):
            if t.fault(name) is not None:
                self.r2t(itt, lun_field, offset, length)
                return
        if t.fault("r2t_many") is not None:
            for _ in range(5000):
                self.r2t(itt, lun_field, 0, want)
            return
        if final:
            self.more(itt)

    def r2t(self, itt, lun_field, offset, length):
        self.t.seen["r2ts"] += 1
        self.send(0x31, 0x80, itt,
                  struct.pack(">IIIIIII", itt, 0, 0, 0, 0, offset, length),
                  lun=int.from_bytes(lun_field, "big"), status=False)

    def data_out(self, h, data, itt):
        w = self.writes.get(itt)
        if not w:
            return
        offset = int.from_bytes(h[40:44], "big")
        self.t.seen["data-outs"] += 1
        if w[1] is None:  # a unit attention waits for their end
            if h[1] & 0x80:
                del self.writes[itt]
                self.check(itt, SENSE_UA, w[5])
            return
        w[2][offset:offset + len(data)] = data
        w[3] = max(w[3], offset + len(data))
        if h[1] & 0x80:
            self.more(itt)

    def more(self, itt):
        """Asks for what is missing, or does the command."""
        w = self.writes[itt]
        lun_field, n, body, have, want, _, cdb = w
        if have < want:
            if self.t.fault("r2t_silent") is not None:
                return
            self.r2t(itt, lun_field, have, min(want - have, 262144))
            return
        del self.writes[itt]
        self.do_write(itt, n, bytes(body), cdb)

    def do_write(self, itt, n, body, cdb):
        t = self.t
        op = cdb[0]
        if n >= len(t.luns):
            self.check(itt, SENSE_ILLEGAL, 0x2500)
            return
        disk = t.luns[n]
        if op in (0x2a, 0x8a):
            lba = int.from_bytes(cdb[2:10] if op == 0x8a else cdb[2:6], "big")
            if lba * BLOCK + len(body) > len(disk):
                self.check(itt, SENSE_ILLEGAL, 0x2100)
                return
            if t.fault("write_lost") is not None:  # done, and never answered
                disk[lba * BLOCK:lba * BLOCK + len(body)] = body
                self.close()
                raise Gone
            disk[lba * BLOCK:lba * BLOCK + len(body)] = body
        elif op == 0x93:
            lba = int.from_bytes(cdb[2:10], "big")
            count = int.from_bytes(cdb[10:14], "big")
            if (lba + count) * BLOCK > len(disk):
                self.check(itt, SENSE_ILLEGAL, 0x2100)
                return
            disk[lba * BLOCK:(lba + count) * BLOCK] = body * count
        elif op == 0x42:
            for at in range(8, len(body), 16):
                lba, count = struct.unpack_from(">QI", body, at)
                if (lba + count) * BLOCK > len(disk):
                    self.check(itt, SENSE_ILLEGAL, 0x2100)
                    return
                disk[lba * BLOCK:(lba + count) * BLOCK] = bytes(count * BLOCK)
        elif op == 0x89 or op == 0x5f:
            if t.fault("write_lost") is not None:
                self.close()
                raise Gone
        else:
            self.check(itt, SENSE_ILLEGAL, 0x2000)
            return
        self.answer(itt)


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
