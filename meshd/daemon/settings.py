"""config.toml of the home: what its user has settled for good.

The rule: a name that meshd does not know, or a value of another kind, is refused at the start, with the line to mend:
a setting that is misspelt and silently without effect would be believed.
"""

import tomllib
from pathlib import Path
from typing import NamedTuple

from meshd.errors import CallerError, Code

FILE_NAME = "config.toml"


class Settings(NamedTuple):
    """`idle_lock_min`: minutes without a command after which the daemon locks itself; 0 for never. `receipts`: whether
    those who write to us in directs are told that it came."""

    idle_lock_min: int = 0
    receipts: bool = False


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
        kind = type(Settings._field_defaults[name])
        if type(value) is not kind or value < 0:
            wanted = "true or false" if kind is bool else "a whole number, 0 or more"
            raise CallerError(Code.invalid, f"{path}: {name} is {wanted}")
    return Settings(**given)
