"""What the user arranges: the commands that propose, sign, burn and show plans.

The rules:

- Everything is checked before anything is signed or sent, and an answer tells what follows from it, so far. A signature
  that is counted is a success, though others have to follow.
- **No phrase comes in here**, but one that stands in a plan's file. Who makes or opens a phrase lock asks twice: first
  what has to be stretched (`plan.phrases`, `plan.salt`), then with what Argon2id made of it (`plan.publish`,
  `plan.unlock`). The daemon does that in a thread (`daemon.phrases`), and clients can't ask for any of the four.
- Who looks at the drill of a scenario says so to the group, for its score; nothing else is said unasked.
"""

from typing import TYPE_CHECKING

from meshd import people, proposing
from meshd.answers import Document, Method, Params
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.limits import LONG_KEEP_HOURS_MAX
from meshd.own_group import OwnGroup
from meshd.plan_names import PlanNames
from meshd.plans import planfile
from meshd.plans.parts import Recipient
from meshd.plans.plan import Plan, keep_until
from meshd.plans.planfile import Draft
from meshd.post import DAY_MS, HOUR_MS
from meshd.releasing import Releasing
from meshd.statement import SIGN_PLAN
from meshd.store.contacts import fold

if TYPE_CHECKING:
    from meshd.node import Node


