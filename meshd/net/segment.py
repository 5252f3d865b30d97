"""What one stretch of network is told and what it told us: when to speak, and who was heard.

The rule: a segment is one interface and one address family. It holds what is announced there, when the next
packet is due, and a *sighting* for each instance heard. It has no socket and no clock: times are seconds of
any monotonic clock, passed in, so that every timing can be tested.

Speaking (protocol.md, "Discovery"): an announcement goes out at once and again after 1 s; a goodbye twice,
FAREWELL_S apart, and only where that very announcement was made. A question about us is answered after 20–120
ms at random, so that many answers do not collide; answers to several questions are one packet, and one packet
a second is the most; a question that asks for it (QU) is answered to the asker alone, at most UNICAST_MAX
times a second. We ask who is there at once (QU), after 1 s, after 3 s, and then every 60 s, and sooner if a
sighting is about to run out; we name those we know, and they stay silent. What an announcement lacked is
asked for at most three times.

Hearing: CANDIDATES_MAX sightings at most; for a new one the one heard longest ago makes room, one without an
address first. A forgotten one is not reported as lost: it may be there still. A sighting lives as long as its
record says, but LIFETIME_MIN_S at least, so that a storm of short-lived records is no storm of reports.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass

from meshd.ids import Address
from meshd.limits import ADDRESSES_PER_INSTANCE_MAX, CANDIDATES_MAX
from meshd.net.interfaces import IP, Interface
from meshd.net.mdns import TTL_S, Announcement, Packet, answer_packet, asked_for, query_packet, scoped

NEVER = float("inf")
REPEAT_S = 1.0  # between the two announcements, and between any two multicast answers
FAREWELL_S = 0.25  # between the two goodbyes
ANSWER_DELAY_S = (0.02, 0.12)
BROWSE_GAPS_S = (1.0, 2.0, 60.0)  # after the first query; the last one repeats
RENEW_GAP_S = 5.0  # between queries that keep a sighting from running out
UNICAST_MAX = 10  # answers to one asker alone, a second
LIFETIME_MIN_S = float(TTL_S)
LIFETIME_MAX_S = 75 * 60.0  # the longest TTL that RFC 6762 recommends
KNOWN_MAX = 24  # named in a query: what fits one packet with room to spare
MISSING_MAX = 8  # instances asked for in one query
ASK_MAX = 3  # times an instance is asked for what it lacks


@dataclass(slots=True)
class Sighting:
    """What this segment knows of an instance; complete once there is something to dial and a tag."""

    heard: float
    expires: float
    host: str = ""
    port: int = 0
    tag: str = ""
    ips: tuple[IP, ...] = ()
    asked: int = 0

    @property
    def complete(self) -> bool:
        """Whether it can be reported."""
        return bool(self.port and self.tag and self.ips)


@dataclass(slots=True)
class _Farewell:
    ours: Announcement
    due: float
    left: int = 2


class Segment:
    """One interface and family, from the moment `now`; a `silent` one only listens."""

    def __init__(self, interface: Interface, rng: random.Random, now: float, *, silent: bool = False) -> None:
        self.interface = interface
        self.sightings: dict[str, Sighting] = {}
        self._rng = rng
        self._silent = silent
        self._ours: Announcement | None = None
        self._answers: list[float] = []  # when the announcement is due, soonest first
        self._answered = -NEVER
        self._farewells: list[_Farewell] = []
        self._browse = NEVER if silent else now
        self._browsed = -NEVER
        self._queries = 0
        self._ask = NEVER
        self._asked = -NEVER
        self._unicasts: list[float] = []

    # --- speaking ---

    def announce(self, ours: Announcement, now: float) -> None:
        """Announce this from now on, and say goodbye to what was announced here before; the same again
        repeats it."""
        if self._silent:
            return
        if self._ours is not None and self._ours != ours and self._answered > -NEVER:
            self._farewells.append(_Farewell(self._ours, now))
        if self._ours != ours:
            self._answered = -NEVER
        self._ours = ours
        self._answers = [now, now + REPEAT_S]

    def due(self) -> float:
        """When `speak` or `expire` has something to do next."""
        soonest = min((farewell.due for farewell in self._farewells), default=NEVER)
        expiry = min((sighting.expires for sighting in self.sightings.values()), default=NEVER)
        renewal = NEVER if self._silent else max(expiry - LIFETIME_MIN_S / 4, self._browsed + RENEW_GAP_S)
        return min(
            soonest, self._answers[0] if self._answers else NEVER, self._browse, self._ask, expiry, renewal
        )

    def speak(self, now: float) -> list[bytes]:
        """The packets to multicast now."""
        if self._silent:
            return []
        packets = []
        for farewell in self._farewells:
            if farewell.due <= now:
                packets.append(answer_packet(farewell.ours, self._ips(), 0))
                farewell.left -= 1
                farewell.due = now + FAREWELL_S
        self._farewells = [farewell for farewell in self._farewells if farewell.left]
        if self._ours is not None and self._answers and self._answers[0] <= now:
            self._answers = [due for due in self._answers if due > now]
            self._answered = now
            packets.append(answer_packet(self._ours, self._ips()))
        if question := self._question(now):
            packets.append(question)
        return packets

    def goodbye(self) -> list[bytes]:
        """What to multicast, twice, before this segment is given up."""
        return [answer_packet(self._ours, self._ips(), 0)] if self._ours and self._answered > -NEVER else []

    def _ips(self) -> list[IP]:
        return [ip for ip, _ in self.interface.addresses]

    def _question(self, now: float) -> bytes | None:
        expiry = min((sighting.expires for sighting in self.sightings.values()), default=NEVER)
        renew = expiry - LIFETIME_MIN_S / 4 <= now and self._browsed + RENEW_GAP_S <= now
        browse, ask = self._browse <= now or renew, self._ask <= now
        if not browse and not ask:
            return None
        known: list[tuple[str, int]] = []
        instances: list[str] = []
        hosts: list[str] = []
        first = self._queries == 0
        if browse:
            self._browsed = now
            if self._browse <= now:
                self._browse = now + BROWSE_GAPS_S[min(self._queries, len(BROWSE_GAPS_S) - 1)]
                self._queries += 1
            known = [
                (instance, int(sighting.expires - now))
                for instance, sighting in self.sightings.items()
                if sighting.complete and sighting.expires - now > LIFETIME_MIN_S * 0.6
            ][-KNOWN_MAX:]
            if self._ours is not None:  # what we multicast comes back to us; this keeps us from answering it
                known.append((self._ours.instance, TTL_S))
        if ask:
            self._ask, self._asked = NEVER, now
            for instance, sighting in self._lacking()[-MISSING_MAX:]:
                sighting.asked += 1
                if not sighting.port or not sighting.tag:
                    instances.append(instance)
                elif not sighting.ips:
                    hosts.append(sighting.host)
            if self._lacking():
                self._ask = now + REPEAT_S
        if not browse and not instances and not hosts:
            return None
        return query_packet(browse=browse, unicast=first, known=known, instances=instances, hosts=hosts)

    def _lacking(self) -> list[tuple[str, Sighting]]:
        return [item for item in self.sightings.items() if not item[1].complete and item[1].asked < ASK_MAX]

    # --- hearing ---

    def on_link(self, source: IP) -> bool:
        """Whether a packet from here can come from this network at all (RFC 6762 §11)."""
        return (source.version == 6 and source.is_link_local) or any(
            source.version == ip.version and int(source) ^ int(ip) < 1 << (ip.max_prefixlen - size)
            for ip, size in self.interface.addresses
        )

    def questioned(self, packet: Packet, now: float) -> bytes | None:
        """Take a query: what to send to the asker alone, if anything; a multicast answer is only
        scheduled."""
        if self._ours is None or self._silent:
            return None
        questions = asked_for(packet, self._ours)
        if any(not question.unicast for question in questions):
            at = max(now + self._rng.uniform(*ANSWER_DELAY_S), self._answered + REPEAT_S)
            if not self._answers or at < self._answers[0]:
                self._answers.insert(0, at)
            return None
        self._unicasts = [sent for sent in self._unicasts if sent > now - 1]
        if not questions or len(self._unicasts) >= UNICAST_MAX:
            return None
        self._unicasts.append(now)
        return answer_packet(self._ours, self._ips())

    def heard(self, packet: Packet, own: Collection[str], now: float) -> tuple[list[str], list[str]]:
        """Take a response: the instances that may have changed, and those forgotten for want of room."""
        lives: dict[str, int] = dict(packet.pointers)
        for instance, (_, _, ttl_s) in packet.services.items():
            lives[instance] = min(ttl_s, lives.get(instance, ttl_s))
        for instance in packet.tags:
            lives.setdefault(instance, TTL_S)
        changed, forgotten = [], []
        for instance, ttl_s in lives.items():
            if instance in own:
                if instance == (self._ours and self._ours.instance) and not ttl_s and not self._answers:
                    self._answers = [max(now, self._answered + REPEAT_S)]  # somebody buried us alive
                continue
            if not ttl_s:
                if self.sightings.pop(instance, None):
                    changed.append(instance)
                continue
            sighting = self.sightings.get(instance)
            if sighting is None:
                forgotten += self._make_room()
                sighting = self.sightings[instance] = Sighting(now, now)
            sighting.heard = now
            sighting.expires = now + min(max(float(ttl_s), LIFETIME_MIN_S), LIFETIME_MAX_S)
            if instance in packet.services:
                host, sighting.port, _ = packet.services[instance]
                if host != sighting.host:
                    sighting.host, sighting.ips = host, ()
            sighting.tag = packet.tags.get(instance, sighting.tag)
            changed.append(instance)
        for instance, sighting in self.sightings.items() if packet.addresses else ():
            # Of those that the packet does not name only the ones that wait for an address: many instances on one
            # host must not make one packet a storm.
            records = packet.addresses.get(sighting.host)
            if records and (instance in lives or not sighting.ips):
                sighting.ips = _merged(sighting.ips, records)
                changed.append(instance)
        if self._lacking() and not self._silent:
            self._ask = min(self._ask, max(now + ANSWER_DELAY_S[0], self._asked + REPEAT_S))
        return [instance for instance in dict.fromkeys(changed) if instance not in forgotten], forgotten

    def _make_room(self) -> list[str]:
        if len(self.sightings) < CANDIDATES_MAX:
            return []
        oldest = min(
            self.sightings, key=lambda name: (self.sightings[name].complete, self.sightings[name].heard)
        )
        del self.sightings[oldest]
        return [oldest]

    def expire(self, now: float) -> list[str]:
        """Drop the sightings that ran out; their instances."""
        gone = [instance for instance, sighting in self.sightings.items() if sighting.expires <= now]
        for instance in gone:
            del self.sightings[instance]
        return gone

    def addresses(self, sighting: Sighting) -> list[Address]:
        """Where a sighting may be dialled from here, with the scope where it needs one."""
        return [Address(scoped(ip, self.interface.name), sighting.port) for ip in sighting.ips]


def _merged(before: tuple[IP, ...], records: list[tuple[IP, int, bool]]) -> tuple[IP, ...]:
    """The addresses of a host after these records: a replacing one drops the others of its family (RFC 6762
    §10.2)."""
    replaced = {ip.version for ip, _, replaces in records if replaces}
    gone = {ip for ip, ttl_s, _ in records if not ttl_s}
    kept = [ip for ip in before if ip.version not in replaced]
    fresh = [ip for ip, ttl_s, _ in records if ttl_s]
    return tuple(ip for ip in dict.fromkeys(fresh + kept) if ip not in gone)[:ADDRESSES_PER_INSTANCE_MAX]
