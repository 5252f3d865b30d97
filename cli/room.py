"""A room with a network of its own, in which laptops can find each other by multicast.

The rule: an ordinary user can make network namespaces where the system allows user namespaces: a bridge stands
for the Wi-Fi, and each laptop is a namespace on it, with an address, and a route that leads nowhere until there is an
uplink: one process that answers at `UPLINK`, and is all the internet there. Nothing of it touches the real network, and
the kernel removes it with the last process in it. Where the system does not allow it, or lacks `unshare`, `nsenter` or
`ip`, there is no room, and the demo says so instead of showing it.

The bridge has an address of its own: it would take that of a laptop, and another when that one goes, and who knew the
uplink by it would look for it in vain for half a minute.

The control socket is a file, so `mesh` talks to the daemons in the room from outside.
"""

import os
import selectors
import shutil
import subprocess
import sys

UPLINK = "10.77.0.254:4433"  # who can connect there has internet
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_TOOLS = ("unshare", "nsenter", "ip", "sh", "sleep")
_MAKE_S = 5.0
_STAY_S = 300  # the room ends by itself, should the demo be killed before it can end it

_MAKE_ROOM = f"""set -e
ip link add room address 02:00:00:00:00:fe type bridge
ip link set room up
ip address add 10.77.0.254/24 dev room
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
ip route add default via 10.77.0.254
shift 2
exec "$@"
"""
_ANSWER = """import socket
listener = socket.create_server(("10.77.0.254", 4433))
print("ready", flush=True)
while True:
    listener.accept()[0].close()
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
        self._uplink: subprocess.Popen[bytes] | None = None
        self._seats = 0
        if not self._is_ready(self._holder):
            self.close()
            raise OSError("user namespaces are not allowed")

    @staticmethod
    def _is_ready(started: "subprocess.Popen[bytes]") -> bool:
        with selectors.DefaultSelector() as selector:
            if started.stdout is None:
                return False
            selector.register(started.stdout, selectors.EVENT_READ)
            return bool(selector.select(_MAKE_S)) and started.stdout.readline() == b"ready\n"

    def seated(self, command: list[str]) -> list[str]:
        """The command that runs `command` as one more laptop in the room, in the process that it starts as."""
        self._seats += 1
        seat = ["unshare", "--net", "sh", "-c", _TAKE_SEAT, "sh", str(self._seats), str(self._holder.pid)]
        return ["env", f"PATH={_PATH}", *self._enter(), *seat, *command]

    def _enter(self) -> list[str]:
        return ["nsenter", "--target", str(self._holder.pid), "--user", "--net", "--preserve-credentials"]

    def open_uplink(self) -> None:
        """From now on there is an internet; OSError if it can't be made."""
        self._uplink = subprocess.Popen(
            [*self._enter(), sys.executable, "-I", "-c", _ANSWER],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PATH": _PATH},
            start_new_session=True,
        )
        if not self._is_ready(self._uplink):
            raise OSError("there is no uplink in the room")

    def cut_uplink(self) -> None:
        """There is none any more."""
        uplink, self._uplink = self._uplink, None
        if uplink is not None:
            _end(uplink)

    def close(self) -> None:
        """Ends the room; the laptops in it must have ended."""
        self.cut_uplink()
        _end(self._holder)


def _end(started: "subprocess.Popen[bytes]") -> None:
    started.kill()
    started.wait()
    if started.stdout:
        started.stdout.close()
