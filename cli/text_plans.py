"""Plans and cues as lines for people. The rule is that of `cli.text`: documents in, lines out.

A plan is shown with all that its signers answer for: what is sealed for this laptop says so, and why. Words that open
something (phrases, shares) stand alone on their line, to be copied by hand.
"""

from collections.abc import Iterable, Iterator, Sequence

import click

from cli.client import Document
from cli.inert import inert, inert_lines
from cli.text import local_time

_COLOURS = {"active": "green", "fired": "red", "contested": "yellow", "stood-down": "yellow"}


def _state(state: str) -> str:
    return click.style(inert(state), bold=True, fg=_COLOURS.get(state))


def _names(people: Iterable[Document]) -> str:
    return inert(", ".join(person["name"] for person in people)) or "nobody"


def _cue(cue: Document) -> str:
    """`call and dark, attested by 3`, in words."""
    ((kind, said),) = cue.items()
    match kind:
        case "call" | "phrase":
            return str(kind)
        case "at":
            return f"from {local_time(said)}"
        case "after":
            return f"{said['delay']} after {said['scenario']}"
        case "dark":
            return f"dark, attested by {said['attested_by']}"
        case "silence":
            return f"{said['of']} not heard for {said['hours']} h, say {said['observers']}"
    inner = [
        f"({_cue(each)})" if {"all", "any", "some"} & each.keys() else _cue(each) for each in _inner(said)
    ]
    if kind == "some":
        return f"{said['k']} of: {'; '.join(inner)}"
    return (" and " if kind == "all" else " or ").join(inner)


def _inner(said: Sequence[Document] | Document) -> Sequence[Document]:
    return said["of"] if isinstance(said, dict) else said


def drafted(document: Document) -> Iterator[str]:
    yield inert(f"{document['file']} holds an example: edit it, then")
    yield inert(f"  mesh plan propose {document['file']} --group GROUP")


def signed(document: Document) -> Iterator[str]:
    """A version, and who signed it."""
    have, needed = len(document["signers"]), document["needed"]
    yield (
        f"{click.style(inert(document['title']), bold=True)} {document['id'][:8]}, version {document['version']}:"
        f" {_state(document['state'])}"
    )
    yield f"  signed by {have} of {needed}: {_names(document['signers'])}"
    if document["state"] == "proposed":  # by its own id: what else is proposed meanwhile is not meant
        id = document["version_id"][:8]
        yield f"  waits for organisers: `mesh plan show {id}`, then `mesh plan sign {id}`"


def proposed(document: Document) -> Iterator[str]:
    """The version, and the phrases that nobody can show again."""
    yield from signed(document)
    if document["phrases"]:
        yield "Write these down now: no laptop can show them again. Case, punctuation and spacing do not matter."
    for each in document["phrases"]:
        yield inert(f"  {each['scenario']}: ") + click.style(inert(each["phrase"]), bold=True)
    yield "A phrase that is overheard opens early; so do as many stewards as it takes, together."


def plans(document: Document) -> Iterator[str]:
    """Each plan in a line or two."""
    for each in document["plans"]:
        yield from signed(each)
        cases = (f"{scenario['name']} {scenario['state']}" for scenario in each["scenarios"])
        yield inert(f"  in {each['group']}: {', '.join(cases)}")


def shown(document: Document) -> Iterator[str]:
    """All of each version."""
    for each in document["plans"]:
        yield from signed(each)
        yield inert(f"  group       {each['group']}, proposed by {each['author']['name']}")
        yield f"  valid       {local_time(each['valid_from'])} to {local_time(each['valid_until'])}"
        yield f"  organisers  {_names(each['organisers'])}; {each['threshold']} call or stand down"
        if each["stewards"]:
            yield f"  stewards    {_names(each['stewards'])}; {each['shares_needed']} open a lock of shares"
        yield f"  observers   {_names(each['observers'])}"
        if each["freeze_when_dark"]:
            yield "  while it is dark nobody is added to the group"
        for scenario in each["scenarios"]:
            yield from _scenario(scenario)


