"""Whether another program on this laptop tells its host name to the network.

The rule: the question is asked at the laptop's own addresses, and the kernel delivers it inside the machine, so asking
does not itself say the name to anybody. A responder that answers there (avahi does) tells everybody who asks. One
that does not answer to its own machine (systemd-resolved) is only seen to hold the port, and no more is claimed.
"""

import os
import pwd
import socket
from pathlib import Path

import trio

from meshd.net.discovery import PORT
from meshd.net.interfaces import IP
from meshd.net.mdns import PACKET_SIZE_MAX, host_name_query, read_host_names

ANSWER_S = 0.5  # for an answer from this very machine
_LLMNR_PORT = 5355


async def ask_name(ip: IP, names: set[str]) -> None:
    """Ask this machine, at an address of its own, whose it is; a program that answers there tells others too."""
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, trio.move_on_after(ANSWER_S):
        try:
            await udp.bind((str(ip), 0))
            await udp.sendto(host_name_query(ip), (str(ip), PORT))
            content, _ = await udp.recvfrom(PACKET_SIZE_MAX + 1)
        except OSError:  # nobody listens there
            return
        names.update(read_host_names(content))


def squatters() -> list[tuple[int, str]]:
    """The (port, user) of other users' programs that hold the port of mDNS or LLMNR."""
    found = set()
    for table in ("udp", "udp6"):
        try:
            listing = Path("/proc/net", table).read_text("ascii")
        except OSError:
            continue
        found |= {(port, uid) for port, uid in port_holders(listing) if uid != os.geteuid()}
    return sorted((port, _user(uid)) for port, uid in found)


def port_holders(listing: str) -> set[tuple[int, int]]:
    """The (port, uid) of the sockets on mDNS's and LLMNR's ports in the text of /proc/net/udp."""
    rows = (line.split() for line in listing.splitlines()[1:])
    held = {(int(row[1].rpartition(":")[2], 16), int(row[7])) for row in rows if len(row) > 7}
    return {(port, uid) for port, uid in held if port in (PORT, _LLMNR_PORT)}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
