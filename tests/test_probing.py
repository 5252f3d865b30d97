"""What a probe takes for an answer: the place itself, somebody else in its place, or nobody. Over loopback and TLS."""

import random
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from meshd.errors import CallerError, Code
from meshd.events import Found
from meshd.ids import Address
from meshd.net import probing
from meshd.net.probing import Place, Prober

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl: apt-get install openssl"),
]
Serve = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Certificate and key of the place itself, and those that somebody else made for it."""
    folder = tmp_path_factory.mktemp("tls")
    made = {}
    for name in ("itself", "else"):
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ]
        command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
        subprocess.run(
            [*command, "-out", str(certificate), "-keyout", str(key)], check=True, capture_output=True
        )
        made[name] = certificate, key
    return made


class Town:
    """Places that can be probed, and a prober that trusts the certificate of `itself`."""

    def __init__(self, nursery: trio.Nursery, identities: dict[str, tuple[Path, Path]]) -> None:
        self._nursery, self._identities = nursery, identities
        self.tried: list[int] = []

    async def place(self, serve: Serve, *, proves: bool = True) -> Place:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port: int = listener.socket.getsockname()[1]

        async def one(stream: trio.SocketStream) -> None:
            self.tried.append(port)
            async with stream:
                try:
                    await serve(stream)
                except trio.BrokenResourceError:
                    return

        self._nursery.start_soon(trio.serve_listeners, one, [listener])
        return Place(Address("localhost", port), proves)

    def tls(self, who: str) -> Serve:
        """Speaks TLS with the certificate of `itself` or of somebody `else`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self._identities[who])

        async def serve(stream: trio.SocketStream) -> None:
            await trio.SSLStream(stream, context, server_side=True).do_handshake()

        return serve

    def prober(self, places: list[Place], domestic: list[Place] = [], open_port: int = 1) -> Prober:  # noqa: B006
        trusted = ssl.create_default_context(cafile=str(self._identities["itself"][0]))
        return Prober(places, domestic, random.Random(1), trusted, open_port)


@pytest.fixture
async def town(nursery: trio.Nursery, identities: dict[str, tuple[Path, Path]]) -> Town:
    return Town(nursery, identities)


async def cut(stream: trio.SocketStream) -> None:
    """Takes the connection and drops it."""


async def hold(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def page(stream: trio.SocketStream) -> None:
    await stream.send_all(b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/login\r\n\r\n")


async def reset(stream: trio.SocketStream) -> None:
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@asynccontextmanager
async def nobody() -> AsyncIterator[Place]:
    """A place where nobody listens, as long as this lasts."""
    with trio.socket.socket() as held:
        await held.bind(("127.0.0.1", 0))
        yield Place(Address("localhost", held.getsockname()[1]), True)


async def test_one_place_that_proves_who_it_is_is_enough_and_no_other_is_asked_then(town: Town) -> None:
    places = [await town.place(town.tls("itself")) for _ in range(3)]
    assert (await town.prober(places).look()).found is Found.FULL
    assert len(town.tried) == 1
    for _ in range(20):
        await town.prober(places).look()
    async with nobody() as gone:
        assert (await town.prober([gone, places[0]]).look()).found is Found.FULL


@pytest.mark.parametrize("answer", [page, "else"])
async def test_who_can_not_prove_it_is_somebody_else(town: Town, answer: Serve | str) -> None:
    place = await town.place(town.tls(answer) if isinstance(answer, str) else answer)
    assert (await town.prober([place]).look()).found is Found.PORTAL


@pytest.mark.parametrize("answer", [cut, reset])
async def test_a_connection_that_is_cut_is_no_answer(town: Town, answer: Serve) -> None:
    assert (await town.prober([await town.place(answer)]).look()).found is Found.NOTHING


async def test_silence_where_somebody_answers_at_the_open_port_is_a_portal(town: Town) -> None:
    login = await town.place(page)
    async with nobody() as gone:
        prober = town.prober([gone], open_port=login.address.port)
        assert (await prober.look()).found is Found.PORTAL
        prober = town.prober([gone])
        assert (await prober.look()).found is Found.NOTHING


async def test_home_is_tried_when_nobody_abroad_answers_and_beats_who_stands_in(town: Town) -> None:
    """A country's wall answers for abroad; a captive portal would not let home through."""
    home, wall = await town.place(town.tls("itself")), await town.place(town.tls("else"))
    async with nobody() as gone:
        assert (await town.prober([gone], [home]).look()).found is Found.DOMESTIC
    assert (await town.prober([wall], [home]).look()).found is Found.DOMESTIC
    assert (await town.prober([], [home]).look()).found is Found.DOMESTIC
    assert (await town.prober([wall], [wall]).look()).found is Found.PORTAL
    town.tried.clear()
    await town.prober([home], [wall]).look()
    assert town.tried == [home.address.port]


async def test_a_plain_place_answers_by_taking_a_connection(town: Town) -> None:
    place = await town.place(cut, proves=False)
    assert (await town.prober([place]).look()).found is Found.FULL
    async with nobody() as gone:
        assert (await town.prober([gone._replace(proves=False)]).look()).found is Found.NOTHING


async def test_a_plain_place_that_is_gone_is_no_portal_whoever_answers_elsewhere(town: Town) -> None:
    other = await town.place(page)
    async with nobody() as gone:
        plain = gone._replace(proves=False)
        assert (await town.prober([plain], open_port=other.address.port).look()).found is Found.NOTHING


async def test_who_takes_for_ever_is_nobody(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "PROBE_MS", 50)
    place = await town.place(hold)
    assert (await town.prober([place]).look()).found is Found.NOTHING


@pytest.mark.parametrize(
    "text",
    ["https://www..example.org", ".example.org:80", f"https://{'a' * 64}.org", "a_b:80"],
)
def test_what_no_system_can_look_up_is_no_place(text: str) -> None:
    with pytest.raises(CallerError, match="a probe is") as caught:
        Place.parse(text)
    assert caught.value.code is Code.usage


@pytest.mark.parametrize(
    ("text", "host", "port", "proves"),
    [
        ("https://example.org", "example.org", 443, True),
        ("https://example.org:8443/", "example.org", 8443, True),
        ("https://[2001:db8::1]", "2001:db8::1", 443, True),
        ("https://[2001:db8::1]:8443", "2001:db8::1", 8443, True),
        ("example.org:80", "example.org", 80, False),
    ],
)
def test_how_a_place_is_written(text: str, host: str, port: int, proves: bool) -> None:
    assert Place.parse(text) == Place(Address(host, port), proves)


async def test_a_name_that_nobody_knows_is_no_answer(town: Town) -> None:
    place = Place(Address("nobody.invalid", 443), True)
    assert (await town.prober([place]).look()).found is Found.NOTHING
