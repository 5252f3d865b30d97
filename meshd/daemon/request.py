"""JSON-RPC 2.0, the text of it: lines into requests, answers into lines.

The rule: a request that comes out of `check` names a method of `methods.METHODS` and holds only parameters of the
right names and types; everything else becomes a `Wrong` with the answer it deserves. A parameter that is null
counts as not given, so that programs need not leave members out.

Lines are ASCII: whatever a post holds, a log or a terminal shows nothing but printable characters of it.
"""

import json
from typing import Any, NamedTuple

from meshd.daemon import api, methods
from meshd.errors import CallerError, Code

encode = json.JSONEncoder(separators=(",", ":")).encode


class Wrong(Exception):
    """A line or request that is answered with an error before anybody acts on it."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number
        self.error = CallerError(Code.usage, message)


class Request(NamedTuple):
    """A request that may be acted on. Without an id nobody wants an answer."""

    id: Any
    wants_answer: bool
    method: str
    params: dict[str, Any]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def decode(line: bytes) -> Any:
    """The value in a line; raises Wrong."""
    try:
        return _decode(line.decode())
    except (ValueError, RecursionError):
        raise Wrong(api.PARSE_ERROR, "this line is no JSON in UTF-8") from None


def check(value: Any) -> Request:
    """The request in a JSON value; raises Wrong."""
    whole = isinstance(value, dict) and value.get("jsonrpc") == "2.0" and isinstance(value.get("method"), str)
    if not whole or type(value.get("id")) not in (str, int, float, type(None)):
        raise Wrong(api.REQUEST_ERROR, 'a request is {"jsonrpc": "2.0", "id": …, "method": …, "params": {…}}')
    method = value["method"]
    if method not in methods.METHODS:
        raise Wrong(api.METHOD_ERROR, f"there is no method {method[:64]!r}")
    return Request(value.get("id"), "id" in value, method, check_params(method, value.get("params", {})))


def check_params(method: str, params: Any) -> dict[str, Any]:
    """The parameters of a method of the table that were given; raises Wrong."""
    if not isinstance(params, dict):
        raise Wrong(api.PARAMS_ERROR, f"{method}: parameters go by name, in an object")
    known = methods.METHODS[method].params
    given = {name: value for name, value in params.items() if value is not None}
    for name, value in given.items():
        if name not in known:
            raise Wrong(api.PARAMS_ERROR, f"{method}: there is no parameter {name[:64]!r}")
        if type(value) not in known[name].types:
            types = " or ".join(methods.TYPE_NAMES[type_] for type_ in known[name].types)
            raise Wrong(api.PARAMS_ERROR, f"{method}: {name} has to be a {types}")
    for name, param in known.items():
        if param.required and name not in given:
            raise Wrong(api.PARAMS_ERROR, f"{method}: {name} is missing")
    return given


def result_text(id_: Any, result: dict[str, Any]) -> str:
    """An answer, not yet a line."""
    return encode({"jsonrpc": "2.0", "id": id_, "result": {"v": api.VERSION, **result}})


def error_text(id_: Any, error: CallerError, number: int | None = None) -> str:
    """An error answer, not yet a line; `number` where it is not the one of the error's code."""
    number = api.error_number(error.code) if number is None else number
    body = {"code": number, "message": error.message, "data": {"code": error.code.name}}
    return encode({"jsonrpc": "2.0", "id": id_, "error": body})


def id_of(value: Any) -> Any:
    """The id that an answer to a wrong request carries: its own if it has a usable one."""
    id_ = value.get("id") if isinstance(value, dict) else None
    return id_ if type(id_) in (str, int, float) else None
