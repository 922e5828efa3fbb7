"""A connection of target.py: its bytes, its login, and what is no SCSI command.

RFC 7143."""

import ctypes
import hashlib
import os
import socket
import struct
import threading

from target_scsi import Commands, Gone


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


class Connection(Commands):
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
