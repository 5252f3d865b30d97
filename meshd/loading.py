"""Loading: what a node has for an open log, each part built on those before it.

The rule: all of it is in memory because it is on the disk, and is made anew at the start and when the disk was full.
Who we are comes first, then what others leave for us, the groups that we are in, and what is said and arranged in them.
Each registers with those before it, and none knows those behind it.
"""

from functools import partial
from typing import TYPE_CHECKING

from meshd import firings
from meshd.author import Author
from meshd.directs import Directs
from meshd.events import Now
from meshd.inbox import Inbox
from meshd.own_groups import OwnGroups
from meshd.own_plans import OwnPlans
from meshd.store.log import Log
from meshd.vouching import Vouching
from meshd.witness import Witness

if TYPE_CHECKING:
    from meshd.node import Node


def load_own(node: "Node", log: Log, now: Now) -> None:
    """Make the parts of a node that need its log."""
    entropy, rng, publish, sealing = node.entropy, node.rng, node.publish, node.intake.sealing
    author = Author(log, node.clock, entropy, sealing)
    inbox = Inbox(log, author, sealing, entropy=entropy, rng=rng, publish=publish, now=now)
    groups = OwnGroups(log, author, sealing, inbox, entropy=entropy, rng=rng, publish=publish)
    node.author, node.inbox, node.groups = author, inbox, groups
    node.vouching = Vouching(log, author, groups)
    node.directs = Directs(
        log, author, sealing, groups, entropy=entropy, rng=rng, publish=publish, receipts=node.receipts
    )
    witness = node.witness = Witness(log, author, groups, (node.internet, node.time), rng=rng)
    node.plans = witness.plans = OwnPlans(log, author, sealing, groups, witness, rng=rng, publish=publish)
    node.plans.fired = partial(firings.tell, node)
