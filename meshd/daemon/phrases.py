"""Phrases: what `plan.propose`, `plan.burn` and `plan.open` do outside the core.

The rule: Argon2id takes 256 MiB and half a second, so it runs in a thread, one at a time, on what the user typed or the
program made up just now and on nothing else. The core gets what came of it. A phrase that was made here stands in the
one answer that shows it, and nowhere else; none is ever in a message of an error.
"""

import os
from collections.abc import Mapping
from typing import Any

import trio

from meshd.daemon.carrier import Ask, read_small
from meshd.errors import CallerError, Code
from meshd.limits import PHRASE_SIZE_MAX, PLAN_FILE_SIZE_MAX
from meshd.plans import locks
from meshd.proposing import Stretched

_ONE = trio.CapacityLimiter(1)  # the memory of one guess is enough


async def propose(ask: Ask, params: dict[str, Any]) -> dict[str, Any]:
    """The document of a proposal, with the phrases that were made for it."""
    text = await read_small(params["file"], PLAN_FILE_SIZE_MAX)
    return await _publish(ask, {**{name: params[name] for name in params if name != "file"}, "text": text})


async def burn(ask: Ask, params: dict[str, Any]) -> dict[str, Any]:
    """The document of the version that burns somebody, with its phrases."""
    return await _publish(ask, {"plan": params["plan"], "burn": params["who"]})


async def open_(ask: Ask, params: dict[str, Any]) -> dict[str, Any]:
    """What a phrase opened."""
    if ("phrase" in params) == ("phrase_file" in params):
        raise CallerError(Code.usage, "name one of phrase and phrase_file")
    phrase = params.get("phrase")
    if phrase is None:  # an empty one is no phrase, and is refused as such
        phrase = _text(await read_small(params["phrase_file"], PHRASE_SIZE_MAX))
    locks.normalise(phrase)  # refuses what is none before anything is looked up
    asked = {"plan": params["plan"], "scenario": params["scenario"]}
    found = await ask("plan.salt", asked)
    opening = {**asked, "version": found["version"], "pass_on": params.get("pass_on", False)}
    return await ask("plan.unlock", {**opening, "stretched": await _stretch(phrase, found["salt"])})


async def _publish(ask: Ask, params: dict[str, Any]) -> dict[str, Any]:
    wanted: Mapping[str, str] = (await ask("plan.phrases", params))["phrases"]
    made = {name: own or locks.make_phrase(os.urandom) for name, own in wanted.items()}
    stretched = {}
    for name, phrase in made.items():
        salt = locks.make_salt(os.urandom)
        stretched[name] = Stretched(salt, await _stretch(phrase, salt))
    document = await ask("plan.publish", {**params, "stretched": stretched})
    return {**document, "phrases": [{"scenario": name, "phrase": made[name]} for name in made]}


async def _stretch(phrase: str, salt: bytes) -> bytes:
    return await trio.to_thread.run_sync(locks.stretch, phrase, salt, limiter=_ONE)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise CallerError(Code.usage, "the phrase is not UTF-8") from None
