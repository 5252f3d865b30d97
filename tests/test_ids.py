"""Names on the wire: hashes with labels, keys and references, channel names, addresses."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd import ids
from meshd.errors import CallerError
from meshd.ids import Address


def blake(text: bytes, size: int) -> bytes:
    return hashlib.blake2b(text, digest_size=size).digest()


def test_every_hash_is_plain_blake2b_over_its_label() -> None:
    key, network = b"k" * 32, b"n" * 16
    assert ids.post_id(b"signed") == blake(b"\x0cmeshd/1 postsigned", 32)
    assert ids.network_id(key) == blake(b"\x0fmeshd/1 network" + key, 16)
    assert ids.link_psk(key) == blake(b"\x10meshd/1 link psk" + key, 32)
    assert ids.discovery_tag(key, "ab") == blake(b"\x11meshd/1 discovery" + key + b"ab", 16).hex()
    assert ids.public_channel_id(network, "plaza") == blake(
        b"\x16meshd/1 public channel" + network + b"plaza", 16
    )


def test_labels_differ_so_that_bytes_for_one_purpose_serve_no_other() -> None:
    labels = [value for name, value in vars(ids).items() if name.startswith("LABEL_")]
    assert len(labels) > 5
    assert len({ids.labelled(label, b"the same bytes") for label in labels}) == len(labels)
    assert ids.labelled(b"a", b"bc") != ids.labelled(b"ab", b"c")


@given(st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32))
def test_key_and_reference(hour: int, identity: bytes) -> None:
    key = ids.envelope_key(hour, identity)
    assert key == struct.pack(">Q", hour) + identity
    assert ids.key_hour(key) == hour
    assert ids.key_reference(key) == struct.pack(">I", hour) + identity[:16]


@given(
    st.tuples(st.integers(0, 2**32), st.binary(min_size=32, max_size=32)),
    st.tuples(st.integers(0, 2**32), st.binary(min_size=32, max_size=32)),
)
def test_keys_sort_by_hour_then_id(one: tuple[int, bytes], other: tuple[int, bytes]) -> None:
    assert (ids.envelope_key(*one) < ids.envelope_key(*other)) == (one < other)


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("plaza", "plaza"),
        ("#Plaza", "plaza"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("cafe\u0301", "caf\u00e9"),
        ("CAFÉ", "caf\u00e9"),
        ("x" * 64, "x" * 64),
        ("é" * 32, "é" * 32),
    ],
)
def test_a_channel_name_has_one_form(typed: str, canonical: str) -> None:
    assert ids.channel_name(typed) == canonical
    assert ids.channel_name(canonical) == canonical


@given(st.text(max_size=40))
def test_the_canonical_form_is_its_own(typed: str) -> None:
    try:
        name = ids.channel_name(typed)
    except CallerError:
        return
    assert ids.channel_name(name) == name


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "#",
        "##x",
        "a b",
        "a:b",
        "a#b",
        "a\tb",
        "a\nb",
        "a\0b",
        "a\u202eb",
        "a\u00a0b",
        "x" * 65,
        "é" * 33,
        "\ud800",
    ],
)
def test_what_is_no_channel_name(typed: str) -> None:
    with pytest.raises(CallerError):
        ids.channel_name(typed)


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("192.168.1.7:4040", Address("192.168.1.7", 4040)),
        ("laptop.local:1", Address("laptop.local", 1)),
        (" 10.0.0.1:65535 ", Address("10.0.0.1", 65535)),
        ("[fe80::1%eth0]:4040", Address("fe80::1%eth0", 4040)),
        ("[FC00:0::1]:4040", Address("fc00::1", 4040)),
    ],
)
def test_an_address_is_read_and_written_alike(typed: str, address: Address) -> None:
    assert Address.parse(typed) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "typed",
    [
        "", ":", "host", "host:", ":4040", "host:0", "host:65536", "host:-1", "host:4040x", "host:４０",
        "fe80::1:4040", "[fe80::1]", "[host]:1", "[]:1", "a b:1", "a\0b:1", "x" * 256 + ":1", "host:999999999999",
    ],
)  # fmt: skip
def test_what_is_no_address(typed: str) -> None:
    with pytest.raises(CallerError):
        Address.parse(typed)


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "169.254.7.7", "fc00::1",
        "fdff::1", "fe80::1%eth0",
    ],
)  # fmt: skip
def test_nearby_addresses_may_be_dialled_from_port_1024(host: str) -> None:
    assert ids.dialable(Address(host, 1024)) and ids.dialable(Address(host, 65535))
    assert not ids.dialable(Address(host, 1023)) and not ids.dialable(Address(host, 65536))


@pytest.mark.parametrize(
    "host",
    [
        "8.8.8.8", "172.32.0.1", "172.15.255.255", "100.128.0.1", "11.0.0.1", "224.0.0.251", "255.255.255.255",
        "0.0.0.0", "2001:db8::1", "::", "ff02::fb", "fe80::1", "fc00::1%eth0", "::ffff:10.0.0.1", "laptop.local",
        "127.0.0.1", "::1",
    ],
)  # fmt: skip
def test_other_addresses_may_not(host: str) -> None:
    assert not ids.dialable(Address(host, 4040))


def test_loopback_only_when_asked_for() -> None:
    assert ids.dialable(Address("127.0.0.1", 4040), loopback=True)
    assert ids.dialable(Address("::1", 4040), loopback=True)
