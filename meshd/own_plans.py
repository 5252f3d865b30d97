"""The plans of this node's groups: what we say about them, what comes about, and what is due.

The rule: what everybody finds alike is `arrangement`'s, what this node sees for itself `watch`'s, what it holds
`held_plans`', and what it can open `plan_keys`'. Here it is said what we say, and found what comes about; that is on
the disk before anybody is told. Nothing is said that nobody would take or count, and an organiser who can't open a
scenario, or finds no response in it, does not sign the version.

Of the organisers who called a scenario that is sealed, one passes its key on once it fired, after a random wait; nobody
has to be asked in the street. A drill opens nothing.
"""

import random
from collections.abc import Callable, Mapping
from contextlib import suppress

from meshd.author import Author, Signed
from meshd.envelope import post_content
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.group_plans import GroupPlans
from meshd.held_plans import HeldPlans
from meshd.inbox import Publish
from meshd.limits import (
    CALLS_EACH_MAX,
    LONG_KEEP_HOURS_MAX,
    LOOK_MS,
    PASS_KEY_EACH_MS,
    RESEAL_HOURS,
)
from meshd.own_group import OwnGroup
from meshd.own_groups import OwnGroups
from meshd.plan_keys import PlanKeys
from meshd.plans import act as acts
from meshd.plans import cue as cues
from meshd.plans import plan as plans
from meshd.plans.act import Act
from meshd.plans.arrangement import Arrangement, Said
from meshd.plans.cue import Dark, Silence
from meshd.plans.plan import Plan, Response, Version
from meshd.plans.shares import Combined
from meshd.plans.watch import Senses, Watch
from meshd.post import HOUR_MS, KIND_PLAN, KIND_PLAN_ACT
from meshd.sealing import Sealing
from meshd.statement import CALL, KEY, SHARE, SIGN_PLAN, STAND_DOWN, Statement
from meshd.store.log import Log
from meshd.witness import Witness

_SEAL, _PASS = b"seal", b"pass"  # duties that take turns
_NEVER = 2**63
_NO_SAY = {
    SIGN_PLAN: "this version is not yours to sign: who organises the one before it decides, or who it names",
    CALL: "you are no organiser of this version, or there is no such scenario",
    STAND_DOWN: "you are no organiser of this version, or there is no such scenario",
    SHARE: "you hold no share of this",
    KEY: "this laptop has no key for this",
}


