"""Which plan, version or scenario a caller means.

The rule: a plan goes by its title, or the beginning of its id; one of its versions by the beginning of its own. What
fits several plans is an error that lists them. What is done is done to the version that stands, since nothing else of a
plan counts; what is looked at may also be one that waits for signatures.
"""

from typing import TYPE_CHECKING

from meshd.answers import Params
from meshd.errors import CallerError, Code
from meshd.events import Now
from meshd.plan_documents import PlanDocuments
from meshd.plans.plan import Version
from meshd.store.contacts import fold

if TYPE_CHECKING:
    from meshd.node import Node

STANDING = ("arranged", "active", "stood-down", "expired")  # states of a version that nothing has replaced
_ID_PREFIX_MIN = 6


class PlanNames:
    """Finds what is meant; `told` makes documents of it."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self.told = PlanDocuments(node)

    def versions(self, params: Params) -> list[Version]:
        """The versions of the plan that a caller means, or the one version; CallerError(not_found, usage)."""
        text, versions = params["plan"], self.told.plans.versions()
        found = [each for each in versions if fold(each.plan.title) == fold(text)]
        if len(text) >= _ID_PREFIX_MIN:  # though a title fits: it may be another's id, to be taken for it
            ids = [each for each in versions if each.plan_id.hex().startswith(text.lower())]
            found += ids or [each for each in versions if each.id.hex().startswith(text.lower())]
        if not found:
            raise CallerError(Code.not_found, f"there is no plan {text} here; see: mesh plan list")
        if len({each.plan_id for each in found}) > 1:
            listed = ", ".join(f"{each.plan.title} ({each.plan_id.hex()[:12]})" for each in found)
            raise CallerError(Code.usage, f"{text} could be: {listed}")
        return found

    def standing(self, params: Params, now: Now) -> Version:
        """The version that stands; CallerError(not_met) if the plan is not arranged yet."""
        versions = self.versions(params)
        for version in versions:
            if self.told.plans.state(version, now) in STANDING:
                return version
        told = self.told.signed(versions[0], now)
        raise CallerError(
            Code.not_met,
            f"{told['title']} is {told['state']}: {len(told['signers'])} of {told['needed']} organisers signed it",
        )

    def readable(self, params: Params, now: Now) -> Version:
        """The version that stands, or the one that was proposed first."""
        try:
            return self.standing(params, now)
        except CallerError as error:
            if error.code is not Code.not_met:
                raise
            return self.versions(params)[0]

    def scenario(self, version: Version, params: Params) -> int:
        """The place of the scenario that a caller means."""
        names = [each.name for each in version.plan.scenarios]
        if params["scenario"] not in names:
            listed = ", ".join(names)
            raise CallerError(
                Code.not_found, f"{version.plan.title} has no scenario {params['scenario']}: it has {listed}"
            )
        return names.index(params["scenario"])

    def require_writing(self) -> None:
        """CallerError(locked, refused) unless something can be signed and kept."""
        self._node.require_log()
        self._node.time.require()
        self._node.room.require()
