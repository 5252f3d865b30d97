"""A room with a network of its own, in which laptops can find each other by multicast.

The rule: an ordinary user can make network namespaces where the system allows user namespaces: a bridge stands
for the Wi-Fi, and each laptop is a namespace on it, with an address and no way out. Nothing of it touches the
real network, and the kernel removes it with the last process in it. Where the system does not allow it, or
lacks `unshare`, `nsenter` or `ip`, there is no room, and the demo says so instead of showing it.

The control socket is a file, so `mesh` talks to the daemons in the room from outside.
"""

import os
import selectors
import shutil
import subprocess

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_TOOLS = ("unshare", "nsenter", "ip", "sh", "sleep")
_MAKE_S = 5.0
_STAY_S = 300  # the room ends by itself, should the demo be killed before it can end it

_MAKE_ROOM = f"""set -e
ip link add room type bridge
ip link set room up
ip link add try1 type veth peer name try2
ip link delete try1
echo ready
exec sleep {_STAY_S}
"""
_TAKE_SEAT = """set -e
ip link add eth0 type veth peer name "seat$1" netns "$2"
nsenter --target "$2" --net ip link set "seat$1" master room up
ip link set lo up
ip address add "10.77.0.$1/24" dev eth0
ip link set eth0 up
shift 2
exec "$@"
"""


class Room:
    """An open room; OSError if this machine does not allow one."""

    def __init__(self) -> None:
        if not all(shutil.which(tool, path=_PATH) for tool in _TOOLS):
            raise OSError("unshare, nsenter or ip is missing")
        self._holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", _MAKE_ROOM],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PATH": _PATH},
            start_new_session=True,
        )
        self._seats = 0
        if not self._is_ready():
            self.close()
            raise OSError("user namespaces are not allowed")

    def _is_ready(self) -> bool:
        with selectors.DefaultSelector() as selector:
            if self._holder.stdout is None:
                return False
            selector.register(self._holder.stdout, selectors.EVENT_READ)
            return bool(selector.select(_MAKE_S)) and self._holder.stdout.readline() == b"ready\n"

    def seated(self, command: list[str]) -> list[str]:
        """The command that runs `command` as one more laptop in the room, in the process that it starts as."""
        self._seats += 1
        pid = str(self._holder.pid)
        enter = ["nsenter", "--target", pid, "--user", "--net", "--preserve-credentials", "unshare", "--net"]
        return ["env", f"PATH={_PATH}", *enter, "sh", "-c", _TAKE_SEAT, "sh", str(self._seats), pid, *command]

    def close(self) -> None:
        """Ends the room; the laptops in it must have ended."""
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout:
            self._holder.stdout.close()
