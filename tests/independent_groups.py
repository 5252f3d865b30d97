"""Groups, judged by a second reader written from protocol.md ("Statements", "Groups") alone.

The rule is that of `independent`: nothing of meshd is imported, and each function is a paragraph of the page, in its
words. Sets are walked again and again where the product keeps bits and remembers, so this is slow, and right by
reading.
"""

from itertools import pairwise
from typing import Any, NamedTuple

from nacl import bindings
from nacl.exceptions import CryptoError

from tests.independent import Close, H, array, require

ADD, REMOVE, MAKE, DEMOTE = 1, 2, 3, 4
MEMBER, ADMIN = "member", "admin"


class Epoch(NamedTuple):
    id: bytes
    channel: bytes
    author: bytes
    time_ms: int
    depth: int
    parents: list[bytes]
    name: str
    flags: int
    rows: list[tuple[bytes, int, bytes]]
    admins: list[bytes]
    acts: list[tuple[int, bytes]]
    cosigns: list[tuple[int, int, bytes]]
    key_check: bytes

    @property
    def members(self) -> list[bytes]:
        return [row[0] for row in self.rows]


class Carried(NamedTuple):
    """An act in one epoch that carries it."""

    epoch: bytes
    parent: bytes
    purpose: int
    subject: bytes
    signers: list[bytes]
    took: int
    rights: list[str]


def signed_statement(purpose: int, channel: bytes, about: bytes, subject: bytes, flag: int) -> bytes:
    """What is signed: the label, and an array of int, bytes, bytes, bytes, int (all short, with small ints)."""
    texts = b"".join(b"\xc4" + bytes([len(each)]) + each for each in (channel, about, subject))
    number = bytes([purpose]) if purpose < 128 else b"\xcc" + bytes([purpose])
    return bytes([17]) + b"meshd/1 statement" + b"\x95" + number + texts + bytes([flag])


def signed_by(signer: bytes, signed: bytes, signature: bytes) -> bool:
    try:
        bindings.crypto_sign_open(signature + signed, signer)
    except CryptoError:
        return False
    return bindings.crypto_core_ed25519_is_valid_point(signer)


