"""Plans and acts for the fuzzer: most are right, the rest have one slot, size, node or byte wrong at some depth.

The rule: as in `targets`. Any member of a group can post such bodies there.
"""

import random

from meshd import codec, crypto, statement
from meshd.errors import PeerError
from meshd.limits import LONG_BODY_SIZE_MAX
from meshd.plans import act
from meshd.plans import plan as plans
from meshd.post import KIND_PLAN_ACT
from meshd.statement import Statement
from tests.fuzz import mutate
from tests.plan_parts import AUTHOR, BODY, CHANNEL, posted

_SLOTS = codec.unpack(BODY, plans._PLAN, LONG_BODY_SIZE_MAX)
_LISTED = codec.split(_SLOTS[14])
_PUBLIC, _SECRET = crypto.ed25519_keypair(b"m" * 32)
_PAYLOADS = {statement.SHARE: 25, statement.KEY: 16}


def _nested(rng: random.Random, raw: bytes, schema: tuple[type, ...]) -> bytes:
    """The array with one thing changed half of the time."""
    slots = list(codec.unpack(raw, schema, LONG_BODY_SIZE_MAX))
    return mutate.array(rng, slots)


def _scenario(rng: random.Random, raw: bytes) -> bytes:
    name, cue, response, seal = codec.unpack(raw, plans._SCENARIO, LONG_BODY_SIZE_MAX)
    place = rng.randrange(3)
    if place == 0:
        cue = (
            mutate.scratched(rng, cue)
            if rng.random() < 0.5
            else bytes(rng.choices(range(9), k=rng.randrange(40)))
        )
    elif seal:
        seal = _nested(rng, seal, plans._SEAL)
    else:
        response = _nested(rng, response, plans._RESPONSE)
    return codec.pack(name, cue, response, seal)


def fuzz_plan(rng: random.Random) -> bool:
    """What is made of the body of a version; what is accepted encodes to the same bytes."""
    slots: list[mutate.Slot] = list(_SLOTS)
    chance = rng.random()
    if chance < 0.4:
        listed = list(_LISTED)
        place = rng.randrange(len(listed))
        listed[place] = _scenario(rng, listed[place])
        slots[14] = codec.join(listed)
    elif chance < 0.6:
        slots[rng.randrange(14)] = rng.choice((mutate.number(rng) >> 1, mutate.chunk(rng), b"\0\1\2"))
    raw = mutate.array(rng, slots) if chance > 0.8 else codec.pack(*slots)
    if rng.random() < 0.1:
        raw = mutate.scratched(rng, raw)
    try:
        read = plans.parse_body(raw, AUTHOR)
    except PeerError:
        return False
    assert plans.encode(read, AUTHOR) == raw
    return True


def fuzz_act(rng: random.Random) -> bool:
    """What is made of the body of an act, rightly signed whatever stands in it."""
    purpose = rng.choice((statement.CALL, statement.STAND_DOWN, statement.SHARE, statement.KEY))
    subject = rng.choice((b"bridge-closed", b"bridge-closed", b"blackout", b"a" * 33, rng.randbytes(3)))
    said = Statement(purpose, CHANNEL, rng.randbytes(32), subject, int(rng.random() < 0.1))
    signature = crypto.sign(_SECRET, statement.check(said, b"", b"")[1])
    payload = rng.randbytes(_PAYLOADS.get(purpose, 0) + (rng.random() < 0.1))
    raw = codec.pack(purpose, said.about, subject, said.flag, signature, payload)
    if rng.random() < 0.3:
        raw = mutate.scratched(rng, _nested(rng, raw, (int, bytes, bytes, int, bytes, bytes)))
    found = act.parse(posted(raw, kind=KIND_PLAN_ACT, author=_PUBLIC))
    if found is None:
        return False
    assert act.encode(found) == raw and act.fits(found.statement)
    return True
