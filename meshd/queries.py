"""What clients can ask of a node that changes nothing: its status, its identity, its peers.

The rule: a query reads the node's state and makes a document of it, in the same event, without waiting. What it says
is what this node knows and no more.
"""

from typing import TYPE_CHECKING, Any

from meshd import documents, exposure, firings, people
from meshd.events import Now
from meshd.ids import network_id
from meshd.proto.session import Session, State
from meshd.words import fingerprint

if TYPE_CHECKING:
    from meshd.node import Node

Document = dict[str, Any]


def status(node: "Node", now: Now) -> Document:
    """The node at a glance; the daemon adds what belongs to its process."""
    log, shares = node.log, node.carry.shares.total
    return {
        "id": node.author.public.hex() if node.author else "",
        "name": log.name if log else "",
        "locked": log is None,
        "network": {"kind": node.carry.network_kind, "id": network_id(node.carry.network_key).hex()},
        "listen": [str(address) for address in node.listening],
        "links": [
            {
                "peer": session.link_key.hex(),
                "contact": contact(node, link),
                "address": str(node.addresses[link]),
                "since": documents.rfc3339(node.opened_ms[link]),
                "direction": "out" if session.dialled else "in",
            }
            for link, session in node.sessions.items()
            if session.state is State.OPEN
        ],
        "counts": {
            "posts": log.count_posts() if log else 0,
            "envelopes": shares.bodies,
            "channels": len(log.channels()) if log else 0,
        },
        "clock": clock(node),
        "disk": {
            "full": node.room.is_full,
            "evicted": shares.ids - shares.bodies,
            "ids": shares.ids,
            "size": shares.size,
        },
        "internet": node.internet.brief(now),
        "discovery": {
            "mode": node.discovery.mode,
            "ok": node.discovery.ok,
            "reason": node.discovery.reason,
        },
        "exposed": exposure.sentences(node),
        "alarms": node.intake.sealing.alarms(),
        "plans": firings.brief(node, now),
    }


def internet(node: "Node", now: Now) -> Document:
    """What this laptop sees of the internet, and who says in its groups that it is dark; nobody while it is locked."""
    log, author, witness = node.log, node.author, node.witness
    attested_by = []
    if log is not None and author is not None and witness is not None:
        names = {author.public: log.name}
        attested_by = [
            {"id": who.hex(), "name": names.get(who) or people.shown(log, who)}
            for who in witness.attested_by(now)
        ]
    return {**node.internet.document(now), "attested_by": attested_by}


def contact(node: "Node", link: int | None) -> str | None:
    """The name of the contact behind a link, if it is one."""
    identity = node.recognition.contact(link) if link is not None else None
    return people.shown(node.log, identity) if identity is not None and node.log is not None else None


def clock(node: "Node") -> Document:
    """What this node makes of its clock; `off_s`: how far ahead of it those are that were met, if they disagree."""
    time = node.time
    return {"state": time.state, "off_s": time.off_ms // 1000, "advice": time.advice()}


def identity(node: "Node", now: Now, announced: bytes = b"") -> Document:
    """The own identity, with a long card if prekeys are announced on it; CallerError(locked) while the log is
    closed."""
    log = node.require_log()
    if node.author is None:
        raise RuntimeError("an open log without its author")
    public = node.author.public
    if node.inbox is not None:
        node.inbox.own_key(now.wall_ms)  # who is shown our card may write to us
    return {
        "id": public.hex(),
        "name": log.name,
        "fingerprint": fingerprint(public),
        "card": node.author.card(now.wall_ms, announced),
    }


def peers(node: "Node") -> Document:
    """Every address we would hold a link to, and every link that others opened."""
    found = []
    shown = set()
    for target in node.peers.targets():
        session = node.sessions.get(target.link) if target.link is not None else None
        if target.link is not None:
            shown.add(target.link)
        state = "this node itself" if target.ours else "dialling" if target.dialling else "waiting"
        found.append(_peer(str(target.address), contact(node, target.link), session, state, target.reason))
    for link, session in node.sessions.items():
        if link not in shown and session.state is State.OPEN:
            found.append(_peer(str(node.addresses[link]), contact(node, link), session, "open", ""))
    return {"peers": found}


def _peer(address: str, name: str | None, session: Session | None, state: str, reason: str) -> Document:
    if session is not None:
        state = "open" if session.state is State.OPEN else "handshaking"
    return {
        "address": address,
        "contact": name,
        "state": state,
        "reason": reason,
        "rtt_ms": session.rtt_ms if session else None,
        "in_bytes": session.in_bytes if session else 0,
        "out_bytes": session.out_bytes if session else 0,
    }
