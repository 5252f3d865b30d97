"""Attack cases that go for the databases at rest: D02, D03, D07 and D09 of the catalogue.

Covered here: that a full disk only stops writing, that a damaged file is noticed, that one which others may read
or which can't be written is refused, and that nothing readable is in any file. That a node fetches again what was
lost, and that its daemon leaves no trace elsewhere (core files, logs), is tested with real daemons.
"""

import os
import random
import shutil
import subprocess
import sys
from contextlib import closing
from itertools import cycle
from pathlib import Path

import pytest

from meshd import crypto, envelope, post
from meshd.errors import CallerError, Code, DiskError, DiskFull
from meshd.events import Now
from meshd.hlc import Clock
from meshd.ids import envelope_key
from meshd.intake import Intake
from meshd.post import Post, Text
from meshd.proto.keyset import KeySet
from meshd.store.carry import Carry
from meshd.store.log import Log

CARRY_KEY, LOG_KEY, NETWORK_KEY, SEED = (bytes((n,)) * 32 for n in (0xC1, 0x1C, 0xE7, 0x5E))
SQUARE = b"square".ljust(16)
PAGE_SIZE = 4096
HOUR = 500_000
HELLO = Text("", b"", "hello")


def home(folder: Path, texts: list[str], name: str = "me", channel: str = "square") -> tuple[Carry, Log]:
    """Both databases with these texts as posts of one author, who goes by the last of them too."""
    carry = Carry.create(folder / "carry", CARRY_KEY, NETWORK_KEY, "private", durable=False)
    log = Log.create(folder / "log", LOG_KEY, SEED, name, durable=False)
    log.join(SQUARE, channel, "public")
    log.commit()
    previous = b""
    for number, said in enumerate(texts, 1):
        text = Text(texts[-1][:64], previous, said)
        hlc = HOUR * post.HOUR_MS + number << 16
        made = Post(
            1, SQUARE, b"", b"\x0a" * 32, 1, number, previous, hlc, 1, HOUR + 72, post.encode_text(text)
        )
        signed = post.encode(made)
        previous = post.post_id(signed)
        carry.insert([(envelope_key(HOUR + 72, previous), envelope.seal_public(signed, b"s" * 64))])
        carry.commit()
        log.insert_many([(previous, made, text, "link", 0)])
        log.commit()
    return carry, log


def everything(folder: Path) -> list[object]:
    """All that the two databases hold, from every page in use."""
    carry = Carry(folder / "carry", CARRY_KEY, durable=False)
    with closing(carry):
        log = Log(folder / "log", LOG_KEY, durable=False)
        with closing(log):
            return [
                carry._database.read("PRAGMA integrity_check"),
                log._database.read("PRAGMA integrity_check"),
                carry.after(0, 10_000),
                log.after(0, None, 10_000),
                # The one index that the check leaves out while its table is empty.
                log._database.read("SELECT channel FROM vote ORDER BY channel, signer, body"),
            ]


def test_D02_full_disk_at_every_write(tmp_path: Path) -> None:
    """SQLite's own bound on pages stands for the disk: the same error at the same places."""
    carry, log = home(tmp_path, [])
    posts = []
    for number in range(1, 41):
        text = Text("oak", b"", "x" * 3000)
        hlc = HOUR * post.HOUR_MS + number << 16
        parents = b"p" * 32 if number > 1 else b""
        made = Post(1, SQUARE, b"", b"\x0a" * 32, number, number, parents, hlc, 1, HOUR + 72, b"")
        posts.append((post.post_id(post.encode(made)), made, text, "link", 0))

    refused = 0
    for room in cycle(range(4)):
        if log.count_posts() == len(posts):
            break
        ((pages,),) = log._database.read("PRAGMA page_count")
        log._database.read(f"PRAGMA max_page_count = {pages + room}")
        held = log.count_posts()
        try:
            log.insert_many(posts[held : held + 2])
            log.commit()
        except DiskFull:
            refused += 1
            log.rollback()
            assert (log.count_posts(), log.last_cursor()) == (held, held)
    assert refused >= 10
    assert [row.cursor for row in log.after(0, None, 99)] == list(range(1, len(posts) + 1))
    assert log._database.read("PRAGMA integrity_check") == [("ok",)]
    carry.close()
    log.close()


def test_D03_one_damaged_page_is_noticed(tmp_path: Path) -> None:
    for database in home(tmp_path, [f"post {number} " * 20 for number in range(60)]):
        database._database._connection.execute("VACUUM")  # a page that is not in use holds nothing to lose
        database.close()
    whole = {name: (tmp_path / name).read_bytes() for name in ("carry", "log")}
    intact = everything(tmp_path)
    assert intact[:2] == [[("ok",)], [("ok",)]]
    assert all(len(content) >= 8 * PAGE_SIZE for content in whole.values())

    for seed in range(200):
        rng = random.Random(seed)
        name = rng.choice(["carry", "log"])
        at = rng.randrange(len(whole[name]))
        damaged = bytearray(whole[name])
        if rng.random() < 0.5:
            damaged[at] ^= 1 << rng.randrange(8)
        else:
            page = at // PAGE_SIZE * PAGE_SIZE
            damaged[page : page + PAGE_SIZE] = rng.randbytes(PAGE_SIZE)
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises((CallerError, DiskError)) as caught:
            everything(tmp_path)
        # Met at opening, a refusal; met later, the end of the daemon.
        assert getattr(caught.value, "code", Code.invalid) is Code.invalid, seed
        (tmp_path / name).write_bytes(whole[name])
    assert everything(tmp_path) == intact


