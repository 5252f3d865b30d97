"""When a segment speaks and whom it knows: all timings at virtual seconds, with no socket and no clock."""

import ipaddress
import random

import pytest
from zeroconf import DNSOutgoing, DNSText

from meshd.limits import ADDRESSES_PER_INSTANCE_MAX, CANDIDATES_MAX
from meshd.net.interfaces import Interface
from meshd.net.mdns import TTL_S, Announcement, answer_packet, query_packet, read_packet
from meshd.net.segment import ASK_MAX, KNOWN_MAX, UNICAST_MAX, Segment

TAG = "0123456789abcdef" * 2
OURS = Announcement("oak", "kitchen", 4000, TAG)
PEER = Announcement("elm", "cellar", 5000, TAG)
PEER_IP = ipaddress.ip_address("10.77.0.2")
WLAN = Interface("wlan0", 2, ((ipaddress.ip_address("10.77.0.1"), 24),))


def read(packet):
    decoded = read_packet(packet)
    assert decoded is not None
    return decoded


def new(**how) -> Segment:
    return Segment(WLAN, random.Random(1), 0.0, **how)


def run(segment: Segment, begin: float, end: float) -> list[tuple[float, object]]:
    """Let the segment speak whenever it is due; what it said, decoded, with the times."""
    said = []
    now = begin
    while now <= end:
        said += [(now, read(packet)) for packet in segment.speak(now)]
        segment.expire(now)
        assert segment.due() > now, "due at once after speaking: a loop that never sleeps"
        now = segment.due()
    return said


def hear(segment: Segment, packet: bytes, now: float) -> list[str]:
    return segment.heard(read(packet), ("oak",), now)[0]


def answers(said):
    return [at for at, packet in said if not packet.query]


def queries(said):
    return [at for at, packet in said if packet.query]


def test_announces_at_once_and_again_after_a_second():
    segment = new()
    segment.announce(OURS, 0.0)
    assert answers(run(segment, 0.0, 300.0)) == [0.0, 1.0]


def test_asks_at_0_1_3_and_then_every_minute():
    said = run(new(), 0.0, 200.0)
    assert queries(said) == [0.0, 1.0, 3.0, 63.0, 123.0, 183.0]
    assert [packet.questions[0].unicast for _, packet in said] == [True] + [False] * 5


def test_goodbye_twice_only_for_what_was_announced_here():
    segment = new()
    segment.announce(OURS, 0.0)
    segment.announce(PEER, 0.0)  # nothing was said yet, so there is nothing to take back
    assert [list(packet.pointers) for _, packet in run(segment, 0.0, 0.0) if not packet.query] == [["elm"]]
    segment.announce(OURS, 10.0)
    farewells = [at for at, packet in run(segment, 10.0, 20.0) if packet.pointers == {"elm": 0}]
    assert farewells == [10.0, 10.25]


def test_many_questions_one_answer_and_one_a_second():
    segment = new()
    segment.announce(OURS, 0.0)
    run(segment, 0.0, 10.0)
    query = read(query_packet(browse=True))
    said = 0
    for step in range(1000):  # a hundred questions a second for ten seconds
        now = 20 + step / 100
        assert segment.questioned(query, now) is None
        said += sum(not read(packet).query for packet in segment.speak(now))
    assert 9 <= said <= 11
    at = answers(run(segment, 30.0, 40.0))
    assert len(at) == 1
    segment = new()  # and one question alone is answered soon, but not at once
    segment.announce(OURS, 0.0)
    run(segment, 0.0, 10.0)
    segment.questioned(query, 20.0)
    (at,) = answers(run(segment, 20.0, 30.0))
    assert 20.02 <= at <= 20.12


def test_a_question_for_one_is_answered_to_one_and_bounded():
    segment = new()
    segment.announce(OURS, 0.0)
    query = read(query_packet(browse=True, unicast=True))
    replies = [segment.questioned(query, 5.0) for _ in range(100)]
    assert read(replies[0]).services == {"oak": ("kitchen.local.", 4000, TTL_S)}
    assert sum(reply is not None for reply in replies) == UNICAST_MAX
    assert segment.questioned(query, 6.1) is not None


