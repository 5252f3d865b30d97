"""Makes groups.json: sets of epochs, and what follows from each for everybody.

Rule: each set is one row of the races in protocol.md, or one reason why an epoch is not valid, and holds nothing else.
Its epochs stand in the order of their ids, which is none that they could have been made in.
"""

from collections.abc import Callable

from vectors_fixed import Vector, fixed

from meshd import daykeys
from meshd.groups import acts, epochs
from meshd.groups.dag import Dag
from meshd.groups.epochs import HISTORY_ALL, STRICT, Body, Cosign, Epoch, Member, encode_rows
from meshd.limits import EPOCH_KEY_DAYS, EPOCHS_EACH_MAX, KEY_DAYS_MAX
from meshd.statement import MAKE_ADMIN, REMOVE_MEMBER, Statement
from tests.group_people import ALL, ASH, CHANNEL, DAY, ELM, FIR, NOW_MS, OAK, YEW, Group, Person, posted

_DAY_MS = 24 * 3_600_000


def _begun(group: Group, *admins: Person) -> Epoch:
    """Oak's group with elm, ash and fir in it."""
    return group.with_people(ELM, ASH, FIR, admins=admins)


def _people(group: Group) -> None:
    last = _begun(group, ELM, ASH)
    last = group.make(ASH, last, ("remove", FIR), ("add", YEW))
    last = group.make(ELM, last, ("remove", OAK), by=[ASH])
    group.make(YEW, last, now_ms=NOW_MS + 7 * _DAY_MS)


def _no_admin(group: Group) -> None:
    last = group.make(ELM, _begun(group), ("remove", OAK), by=[ASH])
    group.make(FIR, group.make(ELM, last, ("admin", FIR), by=[ASH]), ("add", YEW))


def _add_add(group: Group) -> None:
    last = _begun(group, ELM)
    group.make(OAK, last, ("add", YEW))
    group.make(ELM, last, ("remove", FIR))


def _healed(group: Group) -> None:
    last = _begun(group, ELM)
    one, two = group.make(OAK, last, ("add", YEW)), group.make(ELM, last, ("remove", FIR))
    group.make(ASH, [one, two])
    group.make(OAK, [one, two])


def _add_remove(group: Group) -> None:
    last = group.make(OAK, _begun(group, ELM), ("add", YEW))
    group.make(ELM, group.make(OAK, last, ("remove", YEW)))
    group.make(ELM, last, ("admin", YEW), by=[OAK])


def _beside_a_removal(group: Group) -> None:
    last = _begun(group, ELM)
    group.make(OAK, last, ("remove", FIR))
    group.make(FIR, group.make(ELM, last, ("add", YEW)))


def _remove_remove(group: Group) -> None:
    last = _begun(group, ELM)
    group.make(OAK, group.make(OAK, last, ("remove", FIR)), ("add", FIR))
    group.make(ELM, group.make(ELM, last), ("remove", FIR))


def _known_removal(group: Group) -> None:
    last = _begun(group, ELM)
    group.make(OAK, group.make(OAK, last, ("remove", FIR)), ("add", FIR))
    group.make(FIR, last)


def _carried_again(group: Group) -> None:
    last = _begun(group, ELM, ASH)
    group.make(OAK, group.make(ELM, last, ("remove", ASH), by=[OAK]), ("add", ASH))
    group.make(FIR, last, ("remove", ASH), by=[OAK, ELM])


def _rights(group: Group) -> None:
    last = _begun(group, ELM, ASH)
    group.make(OAK, last, ("demote", ELM), by=[ASH])
    group.make(ELM, last, ("admin", FIR), by=[ASH])


def _each_other(group: Group) -> None:
    last = _begun(group, ELM)
    group.make(OAK, last, ("remove", ELM))
    group.make(ELM, last, ("remove", OAK))


def _leaves(group: Group) -> None:
    last = _begun(group, ELM)
    group.make(FIR, last, ("remove", ELM), by=[ELM])
    group.make(ELM, last, ("add", YEW))
    group.make(OAK, last, ("remove", ASH), by=[ASH])
    place = last.identities().index(FIR.id)
    for said in (
        Statement(REMOVE_MEMBER, CHANNEL, group.root.id, FIR.id),
        Statement(4, CHANNEL, last.id, FIR.id),
    ):
        group.forced(ASH, last, ("remove", FIR), cosigns=(Cosign(0, place, FIR.sign(said)),))


