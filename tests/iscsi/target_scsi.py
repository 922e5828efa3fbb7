"""What target.py does with SCSI commands, and what of it is wrong when it is
told to misbehave: the part of a connection that deals with units."""

import struct

BLOCK = 512
SENSE_UA, SENSE_ILLEGAL, SENSE_HARDWARE = 6, 5, 4


def fixed_sense(key, asc):
    return struct.pack(">BBBIBIHBBBB", 0x70, 0, key, 0, 10, 0, asc, 0, 0, 0, 0)


class Gone(Exception):
    pass


class Commands:
    """Of a Connection (target_session.py), which sends and closes."""

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
        if op in (0x2a, 0x8a) and t.holders.get(
                n, (self.initiator, self.isid)) != (self.initiator, self.isid):
            self.answer(itt, 0x18)
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
            if op == 0x5f and cdb[1] & 0x1f == 1:  # RESERVE
                t.holders[n] = (self.initiator, self.isid)
        else:
            self.check(itt, SENSE_ILLEGAL, 0x2000)
            return
        self.answer(itt)
