"""How many links are dialled, and which goes for another."""

from meshd.limits import DIALLED_MIN, INBOUND_MAX, LASTING_MS, LINKS_EASY, LINKS_MAX, LINKS_MIN
from meshd.proto.session import Session, State
from meshd.proto.slots import Slot, making_room, room, wish

NOW_MS = 1_000_000


def sessions(dialled: int, accepted: int) -> list[Session]:
    made = []
    for number in range(dialled + accepted):
        session = Session(
            dialled=number < dialled,
            static=(b"", b""),
            psk=b"",
            entropy=bytes,
            mono_ms=0,
            greeting=lambda: (),
        )
        session.state = State.OPEN
        made.append(session)
    return made


def links(dialled: int, accepted: int, *, age_ms: int = LASTING_MS, asked_for: bool = False) -> list[Slot]:
    """So many of each kind; the first is the least useful."""
    made = []
    for number, session in enumerate(sessions(dialled, accepted)):
        session.since_ms = NOW_MS - age_ms
        made.append(Slot(number, f"10.0.0.{number}", session, number, asked_for, False))
    return made


def new(*, dialled: bool = False, is_contact: bool = False, host: str = "10.0.1.1") -> Slot:
    """The link that comes."""
    (session,) = sessions(int(dialled), int(not dialled))
    session.since_ms = NOW_MS
    return Slot(99, host, session, 0, False, is_contact)


def test_who_dials_again_puts_out_a_link_of_its_own_host_or_none() -> None:
    assert making_room(links(3, INBOUND_MAX), new(host="10.0.0.7"), NOW_MS) == (True, 7)
    young = links(3, INBOUND_MAX)
    young[7].session.since_ms = NOW_MS
    assert making_room(young, new(host="10.0.0.7"), NOW_MS) == (False, None)
    assert making_room(young, new(), NOW_MS) == (True, 3), "while others find a place"
    assert making_room(young, new(host="10.0.0.1"), NOW_MS) == (True, 3), (
        "we dialled that host: it has no place of ours"
    )


def test_what_we_dial_takes_the_place_of_the_least_useful_one_wherever_it_leads() -> None:
    full = links(DIALLED_MIN - 1, LINKS_MAX - DIALLED_MIN + 1)
    accepted = full[-1]
    assert making_room(full, new(dialled=True, host=accepted.host), NOW_MS) == (True, DIALLED_MIN - 1)


def test_who_dials_us_bounds_nothing_that_we_dial_and_what_we_dial_nobody_who_dials_us() -> None:
    for accepted in (INBOUND_MAX, LINKS_MAX - DIALLED_MIN):
        assert making_room(links(2, accepted), new(dialled=True), NOW_MS) == (True, None)
    assert making_room(links(DIALLED_MIN, LINKS_EASY - DIALLED_MIN), new(), NOW_MS) == (True, None)


def test_few_all_link_to_each_other_and_many_dial_so_many_that_they_are_one_mesh() -> None:
    assert wish([]) == LINKS_MIN
    assert wish(sessions(0, LINKS_MIN - 1)) == DIALLED_MIN
    assert wish(sessions(DIALLED_MIN, LINKS_MIN - 1 - DIALLED_MIN)) == 1
    assert wish(sessions(DIALLED_MIN, LINKS_MIN - DIALLED_MIN)) == 0
    assert wish(sessions(0, LINKS_MAX - 2)) == 2


def test_strangers_in_the_handshake_take_no_room_from_dials() -> None:
    waiting = sessions(0, 30)
    for session in waiting:
        session.state = State.CALLED
    assert room(waiting) == room([]) and wish(waiting) == LINKS_MIN


def test_who_is_accepted_beyond_the_bound_takes_the_place_of_the_least_useful_one_accepted() -> None:
    assert making_room(links(0, INBOUND_MAX - 1), new(), NOW_MS) == (True, None)
    assert making_room(links(0, INBOUND_MAX), new(), NOW_MS) == (True, 0)
    assert making_room(links(3, INBOUND_MAX), new(), NOW_MS) == (True, 3)
    assert making_room(links(LINKS_MAX - 2, 2), new(), NOW_MS) == (True, LINKS_MAX - 2)


