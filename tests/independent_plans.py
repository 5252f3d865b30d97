"""A second reader of plans, written from protocol.md alone, as `independent`.

The rule: nothing of meshd is imported here, and nothing of the library that splits keys: SLIP-39 is done by hand, which
is what another program would do. Its word list is data, read from wherever it is installed.
"""

import hashlib
import hmac
import re
import unicodedata
from importlib.util import find_spec
from pathlib import Path
from struct import pack, unpack
from typing import Any

from nacl import bindings
from nacl.exceptions import CryptoError

from tests.independent import Close, H, aead_open, array, dh, elements, post, public_of, require

CLASSES = (256, 1024, 4096)
NAME = re.compile(r"[a-z0-9-]{1,32}")


class Hide(Exception):
    """What the page answers with **hide**."""


def pieces(joined: bytes, size: int) -> list[bytes]:
    require(len(joined) % size == 0)
    return [joined[at : at + size] for at in range(0, len(joined), size)]


def ascending(items: Any) -> bool:
    return list(items) == sorted(set(items))


# --- Versions ---


def version(signed: bytes) -> dict[str, Any]:
    """The slots of the version in the signed bytes of a post, as the vectors write them."""
    try:
        found = post(signed, sealed=True)
        require(found.kind == 5 and found.epoch == b"")
        plan = body(found.body, found.author)
        require(found.keep_until == (plan["until_s"] + 3599) // 3600 + 24)
    except Close:
        raise Hide from None
    return plan


def body(raw: bytes, author: bytes) -> dict[str, Any]:
    types = "int bytes bytes text int int bytes bytes int bytes int bytes int bytes bytes"
    slots: list[Any] = array(raw, types, 30_720)
    number, first, previous, title, begins, ends, joined, *who, flags, e, listed = slots
    organisers, m, stewards, k, observers = who
    people = pieces(joined, 32)
    require(number >= 1 and len(first) == len(previous) == (0 if number == 1 else 32))
    require(1 <= len(title.encode()) <= 64)
    require(begins < ends < 2**32 and ends <= begins + 90 * 86_400)
    require(ascending(people) and len(people) <= 200)
    require(all(place < len(people) for place in organisers + stewards + observers))
    require(ascending(organisers) and ascending(observers) and len(set(stewards)) == len(stewards))
    require(1 <= m <= len(organisers) and (m > 1 or len(organisers) == 1 or flags in (2, 3)))
    require((len(stewards) == 0 and k == 0) or (2 <= k <= len(stewards) <= 16))
    require(flags <= 3)
    scenarios = [scenario(each) for each in elements(listed)]
    names = [each["name"] for each in scenarios]
    require(1 <= len(names) <= 32 and len(set(names)) == len(names))
    seals = [each["seal"] for each in scenarios if each["seal"]]
    require(len(e) == (32 if seals else 0))
    for seal in seals:
        has_shares = len(seal["commitments"]) > 0
        require(not has_shares or len(seal["commitments"]) == len(stewards))
        require(len(seal["organiser_parts"]) == len(organisers))
        require(len(seal["steward_parts"]) == (len(stewards) if has_shares else 0))
        owners = [people[place] for place in organisers + (stewards if has_shares else b"")]
        for owner, (day, box) in zip(owners, seal["organiser_parts"] + seal["steward_parts"], strict=True):
            require((owner == author) == (day == 0 and set(box) == {"0"}))
    for each in scenarios:
        for leaf in leaves(each["cue"]):
            require(leaf != [2] or bool(each["seal"] and each["seal"]["phrase"]))
            require(leaf[0] != 4 or leaf[1] < len(names))
            require(leaf[0] != 5 or leaf[1] <= len(observers))
            if leaf[0] == 6:
                require(leaf[1] < len(people))
                require(leaf[3] <= len([place for place in observers if place != leaf[1]]))
    for start in range(len(names)):  # walk along `after`: nobody comes by twice
        seen, ahead = set(), [start]
        while ahead:
            at = ahead.pop()
            following = [leaf[1] for leaf in leaves(scenarios[at]["cue"]) if leaf[0] == 4]
            require(start not in following)
            ahead += [place for place in following if place not in seen]
            seen.update(following)
    return {
        "number": number, "first": first.hex(), "previous": previous.hex(), "title": title, "from_s": begins,
        "until_s": ends, "people": [each.hex() for each in people], "organisers": organisers.hex(), "threshold": m,
        "stewards": stewards.hex(), "needed": k, "observers": observers.hex(), "flags": flags, "ephemeral": e.hex(),
        "scenarios": scenarios,
    }  # fmt: skip


def scenario(raw: bytes) -> dict[str, Any]:
    name, tree, clear, sealed = array(raw, "text bytes bytes bytes", 65_535)
    assert isinstance(name, str) and isinstance(tree, bytes)
    assert isinstance(clear, bytes) and isinstance(sealed, bytes)
    require(NAME.fullmatch(name) is not None and (clear == b"") != (sealed == b""))
    return {
        "name": name,
        "cue": cue(tree),
        "response": response(clear) if clear else None,
        "seal": seal(sealed) if sealed else None,
    }


def response(raw: bytes) -> list[Any]:
    text, place, kind, at, joined = array(raw, "text text int int bytes", 4094)
    assert isinstance(text, str) and isinstance(place, str) and isinstance(joined, bytes)
    assert isinstance(at, int)
    require(len(text.encode()) <= 2000 and len(place.encode()) <= 200)
    require(kind in (0, 1, 2) and at < 2**32 and (kind != 0 or at == 0))
    items = elements(joined)
    require(len(items) <= 16 and all(1 <= len(item) <= 200 for item in items))
    try:
        return [text, place, kind, at, [item.decode() for item in items]]
    except UnicodeDecodeError:
        raise Close from None


def seal(raw: bytes) -> dict[str, Any]:
    slots: list[Any] = array(raw, "bytes bytes bytes bytes bytes bytes", 65_535)
    key_hash, ciphertext, phrase, commitments, organisers, stewards = slots
    require(len(key_hash) == 32 and len(ciphertext) - 16 in CLASSES)
    require(len(phrase) in (0, 49) and (phrase == b"" or phrase[16] in (0, 1)))
    return {
        "key_hash": key_hash.hex(),
        "ciphertext": ciphertext.hex(),
        "phrase": {"salt": phrase[:16].hex(), "weak": phrase[16], "box": phrase[17:].hex()}
        if phrase
        else None,
        "commitments": [each.hex() for each in pieces(commitments, 32)],
        "organiser_parts": [[unpack(">I", each[:4])[0], each[4:].hex()] for each in pieces(organisers, 36)],
        "steward_parts": [[unpack(">I", each[:4])[0], each[4:].hex()] for each in pieces(stewards, 45)],
    }


# --- Cues ---

FIELDS = {1: ">", 2: ">", 3: ">I", 4: ">BI", 5: ">B", 6: ">BHB"}


def cue(raw: bytes) -> list[Any]:
    require(len(raw) <= 256)
    nodes = 0

    def node(at: int, depth: int) -> tuple[list[Any], int]:
        nonlocal nodes
        nodes += 1
        require(at < len(raw) and depth <= 4 and nodes <= 32)
        kind, at = raw[at], at + 1
        if kind == 7:
            require(at + 2 <= len(raw))
            k, n = raw[at], raw[at + 1]
            require(1 <= k <= n <= 16)
            at, branches = at + 2, []
            for _ in range(n):
                branch, at = node(at, depth + 1)
                branches.append(branch)
            return [7, k, branches], at
        require(kind in FIELDS)
        size = {1: 0, 2: 0, 3: 4, 4: 5, 5: 1, 6: 4}[kind]
        require(at + size <= len(raw))
        values = list(unpack(FIELDS[kind], raw[at : at + size]))
        require(kind not in (5, 6) or values[-1] >= 1)
        require(kind != 6 or values[1] >= 1)
        return [kind, *values], at + size

    tree, end = node(0, 1)
    require(end == len(raw))
    return tree


def leaves(tree: list[Any]) -> list[list[Any]]:
    return [leaf for branch in tree[2] for leaf in leaves(branch)] if tree[0] == 7 else [tree]


# --- Seals ---


def opened(channel: bytes, name: str, key: bytes, key_hash: bytes, ciphertext: bytes) -> list[Any]:
    try:
        require(H("meshd/1 scenario key", channel, key) == key_hash)
        plain = aead_open(H("meshd/1 response key", key), 0, channel + name.encode(), ciphertext)
        (size,) = unpack(">H", plain[:2])
        require(2 + size <= len(plain) and set(plain[2 + size :]) <= {0})
        return response(plain[2 : 2 + size])
    except Close:
        raise Hide from None


def form(typed: str) -> str:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", typed).casefold())
    words, word = [], ""
    for character in text + " ":
        if unicodedata.category(character)[0] in "LMN":
            word += character
        else:
            words += [word] if word else []
            word = ""
    return " ".join(words)


def stretched(typed: str, salt: bytes) -> bytes:
    return bindings.crypto_pwhash_alg(32, form(typed).encode(), salt, 3, 268_435_456, 2)


def key_of_phrase(channel: bytes, name: str, box: bytes, stretched_phrase: bytes) -> bytes:
    return aead_open(H("meshd/1 phrase key", stretched_phrase), 0, channel + name.encode(), box)


# --- Shares: SLIP-39 ---


def _multiplied(a: int, b: int) -> int:
    """In the field of AES."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def _inverse(a: int) -> int:
    return next(b for b in range(1, 256) if _multiplied(a, b) == 1)


def _at(points: dict[int, bytes], x: int) -> bytes:
    """The polynomial through the points, at x."""
    total = bytes(16)
    for mine, value in points.items():
        factor = 1
        for other in points.keys() - {mine}:
            factor = _multiplied(factor, _multiplied(x ^ other, _inverse(mine ^ other)))
        total = bytes(t ^ _multiplied(v, factor) for t, v in zip(total, value, strict=True))
    return total


def place_of(share: bytes) -> int | None:
    bits = f"{int.from_bytes(share, 'big'):0200b}"
    return int(bits[32:36], 2) if len(share) == 25 and bits[15:32] == "1" + "0" * 16 else None


def combined(channel: bytes, seal: dict[str, Any], needed: int, shares: list[bytes]) -> dict[str, Any]:
    points, false, key, needs = {}, set(), None, {needed}
    for share in shares:
        place = place_of(share)
        if place is None:
            continue
        commitment = H("meshd/1 share", channel, share).hex()
        if place < len(seal["commitments"]) and seal["commitments"][place] == commitment:
            needs.add((share[4] & 0xF) + 1)
            points[place] = (int.from_bytes(share, "big") >> 30 & 2**128 - 1).to_bytes(16, "big")
        else:
            false.add(place)
    if len(points) >= needed and needs == {needed}:
        some = dict(list(points.items())[:needed])
        encrypted, digest = _at(some, 255), _at(some, 254)
        if hmac.new(digest[4:], encrypted, "sha256").digest()[:4] == digest[:4]:
            left, right = encrypted[:8], encrypted[8:]
            for turn in (3, 2, 1, 0):
                mask = hashlib.pbkdf2_hmac("sha256", bytes((turn,)), right, 2500, 8)
                left, right = right, bytes(a ^ b for a, b in zip(left, mask, strict=True))
            key = right + left
            if H("meshd/1 scenario key", channel, key).hex() != seal["key_hash"]:
                key = None
    return {"true": sorted(points), "false": sorted(false), "key": key and key.hex()}


def words_of(share: bytes) -> str:
    package = find_spec("shamir_mnemonic")
    assert package is not None and package.origin is not None
    listed = Path(package.origin).with_name("wordlist.txt").read_text().split()
    bits = f"{int.from_bytes(share, 'big'):0200b}"
    return " ".join(listed[int(bits[at : at + 10], 2)] for at in range(0, 200, 10))


def checksum_holds(share: bytes) -> bool:
    """RS1024 of an extendable share."""
    bits = f"{int.from_bytes(share, 'big'):0200b}"
    rest = 1
    for value in [*b"shamir_extendable", *(int(bits[at : at + 10], 2) for at in range(0, 200, 10))]:
        top, rest = rest >> 20, (rest & 0xFFFFF) << 10 ^ value
        for bit, mask in enumerate(
            (0xE0E040, 0x1C1C080, 0x3838100, 0x7070200, 0xE0E0009, 0x1C0C2412, 0x38086C24, 0x3090FC48, 0x21B1F890,
             0x3F3F120)
        ):  # fmt: skip
            rest ^= mask if top >> bit & 1 else 0
    return rest == 1


# --- Parts ---


def part(secret: bytes, e: bytes, day: int, box: bytes, context: bytes) -> bytes:
    """What is in a part; `context` is channel, author, role and scenario."""
    key = H("meshd/1 plan part", dh(secret, e), e, public_of(secret), pack(">I", day), context)
    return aead_open(key, 0, b"", box)


# --- Acts ---

WITNESSES = {  # purpose: whether it is about a version, its subject, its flag
    21: (False, ".{4}", 0),
    22: (True, "[a-z0-9-]{1,32}", 0),
    23: (False, "", 0),
    24: (True, "", 0),
    25: (True, "[a-z0-9-]{1,32}", 1),
    26: (True, "[a-z0-9-]{1,32}", 1),
}
SUBJECTS = {
    16: "",
    17: "[a-z0-9-]{1,32}",
    18: "[a-z0-9-]{0,32}",
    19: "[a-z0-9-]{1,32}",
    20: "[a-z0-9-]{1,32}",
}


def act(raw: bytes, channel: bytes, author: bytes) -> list[Any]:
    """(purpose, about, subject, flag, payload) of the body of a post of kind 6."""
    try:
        slots: list[Any] = array(raw, "int bytes bytes int bytes bytes", 256)
        purpose, about, subject, flag, signature, payload = slots
        require(purpose in SUBJECTS and len(about) == 32 and about != bytes(32))
        require(re.fullmatch(SUBJECTS[purpose].encode(), subject) is not None)
        require(flag == 0 or (flag == 1 and purpose in (17, 18)))
        require(len(payload) == {19: 25, 20: 16}.get(purpose, 0) and len(signature) == 64)
        said = bytes((0x95, purpose)) + _bin(channel) + _bin(about) + _bin(subject) + bytes((flag,))
        bindings.crypto_sign_open(signature + b"\x11meshd/1 statement" + said, author)
    except (Close, ValueError, CryptoError):
        raise Hide from None
    return [purpose, about, subject, flag, payload]


def witness(raw: bytes, channel: bytes, author: bytes, time_ms: int) -> list[Any]:
    """(purpose, about, subject, until) of what a witness says in the body of a post of kind 4 of that time."""
    try:
        slots: list[Any] = array(raw, "int bytes bytes int bytes", 256)
        purpose, about, subject, flag, signature = slots
        require(purpose in WITNESSES and len(signature) == 64)
        has_version, form, wanted = WITNESSES[purpose]
        require(len(about) == 32 and (about != bytes(32)) == has_version and flag == wanted)
        require(re.fullmatch(form.encode(), subject, re.DOTALL) is not None)
        until_s = int.from_bytes(subject, "big") if purpose == 21 else 0
        require(until_s * 1000 <= time_ms + 1_800_000)
        said = bytes((0x95, purpose)) + _bin(channel) + _bin(about) + _bin(subject) + bytes((flag,))
        bindings.crypto_sign_open(signature + b"\x11meshd/1 statement" + said, author)
    except (Close, ValueError, CryptoError):
        raise Hide from None
    return [purpose, about, b"" if purpose == 21 else subject, until_s]


def _bin(content: bytes) -> bytes:
    return bytes((0xC4, len(content))) + content
