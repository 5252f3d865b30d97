"""What stands in a SQLCipher file, opened with nothing but its key: every page, those that no table uses any more too.

The rule: no SQLite is asked, which would show only what is not deleted. A file is pages of 4 096 bytes, the last 80 of
each an IV and an HMAC (the latter is not looked at), all before them under AES-256-CBC with the raw key; the first page
begins with 16 bytes of salt. A journal is a head of 32 bytes and frames, each a head of 24 and a page
(sqlite.org/fileformat2.html, zetetic.net/sqlcipher/design). AES here is FIPS 197, the plain way and slow: 3 ms a page.
"""

from collections.abc import Iterator
from pathlib import Path

PAGE_SIZE = 4096
RESERVED_SIZE = 80
SALT_SIZE = 16
_FRAME_HEAD_SIZE = 24
_JOURNAL_HEAD_SIZE = 32
_ROUNDS = 14  # of AES-256


def plain(path: Path, key: bytes) -> bytes:
    """The file's and its journal's pages, decrypted, one after the other."""
    return b"".join([*_pages(path, key), *_frames(path.with_name(path.name + "-wal"), key)])


def _pages(path: Path, key: bytes) -> Iterator[bytes]:
    content = path.read_bytes()
    for start in range(0, len(content), PAGE_SIZE):
        yield _page(content[start : start + PAGE_SIZE], key, SALT_SIZE if start == 0 else 0)


def _frames(path: Path, key: bytes) -> Iterator[bytes]:
    content = path.read_bytes() if path.exists() else b""
    for start in range(_JOURNAL_HEAD_SIZE, len(content), _FRAME_HEAD_SIZE + PAGE_SIZE):
        page = content[start + _FRAME_HEAD_SIZE :][:PAGE_SIZE]
        number = int.from_bytes(content[start : start + 4], "big")
        if len(page) == PAGE_SIZE and number:
            yield _page(page, key, SALT_SIZE if number == 1 else 0)


def _page(page: bytes, key: bytes, begin: int) -> bytes:
    end = PAGE_SIZE - RESERVED_SIZE
    return aes_cbc_decrypt(key, page[end : end + 16], page[begin:end])


# --- AES ---


def _doubled(byte: int) -> int:
    return (byte << 1 ^ 0x11B) if byte & 0x80 else byte << 1


def _boxes() -> tuple[bytes, bytes]:
    """The substitution and its inverse: the inverse in the field, and an affine map."""
    powers = [1]
    for _ in range(254):
        powers.append(powers[-1] ^ _doubled(powers[-1]))
    box = bytearray([0x63] * 256)
    for place, byte in enumerate(powers):
        inverse = powers[-place % 255]
        spread = inverse
        for turn in range(1, 5):
            spread ^= (inverse << turn | inverse >> (8 - turn)) & 0xFF
        box[byte] = spread ^ 0x63
    inverted = bytearray(256)
    for byte, substituted in enumerate(box):
        inverted[substituted] = byte
    return bytes(box), bytes(inverted)


def _times(byte: int, factor: int) -> int:
    product = 0
    while factor:
        if factor & 1:
            product ^= byte
        byte, factor = _doubled(byte), factor >> 1
    return product


_BOX, _INVERTED = _boxes()
# A column mixed backwards, from each of its four bytes.
_MIXED = [
    [
        int.from_bytes(bytes(_times(byte, (14, 9, 13, 11)[(row - place) % 4]) for row in range(4)), "big")
        for byte in range(256)
    ]
    for place in range(4)
]
_LAST = [[_INVERTED[byte] << 8 * (3 - place) for byte in range(256)] for place in range(4)]
_MIDDLE = [[_MIXED[place][_INVERTED[byte]] for byte in range(256)] for place in range(4)]


def _round_keys(key: bytes) -> list[list[int]]:
    """Four words for each round, the last round first; those in the middle mixed backwards."""
    words = [int.from_bytes(key[at : at + 4], "big") for at in range(0, 32, 4)]
    constant = 1
    for number in range(8, 4 * (_ROUNDS + 1)):
        word = words[-1]
        if number % 8 == 0:
            word = (word << 8 | word >> 24) & 0xFFFFFFFF
        if number % 4 == 0:
            word = int.from_bytes(bytes(_BOX[byte] for byte in word.to_bytes(4, "big")), "big")
        if number % 8 == 0:
            word ^= constant << 24
            constant = _doubled(constant)
        words.append(words[-8] ^ word)
    rounds = [words[at : at + 4] for at in range(0, len(words), 4)][::-1]
    for keys in rounds[1:-1]:
        keys[:] = [_looked_up(_MIXED, [word] * 4) for word in keys]
    return rounds


def _looked_up(tables: list[list[int]], words: list[int]) -> int:
    a, b, c, d = words
    return tables[0][a >> 24] ^ tables[1][b >> 16 & 255] ^ tables[2][c >> 8 & 255] ^ tables[3][d & 255]


def aes_cbc_decrypt(key: bytes, before: bytes, content: bytes) -> bytes:
    """Blocks under a 32-byte key; `before` is the IV."""
    first, *middle, last = _round_keys(key)
    made = []
    for start in range(0, len(content), 16):
        block = content[start : start + 16]
        w = [int.from_bytes(block[at : at + 4], "big") ^ first[at // 4] for at in (0, 4, 8, 12)]
        for tables, keys in [*((_MIDDLE, keys) for keys in middle), (_LAST, last)]:
            w = [keys[n] ^ _looked_up(tables, [w[n], w[n - 1], w[n - 2], w[n - 3]]) for n in range(4)]
        whole = b"".join(word.to_bytes(4, "big") for word in w)
        made.append((int.from_bytes(whole, "big") ^ int.from_bytes(before, "big")).to_bytes(16, "big"))
        before = block
    return b"".join(made)
