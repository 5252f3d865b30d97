"""Makes bundles.json: files of envelopes, whole, cut off and damaged, and what is no bundle of this network.

Rule: what stands in an entry is for the reader any bytes, so the entries here are short ones; each file that is not
whole has one thing wrong.
"""

from vectors_fixed import NETWORK_KEY, Vector, fixed

from meshd.errors import CallerError
from meshd.limits import ENVELOPE_SIZE_MAX
from meshd.store.bundle import SALT_SIZE, Reader, Writer


def _bundle(entries: list[bytes], network_key: bytes = NETWORK_KEY) -> bytes:
    writer = Writer(network_key, fixed("bundle salt", SALT_SIZE))
    return writer.begin() + writer.add(entries) + writer.end()


def _read(bundle: bytes) -> tuple[list[bytes], bool]:
    reader = Reader(NETWORK_KEY)
    found = reader.feed(bundle)
    reader.close()
    return found, reader.whole


def _refused(bundle: bytes) -> str:
    try:
        _read(bundle)
    except CallerError:
        return bundle.hex()
    raise RuntimeError("not refused")


def bundles() -> Vector:
    """What bundles.json holds."""
    entries = [fixed("first entry", 60), fixed("second entry", 300), b"\x01"]
    whole = _bundle(entries)
    head, end = 41, len(whole) - 22
    files = {
        "whole": whole,
        "empty": _bundle([]),
        "cut in the end": whole[:-1],
        "cut before the end": whole[:end],
        "cut in an entry": whole[: end - 4],
        "cut in a size": whole[: head + 63],
        "the head alone": whole[:head],
        "a byte behind the end": whole + b"\0",
        "a wrong count": whole[: end + 5] + b"\4" + whole[end + 6 :],
        "a wrong check": whole[:-1] + bytes((whole[-1] ^ 1,)),
        "a changed entry": whole[: head + 2] + bytes((whole[head + 2] ^ 1,)) + whole[head + 3 :],
        "a size over the limit": whole[:end] + (ENVELOPE_SIZE_MAX + 1).to_bytes(2, "big") + bytes(40),
    }
    wrong = {
        "nothing": b"",
        "too short": whole[: head - 1],
        "another beginning": b"\x88" + whole[1:],
        "line ends rewritten": whole.replace(b"\r\n", b"\n", 1),
        "as if compressed": bytes.fromhex("1f8b0800000000000003") + whole,
        "another version": whole[:8] + b"\2" + whole[9:],
        "a changed salt": whole[:9] + bytes((whole[9] ^ 1,)) + whole[10:],
        "another network": _bundle(entries, fixed("another network key")),
    }
    return {
        "network_key": NETWORK_KEY.hex(),
        "salt": fixed("bundle salt", SALT_SIZE).hex(),
        "files": [
            {
                "name": name,
                "bundle": bundle.hex(),
                "entries": [each.hex() for each in found],
                "whole": is_whole,
            }
            for name, bundle in files.items()
            for found, is_whole in [_read(bundle)]
        ],
        "refused": [{"name": name, "bundle": _refused(bundle)} for name, bundle in wrong.items()],
    }
