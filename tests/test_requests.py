"""The request box: what strangers may fill, what the user's answers do, and that nothing comes back."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from meshd.groups.requests import Request, RequestBox
from meshd.limits import (
    REFUSED_HOURS,
    REQUEST_TEXT_MAX,
    REQUESTS_EACH_MAX,
    REQUESTS_HOUR_MAX,
    REQUESTS_MAX,
)

HOUR = 500_000


def request(sender: int, number: int = 0, *, until: int = HOUR + 72, text: str = "hello") -> Request:
    return Request(
        bytes((sender, number % 256, number // 256)).ljust(32),
        bytes((sender,)) * 32,
        b"c" * 16,
        text,
        7,
        until,
    )


def offered(box: RequestBox, *requests: Request, hour: int = HOUR) -> list[bool]:
    return [box.offer(each, hour, is_blocked=False) for each in requests]


def test_first_words_wait_in_their_order_and_once() -> None:
    box = RequestBox()
    assert offered(box, request(2), request(1), request(2)) == [True, True, False]
    assert box.all() == [request(2), request(1)]
    assert RequestBox(box.all()).all() == box.all()


def test_one_sender_fills_little() -> None:
    box = RequestBox()
    assert offered(box, *(request(1, n) for n in range(REQUESTS_EACH_MAX + 1))) == [
        True
    ] * REQUESTS_EACH_MAX + [False]
    assert offered(box, request(2)) == [True]


def test_many_senders_fill_the_box_and_push_nothing_out() -> None:
    box = RequestBox()
    many = [request(n) for n in range(REQUESTS_MAX)]
    hours = {each: HOUR + n // REQUESTS_HOUR_MAX for n, each in enumerate(many)}
    assert all(offered(box, each, hour=hour) == [True] for each, hour in hours.items())
    late = HOUR + 10
    assert offered(box, request(200), hour=late) == [False] and box.is_full(late)
    assert box.all() == many
    box.take(many[5].sender)
    assert not box.is_full(late) and offered(box, request(200), hour=late) == [True]


def test_no_more_than_so_many_are_kept_in_an_hour() -> None:
    box = RequestBox()
    assert all(offered(box, *(request(n) for n in range(REQUESTS_HOUR_MAX))))
    assert box.is_full(HOUR) and offered(box, request(200)) == [False]
    box.take(request(3).sender)
    assert offered(box, request(200)) == [False], "who is accepted makes no room for a pest"
    assert not box.is_full(HOUR + 1) and offered(box, request(200), hour=HOUR + 1) == [True]


def test_a_long_text_is_cut() -> None:
    box = RequestBox()
    offered(box, request(1, text="x" * (REQUEST_TEXT_MAX + 1)))
    assert box.all()[0].text == "x" * REQUEST_TEXT_MAX


def test_who_is_accepted_is_taken_out_and_may_come_again() -> None:
    box = RequestBox()
    offered(box, request(1), request(2), request(1, 1))
    assert box.take(request(1).sender) == [request(1), request(1, 1)]
    assert box.all() == [request(2)] and offered(box, request(1)) == [True]


def test_who_is_refused_waits_a_while() -> None:
    box = RequestBox()
    offered(box, request(1))
    assert box.refuse(request(1).sender, HOUR) == [request(1)]
    end = HOUR + REFUSED_HOURS
    late = request(1, 1, until=end + 72)
    assert offered(box, late, hour=end - 1) == [False] and offered(box, late, hour=end) == [True]
    again = RequestBox((), {request(1).sender: end})
    assert offered(again, late, hour=end - 1) == [False]


def test_of_who_is_blocked_nothing_is_kept() -> None:
    box = RequestBox()
    assert not box.offer(request(1), HOUR, is_blocked=True) and box.all() == []


def test_what_is_over_goes() -> None:
    box = RequestBox()
    assert offered(box, request(1, until=HOUR), request(2, until=HOUR + 1)) == [False, True]
    assert box.expire(HOUR) == [] and box.expire(HOUR + 1) == [request(2, until=HOUR + 1)]
    box.refuse(b"1" * 32, HOUR)
    box.expire(HOUR + REFUSED_HOURS)
    assert box.refused == {}


SENDERS = st.integers(0, 5)


class Box(RuleBasedStateMachine):
    """Strangers who write as they like, and a user who answers, against a plain list of what should be there."""

    @initialize()
    def begin(self) -> None:
        self.box, self.hour = RequestBox(), HOUR
        self.waiting: list[Request] = []
        self.refused: dict[bytes, int] = {}
        self.blocked: set[bytes] = set()
        self.in_hour = 0

    @rule(sender=SENDERS, number=st.integers(0, 4), lives=st.integers(-1, 200))
    def write(self, sender: int, number: int, lives: int) -> None:
        came = request(sender, number, until=self.hour + lives)
        counts = Counter(each.sender for each in self.waiting)
        may = (
            came.sender not in self.blocked
            and self.refused.get(came.sender, 0) <= self.hour
            and lives > 0
            and came.id not in {each.id for each in self.waiting}
            and counts[came.sender] < REQUESTS_EACH_MAX
            and self.in_hour < REQUESTS_HOUR_MAX
        )
        assert self.box.is_full(self.hour) == (self.in_hour >= REQUESTS_HOUR_MAX)
        assert self.box.offer(came, self.hour, is_blocked=came.sender in self.blocked) == may
        self.waiting += [came] * may
        self.in_hour += may

    @rule(sender=SENDERS, answer=st.sampled_from(["accept", "refuse", "block", "unblock"]))
    def answer(self, sender: int, answer: str) -> None:
        who = request(sender).sender
        if answer == "unblock":
            self.blocked.discard(who)
            return
        theirs = [each for each in self.waiting if each.sender == who]
        if answer == "refuse":
            assert self.box.refuse(who, self.hour) == theirs
            self.refused[who] = self.hour + REFUSED_HOURS
        else:
            assert self.box.take(who) == theirs
            self.blocked |= {who} if answer == "block" else set()
        self.waiting = [each for each in self.waiting if each.sender != who]

    @rule(hours=st.integers(1, 100))
    def wait(self, hours: int) -> None:
        self.hour += hours
        self.in_hour = 0
        assert self.box.expire(self.hour) == [each for each in self.waiting if each.until <= self.hour]
        self.waiting = [each for each in self.waiting if each.until > self.hour]

    @rule()
    def restart(self) -> None:
        self.box = RequestBox(self.box.all(), self.box.refused)
        self.in_hour = 0

    @invariant()
    def it_is_what_it_should_be(self) -> None:
        if hasattr(self, "box"):
            assert self.box.all() == self.waiting
            assert not any(each.sender in self.blocked for each in self.box.all())
            assert (
                max(Counter(each.sender for each in self.box.all()).values(), default=0) <= REQUESTS_EACH_MAX
            )


TestBox = Box.TestCase
TestBox.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
