"""Makes plans.json: versions of plans, cues, phrases, shares and parts, and what each opens.

Rule: a refused body is the plain one with one thing wrong, which no value of the code's own could hold; so it is made
of slots. A part or a share stands there with all that its reader needs to open or refuse it.
"""

from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

import vectors_acts
from vectors_fixed import NOW_HOUR, NOW_MS, Vector, entropy, fixed, identity, require_refusal

from meshd import codec, crypto, daykeys, post
from meshd.limits import LONG_BODY_SIZE_MAX
from meshd.plans import cue, locks, parts, shares
from meshd.plans import plan as plans
from meshd.plans.cue import After, At, Call, Cue, Dark, Phrase, Silence, Some
from meshd.plans.parts import Recipient, Sealing
from meshd.plans.plan import AT_DELAY, AT_TIME, FREEZE_WHEN_DARK, Plan, Response, Scenario, Seal, Version
from meshd.post import KIND_PLAN, Post

NAMES = ("oak", "elm", "ash", "fir", "yew")
CHANNEL = fixed("group id", 16)
DAY = daykeys.key_day(NOW_HOUR) + 8
FROM_S = NOW_MS // 1000
_PEOPLE = sorted(identity(name)[1] for name in NAMES)
_NAME_OF = {identity(name)[1]: name for name in NAMES}
_AUTHOR = _PEOPLE[1]
_SECRETS = [fixed(f"prekey of {_NAME_OF[person]} on the last day") for person in _PEOPLE]
_ORGANISERS, _STEWARDS = bytes((1, 3)), bytes((4, 0, 1))
_KEYS = [fixed(f"scenario key {n}", 16) for n in range(2)]
_PHRASE, _SALT = locks.make_phrase(entropy("phrase")), fixed("salt of the phrase", 16)
_SPLIT = shares.split(_KEYS[0], 2, 3, entropy("split"))
_OTHER_SPLIT = shares.split(_KEYS[1], 2, 3, entropy("another split"))
_SEALED = Response("Cross at the mill.", "the mill", AT_DELAY, 1800, ("water", "ein rotes Tuch", "हिन्दी"))
_SHORT = Response("Stay.")
_CLEAR = Response("Meet at noon.", "", AT_TIME, FROM_S + 7200, ())


def _recipients(places: bytes) -> list[Recipient]:
    return [Recipient(_PEOPLE[p], DAY, crypto.x25519_keypair(_SECRETS[p])[0]) for p in places]


_SEALING = Sealing(CHANNEL, _AUTHOR, fixed("secret of e"), _recipients(_ORGANISERS), _recipients(_STEWARDS))


def _plan(stretched: bytes) -> Plan:
    lock = locks.lock_phrase(CHANNEL, "mill", _KEYS[0], stretched, _SALT, weak=False)
    mill = parts.seal(_SEALING, 0, "mill", _SEALED, _KEYS[0], phrase=lock, split=_SPLIT)
    stay = parts.seal(_SEALING, 1, "stay", _SHORT, _KEYS[1])
    return Plan(
        1, b"", b"", "Saturday", FROM_S, FROM_S + 57_601, tuple(_PEOPLE), _ORGANISERS, 2, _STEWARDS, 2,
        bytes((0, 1, 2, 4)), FREEZE_WHEN_DARK, _SEALING.ephemeral,
        (
            Scenario("mill", Some(1, (Phrase(), Call())), None, mill),
            Scenario("stay", Call(), None, stay),
            Scenario("dark", Some(2, (Dark(3), At(FROM_S + 3600))), _CLEAR, None),
            Scenario("missing", Silence(0, 6, 2), _CLEAR, None),
            Scenario("later-0", Some(1, (After(2, 600), Some(2, (Call(), Dark(4))))), _CLEAR, None),
        ),
    )  # fmt: skip


def _tree(made: Cue) -> list[Any]:
    """A cue as its kind and fields, branches as a list."""
    if isinstance(made, Some):
        return [7, made.needed, [_tree(each) for each in made.cues]]
    return [cue.encode(made)[0], *astuple(made)]


def _hex(items: Iterable[bytes]) -> list[str]:
    return [item.hex() for item in items]


