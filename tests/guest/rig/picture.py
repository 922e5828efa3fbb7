"""Pictures: QEMU's screendump writes PPM, vub PNG or PPM, and those that a test
compares with are stored as PNG.

Only what these write is read: PPM of 8 bits, PNG of 8 bits, RGB with or
without alpha, not interlaced."""

import os
import struct
import zlib

from .loop import Failure

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CURSOR_SIDE = 64
RGB, RGBA = 2, 6  # of PNG's colour types
STORED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..",
                      "pictures")


class Picture:
    """pixels: three bytes each, rows from the top, no gaps."""

    def __init__(self, width, height, pixels):
        if len(pixels) != 3 * width * height:
            raise Failure(f"a picture of {width}x{height} has {len(pixels)} "
                          "bytes")
        self.width = width
        self.height = height
        self.pixels = pixels

    def __eq__(self, other):
        return self.size == other.size and self.pixels == other.pixels

    @property
    def size(self):
        return f"{self.width}x{self.height}"

    def at(self, x, y):
        """(red, green, blue)"""
        start = 3 * (y * self.width + x)
        return tuple(self.pixels[start:start + 3])

    def box(self, x, y, width, height, colour):
        """With a rectangle of one colour in it, cut off at the borders."""
        width = min(width, self.width - x)
        pixels = bytearray(self.pixels)
        row = colour.to_bytes(3, "big") * width
        for i in range(y, min(y + height, self.height)):
            start = 3 * (i * self.width + x)
            pixels[start:start + len(row)] = row
        return Picture(self.width, self.height, bytes(pixels))

    def storm(self, seed, boxes):
        """As guest_screen does it."""
        numbers = _numbers(seed)
        picture = self
        for _ in range(boxes):
            x = next(numbers) % self.width
            y = next(numbers) % self.height
            width = 1 + next(numbers) % (self.width - x)
            height = 1 + next(numbers) % (self.height - y)
            picture = picture.box(x, y, width, height,
                                  next(numbers) % 65536 * 251)
        return picture

    def with_cursor(self, x, y):
        """guest_screen's cursor over it, its corner at (x, y)."""
        pixels = bytearray(self.pixels)
        for j in range(min(CURSOR_SIDE, self.height - y)):
            alpha = 4 * j + 3
            for i in range(min(j + 1, self.width - x)):
                start = 3 * ((y + j) * self.width + x + i)
                for n, above in enumerate((alpha, alpha // 2, 0)):
                    under = pixels[start + n] * (255 - alpha)
                    pixels[start + n] = above + (under + 127) // 255
        return Picture(self.width, self.height, bytes(pixels))

    def difference(self, other):
        """A sentence; None if they are the same."""
        if self.size != other.size:
            return f"one is {self.size}, the other {other.size}"
        if self.pixels == other.pixels:
            return None
        wrong = [i // 3 for i, (a, b) in enumerate(zip(self.pixels,
                                                       other.pixels))
                 if a != b]
        xs = [i % self.width for i in wrong]
        ys = [i // self.width for i in wrong]
        x, y = xs[0], ys[0]
        return (f"{len(set(wrong))} pixels differ, all in x {min(xs)} to "
                f"{max(xs)}, y {min(ys)} to {max(ys)}; at {x},{y} one has "
                f"{self.at(x, y)}, the other {other.at(x, y)}")

    def write_png(self, path):
        row = 3 * self.width
        rows = b"".join(b"\0" + self.pixels[i:i + row]
                        for i in range(0, len(self.pixels), row))
        with open(path, "wb") as f:
            f.write(SIGNATURE)
            for kind, data in (
                    (b"IHDR", struct.pack(">IIBBBBB", self.width, self.height,
                                          8, RGB, 0, 0, 0)),
                    (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")):
                f.write(struct.pack(">I", len(data)) + kind + data +
                        struct.pack(">I", zlib.crc32(kind + data)))


def painted(width, height):
    """What guest_screen paints, and tells of in its source."""
    rows = []
    row = bytearray(3 * width)
    row[0::3] = bytes(x * 255 // width for x in range(width))
    for y in range(height):
        row[1::3] = bytes([y * 255 // height]) * width
        row[2::3] = bytes((x ^ y) & 255 for x in range(width))
        rows.append(bytes(row))
    return Picture(width, height, b"".join(rows))


def _numbers(seed):
    while True:
        seed = (seed * 1103515245 + 12345) & 0xffffffff
        yield seed >> 16


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    if data.startswith(b"P6"):
        return _ppm(data)
    if data.startswith(SIGNATURE):
        return _png(data)
    raise Failure(f"{path} is no picture")


def stored(name):
    """One of pictures/."""
    return read(os.path.join(STORED, name + ".png"))


def _ppm(data):
    """"P6 WIDTH HEIGHT 255", any white space between, one behind."""
    kind, width, height, most = data[:64].split(None, 4)[:4]
    if kind != b"P6" or most != b"255":
        raise Failure("a PPM file of a kind that is not known here")
    # From the end: the first pixels may look like white space too.
    pixels = data[len(data) - 3 * int(width) * int(height):]
    return Picture(int(width), int(height), pixels)


def _png(data):
    at = len(SIGNATURE)
    packed = b""
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + length]
        [crc] = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(kind + body) != crc:
            raise Failure(f"a PNG file's {kind.decode()} has a wrong checksum")
        at += 12 + length
        if kind == b"IHDR":
            width, height, depth, colour, *rest = struct.unpack(">IIBBBBB",
                                                                body)
        elif kind == b"IDAT":
            packed += body
        elif kind == b"IEND":
            break
    else:
        raise Failure("a PNG file without an end")
    if depth != 8 or colour not in (RGB, RGBA) or any(rest):
        raise Failure("a PNG file of a kind that is not known here")
    bytes_each = 4 if colour == RGBA else 3
    pixels = _unfilter(zlib.decompress(packed), width * bytes_each, height,
                       bytes_each)
    if colour == RGBA:
        del pixels[3::4]
    return Picture(width, height, bytes(pixels))


def _unfilter(data, row, height, each):
    """PNG, "Filtering": each row has a byte before it that says how its bytes
    follow from those on the left and above."""
    if len(data) != (row + 1) * height:
        raise Failure("a PNG file with too few rows")
    out = bytearray()
    above = bytes(row)
    for y in range(height):
        kind = data[y * (row + 1)]
        line = bytearray(data[y * (row + 1) + 1:(y + 1) * (row + 1)])
        if kind == 2:
            line = bytearray((a + b) & 255 for a, b in zip(line, above))
        elif kind != 0:
            for i in range(row):
                left = line[i - each] if i >= each else 0
                corner = above[i - each] if i >= each else 0
                line[i] = (line[i] + _guess(kind, left, above[i], corner)) & 255
        out += line
        above = line
    return out


def _guess(kind, left, up, corner):
    if kind == 1:
        return left
    if kind == 3:
        return (left + up) // 2
    if kind != 4:
        raise Failure("a PNG file with a filter that is not known here")
    nearest = left + up - corner
    return min((abs(nearest - left), 0, left), (abs(nearest - up), 1, up),
               (abs(nearest - corner), 2, corner))[2]
