"""Who is hostile and has a group's key: what they post about plans, which no client would."""

import random

from meshd import crypto, post, statement
from meshd.envelope import post_content
from meshd.plans import act as acts
from meshd.plans import plan as plans
from meshd.plans.act import Act
from meshd.plans.cue import Call
from meshd.plans.plan import Plan, Scenario, Version
from meshd.post import HOUR_MS, KIND_PLAN, KIND_PLAN_ACT, Post
from meshd.statement import Statement
from tests.group_plans import BRIDGE, RESPONSE, only_group
from tests.homes import Home


class Hostile:
    """Who has the group's key from a member, and writes what they like under any identity whose seed they have."""

    def __init__(self, home: Home, seed: bytes = b"") -> None:
        self.home, self.table = home, home.table
        self.public, self.secret = crypto.ed25519_keypair(seed or home.log.seed)
        self._rng = random.Random(f"hostile {self.public.hex()} {len(home.raws())}")

    def post(self, kind: int, body: bytes, until: int, **slots: int) -> bytes:
        """An envelope of the group with a post of an incarnation that is new."""
        groups, now = self.home.node.groups, self.table.now()
        assert groups is not None
        channel, ms = only_group(self.home).channel, slots.pop("ms", now.wall_ms)
        incarnation = slots.pop("incarnation", self._rng.getrandbits(62))
        written = Post(
            1,
            channel,
            b"",
            self.public,
            incarnation,
            1,
            b"",
            ms << 16 | self._rng.getrandbits(16),
            kind,
            until,
            body,
        )
        signed = post.encode(written)
        signature = post.sign(self.secret, post.post_id(signed))
        expiry = min(until, now.wall_ms // HOUR_MS + 24)
        day_key = groups._sealing.day_key(channel, groups._sealing.posting(channel), expiry)
        return groups._author.seal(post_content(signed, signature), day_key, expiry).raw

    def act(
        self,
        version: Version,
        purpose: int,
        subject: str = "",
        payload: bytes = b"",
        *,
        flag: int = 0,
        **slots: int,
    ) -> bytes:
        """An act, true or not."""
        said = Statement(purpose, version.channel, version.id, subject.encode(), flag)
        body = acts.encode(Act(said, statement.sign(self.secret, said), payload))
        return self.post(KIND_PLAN_ACT, body, plans.keep_until(version.plan.until_s), **slots)

    def propose(self, number: int = 0, replaces: Version | None = None, **changes: object) -> bytes:
        """A version that names whom it likes."""
        from_s = self.table.now().wall_ms // 1000
        plan = Plan(
            1, b"", b"", f"plan {number}", from_s, from_s + 3600, (self.public,), b"\0", 1, b"", 0, b"", 0, b"",
            (Scenario(BRIDGE, Call(), RESPONSE, None),),
        )  # fmt: skip
        if replaces is not None:
            plan = plan._replace(number=2, first=replaces.plan_id, previous=replaces.id)
        plan = plan._replace(**changes)  # type: ignore[arg-type]
        return self.post(KIND_PLAN, plans.encode(plan, self.public), plans.keep_until(plan.until_s))
