"""G07 in the end: what is left once the time of words is over, for who has recorded everything ever sent and takes a
laptop that is on and unlocked.

The rule: the thief has the files with their keys and reads every page of them, also those that no table uses any more
(`pages`); all of the core's memory that Python knows of; every envelope that was ever carried, and, though nobody gave
them to him, the contents of all key envelopes. Whatever he holds that is as long as a key he tries as one: as the day
key of any channel, as a seal key and as the secret of a prekey. The same search, done a little earlier, finds all.

What he does open are the shells of some prekeys and key envelopes: inbox keys stand in lists of members, which a member
keeps. What is inside stays closed (protocol.md, "Security considerations").
"""

import gc
import hashlib
import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import pytest

from meshd import codec, crypto, daykeys, envelope, post
from meshd.envelope import Sealed
from meshd.groups import keyenvelope
from meshd.groups.keyenvelope import KeyEnvelope
from meshd.ids import inbox_channel_id
from meshd.limits import KEEP_HOURS
from meshd.post import HOUR_MS
from tests import pages
from tests.groups import parsed
from tests.homes import KEY as FILE_KEY
from tests.homes import Home, Table
from tests.test_directs import dm
from tests.test_inbox import identity
from tests.test_own_groups import DAY_MS, apart, group

EXPIRY_DAYS = 9  # an envelope ends today or on one of the next eight days


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_pages_are_decrypted_as_the_standard_says() -> None:
    """FIPS 197, appendix C.3."""
    ciphertext = bytes.fromhex("8ea2b7ca516745bfeafc49904b496089")
    found = pages.aes_cbc_decrypt(bytes(range(32)), bytes(16), ciphertext)
    assert found.hex() == "00112233445566778899aabbccddeeff"


class Spoken:
    """What was said and sent, as those know who were there."""

    def __init__(self, homes: list[Home]) -> None:
        self.homes, self.rng = homes, random.Random("words")
        self.words: dict[str, int] = {}  # the hour in which their time is over
        self.sent: dict[bytes, Sealed] = {}
        self.delivered: dict[bytes, tuple[KeyEnvelope, bytes]] = {}  # and the inbox that it was for
        self.keys: dict[int, set[bytes]] = {}  # by the day whose envelopes they open

    def say(self) -> None:
        """Everybody in turn, once with every keep, in the group; the first two to each other alone as well."""
        first, second, *_ = self.homes
        for home, other in [*((home, None) for home in self.homes), (first, second), (second, first)]:
            for keep, hours in KEEP_HOURS.items():
                word = hashlib.blake2b(self.rng.randbytes(8), digest_size=12).hexdigest()
                if other is None:
                    home.post(f"we meet at {word}", channel="kitchen", keep=keep)
                else:
                    dm(home, other, f"you meet me at {word}", keep=keep)
                self.words[word] = home.table.now().wall_ms // HOUR_MS + hours
                home.table.run(1000)

    def record(self) -> None:
        """All that is carried now, and all keys that are held."""
        today = daykeys.key_day(self.homes[0].table.now().wall_ms // HOUR_MS)
        for home in self.homes:
            ring = home.node.intake.sealing.keyring
            for raw in home.raws():
                sealed = self.sent[raw] = parsed(raw)
                opened = ring.open(sealed)
                if opened is not None and envelope.content_kind(opened.content) == envelope.CONTENT_KEY:
                    found = keyenvelope.parse(opened.content)
                    assert found is not None
                    self.delivered[raw] = found, opened.channel
            for channel, epoch in [(c, e) for c in ring.channels() for e in ring.epochs(c) if e]:
                for day in range(today - 1, today + EXPIRY_DAYS):
                    if (key := ring.key(channel, epoch, day)) is not None:
                        self.keys.setdefault(day, set()).update((key, daykeys.seal_key(key)))
            for day, secret in home.log.inboxes.secrets().items():
                self.keys.setdefault(day, set()).add(secret)

    def opened_by(self, home: Home) -> list[Sealed]:
        """What somebody who was not robbed opens."""
        return [
            each for each in self.sent.values() if home.node.intake.sealing.keyring.open(each) is not None
        ]

    def over(self, hour: int) -> set[str]:
        """The words whose time is over."""
        return {word for word, until in self.words.items() if until <= hour}


def reachable(root: Any) -> Iterator[Any]:
    """All objects that hang on this one, but for what every program has."""
    seen, left = set[int](), [root]
    while left:
        found = left.pop()
        if id(found) in seen or isinstance(found, type | ModuleType | BuiltinFunctionType):
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, FunctionType):
            left += [cell.cell_contents for cell in found.__closure__ or ()] + list(found.__defaults__ or ())
        else:
            left += gc.get_referents(found)


