"""Whether another program on this laptop tells its host name to the network.

The rule: the question is whose address this is, never whether somebody has that name, so asking does not itself say
the name to anybody. It goes out by multicast from a port that is not mDNS's, which by RFC 6762 §6.7 is answered to
the asker alone, inside the machine; by unicast it would end at our own daemon, which holds the port too. A quiet node
asks on loopback only. A responder that answers (avahi does) tells everybody who asks. One that does not answer to its
own machine (systemd-resolved) is only seen to hold the port, and no more is claimed.
"""

import os
import pwd
import socket
from pathlib import Path

import trio

from meshd.net.discovery import GROUP_4, PORT
from meshd.net.interfaces import IP
from meshd.net.mdns import PACKET_SIZE_MAX, host_name_query, read_host_names

ANSWER_S = 0.5  # for an answer from this very machine
_LLMNR_PORT = 5355


async def ask_name(ip: IP, names: set[str]) -> None:
    """Ask this machine, on the network of an IPv4 address of its own, whose address that is."""
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, trio.move_on_after(ANSWER_S):
        try:
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, ip.packed)
            await udp.bind((str(ip), 0))
            await udp.sendto(host_name_query(ip), (GROUP_4, PORT))
            content, sender = await udp.recvfrom(PACKET_SIZE_MAX + 1)
        except OSError:  # the address has gone, or a firewall lets no question out
            return
        if sender[0] == str(ip):
            names.update(name for name in read_host_names(content) if not name.startswith("localhost"))


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
