"""What is stretched for a plan: in a thread, one at a time, and nothing but what was typed or made here."""

import threading
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from meshd.daemon import phrases
from meshd.errors import CallerError, Code
from meshd.limits import PHRASE_SIZE_MAX, PLAN_FILE_SIZE_MAX
from meshd.plans import locks
from meshd.words import begin

SALT = b"s" * 16
PLAN = {"plan": "Saturday", "scenario": "go"}


class Core:
    """Answers what the daemon asks the core; what it was asked is kept."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers, self.asked = answers, list[tuple[str, dict[str, Any]]]()

    async def __call__(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((method, params))
        if isinstance(answer := self.answers[method], CallerError):
            raise answer
        return dict(answer)


@pytest.fixture
def stretched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes, bool]]:
    """What is stretched from now on, with which salt, and whether that is in the main thread; the result is 32 `x`."""
    found = []
    here = threading.get_ident()

    def stretch(phrase: str, salt: bytes) -> bytes:
        found.append((phrase, salt, threading.get_ident() == here))
        return b"x" * 32

    monkeypatch.setattr(locks, "stretch", stretch)
    return found


async def test_a_phrase_is_stretched_in_a_thread_with_the_locks_own_salt(stretched: Any) -> None:
    core = Core({"plan.salt": {"version": b"v" * 32, "salt": SALT}, "plan.unlock": {"state": "open"}})
    assert await phrases.open_(core, {**PLAN, "phrase": "Otter, river", "pass_on": True}) == {"state": "open"}
    assert stretched == [("Otter, river", SALT, False)]
    assert core.asked == [
        ("plan.salt", PLAN),
        ("plan.unlock", {**PLAN, "version": b"v" * 32, "pass_on": True, "stretched": b"x" * 32}),
    ]


async def test_a_phrase_may_stand_in_a_file(stretched: Any, tmp_path: Path) -> None:
    core = Core({"plan.salt": {"version": b"v" * 32, "salt": SALT}, "plan.unlock": {}})
    (tmp_path / "phrase").write_text("otter river\n")
    await phrases.open_(core, {**PLAN, "phrase_file": str(tmp_path / "phrase")})
    assert stretched == [("otter river\n", SALT, False)]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, Code.usage),
        ({"phrase": "a", "phrase_file": "/b"}, Code.usage),
        ({"phrase": ""}, Code.usage),
        ({"phrase": " - ! "}, Code.usage),
        ({"phrase": "a" * (PHRASE_SIZE_MAX + 1)}, Code.usage),
        ({"phrase": "\ud800"}, Code.usage),
        ({"phrase_file": "relative"}, Code.usage),
        ({"phrase_file": "/nowhere/at all"}, Code.not_found),
        ({"phrase_file": "/dev/zero"}, Code.refused),
    ],
)
async def test_what_is_no_phrase_is_not_stretched(given: dict[str, str], code: Code, stretched: Any) -> None:
    core = Core({})
    with pytest.raises(CallerError) as caught:
        await phrases.open_(core, {**PLAN, **given})
    assert caught.value.code is code and stretched == [] and core.asked == []


async def test_where_there_is_nothing_to_open_nothing_is_stretched(stretched: Any) -> None:
    core = Core({"plan.salt": CallerError(Code.refused, "no phrase lock")})
    with pytest.raises(CallerError, match="no phrase lock"):
        await phrases.open_(core, {**PLAN, "phrase": "otter"})
    assert stretched == []


async def test_phrases_are_made_shown_once_and_own_ones_kept(stretched: Any, tmp_path: Path) -> None:
    core = Core({"plan.phrases": {"phrases": {"made": "", "own": "hello"}}, "plan.publish": {"id": "7f"}})
    (tmp_path / "plan.toml").write_text("title = 1")
    told = await phrases.propose(
        core, {"file": str(tmp_path / "plan.toml"), "group": "kitchen", "single": True}
    )
    made, own = told.pop("phrases")
    assert told == {"id": "7f"} and own == {"scenario": "own", "phrase": "hello"}
    words = {begin(bytes((n >> 3, n << 5 & 255)), 1) for n in range(2048)}
    assert len(made["phrase"].split()) == 6 and set(made["phrase"].split()) <= words
    assert [(phrase, main) for phrase, _, main in stretched] == [(made["phrase"], False), ("hello", False)]
    (_, checked), (_, published) = core.asked
    assert checked == {"group": "kitchen", "single": True, "text": b"title = 1"}
    salts = {name: each.salt for name, each in published.pop("stretched").items()}
    assert published == checked and salts == {"made": stretched[0][1], "own": stretched[1][1]}
    assert salts["made"] != salts["own"] and made["phrase"] not in str(core.asked), "the core never sees it"


async def test_a_plan_that_is_refused_makes_no_phrase(stretched: Any, tmp_path: Path) -> None:
    core = Core({"plan.phrases": CallerError(Code.invalid, "line 3")})
    (tmp_path / "plan.toml").write_bytes(b"#" * (PLAN_FILE_SIZE_MAX + 9))
    with pytest.raises(CallerError, match="line 3"):
        await phrases.propose(core, {"file": str(tmp_path / "plan.toml"), "group": "kitchen"})
    assert stretched == [] and len(core.asked[0][1]["text"]) == PLAN_FILE_SIZE_MAX + 1


async def test_no_link_is_followed_to_a_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").symlink_to("else")
    with pytest.raises(CallerError, match="symbolic link"):
        await phrases.propose(Core({}), {"file": str(tmp_path / "plan.toml"), "group": "kitchen"})


async def test_burning_asks_for_the_next_version(stretched: Any) -> None:
    core = Core({"plan.phrases": {"phrases": {}}, "plan.publish": {"version": 2}})
    assert await phrases.burn(core, {"plan": "Saturday", "who": "reed"}) == {"version": 2, "phrases": []}
    assert [each["burn"] for _, each in core.asked] == ["reed", "reed"]


async def test_E08_many_phrases_at_once_take_the_memory_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most = 0, 0
    lock, go_on = threading.Lock(), threading.Event()

    def stretch(phrase: str, salt: bytes) -> bytes:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        go_on.wait(10)
        with lock:
            under_way -= 1
        return b"x" * 32

    monkeypatch.setattr(locks, "stretch", stretch)
    core = Core({"plan.salt": {"version": b"v" * 32, "salt": SALT}, "plan.unlock": {}})
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(phrases.open_, core, {**PLAN, "phrase": "otter"})
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()
    assert most == 1 and len(core.asked) == 16