def _slots(plan: Plan) -> Vector:
    slots: Vector = {k: v.hex() if isinstance(v, bytes) else v for k, v in plan._asdict().items()}
    return slots | {
        "people": _hex(plan.people),
        "scenarios": [
            {
                "name": each.name,
                "cue": _tree(each.cue),
                "response": each.response and list(each.response),
                "seal": each.seal and _seal(each.seal),
            }
            for each in plan.scenarios
        ],
    }


def _seal(seal: Seal) -> Vector:
    lock = seal.phrase
    return {
        "key_hash": seal.key_hash.hex(),
        "ciphertext": seal.ciphertext.hex(),
        "phrase": lock and {"salt": lock.salt.hex(), "weak": int(lock.weak), "box": lock.box.hex()},
        "commitments": _hex(seal.commitments),
        "organiser_parts": [[part.day, part.box.hex()] for part in seal.organiser_parts],
        "steward_parts": [[part.day, part.box.hex()] for part in seal.steward_parts],
    }


def _posted(body: bytes, **changes: Any) -> Post:
    """The post of a version."""
    keep_until = plans.keep_until(FROM_S + 57_601)
    made = Post(1, CHANNEL, b"", _AUTHOR, 7, 1, b"", NOW_MS << 16, KIND_PLAN, keep_until, body)
    return made._replace(**changes)


def _content(posted: Post) -> Vector:
    signed = post.encode(posted)
    return {"signed": signed.hex(), "id": post.post_id(signed).hex()}


def _versions(plan: Plan) -> list[Vector]:
    second = plan._replace(
        number=2,
        first=fixed("version 1"),
        previous=fixed("version 1"),
        flags=0,
        ephemeral=b"",
        scenarios=plan.scenarios[3:4],
    )
    entries = []
    for name, made in (("the plain one", plan), ("a second one, with nothing sealed", second)):
        posted = _posted(plans.encode(made, _AUTHOR))
        if plans.parse(posted, bytes(32)) is None:
            raise RuntimeError(f"{name}: no version")
        entries.append({"name": name, **_content(posted), "plan": _slots(made)})
    return entries


_SLOT = {name: place for place, name in enumerate(Plan._fields)}
_WRONG: dict[str, dict[str, Any]] = {
    "version 0": {"number": 0},
    "version 2 that replaces none": {"number": 2},
    "a first version that replaces": {"first": bytes(32), "previous": bytes(32)},
    "no title": {"title": ""},
    "a title of 65 bytes": {"title": "t" * 65},
    "an end at the beginning": {"until_s": FROM_S},
    "an end after 90 days and a second": {"until_s": FROM_S + 90 * 86_400 + 1},
    "a person too few for a place": {"people": b"".join(_PEOPLE[:4])},
    "people out of order": {"people": b"".join(_PEOPLE[::-1])},
    "a person cut": {"people": b"".join(_PEOPLE)[:-1]},
    "no organiser": {"organisers": b"", "threshold": 0},
    "organisers out of order": {"organisers": bytes((3, 1))},
    "a threshold of 0": {"threshold": 0},
    "a threshold of 3": {"threshold": 3},
    "one of two, without flag 2": {"threshold": 1},
    "a steward twice": {"stewards": bytes((4, 4, 1))},
    "one share needed": {"needed": 1},
    "four shares needed": {"needed": 4},
    "observers out of order": {"observers": bytes((1, 0, 2, 4))},
    "too few observers": {"observers": bytes((0, 1, 2))},
    "flag 4": {"flags": 4},
    "sealed, and no e": {"ephemeral": b""},
    "an e of 31 bytes": {"ephemeral": bytes(31)},
    "no scenario": {"scenarios": b""},
}


