"""A boot sector, assembled by hand: it has the firmware read sectors 1 and 2
of the disk it came from, prints their text on the first serial port, has the
firmware write them to sectors 8 and 9, prints "written", and halts.

So the firmware's own driver, one queue of its own size, reads and writes."""

import struct

SECTOR = 512
AT = 0x7C00       # where the firmware puts sector 0
TEXT_AT = 0x7E00  # right behind
COM1 = 0x3F8


def make(text):
    """The first 3 sectors of a disk: the program and `text`, ASCII."""
    code = bytearray()

    def jump(opcode, target):
        """A short jump back to offset `target`."""
        code.extend((opcode, (target - len(code) - 2) & 0xFF))

    def call_forward():
        """call rel16, to be filled in; where its operand lies."""
        code.extend(b"\xe8\0\0")
        return len(code) - 2

    def disk(function, packet_patches):
        """int 13h with the packet whose address is filled in later; dl is
        the drive, as the firmware left it."""
        code.extend(b"\xbe\0\0")            # mov si, packet
        packet_patches.append(len(code) - 2)
        code.extend((0xB8, 0x00, function))  # mov ax, function << 8
        code.extend(b"\xcd\x13")            # int 13h
        code.extend(b"\x72\xfe")            # jc $: stuck, and the test sees

    packets, calls, texts = [], [], []
    code.extend(b"\x31\xc0\x8e\xd8\x8e\xd0")          # ds = ss = ax = 0
    code.extend(b"\xbc" + struct.pack("<H", AT))      # mov sp, AT
    disk(0x42, packets)                               # extended read
    code.extend(b"\xbe" + struct.pack("<H", TEXT_AT))  # mov si, text
    calls.append(call_forward())
    disk(0x43, packets)                               # extended write
    code.extend(b"\xbe\0\0")                          # mov si, "written"
    texts.append(len(code) - 2)
    calls.append(call_forward())
    halt = len(code)
    code.extend(b"\xf4")                              # hlt
    jump(0xEB, halt)

    # print: si is a string that ends with 0. Keeps dl.
    for at in calls:
        struct.pack_into("<H", code, at, len(code) - (at + 2))
    code.extend(b"\x52")                              # push dx
    loop = len(code)
    code.extend(b"\xac\x84\xc0")                      # lodsb; test al, al
    code.extend(b"\x74\x12")                          # jz done
    code.extend(b"\x88\xc4")                          # mov ah, al
    code.extend(b"\xba" + struct.pack("<H", COM1 + 5))  # mov dx, its status
    wait = len(code)
    code.extend(b"\xec\xa8\x20")                      # in al, dx; test al, 20h
    jump(0x74, wait)                                  # jz: not empty yet
    code.extend(b"\xba" + struct.pack("<H", COM1))    # mov dx, COM1
    code.extend(b"\x88\xe0\xee")                      # mov al, ah; out dx, al
    jump(0xEB, loop)
    code.extend(b"\x5a\xc3")                          # done: pop dx; ret

    struct.pack_into("<H", code, texts[0], AT + len(code))
    code.extend(b"written\n\0")
    # Disk address packets: size, 0, sectors, offset, segment, first sector.
    for at, sector in zip(packets, (1, 8)):
        struct.pack_into("<H", code, at, AT + len(code))
        code.extend(struct.pack("<BBHHHQ", 16, 0, 2, TEXT_AT, 0, sector))

    program = bytes(code).ljust(SECTOR - 2, b"\0") + b"\x55\xaa"
    text = text.encode().ljust(2 * SECTOR, b"\0")
    assert len(program) == SECTOR and len(text) == 2 * SECTOR
    return program + text