class OwnPlans:
    """Owns what is known of plans; lives as long as the log is open."""

    def __init__(
        self,
        log: Log,
        author: Author,
        sealing: Sealing,
        groups: OwnGroups,
        witness: Witness,
        *,
        rng: random.Random,
        publish: Publish,
    ) -> None:
        self._log, self._author, self._sealing, self._publish = log, author, sealing, publish
        self._witness, self._put_out = witness, groups.deciding.put_out
        self.keys = PlanKeys(log, groups.inbox, author.public)
        self.fired: Callable[[Version, int, bool, Now], None] = lambda version, place, is_drill, now: None
        self._held = HeldPlans(log, sealing, groups, self.keys, rng)
        self.ahead = self._held.ahead

    # --- what there is ---

    def arrangement(self, channel: bytes) -> Arrangement:
        """What follows from what is known of a group's plans."""
        known = self._held.get(channel)
        return known.arrangement if known is not None else Arrangement()

    def version(self, id: bytes) -> Version | None:
        """The version with this id."""
        found = (known.arrangement.versions.get(id) for known in self._held.all())
        return next((each for each in found if each is not None), None)

    def versions(self) -> list[Version]:
        """Of each plan the version that stands, then those that may follow it or lost to it; in the order in which they
        begin."""
        shown = [version for known in self._held.all() for version in known.shown()]
        return sorted(shown, key=lambda v: (v.plan.from_s, v.plan_id, v.plan.number, v.id))

    def state(self, version: Version, now: Now) -> str:
        """proposed, arranged, active, stood-down, retired, contested or expired."""
        return self._held.of(version).state(version, now.wall_ms)

    def scenario_state(self, version: Version, place: int, *, is_drill: bool = False) -> str:
        """sealed, open, fired or stood-down."""
        name = version.plan.scenarios[place].name
        if self._held.of(version).arrangement.is_stood_down(version, name, is_drill=is_drill):
            return "stood-down"
        if self.fired_ms(version, place, is_drill=is_drill) is not None:
            return "fired"
        return "open" if self.response(version, place) is not None else "sealed"

    def fired_ms(self, version: Version, place: int, *, is_drill: bool = False) -> int | None:
        """When a scenario fired, wall milliseconds; None if it did not, or that does not stand (`watch`)."""
        return self._held.of(version).fired_ms(version, place, is_drill=is_drill)

    def watches(self) -> list[Watch]:
        """What fired here, and what of that stands, of every version that is kept."""
        return [watch for known in self._held.all() for watch in known.watches.values()]

    def key(self, version: Version, place: int) -> bytes | None:
        """The key of a scenario, 16 bytes, if it is known here."""
        return self.keys.key(self._held.of(version).arrangement, version, place)

    def share(self, version: Version, place: int) -> bytes | None:
        """Our own share of it, 25 bytes."""
        return self.keys.share(version, place)

    def response(self, version: Version, place: int) -> Response | None:
        """The response of a scenario; None if it is sealed for us."""
        return self.keys.response(self._held.of(version).arrangement, version, place)

    def shares_held(self, version: Version, place: int) -> Combined:
        """The shares that count here: released, or read aloud to us (`plan_keys`)."""
        return self.keys.held(self._held.of(version).arrangement, version, place)

    def refused(self, version: Version) -> list[tuple[Statement, bytes]]:
        """The cues of a version that came and did not count, and whose they were, as far as that is remembered."""
        return sorted(each for each in self._held.of(version).refused if each[0].about == version.id)

    # --- what we say ---

    def propose(
        self, own: OwnGroup, plan: Plan, keys: Mapping[int, bytes], own_shares: Mapping[int, bytes], now: Now
    ) -> Version:
        """Post a version in a group, and sign it if that is ours to do. `keys` and `own_shares` are what we have as the
        author, by the scenario's place. CallerError: usage if it is no plan, refused if it can't be posted here."""
        if own.is_direct or own.group.is_strict:
            raise CallerError(
                Code.refused, "a plan is kept for days: propose it in a group where that may be"
            )
        known = self._held.open(own)
        body = plans.encode(plan, self._author.public)
        draft = Version(bytes(32), own.channel, self._author.public, now.wall_ms, plan)
        if plan.number > 1 and known.arrangement.needed(draft) is None:
            raise CallerError(Code.refused, "the version that this one is to replace is not here")
        if not known.takes_version(draft):
            raise CallerError(Code.refused, "you have proposed as much as a group takes of one person")
        made = self._sign(own, KIND_PLAN, body, plans.keep_until(plan.until_s), now)
        version = plans.parse(made.post, made.id)
        if version is None:
            raise RuntimeError("our own plan is none")
        content = post_content(made.signed, made.signature)
        self._held.take_version(known, version, made.post, content)
        self.keys.take(version, keys, own_shares)
        self._seal(own, content, made.post.keep_until, now)
        with suppress(CallerError):  # who judges may be others
            self.act(version, SIGN_PLAN, "", now)
        return version

    def act(
        self,
        version: Version,
        purpose: int,
        subject: str,
        now: Now,
        *,
        is_drill: bool = False,
        payload: bytes = b"",
    ) -> None:
        """Say something about a version: sign it, call or stand down the scenario `subject` (stand down: or all),
        release our share, or pass on the key (`payload`, or the one that is known here). What was said before is not
        said again, but for calls. CallerError: refused if it is not ours to say, not_found without such a scenario."""
        known, me = self._held.of(version), self._author.public
        if purpose in (SHARE, KEY) and not payload:
            payload = (self.share if purpose == SHARE else self.key)(
                version, version.plan.place(subject)
            ) or b""
            if not payload:
                raise CallerError(Code.refused, _NO_SAY[purpose])
        said = Statement(purpose, version.channel, version.id, subject.encode(), int(is_drill))
        draft = Said(self._author.next_ms(now.wall_ms), bytes(32), me, Act(said, bytes(64), payload))
        self._check(known, version, draft, now)
        ours = [
            each
            for each in known.arrangement.all(version, purpose, subject, int(is_drill))
            if each.author == me and each.act.payload == payload
        ]
        if ours and purpose != CALL:
            return
        if len(ours) >= CALLS_EACH_MAX:
            raise CallerError(
                Code.refused, f"you have called this {CALLS_EACH_MAX} times: nobody hears of more"
            )
        act = Act(said, self._author.sign_statement(said), payload)
        until = plans.keep_until(version.plan.until_s)
        made = self._sign(known.own, KIND_PLAN_ACT, acts.encode(act), until, now)
        content = post_content(made.signed, made.signature)
        self._held.take_act(known, Said(made.post.time_ms, made.id, me, act), made.post, content)
        self._seal(known.own, content, until, now)

    def _check(self, known: GroupPlans, version: Version, draft: Said, now: Now) -> None:
        """CallerError(refused) if nobody would hear what we want to say."""
        known.own.require_in()
        purpose, state = draft.act.statement.purpose, self.state(version, now)
        if not known.arrangement.takes(draft):
            raise CallerError(Code.refused, _NO_SAY[purpose])
        if not known.counts(draft) and purpose != STAND_DOWN:
            raise CallerError(Code.refused, "nothing that you say about plans counts here any more")
        if purpose == CALL and state != "active":
            raise CallerError(Code.refused, f"nothing can be called in it now: this version is {state}")
        if purpose == SIGN_PLAN and state not in ("proposed", "arranged", "active"):
            raise CallerError(Code.refused, f"this version is {state}: a signature changes nothing")
        if purpose == SIGN_PLAN and draft.author in version.plan.identities(version.plan.organisers):
            closed = [each.name for each in self.keys.unreadable(known.arrangement, version)]
            if closed:
                raise CallerError(
                    Code.refused,
                    f"you can't read what it says for {', '.join(closed)}: sign only what you read",
                )

    def _sign(self, own: OwnGroup, kind: int, body: bytes, until: int, now: Now) -> Signed:
        """A post that is kept until this hour; CallerError(refused) if it can't be."""
        own.require_in()
        self._put_out(own, now)
        hours = until + -self._author.next_ms(now.wall_ms) // HOUR_MS
        if not 0 < hours < LONG_KEEP_HOURS_MAX:
            why = "it is over" if hours <= 0 else "it ends later than anything is kept that is said now"
            raise CallerError(Code.refused, f"nothing can be said about this plan: {why}")
        self._day_key(own, until, now)
        return self._author.sign(own.channel, b"", kind, body, hours, now.wall_ms)

    def _seal(self, own: OwnGroup, content: bytes, keep_until: int, now: Now) -> None:
        """Publish a post in a fresh envelope under the epoch that we post under; it is read like any other."""
        until, day_key = self._day_key(own, keep_until, now)
        self._publish([self._author.seal(content, day_key, until)], now)

    def _day_key(self, own: OwnGroup, keep_until: int, now: Now) -> tuple[int, bytes]:
        """Until when an envelope lasts, and its key; CallerError(refused) if there is none."""
        until = min(now.wall_ms // HOUR_MS + RESEAL_HOURS, keep_until)
        under = self._sealing.posting(own.channel)
        return until, self._sealing.day_key(own.channel, under, until)

    def opened(self, version: Version, place: int, key: bytes, now: Now) -> None:
        """A phrase lock was opened here by what the user typed. CallerError(refused) if this is not the key."""
        self.keys.opened(version, place, key, now)
        self._held.of(version).ask_ms = 0

    def enter_share(self, version: Version, place: int, share: bytes, now: Now) -> None:
        """Keep a share that was read aloud. CallerError(refused) if it is false."""
        self.keys.enter_share(self._held.of(version).arrangement, version, place, share)
        self._held.of(version).ask_ms = 0

    # --- what is due ---

    def stir(self) -> None:
        """Something that cues hang on has changed: look again."""
        for known in self._held.all():
            known.ask_ms = 0

    def go_on(self, now: Now) -> None:
        """Let happen what is due."""
        self._held.drop_left()
        for known in self._held.all():
            seen = (known.knows(), now.synced)
            if seen != known.seen or known.ask_ms <= now.wall_ms:
                if not known.ask_ms:
                    self._witness.look_again()
                known.settle(self._log, now.wall_ms, anew=seen != known.seen)
                hour_ms = (now.wall_ms // HOUR_MS + 1) * HOUR_MS
                known.seen, known.ask_ms = seen, min(hour_ms, known.settle_ms())
                self._look(known, now)
                if now.synced and not known.own.is_out:
                    self._take_turns(known, now)
                if now.synced:
                    self._held.forget_over(known, now.wall_ms // HOUR_MS)

    def next_deadline(self, now: Now) -> int | None:
        """When `go_on` has something to do, in monotonic milliseconds."""
        first = min((known.ask_ms for known in self._held.all()), default=None)
        return now.mono_ms + max(0, first - now.wall_ms) if first is not None else None

    def _look(self, known: GroupPlans, now: Now) -> None:
        """See what fires now; it is on the disk before anybody is told."""
        lines = known.in_lines()
        for id, watch in list(known.watches.items()):
            if id not in lines and not watch.stands:
                continue
            latched, fired = dict(watch.latched), dict(watch.fired)
            fresh = watch.look(known.arrangement, self._senses(watch.version, now))
            for (place, leaf), ms in watch.latched.items() - latched.items():
                self._log.plans.latch(id, place, leaf, ms)
            for (place, is_drill), ms in watch.fired.items() - fired.items():
                self._log.plans.fire(id, place, is_drill, ms)
            for place, is_drill in fresh:
                if is_drill:
                    name = watch.version.plan.scenarios[place].name
                    self._witness.reached(watch.version, name, now)
                self.fired(watch.version, place, is_drill, now)
            known.ask_ms = min(known.ask_ms, _next_look_ms(watch, now.wall_ms))

    def _senses(self, version: Version, now: Now) -> Senses:
        return self._witness.senses(
            version, now, lambda name: self.keys.opened_ms(version, version.plan.place(name))
        )

    def _take_turns(self, known: GroupPlans, now: Now) -> None:
        """Do what any of several may do, once our wait is over."""
        wanted: dict[bytes, int] = {}
        under = known.own.group.dag.held.get(self._sealing.posting(known.own.channel))
        if under is not None:
            wanted = {_SEAL + id: wait_ms for id, wait_ms in known.due(under, now.wall_ms).items()}
        to_pass = self._to_pass(known)
        wanted |= {_PASS + duty: wait_ms for duty, (_, _, wait_ms) in to_pass.items()}
        for duty in known.turns.ready(wanted, now.wall_ms):
            with suppress(CallerError):  # it comes again
                if duty.startswith(_SEAL):
                    id = duty.removeprefix(_SEAL)
                    self._seal(known.own, self._log.plans.content(id), known.kept[id].keep_until, now)
                else:
                    version, name, _ = to_pass[duty.removeprefix(_PASS)]
                    self.act(version, KEY, name, now)
        if (deadline := known.turns.deadline()) is not None:
            known.ask_ms = min(known.ask_ms, deadline)

    def _to_pass(self, known: GroupPlans) -> dict[bytes, tuple[Version, str, int]]:
        """The scenarios that we called, that fired, and whose keys nobody has passed on: the longest wait before it."""
        arrangement, found = known.arrangement, {}
        for version in arrangement.versions.values():
            for place, is_drill in known.watches[version.id].stands:
                name, seal = version.plan.scenarios[place].name, version.plan.scenarios[place].seal
                called = arrangement.called(version, name, is_drill=False)
                is_ours = called.ms is not None and self._author.public in called.callers
                if (
                    seal is not None
                    and not is_drill
                    and is_ours
                    and arrangement.passed_key(version, name) is None
                    and self.key(version, place) is not None
                ):
                    wait_ms = PASS_KEY_EACH_MS * len(called.callers)
                    found[version.id + bytes((place,))] = version, name, wait_ms
        return found


def _next_look_ms(watch: Watch, now_ms: int) -> int:
    """When to look at a version's cues again if nothing comes, wall milliseconds."""
    plan = watch.version.plan
    times = [plan.from_s * 1000, plan.until_s * 1000 + 1, watch.next_ms(now_ms)]
    waits = any(
        isinstance(leaf, Dark | Silence) and (place, number) not in watch.latched
        for place, scenario in enumerate(plan.scenarios)
        for number, leaf in enumerate(cues.leaves(scenario.cue))
    )
    if waits and now_ms <= plan.until_s * 1000:
        times.append(now_ms + LOOK_MS)
    return min((ms for ms in times if ms is not None and ms > now_ms), default=_NEVER)
