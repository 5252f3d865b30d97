"""The documents about what fired. The rules are those of `daemon.api`."""

from typing import TypedDict


class Fired(TypedDict):
    """A scenario that fired on this laptop, of a plan that is kept here; or its drill. `plan` is the id, `version` a
    number, `group` the group's name, `time` since when the cue was met. `stands`: false if what came later says that it
    should not have fired: it was stood down, or its version replaced before."""

    plan: str
    version: int
    title: str
    group: str
    scenario: str
    drill: bool
    time: str
    stands: bool


class PlansAtGlance(TypedDict):
    """`active`: plans that are arranged and valid now. `fired`: scenarios that fired and stand, drills aside. `alarms`:
    shares that were released before their cue, and false ones; lines for people."""

    active: int
    fired: int
    alarms: list[str]


class FiredNotice(TypedDict):
    """Params of the notification `fired`: something fired, or what fired stands no more."""

    subscription: int
    fired: Fired
