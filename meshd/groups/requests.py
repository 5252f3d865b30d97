"""The request box: the first words of people whom the user has not let in.

The rule: whoever has our card can write to us, and the card may be anywhere. So what comes from somebody who was not
let in starts nothing: no direct is joined, no notice is given, nobody is answered. It is kept here until the user says
yes or no, or until it is over, and what it may fill is bounded: REQUESTS_EACH_MAX of one sender, REQUESTS_MAX of all,
and REQUESTS_HOUR_MAX in an hour, so that a user who looks in now and then sees more than one pest.

A sender's first request is the key that came, without words; the words follow, each a request of its own.

What is here is not pushed out by what comes later: many made-up senders keep a new one out as long as they last (who is
pestered so hands out a new card), but can't take away what the user may have read and not answered yet. Of a sender who
was refused nothing is kept for REFUSED_HOURS, and of one who is blocked nothing at all. A request is only shown here;
who is accepted is read from what is carried.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshd.limits import (
    REFUSED_HOURS,
    REQUEST_TEXT_MAX,
    REQUESTS_EACH_MAX,
    REQUESTS_HOUR_MAX,
    REQUESTS_MAX,
)


class Request(NamedTuple):
    """What somebody wants who writes to us in a direct."""

    id: bytes  # of the post, or of the epoch whose key came (32)
    sender: bytes  # identity, 32
    channel: bytes  # of the direct, 16
    text: str  # the words, as they came; empty with a key
    time_ms: int  # by the sender's clock, wall milliseconds
    until: int  # the hour at which it is over


class RequestBox:
    """What waits for an answer, in the order in which it came. `refused`: senders, and until which hour."""

    def __init__(self, requests: Iterable[Request] = (), refused: Mapping[bytes, int] | None = None) -> None:
        self._requests = {request.id: request for request in requests}
        self.refused = dict(refused or {})
        self._hour, self._in_hour = 0, 0  # how many were kept in this hour

    def is_full(self, hour: int) -> bool:
        """Whether nothing more is kept now, whoever it is of."""
        spent = hour == self._hour and self._in_hour >= REQUESTS_HOUR_MAX
        return spent or len(self._requests) >= REQUESTS_MAX

    def offer(self, request: Request, hour: int, *, is_blocked: bool) -> bool:
        """Keep a request that came in this hour; False if it is not kept, or was before."""
        of_sender = sum(each.sender == request.sender for each in self._requests.values())
        if (
            is_blocked
            or self.refused.get(request.sender, 0) > hour
            or request.until <= hour
            or request.id in self._requests
            or of_sender >= REQUESTS_EACH_MAX
            or self.is_full(hour)
        ):
            return False
        self._in_hour = 1 + (self._in_hour if hour == self._hour else 0)
        self._hour = hour
        self._requests[request.id] = request._replace(text=request.text[:REQUEST_TEXT_MAX])
        return True

    def all(self) -> list[Request]:
        """What waits, in the order in which it came."""
        return list(self._requests.values())

    def take(self, sender: bytes) -> list[Request]:
        """Take out what this sender wants: it was accepted, or the sender is blocked."""
        taken = [each for each in self._requests.values() if each.sender == sender]
        for each in taken:
            del self._requests[each.id]
        return taken

    def refuse(self, sender: bytes, hour: int) -> list[Request]:
        """Take out what this sender wants, and keep nothing more of them for a while."""
        self.refused[sender] = hour + REFUSED_HOURS
        return self.take(sender)

    def expire(self, hour: int) -> list[Request]:
        """Take out what is over, refusals too."""
        over = [each for each in self._requests.values() if each.until <= hour]
        for each in over:
            del self._requests[each.id]
        self.refused = {sender: until for sender, until in self.refused.items() if until > hour}
        return over