def _refused_versions(plan: Plan) -> list[Vector]:
    body = plans.encode(plan, _AUTHOR)
    slots = codec.unpack(body, plans._PLAN, LONG_BODY_SIZE_MAX)
    bodies = {
        name: codec.pack(*[changes.get(field, slots[place]) for field, place in _SLOT.items()])
        for name, changes in _WRONG.items()
    }
    listed = codec.split(slots[14])
    for name, scenarios in _wrong_scenarios(listed).items():
        bodies[name] = codec.pack(*slots[:14], codec.join(scenarios))
    for wrong in bodies.values():
        require_refusal(plans.parse_body, wrong, _AUTHOR)
    posts = {name: _posted(wrong) for name, wrong in bodies.items()} | {
        "an author who has a part, and none where the author's own would be": _posted(
            body, author=_PEOPLE[3]
        ),
        "kept an hour too long": _posted(body, keep_until=plans.keep_until(plan.until_s) + 1),
        "naming an epoch": _posted(body, epoch=bytes(32)),
    }
    if any(plans.parse(each, bytes(32)) for each in posts.values()):
        raise RuntimeError("a version that must be hidden is not")
    return [{"name": name, **_content(each)} for name, each in posts.items()]


def _wrong_scenarios(listed: list[bytes]) -> dict[str, list[bytes]]:
    """Lists of scenarios, each with one thing wrong."""

    def first(**changes: Any) -> list[bytes]:
        name, made, response, seal = codec.unpack(listed[0], plans._SCENARIO, LONG_BODY_SIZE_MAX)
        slots = {"name": name, "cue": made, "response": response, "seal": seal} | changes
        return [codec.pack(*slots.values()), *listed[1:]]

    def seal(place: int, change: bytes) -> list[bytes]:
        slots = list(codec.unpack(codec.unpack(listed[0], plans._SCENARIO, 9999)[3], plans._SEAL, 9999))
        return first(seal=codec.pack(*slots[:place], change, *slots[place + 1 :]))

    plain = codec.unpack(codec.unpack(listed[0], plans._SCENARIO, 9999)[3], plans._SEAL, 9999)
    response = plans.encode_response(_CLEAR)
    later = codec.pack("later-0", cue.encode(After(0, 1)), response, b"")
    return {
        "two scenarios of one name": [*listed, listed[0]],
        "a name in capitals": first(name="Mill"),
        "a name of 33": first(name="m" * 33),
        "clear and sealed": first(response=response),
        "neither clear nor sealed": first(seal=b""),
        "a phrase cue without a phrase lock": seal(2, b""),
        "after itself": first(cue=cue.encode(After(0, 1))),
        "after each other": [*first(cue=cue.encode(After(4, 1)))[:4], later],
        "after a scenario that is not there": first(cue=cue.encode(After(5, 1))),
        "silence of a person who is not there": first(cue=cue.encode(Silence(5, 1, 1))),
        "more observers of a silence than there are others": first(cue=cue.encode(Silence(0, 1, 4))),
        "a ciphertext of no class": seal(1, plain[1] + b"\0"),
        "weak is 2": seal(2, plain[2][:16] + b"\2" + plain[2][17:]),
        "two commitments for three stewards": seal(3, plain[3][:64]),
        "one part for two organisers": seal(4, plain[4][:36]),
        "an empty part for another": seal(4, bytes(72)),
        "a part that is not empty for the author": seal(4, plain[4][36:] * 2),
        "no parts for stewards": seal(5, b""),
    }


_REFUSED_CUES = {
    "nothing": "",
    "kind 0": "00",
    "kind 8": "08",
    "cut": "0300000000"[:-2],
    "a byte behind": "0101",
    "0 of 1": "07000101",
    "2 of 1": "07020101",
    "1 of none": "070100",
    "17 branches": "070111" + "01" * 17,
    "five deep": "070101" * 4 + "01",
    "33 nodes": "070104" + ("070107" + "01" * 7) * 4,
    "0 attest": "0500",
    "0 observe": "0600000100",
    "0 hours": "0600000001",
}
_TYPED = (
    "otter river moss fern bridge lamp", "  Otter, RIVER—moss  fern. ", "Straße 7a", "ＭＯＳＳ №５", "DON’T", "don't",
    "e\u0301tude", "हिन्दी", "می‌خواهم", "x² ½", "İstanbul", "ǰ ᾳ ﬀ",
)  # fmt: skip


