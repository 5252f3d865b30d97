"""Delivery: who is sent which key, once, after a while, and not if another did; and who can't be sent anything."""

import random

import pytest

from meshd import daykeys
from meshd.groups import keyenvelope
from meshd.groups.delivery import Delivery, Due, Sent
from meshd.groups.keyenvelope import Delivered, Life
from meshd.limits import KEY_DELAY_EACH_MS, KEY_ENVELOPES_WAITING_MAX
from meshd.post import HOUR_MS
from tests.key_parts import (
    ASH,
    CHANNEL,
    DAYS,
    ELM,
    EPOCH,
    HOUR,
    KEY,
    OAK,
    TODAY,
    Person,
    parsed,
    person,
    sealed,
    seeded,
)

NOW_MS = HOUR * HOUR_MS + 5
FIR = person("fir")
MEMBERS = [each.identity for each in (OAK, ASH, ELM, FIR)]
SPREAD_MS = KEY_DELAY_EACH_MS * len(MEMBERS)
DAY_MS = 24 * HOUR_MS


def keys_of(channel: bytes, epoch: bytes) -> list[tuple[int, bytes]]:
    return [(TODAY, KEY)] if (channel, epoch) == (CHANNEL, EPOCH) else []


def delivery(own: Person = OAK, seed: int = 1, *, shown: tuple[Person, ...] = (ASH, ELM, FIR)) -> Delivery:
    """What a member knows who holds the epoch and the others' prekeys, and saw nothing sent."""
    made = Delivery(own.identity, random.Random(seed), keys_of)
    for each in shown:
        made.announced(each.identity, each.prekeys, NOW_MS)
    made.hold(CHANNEL, EPOCH, MEMBERS, NOW_MS)
    return made


def due(made: Delivery, wall_ms: int) -> list[bytes]:
    return [each.member for each in made.due(wall_ms, 100)]


def announced(made: Delivery, who: Person, day: int) -> None:
    made.announced(who.identity, person("again", day).prekeys, day * DAY_MS)


def by(sender: Person, to: Person = ASH, seed: int = 1) -> keyenvelope.KeyEnvelope:
    """A key envelope that somebody made today."""
    sent = Delivered(CHANNEL, EPOCH, sender.identity, TODAY, KEY)
    return parsed(sealed(to, sender, delivered=sent, seed=seed))


def test_everybody_with_prekeys_is_due_within_the_spread_and_once() -> None:
    made = delivery(shown=(OAK, ASH, ELM))
    assert made.next_due_ms is not None and NOW_MS <= made.next_due_ms < NOW_MS + SPREAD_MS
    assert due(made, made.next_due_ms - 1) == []
    assert sorted(due(made, NOW_MS + SPREAD_MS)) == sorted([ASH.identity, ELM.identity])
    assert due(made, NOW_MS + SPREAD_MS) == [] and made.next_due_ms is None


def test_what_is_due_is_all_that_sealing_takes() -> None:
    made = delivery(shown=(ASH,))
    (found,) = made.due(NOW_MS + SPREAD_MS, 1)
    assert found == Due(CHANNEL, EPOCH, ASH.identity, ASH.prekeys, Life(DAYS, HOUR + 72))


def test_who_made_the_epoch_sends_at_once_and_slice_by_slice() -> None:
    made = Delivery(OAK.identity, random.Random(1), keys_of)
    for each in (ASH, ELM, FIR):
        made.announced(each.identity, each.prekeys, NOW_MS)
    made.hold(CHANNEL, EPOCH, MEMBERS, NOW_MS, is_ours=True)
    assert len(made.due(NOW_MS, 2)) == 2
    assert made.next_due_ms == NOW_MS and len(made.due(NOW_MS, 2)) == 1


