"""The program `meshd`: arguments in, exit status out.

The rule: one line on stderr says what is wrong and what to do, and with `--json` stdout carries exactly one
document: the result, or the error. A bug of ours ends the process with status 1 and says where it happened,
but neither the exception's words nor any value: those may hold what somebody wrote.

Before anything secret is read the process is closed to others: no core files (and none through a crash
collector, hence not dumpable), and whatever it makes is its user's alone.
"""

import argparse
import ctypes
import io
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from meshd.daemon import api, passphrase, settings
from meshd.daemon.home import Home
from meshd.daemon.start import Start
from meshd.errors import CallerError, Code, DiskError
from meshd.ids import Address
from meshd.store import keyslot

_PR_SET_DUMPABLE = 4  # <linux/prctl.h>


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CallerError(Code.usage, f"{message}; see: {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    _close_to_others()
    sys.excepthook = report_bug
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a poor locale costs characters, never the answer
    argv = sys.argv[1:] if argv is None else argv
    try:
        options = _parser().parse_args(argv)
        result = options.run(options)
    except CallerError as error:
        refusal = error
    except DiskError as error:
        refusal = CallerError(Code.error, f"the disk failed, so meshd stops: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BaseExceptionGroup as group:
        refusal = _refusal_in(group)
    else:
        if result is not None:
            _say(result, options.json)
        sys.exit(0)
    if "--json" in argv:
        _write(json.dumps(api.error_document(refusal)))
    sys.stderr.write(f"meshd: {refusal.message}\n")
    sys.exit(int(refusal.code))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="meshd", description="The daemon that carries posts from laptop to laptop.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    shared = _Parser(add_help=False)
    shared.add_argument("--home", metavar="DIR", help="everything of this node (MESHD_HOME)")
    shared.add_argument("--json", action="store_true", help="one JSON document on stdout")
    shared.add_argument("--passphrase-file", metavar="F", help="take the passphrase from the first line of F")
    shared.add_argument("--passphrase-fd", metavar="N", type=int, help="take it from open descriptor N")
    # Who starts us asks for a passphrase itself, once it hears that one is needed: then that is `locked`, not `usage`.
    shared.add_argument("--starter-asks", action="store_true", help=argparse.SUPPRESS)

    run = commands.add_parser(
        "run", parents=[shared], help="run the daemon", epilog="example: meshd run --listen 192.168.1.7:4040"
    )
    run.add_argument("--listen", metavar="HOST:PORT", action="append", default=[], help="listen there only")
    run.add_argument("--no-mdns", action="store_true", help="no discovery: only peers added by hand")
    run.add_argument("--listen-only", action="store_true", help="find others without being announced")
    run.add_argument("--start-fd", metavar="N", type=int, help=argparse.SUPPRESS)  # see `start`
    run.set_defaults(run=_run)

    init = commands.add_parser(
        "init",
        parents=[shared],
        help="make the identity and the log",
        epilog="example: meshd init --name oak",
    )
    init.add_argument("--name", metavar="N", default="", help="the name your posts carry")
    network = init.add_mutually_exclusive_group()
    network.add_argument("--open", action="store_true", help="join the open commons (default)")
    network.add_argument("--private", action="store_true", help="start a network of your own")
    network.add_argument("--invite", metavar="TEXT|@FILE", help="join the network of an invite")
    init.add_argument("--no-passphrase", action="store_true", help="whoever takes the laptop can read all")
    init.set_defaults(run=_init)

    identity = commands.add_parser(
        "id", parents=[shared], help="show or move the own identity", epilog="example: meshd id show --json"
    )
    identity.add_argument("what", choices=["show", "export", "import"], nargs="?", default="show")
    identity.add_argument("file", metavar="FILE", nargs="?", help="of export and import")
    identity.add_argument("--no-passphrase", action="store_true", help="whoever takes the file is you")
    identity.set_defaults(run=_id)

    doctor = commands.add_parser(
        "doctor",
        parents=[shared],
        help="say what is wrong, and what to do",
        epilog="example: meshd doctor --json",
    )
    doctor.set_defaults(run=_doctor)

    unlock = commands.add_parser(
        "unlock",
        parents=[shared],
        help="open the log of a running daemon again",
        epilog="example: meshd unlock --passphrase-file F",
    )
    unlock.set_defaults(run=_unlock)

    panic = commands.add_parser(
        "panic",
        parents=[shared],
        help="erase the keys and everything of this node",
        epilog="example: meshd panic --yes",
    )
    panic.add_argument("--yes", action="store_true", help="it is meant")
    panic.set_defaults(run=_panic)
    return parser


def _run(options: argparse.Namespace) -> None:
    from meshd.daemon.serve import serve  # trio and zeroconf: not needed to refuse

    if options.no_mdns and options.listen_only:
        raise CallerError(Code.usage, "name one of --no-mdns and --listen-only")
    mode = "off" if options.no_mdns else "listen" if options.listen_only else "announce"
    for text in options.listen:
        Address.parse(text, port_min=0)
    home = Home(api.home_path(options.home))

    def on_ready(addresses: list[str]) -> None:
        if options.start_fd is None:
            document = {"v": api.VERSION, "pid": os.getpid(), "listen": addresses}
            _say(document, options.json)

    with home.lock():
        start = _first_start(home, options) if options.start_fd is None else Start.taken(options.start_fd)
        next_ = serve(home, start, mode, on_ready)
    if next_ is not None:
        next_.become(str(home.path), mode)


def _first_start(home: Home, options: argparse.Namespace) -> Start:
    slot = keyslot.read(home.path)
    chosen = settings.read(home.path)
    keys = keyslot.open(slot, _stretch(slot, options))
    encrypted = keyslot.parameters(slot).encrypted
    listen, idle_min = tuple(options.listen), chosen.idle_lock_min
    return Start(
        keys, encrypted, listen, idle_min,
        receipts=chosen.receipts, internet=chosen.internet, hook=chosen.hook,
    )  # fmt: skip


def _unlock(options: argparse.Namespace) -> dict[str, Any]:
    from meshd.daemon.unlock import unlock

    home = Home(api.home_path(options.home))
    slot = keyslot.read(home.path)
    unlock(home, keyslot.open(slot, _stretch(slot, options)).log)
    return {"v": api.VERSION}


def _init(options: argparse.Namespace) -> dict[str, Any]:
    from meshd.daemon.init import checked_name, create, network_of

    if options.no_passphrase and (options.passphrase_file or options.passphrase_fd is not None):
        raise CallerError(Code.usage, "name a passphrase or --no-passphrase, not both")
    name = checked_name(options.name)
    network_key, network_kind = network_of(options.private, options.invite)
    home = Home(api.home_path(options.home))
    with home.make():
        said = None
        if not options.no_passphrase:
            said = _passphrase(options, new=True)
        return {"v": api.VERSION, **create(home, network_key, network_kind, name, said)}


def _id(options: argparse.Namespace) -> dict[str, Any]:
    if (options.what == "show") != (options.file is None):
        raise CallerError(Code.usage, "name a FILE with export and import; see: meshd id --help")
    return {"show": _id_show, "export": _id_export, "import": _id_import}[options.what](options)


def _id_show(options: argparse.Namespace) -> dict[str, Any]:
    from meshd.author import Author
    from meshd.daemon.init import identity, open_home
    from meshd.hlc import Clock
    from meshd.sealing import Sealing

    home = Home(api.home_path(options.home))
    with home.lock():
        slot = keyslot.read(home.path)
        opened = open_home(home, _stretch(slot, options), slot)
        opened.carry.close()
        card = Author(opened.log, Clock(0), os.urandom, Sealing(opened.log)).card(time.time_ns() // 1_000_000)
        opened.log.commit()
        opened.log.close()
    return {"v": api.VERSION, **identity(opened.log.seed, opened.log.name), "card": card}


def _id_export(options: argparse.Namespace) -> dict[str, Any]:
    from meshd.daemon import moving
    from meshd.daemon.init import identity, open_home

    home = Home(api.home_path(options.home))
    with home.lock():
        slot = keyslot.read(home.path)
        encrypted = keyslot.parameters(slot).encrypted
        if encrypted and options.no_passphrase:
            raise CallerError(Code.usage, "this home has a passphrase, and the file gets the same: name it")
        said = None
        if not options.no_passphrase:
            said = _passphrase(options, new=not encrypted)
        opened = open_home(home, keyslot.parameters(slot).stretch(said), slot)
        moved = moving.take(opened.carry, opened.log)
        opened.carry.close()
        opened.log.close()
    moving.write(Path(options.file), moving.seal(moved, said, os.urandom))
    return {"v": api.VERSION, **identity(moved.seed, moved.name), "contacts": len(moved.known)}


def _id_import(options: argparse.Namespace) -> dict[str, Any]:
    from meshd.daemon import moving
    from meshd.daemon.init import create

    raw = moving.read(Path(options.file))
    parameters = keyslot.parameters(moving.slot_of(raw))
    home = Home(api.home_path(options.home))
    with home.make():
        said = None
        if parameters.encrypted:
            said = _passphrase(options)
        moved = moving.open(raw, parameters.stretch(said))
        made = create(home, moved.network_key, moved.network_kind, moved.name, said, moved=moved)
    return {"v": api.VERSION, **made, "contacts": len(moved.known)}


def _doctor(options: argparse.Namespace) -> dict[str, Any]:
    from meshd.daemon.doctor import examine  # trio and zeroconf, as above

    return {"v": api.VERSION, **examine(api.home_path(options.home))}


def _panic(options: argparse.Namespace) -> dict[str, Any]:
    from meshd.daemon.panic import panic

    if not options.yes:
        raise CallerError(Code.usage, "this erases everything of this node for good: say --yes")
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
    ):  # a terminal that is torn away changes nothing
        signal.signal(number, signal.SIG_IGN)
    return {"v": api.VERSION, **panic(api.home_path(options.home))}


def _passphrase(options: argparse.Namespace, new: bool = False) -> bytes:
    missing = Code.locked if options.starter_asks and not new else Code.usage
    return passphrase.needed(options.passphrase_file, options.passphrase_fd, new, missing)


def _stretch(slot: bytes, options: argparse.Namespace) -> bytes:
    """The key that opens a keyslot: from the passphrase, if it has one."""
    parameters = keyslot.parameters(slot)
    said = None
    if parameters.encrypted:
        said = _passphrase(options)
    return parameters.stretch(said)


# --- what is said ---


def _say(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _write(json.dumps(document))
        return
    for name, value in document.items():
        if name != "v":
            _write(f"{name}: {json.dumps(value, ensure_ascii=False) if type(value) is not str else value}")


def _write(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever asked is gone; that is no reason to stop
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _refusal_in(group: BaseExceptionGroup[BaseException]) -> CallerError:
    """What ended the daemon, if it is not a bug of ours; else the group goes on."""
    leaves = list(_leaves(group))
    for leaf in leaves:
        if not isinstance(leaf, (CallerError, DiskError)):
            raise group
    first = leaves[0]
    if isinstance(first, CallerError):
        return first
    return CallerError(Code.error, f"the disk failed, so meshd stops: {first}")


def report_bug(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """Say on stderr what kind of exception ended us and where it came from, and nothing else of it."""
    for leaf in _leaves(error):
        frames = traceback.extract_tb(leaf.__traceback__)
        where = f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else "nowhere"
        sys.stderr.write(f"meshd: this is a bug: {type(leaf).__name__} at {where}\n")
        for frame in frames[:-1]:
            sys.stderr.write(f"  by way of {frame.filename}:{frame.lineno} in {frame.name}\n")


def _close_to_others() -> None:
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
