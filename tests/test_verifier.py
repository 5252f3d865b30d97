"""The verifier with a second thread says what the plain one says, in the same order."""

from collections.abc import Iterator

import pytest

from meshd import crypto
from meshd.daemon.verifier import Verifier


@pytest.fixture
def verifier() -> Iterator[Verifier]:
    made = Verifier()
    yield made
    made.close()


def checks(count: int, forged: set[int]) -> list[crypto.Check]:
    public, secret = crypto.ed25519_keypair(bytes(range(32)))
    made = []
    for number in range(count):
        message = number.to_bytes(4, "big")
        made.append((public, message, bytes(64) if number in forged else crypto.sign(secret, message)))
    return made


@pytest.mark.parametrize("count", [0, 1, 8, 9, 200])
def test_verdicts_stand_where_their_checks_stood(verifier: Verifier, count: int) -> None:
    forged = {number for number in range(count) if number % 7 == 3}
    asked = checks(count, forged)
    verdicts = verifier.verify_many(asked)
    assert verdicts == crypto.verify_many(asked)
    assert [place for place, good in enumerate(verdicts) if not good] == sorted(forged)


def test_it_serves_again_and_again(verifier: Verifier) -> None:
    asked = checks(40, {39})
    assert [verifier.verify_many(asked) for _ in range(20)] == [[True] * 39 + [False]] * 20