def test_what_was_sent_is_not_due_again_until_it_is_over_and_newer_prekeys_are_shown() -> None:
    made = delivery(shown=(ASH,))
    (found,) = made.due(NOW_MS + SPREAD_MS, 9)
    sent = made.sent(found, NOW_MS + SPREAD_MS)
    assert sent == Sent(TODAY, HOUR + 72, OAK.identity)
    assert due(made, NOW_MS + 10 * DAY_MS) == []
    announced(made, ASH, TODAY)
    assert made.next_due_ms is None
    announced(made, ASH, TODAY + 1)
    assert made.next_due_ms is not None and 0 <= made.next_due_ms - (HOUR + 72) * HOUR_MS < SPREAD_MS
    assert due(made, (HOUR + 72) * HOUR_MS - 1) == []
    assert due(made, (HOUR + 72) * HOUR_MS + SPREAD_MS) == [ASH.identity]


def test_daily_prekeys_do_not_put_it_off() -> None:
    made = delivery(shown=(ASH,))
    first = made.next_due_ms
    announced(made, ASH, TODAY + 1)
    assert made.next_due_ms == first


def test_what_another_sent_is_not_sent() -> None:
    made = delivery(shown=(ASH, ELM))
    assert made.seen(ASH.identity, by(FIR), HOUR + 72, NOW_MS) == [
        (EPOCH, Sent(TODAY, HOUR + 72, FIR.identity))
    ]
    assert due(made, NOW_MS + DAY_MS) == [ELM.identity]


def test_of_many_only_few_send() -> None:
    """25 hold the key and see each other's key envelopes half a second later: a handful is sent, not 25."""
    people = [person(f"member {n}") for n in range(25)]
    members = [each.identity for each in [*people, ASH]]
    sends = 0
    for seed in range(20):
        all_of_them = []
        for n, each in enumerate(people):
            made = Delivery(each.identity, random.Random(f"{seed} {n}"), keys_of)
            made.hold(CHANNEL, EPOCH, members, NOW_MS)
            made.announced(ASH.identity, ASH.prekeys, NOW_MS)
            all_of_them.append(made.next_due_ms or 0)
        sends += sum(each < min(all_of_them) + 500 for each in all_of_them)
    assert 20 <= sends < 20 * 2


def test_an_epoch_that_is_dropped_is_not_sent() -> None:
    made = delivery()
    made.drop(EPOCH)
    assert made.next_due_ms is None and due(made, NOW_MS + DAY_MS) == []
    made.drop(EPOCH)
    made.announced(ASH.identity, ASH.prekeys, NOW_MS)
    assert made.next_due_ms is None


def test_what_came_before_the_key_counts_when_it_is_here() -> None:
    made = Delivery(OAK.identity, random.Random(1), keys_of)
    for each in (ASH, ELM):
        made.announced(each.identity, each.prekeys, NOW_MS)
        assert made.seen(each.identity, by(FIR, each), HOUR + 72, NOW_MS) == []
    found = made.hold(CHANNEL, EPOCH, MEMBERS, NOW_MS)
    assert sorted(found) == sorted(
        (each, Sent(TODAY, HOUR + 72, FIR.identity)) for each in (ASH.identity, ELM.identity)
    )
    assert made.next_due_ms is None


def test_what_waits_is_bounded_for_each_member() -> None:
    made = Delivery(OAK.identity, random.Random(1), keys_of)
    made.seen(ASH.identity, by(FIR), HOUR + 72, NOW_MS)
    for n in range(KEY_ENVELOPES_WAITING_MAX):
        other = Delivered(CHANNEL, b"o" * 32, FIR.identity, TODAY, b"o" * 32)
        made.seen(ASH.identity, parsed(sealed(by=FIR, delivered=other, seed=n)), HOUR + 72, NOW_MS)
        made.seen(ELM.identity, by(FIR, ELM), HOUR + 72, NOW_MS) if n == 0 else None
    assert [member for member, _ in made.hold(CHANNEL, EPOCH, MEMBERS, NOW_MS)] == [ELM.identity]


def test_what_is_remembered_is_as_good_as_what_was_seen() -> None:
    made = Delivery(OAK.identity, random.Random(1), keys_of)
    made.announced(ASH.identity, ASH.prekeys, NOW_MS)
    made.hold(CHANNEL, EPOCH, MEMBERS, NOW_MS, sent={ASH.identity: Sent(TODAY, HOUR + 72, FIR.identity)})
    assert made.next_due_ms is None and made.live(EPOCH, HOUR) == [ASH.identity]


