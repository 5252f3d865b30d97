"""Makes hashes.json, invites.json, cards.json and discovery.json: all that is a name, or derived from the network key.

Rule: each label of protocol.md, "Hashes and labels", has a vector with its parts, so that a slip in the order or in
a length shows; each refused entry has one thing wrong.
"""

import ipaddress
from typing import Any

from vectors_fixed import NETWORK, NETWORK_KEY, NOW_HOUR, NOW_MS, Vector, fixed, identity

from meshd import armor, card, crypto, ids, invite, post
from meshd.errors import CallerError
from meshd.groups import prekeys
from meshd.ids import LABEL_FINGERPRINT, Address, inbox_channel_id
from meshd.limits import PREKEY_DAYS
from meshd.net.mdns import Announcement, answer_packet
from meshd.post import DAY_MS, KIND_PREKEYS, KIND_TEXT, Post
from meshd.words import fingerprint

_CHANNELS = {
    "plain": "square",
    "a leading # is dropped": "#square",
    "digits": "2",
    "case": "SQUARE",
    "decomposed letters become composed": "cafe\u0301",
    "composed letters stay": "caf\u00e9",
    "sharp s folds to two letters": "Stra\u00dfe",
    "final sigma folds": "\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3",
    "Turkish dotted capital I folds to i and a dot": "\u0130zmir",
    "Cherokee folds to capitals": "\uab70",
    "folding can bring what NFC joins again": "\u0390\u1fd3",
    "another script": "\u0628\u063a\u062f\u0627\u062f",
    "a ligature folds, other compatibility forms stay": "\ufb01n\u2460",
    "64 bytes": "a" * 62 + "\u00e9",
}
_NO_CHANNELS = {
    "empty": "",
    "a # alone": "#",
    "two #": "##a",
    "a colon": "public:a",
    "a space": "a b",
    "a no-break space": "a\u00a0b",
    "a control character": "a\u0007",
    "a format character": "a\u200db",
    "a private-use character": "a\ue000",
    "an unassigned character": "a\U000e0fff",
    "65 bytes": "a" * 63 + "\u00e9",
}


def _refused(name: str) -> str:
    try:
        ids.channel_name(name)
    except CallerError:
        return name
    raise RuntimeError(f"not refused: {name!r}")


def hashes() -> Vector:
    """What hashes.json holds."""
    post, author, instance = fixed("signed bytes", 100), identity("oak")[1], "0123456789abcdef"
    return {
        "commons_key": ids.COMMONS_KEY.hex(),
        "network_key": NETWORK_KEY.hex(),
        "network_id": NETWORK.hex(),
        "link_psk": ids.link_psk(NETWORK_KEY).hex(),
        "invite_check": ids.labelled(ids.LABEL_INVITE, NETWORK_KEY)[:4].hex(),
        "discovery": {"instance": instance, "tag": ids.discovery_tag(NETWORK_KEY, instance)},
        "post": {"signed": post.hex(), "id": ids.post_id(post).hex()},
        "commons": {
            "network_id": ids.network_id(ids.COMMONS_KEY).hex(),
            "link_psk": ids.link_psk(ids.COMMONS_KEY).hex(),
            "channel_id_of_square": ids.public_channel_id(ids.network_id(ids.COMMONS_KEY), "square").hex(),
        },
        "channels": [
            {
                "name": name,
                "typed": typed,
                "canonical": (canonical := ids.channel_name(typed)),
                "channel_id": ids.public_channel_id(NETWORK, canonical).hex(),
            }
            for name, typed in _CHANNELS.items()
        ],
        "refused_channels": [
            {"name": name, "typed": _refused(typed)} for name, typed in _NO_CHANNELS.items()
        ],
        "words": [
            {
                "author": public.hex(),
                "hash": ids.labelled(ids.LABEL_FINGERPRINT, public).hex(),
                "words": fingerprint(public),
            }
            for public in (author, identity("elm")[1], bytes(32))
        ],
    }


def invites() -> Vector:
    """What invites.json holds."""
    text = invite.encode(NETWORK_KEY)
    typed = text[:20].lower() + "\n  " + text[20:]
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    spare = text[:-1] + digits[digits.index(text[-1]) + 1]  # 58 digits hold 2 bits more than 36 bytes
    wrong = {
        "another prefix": text.replace("NET:1", "NET:2"),
        "a character outside the alphabet": text[:30] + "1" + text[31:],
        "a character less": text[:-1],
        "a character more": text + "A",
        "padding": text + "======",
        "a wrong character in the key": text[:30] + ("A" if text[30] != "A" else "B") + text[31:],
        "bits behind the last byte": spare,
    }
    for name, refused in wrong.items():
        try:
            invite.decode(refused)
        except CallerError:
            continue
        raise RuntimeError(f"not refused: {name}")
    return {
        "valid": [
            {"network_key": key.hex(), "invite": invite.encode(key)} for key in (NETWORK_KEY, bytes(32))
        ],
        "taken_too": [
            {"name": "lower case and white space", "invite": typed, "network_key": invite.decode(typed).hex()}
        ],
        "refused": [{"name": name, "invite": refused} for name, refused in wrong.items()],
    }


