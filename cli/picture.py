"""The text in a picture of a QR code: PNG to grey levels, and these to the optional package zxing-cpp.

The rule: zxing-cpp finds codes in grey levels and opens no files, so the PNG is read here, as far as screenshots and
drawn codes need it: every colour type and depth, not interlaced. Green stands for grey, and transparency is passed
over. Whoever sent the file may lie: sizes are checked before anything is unpacked, and nothing is unpacked beyond them
(W3C, Portable Network Graphics Specification, third edition, sections 5, 9 and 11).
"""

import struct
import zlib
from collections.abc import Iterator

from meshd.errors import CallerError, Code

HEAD = b"\x89PNG\r\n\x1a\n"
_PIXELS_MAX = 9_000_000  # a 4K screenshot; takes some seconds
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type
_PALETTE = 3


def qr_text(png: bytes) -> str:
    """What the one QR code in a picture says. CallerError: error (zxing-cpp is not there), invalid, not_found."""
    try:
        import zxingcpp  # optional, and only for who reads pictures
    except ImportError:
        raise CallerError(
            Code.error,
            "reading a picture needs the package zxing-cpp (pip install zxing-cpp); or give the card as text",
        ) from None
    try:
        width, rows = _grey(png)
    except (ValueError, LookupError, struct.error, zlib.error) as error:
        reason = error if isinstance(error, ValueError) else "it is damaged"
        raise CallerError(Code.invalid, f"the picture can't be read: {reason}") from None
    levels = memoryview(b"".join(rows)).cast("B", (len(rows), width))
    found = zxingcpp.read_barcodes(levels, formats=zxingcpp.BarcodeFormat.QRCode)
    if len(found) != 1:
        raise CallerError(
            Code.not_found, f"there are {len(found) or 'no'} QR codes in the picture: it takes one"
        )
    said: str = found[0].text
    return said


def _grey(png: bytes) -> tuple[int, list[bytes]]:
    """The width, and rows with a byte for each pixel; errors of all kinds for what is no such PNG."""
    chunks = list(_chunks(png))
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", dict(chunks)[b"IHDR"])
    if interlaced or colour not in _SAMPLES or depth not in (1, 2, 4, 8, 16):
        raise ValueError("it is interlaced, or of an unknown kind: save it again as a plain PNG")
    if not 0 < width * height <= _PIXELS_MAX:
        raise ValueError("it is too large: cut out the code")
    bits = depth * _SAMPLES[colour]
    row_size = (width * bits + 7) // 8
    packed = b"".join(content for kind, content in chunks if kind == b"IDAT")
    raw = zlib.decompressobj().decompress(packed, (row_size + 1) * height)
    if len(raw) != (row_size + 1) * height:
        raise ValueError("it is cut off")
    palette = dict(chunks).get(b"PLTE", b"")
    before, rows = bytes(row_size), []
    for start in range(0, len(raw), row_size + 1):
        before = _unfiltered(raw[start], raw[start + 1 : start + 1 + row_size], before, max(1, bits // 8))
        samples = _samples(before, width, depth, colour)
        rows.append(bytes(palette[3 * each + 1] for each in samples) if colour == _PALETTE else samples)
    return width, rows


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(HEAD)
    while at + 8 <= len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        yield kind, png[at + 8 : at + 8 + size]
        at += 12 + size


def _unfiltered(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    """A row as it was before its filter (section 9); `step` bytes to the left stands the same sample."""
    if kind == 0:
        return row
    if kind == 2:
        return bytes((each + up) & 255 for each, up in zip(row, above, strict=True))
    plain = bytearray(step) + row  # zeros to the left of the first
    corner = bytes(step) + above
    for place in range(step, len(plain)):
        left, up, diagonal = plain[place - step], corner[place], corner[place - step]
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + up) // 2
        else:
            guess = min((left, up, diagonal), key=lambda each: abs(left + up - diagonal - each))
        plain[place] = (plain[place] + guess) & 255
    return bytes(plain[step:])


def _samples(row: bytes, width: int, depth: int, colour: int) -> bytes:
    """One sample of each pixel, as grey from 0 to 255, or as its place in the palette."""
    if depth >= 8:
        size = _SAMPLES[colour] * depth // 8
        green = depth // 8 if colour in (2, 6) else 0
        return row[green::size]
    scale = 1 if colour == _PALETTE else 255 // (2**depth - 1)
    shifts = range(8 - depth, -1, -depth)
    return bytes((byte >> shift & 2**depth - 1) * scale for byte in row for shift in shifts)[:width]