# --- who lies ---


def test_who_is_no_member_silences_nobody() -> None:
    out = person("out")
    made = delivery(shown=(ASH,))
    assert made.seen(ASH.identity, by(out), HOUR + 72, NOW_MS) == []
    assert due(made, NOW_MS + DAY_MS) == [ASH.identity]


def test_one_for_somebody_else_or_of_another_channel_silences_nobody() -> None:
    made = delivery(shown=(ASH,))
    other = parsed(sealed(by=FIR, delivered=Delivered(b"x" * 16, EPOCH, FIR.identity, TODAY, KEY)))
    for each in (by(FIR, ELM), other):
        assert made.seen(ASH.identity, each, HOUR + 72, NOW_MS) == []
    assert due(made, NOW_MS + DAY_MS) == [ASH.identity]


@pytest.mark.parametrize("first", [TODAY, TODAY + 100])
def test_a_life_longer_than_an_honest_one_is_not_believed(first: int) -> None:
    fir, ash = person("fir", first), person("ash", first)
    days = range(first, first + 4)
    content = keyenvelope.seal(
        seeded(1),
        fir.secret,
        ash.identity,
        ash.prekeys,
        days,
        Delivered(CHANNEL, EPOCH, fir.identity, first, KEY),
    )
    made = Delivery(OAK.identity, random.Random(1), lambda channel, epoch: [(first, KEY)])
    made.hold(CHANNEL, EPOCH, MEMBERS, NOW_MS)
    ((_, sent),) = made.seen(ash.identity, parsed(content), HOUR + 192, NOW_MS)
    assert sent == Sent(TODAY, HOUR + 72, fir.identity)


def test_one_whose_days_are_over_is_not_live_in_a_new_envelope() -> None:
    made = delivery(shown=(ASH,))
    late_ms = (TODAY + 4) * DAY_MS
    announced(made, ASH, TODAY + 4)
    made.seen(ASH.identity, by(FIR), (TODAY + 7) * 24, late_ms)
    assert due(made, late_ms + SPREAD_MS) == [ASH.identity]


def test_who_sends_junk_to_silence_the_others_is_not_believed_twice_in_a_row() -> None:
    """The tail can't show whether the parts are right."""
    made = delivery(shown=(ASH,))
    assert made.seen(ASH.identity, by(FIR), HOUR + 72, NOW_MS)
    end = HOUR + 72
    announced(made, ASH, TODAY + 3)
    ash, days = person("ash", TODAY + 3), range(TODAY + 3, TODAY + 6)
    again = Delivered(CHANNEL, EPOCH, FIR.identity, TODAY + 3, daykeys.advance(KEY, 3))
    junk = keyenvelope.seal(seeded(3), FIR.secret, ASH.identity, ash.prekeys, days, again)
    assert made.seen(ASH.identity, parsed(junk), end + 72, end * HOUR_MS) == []
    assert due(made, end * HOUR_MS + SPREAD_MS) == [ASH.identity]
    again = again._replace(sender=ELM.identity)
    others = keyenvelope.seal(seeded(4), ELM.secret, ASH.identity, ash.prekeys, days, again)
    assert made.seen(ASH.identity, parsed(others), end + 72, end * HOUR_MS) != []


# --- who can be sent anything ---


def test_who_shows_no_prekeys_of_today_is_not_reachable() -> None:
    made = delivery(shown=(ASH,))
    announced(made, FIR, TODAY - 8)
    assert made.reachable(EPOCH, HOUR) == sorted([ASH.identity, FIR.identity])
    assert made.reachable(EPOCH, HOUR + 14) == [ASH.identity]
    announced(made, ELM, TODAY)
    assert made.reachable(EPOCH, HOUR + 14) == sorted([ASH.identity, ELM.identity])


def test_who_was_sent_a_key_is_known_while_it_lives() -> None:
    made = delivery(shown=())
    assert made.live(EPOCH, HOUR) == []
    made.seen(ASH.identity, by(FIR), HOUR + 72, NOW_MS)
    assert made.live(EPOCH, HOUR + 71) == [ASH.identity] and made.live(EPOCH, HOUR + 72) == []
