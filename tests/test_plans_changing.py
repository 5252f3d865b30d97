"""Plans in a group whose members change: newcomers read them, and it costs a handful of envelopes."""

from pathlib import Path

from meshd.limits import HEAL_EACH_MS, NEWCOMERS_MS
from meshd.post import HOUR_MS, KIND_PLAN, KIND_PLAN_ACT
from meshd.statement import SIGN_PLAN
from tests.group_plans import act, only_group, propose, state
from tests.groups import bring, parsed
from tests.homes import Home, Table, key
from tests.test_freezing import without_fir


def sealed_anew(home: Home, known: set[bytes]) -> int:
    """How many envelopes of plans and acts a home holds beside these."""
    groups = home.node.groups
    assert groups is not None
    opened = [groups._sealing.open_again(parsed(raw)) for raw in home.raws() if key(raw) not in known]
    return sum(each is not None and each.post.kind in (KIND_PLAN, KIND_PLAN_ACT) for each in opened)


def test_one_who_goes_and_one_who_comes_cost_a_handful_of_envelopes(tmp_path: Path) -> None:
    table = Table(tmp_path)
    oak, elm, ash = without_fir(table)
    fir = table.homes[3]
    groups, own = oak.node.groups, only_group(oak)
    assert groups is not None
    before = groups._sealing.posting(own.channel)
    version = propose(oak, [oak, elm], people=[oak, elm, ash, fir])
    act(elm, version, SIGN_PLAN)
    oak.ask("group.remove", group="kitchen", who="ash")
    table.run(60_000)
    known = {key(raw) for raw in oak.raws()}
    oak.ask("group.invite", group="kitchen", who="fir")
    table.run(60_000)
    fir.ask("group.accept", invite="kitchen")
    table.run(NEWCOMERS_MS + 3 * HEAL_EACH_MS + HOUR_MS)
    assert state(fir, version) == "active"
    posts = len(oak.log.plans.posts(version.channel))
    assert posts == 3 and posts <= sealed_anew(oak, known) <= 2 * posts
    until = table.now().wall_ms // HOUR_MS + 24
    earlier = groups._sealing.day_key(own.channel, before, until)
    known = {key(raw) for raw in oak.raws()}
    bring(oak, groups._author.seal(oak.log.plans.content(version.id), earlier, until).raw)
    table.run(HOUR_MS)
    assert sealed_anew(oak, known) == 1, (
        "an envelope for those who were in before takes nothing from the newcomer"
    )
