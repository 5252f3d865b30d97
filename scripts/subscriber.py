"""A subscriber that does as little as possible while the clock runs: it counts lines, and parses them afterwards."""

import json
import socket
import time

from meshd.daemon import api

_READ_SIZE = 1024 * 1024


class Subscriber:
    """Everything posted from now on into some channels, which are joined for it."""

    def __init__(self, home: str, channels: tuple[str, ...]) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        with api.short_path(api.socket_path(home)) as path:
            self._socket.connect(path)
        self._answers = self._socket.makefile("rb")
        for channel in channels:
            self._call("channel.join", {"name": channel})
        self._call("subscribe", {})
        self._came = bytearray()

    def _call(self, method: str, params: dict[str, object]) -> None:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(self._answers.readline())
        if "error" in answer:
            raise SystemExit(f"{method} failed: {answer['error']['message']}")

    def wait_for(self, posts: int, patience_s: float) -> float:
        """Wait until so many posts were read; the time at which the last one was, on `perf_counter`."""
        self._socket.settimeout(patience_s)
        count = 0
        while count < posts:
            try:
                piece = self._socket.recv(_READ_SIZE)
            except TimeoutError:
                piece = b""
            if not piece:
                raise SystemExit(f"only {count} of {posts} posts came")
            self._came += piece
            count += piece.count(b"\n")
        return time.perf_counter()

    def texts(self) -> list[str]:
        """What was read, in the order in which it came."""
        return [json.loads(line)["params"]["post"]["text"] for line in self._came.splitlines()]

    def close(self) -> None:
        """Hang up."""
        self._answers.close()
        self._socket.close()
