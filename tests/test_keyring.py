"""The keyring: what opens, what no longer does, and that erased keys do not come back."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meshd import daykeys, envelope
from meshd.envelope import Sealed
from meshd.keyring import Keyring
from meshd.limits import CANDIDATE_KEYS_MAX, KEY_DAYS_MAX

CHANNEL, EPOCH = b"\1" * 16, b"\2" * 32
DAY = 20_000
KEY = b"\7" * 32


def sealed(day: int, key: bytes, content: bytes = b"\x91\x02", nonce: bytes = bytes(24)) -> Sealed:
    """An envelope that expires on that day, under that day's key."""
    made = envelope.parse(envelope.seal(key, day * 24 + 5, nonce, content))
    assert isinstance(made, Sealed)
    return made


def with_key(day: int = DAY) -> Keyring:
    ring = Keyring()
    assert ring.add(CHANNEL, EPOCH, day, KEY)
    return ring


def opens(ring: Keyring, day: int, key: bytes) -> bool:
    return ring.open(sealed(day, key)) is not None


def test_a_key_opens_what_expires_on_its_day_and_on_later_ones() -> None:
    ring = with_key()
    for days in (0, 1, 8, KEY_DAYS_MAX):
        key = daykeys.advance(KEY, days)
        assert ring.open(sealed(DAY + days, key)) == (CHANNEL, EPOCH, DAY + days, key, b"\x91\x02")
        assert ring.key(CHANNEL, EPOCH, DAY + days) == key
    assert not opens(ring, DAY - 1, KEY) and ring.key(CHANNEL, EPOCH, DAY - 1) is None
    assert ring.key(CHANNEL, EPOCH, DAY + KEY_DAYS_MAX + 1) is None
    assert not opens(ring, DAY + 10**6, KEY)


def test_an_empty_ring_opens_nothing() -> None:
    assert not opens(Keyring(), DAY, KEY) and Keyring().first_day() is None


def test_the_right_one_of_many_is_found() -> None:
    ring = Keyring()
    keys = [bytes((number,)) * 32 for number in range(70)]
    for number, key in enumerate(keys):
        ring.add(bytes((number,)) * 16, EPOCH, DAY, key)
    for number, key in enumerate(keys):
        opened = ring.open(sealed(DAY, key))
        assert opened is not None and opened.channel == bytes((number,)) * 16
    assert not opens(ring, DAY, bytes((99,)) * 32)


def test_a_hint_that_fits_and_does_not_open_keeps_nobody_else_out() -> None:
    """Two keys whose hints are the same can't be made; but one may be held under two epochs, and opens for both."""
    ring = with_key()
    ring.add(CHANNEL, b"\3" * 32, DAY, KEY)
    good = sealed(DAY, KEY)
    junk = good._replace(ciphertext=bytes(len(good.ciphertext)))
    assert ring.open(junk) is None
    assert [(each.channel, each.epoch) for each in ring.open_all(good)] == [
        (CHANNEL, EPOCH),
        (CHANNEL, b"\3" * 32),
    ]


def test_what_is_erased_opens_no_more_and_what_is_not_opens_still() -> None:
    ring = with_key()
    assert ring.erase(DAY) == []
    assert ring.erase(DAY + 3) == [(CHANNEL, EPOCH)]
    assert ring.keys(CHANNEL, EPOCH) == [(DAY + 3, daykeys.advance(KEY, 3))]
    assert [opens(ring, DAY + days, daykeys.advance(KEY, days)) for days in range(5)] == [False] * 3 + [
        True
    ] * 2
    assert ring.first_day() == DAY + 3


def test_an_old_key_that_comes_late_brings_nothing_back() -> None:
    ring = with_key()
    ring.erase(DAY + 3)
    assert not ring.add(CHANNEL, EPOCH, DAY, KEY), "the same line: nothing new"
    assert ring.add(CHANNEL, b"\3" * 32, DAY, b"\4" * 32)
    assert ring.keys(CHANNEL, b"\3" * 32) == [(DAY + 3, daykeys.advance(b"\4" * 32, 3))]


def test_a_key_of_an_earlier_day_replaces_the_later_one_of_its_line() -> None:
    ring = Keyring()
    assert ring.add(CHANNEL, EPOCH, DAY + 2, daykeys.advance(KEY, 2))
    assert ring.add(CHANNEL, EPOCH, DAY, KEY)
    assert ring.keys(CHANNEL, EPOCH) == [(DAY, KEY)]
    assert not ring.add(CHANNEL, EPOCH, DAY + 5, daykeys.advance(KEY, 5))


def test_of_one_epoch_there_are_a_few_candidates_until_one_is_true() -> None:
    ring = Keyring()
    keys = [bytes((number,)) * 32 for number in range(CANDIDATE_KEYS_MAX + 1)]
    assert [ring.add(CHANNEL, EPOCH, DAY, key) for key in keys] == [True] * CANDIDATE_KEYS_MAX + [False]
    assert opens(ring, DAY, keys[2])
    ring.keep(CHANNEL, EPOCH, lambda day, key: (day, key) == (DAY, keys[2]))
    assert [opens(ring, DAY, key) for key in keys] == [False, False, True, False, False]
    ring.remove(CHANNEL, EPOCH)
    assert not opens(ring, DAY, keys[2]) and ring.channels() == []


def test_a_key_that_lags_by_years_catches_up_in_steps() -> None:
    ring = with_key()
    for days in (KEY_DAYS_MAX, 2 * KEY_DAYS_MAX, 1000):
        assert ring.erase(DAY + 1000) == [(CHANNEL, EPOCH)]
        assert ring.first_day() == DAY + min(days, 1000)
    assert ring.erase(DAY + 1000) == []


def test_channels_and_epochs_are_told() -> None:
    ring = with_key()
    ring.add(CHANNEL, b"", DAY, bytes(32))
    ring.add(bytes(16), EPOCH, DAY, bytes(32))
    assert ring.channels() == [CHANNEL, bytes(16)] and ring.epochs(CHANNEL) == [EPOCH, b""]


class Life(RuleBasedStateMachine):
    """Whatever is added and erased in whatever order: a day opens just if some key that was added leads to it and the
    day was never erased."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Keyring()
        self.added: dict[int, set[int]] = {0: set(), 1: set()}  # epoch → days of which a key was added
        self.erased = 0

    @rule(epoch=st.integers(0, 1), days=st.integers(0, 12))
    def add(self, epoch: int, days: int) -> None:
        new = not self.added[epoch] or max(days, self.erased) < max(min(self.added[epoch]), self.erased)
        key = daykeys.advance(bytes((epoch,)) * 32, days)
        assert self.ring.add(CHANNEL, bytes((epoch,)) * 32, DAY + days, key) == new
        self.added[epoch].add(days)

    @rule(days=st.integers(0, 14))
    def erase(self, days: int) -> None:
        self.ring.erase(DAY + days)
        self.erased = max(self.erased, days)

    @invariant()
    def opens_what_it_may(self) -> None:
        for epoch, added in self.added.items():
            for days in range(0, 16, 3):
                expected = days >= self.erased and any(day <= days for day in added)
                assert opens(self.ring, DAY + days, daykeys.advance(bytes((epoch,)) * 32, days)) == expected


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
