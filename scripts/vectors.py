"""The vectors of meshd: written by the code, reviewed by people, and checked against the code ever after.

    scripts/vectors             writes every file of `FILES` anew
    scripts/vectors --check     exits 1 and names each file that the code would write otherwise
    scripts/vectors noise FILE  runs a file in the published Noise format: `N passed, N failed, N skipped`

Rule: a vector file is generated from fixed inputs only, so that two runs write the same bytes; a change in
one is a change of the protocol, and shows in review as such.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import vectors_bundles  # noqa: E402  (the checkout's own modules, found through the line above)
import vectors_codec  # noqa: E402
import vectors_directs  # noqa: E402
import vectors_groups  # noqa: E402
import vectors_keyed  # noqa: E402
import vectors_link  # noqa: E402
import vectors_names  # noqa: E402
import vectors_noise  # noqa: E402
import vectors_plans  # noqa: E402
import vectors_posts  # noqa: E402
import vectors_prekeys  # noqa: E402
import vectors_recognition  # noqa: E402
import vectors_reconcile  # noqa: E402
import vectors_sealed  # noqa: E402
import vectors_session  # noqa: E402
import vectors_statements  # noqa: E402

FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "hashes.json": vectors_names.hashes,
    "encoding.json": vectors_codec.encoding,
    "posts.json": vectors_posts.posts,
    "envelopes.json": vectors_posts.envelopes,
    "sealed.json": vectors_sealed.vectors,
    "time.json": vectors_codec.time,
    "handshake.json": vectors_link.handshake,
    "noise-xxpsk0.json": vectors_noise.xxpsk0,
    "frames.json": vectors_link.frames,
    "messages.json": vectors_session.messages,
    "session.json": vectors_session.session,
    "discovery.json": vectors_names.discovery,
    "invites.json": vectors_names.invites,
    "recognition.json": vectors_recognition.recognition,
    "cards.json": vectors_names.cards,
    "bundles.json": vectors_bundles.bundles,
    "prekeys.json": vectors_prekeys.made,
    vectors_reconcile.FILE: vectors_reconcile.vectors,
    "keyed.json": vectors_keyed.keyed,
    "statements.json": vectors_statements.statements,
    "groups.json": vectors_groups.groups,
    "directs.json": vectors_directs.directs,
    "plans.json": vectors_plans.made,
}


def text(make: Callable[[], dict[str, Any]]) -> str:
    """A vector file's content: one value a line, so that a difference shows where it is."""
    return json.dumps(make(), indent=1) + "\n"


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["noise"]:
        return vectors_noise.main(arguments[1:])
    folder = ROOT / "tests" / "vectors"
    if arguments == ["--check"]:
        stale = [name for name in FILES if not _is_current(folder / name, FILES[name])]
        for name in stale:
            print(
                f"tests/vectors/{name} is not what the code writes: run scripts/vectors and review the change"
            )
        return 1 if stale else 0
    if arguments:
        print("usage: scripts/vectors [--check | noise FILE]", file=sys.stderr)
        return 2
    for name, make in FILES.items():
        folder.joinpath(name).write_text(text(make))
        print(f"tests/vectors/{name}")
    return 0


def _is_current(path: Path, make: Callable[[], dict[str, Any]]) -> bool:
    return path.exists() and path.read_text() == text(make)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
