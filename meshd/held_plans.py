"""The plans that this node holds: versions and acts come in, and go when they are over.

The rule (protocol.md, "Plans"): a version is taken if it is one and there is room, an act if its
version is here and its author has a say in it. What is not taken is looked at again when another version comes, and
what comes before the user has accepted the group when they have. With a group that is left, all of its plans go.

A version is opened for us at once, because the prekeys' secrets that it takes are erased day by day: as organisers we
keep the keys of its scenarios, as stewards our shares (`plan_keys`).
"""

import random

from meshd.events import Now
from meshd.group_plans import GroupPlans
from meshd.ids import key_hour
from meshd.own_group import OwnGroup
from meshd.own_groups import OwnGroups
from meshd.plan_keys import PlanKeys
from meshd.plans import act as acts
from meshd.plans import plan as plans
from meshd.plans.arrangement import Said
from meshd.plans.plan import Version
from meshd.plans.watch import Watch
from meshd.post import KIND_PLAN, KIND_PLAN_ACT, Post
from meshd.sealing import Inside, Sealing
from meshd.statement import SHARE
from meshd.store.log import Log
from meshd.store.plans import PlanPost


class HeldPlans:
    """Owns the plans of each group; lives as long as the log is open."""

    def __init__(
        self, log: Log, sealing: Sealing, groups: OwnGroups, keys: PlanKeys, rng: random.Random
    ) -> None:
        self._log, self._sealing, self._groups, self._keys, self._rng = log, sealing, groups, keys, rng
        self._known: dict[bytes, GroupPlans] = {}  # by channel
        for channel in log.plans.channels():
            if (own := groups.get(channel)) is not None:
                self.open(own)
        sealing.readers[KIND_PLAN] = self._on_version
        sealing.readers[KIND_PLAN_ACT] = self._on_act

    def all(self) -> list[GroupPlans]:
        """What there is, group by group."""
        return list(self._known.values())

    def get(self, channel: bytes) -> GroupPlans | None:
        """The plans of a group, if there were any."""
        return self._known.get(channel)

    def of(self, version: Version) -> GroupPlans:
        """The plans of the group that a version is in."""
        return self._known[version.channel]

    def open(self, own: OwnGroup) -> GroupPlans:
        """The plans of a group, be there any or not."""
        return self._known.get(own.channel) or self._load(own)

    def _load(self, own: OwnGroup) -> GroupPlans:
        known = self._known[own.channel] = GroupPlans.load(own, self._log, self._rng)
        known.arrangement.dropped = lambda said: self._forget(known, [said.id])
        return known

    def ahead(self, identity: bytes) -> tuple[set[bytes], set[bytes]]:
        """What goes to somebody before all else, if they are in a group with plans: versions and stand-downs, then what
        else was said about them. The first 16 bytes of the ids of their newest envelopes.

        Who gets all calls before a stand-down would be told to go, and then to stay."""
        first: set[bytes] = set()
        others: set[bytes] = set()
        for known in self._known.values():
            if identity in known.own.group.dag.membership().members:
                before = known.arrangement.versions.keys() | known.arrangement.stand_downs()
                for id, kept in known.kept.items():
                    (first if id in before else others).add(kept.envelope[8:24])
        return first, others

    # --- what comes ---

    def _on_version(self, inside: Inside, now: Now) -> None:
        own, version = self._group_of(inside), plans.parse(inside.post, inside.id)
        if own is None or version is None:
            return
        known = self.open(own)
        if version.id not in known.kept:
            if not known.takes_version(version):
                return
            self.take_version(known, version, inside.post, inside.opened.content)
            self._sealing.look_again()  # what was said about it may have come before
        self._note_envelope(known, inside)

    def take_version(self, known: GroupPlans, version: Version, post: Post, content: bytes) -> None:
        """Hold a version that is taken."""
        self._hold(known, post, PlanPost(version.id, version.channel, version.id, content, post.keep_until))
        known.arrangement.add_version(version)
        known.watches[version.id] = Watch(version)
        self._keys.take_parts(version)

    def _on_act(self, inside: Inside, now: Now) -> None:
        own, found, author = self._group_of(inside), acts.claimed(inside.post), inside.post.author
        if own is None or found is None:
            return
        known = self.open(own)
        if acts.parse(inside.post) is None:
            known.note_refused(found, author)
            return
        if inside.id not in known.kept:
            said = Said(inside.post.time_ms, inside.id, author, found)
            if not known.takes_act(said, inside.post.keep_until):
                if not known.arrangement.takes(said):
                    known.note_refused(found, author)
                self._log.openings.forget_posts([inside.id])
                return
            if not self.take_act(known, said, inside.post, inside.opened.content):
                return
        self._note_envelope(known, inside)

    def take_act(self, known: GroupPlans, said: Said, post: Post, content: bytes) -> bool:
        """Hold an act that is taken; False if it says nothing that was not said."""
        about, subject = said.act.statement.about, said.act.statement.subject
        if not known.arrangement.add(said):
            return False
        self._hold(known, post, PlanPost(said.id, post.channel, about, content, post.keep_until))
        if said.act.statement.purpose == SHARE:
            version = known.arrangement.versions[about]
            self._keys.combine(known.arrangement, version, version.plan.place(subject.decode()))
        return True

    def _group_of(self, inside: Inside) -> OwnGroup | None:
        """The group that a post is in; if the user has not accepted it, it is looked at again when they have."""
        own = self._groups.get(inside.post.channel)
        if own is None or own.is_direct:
            return None
        if not own.is_in:
            self._log.openings.forget_posts([inside.id])
            return None
        return own

    def _hold(self, known: GroupPlans, post: Post, row: PlanPost) -> None:
        self._log.plans.add(row)
        known.keep(row, post)
        known.ask_ms = 0

    def _note_envelope(self, known: GroupPlans, inside: Inside) -> None:
        kept, newest = known.kept[inside.id], self._log.openings.envelope_of(inside.id)
        kept.envelope = newest or b""
        hour = key_hour(newest) if newest is not None else 0
        posting = self._sealing.posting(known.own.channel)
        if known.note_envelope(inside.id, hour, inside.opened.epoch, posting):
            self._log.plans.renewed(inside.id, kept.expiry_hour, kept.under)

    # --- what goes ---

    def drop_left(self) -> None:
        """Hold nothing of groups that were left; who comes back reads it again."""
        for channel in [each for each in self._known if self._groups.get(each) is None]:
            ids = list(self._known.pop(channel).kept)
            self._log.plans.forget(ids)
            self._log.openings.forget_posts(ids)

    def forget_over(self, known: GroupPlans, hour: int) -> None:
        """Hold nothing that is over at this hour."""
        if over := known.over(hour):
            self._forget(known, over)
            self._load(known.own)

    def _forget(self, known: GroupPlans, ids: list[bytes]) -> None:
        self._log.plans.forget(ids)
        for id in ids:
            known.kept.pop(id, None)
