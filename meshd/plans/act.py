"""Acts: what somebody does about a plan, as a statement of which nothing is left open.

The rule (protocol.md, "Plans"): whoever signs a version, calls, stands down, releases a share or passes a key on says
so in a post of kind 6, which lives as long as the plan. Its body is a statement with its signature, and behind it the
*payload*: the share or the key, else nothing. What is over sooner (attestations, heartbeats, receipts) is a post of
kind 4 like any other statement. For each purpose it is fixed what may stand in the statement's slots, so there is one
way to say each thing.

The payload is not under the statement's signature, only under the post's: a share or a key proves itself, by a hash
that stands in the plan, whoever brings it. No act has room for a phrase, so nobody can be made to stretch one.
"""

import re
from typing import NamedTuple

from meshd import codec, crypto, statement
from meshd.crypto import SIGNATURE_SIZE
from meshd.errors import PeerError
from meshd.ids import ID_SIZE
from meshd.limits import SCENARIO_NAME_SIZE_MAX
from meshd.plans.plan import SCENARIO_KEY_SIZE, SHARE_SIZE
from meshd.post import KIND_PLAN_ACT, Post
from meshd.statement import (
    CALL,
    DARK,
    HEARTBEAT,
    HOLD,
    KEY,
    LOOKED,
    REACHED,
    SHARE,
    SIGN_PLAN,
    SILENT,
    STAND_DOWN,
    Statement,
)

ACTS = frozenset({SIGN_PLAN, CALL, STAND_DOWN, SHARE, KEY})  # purposes of kind 6; all others are of kind 4
_SCHEMA = (int, bytes, bytes, int, bytes, bytes)
_BODY_SIZE_MAX = 256
_PAYLOAD_SIZES = {SHARE: SHARE_SIZE, KEY: SCENARIO_KEY_SIZE}
_NOTHING = re.compile(b"")
_SCENARIO = re.compile(rb"[a-z0-9-]{1,%d}" % SCENARIO_NAME_SIZE_MAX)
_SCENARIO_OR_ALL = re.compile(rb"[a-z0-9-]{0,%d}" % SCENARIO_NAME_SIZE_MAX)
_TIME = re.compile(rb".{4}", re.DOTALL)
_SLOTS = {  # purpose: whether it is about a version, its subject, its flags
    SIGN_PLAN: (True, _NOTHING, (0,)),
    CALL: (True, _SCENARIO, (0, 1)),
    STAND_DOWN: (True, _SCENARIO_OR_ALL, (0, 1)),
    SHARE: (True, _SCENARIO, (0,)),
    KEY: (True, _SCENARIO, (0,)),
    DARK: (False, _TIME, (0,)),
    SILENT: (True, _SCENARIO, (0,)),
    HEARTBEAT: (False, _NOTHING, (0,)),
    HOLD: (True, _NOTHING, (0,)),
    REACHED: (True, _SCENARIO, (1,)),
    LOOKED: (True, _SCENARIO, (1,)),
}


class Act(NamedTuple):
    """A statement, who signed it being the post's author, and what it brings."""

    statement: Statement
    signature: bytes  # 64
    payload: bytes = b""  # the share, the key, or nothing


def fits(said: Statement) -> bool:
    """Whether the statement is one about plans, with nothing in its slots but what belongs there."""
    if said.purpose not in _SLOTS or not statement.is_statement(said):
        return False
    is_about, subject, flags = _SLOTS[said.purpose]
    about_fits = (said.about != bytes(ID_SIZE)) == is_about
    return about_fits and subject.fullmatch(said.subject) is not None and said.flag in flags


def encode(act: Act) -> bytes:
    """The body of the post of kind 6 that says this."""
    said = act.statement
    return codec.pack(said.purpose, said.about, said.subject, said.flag, act.signature, act.payload)


def claimed(inside: Post) -> Act | None:
    """The act that a post claims, whoever signed it or not; None if it is none, and then it is hidden."""
    if inside.kind != KIND_PLAN_ACT or inside.epoch:
        return None
    try:
        slots = codec.unpack(inside.body, _SCHEMA, _BODY_SIZE_MAX)
    except PeerError:
        return None
    purpose, about, subject, flag, signature, payload = slots
    said = Statement(purpose, inside.channel, about, subject, flag)
    sizes_fit = len(signature) == SIGNATURE_SIZE and len(payload) == _PAYLOAD_SIZES.get(purpose, 0)
    if purpose not in ACTS or not fits(said) or not sizes_fit:
        return None
    return Act(said, signature, payload)


def parse(inside: Post) -> Act | None:
    """The act in a post, the author's signature under it verified; None if it is none, and then it is hidden."""
    found = claimed(inside)
    if found is None or not crypto.verify(*statement.check(found.statement, inside.author, found.signature)):
        return None
    return found