def _came_back(group: Group) -> None:
    last = _begun(group)
    group.make(OAK, group.make(ELM, last, ("remove", FIR), by=[FIR]), ("add", FIR))
    group.make(ASH, last, ("remove", FIR), by=[FIR])
    group.make(ASH, last)


def _came_after(group: Group) -> None:
    last = _begun(group, ELM)
    group.make(OAK, last, ("remove", ELM))
    group.make(ELM, group.make(ELM, last, ("remove", FIR)), ("add", YEW))


def _admins_admin(group: Group) -> None:
    last = _begun(group, ELM)
    group.make(OAK, last, ("remove", ELM))
    alone = group.make(ELM, last, ("remove", OAK))
    second = group.make(ELM, group.make(ELM, alone, ("add", YEW)), ("admin", YEW))
    group.make(YEW, second, ("add", ALL[5]))


def _admin_for_nothing(group: Group) -> None:
    last = _begun(group, ELM, ASH)
    group.make(OAK, group.make(ELM, last, ("add", YEW)), ("admin", YEW), by=[ASH])
    group.make(OAK, last, ("remove", ELM), by=[ASH])


def _not_mended(group: Group) -> None:
    last = _begun(group, ELM, ASH)
    there = group.make(ELM, group.make(ELM, last, ("add", YEW)), ("admin", YEW), by=[ASH])
    group.make(YEW, there, ("add", ALL[5]))
    here = group.make(OAK, last, ("remove", ELM), by=[ASH])
    group.make(OAK, group.make(OAK, here, ("add", YEW)), ("admin", YEW), by=[ASH])


def _renewed(group: Group) -> None:
    last = _begun(group)
    for person in (OAK, ELM, FIR):
        group.make(person, last)
    group.make(ASH, group.make(ASH, last))


def _bad_chain(group: Group) -> None:
    bad = group.forced(ELM, _begun(group), ("remove", FIR))
    group.take(OAK, bad.body._replace(depth=bad.body.depth + 1, parents=(bad.id,), acts=()))


def _bad_cosigns(group: Group) -> None:
    last = _begun(group, ELM)
    place = last.identities().index(ELM.id)
    said = Statement(MAKE_ADMIN, CHANNEL, last.id, ASH.id)
    for other in (said._replace(about=group.root.id), said._replace(flag=1), said._replace(subject=FIR.id)):
        group.forced(OAK, last, ("admin", ASH), cosigns=(Cosign(0, place, ELM.sign(other)),))
    group.forced(OAK, last, ("admin", ASH), cosigns=(Cosign(0, place, FIR.sign(said)),))
    group.forced(OAK, last, ("admin", ASH), cosigns=(Cosign(0, 4, ELM.sign(said)),))


def _bad_lists(group: Group) -> None:
    last = _begun(group)
    rows = {row.identity: row for row in last.members()}
    stolen = rows | {ELM.id: Member(ELM.id, DAY, bytes(32))}
    fewer = [row for row in rows.values() if row.identity != FIR.id]
    for changes in (
        {"name": "another"},
        {"flags": STRICT},
        {"depth": last.body.depth + 2},
        {"rows": encode_rows([*rows.values(), YEW.row])},
        {"rows": encode_rows(fewer), "admins": b"\0"},
        {"admins": b"\0\1\2\3"},
        {"rows": encode_rows(list(stolen.values()))},
        {"rows": encode_rows([row.moved_on(DAY + 1) for row in rows.values()])},
    ):
        group.forced(OAK, last, **changes)
    for told in (("add", ELM), ("remove", YEW), ("admin", OAK), ("demote", ELM)):
        group.forced(OAK, last, told)


def _forked(group: Group) -> None:
    last = group.make(ELM, _begun(group))
    group.make(OAK, last, ("add", YEW))
    group.make(OAK, last, ("remove", FIR))


def _forked_and_built_on(group: Group) -> None:
    last = group.make(ELM, _begun(group))
    group.make(FIR, group.make(OAK, last, ("add", YEW)))
    group.make(OAK, last, ("remove", ASH))


