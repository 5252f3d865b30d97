"""Canaries of plans: phrases, shares, scenario keys and a sealed response, looked for everywhere but on the screen.

Two laptops with a passphrase arrange a plan, open it and type a wrong phrase; one daemon is killed. Nothing of it may
stand in a file of theirs, in the folder they are used from, in what is said on stderr, or in what other users see of a
process. In the decrypted databases the same search finds the keys and shares that have to be there, and neither a
phrase nor a sealed response.
"""

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from meshd.plans import shares
from tests.laptops import Rpc, wait_until
from tests.test_canaries import Person, decrypted, end, forms
from tests.test_canaries import folder as folder  # the fixture

pytestmark = pytest.mark.real

RESPONSE = "canary: behind the blue door, third knock, Quirina"
WEAK = "Canary phrase that a person made up"
WRONG = "canary phrase that nobody made up"
SCENARIO = """
[[scenario]]
name = "{name}"
sealed = true
locks = {locks}
cue = {{ call = true }}
response = {{ text = "{text}" }}
"""


def plan() -> str:
    now = datetime.now(UTC)
    begin, over = (f"{now + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}" for hours in (-1, 48))
    return f"""
title = "Saturday"
valid = {{ from = {begin}, until = {over} }}
organisers = ["oak"]
threshold = 1
stewards = {{ people = ["oak", "elm"], needed = 2 }}
""" + "".join(
        (
            SCENARIO.format(name="made", locks='["phrase", "shares"]', text=RESPONSE),
            SCENARIO.format(name="own", locks=f'["phrase"]\nphrase = "{WEAK}"\nweak = true', text=RESPONSE),
        )
    )


def known(secrets: dict[str, str | bytes]) -> dict[str, list[bytes]]:
    """In which forms each may stand somewhere: text as in `forms`, bytes as they are and as hex."""
    return {
        name: list(forms(secret)) if isinstance(secret, str) else [secret.lower(), secret.hex().encode()]
        for name, secret in secrets.items()
    }


def found_in(content: bytes, secrets: dict[str, list[bytes]]) -> set[str]:
    content = content.lower()
    return {name for name, each in secrets.items() if any(form in content for form in each)}


def found_under(secrets: dict[str, list[bytes]], *folders: Path) -> dict[str, set[str]]:
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): found for path in files if (found := found_in(path.read_bytes(), secrets))}


def visible(pid: int) -> bytes:
    """What other users see of a process, and root of its environment."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


def test_D09_no_phrase_share_key_or_sealed_response_is_left_anywhere(
    folder: Path,
    tmp_path: Path,
) -> None:
    oak, elm = (Person(tmp_path / name, folder) for name in ("oak", "elm"))
    rpcs = []
    for person, name in ((oak, "oak"), (elm, "elm")):
        person.mesh("init", "--name", name, "--passphrase-file", str(person.passphrase_file))
        person.up()
        rpcs.append(Rpc(person.home))
    cards = [rpc.ask("id.show")["result"]["card"] for rpc in rpcs]
    rpcs[0].ask("peer.add", address=elm.address)
    for rpc, card, name in ((rpcs[0], cards[1], "elm"), (rpcs[1], cards[0], "oak")):
        assert "result" in rpc.ask("contact.add", card=card, name=name)
    rpcs[0].ask("group.create", name="kitchen")
    wait_until(lambda: rpcs[0].ask("group.invite", group="kitchen", who="elm")["result"]["invite"])
    wait_until(lambda: "result" in rpcs[1].ask("group.accept", invite="kitchen"))

    def mesh(person: Person, *args: str, said: str = "") -> Any:
        return json.loads(person.mesh(*args, "--json", said=said))

    (folder / "plan.toml").write_text(plan())
    proposed = mesh(oak, "plan", "propose", str(folder / "plan.toml"), "--group", "kitchen", "--remove-file")
    phrases = {each["scenario"]: each["phrase"] for each in proposed["phrases"]}
    assert phrases["own"] == WEAK
    wait_until(lambda: bool(mesh(elm, "plan", "list")["plans"]))
    words = [mesh(person, "plan", "share", "show", "Saturday")["words"] for person in (oak, elm)]
    open_ = ("plan", "open", "Saturday")
    with pytest.raises(AssertionError) as failed:
        elm.mesh(*open_, "own", "--phrase-file", "-", said=WRONG)
    said = str(failed.value).encode()
    opened = mesh(elm, *open_, "own", "--phrase-file", "-", "--pass-on", said=WEAK.upper() + "\n")
    assert opened["response"]["text"] == RESPONSE
    assert (
        mesh(elm, *open_, "made", "--phrase-file", "-", said=phrases["made"])["response"]["text"] == RESPONSE
    )
    mesh(elm, "plan", "share", "enter", "Saturday", "-", said=words[0])
    mesh(elm, "plan", "share", "release", "Saturday")

    written = {
        "the response": RESPONSE, "the own phrase": WEAK, "the phrase": phrases["made"], "a wrong phrase": WRONG,
        "the normal form": WEAK.lower(), "oak's words": words[0], "elm's words": words[1],
    }  # fmt: skip
    raw = {"oak's share": shares.from_words(words[0]), "elm's share": shares.from_words(words[1])}
    pids = [int(rpc.ask("status")["result"]["pid"]) for rpc in rpcs]
    assert found_in(b"".join(map(visible, pids)), known({**written, **raw})) == set()
    end(pids[0], signal.SIGABRT)
    end(pids[1], signal.SIGKILL)

    (tmp_path / "plain").mkdir()
    keys = set[bytes]()
    for person in (oak, elm):
        log = person.open().log
        keys |= {bytes(key) for (key,) in log._database.read("SELECT key FROM plan_key")}
        decrypted(log._database, tmp_path / "plain" / person.home.name)
        log.close()
    assert len(keys) == 2
    everything = known({**written, **raw, **{f"key {key.hex()}": key for key in keys}})
    assert found_under(everything, oak.home, elm.home, folder) == {}
    assert found_in(oak.heard + elm.heard + said, everything) == set()
    assert not (folder / "plan.toml").exists() and os.listdir(folder / "tmp") == []
    found = found_under(everything, tmp_path / "plain")
    names = {f"key {key.hex()}" for key in keys}
    assert found[str(tmp_path / "plain" / "oak")] == {*names, "oak's share", "elm's share"}
    assert found[str(tmp_path / "plain" / "elm")] == {*names, "oak's share", "elm's share"}