class Planning:
    """Answers what is asked and said about plans."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._names = PlanNames(node)
        self._told = self._names.told
        self.methods: dict[str, Method] = {
            "plan.phrases": self._phrases,
            "plan.publish": self._publish,
            "plan.sign": self._sign,
            "plan.list": self._list,
            "plan.show": self._show,
            "plan.ready": self._ready,
            **Releasing(node, self._names).methods,
        }

    # --- proposing ---

    def _group(self, text: str) -> OwnGroup:
        """The group that a caller means, if plans can be proposed in it by us; CallerError(not_found, refused)."""
        found = self._node.commands.channel(text if ":" in text else text.removeprefix("#"))
        own = self._node.groups.get(found.id) if self._node.groups is not None else None
        if own is None or own.is_direct or not own.is_in:
            raise CallerError(Code.not_found, f"you are in no group {text}")
        own.require_in()
        return own

    def _drafted(self, params: Params, now: Now) -> tuple[OwnGroup, Draft]:
        """The draft in a file, or the one that burns somebody, checked."""
        self._names.require_writing()
        log, told = self._node.require_log(), self._told
        if "burn" in params:
            version = self._names.standing(params, now)
            if told.me not in version.plan.identities(version.plan.organisers):
                raise CallerError(Code.refused, "an organiser does that: see mesh plan show")
            who = people.find(log, params["burn"])
            draft = proposing.without(version, who, lambda place: told.plans.response(version, place))
            own = self._group(version.channel.hex())
        else:
            own = self._group(params["group"])
            draft = planfile.read(
                params["text"],
                self._find,
                own.group.dag.membership().members,
                single=params.get("single", False),
            )
            if "replaces" in params:
                standing = self._names.standing({"plan": params["replaces"]}, now)
                if standing.channel != own.channel:
                    raise CallerError(Code.usage, f"{standing.plan.title} is a plan of another group")
                draft = proposing.following(draft, standing)
            proposing.require_members(draft.plan, own.group.dag.membership().members, told.name)
        _require_time(draft.plan, now)
        if draft.sealed:
            self._recipients(draft.plan, now)
        return own, draft

    def _find(self, who: str) -> bytes:
        """Whom a plan's file means: ourselves by our own name too, unless somebody else is called so."""
        log = self._node.require_log()
        if log.contacts.called(who) is None and fold(who) == fold(log.name):
            return self._told.me
        return people.find(log, who)

    def _recipients(self, plan: Plan, now: Now) -> tuple[list[Recipient], list[Recipient]]:
        if self._node.inbox is None:
            raise RuntimeError("an open log without an inbox")
        return proposing.recipients(
            plan, self._told.me, self._node.inbox.prekeys, now.wall_ms // DAY_MS, self._told.name
        )

    def _phrases(self, params: Params, now: Now) -> Document:
        """What has to be stretched before this is published, by scenario: see `proposing.phrases`."""
        return {"phrases": proposing.phrases(self._drafted(params, now)[1])}

    def _publish(self, params: Params, now: Now) -> Document:
        own, draft = self._drafted(params, now)
        if params["stretched"].keys() != proposing.phrases(draft).keys():
            raise CallerError(Code.refused, "another version of this plan was arranged just now: do it again")
        to = self._recipients(draft.plan, now) if draft.sealed else ([], [])
        made = proposing.seal(draft, own.channel, self._told.me, to, params["stretched"], self._node.entropy)
        version = self._told.plans.propose(own, made.plan, made.keys, made.shares, now)
        return {**self._told.signed(version, now), "plan": version.plan_id.hex()}

    def _sign(self, params: Params, now: Now) -> Document:
        """Sign the version that waits for it; if there is none, the one that stands. What we signed stays signed."""
        self._names.require_writing()
        plans, me, versions = self._told.plans, self._told.me, self._names.versions(params)
        waiting = [each for each in versions if plans.state(each, now) == "proposed"] or versions
        unsigned = [each for each in waiting if me not in plans.arrangement(each.channel).signers(each)]
        if len(unsigned) > 1:
            listed = ", ".join(f"{each.id.hex()[:12]} by {self._told.name(each.author)}" for each in unsigned)
            raise CallerError(Code.usage, f"several versions wait for you, name one by its id: {listed}")
        for version in unsigned:
            plans.act(version, SIGN_PLAN, "", now)
        return self._told.signed((unsigned or waiting)[0], now)

    # --- looking ---

    def _list(self, params: Params, now: Now) -> Document:
        return {"plans": [self._told.version(each, now) for each in self._told.plans.versions()]}

    def _show(self, params: Params, now: Now) -> Document:
        versions, plans = self._names.versions(params), self._told.plans
        for version in versions:
            for place, scenario in enumerate(version.plan.scenarios):
                is_drilled = plans.fired_ms(version, place, is_drill=True) is not None
                if is_drilled and self._node.time.is_known and not self._node.room.is_full:
                    self._told.witness.looked(version, scenario.name, now)
        return {"plans": [self._told.version(each, now) for each in versions]}

    def _ready(self, params: Params, now: Now) -> Document:
        version, told = self._names.readable(params, now), self._told
        signers = told.plans.arrangement(version.channel).signers(version)
        holders = told.witness.holders(version) | signers  # who signed it has it, before they say so
        ready = {
            "plan": version.plan_id.hex(),
            **told.witness.readiness(version, now),
            "holders": len(holders),
        }
        if told.me in version.plan.identities(version.plan.organisers):  # counts are for all, names are not
            stewards = version.plan.identities(version.plan.stewards)
            heard = told.witness.heard_lately(version, now)
            ready["names"] = {
                "not_holding": told.persons(who for who in version.plan.people if who not in holders),
                "stewards_not_heard": told.persons(who for who in stewards if who not in heard),
                "clocks_off": told.persons(sorted(told.witness.clocks_off(version, now))),
            }
        return ready


def _require_time(plan: Plan, now: Now) -> None:
    """CallerError(expired, usage) if a plan is over, or goes on for longer than its posts can be kept."""
    if plan.until_s * 1000 <= now.wall_ms:
        raise CallerError(Code.expired, "this plan's time is over: look at valid in its file")
    if keep_until(plan.until_s) - now.wall_ms // HOUR_MS > LONG_KEEP_HOURS_MAX:
        days = (LONG_KEEP_HOURS_MAX // 24) - 1
        raise CallerError(
            Code.usage, f"a plan ends within {days} days from now, as long as it can be carried"
        )