def test_D03_a_damaged_journal_loses_its_end_and_nothing_else(tmp_path: Path) -> None:
    home_folder, copy = tmp_path / "home", tmp_path / "copy"
    home_folder.mkdir()
    copy.mkdir()
    carry, log = home(home_folder, [f"post {number}" for number in range(20)])
    for name in "log", "log-wal":
        shutil.copy(home_folder / name, copy / name)
    held = log.after(0, None, 100)
    carry.close()
    log.close()
    journal = (copy / "log-wal").read_bytes()
    file = (copy / "log").read_bytes()

    for seed in range(40):
        rng = random.Random(seed)
        damaged = bytearray(journal)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        (copy / "log").write_bytes(file)
        (copy / "log-wal").write_bytes(damaged)
        try:
            left = Log(copy / "log", LOG_KEY, durable=False)
        except CallerError as refusal:
            assert refusal.code is Code.invalid
            continue
        rows = left.after(0, None, 100)
        assert [row[:6] for row in rows] == [row[:6] for row in held[: len(rows)]]
        assert len(rows) <= left.last_cursor() == len(rows)
        left.close()


def test_D03_what_comes_after_carry_lost_its_end_is_opened(tmp_path: Path) -> None:
    public, secret = crypto.ed25519_keypair(SEED)
    signed = post.encode(
        Post(
            1,
            SQUARE,
            b"",
            public,
            1,
            1,
            b"",
            HOUR * post.HOUR_MS << 16,
            1,
            HOUR + 72,
            post.encode_text(HELLO),
        )
    )
    raw = envelope.seal_public(signed, post.sign(secret, post.post_id(signed)))
    for database in home(tmp_path, []):
        database.close()
    with (
        closing(Carry(tmp_path / "carry", CARRY_KEY, durable=False)) as carry,
        closing(Log(tmp_path / "log", LOG_KEY, durable=False)) as log,
    ):
        log.set_opened(5)  # of a carry that held five more than is left of it
        now = Now(0, HOUR * post.HOUR_MS)
        intake = Intake(carry, log, KeySet(carry.keys()), Clock())
        intake.take([raw], "link", now)
        assert [row.text for row in log.after(0, None, 9)] == ["hello"]


@pytest.mark.parametrize("name", ["carry", "log"])
def test_D07_others_may_read_it(name: str, tmp_path: Path) -> None:
    for database in home(tmp_path, ["hello"]):
        database.close()
    (tmp_path / name).chmod(0o644)
    with pytest.raises(CallerError, match="chmod 600") as caught:
        everything(tmp_path)
    assert caught.value.code is Code.refused
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o644  # refused, not mended in silence


READ_ONLY = """
import sys
from contextlib import closing
from itertools import cycle
from pathlib import Path
from meshd.errors import CallerError
from meshd.store.carry import Carry
try:
    Carry(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]))
except CallerError as refusal:
    print(refusal.code.name, refusal.message)
"""


@pytest.mark.lab
def test_D07_read_only_disk(tmp_path: Path) -> None:
    for database in home(tmp_path, ["hello"]):
        database.close()
    (tmp_path / "disk").mkdir()
    script = (
        'mount -t tmpfs none "$1/disk" && cp -p "$1/carry" "$1/disk/" && mount -o remount,ro "$1/disk"'
        ' && exec "$2" -c "$3" "$1/disk/carry" "$4"'
    )
    run = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            tmp_path,
            sys.executable,
            READ_ONLY,
            CARRY_KEY.hex(),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.stdout.startswith("refused ")
    assert "read-only" in run.stdout


CANARIES = [f"canary-{number}-{random.Random(number).randbytes(12).hex()}-🐤" for number in range(50)]
SECRETS = [NETWORK_KEY, SEED, CARRY_KEY, LOG_KEY]


def found(files: list[Path], needles: list[bytes]) -> set[bytes]:
    contents = [file.read_bytes() for file in files]
    return {needle for needle in needles if any(needle in content for content in contents)}


def test_D09_nothing_readable_in_any_file(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    name, channel = "Rosa Example", "the-secret-square"
    needles = [text.encode() for text in (*CANARIES, name, channel, "192.0.2.7:4040")]
    carry, log = home(folder, CANARIES, name, channel)
    carry.add_address("192.0.2.7:4040", 0)
    carry.commit()
    carry.remove(list(carry.keys())[:25])
    carry.commit()

    assert {file.name for file in folder.iterdir()} == {"carry", "carry-wal", "log", "log-wal"}
    assert found(list(folder.iterdir()), needles + SECRETS) == set()  # while open: as a crash leaves it
    for database in carry._database, log._database:
        database.checkpoint()
    assert found(list(folder.iterdir()), needles + SECRETS) == set()

    # The same search over the decrypted databases finds them, so the search is known to work.
    plain = [decrypted(database, tmp_path) for database in (carry, log)]
    assert found(plain, needles) == set(needles)
    assert found(plain, SECRETS) == {NETWORK_KEY, SEED}  # a database does not hold its own key
    carry.close()
    log.close()
    assert found(list(folder.iterdir()), needles + SECRETS) == set()


def decrypted(database: Carry | Log, folder: Path) -> Path:
    to = folder / f"plain-{type(database).__name__}"
    database._database.read("ATTACH DATABASE ? AS plain KEY ''", (os.fspath(to),))
    database._database.read("SELECT sqlcipher_export('plain')")
    database._database.read("DETACH DATABASE plain")
    return to
