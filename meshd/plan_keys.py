"""What this node can open of the plans: keys of scenarios, and shares.

The rule (protocol.md, "Plans"): a key is here because we are an organiser, because a lock was opened here, because
enough shares are here, or because somebody passed it on; each is checked against what the version says of it before it
is kept. A share was released in the group, or was read aloud to us; a false one is refused, or named by
who shows the plan. Our own counts once we release it or type in another's, and not before: else all laptops of stewards
would open when one steward fewer than needed has said so. A response is decrypted when it is asked for, and stands
nowhere in the clear.
"""

from collections.abc import Mapping

from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.inbox import Inbox
from meshd.plans import locks, parts, shares
from meshd.plans.arrangement import Arrangement
from meshd.plans.plan import Response, Scenario, Seal, Version
from meshd.plans.shares import Combined
from meshd.statement import SHARE
from meshd.store.log import Log


class PlanKeys:
    """Owns the keys and shares in the log."""

    def __init__(self, log: Log, inbox: Inbox, me: bytes) -> None:
        self._store, self._inbox, self._me = log.plans, inbox, me

    # --- what came ---

    def take(self, version: Version, keys: Mapping[int, bytes], own_shares: Mapping[int, bytes]) -> None:
        """Keep what the author of a version, who is us, has of it."""
        for place, key in keys.items():
            self._store.put_key(version.id, place, key, 0)
        for place, share in own_shares.items():
            self._store.put_share(version.id, place, share, is_own=True)

    def take_parts(self, version: Version) -> None:
        """Keep what a version brings us, before the secrets that open it are gone."""
        plan, me = version.plan, self._me
        organisers, stewards = plan.identities(plan.organisers), plan.identities(plan.stewards)
        for place, scenario in enumerate(plan.scenarios):
            if scenario.seal is None:
                continue
            if me in organisers:
                key = parts.open_key(version, place, organisers.index(me), self._inbox.secret)
                if key is not None:
                    self._store.put_key(version.id, place, key, 0)
            if me in stewards:
                share = parts.open_share(version, place, stewards.index(me), self._inbox.secret)
                if share is not None:
                    self._store.put_share(version.id, place, share, is_own=True)

    def opened(self, version: Version, place: int, key: bytes, now: Now) -> None:
        """A phrase lock was opened here. CallerError(refused) if this is not the key."""
        if not locks.is_key(version.channel, _seal(version, place), key):
            raise CallerError(Code.refused, "this does not open the scenario")
        if not self.opened_ms(version, place):
            self._store.put_key(version.id, place, key, now.wall_ms)

    def enter_share(self, arrangement: Arrangement, version: Version, place: int, share: bytes) -> None:
        """Keep a share that was read aloud. CallerError(refused) if it is none of this scenario's."""
        if not shares.is_true(version.channel, _seal(version, place), share):
            raise CallerError(
                Code.refused,
                "these words are no share of this scenario: of another version, or they are false",
            )
        self._store.put_share(version.id, place, share, is_own=False)
        self.combine(arrangement, version, place)

    def combine(self, arrangement: Arrangement, version: Version, place: int) -> None:
        """A share is new: keep the key, if there are enough by now."""
        if self._kept(version, place) is None and (key := self.held(arrangement, version, place).key):
            self._store.put_key(version.id, place, key, 0)

    # --- what is here ---

    def held(self, arrangement: Arrangement, version: Version, place: int) -> Combined:
        """What those shares give that were released, or read aloud to us."""
        scenario = version.plan.scenarios[place]
        given = [said.act.payload for said in arrangement.all(version, SHARE, scenario.name)]
        kept = [(share, is_own) for at, share, is_own in self._store.shares(version.id) if at == place]
        if not all(is_own for _, is_own in kept):
            given += [share for share, _ in kept]
        return shares.combine(version.channel, _seal(version, place), version.plan.needed, given)

    def share(self, version: Version, place: int) -> bytes | None:
        """Our own share."""
        own = [share for at, share, is_own in self._store.shares(version.id) if is_own and at == place]
        return own[0] if own else None

    def key(self, arrangement: Arrangement, version: Version, place: int) -> bytes | None:
        """The key of a scenario, if it is known here."""
        passed = arrangement.passed_key(version, version.plan.scenarios[place].name)
        return self._kept(version, place) or (passed.act.payload if passed is not None else None)

    def response(self, arrangement: Arrangement, version: Version, place: int) -> Response | None:
        """The response of a scenario; None if it is sealed for us."""
        scenario = version.plan.scenarios[place]
        key = self.key(arrangement, version, place)
        if scenario.seal is None or key is None:
            return scenario.response
        return locks.open_response(version.channel, scenario.name, key, scenario.seal)

    def opened_ms(self, version: Version, place: int) -> int | None:
        """When a phrase opened a scenario here."""
        return self._store.keys(version.id).get(place, (b"", 0))[1] or None

    def unreadable(self, arrangement: Arrangement, version: Version) -> list[Scenario]:
        """The scenarios of which we don't know the response."""
        return [
            scenario
            for place, scenario in enumerate(version.plan.scenarios)
            if self.response(arrangement, version, place) is None
        ]

    def _kept(self, version: Version, place: int) -> bytes | None:
        return self._store.keys(version.id).get(place, (None, 0))[0]


def _seal(version: Version, place: int) -> Seal:
    seal = version.plan.scenarios[place].seal
    if seal is None:
        raise CallerError(Code.refused, "this scenario is not sealed")
    return seal
