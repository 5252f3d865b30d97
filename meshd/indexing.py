"""When posts are indexed for search: when it is quiet, or when somebody searches.

The rule: taking posts in goes first. Indexing begins when no post came for INDEX_QUIET_MS, or some have waited for
INDEX_LATEST_MS, and then goes on in slices, each in an event of its own, until it has caught up. Whoever searches
waits for that, and makes it due at once.
"""

from meshd.events import Now
from meshd.limits import INDEX_LATEST_MS, INDEX_QUIET_MS
from meshd.store.log import Log


class Indexing:
    """Owns when the log indexes its next slice; `log` is None while it is locked."""

    def __init__(self, log: Log | None) -> None:
        self._log = log
        self._seen = 0  # the newest post when we looked last
        self._since_ms = 0  # since when the index is behind
        self._due_ms: int | None = None  # when to go on; None while there is nothing to do

    @property
    def behind(self) -> bool:
        """Whether the log has posts that are not indexed."""
        return self._log is not None and self._log.indexed < self._log.last_cursor()

    def hurry(self, now: Now) -> None:
        """Somebody waits for it."""
        self._due_ms = now.mono_ms

    def go_on(self, now: Now) -> None:
        """Index a slice if it is time for one; asked after every event."""
        if self._log is None or not self.behind:
            self._due_ms = None
            return
        if self._due_ms is None:
            self._since_ms, self._due_ms = now.mono_ms, now.mono_ms + INDEX_QUIET_MS
        elif self._seen != self._log.last_cursor() and self._due_ms > now.mono_ms:
            self._due_ms = min(now.mono_ms + INDEX_QUIET_MS, self._since_ms + INDEX_LATEST_MS)
        self._seen = self._log.last_cursor()
        if self._due_ms <= now.mono_ms:
            self._log.index()
            if not self.behind:
                self._due_ms = None

    def next_deadline(self) -> int | None:
        """When the next slice is due, in monotonic milliseconds."""
        return self._due_ms if self.behind else None
