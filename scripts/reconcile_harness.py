"""The reconcile code as a filter on stdin and stdout, for test suites of other implementations.

The rule: one command a line, one answer, flushed, so that two filters can talk through a test in between.

    item,<decimal time>,<64 hex>   any number, in any order; no answer
    seal                           no more items; no answer
    initiate                       msg,<hex>: this side opens, and is the initiator from here on
    msg,<hex>                      initiator: have,<64 hex> and need,<64 hex> lines, then msg,<hex> or done
                                   responder: msg,<hex>

A time is any number below 2^64 − 1, not only an hour. The environment's FRAMESIZELIMIT (0 or absent: none;
at least 4096) bounds a message. Messages equal those of the C++ reference implementation in every byte: no
floor, no opening with one fingerprint, no bound on ranges, which the network has. An empty line is nothing;
the end of the input ends the filter with exit 0; anything else is one line on stderr and exit 8
(`invalid`).
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator

from meshd.errors import Code, PeerError
from meshd.ids import envelope_key
from meshd.proto.keyset import KeySet
from meshd.proto.reconcile import FRAME_SIZE_MIN, Initiator, respond

_ITEM = re.compile(r"item,([0-9]{1,20}),([0-9a-fA-F]{64})")
_MESSAGE = re.compile(r"msg,((?:[0-9a-fA-F]{2})*)")
_TIME_MAX = 2**64 - 2  # the one above stands for infinity


class Malformed(Exception):
    """The input is no such conversation; the message says why."""


def frame_size_limit(text: str) -> int:
    """The value of FRAMESIZELIMIT in bytes, 0 for none. Raises Malformed."""
    if not text.isascii() or not text.isdigit():
        raise Malformed("FRAMESIZELIMIT is a number of bytes")
    size = int(text)
    if 0 < size < FRAME_SIZE_MIN:
        raise Malformed(f"FRAMESIZELIMIT is 0 or at least {FRAME_SIZE_MIN}")
    return size


def sealed(lines: Iterator[str]) -> KeySet | None:
    """The set that the item lines up to `seal` describe; None if the input ends before. Raises Malformed."""
    keys: list[bytes] = []
    for line in lines:
        if line == "seal":
            keyset = KeySet(keys)
            if len(keyset) != len(keys):
                raise Malformed("an item was given twice")
            return keyset
        item = _ITEM.fullmatch(line)
        if not item:
            raise Malformed("before seal: item,<decimal time>,<64 hex>")
        if int(item[1]) > _TIME_MAX:
            raise Malformed(f"a time is at most {_TIME_MAX}")
        keys.append(envelope_key(int(item[1]), bytes.fromhex(item[2])))
    return None


def answers(lines: Iterable[str], limit: int) -> Iterator[str]:
    """The answer to each line, in turn. Raises Malformed, and PeerError for a malformed message."""
    rest = (line for line in map(str.rstrip, lines) if line)
    keyset = sealed(rest)
    if keyset is None:
        return
    initiator: Initiator | None = None
    for line in rest:
        message = _MESSAGE.fullmatch(line)
        if line == "initiate" and initiator is None:
            initiator = Initiator(keyset, frame_size_limit=limit, ranges_max=sys.maxsize)
            yield f"msg,{initiator.initiate().hex()}"
        elif message and initiator:
            have, need, reply = initiator.receive(bytes.fromhex(message[1]))
            told = [f"have,{key[8:].hex()}" for key in have] + [f"need,{id.hex()}" for id in need]
            yield "\n".join([*told, "done" if reply is None else f"msg,{reply.hex()}"])
        elif message:
            yield f"msg,{respond(keyset, 0, bytes.fromhex(message[1]), limit, ranges_max=sys.maxsize).hex()}"
        else:
            raise Malformed("after seal: initiate, once, or msg,<hex>")


def main() -> int:
    try:
        limit = frame_size_limit(os.environ.get("FRAMESIZELIMIT") or "0")
        for answer in answers(sys.stdin, limit):
            print(answer, flush=True)
    except (Malformed, PeerError) as error:
        print(f"reconcile-harness: {error}", file=sys.stderr)
        return Code.invalid
    return 0


if __name__ == "__main__":
    sys.exit(main())
