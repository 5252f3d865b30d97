"""Documents as lines for people.

The rule: pure functions, a document in and lines out; nothing here prints, asks or reads a clock. Whatever
another laptop had a hand in goes through `inert`. Times are shown in the local zone, ids by their first 8
digits (the command line takes any prefix of at least 6).

The words are chosen with care: a post was "handed to 3, 1 of them a contact", because that is what is
known. It is never called safe, sent or delivered.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import click

from cli.client import Document
from cli.inert import inert, inert_lines

_CLOCK_OFF_S = 60  # a stamp this far ahead of our clock is worth a word
NAMELESS = "a group whose own post is not here yet"


def local_time(stamp: str) -> str:
    """`11-22 13:04` in the local zone, of an RFC 3339 stamp."""
    return datetime.fromisoformat(stamp).astimezone().strftime("%m-%d %H:%M")


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h`, `2 d`: one number, rounded down."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], aligned: bool) -> Iterator[str]:
    """Rows under a head: in columns for a terminal, otherwise tab-separated, without a head."""
    shown = [[inert(cell) for cell in row] for row in rows]
    if not aligned:
        yield from ("\t".join(row) for row in shown)
    elif shown:
        widths = [max(map(len, column)) for column in zip(head, *shown, strict=True)]
        for number, row in enumerate([list(head), *shown]):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            yield click.style(line, dim=True) if number == 0 else line


# --- the node ---


def init(document: Document) -> Iterator[str]:
    yield f"{inert(document['name']) or 'this node'} is ready: {document['id']}"
    yield f"fingerprint  {document['fingerprint']}"
    yield f"network      {_network(document)}"
    yield f"at rest      {_at_rest(document)}"
    yield "Next: `mesh up`, then `mesh post square 'hello'`."


def up(document: Document) -> Iterator[str]:
    yield f"up, pid {document['pid']}, listening on {_listed(document['listen'])}"


def down(document: Document) -> Iterator[str]:
    yield "down" if document["pid"] is None else f"down, pid {document['pid']} is gone"


def locked(document: Document) -> Iterator[str]:
    yield "locked: posts are carried and relayed, and none can be read or written here until `mesh unlock`"


def unlocked(document: Document) -> Iterator[str]:
    yield "open"


def panic_question(home: str) -> str:
    return inert(f"Erase the identity, the keys and all posts in {home}, for good?")


def panic(document: Document) -> Iterator[str]:
    for path in document["erased"]:
        yield inert(f"erased  {path}")
    for path in document["left"]:
        yield inert(f"left, as it is none of ours: {path}")
    for reason in document["failed"]:
        yield click.style(inert(f"STILL THERE  {reason}"), fg="red", bold=True)
    if not document["erased"]:
        yield "nothing was erased" if document["failed"] else "there is nothing here to erase"
    elif not document["failed"]:
        yield "The keys were overwritten. The passphrase opens what was here only for who has a copy of the file"
        yield "keyslot: a backup, or old blocks that the disk kept. What others carry of yours stays with them."


def status(document: Document) -> Iterator[str]:
    counts, clock, discovery = document["counts"], document["clock"], document["discovery"]
    name = click.style(inert(document["name"]) or "(no name)", bold=True)
    who = click.style("locked", bold=True) if document["locked"] else f"{name} {document['id'][:8]}"
    yield f"{who}, up {duration(document['uptime_s'])}, pid {document['pid']}"
    yield f"network    {_network(document)}"
    yield f"at rest    {_at_rest(document)}{', and locked: `mesh unlock`' if document['locked'] else ''}"
    yield f"listening  {_listed(document['listen'])}"
    held = (f"{counts[what]} {what}" for what in ("posts", "envelopes", "channels"))
    yield f"holds      {', '.join(held)}"
    yield f"clock      {_clock(clock)}"
    if document["disk"]["full"]:
        yield click.style("disk       full: nothing new is taken in or posted until you make room", fg="red")
    if document["disk"]["evicted"]:
        yield f"room       short: {document['disk']['evicted']} envelopes of others had to go before their time"
    found = "" if discovery["ok"] else f", not working: {discovery['reason'] or 'no reason known'}"
    yield inert(f"discovery  {discovery['mode']}{found}")
    if document["internet"]:
        yield inert(f"internet   {document['internet']['state']}")
    for what in document["exposed"]:
        yield inert(f"exposed    {what}")
    for what in document["alarms"]:
        yield inert(f"warning    {what}")
    yield f"links      {len(document['links']) or 'none yet'}"
    for link in document["links"]:
        who = link["contact"] or f"peer {link['peer'][:8]}"
        way = {"in": "dialled us", "out": "dialled by us"}.get(link["direction"], link["direction"])
        yield inert(f"  {link['address']}  {who}, {way}, since {local_time(link['since'])}")


def identity(document: Document) -> Iterator[str]:
    yield f"{click.style(inert(document['name']) or '(no name)', bold=True)} {document['id']}"
    yield f"fingerprint  {document['fingerprint']}"
    yield f"card         {document['card']}"


def exported_identity(document: Document) -> Iterator[str]:
    yield inert(
        f"{document['name'] or document['id'][:8]} and {document['contacts']} contacts are in the file."
    )
    yield "Whoever has it and its passphrase is you. Import it on the other laptop, erase it, and use one of the two."


def invite(document: Document) -> Iterator[str]:
    yield document["invite"]


def _network(document: Document) -> str:
    network = document["network"]
    said = (
        "open: anyone may read along, treat it as watched" if network["kind"] == "open" else network["kind"]
    )
    return inert(f"{said} ({network['id'][:8]})")


def _at_rest(document: Document) -> str:
    if document["encrypted"]:
        return "encrypted under your passphrase"
    return click.style("no passphrase: who takes this laptop reads everything", fg="yellow")


def _listed(addresses: Sequence[str]) -> str:
    return inert(", ".join(addresses)) or "nothing"


def confirmed(document: Document) -> Iterator[str]:
    yield f"clock {_clock(document)}"


def _clock(clock: Document) -> str:
    ahead = "behind" if clock["off_s"] > 0 else "ahead of"
    off = f", {duration(abs(clock['off_s']))} {ahead} those met" if clock["off_s"] else ""
    advice = f": {clock['advice']}" if clock.get("advice") else ""
    return inert(f"{clock['state']}{off}{advice}")


# --- posting and reading ---


def posted(document: Document) -> Iterator[str]:
    state = {
        "queued": "on disk here, handed to nobody yet",
        "held": "handed to at least one",
        "delivered": "a receipt of the addressee is here",
    }.get(document["state"], document["state"])
    yield inert(f"{document['id'][:8]} in {document['channel']}: {state}")


def post(document: Document) -> Iterator[str]:
    """One post: a head and the first line of the text, the other lines indented, so that none can pose."""
    head = click.style(f"{document['id'][:8]} {local_time(document['time'])}", dim=True)
    who = click.style(inert(document["name"]), bold=True)
    answers = f" (to {document['reply_to'][:8]})" if document["reply_to"] else ""
    first, *others = _said(document)
    yield f"{head} {inert(document['channel'])} {who}{answers}: {first}"
    yield from (f"         {line}" for line in others)
    for remark in _remarks(document):
        yield click.style(f"         {remark}", dim=True)


def _said(document: Document) -> list[str]:
    if document["text"] is None:
        return [inert(f"[{document['kind']}: this version cannot show it]")]
    return inert_lines(document["text"])


def _remarks(document: Document) -> Iterator[str]:
    if document.get("after_removal"):
        yield "came after the removal of its author: counts for nothing"
    if document["clock_off_s"] >= _CLOCK_OFF_S:
        yield f"its time was {duration(document['clock_off_s'])} ahead of this clock"
    if document.get("delivered"):
        yield "delivered: a receipt of the addressee is here"
    elif document["trust"] == "self":
        yield held_by(document["held_by"])


def held_by(held: Document) -> str:
    """Who acknowledged storing a post: what is known, and no more."""
    total = held["contacts"] + held["others"]
    if not total:
        return "handed to nobody yet"
    contacts = {0: "none of them a contact", 1: "1 of them a contact"}
    known = held["contacts"]
    return f"handed to {total}, {contacts.get(known, f'{known} of them contacts')}"


def missing(gap: Document) -> Iterator[str]:
    channel = f" in {gap['channel']}" if gap["channel"] else ""
    said = f"{gap['count']} missing from" if gap["count"] else "nothing missing any more from"
    who = gap.get("name") or (gap["author"] or "")[:8] or "someone unknown"
    yield click.style(inert(f"{said} {who}{channel}"), fg="yellow")


def read(document: Document) -> Iterator[str]:
    for each in document["posts"]:
        yield from post(each)
    for gap in document["missing"]:
        yield from missing(gap)


def shown(document: Document) -> Iterator[str]:
    yield from post(document)
    said = {
        "valid": "signed by its author, verified just now",
        "was-valid": "signed by its author, verified when it came; no longer carried from here",
    }.get(document["signature"], document["signature"])
    yield f"id          {document['id']}"
    yield f"author      {document['author']}"
    yield inert(f"signature   {said}")
    if document["trust"] == "vouched":
        yield f"trust       {_trust(document, {})}; see: mesh contact list"
    if document["forked"]:
        yield click.style("forked      its author signed two different posts with this number", fg="yellow")
    via = {
        "own": "written here",
        "bundle": "by a bundle",
        "carry": "carried before it could be read",
    }.get(document["via"], f"by {document['via']}")
    yield inert(f"first seen  {local_time(document['first_seen'])}, {via}")
    kept = ", and stays here: marked" if document.get("marked") else ""
    yield f"expires     {local_time(document['expires'])}{kept}"
    yield inert(f"parents     {', '.join(parent[:8] for parent in document['parents']) or 'none'}")


def marked(document: Document) -> Iterator[str]:
    if document["marked"]:
        yield f"{document['id'][:8]} stays on this laptop until you take the mark off: a seizure would show it"
    else:
        yield f"{document['id'][:8]} goes when its time is over, or now if it is"


def channels(document: Document, aligned: bool) -> Iterator[str]:
    rows = [(each["name"], each["kind"], str(each["unread"])) for each in document["channels"]]
    yield from table(("CHANNEL", "KIND", "UNREAD"), rows, aligned)


# --- people ---


def contacts(document: Document, aligned: bool) -> Iterator[str]:
    names = {each["id"]: each["name"] for each in document["contacts"]}
    rows = [
        (each["name"], _trust(each, names), ", ".join(_marks(each)) or "-", each["id"][:8])
        for each in document["contacts"]
    ]
    yield from table(("NAME", "TRUST", "MARKS", "ID"), rows, aligned)


def contact(document: Document) -> Iterator[str]:
    """The one contact that a command was about."""
    (about,) = (each for each in document["contacts"] if each["id"] == document["id"])
    marks = "".join(f", {mark}" for mark in _marks(about))
    names = {each["id"]: each["name"] for each in document["contacts"]}
    yield inert(f"{about['name']} {about['id'][:8]}: {_trust(about, names)}{marks}")
    if about["trust"] == "seen" and about["added"] and not about["blocked"]:
        yield "Whose card it is, only they can tell you: meet, and run `mesh contact verify`."


def vouched(document: Document) -> Iterator[str]:
    """The one contact, and in how many groups it was said that their key was compared, or no longer."""
    yield from contact(document)
    count = len(document["groups"])
    yield f"said in {count} {'group' if count == 1 else 'groups'} that you share"


def _trust(person: Document, names: dict[str, str]) -> str:
    """How sure the user can be, and by whose word; `names` by id."""
    if person["trust"] != "vouched":
        return str(person["trust"])
    return f"vouched by {', '.join(names.get(who, who[:8]) for who in person['vouched_by'])}"


def _marks(contact: Document) -> Iterator[str]:
    yield from (mark for mark in ("added", "muted", "blocked") if contact[mark])


def comparison(who: str, document: Document) -> Iterator[str]:
    """What to compare with the screen of a contact."""
    yield inert(f"The key that you have for {who} has these words:")
    yield f"  {click.style(document['fingerprint'], bold=True)}"
    yield "Let them show or read you theirs from their own laptop (mesh id show), not from yours."


# --- groups ---


def group(document: Document) -> Iterator[str]:
    """Who is in, and what is under way."""
    yield inert(f"{document['name'] or NAMELESS} {document['id'][:8]}")
    names = {member["id"]: member["name"] for member in document["members"]}
    if document["out"]:
        yield "  you are out: nothing that you post would be read in it, and nothing new is for you"
    for member in document["members"]:
        marks = [mark for mark in ("admin", "pending", "tireless") if member[mark]]
        yield inert(f"  {member['name']} {member['id'][:8]}: {', '.join([_trust(member, names), *marks])}")
    for act in document["acts"]:
        yield inert(f"  to {act['what']} {act['who'][:8]}: {len(act['signers'])} of {act['needed']} signed")


def left(document: Document) -> Iterator[str]:
    """What the others hear of it."""
    yield inert(f"you are no longer in {document['name'] or NAMELESS}, and no key of it is here")
    if document["told"]:
        yield "Whoever of them hears of it sends you none any more; what is said until then is still for you."
    else:
        yield "Its members could not be told: there is no key for it here, or no time to sign with."


def presumed(document: Document) -> Iterator[str]:
    """What became of the groups that somebody is in, who is trusted with nothing more."""
    yield f"{document['id'][:8]} is blocked here: not recognised, not shown, not written to"
    for each in document["groups"]:
        is_in = document["id"] in (member["id"] for member in each["members"])
        yield inert(
            f"  {each['name']}: {'still in, others have to sign: ask an admin' if is_in else 'put out'}"
        )


def invited(document: Document) -> Iterator[str]:
    """The group, and what to hand over."""
    yield from group(document)
    yield "What was posted before, or by who has not heard of them yet, is not for them (but see --history all)."
    names = {member["id"]: member["name"] for member in document["members"]}
    for each in document["invites"]:
        name = names.get(each["id"], each["id"][:8])
        if each["invite"] is None:
            yield inert(
                f"{name}: nothing of them is known that is for today, so they can't be sent the key yet"
            )
        else:
            yield inert(f"{name} is sent this too; hand it over where no network is:")
            yield inert(each["invite"])


# --- peers ---


def peers(document: Document, aligned: bool) -> Iterator[str]:
    rows = [
        (
            each["address"],
            f"{each['state']} ({each['reason']})" if each.get("reason") else each["state"],
            each["contact"] or "-",
            "-" if each["rtt_ms"] is None else f"{each['rtt_ms']:.1f}",
            str(each["in_bytes"]),
            str(each["out_bytes"]),
        )
        for each in document["peers"]
    ]
    yield from table(("ADDRESS", "STATE", "CONTACT", "RTT MS", "BYTES IN", "BYTES OUT"), rows, aligned)


def pinged(document: Document) -> Iterator[str]:
    yield f"answered within {document['rtt_ms']} ms"


def synced(document: Document) -> Iterator[str]:
    yield f"{document['links']} links, {document['received']} received, {document['sent']} sent"


def exported(document: Document) -> Iterator[str]:
    yield f"{document['envelopes']} envelopes, {document['bytes']} bytes"


def imported(document: Document) -> Iterator[str]:
    yield ", ".join(f"{document[what]} {what}" for what in ("new", "known", "refused", "expired"))
