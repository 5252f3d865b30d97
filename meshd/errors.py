"""Three failures, three types.

The rule: whoever is wrong decides the type, and each type is caught in one place.

- `PeerError`: the other side of a link broke the protocol. Raised only for what is wrong on any node at any
  time (bad frame, bad encoding, a public envelope's signature); caught where the core dispatches link events,
  which closes that link and nothing else. What honest nodes may differ in (version, clock, quota, key) is
  never a PeerError: it is refused in silence, by a return value.
- `CallerError`: the person or program that asked is wrong, or asked for what is not there. It carries a code;
  the RPC sends it as the answer and the command line turns it into its exit status (`Code`).
- `DiskError`: the disk is wrong. The daemon stops, because it can keep no promise any more.

A duplicate is no error but a return value, and our own bug is none of the three: it crashes.
"""

import enum


class Code(enum.IntEnum):
    """The names that error documents carry, with the exit status of the command line (a contract)."""

    error = 1
    usage = 2
    not_running = 3
    locked = 4
    not_found = 5
    refused = 6
    timed_out = 7
    invalid = 8
    no_peers = 9
    not_met = 10
    busy = 11
    expired = 12


class PeerError(Exception):
    """The peer broke the protocol; `str(error)` is the reason, in our own words, never the peer's bytes."""


class CallerError(Exception):
    """The caller is wrong: `code` for programs, the message (one line: what is wrong, what to do) for people."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class DiskError(Exception):
    """The disk failed or lied; nothing after it can be promised."""


class DiskFull(DiskError):
    """There is no room on the disk: nothing can be written until there is, but nothing is damaged either."""
