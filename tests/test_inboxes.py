"""The inboxes of a log: what is kept over a stop, and that what is erased is nowhere in the file."""

from pathlib import Path
from typing import Any

import pytest
import sqlcipher3

from meshd.groups import prekeys
from meshd.groups.delivery import Sent
from meshd.groups.requests import Request
from meshd.store import db
from meshd.store.log import Log
from tests.key_parts import ASH, ELM, EPOCH, OAK, TODAY, person
from tests.logs import KEY, SEED, reopened

SECRETS = {TODAY + n: bytes((n,)) * 32 for n in range(1, 10)}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log.create(tmp_path / "log", KEY, SEED, "oak", durable=False)


def test_own_prekeys_are_kept_until_they_are_erased(log: Log, tmp_path: Path) -> None:
    log.inboxes.add_secrets(SECRETS)
    log = reopened(log, tmp_path / "log")
    assert log.inboxes.secrets() == SECRETS
    assert log.inboxes.erase(TODAY + 4)
    assert not log.inboxes.erase(TODAY + 4)
    log = reopened(log, tmp_path / "log")
    assert log.inboxes.secrets() == {day: secret for day, secret in SECRETS.items() if day >= TODAY + 4}


def test_a_day_has_one_secret(log: Log) -> None:
    log.inboxes.add_secrets({TODAY: b"1" * 32})
    with pytest.raises(sqlcipher3.IntegrityError):
        log.inboxes.add_secrets({TODAY: b"2" * 32})


def raw_files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


@pytest.fixture
def in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files as SQLCipher would decrypt them, page by page, with what is no longer used in them."""

    def connect(name: str, key: bytes, *, uri: bool = False) -> Any:
        return sqlcipher3.connect(name, isolation_level=None, timeout=0, uri=uri)

    monkeypatch.setattr(db, "_connect", connect)


def erased_file(folder: Path, *, checkpoint: bool = True, secure: bool = True) -> bytes:
    """What is in the files after nine prekeys were kept and four erased, as an hourly pass does."""
    log = Log.create(folder / "log", KEY, SEED, "oak", durable=False)
    if not secure:
        log._database.read("PRAGMA secure_delete = OFF")
    log.inboxes.add_secrets(SECRETS)
    log.commit()
    log.checkpoint()
    assert all(secret in raw_files(folder) for secret in SECRETS.values())
    log.inboxes.erase(TODAY + 5)
    log.commit()
    if checkpoint:
        log.checkpoint()
    return raw_files(folder)


@pytest.mark.usefixtures("in_clear")
def test_erased_secrets_are_nowhere_in_the_file(tmp_path: Path) -> None:
    files = erased_file(tmp_path)
    assert [day for day, secret in SECRETS.items() if secret in files] == list(range(TODAY + 5, TODAY + 10))


@pytest.mark.usefixtures("in_clear")
@pytest.mark.parametrize("left_out", ["checkpoint", "secure"])
def test_without_overwriting_or_emptying_the_journal_they_would_be(tmp_path: Path, left_out: str) -> None:
    files = erased_file(tmp_path, **{left_out: False})
    assert SECRETS[TODAY + 1] in files


def test_the_newest_prekeys_of_an_identity_count(log: Log, tmp_path: Path) -> None:
    def keep(hlc: int, day: int) -> bool:
        shown = person("ash", day).prekeys
        return log.inboxes.set_prekeys(ASH.identity, hlc, shown.first_day, b"".join(shown.keys))

    assert keep(5, TODAY) and keep(6, TODAY + 1) and not keep(6, TODAY + 2) and not keep(4, TODAY + 3)
    log = reopened(log, tmp_path / "log")
    ((identity, first_day, keys),) = log.inboxes.prekeys()
    assert identity == ASH.identity
    assert prekeys.parse_keys(first_day, keys) == person("ash", TODAY + 1).prekeys


def test_prekeys_that_are_over_are_forgotten(log: Log) -> None:
    for who, day in ((ASH, TODAY), (ELM, TODAY + 1)):
        log.inboxes.set_prekeys(who.identity, 1, day, b"".join(who.prekeys.keys))
    log.inboxes.erase(TODAY + 8)
    assert len(log.inboxes.prekeys()) == 2
    log.inboxes.erase(TODAY + 9)
    assert [identity for identity, _, _ in log.inboxes.prekeys()] == [ELM.identity]


def test_who_was_sent_what_is_known_after_a_start(log: Log, tmp_path: Path) -> None:
    first, later = Sent(TODAY, 7, OAK.identity), Sent(TODAY + 3, 80, ELM.identity)
    log.inboxes.note_sent(EPOCH, [(ASH.identity, first), (ELM.identity, first)])
    log.inboxes.note_sent(EPOCH, [(ASH.identity, later)])
    log.inboxes.note_sent(b"f" * 32, [(ASH.identity, first)])
    log = reopened(log, tmp_path / "log")
    assert log.inboxes.sent(EPOCH) == {ASH.identity: later, ELM.identity: first}
    log.inboxes.forget_sent(EPOCH)
    assert log.inboxes.sent(EPOCH) == {} and len(log.inboxes.sent(b"f" * 32)) == 1


def test_requests_stand_in_their_order_and_refusals_too(log: Log, tmp_path: Path) -> None:
    some = [Request(bytes((9 - n,)) * 32, ASH.identity, b"c" * 16, "hello", n, 500) for n in range(3)]
    for each in some:
        log.inboxes.add_request(each)
    log.inboxes.set_refused({ELM.identity: 9, ASH.identity: 7})
    log.inboxes.set_refused({ELM.identity: 8})
    log = reopened(log, tmp_path / "log")
    assert [Request(*row) for row in log.inboxes.requests()] == some
    log.inboxes.remove_requests([some[1].id])
    assert [row[0] for row in log.inboxes.requests()] == [some[0].id, some[2].id]
    assert log.inboxes.refused() == {ELM.identity: 8}
