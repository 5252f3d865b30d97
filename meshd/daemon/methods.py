"""What may be asked of a running daemon: every method, with its parameters and its answer.

The rule: the daemon checks requests against `METHODS` before anything else sees them, and docs/rpc.md is generated
from it (`scripts/docs`), so that neither can drift. The documents are those of `daemon.api`.
"""

from typing import NamedTuple

from meshd.daemon.api import (
    Channels,
    Confirmed,
    Empty,
    Erased,
    Exported,
    Identity,
    Imported,
    Invite,
    MissingNotice,
    Peers,
    Pinged,
    Posted,
    PostNotice,
    Read,
    Status,
    Subscribed,
    Synced,
)
from meshd.daemon.api_contacts import Compared, Contacts, Vouched
from meshd.daemon.api_fired import FiredNotice
from meshd.daemon.api_groups import Group, Invited, Left, Presumed, Requests, Written
from meshd.daemon.api_internet import Attested, Internet
from meshd.daemon.api_plans import (
    Burned,
    Cue,
    Cues,
    Heartbeat,
    Opened,
    Plans,
    Proposed,
    Ready,
    Share,
    ShareWords,
    Signed,
    StoodDown,
)
from meshd.daemon.api_posts import Marked, Shown

TYPE_NAMES: dict[type, str] = {
    str: "string",
    int: "whole number",
    float: "number",
    bool: "boolean",
    list: "list",
}


class Param(NamedTuple):
    """A parameter: its JSON types, what it says, and whether it must be there."""

    types: tuple[type, ...]
    does: str
    required: bool = False


class Method(NamedTuple):
    """A method: its parameters, the type of its result, and what it does, in one line."""

    params: dict[str, Param]
    result: type
    does: str


