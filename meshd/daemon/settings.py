"""config.toml of the home: what its user has settled for good.

The rule: a name that meshd does not know, or a value of another kind, is refused at the start, with the line to mend:
a setting that is misspelt and silently without effect would be believed.
"""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from meshd.errors import CallerError, Code
from meshd.limits import DARK_AFTER_S, DARK_AFTER_S_MAX, DARK_AFTER_S_MIN, HOOK_SIZE_MAX, PROBES_MAX
from meshd.net.probing import Place

FILE_NAME = "config.toml"


class Internet(NamedTuple):
    """The table `[internet]`. `probes` and `domestic`: places to try (`net.probing`), abroad and at home; none without
    being asked for. `dark_after_s`: seconds for which the internet must be missed."""

    probes: tuple[str, ...] = ()
    domestic: tuple[str, ...] = ()
    dark_after_s: int = DARK_AFTER_S


class Hook(NamedTuple):
    """The table `[hook]`. `on_fired`: a program and its arguments, run when a scenario fires (`hook`); none without
    being asked for. `notify`: whether the desktop says that something fired (`notification`)."""

    on_fired: tuple[str, ...] = ()
    notify: bool = True


class Settings(NamedTuple):
    """`idle_lock_min`: minutes without a command after which the daemon locks itself; 0 for never. `receipts`: whether
    those who write to us in directs are told that it came."""

    idle_lock_min: int = 0
    receipts: bool = False
    internet: Internet = Internet()
    hook: Hook = Hook()


def read(home: Path) -> Settings:
    """The settings of a home, its file or the defaults; CallerError(invalid)."""
    path = home / FILE_NAME
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise CallerError(Code.refused, f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:  # no TOML, or no text
        raise CallerError(Code.invalid, f"{path} is no TOML: {error}") from None
    for name, value in given.items():
        if name not in Settings._fields:
            raise CallerError(Code.invalid, f"{path}: there is no setting {name!r}")
        if name == "internet":
            given[name] = _internet(path, value)
            continue
        if name == "hook":
            given[name] = _hook(path, value)
            continue
        kind = type(Settings._field_defaults[name])
        if type(value) is not kind or value < 0:
            wanted = "true or false" if kind is bool else "a whole number, 0 or more"
            raise CallerError(Code.invalid, f"{path}: {name} is {wanted}")
    return Settings(**given)


def _internet(path: Path, given: Any) -> Internet:
    """The table of that name, checked."""
    _check_names(path, "internet", given, Internet._fields)
    for name, value in given.items():
        if name == "dark_after_s":
            if type(value) is not int or not DARK_AFTER_S_MIN <= value <= DARK_AFTER_S_MAX:
                raise CallerError(
                    Code.invalid, f"{path}: {name} is {DARK_AFTER_S_MIN} to {DARK_AFTER_S_MAX} seconds"
                )
            continue
        if type(value) is not list or len(value) > PROBES_MAX or any(type(one) is not str for one in value):
            raise CallerError(
                Code.invalid, f"{path}: {name} is a list of at most {PROBES_MAX} places in quotes"
            )
        try:
            for text in value:
                Place.parse(text)
        except CallerError as error:
            raise CallerError(Code.invalid, f"{path}: {name}: {error.message}") from None
        given[name] = tuple(value)
    return Internet(**given)


def _hook(path: Path, given: Any) -> Hook:
    """The table of that name, checked."""
    _check_names(path, "hook", given, Hook._fields)
    words, notify = given.get("on_fired", []), given.get("notify", True)
    if type(words) is not list or any(type(word) is not str or "\0" in word for word in words):
        raise CallerError(
            Code.invalid,
            f'{path}: on_fired is a list, a program and its arguments: ["/path/program", "argument"]',
        )
    if words[:1] == [""] or sum(len(word.encode()) + 1 for word in words) > HOOK_SIZE_MAX:
        raise CallerError(Code.invalid, f"{path}: on_fired names a program, in at most {HOOK_SIZE_MAX} bytes")
    if type(notify) is not bool:
        raise CallerError(Code.invalid, f"{path}: notify is true or false")
    return Hook(tuple(words), notify)


def _check_names(path: Path, table: str, given: Any, names: tuple[str, ...]) -> None:
    if type(given) is not dict:
        raise CallerError(Code.invalid, f"{path}: {table} is a table: write [{table}] on a line of its own")
    for name in given:
        if name not in names:
            raise CallerError(Code.invalid, f"{path}: there is no setting {name!r} in [{table}]")
