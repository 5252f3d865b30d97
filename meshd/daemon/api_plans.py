"""The documents about plans and cues. The rules are those of `daemon.api`."""

from typing import Any, Literal, TypedDict

PlanState = Literal["proposed", "arranged", "active", "stood-down", "retired", "contested", "expired"]
ScenarioState = Literal["sealed", "open", "fired", "stood-down"]


class Person(TypedDict):
    """Somebody by id, and the name that they are shown under."""

    id: str
    name: str


class Progress(TypedDict):
    """How many there are, of how many it takes."""

    have: int
    needed: int


class Shares(Progress):
    """True shares that are here: released, typed in, or our own. `released`: how many were posted; `false`: who posted
    one that is not what the plan says."""

    released: int
    false: list[Person]


class Response(TypedDict):
    """What to do. `at`: a time, or `+30m` from a firing that did not come yet; null if none was said."""

    text: str
    place: str
    at: str | None
    checklist: list[str]


class Scenario(TypedDict):
    """One case. `cue`: in the shape of a plan's file. `response`: null while it is sealed here. `progress`: of what the
    cue waits for: calls, else attestations of the dark, else shares; null if that can't be counted. `remarks`: what to
    know before it is trusted."""

    name: str
    sealed: bool
    locks: list[Literal["phrase", "shares"]]
    cue: dict[str, Any]
    state: ScenarioState
    fired_at: str | None
    response: Response | None
    progress: Progress | None
    shares: Shares | None
    remarks: list[str]


class SignedVersion(TypedDict):
    """A version of a plan: `id` is the plan's in all of them, `version` the number, `version_id` its own. `signers`:
    organisers of the version before it (of a first one, its own), of whom it takes `needed`."""

    id: str
    version: int
    version_id: str
    title: str
    state: PlanState
    signers: list[Person]
    needed: int


class Signed(SignedVersion):
    """The version after it was signed."""

    v: int


class Phrase(TypedDict):
    """What opens a scenario."""

    scenario: str
    phrase: str


class Proposed(Signed):
    """`phrases`: write them down: no laptop can show them again. `plan`: the same as `id`."""

    plan: str
    phrases: list[Phrase]


class Burned(Proposed):
    """The version that was proposed: the old shares count until it is arranged."""


class Plan(SignedVersion):
    """All of a version. `threshold`: organisers that a call or a stand-down takes; `shares_needed`: stewards that open
    a lock of shares."""

    group: str
    author: Person
    valid_from: str
    valid_until: str
    organisers: list[Person]
    threshold: int
    stewards: list[Person]
    shares_needed: int
    observers: list[Person]
    freeze_when_dark: bool
    scenarios: list[Scenario]


class Plans(TypedDict):
    """Of each plan the version that stands, and those that were proposed after it."""

    v: int
    plans: list[Plan]


class Stewards(TypedDict):
    """Those heard from within a day; `spare`: how many of them may be lost; below 0, how many lack."""

    heard: int
    total: int
    spare: int


class Names(TypedDict):
    """Who that is: told to organisers alone."""

    not_holding: list[Person]
    stewards_not_heard: list[Person]
    clocks_off: list[Person]


class _Ready(TypedDict):
    v: int
    plan: str
    holders: int
    stewards: Stewards
    clocks_off: int


class Ready(_Ready, total=False):
    """How many hold the version that stands; stewards; clocks seen to be off. `names` is for organisers."""

    names: Names


class Score(TypedDict):
    """Of a drill: how many it reached, how many of them looked at it, minutes until the last was reached."""

    reached: int
    opened: int
    minutes: float


class CalledCue(TypedDict):
    """A scenario that can be called, or its drill: who called, within the hours that count together."""

    plan: str
    title: str
    scenario: str
    drill: bool
    signers: list[Person]
    needed: int
    state: ScenarioState
    score: Score | None


class Cue(CalledCue):
    """The cue after it was called."""

    v: int


class Cues(TypedDict):
    """The scenarios of all plans that stand, and the drills that were called."""

    v: int
    cues: list[CalledCue]


class StoodDown(TypedDict):
    """Who stood a scenario down, alone or with all; `scenario` is null for all of them."""

    v: int
    plan: str
    version: int
    scenario: str | None
    drill: bool
    signers: list[Person]
    needed: int
    state: str


class Opened(TypedDict):
    """What a phrase opened."""

    v: int
    plan: str
    scenario: str
    state: ScenarioState
    response: Response | None


class Share(TypedDict):
    """How many true shares of a scenario are here, our own among them."""

    v: int
    plan: str
    scenario: str
    have: int
    needed: int
    state: ScenarioState


class ShareWords(Share):
    """Our own share, as 20 words."""

    words: str


class Heartbeat(TypedDict):
    """Whether signs of life are given."""

    v: int
    state: Literal["on", "off"]