_CHANNEL = Param((str,), "a channel's name, `public:name`, or an id prefix of at least 6", required=True)
_ADDRESS = Param((str,), "HOST:PORT or [IPv6]:PORT", required=True)
_WHO = Param((str,), "a petname, `name#7f3a`, or an id prefix of at least 6", required=True)
_GROUP = Param((str,), "a group's name, `group:name`, or an id prefix of at least 6", required=True)
_PLAN = Param((str,), "a plan's title, or a prefix of its id or of a version's, of at least 6", required=True)
_SCENARIO = Param((str,), "the name of a scenario", required=True)
_ONE_SCENARIO = Param((str,), "the name of a scenario; without it, the one of which we hold a share")
METHODS: dict[str, Method] = {
    "status": Method({}, Status, "the node at a glance"),
    "down": Method({}, Empty, "stops the daemon; the answer comes before it stops"),
    "lock": Method(
        {}, Empty, "forgets the log's key and all it opened, and goes on relaying; all connections end"
    ),
    "unlock": Method(
        {
            "key": Param(
                (str,), "the log's key, 64 hex digits: `meshd unlock` makes it of the passphrase", True
            )
        },
        Empty,
        "opens the log again; all connections end",
    ),
    "panic": Method(
        {"yes": Param((bool,), "has to be true", required=True)},
        Erased,
        "erases the keys and everything of this node; the answer comes when it is done, and is the last",
    ),
    "id.show": Method(
        {"prekeys": Param((bool,), "whether the card is a long one, with today's prekeys")},
        Identity,
        "the own identity",
    ),
    "invite.network": Method({}, Invite, "the text that lets a laptop join this network"),
    "post": Method(
        {
            "channel": _CHANNEL,
            "text": Param((str,), "what is said", required=True),
            "reply_to": Param((str,), "the id of a post, or a prefix of at least 6"),
            "keep": Param((str,), "how long others carry it: 6h, 24h, 72h (default) or 7d"),
            "wait": Param((str,), "answer when it is `held` or `delivered`, not at once"),
            "timeout": Param((int, float), "seconds to wait at most"),
        },
        Posted,
        "posts to a channel; an answered post is on disk",
    ),
    "dm": Method(
        {
            "who": _WHO,
            "text": Param((str,), "what is said", required=True),
            "reply_to": Param((str,), "the id of a post, or a prefix of at least 6"),
            "keep": Param((str,), "how long others carry it: 6h, 24h, 72h (default) or 7d"),
            "wait": Param((str,), "answer when it is `held` or `delivered`, not at once"),
            "timeout": Param((int, float), "seconds to wait at most"),
            "old_prekey": Param((bool,), "if no key of theirs is for today, seal to one whose day is over"),
        },
        Written,
        "posts to one person, whose card is here",
    ),
    "read": Method(
        {
            "channel": Param((str,), "only this channel"),
            "limit": Param((int,), "at most so many posts"),
            "since": Param((str, int), "an age (30m, 2h, 3d) or a cursor"),
        },
        Read,
        "posts in causal order, oldest first",
    ),
    "search": Method(
        {
            "query": Param((str,), 'words; "a phrase", -without, begin*', required=True),
            "channel": Param((str,), "only this channel"),
            "limit": Param((int,), "at most so many posts, the newest"),
            "since": Param((str, int), "a cursor: the first posts after it, not the newest"),
        },
        Read,
        "posts that have these words, oldest first",
    ),
    "show": Method(
        {"id": Param((str,), "the id of a post, or a prefix of at least 6", required=True)},
        Shown,
        "one post and where it comes from",
    ),
    "mark": Method(
        {
            "id": Param((str,), "the id of a post, or a prefix of at least 6", required=True),
            "remove": Param((bool,), "take the mark off"),
        },
        Marked,
        "keeps a post here past its time, until the mark is taken off",
    ),
    "channel.list": Method({}, Channels, "the channels joined here"),
    "channel.join": Method(
        {"name": Param((str,), "its name", required=True)}, Channels, "joins a public channel"
    ),
    "channel.leave": Method({"channel": _CHANNEL}, Channels, "leaves a channel; a group as `group.leave`"),
    "peer.list": Method({}, Peers, "addresses given by hand, and links"),
    "peer.add": Method({"address": _ADDRESS}, Peers, "keeps a link to this address from now on"),
    "peer.drop": Method({"address": _ADDRESS}, Peers, "gives an address up and closes its link"),
    "peer.ping": Method(
        {
            "who": Param(
                (str,), "the address of an open link, or a prefix of the peer's link key", required=True
            )
        },
        Pinged,
        "waits for an answer of a peer",
    ),
    "contact.list": Method({}, Contacts, "whom the user knows"),
    "contact.add": Method(
        {
            "card": Param((str,), "the text of a card", required=True),
            "name": Param((str,), "the petname; one that another key has is refused"),
        },
        Contacts,
        "makes the owner of a card a contact, who is recognised on links from now on",
    ),
    "contact.verify": Method(
        {
            "who": _WHO,
            "words": Param((str,), "the 12 words that their own screen shows"),
            "card": Param((str,), "the card that their own screen shows"),
        },
        Compared,
        "compares words or card with the key of a contact: verified, or `invalid` if they differ; without either, tells"
        " the words that have to be compared",
    ),
    "contact.vouch": Method(
        {"who": _WHO, "remove": Param((bool,), "take it back")},
        Vouched,
        "says in the groups shared with somebody verified that their key was compared",
    ),
    "contact.rename": Method(
        {"who": _WHO, "n": Param((str,), "the new petname", required=True)}, Contacts, "changes a petname"
    ),
    "contact.mute": Method({"who": _WHO}, Contacts, "their posts are read, not followed"),
    "contact.unmute": Method({"who": _WHO}, Contacts, "takes that back"),
    "contact.block": Method(
        {"who": _WHO}, Contacts, "nothing of theirs is shown, and they are not recognised"
    ),
    "contact.unblock": Method({"who": _WHO}, Contacts, "takes that back"),
    "sync": Method(
        {"wait": Param((bool,), "answer when it is done")}, Synced, "reconciles with all links now"
    ),
    "group.create": Method(
        {
            "name": Param((str,), "what it is called, by all its members", required=True),
            "strict": Param((bool,), "nothing in it is kept over 24 hours"),
            "history": Param(
                (str,), "what newcomers may read of what was there before: none (default) or all"
            ),
        },
        Group,
        "makes a group, with oneself alone in it",
    ),
    "group.invite": Method(
        {"group": _GROUP, "who": Param((str, list), f"{_WHO.does}; or a list of these", required=True)},
        Invited,
        "makes people members whose cards are here, all at once, and sends them the key",
    ),
    "group.accept": Method(
        {
            "invite": Param(
                (str,), "the text of an invitation; or of one that came, the name or id", required=True
            )
        },
        Group,
        "joins a group that one is invited to",
    ),
    "group.members": Method({"group": _GROUP}, Group, "who is in, and which acts are under way"),
    "group.remove": Method({"group": _GROUP, "who": _WHO}, Group, "puts somebody out, or signs that"),
    "group.rotate": Method({"group": _GROUP}, Group, "begins an epoch with a new key"),
    "group.admin": Method(
        {"group": _GROUP, "who": _WHO, "remove": Param((bool,), "take the rights away")},
        Group,
        "makes a member an admin, or signs that",
    ),
    "group.leave": Method({"group": _GROUP}, Left, "leaves a group, and says so in it"),
    "presume-arrested": Method(
        {"who": _WHO},
        Presumed,
        "blocks somebody, and removes them from groups, or signs that",
    ),
    "requests": Method({}, Requests, "who writes to us or invites us, and waits for an answer"),
    "requests.accept": Method(
        {"who": _WHO}, Requests, "lets somebody in: reads what they write, joins the groups they invite to"
    ),
    "requests.refuse": Method(
        {"who": _WHO}, Requests, "forgets what somebody wants, and hears nothing for a week"
    ),
    "internet": Method({}, Internet, "how much of the internet this laptop sees, and whether it is dark"),
    "internet.attest": Method(
        {},
        Attested,
        "says in groups with plans that it is dark here, until it is light; `not_met` if it is not",
    ),
    "heartbeat.on": Method({}, Heartbeat, "gives a sign of life about hourly where a plan waits for silence"),
    "heartbeat.off": Method({}, Heartbeat, "gives none any more"),
    "plan.propose": Method(
        {
            "file": Param((str,), "an absolute path: the plan as TOML", required=True),
            "group": _GROUP,
            "replaces": Param((str,), "the plan that this is to be the next version of"),
            "single": Param((bool,), "one of several organisers may act alone"),
        },
        Proposed,
        "checks a plan's file, seals it and posts it; phrases that were made for it stand in this answer alone",
    ),
    "plan.sign": Method({"plan": _PLAN}, Signed, "signs the version that waits for it, as an organiser"),
    "plan.burn": Method(
        {"plan": _PLAN, "who": _WHO},
        Burned,
        "proposes the next version, in which a steward has no share and no say, with new keys and phrases",
    ),
    "plan.list": Method({}, Plans, "the plans of all groups"),
    "plan.show": Method({"plan": _PLAN}, Plans, "one plan: the version that stands, and those that wait"),
    "plan.ready": Method({"plan": _PLAN}, Ready, "who is there to carry a plan out"),
    "plan.open": Method(
        {
            "plan": _PLAN,
            "scenario": _SCENARIO,
            "phrase": Param((str,), "as it was heard: case, punctuation and spacing do not matter"),
            "phrase_file": Param((str,), "or an absolute path to a file that holds it"),
            "pass_on": Param((bool,), "post the key, so that it opens for the whole group"),
        },
        Opened,
        "opens a phrase lock; `not_met` if it is another phrase",
    ),
    "plan.share.show": Method({"plan": _PLAN, "scenario": _ONE_SCENARIO}, ShareWords, "our share, in words"),
    "plan.share.release": Method({"plan": _PLAN, "scenario": _ONE_SCENARIO}, Share, "posts our share"),
    "plan.share.enter": Method(
        {"plan": _PLAN, "words": Param((str,), "the 20 words of somebody's share", required=True)},
        Share,
        "takes in a share that was read aloud; `invalid` if it is false",
    ),
    "plan.stand-down": Method(
        {
            "plan": _PLAN,
            "scenario": Param((str,), "the name of a scenario; without it, all of them"),
            "drill": Param((bool,), "its drill"),
        },
        StoodDown,
        "says, as an organiser, that a scenario is not to happen; once enough do, that is final",
    ),
    "cue.fire": Method(
        {"plan": _PLAN, "scenario": _SCENARIO, "drill": Param((bool,), "only as a drill")},
        Cue,
        "calls a scenario, as an organiser; it fires once enough do",
    ),
    "cue.list": Method({}, Cues, "what was called in the plans that stand"),
    "clock.confirm": Method({}, Confirmed, "says that this machine's clock is right"),
    "bundle.export": Method(
        {
            "file": Param((str,), "an absolute path where nothing is yet", required=True),
            "since": Param((str,), "only what was posted in the last 30m, 2h, 3d"),
            "channel": Param((str,), "only this channel"),
        },
        Exported,
        "writes what is carried into a file",
    ),
    "bundle.import": Method(
        {"file": Param((str,), "an absolute path", required=True)},
        Imported,
        "takes in what a file holds, checked like what comes by a link",
    ),
    "subscribe": Method(
        {
            "channel": Param((str,), "only this channel"),
            "cursor": Param((int,), "posts after this cursor; without it, from now on"),
            "missing": Param((bool,), "also say when a gap shows or closes"),
            "fired": Param((bool,), "also say what of a plan has fired"),
        },
        Subscribed,
        "sends a notification `post` for every post from the cursor on, in log order, skipping none",
    ),
    "unsubscribe": Method({"subscription": Param((int,), "its number", True)}, Empty, "ends a subscription"),
}

NOTICES: dict[str, tuple[type, str]] = {
    "post": (PostNotice, "a post of a subscription"),
    "missing": (MissingNotice, "a gap of a subscription that asked for `missing`"),
    "fired": (FiredNotice, "what fired, of a subscription that asked for `fired`"),
}
