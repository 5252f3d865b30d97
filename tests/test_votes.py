"""Which statements about acts are kept, and which go first."""

import pytest

from meshd import statement
from meshd.limits import VOTES_EACH_MAX
from meshd.statement import ADD_MEMBER, MAKE_ADMIN, REMOVE_ADMIN, REMOVE_MEMBER, VOUCH, Statement
from meshd.votes import Votes
from tests.group_people import ASH, CHANNEL, ELM, FIR, OAK, YEW, Group, Person


class Table:
    """The table in the log, which keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, bytes]] = []

    def votes(self, channel: bytes) -> list[tuple[bytes, bytes]]:
        return self.rows

    def add_vote(self, channel: bytes, signer: bytes, body: bytes) -> None:
        self.rows.append((signer, body))

    def remove_vote(self, channel: bytes, signer: bytes, body: bytes) -> None:
        self.rows.remove((signer, body))


@pytest.fixture
def made() -> Group:
    """Oak, elm and ash are admins; fir and yew are members."""
    group = Group()
    group.last = group.with_people(ELM, ASH, FIR, YEW, admins=[ELM, ASH])
    return group


def votes(group: Group, me: Person = FIR) -> Votes:
    return Votes(Table(), group.dag, me.id)


def said(purpose: int, about: bytes, subject: bytes) -> Statement:
    return Statement(purpose, CHANNEL, about, subject)


def unknown(number: int, subject: Person = OAK) -> Statement:
    """About an epoch that is not here."""
    return said(REMOVE_ADMIN, number.to_bytes(32, "big"), subject.id)


def take(kept: Votes, each: Statement, signer: Person) -> bool:
    return kept.take(each, signer.id, signer.sign(each))


def held(kept: Votes) -> list[tuple[Statement, bytes]]:
    rows = [(statement.parse_body(CHANNEL, signer, body)[0], signer) for signer, body in kept._store.rows]
    assert sorted(rows) == sorted((each, signer) for each, signer, _ in kept)
    return rows


def test_what_others_have_to_join_is_kept_and_what_may_come(made):
    kept = votes(made)
    for signer, purpose, subject, is_kept in (
        (ELM, REMOVE_ADMIN, OAK, True),
        (ELM, REMOVE_MEMBER, OAK, True),
        (ELM, MAKE_ADMIN, YEW, True),
        (YEW, REMOVE_MEMBER, YEW, True),  # leaves
        (FIR, MAKE_ADMIN, YEW, False),  # has no say
        (ELM, MAKE_ADMIN, ASH, False),  # is one
        (ELM, REMOVE_MEMBER, YEW, False),  # done by one alone, in an epoch,
        (ELM, REMOVE_MEMBER, FIR, True),  # and said to who is out
        (ELM, ADD_MEMBER, Person("rue"), False),
        (ELM, VOUCH, OAK, False),
    ):
        assert take(kept, said(purpose, made.last.id, subject.id), signer) is is_kept
    assert take(kept, said(MAKE_ADMIN, made.last.id, YEW.id)._replace(flag=1), ELM) is False
    assert take(kept, unknown(1), YEW) is True
    invalid = made.forced(FIR, made.last, ("remove", YEW))
    assert take(kept, said(MAKE_ADMIN, invalid.id, YEW.id), ELM) is False
    assert len(held(kept)) == 6


def test_the_same_said_twice_is_kept_once(made):
    kept = votes(made)
    assert take(kept, unknown(1), ELM) is True
    assert kept.take(unknown(1), ELM.id, bytes(64)) is False
    assert held(kept) == [(unknown(1), ELM.id)]


def test_of_one_member_the_oldest_goes_but_what_is_about_us(made):
    kept = votes(made)
    told = said(REMOVE_MEMBER, bytes(32), FIR.id)
    take(kept, told, ELM)
    take(kept, unknown(1), OAK)
    for number in range(1, VOTES_EACH_MAX + 3):
        assert take(kept, unknown(number), ELM) is True
    by_elm = [each for each, signer in held(kept) if signer == ELM.id]
    assert by_elm == [told, *map(unknown, range(4, VOTES_EACH_MAX + 3))]
    assert (unknown(1), OAK.id) in held(kept)


def test_when_there_is_no_room_what_a_member_says_takes_that_of_who_was_removed(made, monkeypatch):
    monkeypatch.setattr("meshd.votes.VOTES_MAX", 4)
    kept, gone = votes(made), [Person("rue"), Person("sage")]
    for person in gone:
        assert take(kept, unknown(1), person) and take(kept, unknown(2), person)
    assert take(kept, unknown(3), gone[0]) is False
    for left in ([unknown(2)], []):
        assert take(kept, unknown(len(left)), ELM) is True
        assert [each for each, signer in held(kept) if signer == gone[0].id] == left
    assert take(kept, unknown(3), ELM) and take(kept, unknown(4), ELM)
    assert {signer for _, signer in held(kept)} == {ELM.id} and len(held(kept)) == 4
    assert take(kept, unknown(1), OAK) is False  # cannot be: VOTES_MAX is what all members may have


def test_it_comes_back_after_a_stop_and_goes_with_its_epoch(made):
    kept = votes(made)
    vote = said(MAKE_ADMIN, made.last.id, YEW.id)
    take(kept, vote, ELM)
    take(kept, unknown(1), ELM)
    again = Votes(kept._store, made.dag, FIR.id)
    again.load()
    assert list(again) == list(kept)
    again.forget([made.last.id])
    assert held(again) == [(unknown(1), ELM.id)]
