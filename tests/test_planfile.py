"""Plan files: what they may say, and that each fault is told with its line."""

import re
from datetime import UTC, datetime
from functools import partial

import pytest

from meshd.errors import CallerError, Code
from meshd.limits import GROUP_MEMBERS_MAX, PLAN_FILE_SIZE_MAX
from meshd.plans import planfile
from meshd.plans.cue import After, At, Call, Dark, Phrase, Silence, Some
from meshd.plans.example import example
from meshd.plans.plan import AT_DELAY, AT_TIME, FREEZE_WHEN_DARK, SINGLE
from meshd.plans.planfile import Draft, Locks

NOW = datetime(2026, 12, 3, 20, tzinfo=UTC)
NAMES = ("oak", "fern", "river", "moss", "reed", "ivy")
PEOPLE = {name: bytes([number]) * 32 for number, name in enumerate(NAMES, start=1)}
SMALL = """\
title = "Saturday"
valid = { from = 2026-12-05T08:00:00Z, until = 2026-12-06T00:00:00+02:00 }
organisers = ["oak", "fern"]
threshold = 2
[[scenario]]
name = "go"
cue = { call = true }
response = { text = "Go." }
"""


def find(who: str) -> bytes:
    if who not in PEOPLE:
        raise CallerError(Code.not_found, f"nobody here is {who}")
    return PEOPLE[who]


def read(text: str, *, single: bool = False) -> Draft:
    return planfile.read(text.encode(), find, PEOPLE.values(), single=single)


def faults(text: str) -> list[str]:
    with pytest.raises(CallerError) as caught:
        read(text)
    assert caught.value.code is Code.invalid
    return re.split("; (?=line )", caught.value.message)


def changed(old: str, new: str) -> str:
    assert SMALL.count(old) == 1
    return SMALL.replace(old, new)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 20_000,
        "a = " + "{a=" * 10_000,
        "a = " + "9" * 5000,
        changed("call", "phrase") + "sealed = true\nlocks = 5",
        changed("call", "phrase") + "sealed = true\nlocks = 2026-12-05",
    ],
)  # fmt: skip
def test_a_file_that_somebody_made_to_end_the_daemon_is_refused(text: str) -> None:
    assert faults(text)


def test_no_more_people_than_a_group_has() -> None:
    names = [f'"{number}"' for number in range(GROUP_MEMBERS_MAX + 1)]
    for count in (GROUP_MEMBERS_MAX, GROUP_MEMBERS_MAX + 1):
        text = changed('["oak", "fern"]', f"[{', '.join(names[:count])}]")
        read = partial(planfile.read, text.encode(), lambda who: int(who).to_bytes(32, "big"), ())
        if count <= GROUP_MEMBERS_MAX:
            assert len(read().plan.people) == count
        else:
            with pytest.raises(CallerError, match=f"names {GROUP_MEMBERS_MAX} people at most"):
                read()


def test_the_example_says_everything_there_is() -> None:
    plan, sealed = read(example(NOW))
    assert plan.title == "Saturday" and plan.flags == FREEZE_WHEN_DARK
    assert (plan.from_s, plan.until_s) == tuple(
        int(datetime(2026, 12, 5, hour, tzinfo=UTC).timestamp()) for hour in (8, 22)
    )
    assert plan.identities(plan.organisers) == [PEOPLE[name] for name in ("oak", "fern", "river")]
    assert plan.identities(plan.stewards) == [PEOPLE[name] for name in ("oak", "fern", "moss", "reed", "ivy")]
    assert plan.needed == 3 and len(plan.observers) == 4
    noon = At(int(datetime(2026, 12, 5, 12, tzinfo=UTC).timestamp()))
    assert [scenario.cue for scenario in plan.scenarios] == [
        Call(),
        Some(2, (Dark(3), noon)),
        Silence(plan.people.index(PEOPLE["oak"]), 6, 2),
        Some(1, (Phrase(), After(0, 3600))),
    ]
    assert sealed == {"bridge-closed": Locks(True, True, ""), "go-home": Locks(True, False, "")}
    response = plan.scenarios[0].response
    assert response is not None and (response.at_kind, response.at) == (AT_DELAY, 1800)
    assert response.checklist == ("tell the medics", "bring water")


def test_what_is_left_out_has_one_meaning() -> None:
    plan, sealed = read(SMALL)
    assert not plan.stewards and not plan.needed and not plan.flags and not sealed
    assert plan.identities(plan.observers) == sorted(PEOPLE.values())
    assert plan.until_s == int(datetime(2026, 12, 5, 22, tzinfo=UTC).timestamp())


def test_one_of_several_acts_alone_only_when_that_is_said() -> None:
    alone = changed("threshold = 2", "threshold = 1")
    assert faults(alone) == [
        "line 4: with threshold = 1 every organiser acts alone; if that is meant, add --single"
    ]
    assert read(alone, single=True).plan.flags == SINGLE
    assert not read(SMALL, single=True).plan.flags


def test_a_time_of_a_response_is_a_span_or_a_time() -> None:
    plan, _ = read(changed('"Go."', '"Go.", at = 2026-12-05T10:00:00Z'))
    response = plan.scenarios[0].response
    assert response is not None and response.at_kind == AT_TIME
    (fault,) = faults(changed('"Go."', '"Go.", at = "at noon"'))
    assert fault.startswith("line 8: at")


