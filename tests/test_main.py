"""What `meshd` says when it ends badly: where, and nothing that somebody wrote."""

import pytest

from meshd.daemon import main, passphrase
from meshd.errors import CallerError, Code, DiskError


def post_secret() -> None:
    text = "meet at the bridge"
    raise ValueError(f"cannot take {text}")


def test_a_bug_is_reported_without_words_or_values(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        try:
            post_secret()
        except ValueError as inner:
            raise ExceptionGroup("of the bridge", [inner, ExceptionGroup("bridge", [inner])]) from inner
    except ExceptionGroup as group:
        main.report_bug(type(group), group, None)
    said = capsys.readouterr().err
    assert "bridge" not in said
    assert said.startswith("meshd: this is a bug: ValueError at ") and "in post_secret" in said


def test_what_ended_the_daemon_is_found_among_what_ended_with_it() -> None:
    refused, failed = CallerError(Code.refused, "no port is free"), DiskError("the disk said EIO")
    assert main._refusal_in(BaseExceptionGroup("", [ExceptionGroup("", [refused])])) is refused
    assert main._refusal_in(ExceptionGroup("", [failed])).code is Code.error
    with pytest.raises(ExceptionGroup):
        main._refusal_in(ExceptionGroup("", [failed, KeyError("ours")]))


def test_asking_needs_a_terminal_and_two_equal_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passphrase, "_at_terminal", lambda: False)
    assert passphrase.ask(new=True) is None
    for new, missing in ((True, Code.usage), (False, Code.usage), (False, Code.locked)):
        with pytest.raises(CallerError) as caught:
            passphrase.needed(None, None, new, missing)
        assert caught.value.code is missing and "--passphrase-file" in caught.value.message


@pytest.mark.parametrize(
    ("typed", "new", "outcome"),
    [
        (["oak"], False, b"oak"),
        (["oak", "oak"], True, b"oak"),
        (["oak", "elm"], True, Code.usage),
        ([""], False, Code.usage),
        ([], False, Code.usage),
    ],
)
def test_what_is_typed(
    typed: list[str], new: bool, outcome: bytes | Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    def type_next(prompt: str) -> str:
        if not typed:
            raise EOFError
        return typed.pop(0)

    monkeypatch.setattr(passphrase, "_at_terminal", lambda: True)
    monkeypatch.setattr(passphrase.getpass, "getpass", type_next)
    if isinstance(outcome, bytes):
        assert passphrase.ask(new) == outcome
    else:
        with pytest.raises(CallerError) as caught:
            passphrase.ask(new)
        assert caught.value.code is outcome
