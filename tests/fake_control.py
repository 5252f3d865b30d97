"""A daemon for tests of its RPC: what its clients ask of it itself is noted, and has no effect."""

from typing import Any


class FakeControl:
    """A daemon that notes how it was ended, and is open."""

    def __init__(self, stopped: list[str]) -> None:
        self.stopped, self.touched = stopped, 0

    def touch(self) -> None:
        self.touched += 1

    def status(self) -> dict[str, Any]:
        return {"pid": 42}

    def down(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped.append("stop")

    def lock(self) -> bool:
        return True

    def unlock(self, key: str) -> bool:
        return False

    def erase(self, say: object) -> None:
        self.stopped.append("erase")