def _tireless(group: Group) -> None:
    last = group.make(OAK, group.root, ("add", ELM))
    group.make(OAK, group.make(ELM, last))
    for _ in range(EPOCHS_EACH_MAX):
        group.make(ELM, last)


_SETS: dict[str, tuple[Callable[[Group], None], tuple[Person, ...]]] = {
    "adding, removing, renewing": (_people, ()),
    "no admin left: the members act": (_no_admin, ()),
    "add one, remove another": (_add_add, ()),
    "healed, by two at once": (_healed, ()),
    "make admin, remove": (_add_remove, ()),
    "what is built beside a removal": (_beside_a_removal, ()),
    "two removals, one known to who adds again": (_remove_remove, ()),
    "an addition that knows the removal": (_known_removal, ()),
    "one removal carried twice": (_carried_again, ()),
    "an admin whose rights go makes another": (_rights, ()),
    "two admins remove each other": (_each_other, ()),
    "a removed admin adds and removes": (_came_after, ()),
    "an admin and a member leave, and one of whom that is only said": (_leaves, ()),
    "who left is added again": (_came_back, ()),
    "the admin of a removed admin": (_admins_admin, ()),
    "who was added for nothing is made admin by others": (_admin_for_nothing, ()),
    "a right given elsewhere mends nothing": (_not_mended, ()),
    "renewed four times": (_renewed, ()),
    "built on an invalid one": (_bad_chain, ()),
    "cosigns that do not count": (_bad_cosigns, ()),
    "lists that do not follow, acts that change nothing": (_bad_lists, ()),
    "one who renews without end": (_tireless, ()),
    "a forked admin": (_forked, (OAK,)),
    "a forked admin, built upon": (_forked_and_built_on, (OAK,)),
}


def _shown(epoch: Epoch) -> Vector:
    return {
        "id": epoch.id.hex(),
        "author": epoch.author.hex(),
        "time_ms": epoch.time_ms,
        "body": epochs.encode(epoch.body).hex(),
    }


def _follows(name: str, dag: Dag) -> Vector:
    held = sorted(dag.held.values(), key=lambda epoch: epoch.id)
    due = dag.membership()
    currents = {person.name: dag.current(person.id) for person in ALL}
    return {
        "name": name,
        "channel": dag.channel.hex(),
        "anchor": dag.anchor and dag.anchor.hex(),
        "forked": [each.hex() for each in sorted(dag.forked)],
        "epochs": [{**_shown(epoch), "status": dag.status(epoch.id)} for epoch in held],
        "members": [each.hex() for each in sorted(due.members)],
        "admins": [each.hex() for each in sorted(due.admins)],
        "current": {who: epoch and epoch.id.hex() for who, epoch in currents.items()},
        "heal": {person.name: [id.hex() for id in dag.loose_ends(person.id)] for person in ALL},
    }


def _invited() -> list[Vector]:
    """What somebody sees who was invited in one of two halves, as more comes."""
    group = Group()
    last = group.with_people(ELM, ASH, FIR, admins=[ELM])
    anchor = group.make(OAK, group.make(OAK, last), ("add", YEW))
    other = group.make(ELM, last, ("remove", FIR))
    healed = group.make(ASH, [anchor, other])
    path = group.dag.introduces(healed.id)
    some = [anchor, other, healed]
    whole = [*some, *(group.dag.held[id] for id in path)]
    return [
        _follows("invited: the other half can't be judged yet", group.known(*some, anchor=anchor)),
        _follows("invited: with what heals sealed anew", group.known(*whole, anchor=anchor)),
        _follows("invited: with everything", group.known(*group.dag.held.values(), anchor=anchor)),
    ]


def _direct() -> Vector:
    channel, body = acts.first_direct(OAK.row, ELM.row)
    dag = Dag(channel, None)
    dag.add(posted(OAK, body, channel), posted(ELM, body, channel))
    current = dag.current(ELM.id)
    if current is None:
        raise RuntimeError("a direct that nobody can post to")
    dag.add(posted(ELM, acts.draft(dag, ELM.id, NOW_MS, [current.id]), channel))
    group = posted(OAK, body._replace(flags=0, admins=b"\0\1"), channel)
    dag.add(group)
    return _follows("a direct, begun by both, and a group's epoch in its channel", dag)


