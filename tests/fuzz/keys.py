"""Key envelopes, prekeys and receipts for the fuzzer: most are right, the rest have one slot, size or byte wrong.

The rule: as in `targets`. Whoever has somebody's card can put such contents in front of them.
"""

import random

from meshd import codec, crypto, direct_receipts
from meshd.envelope import CONTENT_KEY
from meshd.groups import keyenvelope, prekeys
from meshd.groups.keyenvelope import Delivered
from meshd.ids import inbox_channel_id
from meshd.limits import KEY_PARTS_MAX, PREKEY_DAYS, RECEIPT_IDS_MAX
from meshd.post import HOUR_MS, KIND_PREKEYS, Post
from tests.fuzz import mutate
from tests.key_parts import ASH, ELM, OAK, TODAY

_KEEPS = {TODAY + n: secret for n in range(1, PREKEY_DAYS) if (secret := ASH.own.secret(TODAY + n))}


def fuzz_key_envelope(rng: random.Random) -> bool:
    """What the recipient makes of one, whose prekey of the first day is erased; and what another member sees in it."""
    first = TODAY + rng.randrange(3)
    key, to = rng.randbytes(32), rng.choice((ASH, ASH, ASH, ELM))
    by = rng.choice((OAK, OAK, OAK, ELM))
    sent = Delivered(rng.randbytes(16), rng.randbytes(32), OAK.identity, first, key)
    days = range(first, first + rng.randrange(1, KEY_PARTS_MAX + 1))
    raw = keyenvelope.seal(rng.randbytes, by.secret, to.identity, to.prekeys, days, sent)
    if rng.random() < 0.3:
        slots: list[mutate.Slot] = list(codec.unpack(raw, (int, bytes, int, bytes, bytes), 510))
        slots[rng.randrange(5)] = rng.choice((mutate.number(rng), mutate.chunk(rng), CONTENT_KEY))
        raw = mutate.scratched(rng, mutate.array(rng, slots))
    sealed = keyenvelope.parse(raw)
    if sealed is None:
        return False
    assert (
        codec.pack(CONTENT_KEY, sealed.ephemeral, sealed.first_day, b"".join(sealed.parts), sealed.tail)
        == raw
    )
    seen = keyenvelope.recognise(sealed, ASH.identity, first, key)
    found = keyenvelope.open(sealed, ASH.identity, _KEEPS.get)
    if found is None:
        return False
    assert seen == sent and found._replace(day=first, key=key) == sent and found.day in _KEEPS
    return True


def fuzz_prekeys(rng: random.Random) -> bool:
    """What is made of a post that announces prekeys, or nearly."""
    keys = [rng.randbytes(32) for _ in range(PREKEY_DAYS)]
    first = TODAY
    chance = rng.random()
    if chance < 0.1:
        keys[rng.randrange(PREKEY_DAYS)] = bytes((rng.randrange(2),)).ljust(32, b"\0")
    elif chance < 0.2:
        keys = keys * rng.randrange(3) + keys[: rng.randrange(PREKEY_DAYS)]
    elif chance < 0.3:
        first = mutate.number(rng)
    body = mutate.array(rng, [first, b"".join(keys)])
    channel = inbox_channel_id(rng.choice((OAK, OAK, OAK, OAK, ASH)).identity)
    body = body if rng.random() < 0.9 else mutate.scratched(rng, body)
    hlc = (TODAY * 24 * HOUR_MS + rng.randrange(24 * HOUR_MS)) << 16
    found = prekeys.parse(
        Post(1, channel, b"", OAK.identity, 7, 1, b"", hlc, KIND_PREKEYS, TODAY * 24 + 168, body)
    )
    if found is None:
        return False
    assert found.first_day == TODAY and prekeys.encode(found) == body
    assert all(any(crypto.x25519(rng.randbytes(32), key)) for key in found.keys)
    return True


def fuzz_receipts(rng: random.Random) -> bool:
    """What is made of the body of a receipt, or nearly."""
    ids = [rng.randbytes(32) for _ in range(rng.choice((0, 1, 2, 7, RECEIPT_IDS_MAX, RECEIPT_IDS_MAX + 1)))]
    if rng.random() < 0.7:
        ids.sort()
    body = mutate.array(rng, [b"".join(ids)] if rng.random() < 0.9 else [mutate.chunk(rng)])
    if rng.random() < 0.2:
        body = mutate.scratched(rng, body)
    found = direct_receipts.parse(body)
    assert not found or direct_receipts.encode(found) == body
    return bool(found)
