"""As much of PNG as the tests need, without a library that would forgive mistakes."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_png(data):
    """Width, height and the rows of RGBA bytes of an 8-bit, not interlaced PNG."""
    assert data[:8] == SIGNATURE, "no PNG signature"
    at, packed, header = 8, b"", None
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (crc,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert crc == zlib.crc32(kind + body), f"wrong CRC in {kind}"
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        if kind == b"IDAT":
            packed += body
        at += 12 + length
    width, height, depth, colour, _, _, interlace = header
    assert depth == 8 and interlace == 0 and colour in (2, 6), header
    channels = 4 if colour == 6 else 3
    rows = unfilter(zlib.decompress(packed), width * channels, height, channels)
    return width, height, [to_rgba(row, channels) for row in rows]


def unfilter(raw, stride, height, channels):
    """The rows of a PNG without their filters (PNG specification, 9.2)."""
    previous, rows, at = bytearray(stride), [], 0
    for _ in range(height):
        kind, row = raw[at], bytearray(raw[at + 1 : at + 1 + stride])
        at += 1 + stride
        for i in range(stride if kind else 0):
            a = row[i - channels] if i >= channels else 0
            b = previous[i]
            c = previous[i - channels] if i >= channels else 0
            if kind == 1:
                guess = a
            elif kind == 2:
                guess = b
            elif kind == 3:
                guess = (a + b) // 2
            else:
                pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
                guess = a if pa <= pb and pa <= pc else b if pb <= pc else c
            row[i] = (row[i] + guess) & 255
        rows.append(row)
        previous = row
    return rows


def to_rgba(row, channels):
    if channels == 4:
        return bytes(row)
    return b"".join(bytes(row[i : i + 3]) + b"\xff" for i in range(0, len(row), 3))


def alphas(rows):
    return [alpha for row in rows for alpha in row[3::4]]


def read_png_header(data):
    assert data[:8] == SIGNATURE, "no PNG signature"
    width, height, depth = struct.unpack(">IIB", data[16:25])
    return width, height, depth


def write_png(rows):
    """An 8-bit RGBA PNG of rows of RGBA bytes."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(
            ">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", len(rows[0]) // 4, len(rows), 8, 6, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
