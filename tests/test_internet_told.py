"""What people are told of the internet: the document of `mesh internet`, and why it is dark or not."""

import pytest

from meshd.events import Found, Looked, WayOut
from tests.eyes import ALONE, FULL, LIMITED, MIN, NO_NETWORK, ROUTED, Eye, online


def test_the_document() -> None:
    eye = Eye().see(WayOut(True, True), Looked("system", Found.FULL, "it came through"))
    found = eye.document()
    assert found == {
        "state": "full",
        "since": "2026-12-02T13:00:00.000Z",
        "dark": False,
        "dark_since": None,
        "reason": "the internet is here",
        "last_seen": "2026-12-02T13:00:00.000Z",
        "observations": [
            {"source": "routes", "found": "a way out", "detail": "", "since": None},
            {
                "source": "system",
                "found": "full",
                "detail": "it came through",
                "since": "2026-12-02T13:00:00.000Z",
            },
        ],
    }


def test_the_document_of_who_saw_nothing_yet() -> None:
    found = Eye().document()
    assert found.pop("reason").startswith("no internet was seen here within seven days")
    assert found == {
        "state": None,
        "since": None,
        "dark": False,
        "dark_since": None,
        "last_seen": None,
        "observations": [],
    }


@pytest.mark.parametrize(
    ("way", "words"), [(ROUTED, "a way out"), (ALONE, "no way out"), (NO_NETWORK, "no network")]
)
def test_what_the_routes_tell(way: WayOut, words: str) -> None:
    (routes,) = Eye().see(way).document()["observations"]
    assert routes == {"source": "routes", "found": words, "detail": "", "since": None}


def test_why_before_the_routes_are_known() -> None:
    assert "no way out" in online().restart().why


def test_why_while_it_comes_back() -> None:
    eye = online().see(LIMITED).wait(MIN).see(FULL)
    assert not eye.dark and eye.why == "this was only now: wait a little"
