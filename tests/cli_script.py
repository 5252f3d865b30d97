"""A scripted daemon for tests of the command line: what it answers is given, what it is asked is kept."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cli import console
from meshd.errors import CallerError

Script = dict[str, Any]
ID = "7f3a" * 16

POST = {
    "id": ID, "channel": "square", "author": "ab" * 32, "name": "oak#abab", "trust": "self", "text": "hello",
    "time": "2026-11-22T13:00:00Z", "clock_off_s": 0, "kind": "text", "reply_to": None,
    "held_by": {"contacts": 1, "others": 2}, "sealed": False, "expires": "2026-11-25T13:00:00Z",
}  # fmt: skip
GAP = {"author": "ab" * 32, "name": "oak#abab", "channel": "square", "count": 3}
READ = {"v": 1, "posts": [POST], "missing": [GAP], "fired": [], "cursor": 41}
CHANNELS = {
    "v": 1,
    "channels": [{"id": "01" * 16, "name": "square", "kind": "public", "members": None, "unread": 2}],
}
PEERS = {
    "v": 1,
    "peers": [
        {
            "address": "192.168.1.7:4040",
            "contact": None,
            "state": "waiting",
            "reason": "refused",
            "rtt_ms": 1.25,
            "in_bytes": 7,
            "out_bytes": 9,
        }
    ],
}
STATUS = {
    "v": 1, "id": ID, "name": "oak", "uptime_s": 130, "pid": 4711, "socket": "/h/ctl.sock", "encrypted": False,
    "locked": False, "network": {"kind": "open", "id": "cd" * 16}, "listen": ["192.168.1.2:5151"],
    "links": [{"peer": "ee" * 32, "contact": None, "address": "192.168.1.7:4040",
               "since": "2026-11-22T13:00:00Z", "direction": "out"}],
    "counts": {"posts": 10, "envelopes": 12, "channels": 2}, "clock": {"state": "ok", "off_s": 0, "advice": ""},
    "disk": {"full": False, "evicted": 0, "ids": 0, "size": 0},
    "internet": None, "discovery": {"mode": "announce", "ok": True, "reason": ""}, "exposed": [], "alarms": [],
    "plans": {"active": 0, "fired": 0, "alarms": []},
}  # fmt: skip


class ScriptedClient:
    """The daemon's side of a conversation: an answer, or an error, for each method; requests are kept."""

    def __init__(self, script: Script, asked: list[tuple[str, dict[str, Any]]]) -> None:
        self.script, self.asked = script, asked
        self.answer_size = 0

    def __enter__(self) -> "ScriptedClient":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, method: str, params: Any = None, timeout_s: float | None = None) -> Any:
        self.asked.append((method, {n: v for n, v in (params or {}).items() if v is not None}))
        answer = self.script[method]
        answer = answer.pop(0) if isinstance(answer, list) else answer
        if isinstance(answer, CallerError):
            raise answer
        self.answer_size = len(json.dumps(answer))
        return answer

    def send(self, method: str, params: Any = None) -> None:
        self.sent = self.call(method, params)

    def answer(self, patience_s: float) -> Any:
        return self.sent

    def notices(self, pause_s: float) -> Iterator[Any]:
        yield from self.script["notices"]
        raise KeyboardInterrupt  # the only end of following


Asked = list[tuple[str, dict[str, Any]]]


def answer_with(monkeypatch: pytest.MonkeyPatch, script: Script) -> Asked:
    """Puts the scripted daemon in place of the real one; returns the list that its requests will be kept in."""
    asked: Asked = []
    monkeypatch.setattr(console.Console, "connect", lambda _: ScriptedClient(script, asked))
    return asked