def _cues() -> Vector:
    for raw in _REFUSED_CUES.values():
        require_refusal(cue.parse, bytes.fromhex(raw))
    trees: list[Cue] = [
        Call(),
        Phrase(),
        At(FROM_S),
        After(31, 2**32 - 1),
        Dark(255),
        Silence(199, 65_535, 255),
        Some(6, (Call(), Phrase(), At(1), After(2, 3), Dark(4), Silence(5, 6, 7))),
        Some(1, (Some(1, (Some(1, (Call(),)),)), Phrase())),
    ]
    return {
        "valid": [{"bytes": cue.encode(made).hex(), "cue": _tree(made)} for made in trees],
        "refused": [{"name": name, "bytes": raw} for name, raw in _REFUSED_CUES.items()],
    }


def _shares(seal: Seal) -> Vector:
    sets = {
        "the first two": _SPLIT[:2],
        "the last two, in the other order": _SPLIT[:0:-1],
        "all": _SPLIT,
        "one": _SPLIT[1:2],
        "one twice": _SPLIT[:1] * 2,
        "one true, one of another key": [_SPLIT[0], _OTHER_SPLIT[1]],
        "two true, one of another key": [_SPLIT[0], _OTHER_SPLIT[1], _SPLIT[2]],
        "one with the exponent 15": [
            _SPLIT[0],
            (int.from_bytes(_SPLIT[1], "big") | 0xF << 180).to_bytes(25, "big"),
        ],
    }
    entries = []
    for name, some in sets.items():
        found = shares.combine(CHANNEL, seal, 2, some)
        entries.append(
            {
                "name": name,
                "shares": _hex(some),
                "true": list(found.true),
                "false": list(found.false),
                "key": found.key and found.key.hex(),
            }
        )
    return {
        "needed": 2,
        "words": [{"share": share.hex(), "words": shares.to_words(share)} for share in _SPLIT],
        "commitments": _hex(seal.commitments),
        "key_hash": seal.key_hash.hex(),
        "sets": entries,
    }


def _parts(plan: Plan) -> list[Vector]:
    version = Version(bytes(32), CHANNEL, _AUTHOR, NOW_MS, plan)
    entries = []
    for scenario in (0, 1):
        for role, places, opened in (
            (parts.ORGANISER, _ORGANISERS, parts.open_key),
            (parts.STEWARD, _STEWARDS if scenario == 0 else b"", parts.open_share),
        ):
            for order, person in enumerate(places):
                found = opened(version, scenario, order, {DAY: _SECRETS[person]}.get)
                if (found is None) != (_PEOPLE[person] == _AUTHOR):
                    raise RuntimeError("a part that does not open, or the author's that does")
                content = found and found.hex()
                entries.append({"scenario": scenario, "role": role, "order": order, "content": content})
    return entries


def made() -> Vector:
    """What plans.json holds."""
    stretched = locks.stretch(_PHRASE.upper(), _SALT)
    plan = _plan(stretched)
    seals = [scenario.seal for scenario in plan.scenarios if scenario.seal is not None]
    return {
        "channel": CHANNEL.hex(),
        "author": _AUTHOR.hex(),
        "day": DAY,
        "secrets": _hex(_SECRETS),
        "versions": _versions(plan),
        "hidden": _refused_versions(plan),
        "cues": _cues(),
        "responses": [
            {
                "name": name,
                "key": key.hex(),
                "key_hash": seal.key_hash.hex(),
                "ciphertext": seal.ciphertext.hex(),
                "response": list(response),
                "bytes": plans.encode_response(response).hex(),
            }
            for name, key, seal, response in zip(
                ("mill", "stay"), _KEYS, seals, (_SEALED, _SHORT), strict=True
            )
        ],
        "forms": [{"typed": typed, "form": locks.normalise(typed)} for typed in _TYPED],
        "phrase": {
            "drawn": entropy("phrase")(16).hex(),
            "phrase": _PHRASE,
            "typed": _PHRASE.upper().replace(" ", ",  "),
            "salt": _SALT.hex(),
            "stretched": stretched.hex(),
        },
        "shares": _shares(seals[0]),
        "parts": _parts(plan),
        "acts": vectors_acts.acts(),
        "witnesses": vectors_acts.witnesses(),
    }
