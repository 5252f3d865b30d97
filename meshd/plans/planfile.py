"""Plan files: what people write a plan in, as TOML.

The rule: every fault is said, each with its line, before anything is sealed, signed or sent; a file that has one is
refused whole. People stand in it as they are called here and are looked up once (`find`): what is signed names
identities. What may be left out has one meaning: no stewards, all members as observers, no freeze, responses in the
clear. A key that nobody knows is a fault as well, since a word that is misspelt would be left out in silence.

TOML's own parser tells the line of what it can't read; for the rest it is the line on which the key stands.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from meshd.errors import CallerError, Code
from meshd.ids import ID_SIZE
from meshd.limits import (
    CHECKLIST_ITEM_SIZE_MAX,
    CHECKLIST_MAX,
    CUE_BRANCHES_MAX,
    CUE_DEPTH_MAX,
    GROUP_MEMBERS_MAX,
    NAME_SIZE_MAX,
    PLACE_SIZE_MAX,
    PLAN_DAYS_MAX,
    PLAN_FILE_SIZE_MAX,
    RESPONSE_TEXT_SIZE_MAX,
    SCENARIO_NAME_SIZE_MAX,
    SCENARIOS_MAX,
    STEWARDS_MAX,
)
from meshd.plans.cue import After, At, Call, Cue, Dark, Phrase, Silence, Some, leaves
from meshd.plans.plan import AT_DELAY, AT_NONE, AT_TIME, FREEZE_WHEN_DARK, SINGLE, Plan, Response, Scenario
from meshd.plans.values import Place, Values

Find = Callable[[str], bytes]  # whose identity is meant; CallerError if it is nobody's, or several people's

_NAME = re.compile(rf"[a-z0-9-]{{1,{SCENARIO_NAME_SIZE_MAX}}}")
_NOBODY = bytes(ID_SIZE)  # stands for who was not found, so that the rest is looked through as well
_PLAN_KEYS = "title valid organisers threshold stewards observers freeze_when_dark scenario"
_SCENARIO_KEYS = "name sealed locks phrase weak cue response"


class Locks(NamedTuple):
    """How a scenario is to be sealed: with a phrase, with shares, or both, of which either opens it."""

    phrase: bool
    shares: bool
    own_phrase: str  # one that the author made up; empty: the program makes one


class Draft(NamedTuple):
    """What a file says: a plan whose responses are all in the clear yet, and which of them are to be sealed."""

    plan: Plan
    sealed: dict[str, Locks]  # by scenario


def read(raw: bytes, find: Find, members: Iterable[bytes], *, single: bool = False) -> Draft:
    """The draft in a file; CallerError(invalid) that lists every fault with its line.

    `members` are the observers where the file names none; `single`: one of several organisers may act alone.
    """
    if len(raw) > PLAN_FILE_SIZE_MAX:
        raise CallerError(Code.invalid, f"a plan's file has at most {PLAN_FILE_SIZE_MAX} bytes")
    try:
        text = raw.decode()
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of what is nested, or a number, without end
        raise CallerError(Code.invalid, f"this is not TOML: {error}") from None
    reading = _Reading(text, find)
    draft = reading.draft(tables, sorted(members), single)
    if reading.faults:
        listed = [f"line {line}: {why}" for line, why in sorted(reading.faults)]
        raise CallerError(Code.invalid, "; ".join(dict.fromkeys(listed)))
    return draft


class _Reading(Values):
    """One plan's file."""

    def __init__(self, text: str, find: Find) -> None:
        super().__init__(text)
        self._find = find
        self._names: list[str] = []  # of the scenarios

    def _person(self, who: object, place: Place) -> bytes:
        try:
            if not isinstance(who, str):
                raise CallerError(Code.usage, "a person is written as a name in quotes")
            return self._find(who)
        except CallerError as error:
            self.fault(place, error.message)
            return _NOBODY

    def _people(self, names: Sequence[object], place: Place) -> list[bytes]:
        found = [self._person(who, place) for who in names]
        for identity in dict.fromkeys(each for each in found if found.count(each) > 1 and each != _NOBODY):
            same = [str(names[at]) for at, each in enumerate(found) if each == identity]
            self.fault(place, f"{' and '.join(same)}: the same person twice")
        return found

    # --- the plan ---

    def draft(self, table: Mapping[str, Any], members: list[bytes], single: bool) -> Draft:
        """The draft, of use only if there are no faults."""
        self.known(table, _PLAN_KEYS, (-1, ""))
        title = self.text(table, "title", NAME_SIZE_MAX, (-1, "title"))
        if not title and "title" in table:
            self.fault((-1, "title"), "title is empty")
        from_s, until_s = self._valid(table)
        organisers = self._people(
            self.value(table, "organisers", list, (-1, "organisers")), (-1, "organisers")
        )
        threshold = self._threshold(table, len(organisers), single)
        stewards, needed = self._stewards(table)
        named = self.value(table, "observers", list, (-1, "observers"), [])
        observers = self._people(named, (-1, "observers")) if "observers" in table else members
        scenarios = self.value(table, "scenario", list, (-1, "scenario"))
        if not 1 <= len(scenarios) <= SCENARIOS_MAX and "scenario" in table:
            self.fault((-1, "scenario"), f"a plan has 1 to {SCENARIOS_MAX} scenarios")
        tables = [each if isinstance(each, dict) else {} for each in scenarios]
        for number, each in enumerate(tables):
            self._names.append(self._name(each, number))
        people = sorted({*organisers, *stewards, *observers, *self._missed(tables)})
        if len(people) > GROUP_MEMBERS_MAX:
            raise CallerError(Code.invalid, f"a plan names {GROUP_MEMBERS_MAX} people at most")
        made = [self._scenario(each, number, people, observers) for number, each in enumerate(tables)]
        plan = Plan(
            number=1,
            first=b"",
            previous=b"",
            title=title,
            from_s=from_s,
            until_s=until_s,
            people=tuple(people),
            organisers=bytes(sorted({people.index(each) for each in organisers})),
            threshold=threshold,
            stewards=bytes([people.index(each) for each in stewards]),
            needed=needed,
            observers=bytes(sorted({people.index(each) for each in observers})),
            flags=FREEZE_WHEN_DARK
            * self.value(table, "freeze_when_dark", bool, (-1, "freeze_when_dark"), False)
            | SINGLE * (single and threshold == 1 < len(organisers)),
            ephemeral=b"",
            scenarios=tuple(made),
        )
        locks = {
            name: self._locks(each, number, stewards)
            for number, (name, each) in enumerate(zip(self._names, tables, strict=True))
        }
        return Draft(plan, {name: each for name, each in locks.items() if each is not None})

    def _valid(self, table: Mapping[str, Any]) -> tuple[int, int]:
        place = (-1, "valid")
        valid = self.value(table, "valid", dict, place)
        if not valid:
            return 0, 1
        self.known(valid, "from until", place)
        from_s, until_s = (self.seconds(valid.get(key), place, key) for key in ("from", "until"))
        if from_s and until_s and not from_s < until_s <= from_s + PLAN_DAYS_MAX * 86_400:
            self.fault(place, f"until is not after from, or more than {PLAN_DAYS_MAX} days after it")
        return from_s, until_s

    def _threshold(self, table: Mapping[str, Any], organisers: int, single: bool) -> int:
        place = (-1, "threshold")
        threshold = self.value(table, "threshold", int, place)
        if "threshold" in table and not 1 <= threshold <= max(organisers, 1):
            self.fault(place, f"threshold is {threshold}, and there are {organisers} organisers")
        elif threshold == 1 < organisers and not single:
            self.fault(place, "with threshold = 1 every organiser acts alone; if that is meant, add --single")
        return threshold

    def _stewards(self, table: Mapping[str, Any]) -> tuple[list[bytes], int]:
        place = (-1, "stewards")
        if "stewards" not in table:
            return [], 0
        stewards = self.value(table, "stewards", dict, place)
        self.known(stewards, "people needed", place)
        people = self._people(self.value(stewards, "people", list, place), place)
        needed = self.value(stewards, "needed", int, place)
        if not 2 <= needed <= len(people) <= STEWARDS_MAX:
            self.fault(
                place,
                f"{needed} of {len(people)} stewards: 2 or more are needed, and there are up to {STEWARDS_MAX}",
            )
        return people, needed

    # --- scenarios ---

    def _name(self, table: Mapping[str, Any], number: int) -> str:
        name = self.value(table, "name", str, (number, "name"))
        if "name" in table and not _NAME.fullmatch(name):
            self.fault(
                (number, "name"), f"a scenario's name is up to {SCENARIO_NAME_SIZE_MAX} of a-z, 0-9 and -"
            )
        elif name in self._names:
            self.fault((number, "name"), f"two scenarios are called {name}")
        return name

    def _missed(self, tables: Sequence[Mapping[str, Any]]) -> list[bytes]:
        """Those whose silence is a cue, as far as they are found: who is not is said where the cue is read."""
        found: list[bytes] = []
        waiting: list[object] = [table.get("cue") for table in tables]
        while waiting:
            each = waiting.pop()
            if isinstance(each, list):
                waiting += each
            elif isinstance(each, dict):
                waiting += each.values()
                who = each["of"] if {"of", "hours"} <= each.keys() else None
                if isinstance(who, str):
                    with suppress(CallerError):
                        found.append(self._find(who))
        return found

    def _scenario(
        self, table: Mapping[str, Any], number: int, people: Sequence[bytes], observers: Sequence[bytes]
    ) -> Scenario:
        self.known(table, _SCENARIO_KEYS, (number, ""))
        cue = self._cue(self.value(table, "cue", dict, (number, "cue")), number, people, observers, 1)
        locks = table.get("locks")
        if _has(cue, Phrase) and not (isinstance(locks, list) and "phrase" in locks):
            self.fault(
                (number, "cue"),
                'a cue that waits for a phrase needs sealed = true and "phrase" among its locks',
            )
        return Scenario(self._names[number], cue, self._response(table, number), None)

    def _response(self, table: Mapping[str, Any], number: int) -> Response:
        place = (number, "response")
        response = self.value(table, "response", dict, place)
        self.known(response, "text place at checklist", place)
        text = self.text(response, "text", RESPONSE_TEXT_SIZE_MAX, place)
        where = self.text(response, "place", PLACE_SIZE_MAX, place, "")
        items = self.value(response, "checklist", list, place, [])
        if len(items) > CHECKLIST_MAX:
            self.fault(place, f"the checklist has {len(items)} items, and may have {CHECKLIST_MAX}")
        for item in items:
            if not isinstance(item, str) or not 1 <= len(item.encode()) <= CHECKLIST_ITEM_SIZE_MAX:
                self.fault(place, f"an item of the checklist is 1 to {CHECKLIST_ITEM_SIZE_MAX} bytes of text")
        at_kind, at = AT_NONE, 0
        if isinstance(when := response.get("at"), str) and when.startswith("+"):
            at_kind, at = AT_DELAY, self.span(when[1:], place, "at")
        elif when is not None:
            at_kind, at = AT_TIME, self.seconds(when, place, 'at, if it is not "+30m",')
        return Response(text, where, at_kind, at, tuple(map(str, items)))

    def _locks(self, table: Mapping[str, Any], number: int, stewards: Sequence[bytes]) -> Locks | None:
        place = (number, "locks")
        is_sealed = self.value(table, "sealed", bool, (number, "sealed"), False)
        if not is_sealed:
            for key in ("locks", "phrase", "weak"):
                if key in table:
                    self.fault((number, key), f"{key}, and the scenario is not sealed = true")
            return None
        locks = self.value(table, "locks", list, place)
        if "locks" in table and (not locks or any(lock not in ("phrase", "shares") for lock in locks)):
            self.fault(place, 'locks are "phrase", "shares" or both')
        if "shares" in locks and not stewards:
            self.fault(place, "shares, and the plan has no stewards")
        own_phrase = self.value(table, "phrase", str, (number, "phrase"), "")
        if own_phrase and not self.value(table, "weak", bool, (number, "weak"), False):
            why = "any member can guess at a phrase that somebody made up: leave it out, or say weak = true"
            self.fault((number, "phrase"), why)
        if ("phrase" in table or "weak" in table) and not (own_phrase and "phrase" in locks):
            self.fault(
                (number, "phrase" if "phrase" in table else "weak"),
                "there is no phrase of your own among the locks",
            )
        return Locks("phrase" in locks, "shares" in locks, own_phrase)

    def _cue(
        self,
        table: Mapping[str, Any],
        number: int,
        people: Sequence[bytes],
        observers: Sequence[bytes],
        depth: int,
    ) -> Cue:
        place = (number, "cue")
        if len(table) != 1 or depth > CUE_DEPTH_MAX:
            why = f"a cue is one thing in braces, and at most {CUE_DEPTH_MAX} of them inside each other"
            self.fault(place, why)
            return Call()
        ((kind, value),) = table.items()
        match kind:
            case "call" | "phrase":
                if value is not True:
                    self.fault(place, f"{kind} is followed by = true")
                return Call() if kind == "call" else Phrase()
            case "at":
                return At(self.seconds(value, place, "at"))
            case "all" | "any" | "some":
                inner: Mapping[str, Any] = {"of": value}
                if kind == "some":
                    inner = self.value(table, kind, dict, place)
                    self.known(inner, "k of", place)
                cues = self.value(inner, "of", list, place)
                tables = [each if isinstance(each, dict) else {} for each in cues]
                branches = tuple(self._cue(each, number, people, observers, depth + 1) for each in tables)
                needed = {"all": len(branches), "any": 1}.get(kind) or self.value(inner, "k", int, place)
                if not 1 <= needed <= len(branches) <= CUE_BRANCHES_MAX:
                    self.fault(
                        place, f"{kind} has 1 to {CUE_BRANCHES_MAX} cues, and needs no more than it has"
                    )
                return Some(needed, branches)
        said = self.value(table, kind, dict, place)
        match kind:
            case "after":
                self.known(said, "scenario delay", place)
                other = self.value(said, "scenario", str, place)
                if "scenario" in said and (other not in self._names or self._names.index(other) == number):
                    self.fault(place, f"there is no other scenario called {other}")
                    other = ""
                delay_s = self.span(self.value(said, "delay", str, place, "0s"), place, "delay")
                return After(self._names.index(other) if other in self._names else 0, delay_s)
            case "dark":
                self.known(said, "attested_by", place)
                return Dark(self._observers(said, "attested_by", len(observers), place))
            case "silence":
                self.known(said, "of hours observers", place)
                who = self._person(self.value(said, "of", str, place), place)
                hours = self.value(said, "hours", int, place)
                if "hours" in said and not 1 <= hours <= PLAN_DAYS_MAX * 24:
                    self.fault(place, f"hours is 1 to {PLAN_DAYS_MAX * 24}")
                others = len(set(observers) - {who})
                count = self._observers(said, "observers", others, place)
                return Silence(people.index(who) if who in people else 0, hours, count)
        self.fault(
            place, f"{kind} is no cue; there are call, phrase, at, after, dark, silence, all, any and some"
        )
        return Call()

    def _observers(self, table: Mapping[str, Any], key: str, there: int, place: Place) -> int:
        count = self.value(table, key, int, place)
        if key in table and not 1 <= count <= there:
            self.fault(place, f"{key} is {count}, and there are {there} observers who can say it")
        return count


def _has(cue: Cue, kind: type) -> bool:
    return any(isinstance(leaf, kind) for leaf in leaves(cue))
