"""N06, N07, E06, V04, T09: what liars, recorders and infiltrators get out of recognition.

A tag is good in one turn of one session, for one pair; a proof in one direction of one session. Who adds everybody
knows nobody.
"""

import random
from itertools import product
from pathlib import Path

import pytest

from meshd import crypto
from meshd.crypto import shared_by_identities
from meshd.ids import LABEL_PAIR, LABEL_RECOGNITION, labelled
from meshd.proto import message as msg
from meshd.proto.session import Session
from meshd.recognition import Recognition, pair_secret, proof, tag
from tests.homes import Home, Stranger, Table, linked
from tests.test_recognition import add, identity, known, link
from tests.wire import HOUR, hello

SEED = b"\x33" * 32
PUBLIC, SECRET = crypto.ed25519_keypair(SEED)  # of a contact in the hands of the test


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def oak(table: Table) -> Home:
    home = table.home("oak")
    home.log.contacts.put(home.log.contacts.get(PUBLIC)._replace(petname="elm", is_added=True))
    home.log.authors.know(PUBLIC)
    return home


class Contact(Stranger):
    """Dials the home and says tags by which it knows a contact; its proof is up to the test."""

    def greet(self, home: Home) -> None:
        self.pair = pair_secret(SECRET, identity(home))
        self.session._greeting = self._tags
        home.table.settle()

    def _tags(self) -> tuple[msg.Message, ...]:
        return hello(), tags(tag(self.pair, self.session.handshake_hash, 0))


def tags(*made: bytes) -> msg.Tags:
    return msg.Tags(b"".join(made).ljust(msg.TAGS_SIZE, b"\0"))


def contact(home: Home, seed: int) -> Contact:
    made = Contact(home, seed=seed)
    made.greet(home)
    assert made.is_open
    return made


def test_N06_a_proof_from_another_session_is_refused(oak: Home) -> None:
    first, second = contact(oak, 1), contact(oak, 2)
    said = proof(SECRET, first.session.handshake_hash, 0)
    second.say(said)
    assert second.down is not None and known(oak) == [None]
    first.say(said)
    assert first.is_open and known(oak) == ["elm"]


def test_N06_a_proof_of_the_other_direction_is_refused(oak: Home) -> None:
    there = contact(oak, 1)
    there.say(proof(SECRET, there.session.handshake_hash, 1))
    assert there.down is not None and known(oak) == []


def test_N06_a_proof_without_a_tag_is_nobody(oak: Home) -> None:
    stranger = linked(oak, 3)
    stranger.say(proof(SECRET, stranger.session.handshake_hash, 0))
    assert stranger.is_open and known(oak) == [None]


def test_N06_a_tag_without_a_proof_is_nobody_yet(oak: Home) -> None:
    there = contact(oak, 1)
    there.say(msg.Proof(bytes(32), bytes(64)))
    assert there.is_open and known(oak) == [None]


@pytest.mark.parametrize("dials", [True, False])
def test_N07_our_own_tags_reflected_match_nobody(table: Table, oak: Home, dials: bool) -> None:
    stranger = Stranger(oak, seed=5, dials=dials)
    table.settle()
    (ours,) = stranger.heard(msg.Tags)
    stranger.say(ours)  # as the second tags of the session
    (mine, reflected) = stranger.heard(msg.Proof)
    assert identity(oak) not in (mine.identity, reflected.identity)
    mirror = Stranger(oak, seed=6, dials=dials)
    mirror.session._greeting = lambda: (hello(), ours)  # and as the first of another
    table.settle()
    assert known(oak) == [None, None] and [
        said.identity == identity(oak) for said in mirror.heard(msg.Proof)
    ] == [False]


@pytest.mark.parametrize("dialled", [True, False])
def test_N07_reflected_in_the_session_that_they_were_made_for(oak: Home, dialled: bool) -> None:
    """A mirror that holds its own tags back until it has ours."""
    said: list[msg.Message] = []
    recognition = Recognition(oak.log, random.Random(1).randbytes, lambda link, message: said.append(message))
    ours = recognition.greet(1, bytes(64), dialled=dialled)
    assert tag(pair_secret(SECRET, identity(oak)), bytes(64), int(not dialled)) in ours.tags
    recognition.heard(1, ours.tags)
    (answer,) = said
    assert not recognition.is_match(1)
    assert isinstance(answer, msg.Proof) and answer.identity != identity(oak)


def test_E06_an_infiltrator_who_adds_everybody_recognises_nobody_who_has_not_added_them(table: Table) -> None:
    evil = table.home("evil")
    crowd = [table.home() for _ in range(5)]
    for home in crowd:
        add(evil, home)
    for one, other in ((0, 1), (1, 0), (2, 3), (3, 2)):
        add(crowd[one], crowd[other])
    for home in crowd:
        link(evil, home)
    link(crowd[0], crowd[1])
    assert known(evil) == [None] * 5
    assert [known(home) for home in crowd] == [[None, "home2"], [None, "home1"], [None], [None], [None]]
    add(crowd[4], evil)  # who does add them is known
    assert known(evil) == [None] * 4 + ["home5"]


def test_V04_who_has_every_public_key_computes_no_tag(table: Table) -> None:
    """Nor does who has secrets of their own: a tag takes a secret of the pair."""
    homes = [table.home() for _ in range(4)]
    oak, elm = homes[:2]
    add(oak, elm)
    add(elm, oak)
    seen: list[tuple[bytes, bytes]] = []
    for home in (oak, elm):
        stranger = linked(home, home.number)
        (came,) = stranger.heard(msg.Tags)
        seen.append((stranger.session.handshake_hash, came.tags))
    publics = [identity(home) for home in homes]
    secrets = [crypto.ed25519_keypair(home.log.seed)[1] for home in homes[2:]]
    guesses = [*publics, bytes(32), *(a + b for a, b in product(publics, publics))]
    guesses += [labelled(LABEL_PAIR, *sorted(pair)) for pair in product(publics, publics)]
    guesses += [shared_by_identities(mine, public) for mine in secrets for public in publics]
    guesses += [pair_secret(mine, public) for mine in secrets for public in publics]
    for handshake_hash, came in seen:
        for guess, turn in product(guesses, range(4)):
            assert labelled(LABEL_RECOGNITION, guess, handshake_hash, bytes((turn,)), size=16) not in came
    right = pair_secret(crypto.ed25519_keypair(oak.log.seed)[1], identity(elm))
    assert tag(right, seen[0][0], 1) in seen[0][1]  # so this would find one


def test_V04_no_tag_repeats_between_sessions(table: Table) -> None:
    oak, elm = table.home("oak"), table.home("elm")
    add(oak, elm)
    came = b"".join(said.tags for seed in range(3) for said in linked(oak, seed).heard(msg.Tags))
    cut = [came[at : at + 16] for at in range(0, len(came), 16)]
    assert len(cut) == 3 * msg.TAG_COUNT == len(set(cut))


def test_T09_links_that_only_claim_to_be_contacts_move_no_time(oak: Home) -> None:
    for seed in range(3):
        made = Contact(oak, seed=seed)
        made.pair = pair_secret(SECRET, identity(oak))
        made.session._greeting = _late(made.session, made.pair)
        oak.table.settle()
        made.say(msg.Proof(PUBLIC, bytes(64)))
    before = oak.ask("status")["clock"]
    assert oak.node.time.read(None).wall_ms == oak.table.now().wall_ms and before["state"] == "ok"


def _late(session: Session, pair: bytes):  # type: ignore[no-untyped-def]
    return lambda: (hello(wall_hour=HOUR + 48), tags(tag(pair, session.handshake_hash, 0)))