def pieces(joined: bytes, size: int, most: int) -> list[bytes]:
    require(len(joined) % size == 0 and len(joined) // size <= most)
    return [joined[at : at + size] for at in range(0, len(joined), size)]


def ascending(items: list[Any]) -> bool:
    return all(a < b for a, b in pairwise(items))


def epoch(id: bytes, channel: bytes, author: bytes, time_ms: int, body: bytes) -> Epoch:
    """The table of slots and what stands below it; Close stands for hide."""
    depth, joined, name, flags, rows, places, acts, cosigns, check = array(
        body, "int bytes text int bytes bytes bytes bytes bytes", 30 * 1024
    )
    parents = pieces(joined, 32, 8)
    listed = [(r[:32], int.from_bytes(r[32:34], "big"), r[34:]) for r in pieces(rows, 66, 200)]
    done = [(a[0], a[1:]) for a in pieces(acts, 33, 200)]
    signed = [(c[0], c[1], c[2:]) for c in pieces(cosigns, 66, 200)]
    require(depth < 2**32 and flags <= 7 and len(name.encode()) <= 64 and (depth == 0) == (not parents))
    members = [row[0] for row in listed]
    require(len(check) == 32)
    require(ascending(parents) and ascending(members) and ascending(list(places)) and ascending(done))
    require(ascending([c[:2] for c in signed]) and 1 <= len(members) <= 200)
    require(all(place < len(members) for place in places) and all(c[0] < len(done) for c in signed))
    require(all(1 <= purpose <= 4 for purpose, _ in done) and len({s for _, s in done}) == len(done))
    require(author in members and (not done or len(parents) == 1))
    admins = [members[place] for place in places]
    if flags & 4:
        require(len(members) == 2 and not admins and not done)
        require(channel == H("meshd/1 direct", *members, size=16))
    elif not parents:
        require(author in admins)
    return Epoch(
        id, channel, author, time_ms, depth, parents, name, flags, listed, admins, done, signed, check
    )


def is_key(of: Epoch, day: int, key: bytes) -> bool:
    last = of.time_ms // 86_400_000 + 90
    return 0 <= last - day <= 400 and H("meshd/1 epoch key", advance(key, last - day)) == of.key_check


def advance(key: bytes, days: int) -> bytes:
    for _ in range(days):
        key = H("meshd/1 next day", key)
    return key


class Known:
    """What a node knows: epochs, anchor (none for a direct), forked keys."""

    def __init__(self, held: list[Epoch], anchor: bytes | None, forked: list[bytes]) -> None:
        self.held = {each.id: each for each in held}
        self.anchor, self.forked = anchor, forked
        self.status: dict[bytes, str] = dict.fromkeys(self.held, "waiting")
        self.carried: list[Carried] = []
        self.above: dict[bytes, set[bytes]] = {}
        if anchor is None:
            for id, each in self.held.items():
                self.status[id] = "valid" if each.flags & 4 else "invalid"
            self.above = {id: set() for id in self.held if self.status[id] == "valid"}
            self.base = b""
        elif anchor in self.held:
            self.base = self.find_base()
            self.judge_all()

    def find_base(self) -> bytes:
        there = [self.anchor]
        base = self.anchor
        while True:
            there.sort(key=lambda id: (self.held[id].depth, id))
            if len(there) == 1:
                base = there[0]
            deepest = self.held[there[-1]]
            if not deepest.parents or any(id not in self.held for id in deepest.parents):
                return base
            there = sorted({*there[:-1], *deepest.parents})

    def judge_all(self) -> None:
        if self.held[self.base].flags & 4:
            self.status[self.base] = "invalid"
        else:
            self.status[self.base], self.above[self.base] = "valid", set()
        again = True
        while again:
            again = False
            for each in self.held.values():
                if self.status[each.id] != "waiting":
                    continue
                if not each.parents:
                    if not self.held[self.base].parents:
                        self.status[each.id] = "invalid"
                elif all(self.status.get(id, "waiting") != "waiting" for id in each.parents):
                    try:
                        self.judge(each)
                        self.status[each.id] = "valid"
                    except Close:
                        self.status[each.id] = "invalid"
                    again = True

    def judge(self, new: Epoch) -> None:
        require(all(self.status[id] == "valid" for id in new.parents))
        parents = [self.held[id] for id in new.parents]
        require(not new.flags & 4 and all((p.name, p.flags) == (new.name, new.flags) for p in parents))
        require(new.depth == 1 + max(p.depth for p in parents))
        above = set(new.parents).union(*(self.above[id] for id in new.parents))
        if len(parents) == 1:
            members, admins = set(parents[0].members), set(parents[0].admins)
        else:
            members, admins = self.leave(above)
        require(new.author in members)
        carried = [self.allowed(new, place, members, admins) for place in range(len(new.acts))]
        due, leading = set(members), set(admins)
        for purpose, subject in new.acts:
            (leading if purpose in (MAKE, DEMOTE) else due).symmetric_difference_update({subject})
        require(set(new.members) == due and set(new.admins) == leading & due)
        added = [subject for purpose, subject in new.acts if purpose == ADD]
        for identity, day, key in new.rows:
            rows = [row for p in parents for row in p.rows if row[0] == identity]
            moved = any(0 <= day - d <= 400 and advance(k, day - d) == key for _, d, k in rows)
            fresh = moved or identity in added or identity == new.author
            require((identity, day, key) in rows or (fresh and day <= new.time_ms // 86_400_000))
        self.above[new.id] = above
        self.carried += carried

    def allowed(self, new: Epoch, place: int, members: set[bytes], admins: set[bytes]) -> Carried:
        purpose, subject = new.acts[place]
        if purpose == ADD:
            require(subject not in members and bindings.crypto_core_ed25519_is_valid_point(subject))
        elif purpose == MAKE:
            require(subject in members and subject not in admins)
        else:
            require(subject in (members if purpose == REMOVE else admins))
        say = admins if purpose == MAKE else admins - {subject}
        rights, half = [MEMBER, ADMIN], purpose in (MAKE, DEMOTE) or subject in admins
        if not say:
            say = members if purpose in (ADD, MAKE) else members - {subject}
            rights, half = [MEMBER], True
        took = len(say) // 2 + 1 if half else 1
        voters = self.held[new.parents[0]].members
        said = signed_statement(purpose, new.channel, new.parents[0], subject, 0)
        for act, signer, signature in new.cosigns:
            its = (act, voters[signer : signer + 1], purpose) == (place, [subject], REMOVE)
            if its and signed_by(subject, said, signature):
                say, took, rights = {subject}, 1, [MEMBER]
        signers = {new.author}
        for act, signer, signature in new.cosigns:
            require(signer < len(voters))
            if act == place and signed_by(voters[signer], said, signature):
                signers.add(voters[signer])
        require(len(signers & say) >= took)
        return Carried(new.id, new.parents[0], purpose, subject, sorted(signers & say), took, rights)

    def leave(self, within: set[bytes]) -> tuple[set[bytes], set[bytes]]:
        """Who is member and admin by the acts that these epochs carry."""
        acts = [act for act in self.carried if act.epoch in within]

        def takes(right: str, who: bytes) -> list[list[bytes]]:
            """For each take, the epochs that carry it."""
            kinds = (REMOVE, DEMOTE) if right == ADMIN else (REMOVE,)
            found = [a for a in acts if a.subject == who and a.purpose in kinds]
            said = sorted({(a.parent, a.purpose) for a in found})
            return [[a.epoch for a in found if (a.parent, a.purpose) == each] for each in said]

        def gives(right: str, who: bytes, among: set[bytes]) -> list[bytes]:
            """Those of these epochs with a give that counts."""
            base = self.held[self.base]
            first = [self.base] if who in (base.admins if right == ADMIN else base.members) else []
            kind = MAKE if right == ADMIN else ADD
            found = [a for a in acts if a.epoch in among and (a.purpose, a.subject) == (kind, who)]
            return first + [a.epoch for a in found if counts(a)]

        def counts(give: Carried) -> bool:
            held = [who for who in give.signers if all(held_at(r, who, give.epoch) for r in give.rights)]
            return len(held) >= give.took

        def held_at(right: str, who: bytes, e: bytes) -> bool:
            return any(
                all(
                    any(t in self.above[give] or t == e or e in self.above[t] for t in take)
                    for take in takes(right, who)
                )
                for give in gives(right, who, self.above[e])
            )

        def after_all(right: str, who: bytes) -> bool:
            return any(
                all(any(t in self.above[give] for t in take) for take in takes(right, who))
                for give in gives(right, who, within | {self.base})
            )

        people = {*self.held[self.base].members, *(act.subject for act in acts)}
        members = {who for who in people if after_all(MEMBER, who)}
        return members, {who for who in members if after_all(ADMIN, who)}

    def counted(self) -> set[bytes]:
        found = {self.base} if self.anchor else set(self.above)
        for id in self.above:
            signed = all(
                len([who for who in act.signers if who not in self.forked]) >= act.took
                for act in self.carried
                if act.epoch == id
            )
            author = self.held[id].author
            idle = [e for e in self.above if self.held[e].author == author and not self.held[e].acts]
            tireless = self.anchor is not None and not self.held[id].acts and len(idle) > 64
            if author not in self.forked and signed and not tireless:
                found |= {id} | self.above[id]
        return found

    def known(self) -> tuple[set[bytes], set[bytes]]:
        if self.anchor is None:
            return set(self.held[next(iter(self.above))].members), set()
        return self.leave(self.counted())

    def ends(self) -> list[bytes]:
        counted = self.counted()
        inner = {id for each in counted for id in self.above[each]}
        return sorted(counted - inner, key=lambda id: (-self.held[id].depth, id))

    def current(self, who: bytes) -> bytes | None:
        for id in self.ends():
            members, knows = self.held[id].members, {id} | self.above[id]
            removals = [a for a in self.carried if a.purpose == REMOVE and a.epoch in self.counted()]
            told = {(a.parent, a.subject) for a in removals if a.epoch in knows}
            unknown = [a for a in removals if a.subject in members and (a.parent, a.subject) not in told]
            if who in members and set(members) <= self.known()[0] and not unknown:
                return id
        return None

    def heal(self, who: bytes) -> list[bytes]:
        members, admins = self.known()
        now = self.current(who)
        if self.anchor is None or who not in members:
            return []
        if now and (set(self.held[now].members), set(self.held[now].admins)) == (members, admins):
            return []
        chosen: list[bytes] = []
        have: set[bytes] = set()
        for id in self.ends():
            brings = {e for e in {id} | self.above[id] if self.held[e].acts and e != self.base}
            if (not chosen or brings - have) and len(chosen) < 8:
                chosen.append(id)
                have |= brings
        return sorted(chosen) if len(chosen) > 1 else []
