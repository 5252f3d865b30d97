"""A group on real daemons: five in a line, the ends and the middle are in it, the two between only carry."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from meshd.daemon.home import Home
from meshd.daemon.init import open_home
from meshd.store import keyslot
from tests.laptops import Laptop, Rpc

pytestmark = pytest.mark.real
PATIENCE_S = 30.0


def wait_until(holds: Callable[[], bool], shown: Callable[[], object]) -> None:
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < PATIENCE_S, shown()
        time.sleep(0.05)


def texts(rpc: Rpc) -> list[str]:
    return [post["text"] for post in rpc.ask("read", channel="group:kitchen")["result"]["posts"]]


def raws(home: Path) -> list[bytes]:
    """The envelopes of a home whose daemon has ended."""
    slot = keyslot.read(home)
    opened = open_home(Home(home), keyslot.parameters(slot).stretch(None), slot)
    found = [raw for _, raw in opened.carry.after(0, 1000) if raw]
    opened.carry.close()
    opened.log.close()
    return found


def test_ends_and_middle_of_a_line_read_what_the_others_only_carry(tmp_path: Path) -> None:
    with ExitStack() as stack:
        names = ("oak", "one", "elm", "two", "ash")
        laptops = [stack.enter_context(Laptop(tmp_path / name)) for name in names]
        rpcs = [Rpc(laptop.home) for laptop in laptops]
        for rpc, following in zip(rpcs[:-1], laptops[1:], strict=True):
            rpc.ask("peer.add", address=following.address)
        inside = oak, elm, ash = rpcs[0], rpcs[2], rpcs[4]
        shown = [rpc.ask("id.show")["result"] for rpc in inside]
        for rpc in inside:
            for other in shown:
                rpc.ask("contact.add", card=other["card"], name=other["name"])  # the own one is refused
        oak.ask("group.create", name="kitchen")

        def invited() -> bool:
            made = [oak.ask("group.invite", group="kitchen", who=who)["result"] for who in ("elm", "ash")]
            return all(each["invite"] for each in made)

        wait_until(invited, lambda: oak.ask("group.members", group="kitchen"))
        for rpc in (elm, ash):
            wait_until(
                lambda rpc=rpc: "result" in rpc.ask("group.accept", invite="kitchen"), lambda: "no invitation"
            )  # type: ignore[misc]
        # What elm posts before it has heard that ash is in, is under an epoch that ash was never in.
        wait_until(
            lambda: all(
                len(rpc.ask("group.members", group="kitchen")["result"]["members"]) == 3 for rpc in inside
            ),
            lambda: [rpc.ask("group.members", group="kitchen") for rpc in inside],
        )
        wait_until(
            lambda: all(rpc.ask("post", channel="kitchen", text=f"from {n}").get("result") for n, rpc in
                        enumerate(inside)),
            lambda: [rpc.ask("group.members", group="kitchen") for rpc in inside],
        )  # fmt: skip
        everything = {"from 0", "from 1", "from 2"}
        wait_until(
            lambda: all(everything <= set(texts(rpc)) for rpc in inside), lambda: list(map(texts, inside))
        )
        for rpc in (rpcs[1], rpcs[3]):
            assert rpc.ask("read", channel="group:kitchen")["error"]["data"]["code"] == "not_found"
            assert rpc.ask("status")["result"]["counts"]["posts"] == 0

        oak.ask("group.remove", group="kitchen", who="elm")
        gone = {shown[1]["id"]}
        wait_until(
            lambda: (
                not gone & {m["id"] for m in ash.ask("group.members", group="kitchen")["result"]["members"]}
            ),
            lambda: ash.ask("group.members", group="kitchen"),
        )
        oak.ask("post", channel="kitchen", text="without elm")
        ash.ask("post", channel="kitchen", text="elm carries this")
        for rpc in (oak, ash):
            wait_until(
                lambda rpc=rpc: {"without elm", "elm carries this"} <= set(texts(rpc)), lambda: texts(oak)
            )  # type: ignore[misc]
        assert not {"without elm", "elm carries this"} & set(texts(elm))

        def held() -> list[int]:
            return [rpc.ask("status")["result"]["counts"]["envelopes"] for rpc in rpcs]

        wait_until(lambda: len(set(held())) == 1, held)
        for rpc in rpcs:
            rpc.close()
        for laptop in laptops:
            assert laptop.stop() == 0
        told = [bytes.fromhex(each["id"]) for each in shown] + [b"kitchen", b"from 0", b"without elm", b"oak"]
        for name in ("one", "two"):
            carried = raws(tmp_path / name)
            assert len(carried) >= 15  # all that was sent, as far as it can be told
            assert not [word for word in told for raw in carried if word in raw]
