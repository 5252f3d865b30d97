"""Just enough of Ed25519's group to make signatures that verifiers disagree about (RFC 8032, section 5.1).

Rule: slow, plain and never used by the product. It exists because a vector that tells a cofactored verifier from a
cofactorless one has to be made by hand: honest signing never makes it.
"""

from collections.abc import Callable
from hashlib import sha512

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int]


def _x_of(y: int, odd: int) -> int | None:
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P:
        return None
    return _P - x if x % 2 != odd else x


def _add(a: _Point, b: _Point) -> _Point:
    k = _D * a[0] * b[0] * a[1] * b[1]
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + k, -1, _P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, -1, _P)
    return x % _P, y % _P


def _times(point: _Point, factor: int) -> _Point:
    product = (0, 1)
    while factor:
        if factor & 1:
            product = _add(product, point)
        point, factor = _add(point, point), factor >> 1
    return product


def _encode(point: _Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def _base() -> _Point:
    y = 4 * pow(5, -1, _P) % _P
    return _x_of(y, 0) or 0, y


def _torsion() -> _Point:
    """A point of order 8."""
    for y in range(2, 100):
        x = _x_of(y, 0)
        if x is not None and _times(point := _times((x, y), _L), 4) != (0, 1):
            return point
    raise RuntimeError("no point of order 8 found")


def _number(*parts: bytes) -> int:
    return int.from_bytes(sha512(b"".join(parts)).digest(), "little") % _L


def _scalar(seed: bytes) -> int:
    digest = bytearray(sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    return int.from_bytes(digest, "little")


def signature_with_torsion(seed: bytes, message: bytes) -> bytes:
    """By a good key, with an R that has a part of order 8: right only if both sides are multiplied by 8."""
    secret, nonce = _scalar(seed), _number(b"nonce", message)
    author = _encode(_times(_base(), secret))
    r = _encode(_add(_times(_base(), nonce), _torsion()))
    return r + ((nonce + _number(r, author, message) * secret) % _L).to_bytes(32, "little")


def torsion_key(seed: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    """A key with a part of order 8, and a signer whose signatures hold without any multiplying by 8."""
    secret = _scalar(seed)
    author = _encode(_add(_times(_base(), secret), _torsion()))

    def sign(message: bytes) -> bytes:
        for attempt in range(1000):
            nonce = _number(b"nonce", message, bytes((attempt % 256, attempt // 256)))
            r = _encode(_times(_base(), nonce))
            challenge = _number(r, author, message)
            if challenge % 8 == 0:  # then the part of order 8 vanishes
                return r + ((nonce + challenge * secret) % _L).to_bytes(32, "little")
        raise RuntimeError("no nonce found")

    return author, sign


def small_order_keys() -> list[bytes]:
    """Encodings of points of small order, and one that is not the shortest of its point."""
    torsion = _torsion()
    points = [_encode(_times(torsion, n)) for n in range(8)]
    return [*points, (_P + 1).to_bytes(32, "little")]
