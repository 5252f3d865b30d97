"""The other half of unlocking: hand the key of the log to the daemon of a home.

The rule: the key is made of the passphrase in a process of its own, which ends at once; the daemon gets nothing but
the key, over its own socket, and only one that fits its keyslot.
"""

import json
import socket

from meshd.daemon import api
from meshd.daemon.home import Home
from meshd.errors import CallerError, Code

_PATIENCE_S = 30.0


def unlock(home: Home, key: bytes) -> None:
    """Returns when the daemon has begun anew with the key. CallerError: not_running, timed_out, or the daemon's own."""
    path = api.socket_path(str(home.path))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_PATIENCE_S)
        try:
            with api.short_path(path) as short:
                client.connect(short)
        except OSError:
            raise CallerError(
                Code.not_running, f"no daemon runs in {home.path}: start it with `mesh up`"
            ) from None
        request = {"jsonrpc": "2.0", "id": 1, "method": "unlock", "params": {"key": key.hex()}}
        try:
            client.sendall(json.dumps(request).encode() + b"\n")
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as lines:
                answer = json.loads(lines.readline())
                lines.read()  # to the end, which is that of this run of the daemon
        except (OSError, ValueError):
            raise CallerError(
                Code.timed_out, "the daemon does not answer: look at daemon.log in its home"
            ) from None
    if "error" in answer:
        raise CallerError(api.error_code(answer["error"]), str(answer["error"]["message"]))
