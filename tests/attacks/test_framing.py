"""F: hostile encodings, from the head of an array to the slots of a post.

What is malformed closes the link that brought it, is neither kept nor passed on, and keeps nothing good out: each
case is given to a real node, which then takes the honest envelope from somebody else.
"""

import contextlib
import tracemalloc
from pathlib import Path

import pytest

from meshd import codec, envelope, limits, post
from meshd.errors import PeerError
from meshd.ids import post_id
from meshd.proto import message as msg
from tests import wire
from tests.homes import PLAZA, Home, Stranger, Table, linked
from tests.wire import WALL_MS, Author, hello, item

OAK = Author()
MIB = 1024 * 1024


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Table(tmp_path).home()
    made.ask("channel.join", name="plaza")
    return made


def refused(home: Home, raw: bytes, honest: bytes = b"") -> None:
    """The node hangs up on who gives `raw`, keeps nothing of it, and takes `honest` from the next one."""
    before, watching, liar = home.raws(), linked(home, 1), linked(home, 2)
    liar.give(raw)
    assert liar.down is not None and watching.is_open
    assert home.raws() == before and not watching.heard(msg.Have) and not watching.given()
    honest = honest or OAK.envelope(channel=PLAZA)
    linked(home, 3).give(honest)
    assert home.raws() == [*before, honest]


def slots(made: post.Post) -> list[bytes]:
    """The slots of a post, each packed."""
    return [item(slot) for slot in made]


def sealed(signed: bytes, *, slot: int = -1, instead: bytes = b"") -> bytes:
    """An envelope with a right signature, one of whose four slots is replaced if asked for."""
    parts = [item(1), item(0), item(signed), item(post.sign(OAK.secret, post_id(signed)))]
    if slot >= 0:
        parts[slot] = instead
    return wire.array(*parts)


def peak(hostile: bytes) -> int:
    """The most memory that these bytes take in any decoder; nothing comes out of one."""
    tracemalloc.start()
    try:
        for schema in ((int, bytes), (int, int, bytes, bytes), (bytes,) * 15):
            with pytest.raises(PeerError):
                codec.unpack(hostile, schema, len(hostile))
        for decode in (msg.decode, envelope.parse, post.parse):
            with contextlib.suppress(PeerError):
                assert decode(hostile) is None  # of another version or kind, and not looked into
        assert post.parse_text(hostile) is None
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [15, 16, MIB])
def test_F05_a_megabyte_of_empty_maps_never_becomes_objects(count: int) -> None:
    assert peak(wire.header("array", count) + wire.EMPTY_MAP * MIB) < 8 * MIB
    assert peak(wire.header("array", count) + wire.array() * MIB) < 8 * MIB


def test_F05_a_tree_of_small_arrays_never_becomes_objects() -> None:
    tree = wire.array()
    for _ in range(5):
        tree = wire.array(*[tree] * codec.SLOTS_MAX)
    assert len(tree) > 800_000 and peak(tree) < MIB


@pytest.mark.parametrize("depth", [1, 15, 600, 1_000_000])
@pytest.mark.parametrize("opening", [b"\x91", b"\x81", b"\x92\1", b"\xdc\0\1", b"\x91\x81\1"], ids=bytes.hex)
def test_F06_nested_arrays_are_refused_by_the_schema(depth: int, opening: bytes) -> None:
    for hostile in (opening * depth, opening * depth + item(1)):
        with pytest.raises(PeerError) as caught:
            codec.unpack(hostile, (int, bytes), len(hostile))
        assert len(repr(caught.value)) < 200 and len(str(caught.value)) < 200


def test_F06_a_node_hangs_up_on_a_nested_message_and_says_so(home: Home) -> None:
    for seed, depth in enumerate((1, 600, 100_000)):
        liar = linked(home, seed)
        writer = liar.session._writer
        assert writer is not None
        writer.queue(b"\x92\2" + b"\x91" * depth, 0)
        liar.say()
        assert liar.down is not None and len(liar.down) < 200
    refused(home, b"\x94\1\0" + b"\x91" * 600)


