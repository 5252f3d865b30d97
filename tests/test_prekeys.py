"""Prekeys: one a day, announced nine days ahead, erased for good; what others announce is checked."""

import pytest

from meshd import codec, crypto
from meshd.errors import PeerError
from meshd.groups import prekeys
from meshd.groups.prekeys import Announcement, OwnPrekeys
from meshd.ids import inbox_channel_id
from meshd.limits import PREKEY_DAYS
from meshd.post import HOUR_MS, KIND_PREKEYS, KIND_TEXT, Post
from meshd.post import parse as parse_post
from tests import independent_prekeys as other
from tests.independent_sealed import Ignore
from tests.key_parts import ASH, OAK, TODAY, seeded
from tests.wire_vectors import b, load, named

DAY_MS = 24 * HOUR_MS
BODY = prekeys.encode(OAK.prekeys)


def post(**changes: object) -> Post:
    """The post with which Oak announces its prekeys."""
    plain = Post(
        1, inbox_channel_id(OAK.identity), b"", OAK.identity, 7, 1, b"", (TODAY * DAY_MS + 5) << 16,
        KIND_PREKEYS, TODAY * 24 + 168, BODY,
    )  # fmt: skip
    return plain._replace(**changes)  # type: ignore[arg-type]


def test_what_is_announced_is_read() -> None:
    assert prekeys.parse(post()) == OAK.prekeys
    assert len(OAK.prekeys.keys) == PREKEY_DAYS and OAK.prekeys.last_day == TODAY + 8
    for day in range(TODAY, TODAY + 9):
        secret = OAK.own.secret(day)
        assert secret is not None and OAK.prekeys.key(day) == crypto.x25519_keypair(secret)[0]
    assert OAK.prekeys.key(TODAY - 1) is OAK.prekeys.key(TODAY + 9) is None


def test_what_is_kept_as_day_and_keys_is_the_same() -> None:
    assert prekeys.parse_keys(TODAY, b"".join(OAK.prekeys.keys)) == OAK.prekeys


def test_a_day_has_one_prekey_however_often_it_is_announced() -> None:
    own = OwnPrekeys()
    first, made = own.announce(TODAY, seeded(1))
    again, none = own.announce(TODAY, seeded(2))
    later, one = own.announce(TODAY + 1, seeded(3))
    assert sorted(made) == list(range(TODAY, TODAY + 9)) and again == first and not none
    assert later.keys[:8] == first.keys[1:] and list(one) == [TODAY + 9]
    assert len(set(later.keys + first.keys)) == 10
    restarted = OwnPrekeys(made | one)
    assert restarted.announce(TODAY + 1, seeded(4)) == (later, {})


def test_who_was_away_announces_the_days_to_come() -> None:
    own = OwnPrekeys()
    own.announce(TODAY, seeded(1))
    announced, made = own.announce(TODAY + 30, seeded(2))
    assert announced.first_day == TODAY + 30 and len(made) == PREKEY_DAYS


def test_erased_secrets_are_gone() -> None:
    own = OwnPrekeys()
    _, made = own.announce(TODAY, seeded(1))
    own.erase(TODAY + 3)
    assert [own.secret(day) for day in made] == [None] * 3 + [
        made[day] for day in range(TODAY + 3, TODAY + 9)
    ]


LOW_ORDER = [bytes(32), (1).to_bytes(32, "little"), (2**255 - 19 - 1).to_bytes(32, "little"),
             bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")]  # fmt: skip


def announced(keys: list[bytes]) -> bytes:
    return codec.pack(TODAY, b"".join(keys))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"kind": KIND_TEXT}, id="a text"),
        pytest.param({"channel": inbox_channel_id(ASH.identity)}, id="in another's inbox"),
        pytest.param({"author": ASH.identity}, id="by another"),
        pytest.param({"hlc": ((TODAY + 1) * DAY_MS) << 16}, id="dated a day later"),
        pytest.param({"hlc": (TODAY * DAY_MS - 1) << 16}, id="dated a day earlier"),
        pytest.param({"body": b""}, id="nothing"),
        pytest.param({"body": BODY + b"\0"}, id="a byte behind"),
        pytest.param({"body": announced(list(OAK.prekeys.keys[:8]))}, id="a key less"),
        pytest.param({"body": announced([*OAK.prekeys.keys, ASH.prekeys.keys[0]])}, id="a key more"),
        pytest.param({"body": codec.pack(TODAY, b"k" * 287)}, id="a byte less"),
        pytest.param({"body": codec.pack(TODAY, "k" * 288)}, id="text"),
        *[
            pytest.param({"body": announced([*OAK.prekeys.keys[:8], key])}, id=f"low order {n}")
            for n, key in enumerate(LOW_ORDER)
        ],
    ],
)
def test_what_is_no_announcement_is_ignored(wrong: dict[str, object]) -> None:
    assert prekeys.parse(post(**wrong)) is None


def test_low_order_points_are_what_they_are_called() -> None:
    for key in LOW_ORDER:
        with pytest.raises(PeerError):
            crypto.x25519(b"s" * 32, key)


def test_too_few_are_not_announced() -> None:
    with pytest.raises(ValueError):
        prekeys.encode(Announcement(TODAY, OAK.prekeys.keys[:8]))


# --- both readers and the vectors ---

VECTORS = load("prekeys.json")


def read(content: bytes) -> Announcement | None:
    _, signed, _ = codec.unpack(content, (int, bytes, bytes), 1024)
    return prekeys.parse(parse_post(signed, sealed=True))


def test_the_announcement_of_the_vectors() -> None:
    vector = VECTORS["announcement"]
    keys = tuple(b(key) for key in vector["keys"])
    assert read(b(vector["content"])) == (VECTORS["day"], keys)
    assert other.announcement(b(vector["content"])) == (VECTORS["day"], list(keys))
    assert keys == tuple(crypto.x25519_keypair(b(secret))[0] for secret in VECTORS["secrets"])
    assert other.inbox(b(VECTORS["recipient"])) == inbox_channel_id(b(VECTORS["recipient"]))


@pytest.mark.parametrize("vector", named(VECTORS["ignored_announcements"]))
def test_an_announcement_that_both_readers_ignore(vector: dict[str, str]) -> None:
    with pytest.raises(Ignore):
        other.announcement(b(vector["content"]))
    assert read(b(vector["content"])) is None
