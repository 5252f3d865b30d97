"""Looking for the internet ourselves, where the user asked for it: connections to places that the user named.

The rule: nothing is sent unless `[internet] probes` names a place. A probe tells whoever watches the line that this
laptop looks for that place again and again, which few programs do, so it may single out who runs meshd; who names
places chooses ones that others here visit all day.

    https://HOST[:PORT]   answers if it proves with its certificate who it is; then the connection is closed, nothing
                          is asked for. Another certificate, or no answer there while somebody answers at port 80 of
                          the same host: somebody else answers in its place
    HOST:PORT             answers if it takes a connection, which whoever stands in between can do too

One place of `probes` that answers is enough for `full`, so name some that do not fail together; they are tried in
random order until one does. If none does, those of `domestic` are tried: one that answers makes it `domestic`, whatever
stood in for the others (a country's wall answers with a page of its own, a captive portal lets nothing pass). If none
does, it is `portal` if anything stood in for one, else `nothing`.
"""

import random
import re
import ssl
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

import trio

from meshd.errors import CallerError, Code
from meshd.events import Found, Looked
from meshd.ids import Address
from meshd.limits import PROBE_MS, PROBE_SIZE_MAX

_HTTPS = "https://"
_HOST = re.compile(r"[0-9A-Za-z.:-]+", re.ASCII)
_WRONG = "a probe is https://HOST, or HOST:PORT; example: https://www.wikipedia.org"


class Place(NamedTuple):
    """A place that may answer; `proves`: by TLS, that it is the one."""

    address: Address
    proves: bool

    @classmethod
    def parse(cls, text: str) -> "Place":
        """What a user writes; CallerError(usage)."""
        if len(text) > PROBE_SIZE_MAX:
            raise CallerError(Code.usage, f"a probe has at most {PROBE_SIZE_MAX} characters")
        proves = text.startswith(_HTTPS)
        rest = text.removeprefix(_HTTPS).removesuffix("/") if proves else text
        has_port = rest.rpartition(":")[2].isdigit() and not rest.endswith("]")
        address = Address.parse(rest if has_port or not proves else f"{rest}:443")
        if not _HOST.fullmatch(address.host) or not _is_name(address.host):
            raise CallerError(Code.usage, _WRONG)
        return cls(address, proves)


def _is_name(host: str) -> bool:
    """Whether the system can be asked for it: no part of it between dots is empty or too long."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


class Answer(Enum):
    """What came of trying one place."""

    ITSELF = auto()
    SOMEBODY_ELSE = auto()
    NOBODY = auto()


class Prober:
    """Tries places. `tls` is what certificates are checked against; None: the system's."""

    def __init__(
        self,
        places: Sequence[Place],
        domestic: Sequence[Place],
        rng: random.Random,
        tls: ssl.SSLContext | None = None,
        open_port: int = 80,
    ) -> None:
        """`open_port`: where a captive portal answers that keeps quiet at the port of a probe."""
        self._places, self._domestic, self._rng, self._open_port = places, domestic, rng, open_port
        self._tls = tls or ssl.create_default_context()

    async def look(self) -> Looked:
        """One round; some seconds for each place that does not answer."""
        answers = await self._try(self._places)
        if Answer.ITSELF in answers:
            return Looked("probes", Found.FULL, "one of the probes answered")
        if Answer.ITSELF in await self._try(self._domestic):
            return Looked("probes", Found.DOMESTIC, "of the probes only one at home answered")
        if Answer.SOMEBODY_ELSE in answers:
            why = "somebody else answered in place of the probes, or this laptop's clock is wrong"
            return Looked("probes", Found.PORTAL, why)
        return Looked("probes", Found.NOTHING, f"none of {len(self._places) + len(self._domestic)} answered")

    async def _try(self, places: Sequence[Place]) -> set[Answer]:
        """What the places answered, up to the first that did itself."""
        answers: set[Answer] = set()
        for place in self._rng.sample(places, len(places)):
            answers.add(await self._reach(place))
            if Answer.ITSELF in answers:
                break
        return answers

    async def _reach(self, place: Place) -> Answer:
        host, port = place.address
        answer = await self._connect(host, port, place.proves)
        if answer is Answer.NOBODY and place.proves:
            opened = await self._connect(host, self._open_port, proves=False)
            return Answer.NOBODY if opened is Answer.NOBODY else Answer.SOMEBODY_ELSE
        return answer

    async def _connect(self, host: str, port: int, proves: bool) -> Answer:
        with trio.move_on_after(PROBE_MS / 1000):
            try:
                stream = await trio.open_tcp_stream(host, port)
            except OSError:  # refused, unreachable, or there is nobody to tell its address
                return Answer.NOBODY
            try:
                if proves:
                    await trio.SSLStream(stream, self._tls, server_hostname=host).do_handshake()
                return Answer.ITSELF
            except trio.BrokenResourceError as error:
                is_talk = isinstance(error.__cause__, ssl.SSLError)
                was_cut = isinstance(error.__cause__, ssl.SSLEOFError)
                return Answer.SOMEBODY_ELSE if is_talk and not was_cut else Answer.NOBODY
            finally:
                await trio.aclose_forcefully(stream)
        return Answer.NOBODY