def test_links_that_are_young_or_asked_for_stay() -> None:
    for stay in (links(0, INBOUND_MAX, age_ms=LASTING_MS - 1), links(0, INBOUND_MAX, asked_for=True)):
        assert making_room(stay, new(), NOW_MS) == (False, None)


def test_of_equals_the_younger_one_goes() -> None:
    slots = [slot._replace(usefulness=5) for slot in links(0, INBOUND_MAX)]
    for slot, younger_ms in zip(slots, (3, 1, 2, 8, 5, 6, 7, 4), strict=True):
        slot.session.since_ms -= 8 - younger_ms
    assert making_room(slots, new(), NOW_MS) == (True, 3)


def test_what_strangers_dial_never_takes_the_place_of_what_we_dialled() -> None:
    assert making_room(links(LINKS_MAX, 0), new(), NOW_MS) == (False, None)


def test_an_explored_link_takes_a_place_only_where_there_are_links_enough() -> None:
    assert making_room(links(DIALLED_MIN, LINKS_EASY - DIALLED_MIN - 1), new(dialled=True), NOW_MS) == (
        True,
        None,
    )
    assert making_room(links(DIALLED_MIN, LINKS_EASY - DIALLED_MIN), new(dialled=True), NOW_MS) == (
        True,
        0,
    )
    young = links(DIALLED_MIN, LINKS_EASY - DIALLED_MIN, age_ms=0)
    assert making_room(young, new(dialled=True), NOW_MS) == (True, None)


def test_who_chose_too_few_takes_the_place_of_one_that_was_accepted() -> None:
    full = links(DIALLED_MIN - 1, LINKS_MAX - DIALLED_MIN + 1)
    assert making_room(full, new(dialled=True), NOW_MS) == (True, DIALLED_MIN - 1)
    assert making_room(links(DIALLED_MIN, LINKS_MAX - DIALLED_MIN, age_ms=0), new(dialled=True), NOW_MS) == (
        False,
        None,
    )


def contacts(slots: list[Slot], *numbers: int) -> list[Slot]:
    """The same, with these links as contacts."""
    return [slot._replace(is_contact=slot.link in numbers) for slot in slots]


def test_a_contact_takes_the_place_of_a_stranger_who_dialled_us_however_young_or_useful() -> None:
    young = links(0, INBOUND_MAX, age_ms=0)
    assert making_room(young, new(is_contact=True), NOW_MS) == (True, None)  # beyond what strangers may have
    assert making_room(
        links(DIALLED_MIN, LINKS_MAX - DIALLED_MIN, age_ms=0), new(is_contact=True), NOW_MS
    ) == (
        True,
        DIALLED_MIN,
    )


def test_contacts_who_dialled_us_take_no_place_of_strangers_who_do() -> None:
    slots = contacts(links(0, INBOUND_MAX + 1), 0, 1)
    assert making_room(slots, new(), NOW_MS) == (True, None)
    assert making_room(contacts(links(0, INBOUND_MAX + 1), 0), new(), NOW_MS) == (True, 1)


def test_no_contact_goes_for_anybody() -> None:
    accepted = contacts(links(0, LINKS_MAX - DIALLED_MIN), *range(LINKS_MAX))
    assert making_room(accepted, new(), NOW_MS) == (False, None)
    assert making_room(accepted, new(is_contact=True), NOW_MS) == (
        False,
        None,
    )  # places that we dial stay ours
    every = contacts(links(LINKS_MAX, 0), *range(LINKS_MAX))
    assert making_room(every, new(dialled=True, is_contact=True), NOW_MS) == (False, None)


def test_a_contact_whom_we_dial_takes_the_place_of_a_stranger_whom_we_dialled_last() -> None:
    full = links(DIALLED_MIN, LINKS_MAX - DIALLED_MIN)
    assert making_room(full, new(dialled=True, is_contact=True), NOW_MS) == (True, DIALLED_MIN)
    dialled = contacts(full, *range(DIALLED_MIN, LINKS_MAX))
    assert making_room(dialled, new(dialled=True, is_contact=True), NOW_MS) == (True, 0)


def test_what_was_asked_for_stays_even_for_a_contact() -> None:
    asked = links(0, LINKS_MAX - DIALLED_MIN, asked_for=True)
    assert making_room(asked, new(is_contact=True), NOW_MS) == (False, None)
