"""JSON documents of plans: what `plan …` and `cue …` answer.

The rule: a document says what this node knows and what follows from it here. A response stands in it only if it can be
read here: it is decrypted for this answer and kept nowhere. A plan is named by its id in all its versions; `version_id`
names one version. Cues stand in the shape that they have in a plan's file.

`progress` counts what a scenario's cue waits for, where that can be counted: signatures of a call, else attestations of
the dark, else observers who tell of a silence, else shares. `remarks` are what people should know before they trust a
scenario: a phrase that can be guessed, a share that came early or is false, a clock that is not known.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from meshd import people
from meshd.answers import Document
from meshd.documents import rfc3339
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.own_plans import OwnPlans
from meshd.plans import cue as cues
from meshd.plans.cue import After, At, Call, Cue, Dark, Phrase, Silence, Some
from meshd.plans.plan import AT_DELAY, AT_TIME, FREEZE_WHEN_DARK, Plan, Response, Version
from meshd.statement import CALL, STAND_DOWN
from meshd.witness import Witness

if TYPE_CHECKING:
    from meshd.node import Node

_SPANS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_MINUTE_MS = 60_000
_TRIED = {CALL: "a call", STAND_DOWN: "a stand-down"}


def span(seconds: int) -> str:
    """`90m`: a span of time as plan files have it, in the largest unit that divides it."""
    unit, size = next(each for each in _SPANS if seconds % each[1] == 0)
    return f"{seconds // size}{unit}" if seconds else "0s"


class PlanDocuments:
    """Makes documents of a node's plans."""

    def __init__(self, node: "Node") -> None:
        self._node = node

    @property
    def plans(self) -> OwnPlans:
        """The plans; CallerError(locked) while the log is closed."""
        self._node.require_log()
        if self._node.plans is None:
            raise RuntimeError("an open log without plans")
        return self._node.plans

    @property
    def witness(self) -> Witness:
        """What is said about plans; CallerError(locked)."""
        self._node.require_log()
        if self._node.witness is None:
            raise RuntimeError("an open log without a witness")
        return self._node.witness

    @property
    def me(self) -> bytes:
        """Our own identity."""
        if self._node.author is None:
            raise CallerError(Code.locked, "the log is locked; open it with: mesh unlock")
        return self._node.author.public

    # --- people ---

    def name(self, identity: bytes) -> str:
        """The name under which somebody is shown, ourselves by our own."""
        log = self._node.require_log()
        return log.name if identity == self.me else people.shown(log, identity)

    def persons(self, identities: Iterable[bytes]) -> list[Document]:
        """[{id, name}], in this order."""
        return [{"id": who.hex(), "name": self.name(who)} for who in identities]

    # --- versions ---

    def signed(self, version: Version, now: Now) -> Document:
        """A version, and who signed it."""
        arrangement = self.plans.arrangement(version.channel)
        return {
            "id": version.plan_id.hex(),
            "version": version.plan.number,
            "version_id": version.id.hex(),
            "title": version.plan.title,
            "state": self.plans.state(version, now),
            "signers": self.persons(sorted(arrangement.signers(version))),
            "needed": arrangement.needed(version) or version.plan.threshold,
        }

    def version(self, version: Version, now: Now) -> Document:
        """All of a version."""
        plan, groups = version.plan, self._node.groups
        own = groups.get(version.channel) if groups is not None else None
        places = range(len(plan.scenarios))
        return {
            **self.signed(version, now),
            "group": own.name if own is not None else "",
            "author": self.persons([version.author])[0],
            "valid_from": rfc3339(plan.from_s * 1000),
            "valid_until": rfc3339(plan.until_s * 1000),
            "organisers": self.persons(plan.identities(plan.organisers)),
            "threshold": plan.threshold,
            "stewards": self.persons(plan.identities(plan.stewards)),
            "shares_needed": plan.needed,
            "observers": self.persons(plan.identities(plan.observers)),
            "freeze_when_dark": bool(plan.flags & FREEZE_WHEN_DARK),
            "scenarios": [self.scenario(version, place, now) for place in places],
        }

    # --- scenarios ---

    def scenario(self, version: Version, place: int, now: Now) -> Document:
        """One scenario of a version, by its place."""
        plans, scenario = self.plans, version.plan.scenarios[place]
        seal, response = scenario.seal, plans.response(version, place)
        fired_ms = plans.fired_ms(version, place)
        locks = {"phrase": seal and seal.phrase, "shares": seal and seal.commitments}
        return {
            "name": scenario.name,
            "sealed": seal is not None,
            "locks": [lock for lock, there in locks.items() if there],
            "cue": self._cue(version.plan, scenario.cue),
            "state": plans.scenario_state(version, place),
            "fired_at": rfc3339(fired_ms) if fired_ms is not None else None,
            "response": _response(response, fired_ms) if response is not None else None,
            "progress": self._progress(version, place, now),
            "shares": self.shares(version, place),
            "remarks": list(self._remarks(version, place, now)),
        }

    def _cue(self, plan: Plan, cue: Cue) -> Document:
        match cue:
            case Call():
                return {"call": True}
            case Phrase():
                return {"phrase": True}
            case At(time_s):
                return {"at": rfc3339(time_s * 1000)}
            case After(scenario, delay_s):
                return {"after": {"scenario": plan.scenarios[scenario].name, "delay": span(delay_s)}}
            case Dark(observers):
                return {"dark": {"attested_by": observers}}
            case Silence(person, hours, observers):
                who = self.name(plan.people[person])
                return {"silence": {"of": who, "hours": hours, "observers": observers}}
            case Some(needed, inner):
                of = [self._cue(plan, each) for each in inner]
                if needed == len(of):
                    return {"all": of}
                return {"any": of} if needed == 1 else {"some": {"k": needed, "of": of}}

    def _progress(self, version: Version, place: int, now: Now) -> Document | None:
        plan, leaves = version.plan, list(cues.leaves(version.plan.scenarios[place].cue))
        if Call() in leaves:
            name = plan.scenarios[place].name
            called = self.plans.arrangement(version.channel).called(version, name, is_drill=False)
            return {"have": len(called.callers), "needed": plan.threshold}
        if dark := [leaf for leaf in leaves if isinstance(leaf, Dark)]:
            attesting = self.witness.attesting(version.channel, now) & {*plan.identities(plan.observers)}
            return {"have": len(attesting), "needed": dark[0].observers}
        if silence := [leaf for leaf in leaves if isinstance(leaf, Silence)]:
            said = self.witness.silent(version, plan.scenarios[place].name, silence[0], now)
            others = {*plan.identities(plan.observers)} - {plan.people[silence[0].person]}
            return {"have": len(said & others), "needed": silence[0].observers}
        shares = self.shares(version, place)
        return {"have": shares["have"], "needed": shares["needed"]} if shares is not None else None

    def shares(self, version: Version, place: int) -> Document | None:
        """How many true shares are here, who has released them, and who false ones; None without that lock."""
        scenario = version.plan.scenarios[place]
        if scenario.seal is None or not scenario.seal.commitments:
            return None
        released, false = self.plans.arrangement(version.channel).released(version, scenario)
        return {
            "have": len(self.plans.shares_held(version, place).true),
            "needed": version.plan.needed,
            "released": len(released.true) if released is not None else 0,
            "false": self.persons(sorted(false)),
        }

    def _remarks(self, version: Version, place: int, now: Now) -> Iterable[str]:
        plan, scenario, plans = version.plan, version.plan.scenarios[place], self.plans
        seal, state = scenario.seal, plans.scenario_state(version, place)
        leaves = list(cues.leaves(scenario.cue))
        if any(isinstance(leaf, At | After) for leaf in leaves) and not now.synced:
            yield "clock unknown: its time cue counts for nothing here"
        if state == "fired" and any(isinstance(leaf, At | After | Dark | Silence) for leaf in leaves):
            yield "time, dark and silence are judged by each laptop for itself"
        for refused, author in plans.refused(version):
            if refused.subject.decode() in ("", scenario.name):
                yield f"refused: {_TRIED[refused.purpose]} by {self.persons([author])[0]['name']}"
        if seal is None:
            return
        if seal.phrase is not None and seal.phrase.weak:
            yield "its phrase was made up by a person: any member can guess at it"
        if (key := plans.key(version, place)) is not None and plans.response(version, place) is None:
            yield "damaged: what its key opens is no response"
        if key is None and self.me in plan.identities(plan.organisers):
            yield "sealed for you too, though you are an organiser: don't sign, ask its author"
        shares = self.shares(version, place)
        if shares is not None and shares["released"] and state in ("sealed", "open"):
            yield f"shares were released before it fired: {shares['released']} of {shares['needed']}"
        for who in shares["false"] if shares is not None else ():
            yield f"false share by {who['name']}"

    # --- cues ---

    def cue(self, version: Version, place: int, *, is_drill: bool) -> Document:
        """What came of calling a scenario, or its drill; who called, in the hours in which most did."""
        scenario = version.plan.scenarios[place].name
        called = self.plans.arrangement(version.channel).called(version, scenario, is_drill=is_drill)
        return {
            "plan": version.plan_id.hex(),
            "title": version.plan.title,
            "scenario": scenario,
            "drill": is_drill,
            "signers": self.persons(sorted(called.callers)),
            "needed": version.plan.threshold,
            "state": self.plans.scenario_state(version, place, is_drill=is_drill),
            "score": self._score(version, place) if is_drill else None,
        }

    def _score(self, version: Version, place: int) -> Document:
        """How a drill went: whom it reached, who of them looked at it, and how long it took to the last."""
        reached, looked, last_ms = self.witness.drill(version, version.plan.scenarios[place].name)
        fired_ms = self.plans.fired_ms(version, place, is_drill=True)
        passed_ms = last_ms - fired_ms if last_ms is not None and fired_ms is not None else 0
        return {
            "reached": len(reached),
            "opened": len(looked),
            "minutes": round(max(0, passed_ms) / _MINUTE_MS, 1),
        }


def _response(response: Response, fired_ms: int | None) -> Document:
    """`at`: a time, or `+30m` after a firing that did not come yet; null if there is none."""
    at = None
    if response.at_kind == AT_TIME:
        at = rfc3339(response.at * 1000)
    elif response.at_kind == AT_DELAY:
        at = f"+{span(response.at)}" if fired_ms is None else rfc3339(fired_ms + response.at * 1000)
    return {
        "text": response.text,
        "place": response.place,
        "at": at,
        "checklist": list(response.checklist),
    }
