"""Statements: k distinct signers over one canonical statement.

The rule: whatever several people decide together is one statement of five slots that all of them sign alike, and it is
decided when enough *distinct, eligible* keys have signed exactly these bytes (protocol.md, "Statements"). Acts of
admins, vouching, and later plans, cues and stand-downs are all statements; what differs is the purpose, who is
eligible and how many are enough, and that is the caller's.

There is no free field: a statement says nothing but its purpose, so nobody signs words that mean more than they saw,
and what one signs for one purpose, channel or subject is worth nothing for another. What is signed begins with a label
of its own, so that no post, link or key is a statement. A signature is carried apart from the post that brought it:
whoever has enough of them can show them to somebody who has seen none of those posts.

A forked key (two posts with one sequence) counts for nothing, except for a stand-down, where caution may come from
anybody who ever had a say. Who is forked is the caller's knowledge: it is left out of `eligible`, or not.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from meshd import codec, crypto
from meshd.errors import CallerError, Code, PeerError
from meshd.ids import CHANNEL_ID_SIZE, ID_SIZE, LABEL_STATEMENT
from meshd.limits import SUBJECT_SIZE_MAX

# Purposes. Of those on membership, the channel is the group, `about` the parent epoch, the subject an identity.
ADD_MEMBER = 1
REMOVE_MEMBER = 2
MAKE_ADMIN = 3
REMOVE_ADMIN = 4
VOUCH = 5  # `about` is zeros, the subject an identity and u32 expiry hour

# Of those on plans, `about` is the id of a version and the subject the name of a scenario, but where it says otherwise.
SIGN_PLAN = 16  # no subject
CALL = 17
STAND_DOWN = 18  # the subject is empty for all scenarios
SHARE = 19
KEY = 20
DARK = 21  # `about` is zeros, the subject u32 seconds: until when it holds
SILENT = 22
HEARTBEAT = 23  # `about` is zeros, no subject
HOLD = 24  # no subject
REACHED = 25
LOOKED = 26

_PREFIX = bytes((len(LABEL_STATEMENT),)) + LABEL_STATEMENT
_BODY_SCHEMA = (int, bytes, bytes, int, bytes)
_BODY_SIZE_MAX = 256


class Statement(NamedTuple):
    """The slots of a statement, in the order in which they are signed."""

    purpose: int  # 1 … 255
    channel: bytes  # 16: where it is said, and the only place where it counts
    about: bytes  # 32: the id of what it is about
    subject: bytes  # ≤ SUBJECT_SIZE_MAX: the one part of it that is meant
    flag: int = 0  # 0 or 1: the drill bit of cues, 0 elsewhere


def is_statement(statement: Statement) -> bool:
    """Whether the slots have the sizes and ranges that they must."""
    purpose, channel, about, subject, flag = statement
    sizes_fit = len(channel) == CHANNEL_ID_SIZE and len(about) == ID_SIZE and len(subject) <= SUBJECT_SIZE_MAX
    return sizes_fit and 1 <= purpose <= 255 and flag in (0, 1)


def _signed(statement: Statement) -> bytes:
    return _PREFIX + codec.pack(*statement)


def sign(secret: bytes, statement: Statement) -> bytes:
    """The 64-byte signature of the statement by the 64-byte Ed25519 secret; CallerError(invalid) if it is none."""
    if not is_statement(statement):
        raise CallerError(Code.invalid, "a statement with a slot of the wrong size or range")
    return crypto.sign(secret, _signed(statement))


def check(statement: Statement, signer: bytes, signature: bytes) -> crypto.Check:
    """What has to verify for `signer` to have signed this statement."""
    return signer, _signed(statement), signature


def signers(
    statement: Statement, signatures: Iterable[tuple[bytes, bytes]], eligible: Collection[bytes]
) -> frozenset[bytes]:
    """Those of `eligible` who signed this statement, each once: `signatures` are (public 32, signature 64).

    Pass as `eligible` who may have a say in this. A forked key counts for nothing: leave it out, unless the statement
    is a stand-down. What is forged, not eligible or over another statement is not counted, and keeps nobody else out.
    """
    if not is_statement(statement):
        return frozenset()
    signed = _signed(statement)
    found = set[bytes]()
    for public, signature in signatures:
        if public in eligible and public not in found and crypto.verify(public, signed, signature):
            found.add(public)
    return frozenset(found)


def encode_body(statement: Statement, signature: bytes) -> bytes:
    """The body of a post of kind 4; its channel is the statement's, its author the signer."""
    return codec.pack(statement.purpose, statement.about, statement.subject, statement.flag, signature)


def parse_body(channel: bytes, author: bytes, body: bytes) -> tuple[Statement, bytes] | None:
    """The statement in the body of a post of kind 4 by `author` in `channel`, and the signature, verified.

    None if it is none or not signed by the author: such a post is chained, and not shown.
    """
    try:
        purpose, about, subject, flag, signature = codec.unpack(body, _BODY_SCHEMA, _BODY_SIZE_MAX)
    except PeerError:
        return None
    statement = Statement(purpose, channel, about, subject, flag)
    if not is_statement(statement) or not crypto.verify(*check(statement, author, signature)):
        return None
    return statement, signature
