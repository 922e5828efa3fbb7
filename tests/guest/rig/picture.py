"""Pictures: QEMU's screendump writes PPM, vub PNG or PPM, and those that a test
compares with are stored as PNG.

Only what these write is read: PPM of 8 bits, PNG of 8 bits, RGB with or
without alpha, not interlaced."""

import os
import struct
import zlib

from .loop import Failure

SIGNATURE = b"\x89PNG\r\n\x1a\n"
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

    def part(self, x, y, width, height):
        row = 3 * self.width
        return Picture(width, height, b"".join(
            self.pixels[(y + i) * row + 3 * x:(y + i) * row + 3 * (x + width)]
            for i in range(height)))

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
    kind, width, height, most, pixels = data.split(None, 4)[:5] \
        if not data[3:].startswith(b"#") else (None,) * 5
    if kind != b"P6" or most != b"255":
        raise Failure("a PPM file of a kind that is not known here")
    # split() has eaten white space of the pixels too.
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
