"""Links over real loopback sockets: every event comes once, in order, and nobody waits for anybody."""

import errno
import fcntl
import ipaddress
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from meshd import limits
from meshd.errors import CallerError, Code
from meshd.events import BytesReceived, DialFailed, Drained, Event, LinkClosed, LinkOpened
from meshd.ids import Address
from meshd.net import link, listen
from meshd.net.interfaces import Interface
from meshd.net.link import Links
from meshd.net.listen import Listeners

pytestmark = pytest.mark.real
_UNSENT = 0x894B  # SIOCOUTQNSD of Linux


class Side:
    """Links, a record of what they told, and a way to wait for more."""

    def __init__(self) -> None:
        self.links = Links(Listeners())
        self.events: list[Event] = []
        self.answer: Callable[[Event], None] = lambda event: None
        self._told = trio.Event()

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        self.answer(event)
        self.links.flush()
        self._told.set()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]

    async def until(self, kind: type[Any], count: int = 1) -> Any:
        with trio.fail_after(5):
            while len(self.of(kind)) < count:
                self._told = trio.Event()
                await self._told.wait()
        return self.of(kind)[-1]

    async def received(self, size: int) -> bytes:
        with trio.fail_after(5):
            while len(content := b"".join(event.content for event in self.of(BytesReceived))) < size:
                self._told = trio.Event()
                await self._told.wait()
        return content


@pytest.fixture
async def pair(nursery: trio.Nursery) -> tuple[Side, Side, int, int]:
    """Two sides with one link between them: (dialler, acceptor, its number there, its number here)."""
    near, far = Side(), Side()
    await nursery.start(near.links.run, near.on_event)
    await nursery.start(far.links.run, far.on_event)
    far.links.renew()
    near.links.dial(Address("127.0.0.1", far.links.port))
    return near, far, (await near.until(LinkOpened)).link, (await far.until(LinkOpened)).link


async def test_bytes_cross_in_order_and_are_coalesced(pair: tuple[Side, Side, int, int]) -> None:
    near, far, near_link, far_link = pair
    for number in range(300):
        near.links.send(near_link, b"%03d" % number)
    near.links.flush()
    assert await far.received(900) == b"".join(b"%03d" % number for number in range(300))
    assert len(far.of(BytesReceived)) <= 3
    far.links.send(far_link, b"back")
    far.links.flush()
    assert await near.received(4) == b"back"
    assert not near.of(Drained), "for so little nobody waits for room"


async def test_more_than_the_kernel_takes_arrives_whole(pair: tuple[Side, Side, int, int]) -> None:
    """The core fills the outbox up at every Drained; 4 MiB come through."""
    near, far, near_link, _ = pair
    left = 64

    def fill(event: Event) -> None:
        nonlocal left
        if type(event) is Drained and left:
            left -= 1
            near.links.send(near_link, bytes((left,)) * limits.OUTBOX_FILL_SIZE)

    near.answer = fill
    first = limits.OUTBOX_FILL_SIZE // 2
    near.links.send(near_link, bytes(first))
    near.links.flush()
    content = await far.received(first + 64 * limits.OUTBOX_FILL_SIZE)
    assert content[first :: limits.OUTBOX_FILL_SIZE] == bytes(range(63, -1, -1))
    assert all(len(event.content) <= limits.READ_SIZE_MAX for event in far.of(BytesReceived))


@pytest.mark.skipif(sys.platform != "linux", reason="what is unsent can be asked for on Linux alone")
async def test_little_waits_in_the_kernel_where_nothing_overtakes_it(
    pair: tuple[Side, Side, int, int],
) -> None:
    near, far, near_link, far_link = pair
    far.links.rest(far_link, True)
    near.links.send(near_link, bytes(limits.OUTBOX_SIZE_MAX))
    near.links.flush()
    await trio.testing.wait_all_tasks_blocked()
    unsent = fcntl.ioctl(near.links._links[near_link].sock, _UNSENT, bytes(4))
    assert 0 < int.from_bytes(unsent, sys.byteorder) < 2 * limits.UNSENT_SIZE
    far.links.rest(far_link, False)
    await far.received(limits.OUTBOX_SIZE_MAX)


