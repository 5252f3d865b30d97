"""What tests of witnesses share: a group with a plan that is arranged, and laptops that see a blackout.

The rule: who keeps plans is a stand-in here (`Arranged`), which knows one version that all organisers have signed.
"""

from meshd import statement
from meshd.events import Found, Looked, WayOut
from meshd.limits import DARK_AFTER_S
from meshd.plans.act import Act
from meshd.plans.arrangement import Arrangement, Said
from meshd.plans.cue import Cue, Silence
from meshd.plans.plan import Plan, Response, Scenario, Version
from meshd.post import DAY_MS, HOUR_MS
from meshd.statement import SIGN_PLAN, Statement
from meshd.witness import Witness
from tests.attacks.test_vouching import kitchen
from tests.homes import Home, Table
from tests.test_inbox import identity
from tests.test_own_groups import apart, line

DARK_MS = DARK_AFTER_S * 1000
FULL, NOTHING = (Looked("system", found, "") for found in (Found.FULL, Found.NOTHING))


class Arranged:
    """Keeps one version, which its organisers have signed."""

    def __init__(self, version: Version) -> None:
        self._version = version
        self.arranged = Arrangement()
        self.arranged.add_version(version)
        for place in version.plan.organisers:
            said = Statement(SIGN_PLAN, version.channel, version.id, b"")
            act = Act(said, bytes(64))
            self.arranged.add(Said(version.time_ms, bytes([place]) * 32, version.plan.people[place], act))

    def versions(self) -> list[Version]:
        return [self._version]

    def arrangement(self, channel: bytes) -> Arrangement:
        return self.arranged

    def stir(self) -> None:
        """It is asked what fires, and waits for nothing."""


def version(homes: list[Home], *cues: Cue, flags: int = 0, days: int = 5, **changes: object) -> Version:
    """A version with a scenario for each cue, named `case0` and so on; all are observers, stewards and organisers."""
    people = sorted(map(identity, homes))
    everybody = bytes(range(len(people)))
    begin_ms = homes[0].table.now().wall_ms
    scenarios = tuple(Scenario(f"case{n}", cue, Response("Meet."), None) for n, cue in enumerate(cues))
    plan = Plan(
        1, b"", b"", "Saturday", begin_ms // 1000, (begin_ms + days * DAY_MS) // 1000, tuple(people),
        everybody, len(people), everybody, 2, everybody, flags, b"", scenarios,
    )  # fmt: skip
    plan = plan._replace(**changes)  # type: ignore[arg-type]
    return Version(b"v" * 32, kitchen(homes[0]).channel, people[0], begin_ms, plan)


def place(homes: list[Home], home: Home) -> int:
    """Where somebody stands among the people."""
    return sorted(map(identity, homes)).index(identity(home))


def silence(homes: list[Home], of: Home, hours: int = 6, observers: int = 2) -> Silence:
    return Silence(place(homes, of), hours, observers)


def arrange(homes: list[Home], *cues: Cue, **how: object) -> Version:
    """Have these hold a plan that is arranged."""
    made = version(homes, *cues, **how)  # type: ignore[arg-type]
    for home in homes:
        hold(home, made)
    return made


def hold(home: Home, made: Version) -> None:
    witness(home).plans = Arranged(made)
    witness(home).look_again()
    home.ask("status")


def witness(home: Home) -> Witness:
    assert home.node.witness is not None
    return home.node.witness


def go_dark(*homes: Home) -> None:
    """Have these see the internet, and then no more."""
    for home in homes:
        home.handle(WayOut(True, True))
        home.handle(FULL)
    homes[0].table.run(2 * DARK_MS + 1000)
    for home in homes:
        home.handle(NOTHING)
    homes[0].table.run(DARK_MS)


def go_light(*homes: Home) -> None:
    for home in homes:
        home.handle(FULL)
    homes[0].table.run(DARK_MS)


def later(table: Table, ms: int, *, away: tuple[Home, ...] = ()) -> None:
    """Let time pass, with everybody meeting every half hour but those who are away."""
    homes = [home for home in table.homes if home.is_on]
    apart(table, *homes)
    met = [home for home in homes if home not in away]
    while ms > 0:
        table.run(min(ms, HOUR_MS // 2))
        ms -= HOUR_MS // 2
        line(table, met)
        table.run(1000)
        apart(table, *met)
    line(table, met)
    table.run(1000)


def words(home: Home, purpose: int) -> list[bytes]:
    """Who said something of this purpose, as a home knows it, ascending."""
    return sorted(word.author for _, word in home.log.said.all() if word.purpose == purpose)


def state(home: Home, purpose: int, about: bytes, subject: bytes = b"", flag: int = 0) -> None:
    """Have a member say this, true or not."""
    assert home.node.groups is not None and home.node.author is not None
    own = kitchen(home)
    said = Statement(purpose, own.channel, about, subject, flag)
    body = statement.encode_body(said, home.node.author.sign_statement(said))
    home.node.groups.deciding.state(own, body, home.table.now(), hours=24)
    home.ask("status")
    home.table.run(1000)


def attested_by(home: Home) -> list[str]:
    return sorted(each["name"].partition("#")[0] for each in home.ask("internet")["attested_by"])


def attest(home: Home) -> int:
    told = witness(home).attest(home.table.now())
    home.ask("status")
    home.table.run(1000)
    return told