def cards() -> Vector:
    """What cards.json holds."""
    made = card.Card(identity("oak")[1], NOW_MS // DAY_MS, fixed("inbox key of oak"))
    text = card.encode(*made)
    small = bytes.fromhex("01" + 31 * "00")  # the neutral element
    wrong = {
        "another prefix": text.replace("MESHD:1", "MESHD:2"),
        "an invite": invite.encode(NETWORK_KEY),
        "a character outside the alphabet": text[:30] + "1" + text[31:],
        "a character less": text[:-1],
        "a character more": text + "A",
        "a wrong character in the identity": text[:30] + ("A" if text[30] != "A" else "B") + text[31:],
        "a wrong character in the inbox key": text[:90] + ("A" if text[90] != "A" else "B") + text[91:],
        "an identity of small order": card.encode(small, made.day, made.inbox_key),
        "an identity that is no point": card.encode(b"\2" + bytes(31), made.day, made.inbox_key),
        **_no_long_cards(made),
    }
    for name, refused in wrong.items():
        try:
            card.decode(refused)
        except CallerError:
            continue
        raise RuntimeError(f"not refused: {name}")
    return {
        "valid": [
            _card(made),
            _card(card.Card(identity("elm")[1], 0, bytes(32))),
            _card(made._replace(day=65535)),
            _card(made._replace(announced=_announced())),
        ],
        "taken_too": [
            {
                "name": "lower case and white space",
                **_card(made),
                "card": text[:40].lower() + "\n " + text[40:],
            }
        ],
        "refused": [{"name": name, "card": refused} for name, refused in wrong.items()],
    }


def _card(made: card.Card) -> Vector:
    return {
        "identity": made.identity.hex(),
        "day": made.day,
        "inbox_key": made.inbox_key.hex(),
        "announced": made.announced.hex(),
        "card": card.encode(*made),
    }


def _announced(name: str = "oak", **changes: Any) -> bytes:
    """The signature, by whom that is, and the signed bytes of the post that announces the prekeys of Oak."""
    day, oak = NOW_MS // DAY_MS, identity("oak")[1]
    keys = tuple(crypto.x25519_keypair(fixed(f"prekey {n} of oak"))[0] for n in range(PREKEY_DAYS))
    plain = Post(
        1, inbox_channel_id(oak), b"", oak, 0x1122334455667788, 1, b"", NOW_MS << 16, KIND_PREKEYS, NOW_HOUR + 168,
        prekeys.encode(prekeys.Announcement(day, keys)),
    )  # fmt: skip
    signed = post.encode(plain._replace(**changes))
    return post.sign(identity(name)[2], post.post_id(signed)) + signed


def _no_long_cards(made: card.Card) -> dict[str, str]:
    right, other = _announced(), crypto.x25519_keypair(fixed("prekey of another"))[0]
    inbox = made.day.to_bytes(2, "big") + made.inbox_key
    wrong = {
        "a prekey exchanged": right[:-32] + other,
        "signed by another": _announced("elm"),
        "of another identity": _announced("elm", author=identity("elm")[1]),
        "a text": _announced(kind=KIND_TEXT),
        "of an epoch": _announced(epoch=fixed("epoch")),
        "another first day than the post's own": _announced(hlc=NOW_MS + DAY_MS << 16),
        "a byte less": right[:-1],
        "a byte more": right + b"\0",
        "a signature alone": right[: crypto.SIGNATURE_SIZE],
        "nothing announced": b"",
    }
    text = card.encode(*made._replace(announced=right))
    return {
        "a long card: a wrong check": text[:-3] + ("AAA" if text[-3:] != "AAA" else "BBB"),
        **{
            f"a long card: {name}": armor.encode(card.LONG_PREFIX, LABEL_FINGERPRINT, inbox + announced)
            for name, announced in wrong.items()
        },
    }


_ADDRESSES = (
    "10.1.2.3:1024", "172.31.255.255:4040", "192.168.1.7:65535", "100.64.0.1:4040", "169.254.7.7:4040",
    "[fe80::1%eth0]:4040", "[fd00::1]:4040", "10.1.2.3:1023", "11.0.0.1:4040", "172.32.0.1:4040", "8.8.8.8:4040",
    "127.0.0.1:4040", "[::1]:4040", "224.0.0.251:5353", "[ff02::fb]:5353", "[2001:db8::1]:4040", "[fe80::1]:4040",
    "[fd00::1%eth0]:4040", "0.0.0.0:4040", "255.255.255.255:4040", "laptop.local:4040", "[::ffff:10.1.2.3]:4040",
)  # fmt: skip


def discovery() -> Vector:
    """What discovery.json holds."""
    instance, host = fixed("instance", 8).hex(), fixed("host", 8).hex()
    ours = Announcement(instance, host, 40_404, ids.discovery_tag(NETWORK_KEY, instance))
    addresses = [ipaddress.ip_address(text) for text in ("fe80::5054:a1b2", "192.168.1.7", "203.0.113.9")]
    return {
        "network_key": NETWORK_KEY.hex(),
        "instance": instance,
        "host": host,
        "port": ours.port,
        "tag": ours.tag,
        "txt": f"t={ours.tag}",
        "interface_addresses": [str(ip) for ip in addresses],
        # One way to write them: other compression of names is as good.
        "announcement": answer_packet(ours, addresses).hex(),
        "goodbye": answer_packet(ours, addresses, 0).hex(),
        "dialled": [
            {"address": text, "may_be_dialled": ids.dialable(Address.parse(text))} for text in _ADDRESSES
        ],
        "first_to_dial": {"instances": [instance, host], "first": min(instance, host)},
    }