@pytest.mark.parametrize(
    "old, new, line, why",
    [
        ('title = "Saturday"\n', "\n", 1, "there is no title"),
        ('"Saturday"', '""', 1, "title is empty"),
        ('"Saturday"', '"' + "x" * 65 + '"', 1, "title has 65 bytes, and may have 64"),
        ('"Saturday"', "7", 1, "title is not text in quotes"),
        ("08:00:00Z", "08:00:00", 2, "from is no time with its zone"),
        ("2026-12-06", "2027-12-06", 2, "more than 90 days"),
        ("2026-12-06", "2026-12-01", 2, "until is not after from"),
        ('"fern"]', '"elm"]', 3, "nobody here is elm"),
        ('"fern"]', '"oak"]', 3, "oak and oak: the same person twice"),
        ('"fern"]', "7]", 3, "a person is written as a name in quotes"),
        ("threshold = 2", "threshold = 3", 4, "threshold is 3, and there are 2 organisers"),
        ("threshold = 2", "threshold = true", 4, "threshold is not a whole number"),
        ("threshold = 2", "treshold = 2", 4, "treshold means nothing here"),
        ('"go"', '"Go!"', 6, "a scenario's name is"),
        ("{ call = true }", "{ call = 1 }", 7, "call is followed by = true"),
        ("{ call = true }", "{ cal = true }", 7, "cal is not a table"),
        ("{ call = true }", "{ wave = { high = 2 } }", 7, "wave is no cue"),
        ("{ call = true }", "{ call = true, phrase = true }", 7, "a cue is one thing in braces"),
        ("{ call = true }", "{ phrase = true }", 7, "needs sealed = true"),
        ("{ call = true }", "{ dark = { attested_by = 7 } }", 7, "attested_by is 7, and there are 6 observers"),
        ("{ call = true }", '{ after = { scenario = "go", delay = "1h" } }', 7, "no other scenario called go"),
        ("{ call = true }", '{ silence = { of = "elm", hours = 1, observers = 1 } }', 7, "nobody here is elm"),
        ("{ call = true }", '{ silence = { of = "oak", hours = 0, observers = 6 } }', 7, "hours is 1 to"),
        ("{ call = true }", '{ silence = { of = "oak", hours = 1, observers = 6 } }', 7, "there are 5 observers"),
        ("{ call = true }", "{ some = { k = 2, of = [{ call = true }] } }", 7, "needs no more than it has"),
        ("{ call = true }", "{ all = [] }", 7, "all has 1 to 16 cues"),
        ("{ call = true }", "{ any=[{any=[{any=[{any=[{call=true}]}]}]}] }", 7, "at most 4"),
        ("{ call = true }", '{ call = true }\nlocks = ["phrase"]', 8, "the scenario is not sealed = true"),
        ("{ call = true }", "{ call = true }\nsealed = true", 5, "there is no locks"),
        ("{ call = true }", '{ call = true }\nsealed = true\nlocks = ["key"]', 9, 'locks are "phrase", "shares"'),
        ("{ call = true }", '{ call = true }\nsealed = true\nlocks = ["shares"]', 9, "the plan has no stewards"),
        ('"Go."', '"Go.", chicklist = []', 8, "chicklist means nothing here"),
        ('"Go."', '"' + "x" * 2001 + '"', 8, "text has 2001 bytes, and may have 2000"),
        ("[[scenario]]", '[[scenario]]\nname = "go"\ncue = { call = true }\nresponse = { text = "" }\n[[scenario]]',
         10, "two scenarios are called go"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line(old: str, new: str, line: int, why: str) -> None:
    assert any(fault.startswith(f"line {line}: ") and why in fault for fault in faults(changed(old, new)))


def test_all_faults_are_told_at_once() -> None:
    told = faults(
        changed('"fern"]', '"elm"]')
        .replace('"go"', '"GO"')
        .replace("call = true", "dark = { attested_by = 0 }")
    )
    assert [each.split(":")[0] for each in told] == ["line 3", "line 6", "line 7"]


def test_a_phrase_of_ones_own_is_weak_and_says_so() -> None:
    own = 'sealed = true\nlocks = ["phrase"]\nphrase = "the red door"\n'
    (fault,) = faults(SMALL + own)
    assert fault.startswith("line 11: any member can guess")
    assert read(SMALL + own + "weak = true\n").sealed == {"go": Locks(True, False, "the red door")}
    (fault,) = faults(SMALL + 'sealed = true\nlocks = ["phrase"]\nweak = true\n')
    assert fault.startswith("line 11: there is no phrase of your own")


@pytest.mark.parametrize(
    "raw", [b"\xff", b"title = ", b"a = 1\na = 2", b"[" * 60_000, b"#" * (PLAN_FILE_SIZE_MAX + 1)]
)
def test_what_is_no_toml_is_refused(raw: bytes) -> None:
    with pytest.raises(CallerError, match=r"TOML|at most"):
        planfile.read(raw, find, [])


def test_keys_inside_long_texts_and_tables_are_no_keys() -> None:
    text = SMALL.replace(
        'response = { text = "Go." }',
        '[scenario.response]\ntext = """\ntitle = 7\n[[scenario]]\n"""\n[scenario.cues]',
    )
    (fault,) = faults(text)
    assert fault.startswith("line 13: cues means nothing here; what may stand: name, sealed, locks")