@pytest.mark.parametrize(("left_s", "answered"), [(TTL_S // 2, True), (TTL_S // 2 + 1, False)])
def test_what_the_asker_knows_is_not_said_again(left_s, answered):
    segment = new()
    segment.announce(OURS, 0.0)
    query = read(query_packet(browse=True, unicast=True, known=[("oak", left_s)]))
    assert (segment.questioned(query, 5.0) is not None) == answered


@pytest.mark.parametrize(
    "query",
    [
        query_packet(instances=["oak"]),
        query_packet(instances=["OAK"]),
        query_packet(hosts=["kitchen.local."]),
        query_packet(browse=True, known=[("elm", 100)]),
    ],
)
def test_answers_what_is_about_us(query):
    segment = new()
    segment.announce(OURS, 0.0)
    run(segment, 0.0, 2.0)
    segment.questioned(read(query), 5.0)
    assert len(answers(run(segment, 5.0, 10.0))) == 1


@pytest.mark.parametrize("query", [query_packet(instances=["elm"]), query_packet(hosts=["cellar.local."])])
def test_does_not_answer_for_others(query):
    segment = new()
    segment.announce(OURS, 0.0)
    run(segment, 0.0, 2.0)
    segment.questioned(read(query), 5.0)
    assert answers(run(segment, 5.0, 10.0)) == []


def test_one_announcement_is_enough_to_know_a_peer():
    segment = new()
    assert hear(segment, answer_packet(PEER, [PEER_IP]), 1.0) == ["elm"]
    sighting = segment.sightings["elm"]
    assert sighting.complete and sighting.tag == TAG
    assert [str(address) for address in segment.addresses(sighting)] == ["10.77.0.2:5000"]


def test_link_local_addresses_get_the_scope_of_the_segment():
    segment = new()
    hear(segment, answer_packet(PEER, [ipaddress.ip_address("fe80::2")]), 1.0)
    assert [str(a) for a in segment.addresses(segment.sightings["elm"])] == ["[fe80::2%wlan0]:5000"]


def test_the_missing_is_asked_for_three_times_at_most():
    segment = new()
    run(segment, 0.0, 4.0)
    pointer_only = query_packet(browse=True, known=[("elm", 100)])
    response = b"\0\0\x84\0" + pointer_only[4:]  # its known pointer as the answer of a response
    hear(segment, response, 5.0)
    asked = [at for at, packet in run(segment, 5.0, 60.0) if packet.questions[0].name.startswith("elm.")]
    assert len(asked) == ASK_MAX and asked[0] < 5.1


def test_known_peers_are_named_in_questions_but_only_so_many():
    segment = new()
    for number in range(KNOWN_MAX + 5):
        hear(segment, answer_packet(PEER._replace(instance=f"elm{number}"), [PEER_IP]), 0.0)
    (packet,) = segment.speak(0.0)
    assert len(read(packet).pointers) == KNOWN_MAX


def test_a_sighting_lives_as_long_as_its_record_says_and_is_asked_for_before():
    segment = new()
    run(segment, 0.0, 4.0)
    hear(segment, answer_packet(PEER, [PEER_IP]), 5.0)
    assert segment.expire(124.9) == []
    assert segment.expire(125.0) == ["elm"]
    hear(segment, answer_packet(PEER, [PEER_IP]), 130.0)
    asked = queries(run(segment, 130.0, 249.0))
    assert (
        len([at for at in asked if at >= 220.0]) >= 5
    )  # it says nothing, so every five seconds near the end


def test_goodbye_is_believed_at_once():
    segment = new()
    hear(segment, answer_packet(PEER, [PEER_IP]), 1.0)
    assert hear(segment, answer_packet(PEER, [PEER_IP], 0), 2.0) == ["elm"]
    assert segment.sightings == {}
    assert hear(segment, answer_packet(PEER, [PEER_IP], 0), 2.1) == []


def test_a_goodbye_in_pieces_brings_nobody_back():
    out = DNSOutgoing(0x8400)
    out.add_answer_at_time(DNSText("elm._meshd._tcp.local.", 16, 1, 0, b"\x22t=" + TAG.encode()), 0)
    segment = new()
    assert hear(segment, out.packets()[0], 1.0) == []
    assert segment.sightings == {}


def test_a_goodbye_for_us_that_we_did_not_say_is_contradicted():
    segment = new()
    segment.announce(OURS, 0.0)
    run(segment, 0.0, 5.0)
    hear(segment, answer_packet(OURS, [PEER_IP], 0), 10.0)
    assert answers(run(segment, 10.0, 20.0)) == [10.0]
    assert segment.sightings == {}


def test_the_longest_unheard_makes_room_and_the_bound_holds():
    segment = new()
    for number in range(CANDIDATES_MAX):
        hear(segment, answer_packet(PEER._replace(instance=f"elm{number}"), [PEER_IP]), 1.0 + number)
    hear(segment, answer_packet(PEER._replace(instance="elm0"), [PEER_IP]), 1000.0)
    changed, forgotten = segment.heard(read(answer_packet(PEER, [PEER_IP])), (), 1001.0)
    assert (changed, forgotten) == (["elm"], ["elm1"])
    assert len(segment.sightings) == CANDIDATES_MAX


def test_addresses_are_bounded_and_replaced_by_family():
    segment = new()
    many = [ipaddress.ip_address(f"10.77.0.{n}") for n in range(2, 2 + ADDRESSES_PER_INSTANCE_MAX)]
    hear(segment, answer_packet(PEER, many), 1.0)
    hear(segment, answer_packet(PEER, [ipaddress.ip_address(f"fe80::{n:x}") for n in range(2, 9)]), 1.0)
    assert len(segment.sightings["elm"].ips) == ADDRESSES_PER_INSTANCE_MAX
    hear(segment, answer_packet(PEER, [ipaddress.ip_address("10.77.0.99")]), 2.0)
    assert [str(ip) for ip in segment.sightings["elm"].ips if ip.version == 4] == ["10.77.0.99"]
    six = ipaddress.ip_address("fe80::5")
    hear(segment, answer_packet(PEER, [six]), 3.0)  # another family: both stay
    assert segment.sightings["elm"].ips == (six, ipaddress.ip_address("10.77.0.99"))


def test_a_silent_segment_says_nothing_whatever_happens():
    segment = new(silent=True)
    segment.announce(OURS, 0.0)
    segment.questioned(read(query_packet(browse=True, unicast=True)), 1.0)
    hear(segment, b"\0\0\x84\0" + query_packet(browse=True, known=[("elm", 100)])[4:], 1.0)
    hear(segment, answer_packet(PEER, [PEER_IP]), 2.0)
    assert run(segment, 0.0, 500.0) == []
    assert segment.goodbye() == []


@pytest.mark.parametrize(
    ("source", "near"),
    [
        ("10.77.0.200", True),
        ("10.77.1.1", False),
        ("8.8.8.8", False),
        ("fe80::1", True),
        ("2001:db8::1", False),
    ],
)
def test_only_neighbours_are_listened_to(source, near):
    assert new().on_link(ipaddress.ip_address(source)) == near
