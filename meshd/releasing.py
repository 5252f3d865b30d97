"""What the user does with a plan that is arranged: the commands that open locks, call and stand down, and say what this
laptop sees.

The rules:

- A phrase is stretched outside (see `planning`); what comes here opens the lock or does not, and nothing tells how near
  it was. A share is checked against the plan before it is kept, so that a false one is found out by who typed it in.
- A call is taken for a scenario that waits for one, while the plan is valid; its drill whatever its cue. Whether a call
  or a stand-down is enough follows from what all said (`plans.arrangement`), not from who asks.
- An opened scenario is passed on, and a share released, only if the user asks for it.
- What fires by what was said here has fired before it is answered (`go_on`), so that the answer tells.
"""

from typing import TYPE_CHECKING

from meshd import queries
from meshd.answers import Document, Method, Params
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.plan_names import STANDING, PlanNames
from meshd.plans import cue as cues
from meshd.plans import locks, shares
from meshd.plans.cue import Call
from meshd.plans.plan import Version
from meshd.statement import CALL, KEY, SHARE, STAND_DOWN

if TYPE_CHECKING:
    from meshd.node import Node


class Releasing:
    """Answers what is asked and said about locks and cues."""

    def __init__(self, node: "Node", names: PlanNames) -> None:
        self._node, self._names, self._told = node, names, names.told
        self.methods: dict[str, Method] = {
            "plan.salt": self._salt,
            "plan.unlock": self._unlock,
            "plan.share.show": self._share_show,
            "plan.share.release": self._share_release,
            "plan.share.enter": self._share_enter,
            "plan.stand-down": self._stand_down,
            "cue.fire": self._cue_fire,
            "cue.list": self._cue_list,
            "heartbeat.on": lambda params, now: self._heartbeat(True, now),
            "heartbeat.off": lambda params, now: self._heartbeat(False, now),
            "internet.attest": self._attest,
        }

    # --- locks ---

    def _salt(self, params: Params, now: Now) -> Document:
        """Which version a phrase is for, and with which salt it is to be stretched."""
        self._node.room.require()
        version = self._names.readable(params, now)
        seal = version.plan.scenarios[self._names.scenario(version, params)].seal
        if seal is None or seal.phrase is None:
            raise CallerError(
                Code.refused, f"{params['scenario']} has no phrase lock: see mesh plan show {params['plan']}"
            )
        return {"version": version.id, "salt": seal.phrase.salt}

    def _unlock(self, params: Params, now: Now) -> Document:
        self._node.room.require()
        plans, version = self._told.plans, self._told.plans.version(params["version"])
        if version is None:
            raise CallerError(Code.not_found, "this plan is over")
        place = self._names.scenario(version, params)
        scenario = version.plan.scenarios[place]
        key = scenario.seal and locks.open_phrase(
            version.channel, scenario.name, scenario.seal, params["stretched"]
        )
        if not key:
            raise CallerError(
                Code.not_met, "this phrase does not open it: listen again, and check each word's spelling"
            )
        if params.get("pass_on"):
            self._node.time.require()
        plans.opened(version, place, key, now)
        if params.get("pass_on"):
            plans.act(version, KEY, scenario.name, now, payload=key)
        plans.go_on(now)
        return self._opened(version, place, now)

    def _opened(self, version: Version, place: int, now: Now) -> Document:
        found = self._told.scenario(version, place, now)
        return {
            "plan": version.plan_id.hex(),
            "scenario": found["name"],
            "state": found["state"],
            "response": found["response"],
        }

    def _own_share(self, params: Params, now: Now) -> tuple[Version, int, bytes]:
        """The version, the scenario's place and our share that a caller means."""
        version, plans = self._names.readable(params, now), self._told.plans
        places = range(len(version.plan.scenarios))
        if "scenario" in params:
            places = range(place := self._names.scenario(version, params), place + 1)
        held = [(place, share) for place in places if (share := plans.share(version, place)) is not None]
        if not held:
            raise CallerError(Code.not_found, "you hold no share of it: see mesh plan show")
        if len(held) > 1:
            listed = ", ".join(version.plan.scenarios[place].name for place, _ in held)
            raise CallerError(Code.usage, f"say of which scenario: {listed}")
        return version, *held[0]

    def _shared(self, version: Version, place: int) -> Document:
        counted = self._told.shares(version, place) or {"have": 0, "needed": 0}
        return {
            "plan": version.plan_id.hex(),
            "scenario": version.plan.scenarios[place].name,
            "have": counted["have"],
            "needed": counted["needed"],
            "state": self._told.plans.scenario_state(version, place),
        }

    def _share_show(self, params: Params, now: Now) -> Document:
        version, place, share = self._own_share(params, now)
        return {**self._shared(version, place), "words": shares.to_words(share)}

    def _share_release(self, params: Params, now: Now) -> Document:
        self._names.require_writing()
        version, place, share = self._own_share(params, now)
        self._told.plans.act(version, SHARE, version.plan.scenarios[place].name, now, payload=share)
        self._told.plans.go_on(now)
        return self._shared(version, place)

    def _share_enter(self, params: Params, now: Now) -> Document:
        self._node.room.require()
        version, share = self._names.readable(params, now), shares.from_words(params["words"])
        plan = version.plan
        for place, scenario in enumerate(plan.scenarios):
            if scenario.seal is not None and shares.is_true(version.channel, scenario.seal, share):
                self._told.plans.enter_share(version, place, share, now)
                self._told.plans.go_on(now)
                return self._shared(version, place)
        named = shares.place(share)
        who = (
            f": it names the place of {self._told.name(plan.identities(plan.stewards)[named])}"
            if named is not None and named < len(plan.stewards)
            else ""
        )
        raise CallerError(Code.invalid, f"these words are no share of this version of {plan.title}{who}")

    # --- cues ---

    def _cue_fire(self, params: Params, now: Now) -> Document:
        self._names.require_writing()
        version, is_drill = self._names.standing(params, now), params.get("drill", False)
        place, state = self._names.scenario(version, params), self._told.plans.state(version, now)
        scenario = version.plan.scenarios[place]
        if self._told.me not in version.plan.identities(version.plan.organisers):
            raise CallerError(Code.refused, "an organiser calls: see mesh plan show")
        if state == "expired":
            raise CallerError(Code.expired, f"{version.plan.title} was valid until its end, which is over")
        if now.wall_ms < version.plan.from_s * 1000:
            raise CallerError(Code.not_met, f"{version.plan.title} is not valid yet: see mesh plan show")
        if not is_drill and Call() not in cues.leaves(scenario.cue):
            raise CallerError(
                Code.refused,
                f"{scenario.name} has another cue than a call: see mesh plan show {params['plan']}",
            )
        before = self._told.plans.scenario_state(version, place, is_drill=is_drill)
        if before == "stood-down":
            raise CallerError(
                Code.refused, f"{scenario.name} was stood down, which is final for this version"
            )
        if before != "fired":
            self._told.plans.act(version, CALL, scenario.name, now, is_drill=is_drill)
            self._told.plans.go_on(now)
        return self._told.cue(version, place, is_drill=is_drill)

    def _cue_list(self, params: Params, now: Now) -> Document:
        """All scenarios of the versions that stand, and the drills of those that have any."""
        found = []
        for version in self._told.plans.versions():
            if self._told.plans.state(version, now) in STANDING:
                for place in range(len(version.plan.scenarios)):
                    found.append(self._told.cue(version, place, is_drill=False))
                    drill = self._told.cue(version, place, is_drill=True)
                    found += [drill] if drill["signers"] else []
        return {"cues": found}

    def _stand_down(self, params: Params, now: Now) -> Document:
        self._names.require_writing()
        version, plans = self._names.standing(params, now), self._told.plans
        place = self._names.scenario(version, params) if "scenario" in params else None
        scenario, is_drill = params.get("scenario", ""), params.get("drill", False)
        plans.act(version, STAND_DOWN, scenario, now, is_drill=is_drill)
        against = plans.arrangement(version.channel).against(version, scenario, is_drill=is_drill)
        return {
            "plan": version.plan_id.hex(),
            "version": version.plan.number,
            "scenario": scenario or None,
            "drill": is_drill,
            "signers": self._told.persons(sorted(against)),
            "needed": version.plan.threshold,
            "state": plans.state(version, now)
            if place is None
            else plans.scenario_state(version, place, is_drill=is_drill),
        }

    # --- what witnesses say ---

    def _heartbeat(self, is_on: bool, now: Now) -> Document:
        self._names.require_writing()
        self._told.witness.heartbeat(is_on, now)
        return {"state": "on" if is_on else "off"}

    def _attest(self, params: Params, now: Now) -> Document:
        self._names.require_writing()
        told = self._told.witness.attest(now)
        return {**queries.internet(self._node, now), "groups": told}
