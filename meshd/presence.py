"""Presence: who this node is on the network that it is on now, and who of those announced there is a fellow member.

The rule (protocol.md, "Renewal", "Discovery"): the link key, the instance and the host name are random and drawn anew
on every network, so that what one network saw of us is of no use on the next. An announcement counts only with the
tag of our network, and only for addresses that may be dialled.
"""

from meshd import crypto
from meshd.events import PeerFound, Renew
from meshd.ids import Address, dialable, discovery_tag


class Presence:
    """Owns the link key pair and the instance name."""

    def __init__(self, network_key: bytes, entropy: crypto.Entropy) -> None:
        self._network_key, self._entropy = network_key, entropy
        self.link_keys, self.instance = (b"", b""), ""

    def renew(self) -> Renew:
        """Become somebody else."""
        self.link_keys = crypto.x25519_keypair(crypto.fresh(self._entropy, 32))
        self.instance = crypto.fresh(self._entropy, 16)[:8].hex()
        host = crypto.fresh(self._entropy, 16)[:8].hex()
        return Renew(self.instance, host, discovery_tag(self._network_key, self.instance))

    def fellow(self, found: PeerFound) -> list[Address] | None:
        """Where the announced node may be dialled; None if it is no fellow member, or ourselves."""
        if found.instance == self.instance or found.tag != discovery_tag(self._network_key, found.instance):
            return None
        return [address for address in found.addresses if dialable(address)]
