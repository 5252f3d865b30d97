"""What subscribers read: the log, as documents.

The rule: this is the only way in which the daemon reads past the core, and it only reads. It runs in the
core's thread between two events, so it sees what is committed and nothing else.
"""

from typing import Any

from meshd import documents, firings
from meshd.node import Node


class Feed:
    """The posts of a node's log in the order in which they came."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def network_key(self) -> bytes:
        """That of the network, 32 bytes."""
        return self._node.carry.network_key

    def channel_id(self, text: str) -> bytes:
        """The id of the channel a client names; CallerError(not_found, usage, locked)."""
        return self._node.commands.channel(text).id

    def cursor(self) -> int:
        """Where the log ends; CallerError(locked)."""
        return self._node.require_log().last_cursor()

    def posts(
        self, cursor: int, channel: bytes | None, limit: int
    ) -> list[tuple[int, dict[str, Any] | None]]:
        """Up to `limit` posts after a cursor, each with its own cursor; None instead of one whose author is muted."""
        log = self._node.require_log()
        rows = log.after(cursor, channel, limit)
        return [
            (row.cursor, None if log.contacts.get(row.author).is_muted else document)
            for row, document in zip(rows, documents.post_documents(rows, log), strict=True)
        ]

    def fired(self, channel: bytes | None) -> list[dict[str, Any]]:
        """What fired of the plans of one channel, or of all."""
        return firings.fired(self._node, channel)

    def missing(self, channel: bytes | None) -> list[dict[str, Any]]:
        """The gaps that are known, of one channel or all."""
        log = self._node.require_log()
        return [documents.missing_document(gap, log) for gap in log.missing(channel)]