def _scenario(scenario: Document) -> Iterator[str]:
    yield ""
    fired = f" at {local_time(scenario['fired_at'])}" if scenario["fired_at"] else ""
    yield f"  {click.style(inert(scenario['name']), bold=True)}: {_state(scenario['state'])}{fired}"
    progress = scenario["progress"]
    counted = f" ({progress['have']} of {progress['needed']})" if progress else ""
    yield inert(f"    when      {_cue(scenario['cue'])}{counted}")
    if scenario["locks"]:
        shares = scenario["shares"]
        counted = f" ({shares['have']} of {shares['needed']} shares here)" if shares else ""
        yield inert(f"    opens by  {' or '.join(scenario['locks'])}{counted}")
    if scenario["response"] is None:
        yield "    sealed for this laptop"
    else:
        yield from (f"    {line}" for line in response(scenario["response"]))
    for remark in scenario["remarks"]:
        yield click.style(inert(f"    ! {remark}"), fg="yellow")


def response(said: Document) -> Iterator[str]:
    """What to do: text, place, time and checklist, so that no line of it can pose as another."""
    first, *others = inert_lines(said["text"])
    yield f"text      {first}"
    yield from (f"          {line}" for line in others)
    if said["place"]:
        yield inert(f"place     {said['place']}")
    if said["at"]:
        is_delay = said["at"].startswith("+")
        yield inert(f"at        {said['at'][1:] + ' after it fired' if is_delay else local_time(said['at'])}")
    yield from (inert(f"[ ] {item}") for item in said["checklist"])


def ready(document: Document) -> Iterator[str]:
    """Who is there to carry a plan out."""
    stewards, names = document["stewards"], document.get("names")
    yield f"held by    {document['holders']}"
    if stewards["total"]:
        spare = stewards["spare"]
        lost = f"{spare} may be lost" if spare >= 0 else f"{-spare} too few"
        yield f"stewards   {stewards['heard']} of {stewards['total']} heard from within a day: {lost}"
    yield f"clocks     {document['clocks_off'] or 'none'} off"
    if names:
        yield f"not holding it, as far as they said: {_names(names['not_holding'])}"
        if stewards["total"]:
            yield f"stewards not heard from: {_names(names['stewards_not_heard'])}"
        if names["clocks_off"]:
            yield f"clocks that are off: {_names(names['clocks_off'])}"


def opened(document: Document) -> Iterator[str]:
    yield f"{inert(document['scenario'])}: {_state(document['state'])}"
    if document["response"] is not None:
        yield from (f"  {line}" for line in response(document["response"]))


def share(document: Document) -> Iterator[str]:
    have, needed = document["have"], document["needed"]
    yield f"{inert(document['scenario'])}: {_state(document['state'])}, {have} of {needed} shares are here"


def share_words(document: Document) -> Iterator[str]:
    """Our share, four words a line: to be written down, or read aloud."""
    yield from share(document)
    words = document["words"].split()
    for place in range(0, len(words), 4):
        yield inert("  " + " ".join(words[place : place + 4]))


def cue(document: Document) -> Iterator[str]:
    """`bridge-closed of Saturday: 1 of 2 called (oak), sealed`."""
    have, needed = len(document["signers"]), document["needed"]
    drill = " (drill)" if document["drill"] else ""
    called = f"{have} of {needed} called: {_names(document['signers'])}" if have else f"0 of {needed} called"
    yield inert(f"{document['scenario']}{drill} of {document['title']}: {called}; ") + _state(
        document["state"]
    )
    if (score := document["score"]) is not None and document["state"] == "fired":
        yield f"  reached {score['reached']}, {score['opened']} looked at it, {score['minutes']} min to the last"


def cues(document: Document) -> Iterator[str]:
    for each in document["cues"]:
        yield from cue(each)


def stood_down(document: Document) -> Iterator[str]:
    have, needed = len(document["signers"]), document["needed"]
    what = document["scenario"] or "all scenarios"
    drill = " (drill)" if document["drill"] else ""
    yield inert(f"{what}{drill}: {have} of {needed} stood down; ") + _state(document["state"])


def heartbeat(document: Document) -> Iterator[str]:
    if document["state"] == "on":
        yield "on: where a plan waits for somebody's silence, this laptop says about hourly that it is there"
    else:
        yield "off"
