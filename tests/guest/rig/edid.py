"""What a monitor says of itself: VESA E-EDID 1.4, as far as tests ask."""

from .loop import Failure

HEADER = b"\0\xff\xff\xff\xff\xff\xff\0"
NAME, SERIAL = 0xfc, 0xff  # of descriptors that hold a text


class Edid:
    """text: hexadecimal digits. width, height: of the preferred mode."""

    def __init__(self, text):
        data = bytes.fromhex(text)
        if len(data) < 128 or len(data) % 128 or not data.startswith(HEADER):
            raise Failure(f"no EDID: {text}")
        for at in range(0, len(data), 128):
            if sum(data[at:at + 128]) % 256:
                raise Failure(f"the EDID has a wrong checksum: {text}")
        timing = data[54:72]
        self.width = timing[2] | timing[4] >> 4 << 8
        self.height = timing[5] | timing[7] >> 4 << 8
        texts = {data[at + 3]: data[at + 5:at + 18].split(b"\n")[0].decode()
                 for at in (72, 90, 108) if data[at:at + 3] == b"\0\0\0"}
        self.name = texts.get(NAME)
        self.serial = texts.get(SERIAL)
