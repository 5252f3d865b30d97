"""Firings: what a node shows of scenarios that fired, and of shares that came too early.

The rule: what fired here is shown for as long as the plan is kept, together with whether it *stands* by what is known
now (`plans.watch`). Nothing else is done about it in the core: nothing that came from the net ever runs anything. The
driver hears of each firing once, when it is on the disk, and has the user's own hook run and the desktop say so.

A share that is released before the scenario's cue is an alarm and no more: k of them open it, and all others see that
somebody began. A false one names its holder.
"""

from typing import TYPE_CHECKING, Any

from meshd import documents, people
from meshd.events import Fired, Now
from meshd.plans.plan import Version

if TYPE_CHECKING:
    from meshd.node import Node

Document = dict[str, Any]


def tell(node: "Node", version: Version, place: int, is_drill: bool, now: Now) -> None:
    """A scenario has just fired here: have it told once it is on the disk."""
    if node.plans is None:
        raise RuntimeError("something fired, and there are no plans")
    ms = node.plans.fired_ms(version, place, is_drill=is_drill)
    name = version.plan.scenarios[place].name
    node.emit(Fired(version.plan_id, version.plan.number, name, is_drill, now.wall_ms if ms is None else ms))


def fired(node: "Node", channel: bytes | None = None) -> list[Document]:
    """What fired here of the plans of one group, or of all: the oldest first."""
    if node.plans is None or node.log is None:
        return []
    log, found = node.log, []
    for watch in node.plans.watches():
        version = watch.version
        if channel not in (None, version.channel):
            continue
        for (place, is_drill), ms in watch.fired.items():
            found.append(
                {
                    "plan": version.plan_id.hex(),
                    "version": version.plan.number,
                    "title": version.plan.title,
                    "group": documents.channel_name(log.channel_name(version.channel), log),
                    "scenario": version.plan.scenarios[place].name,
                    "drill": is_drill,
                    "time": documents.rfc3339(watch.stands.get((place, is_drill), ms)),
                    "stands": (place, is_drill) in watch.stands,
                }
            )
    return sorted(found, key=lambda each: (each["time"], each["plan"], each["scenario"]))


def brief(node: "Node", now: Now) -> Document:
    """For the status: how many plans are active, how many scenarios fired, and what looks wrong."""
    if node.plans is None:
        return {"active": 0, "fired": 0, "alarms": []}
    plans = node.plans
    versions = plans.versions()
    alarms = [alarm for version in versions for alarm in _alarms(node, version, now)]
    return {
        "active": sum(plans.state(version, now) == "active" for version in versions),
        "fired": sum(each["stands"] and not each["drill"] for each in fired(node)),
        "alarms": alarms,
    }


def _alarms(node: "Node", version: Version, now: Now) -> list[str]:
    """Shares of a version that may still count: those that came before the cue, and false ones."""
    if node.plans is None or node.log is None or node.plans.state(version, now) not in ("arranged", "active"):
        return []
    found, plan = [], version.plan
    for place, scenario in enumerate(plan.scenarios):
        combined, liars = node.plans.arrangement(version.channel).released(version, scenario)
        where = f"{scenario.name} of the plan {plan.title}"
        is_early = node.plans.scenario_state(version, place) in ("sealed", "open")
        if combined is not None and combined.true and is_early:
            found.append(
                f"{len(combined.true)} of {plan.needed} shares of {where} are released before its cue"
            )
        for liar in sorted(liars):
            found.append(f"{people.shown(node.log, liar)} released a false share of {where}")
    return found