class Thief:
    """Who has just taken a laptop, and what he finds in it."""

    def __init__(self, home: Home, spoken: Spoken) -> None:
        self.pages = b"".join(pages.plain(home.folder / name, FILE_KEY) for name in ("log", "carry"))
        memory = list(reachable(home.node))
        self.said = "\n".join(each for each in memory if isinstance(each, str)).encode()
        self.said += b"\n".join(each for each in memory if isinstance(each, bytes))
        self.keys = {each for each in memory if isinstance(each, bytes) and len(each) == crypto.KEY_SIZE}
        for (table,) in home.log._database.read(
            "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%'"
        ):
            rows = home.log._database.read(f"SELECT * FROM '{table}'")
            self.keys |= {
                each for row in rows for each in row if type(each) is bytes and len(each) == crypto.KEY_SIZE
            }
        owners = {inbox_channel_id(identity(each)): identity(each) for each in spoken.homes}
        for found, inbox in spoken.delivered.values():
            for secret in sorted(self.keys):
                for day in range(found.first_day, found.last_day + 1):
                    delivered = keyenvelope.open(found, owners[inbox], {day: secret}.get)
                    if delivered is not None:
                        self.keys.add(delivered.key)
        self._tried = [
            (daykeys.hint_key(key), daykeys.seal_key(key))
            for first in sorted(self.keys)
            for key in accumulate(range(EXPIRY_DAYS), lambda key, _: daykeys.advance(key, 1), initial=first)
        ]

    def words(self, spoken: Spoken) -> set[str]:
        """The words that stand in files or memory; an index leaves out the beginnings that words share."""
        return {
            word for word in spoken.words if word[4:].encode() in self.pages or word.encode() in self.said
        }

    def content(self, sealed: Sealed) -> bytes | None:
        """What anything that he has opens an envelope to."""
        fitting = (
            seal_key
            for hint_key, seal_key in self._tried
            if daykeys.hint(hint_key, sealed.nonce) == sealed.hint
        )
        found = (envelope.unseal(sealed, key) for key in (*self.keys, *fitting))
        return next((content for content in found if content is not None), None)

    def opens(self, sealed: Sealed) -> bool:
        return self.content(sealed) is not None


def what(content: bytes) -> str:
    """What stood in an envelope."""
    if envelope.content_kind(content) == envelope.CONTENT_KEY:
        return "key"
    _, signed, _ = codec.unpack(content, (int, bytes, bytes), len(content))
    return {post.KIND_PREKEYS: "prekeys", post.KIND_EPOCH: "epoch"}.get(
        post.parse(signed, sealed=True).kind, "post"
    )


def test_G07_once_its_time_is_over_no_word_is_left_and_nothing_opens_it(table: Table) -> None:
    homes = group(table, 3)
    spoken = Spoken(homes)
    spoken.say()
    table.run(60_000)
    spoken.record()
    for home in homes[:2]:
        thief = Thief(home, spoken)
        assert thief.words(spoken) == set(spoken.words), "the search finds what is there"
        opens = [sealed for sealed in spoken.sent.values() if thief.opens(sealed)]
        assert opens == spoken.opened_by(home) and len(opens) > len(spoken.words)
        assert all(key in thief.pages for key in set(home.log.inboxes.secrets().values()))
    apart(table, *homes)
    table.run(4 * DAY_MS)
    spoken.record()

    hour = table.now().wall_ms // HOUR_MS
    day = daykeys.first_kept_day(hour)
    gone = [sealed for sealed in spoken.sent.values() if daykeys.key_day(sealed.expiry_hour) < day]
    living = [sealed for sealed in spoken.sent.values() if sealed.expiry_hour > hour]
    dead = {key for before, keys in spoken.keys.items() if before < day for key in keys}
    assert len(gone) > 9 and len(living) > 3 and len(dead) > 20
    for home in homes[:2]:
        thief = Thief(home, spoken)
        assert thief.words(spoken) == set(spoken.words) - spoken.over(hour) != set()
        assert not [key for key in dead if key in thief.pages or key in thief.said]
        assert set(map(what, filter(None, map(thief.content, gone)))) <= {"prekeys", "key"}
        assert len([sealed for sealed in living if thief.opens(sealed)]) > 3