@pytest.mark.parametrize(
    "header",
    [b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\xc9", b"\xdc", b"\xde", b"\xc5", b"\xda", b"\xc8"],
    ids=bytes.hex,
)
def test_F07_sizes_of_4_gib_are_refused_before_anything_is_set_aside(header: bytes) -> None:
    claim = header + b"\xff" * 4
    for hostile in (
        claim,
        claim + b"\1" * 100,
        b"\x92\2" + claim,
        b"\x94\1\0" + claim,
        wire.array(item(8), item(0), claim),
    ):
        assert peak(hostile) < MIB


@pytest.mark.parametrize(
    "pairs",
    [b"\x82\1\1\1\1", b"\x82\xa1k\1\xa1k\2", b"\xde\0\2\1\1\1\1"],
    ids=["fixmap", "text keys", "map16"],
)
def test_F08_duplicate_keys_are_refused_and_the_id_not_recorded(home: Home, pairs: bytes) -> None:
    signed = post.encode(OAK.post(channel=PLAZA))
    refused(home, sealed(signed, slot=2, instead=pairs), sealed(signed))


@pytest.mark.parametrize("pairs", [b"\x82\1\1\1\1", b"\x81\1\1", b"\x80"])
def test_F08_a_map_in_any_slot_of_a_post_or_message_is_refused(pairs: bytes) -> None:
    for place in range(11):
        parts = slots(OAK.post())
        parts[place] = pairs
        with pytest.raises(PeerError):
            post.parse(wire.array(*parts))
    for place in (1, 2):
        parts = [item(8), item(0), item(b"")]
        parts[place] = pairs
        with pytest.raises(PeerError):
            msg.decode(wire.array(*parts))


LONGER = {
    "array16": lambda parts: wire.array(*parts, width=2),
    "array32": lambda parts: wire.array(*parts, width=4),
    "int": lambda parts: wire.array(item(1, 1), *parts[1:]),
    "int64": lambda parts: wire.array(*parts[:5], item(1, 8), *parts[6:]),
    "bin16": lambda parts: wire.array(parts[0], item(PLAZA, 2), *parts[2:]),
    "bin32": lambda parts: wire.array(*parts[:10], item(OAK.post().body, 4)),
}


@pytest.mark.parametrize("form", LONGER)
def test_F09_a_validly_signed_post_in_a_longer_form_is_refused_and_not_relayed(home: Home, form: str) -> None:
    made = OAK.post(channel=PLAZA)
    signed = LONGER[form](slots(made))
    assert signed != post.encode(made)
    refused(home, sealed(signed))


@pytest.mark.parametrize("width", [2, 4])
def test_F09_a_longer_form_of_the_envelope_round_a_good_post(home: Home, width: int) -> None:
    signed = post.encode(OAK.post(channel=PLAZA))
    refused(home, sealed(signed, slot=2, instead=item(signed, width)), sealed(signed))


def test_F10_a_trailing_byte_is_refused(home: Home) -> None:
    signed = post.encode(OAK.post(channel=PLAZA))
    refused(home, sealed(signed) + b"\0", sealed(signed))


def test_F10_a_trailing_byte_inside_the_signature_is_refused(home: Home) -> None:
    refused(home, sealed(post.encode(OAK.post(channel=PLAZA)) + b"\0"))


OTHERS = {
    "float": wire.FLOAT, "nan": wire.NAN, "-0.0": wire.MINUS_ZERO, "true": wire.TRUE, "nil": wire.NIL,
    "-1": wire.MINUS_ONE, "timestamp": wire.TIMESTAMP, "ext": b"\xd4\5\0", "array": wire.array(),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_F11_another_type_in_any_slot_is_refused(other: str) -> None:
    for place in range(11):
        parts = slots(OAK.post())
        for wrong in (OTHERS[other], item("text")):
            parts[place] = wrong
            with pytest.raises(PeerError):
                post.parse(wire.array(*parts))
    for place in (2, 3):
        for wrong in (OTHERS[other], item("text")):
            with pytest.raises(PeerError):
                envelope.parse(sealed(post.encode(OAK.post()), slot=place, instead=wrong))


@pytest.mark.parametrize("other", OTHERS)
def test_F11_a_node_hangs_up_on_another_type(home: Home, other: str) -> None:
    parts = slots(OAK.post(channel=PLAZA))
    parts[7] = OTHERS[other]
    refused(home, sealed(wire.array(*parts)))


@pytest.mark.parametrize("value", [2**64 - 1, 2**63], ids=["2^64-1", "2^63"])
@pytest.mark.parametrize(
    "place", [4, 5, 7, 8, 9], ids=["incarnation", "sequence", "hlc", "kind", "keep-until"]
)
def test_F14_numbers_no_database_can_hold_are_refused(home: Home, place: int, value: int) -> None:
    parts = slots(OAK.post(channel=PLAZA))
    parts[place] = item(value)
    refused(home, sealed(wire.array(*parts)))


@pytest.mark.parametrize(
    "negative", [b"\xff", b"\xe0", b"\xd0\x80", b"\xd1\x80\0", b"\xd3\x80" + bytes(7)], ids=bytes.hex
)
def test_F14_negative_numbers_are_refused(home: Home, negative: bytes) -> None:
    for place in (4, 5, 7, 8, 9):
        parts = slots(OAK.post(channel=PLAZA))
        parts[place] = negative
        with pytest.raises(PeerError):
            post.parse(wire.array(*parts))
    refused(home, sealed(wire.array(*parts)))


def test_F14_the_greatest_numbers_that_are_legal_are_kept_and_shown(home: Home) -> None:
    raw = OAK.envelope(
        channel=PLAZA,
        incarnation=2**63 - 1,
        sequence=limits.SEQUENCE_MAX,
        parents=b"p" * 32,
        hlc=WALL_MS << 16 | 0xFFFF,
    )
    giver = linked(home, 1)
    giver.give(raw)
    assert giver.is_open and home.texts() == ["hello"]
    asking = linked(home, 2)
    asking.say(msg.Reconcile(0, 2**63 - 1, 2**63 - 1, 2**63 - 1, b"\x61"))
    home.table.run(60_000)
    assert asking.heard(msg.Reconcile)


def test_F14_the_greatest_numbers_in_a_hello_break_nothing(home: Home) -> None:
    top = 2**63 - 1
    greeting = [
        hello(
            features=top,
            wall_hour=top,
            floor_hour=top,
            envelope_size_max=top,
            message_size_max=top,
            key_count=top,
        )
    ]
    stranger = Stranger(home, greeting=greeting)
    home.table.run(60_000)
    home.post("still here")
    home.table.run(60_000)
    assert home.texts() == ["still here"] and stranger.heard(msg.Hello)


@pytest.mark.parametrize(
    "stamp", [b"\xd6\xff" + bytes(4), b"\xd7\xff" + bytes(8), b"\xc7\x0c\xff" + bytes(12)]
)
def test_F15_a_timestamp_in_a_slot_of_integers_is_refused(home: Home, stamp: bytes) -> None:
    parts = slots(OAK.post(channel=PLAZA))
    parts[7] = stamp
    refused(home, sealed(wire.array(*parts)))
    with pytest.raises(PeerError):
        msg.decode(wire.array(item(2), stamp))


# --- versions and kinds ---


@pytest.mark.parametrize(("version", "kind"), [(2, 0), (0, 0), (127, 0), (1, 2), (1, 127)])
def test_F16_an_envelope_of_another_version_or_type_is_refused_in_silence(
    home: Home, version: int, kind: int
) -> None:
    giver, watching = linked(home, 1), linked(home, 2)
    signed = post.encode(OAK.post(channel=PLAZA))
    later = wire.array(item(version), item(kind), item(signed), item(post.sign(OAK.secret, post_id(signed))))
    giver.give(later, bytes((0x92, 2, 0)) + b"of another shape")
    assert giver.is_open and home.raws() == [] and not watching.heard(msg.Have)
    giver.give(sealed(signed))
    assert home.texts() == ["hello"]


@pytest.mark.parametrize("version", [0, 2])
def test_F16_a_post_of_another_version_is_never_read_as_one_of_ours(home: Home, version: int) -> None:
    refused(home, OAK.envelope(channel=PLAZA, version=version))


def test_F16_a_hello_of_another_version_ends_in_a_bye(home: Home) -> None:
    for seed, versions in enumerate((b"\2", b"\2\3")):
        stranger = Stranger(home, seed=seed, greeting=[hello(versions=versions)])
        home.table.settle()
        assert stranger.heard(msg.Bye) == [msg.Bye(msg.BYE_VERSION)]
        assert stranger.down is not None and home.open_links() == []


def test_F17_a_post_of_an_unknown_kind_is_relayed_and_chained_but_not_rendered(home: Home) -> None:
    first = OAK.post(channel=PLAZA, kind=200, body=b"\xc1 of a later version")
    second = OAK.post(channel=PLAZA, sequence=2, parents=post_id(post.encode(first)), hlc=(WALL_MS + 1) << 16)
    giver, watching = linked(home, 1), linked(home, 2)
    giver.give(OAK.seal(post.encode(first)), OAK.seal(post.encode(second)), fresh=True)
    assert watching.given() == [OAK.seal(post.encode(first)), OAK.seal(post.encode(second))]
    document = home.ask("read", channel="plaza")
    shown = [each for each in document["posts"] if each["text"] is not None]
    assert [each["text"] for each in shown] == ["hello"]
    assert document["missing"] == []  # the unknown one is no gap


def test_F17_a_text_that_does_not_decode_is_relayed_and_chained_but_not_rendered(home: Home) -> None:
    raw = OAK.envelope(channel=PLAZA, body=b"\x93\xa1\xff\xc4\0\xa0")
    giver, watching = linked(home, 1), linked(home, 2)
    giver.give(raw, fresh=True)
    assert giver.is_open and watching.given() == [raw]
    assert not any(each["text"] for each in home.ask("read", channel="plaza")["posts"])