async def test_while_another_link_is_read_less_is_read_at_once(
    pair: tuple[Side, Side, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far, near_link, far_link = pair
    near.links.send(near_link, bytes(limits.READ_SIZE_MAX))
    near.links.flush()
    await far.received(limits.READ_SIZE_MAX)
    assert max(len(event.content) for event in far.of(BytesReceived)) > limits.READ_SIZE_SHARED
    monkeypatch.setattr(limits, "SHARED_MS", 60_000)
    near.events.clear()
    far.events.clear()
    near.links.dial(Address("127.0.0.1", far.links.port))
    other = (await near.until(LinkOpened)).link
    near.links.send(other, b"hello")
    near.links.flush()
    await far.received(5)
    near.links.send(near_link, bytes(limits.READ_SIZE_MAX))
    near.links.flush()
    await far.received(5 + limits.READ_SIZE_MAX)
    read = [event for event in far.of(BytesReceived) if event.link == far_link]
    assert max(len(event.content) for event in read) == limits.READ_SIZE_SHARED
    near.links.close(other, "it is enough", flush=False)
    await far.until(LinkClosed)
    far.events.clear()
    near.links.send(near_link, bytes(limits.READ_SIZE_MAX))
    near.links.flush()
    await far.received(limits.READ_SIZE_MAX)
    assert max(len(event.content) for event in far.of(BytesReceived)) > limits.READ_SIZE_SHARED


async def test_close_with_flush_delivers_the_last_words(pair: tuple[Side, Side, int, int]) -> None:
    near, far, near_link, far_link = pair
    far.links.send(far_link, b"unread when the other side closes")
    far.links.flush()
    near.links.send(near_link, bytes(limits.OUTBOX_FILL_SIZE) + b"bye")
    near.links.flush()
    near.links.close(near_link, "done", flush=True)
    near.links.send(near_link, b"too late")
    assert (await near.until(LinkClosed)) == LinkClosed(near_link, "done")
    assert (await far.until(LinkClosed)).reason == "the stream ended"
    assert (await far.received(limits.OUTBOX_FILL_SIZE)).endswith(b"bye")


async def test_a_close_hands_on_nothing_more_and_is_told_once(pair: tuple[Side, Side, int, int]) -> None:
    near, far, near_link, far_link = pair
    far.links.send(far_link, b"words")
    far.links.flush()
    near.links.close(near_link, "refused", flush=False)
    near.links.close(near_link, "again", flush=False)
    assert (await near.until(LinkClosed)) == LinkClosed(near_link, "refused")
    await far.until(LinkClosed)
    assert near.of(BytesReceived) == [] and len(near.of(LinkClosed)) == 1


async def test_an_outbox_over_its_bound_closes_the_link(pair: tuple[Side, Side, int, int]) -> None:
    near, _, near_link, _ = pair
    near.links.send(near_link, bytes(limits.OUTBOX_SIZE_MAX))
    assert near.links._links[near_link].reason == ""
    near.links.send(near_link, b"x")
    assert (await near.until(LinkClosed)).reason == "its outbox is full"


async def test_a_peer_that_stops_reading_is_closed(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEND_STALL_MS", 50)
    side = Side()
    await nursery.start(side.links.run, side.on_event)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        side.links.dial(Address(*silent.getsockname()))
        link = (await side.until(LinkOpened)).link
        side.answer = lambda event: type(event) is Drained and side.links.send(link, bytes(1 << 18))
        side.links.send(link, bytes(limits.OUTBOX_FILL_SIZE // 2))
        side.links.flush()
        assert (await side.until(LinkClosed)).reason == "it stopped reading"


async def test_a_dial_that_fails_says_why(nursery: trio.Nursery) -> None:
    side = Side()
    await nursery.start(side.links.run, side.on_event)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for address, reason in (
        (Address("127.0.0.1", port), "Connection refused"),
        (Address("a" * 70, port), "no host can have this name"),
    ):
        side.links.dial(address)
        side.events.clear()
        failed = await side.until(DialFailed)
        assert failed.address == address and reason in failed.reason


async def test_M08_renew_changes_the_port_and_keeps_links(pair: tuple[Side, Side, int, int]) -> None:
    near, far, near_link, _ = pair
    former = far.links.port
    addresses = far.links.renew()
    assert far.links.port != former and all(address.port == far.links.port for address in addresses)
    assert not any(address.host.startswith("127.") or address.host == "::1" for address in addresses)
    near.links.dial(Address("127.0.0.1", former))
    await near.until(DialFailed)
    near.links.dial(Address("127.0.0.1", far.links.port))
    await near.until(LinkOpened, 2)
    near.links.send(near_link, b"still here")
    near.links.flush()
    assert await far.received(10) == b"still here"


async def test_a_listener_may_go_between_any_two_steps(nursery: trio.Nursery) -> None:
    near, far = Side(), Side()
    await nursery.start(near.links.run, near.on_event)
    await nursery.start(far.links.run, far.on_event)
    far.links.renew()
    far.links.renew()  # before anybody has begun to accept on the former
    await trio.testing.wait_all_tasks_blocked()
    with socket.create_connection(("127.0.0.1", far.links.port)):
        far.links.renew()  # the former has a caller, and nobody has come to it yet
        await trio.testing.wait_all_tasks_blocked()
    near.links.dial(Address("127.0.0.1", far.links.port))
    await far.until(LinkOpened)


async def test_a_caller_whose_interface_is_gone_is_let_go(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Side()
    await nursery.start(far.links.run, far.on_event)
    far.links.renew()

    def gone(sockaddr: object) -> Address:
        raise OSError(errno.ENXIO, "No such device or address")

    with monkeypatch.context() as patched:
        patched.setattr(link, "_address", gone)
        with socket.create_connection(("127.0.0.1", far.links.port)) as caller:
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert caller.recv(1) == b""
    with socket.create_connection(("127.0.0.1", far.links.port)):
        await far.until(LinkOpened)


async def test_running_out_of_descriptors_pauses_accepting_only(
    pair: tuple[Side, Side, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far, near_link, _ = pair
    accept, refusals = socket.socket.accept, [errno.EMFILE, errno.ECONNABORTED]

    def refuse_twice(sock: socket.socket) -> Any:
        if refusals:
            raise OSError(refusals.pop(0), "refused")
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", refuse_twice)
    near.links.dial(Address("127.0.0.1", far.links.port))
    near.links.send(near_link, b"meanwhile")
    near.links.flush()
    assert await far.received(9) == b"meanwhile"
    await far.until(LinkOpened, 2)
    assert not refusals


async def test_both_families_share_a_random_port() -> None:
    listeners = Listeners()
    listeners.renew()
    families = {sock.family for sock in listeners.sockets}
    assert {sock.getsockname()[1] for sock in listeners.sockets} == {listeners.port}
    assert listeners.port >= limits.PORT_MIN and socket.AF_INET in families
    listeners.close()


async def test_a_daemon_that_starts_anew_keeps_its_port_until_the_network_changes() -> None:
    former = Listeners()
    former.renew()
    port = former.port
    former.close()
    listeners = Listeners((), port)
    listeners.renew()
    assert listeners.port == port
    taken = Listeners((), port)
    taken.renew()
    listeners.renew()
    assert port not in (taken.port, listeners.port)
    taken.close()
    listeners.close()


@pytest.mark.parametrize("missing", [socket.AF_INET, socket.AF_INET6])
async def test_one_family_is_enough(missing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bind = listen._bind

    def bind_one(family: int, sockaddr: listen.Sockaddr) -> socket.socket:
        if family == missing:
            raise OSError(errno.EAFNOSUPPORT, "no such family")
        return bind(family, sockaddr)

    monkeypatch.setattr(listen, "_bind", bind_one)
    listeners = Listeners()
    listeners.renew()
    assert len(listeners.sockets) == 1
    listeners.close()


async def test_a_port_taken_in_one_family_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    bind, ports = listen._bind, []

    def bind_taken_once(family: int, sockaddr: listen.Sockaddr) -> socket.socket:
        if sockaddr[1] and not ports:
            ports.append(sockaddr[1])
            raise OSError(errno.EADDRINUSE, "taken")
        return bind(family, sockaddr)

    monkeypatch.setattr(listen, "_bind", bind_taken_once)
    listeners = Listeners()
    listeners.renew()
    assert ports and listeners.port not in ports and len(listeners.sockets) == 2
    listeners.close()


async def test_addresses_are_those_of_the_interfaces_with_a_carrier_at_this_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    four, six = ipaddress.ip_address("192.0.2.7"), ipaddress.ip_address("fe80::7")
    found = [Interface("eth1", 2, ((four, 24), (six, 64)))]
    monkeypatch.setattr(listen, "snapshot", lambda: tuple(found))
    listeners = Listeners()
    bound = listeners.renew()
    hosts = {"192.0.2.7", "fe80::7%eth1"} if len(listeners.sockets) == 2 else {"192.0.2.7"}
    assert {address.host for address in bound} == hosts
    found.clear()
    assert listeners.addresses() == ()
    listeners.close()


async def test_a_given_address_stays_and_one_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = Address("127.0.0.1", free.getsockname()[1])
        with pytest.raises(CallerError) as caught:
            Listeners((address,)).renew()
        assert caught.value.code is Code.refused and str(address) in caught.value.message
    listeners = Listeners((address,))
    assert listeners.renew() == (address,)
    sockets = listeners.sockets
    assert listeners.renew() == (address,) and listeners.sockets is sockets
    listeners.close()


async def test_ipv6_peers_are_named_with_brackets(nursery: trio.Nursery) -> None:
    near, far = Side(), Side()
    await nursery.start(near.links.run, near.on_event)
    await nursery.start(far.links.run, far.on_event)
    far.links.renew()
    near.links.dial(Address("::1", far.links.port))
    assert str((await far.until(LinkOpened)).address).startswith("[::1]:")


async def test_port_0_is_one_that_the_kernel_finds_and_stays() -> None:
    listeners = Listeners((Address("127.0.0.1", 0),))
    try:
        (bound,) = listeners.renew()
        assert bound.host == "127.0.0.1" and bound.port >= 1024
        assert listeners.renew() == (bound,) and listeners.port == bound.port
    finally:
        listeners.close()


async def test_a_link_that_rests_is_not_read_until_it_may_be_again(pair: tuple[Side, Side, int, int]) -> None:
    dialler, acceptor, there, here = pair
    acceptor.answer = lambda event: acceptor.links.rest(here, True) if type(event) is BytesReceived else None
    dialler.links.send(there, b"one")
    dialler.links.flush()
    await acceptor.received(3)
    acceptor.answer = lambda event: None
    dialler.links.send(there, b"two")
    dialler.links.flush()
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert len(acceptor.of(BytesReceived)) == 1
    acceptor.links.rest(here, False)
    assert await acceptor.received(6) == b"onetwo"