def _hidden(group: Group) -> list[Vector]:
    """Bodies that are no epoch, each the second of oak's group with one thing changed."""
    plain = group.make(OAK, group.root, ("add", ELM)).body
    rows = plain.rows
    wrong: dict[str, Body] = {
        "no members": plain._replace(rows=b"", admins=b""),
        "the author not among them": plain._replace(rows=encode_rows([ELM.row])),
        "members not in order": plain._replace(rows=rows[66:] + rows[:66]),
        "a member twice": plain._replace(rows=rows[:66] + rows),
        "a row too short": plain._replace(rows=rows[:-1]),
        "201 members": plain._replace(rows=rows + b"".join(fixed(f"member {n}", 66) for n in range(199))),
        "an admin who is no member": plain._replace(admins=b"\2"),
        "admins not in order": plain._replace(admins=b"\1\0"),
        "depth 0 with a parent": plain._replace(depth=0),
        "no parents at depth 1": plain._replace(parents=(), acts=()),
        "parents not in order": plain._replace(parents=(b"b" * 32, b"a" * 32), acts=()),
        "nine parents": plain._replace(parents=tuple(bytes([n]) * 32 for n in range(9)), acts=()),
        "an act with two parents": plain._replace(parents=(b"a" * 32, b"b" * 32)),
        "an act of purpose 5": plain._replace(acts=((5, ELM.id),)),
        "two acts on one subject": plain._replace(acts=((1, ELM.id), (3, ELM.id))),
        "a cosign of no act": plain._replace(cosigns=(Cosign(1, 0, bytes(64)),)),
        "cosigns not in order": plain._replace(cosigns=(Cosign(0, 1, bytes(64)), Cosign(0, 0, bytes(64)))),
        "a name of 65 bytes": plain._replace(name="n" * 65),
        "flags 8": plain._replace(flags=8),
        "a direct in another channel": plain._replace(flags=4, admins=b"", acts=()),
        "depth 2^32": plain._replace(depth=2**32),
        "a key check of 31 bytes": plain._replace(key_check=bytes(31)),
        "a first epoch whose author is no admin": acts.first("", HISTORY_ALL, OAK.row)._replace(admins=b""),
    }
    return [{"name": name, "body": epochs.encode(body).hex()} for name, body in wrong.items()]


def _keys(group: Group) -> Vector:
    """An epoch with a key check, and what is its key and what is not."""
    key, other = fixed("epoch key"), fixed("another epoch key")
    body = group.make(OAK, group.root, ("add", ELM)).body
    epoch = posted(OAK, body._replace(key_check=epochs.key_check(key, EPOCH_KEY_DAYS)))
    last = DAY + EPOCH_KEY_DAYS
    tried = {
        "of its day": (DAY, key),
        "of the day before": (DAY - 1, key),
        "of the next day": (DAY + 1, daykeys.advance(key, 1)),
        "of the next day, a day early": (DAY, daykeys.advance(key, 1)),
        "of the last day": (last, daykeys.advance(key, EPOCH_KEY_DAYS)),
        "of the day after the last": (last + 1, daykeys.advance(key, EPOCH_KEY_DAYS + 1)),
        "another": (DAY, other),
        "of a day too far back": (last - KEY_DAYS_MAX - 1, key),
    }
    return {
        **_shown(epoch),
        "channel": epoch.channel.hex(),
        "keys": [
            {"name": name, "day": day, "key": each.hex(), "is_key": epoch.is_key(day, each)}
            for name, (day, each) in tried.items()
        ],
    }


def groups() -> Vector:
    """What groups.json holds."""
    sets = []
    for name, (make, forked) in _SETS.items():
        group = Group()
        make(group)
        group.dag.set_forked([person.id for person in forked])
        sets.append(_follows(name, group.dag))
    return {
        "people": {person.name: person.id.hex() for person in ALL},
        "sets": [*sets, *_invited(), _direct()],
        "key": _keys(Group()),
        "hidden": {"author": OAK.id.hex(), "time_ms": NOW_MS, "bodies": _hidden(Group())},
    }
