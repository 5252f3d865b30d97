"""Making epochs: the first of a group, one that acts, one that renews, one that heals.

The rule (protocol.md, "Groups"): what is made here is judged here, by the same rules as everybody's (`Dag.judge`), so
that nobody posts an epoch that others would not take.

An act that takes several people is collected in the open: each posts a statement (kind 4) about the epoch that it is
to follow, and whoever sees enough of them, and is a member, makes the epoch with their signatures in it. If two do, it
is the same act twice, and counts once. A statement about an epoch that was meanwhile followed by another is still
good: the new one stands beside that, and the group heals.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from meshd import daykeys
from meshd.errors import CallerError, Code
from meshd.groups.dag import Dag, Fault, Status
from meshd.groups.epochs import DIRECT, Body, Cosign, Epoch, Member, encode_rows, fits
from meshd.groups.membership import after, changes, electorate
from meshd.ids import direct_channel_id
from meshd.post import HOUR_MS
from meshd.statement import ADD_MEMBER, REMOVE_ADMIN, REMOVE_MEMBER, Statement

Act = tuple[int, bytes]  # purpose, subject
Signatures = Mapping[bytes, bytes]  # signer: signature over the act's statement


class OpenAct(NamedTuple):
    """An act that somebody signed and that has not come about."""

    purpose: int
    subject: bytes
    about: bytes  # id of the epoch that it is to follow: sign this one, so that the signatures come together
    signatures: dict[bytes, bytes]  # of those who have a say, by identity
    needed: int

    @property
    def is_leaving(self) -> bool:
        """Whether it is the subject's own doing."""
        return self.purpose == REMOVE_MEMBER and self.subject in self.signatures


def open_acts(dag: Dag, votes: Iterable[tuple[Statement, bytes, bytes]]) -> list[OpenAct]:
    """What is under way, those nearest to being decided first.

    `votes` are statements with signer and signature, verified (`statement.parse_body`). Forked keys do not count, nor
    does who had no say in that epoch; what has come about or changes nothing any more is left out.
    """
    by_statement: dict[Statement, dict[bytes, bytes]] = {}
    for said, signer, signature in votes:
        if said.channel == dag.channel and ADD_MEMBER <= said.purpose <= REMOVE_ADMIN and not said.flag:
            by_statement.setdefault(said, {})[signer] = signature
    found = []
    for said, signatures in sorted(by_statement.items()):
        if dag.status(said.about) is not Status.valid or dag.has_act(said.about, said.purpose, said.subject):
            continue
        among, (purpose, subject) = dag.membership(said.about), (said.purpose, said.subject)
        if not changes(among, purpose, subject) or not changes(dag.membership(), purpose, subject):
            continue
        signers = signatures.keys() - dag.forked
        say = electorate(among, purpose, subject, signers)
        able = {who: signatures[who] for who in sorted(signers & say.eligible)}
        if able:
            found.append(OpenAct(purpose, subject, said.about, able, say.needed))
    return sorted(found, key=lambda act: len(act.signatures) - act.needed, reverse=True)


def first(name: str, flags: int, me: Member) -> Body:
    """The body of the first epoch of a new group: its author alone, its admin."""
    return Body(0, (), name, flags, encode_rows([me]), b"\0", (), ())


def first_direct(me: Member, other: Member) -> tuple[bytes, Body]:
    """Channel and body of the first epoch of a direct. Either may make one: a direct may have several."""
    rows = encode_rows([me, other])
    return direct_channel_id(me.identity, other.identity), Body(0, (), "", DIRECT, rows, b"", (), ())


def draft(
    dag: Dag,
    author: bytes,
    now_ms: int,
    parents: Collection[bytes],
    acts: Mapping[Act, Signatures] | None = None,
    rows: Collection[Member] = (),
) -> Body:
    """The body of an epoch on these valid parents. With no acts it renews or, with several parents, heals.

    `rows`: of those who are added, and the author's own if it changes; the others' are moved on to today. Raises
    CallerError(refused) if others would not take it, with what is missing.
    """
    acts = acts or {}
    over = [dag.held[id] for id in sorted(parents) if dag.status(id) is Status.valid]
    if not over or len(over) < len(set(parents)):
        raise CallerError(Code.refused, "an epoch builds on valid ones")
    due = after(dag.over(parents), acts)
    day = now_ms // HOUR_MS // daykeys.DAY_HOURS
    held = sorted((row for epoch in over for row in epoch.members()), key=lambda row: row.day)
    newest = {row.identity: row for row in (*held, *rows)}
    if not due.members <= newest.keys():
        raise CallerError(Code.refused, "who is added needs a card")
    members = sorted(newest[who].moved_on(day) for who in due.members)
    signers, listed = over[0].identities(), sorted(acts)
    cosigns = sorted(
        Cosign(place, signers.index(who), signature)
        for place, act in enumerate(listed)
        for who, signature in acts[act].items()
        if who in signers and who != author
    )
    body = Body(
        1 + max(epoch.body.depth for epoch in over),
        tuple(epoch.id for epoch in over),
        over[0].body.name,
        over[0].body.flags,
        encode_rows(members),
        bytes(place for place, row in enumerate(members) if row.identity in due.admins),
        tuple(listed),
        tuple(cosigns),
    )
    made = Epoch(bytes(32), dag.channel, author, now_ms, body)
    if author not in due.members or not fits(made):
        raise CallerError(Code.refused, "not a member of what comes out, or more than an epoch holds")
    try:
        dag.judge(made)
    except Fault as fault:
        raise CallerError(Code.refused, str(fault)) from None
    return body
