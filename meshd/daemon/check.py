"""One check of `mesh doctor`: what was found, and what to do about it.

The rule: a check is `ok` when nothing wrong was found, and `known` when it could be told at all; what could not be
looked at is no fault, and not claimed to be fine either. `cause` is one of a fixed set of phrases that name a fault,
so that a script, or a report to somebody far away, can rely on it. `detail` and `advice` are for the person at the
laptop and may hold names, paths and addresses; `cause` and `figures` never do, and the report that leaves the
laptop (`mesh doctor --bundle`) is made of these alone.

A check that is ok and has advice is a remark: worth knowing, and nothing broken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Figures = Mapping[str, float | str]
_NONE: Figures = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `figures` holds numbers and versions, nothing that tells who or where."""

    name: str
    ok: bool
    detail: str
    advice: str = ""
    cause: str = ""
    known: bool = True
    figures: Figures = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """The check as JSON shows it."""
        return {
            "name": self.name,
            "ok": self.ok,
            "known": self.known,
            "detail": self.detail,
            "advice": self.advice,
            "cause": self.cause,
            "figures": dict(self.figures),
        }


def fine(name: str, detail: str, figures: Figures = _NONE) -> Check:
    """Nothing wrong."""
    return Check(name, True, detail, figures=figures)


def remark(name: str, detail: str, advice: str, figures: Figures = _NONE) -> Check:
    """Nothing wrong, and something worth doing."""
    return Check(name, True, detail, advice, figures=figures)


def wrong(name: str, cause: str, detail: str, advice: str, figures: Figures = _NONE) -> Check:
    """A fault."""
    return Check(name, False, detail, advice, cause, figures=figures)


def unknown(name: str, detail: str, advice: str = "") -> Check:
    """It could not be told."""
    return Check(name, True, detail, advice, known=False)
