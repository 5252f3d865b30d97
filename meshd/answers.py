"""What a command is answered with: a document at once, or a Waiting that gives one later.

The rule: who waits is asked again after every event, and answers from the state of the node alone, so nothing has to
tell it that something changed. It may also raise a CallerError, which is then the answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from meshd.errors import CallerError
from meshd.events import Now

Document = dict[str, Any]
Params = Mapping[str, Any]


@dataclass(slots=True)
class Waiting:
    """A command without an answer yet: `ready` gives the document once there is one."""

    deadline_ms: int
    ready: Callable[[Now], Document | None]
    late: CallerError


Method = Callable[[Params, Now], Document | Waiting]
