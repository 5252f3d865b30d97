"""The architecture as code: each rule reads one parsed file and yields what breaks it, with what to do
instead.

The rule: who may import whom is the table `ROWS`, and nothing else decides it. A module belongs to the first
row whose pattern fits its name; a row names which rows it may import from and which third-party packages. The
core (all rows from `vocabulary` to `node`) gets its time, randomness and bytes passed in, which is why a
seeded simulator can drive it; the bans keep that true. A rule sees syntax, not values: what it can't see (a
set returned by a function, an alias of a module) is left to the simulator's run under several hash seeds.

test_tidy.py applies the rules to the tree and shows, rule by rule, that each can fail.
"""

import ast
import sys
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatchcase
from io import StringIO
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 80
DOCSTRING_LINES_MAX = 40


class Row(NamedTuple):
    name: str
    modules: tuple[str, ...]  # patterns of full module names
    imports: tuple[str, ...]  # rows it may import from
    packages: dict[str, tuple[str, ...]]  # third-party package: the modules that may import it
    modules_too: tuple[str, ...] = ()  # single modules of other rows that it may import


ANY = ("*",)
WIRE = ("vocabulary", "wire")
CORE = (*WIRE, "proto", "store", "groups", "plans", "node")
ROWS = (
    Row("package", ("meshd",), (), {}),
    Row(
        "vocabulary",
        ("meshd.ids", "meshd.limits", "meshd.errors", "meshd.words"),
        ("vocabulary",),
        {"mnemonic": ("meshd.words",)},
    ),
    Row(
        "wire",
        (
            "meshd.crypto",
            "meshd.codec",
            "meshd.noise",
            "meshd.daykeys",
            "meshd.post",
            "meshd.envelope",
            "meshd.statement",
        ),
        WIRE,
        {"nacl": ("meshd.crypto", "meshd.noise"), "msgpack": ("meshd.codec",)},
    ),
    Row("proto", ("meshd.proto", "meshd.proto.*"), (*WIRE, "proto"), {}),
    Row("store", ("meshd.store", "meshd.store.*"), (*WIRE, "store"), {"sqlcipher3": ANY}),
    Row("groups", ("meshd.groups", "meshd.groups.*"), (*WIRE, "groups"), {}),
    Row(
        "plans",
        ("meshd.plans", "meshd.plans.*"),
        (*WIRE, "plans"),
        {"shamir_mnemonic": ("meshd.plans.shares",)},
    ),
    Row(
        "net",
        ("meshd.net", "meshd.net.*"),
        ("vocabulary", "net"),
        # zeroconf, and ifaddr which it brings: who speaks mDNS, who reads the interfaces
        {
            "trio": ANY,
            "zeroconf": ("meshd.net.discovery", "meshd.net.mdns"),
            "ifaddr": ANY,
            "jeepney": ("meshd.net.networkmanager", "meshd.net.notification"),
        },
        modules_too=("meshd.events",),
    ),
    Row(
        "daemon",
        ("meshd.daemon", "meshd.daemon.*", "meshd.__main__"),
        (*CORE, "net", "daemon"),
        {"trio": ANY, "platformdirs": ANY},
    ),
    Row("node", ("meshd.*",), CORE, {}),  # events, node and the files beside it that own one state each
    Row(
        "cli",
        ("cli", "cli.*"),
        ("vocabulary", "cli"),
        {"click": ANY, "platformdirs": ANY, "segno": ANY, "zxingcpp": ("cli.picture",)},
        modules_too=("meshd.daemon.api", "meshd.plans.example"),
    ),
)
# Imported inside the function that needs them: they cost every start otherwise.
LAZY = {"segno", "platformdirs", "zxingcpp"}
PACKAGES = (
    "meshd",
    "meshd.proto",
    "meshd.store",
    "meshd.groups",
    "meshd.plans",
    "meshd.net",
    "meshd.daemon",
    "cli",
)

CORE_BANS = {
    "trio": "the driver in daemon/ and net/ await; the core returns effects",
    "socket": "net/ has the sockets; the core gets BytesReceived",
    "threading": "a long step is sliced, a slow one is an effect (Stretch)",
    "asyncio": "the core returns effects",
    "time": "take `now` as an argument",
    "secrets": "take `entropy` as an argument",
    "uuid": "take `entropy` as an argument",
}
CORE_CALL_BANS = {
    "os.urandom": "take `entropy` as an argument",
    "os.getrandom": "take `entropy` as an argument",
    "datetime.now": "take `now` as an argument",
    "datetime.utcnow": "take `now` as an argument",
    "date.today": "take `now` as an argument",
    "bindings.randombytes": "take `entropy` as an argument",
    "bindings.crypto_box_keypair": "make the pair from a seed out of `entropy`",
    "bindings.crypto_sign_keypair": "make the pair from a seed out of `entropy`",
    "SigningKey.generate": "make the pair from a seed out of `entropy`",
    "PrivateKey.generate": "make the pair from a seed out of `entropy`",
    "nacl.utils": "take `entropy` as an argument",
}
SUPERVISED: list[str] = []  # files that may catch everything, since they then stop the daemon or report a bug
PRINTING = ["cli/*", "scripts/*"]  # where stdout is the product
REAL_TIME = {
    "time.sleep",
    "asyncio.sleep",
    "time.time",
    "time.monotonic",
    "time.perf_counter",
    "datetime.now",
}
REAL_MARKS = {"real", "lab", "sleeps"}


class Source(NamedTuple):
    """One file: its path in the checkout with `/`, its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def row(self) -> Row | None:
        return next((r for r in ROWS if any(fnmatchcase(self.module, m) for m in r.modules)), None)

    @property
    def is_core(self) -> bool:
        return self.row is not None and self.row.name in CORE


def source(path: str, text: str) -> Source:
    return Source(path, text, ast.parse(text, path))


def tree_of(*folders: str) -> list[Source]:
    """Every Python file of the checkout below these folders, in order of path."""
    paths = sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py"))
    return [source(p.relative_to(ROOT).as_posix(), p.read_text()) for p in paths]


def finding(file: Source, node: ast.AST, wrong: str, instead: str) -> str:
    return f"{file.path}:{getattr(node, 'lineno', 1)}: {wrong}; instead: {instead}"


def name_of(node: ast.AST) -> str:
    """`a.b.c` of a name or a chain of attributes, or nothing."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _imports(file: Source) -> Iterator[tuple[ast.stmt, str, bool]]:
    """Every imported module, and whether the import runs when this one is loaded."""
    loaded = set(map(id, _at_load(file.tree)))
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name, id(node) in loaded
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            for alias in node.names:
                # `from meshd import ids` names a module, `from meshd.ids import post_id` a thing in it.
                of_package = base in PACKAGES
                yield node, f"{base}.{alias.name}" if of_package else base, id(node) in loaded


def _at_load(tree: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _at_load(child)


def imports(file: Source) -> Iterator[str]:
    """The table: no import goes to a row, or a third-party package, that the file's row does not name."""
    row = file.row
    if row is None:
        return
    for node, target, at_load in _imports(file):
        top = target.partition(".")[0]
        if isinstance(node, ast.ImportFrom) and node.level:
            yield finding(
                file, node, "a relative import", "the full name, which the table can be read against"
            )
        elif top in ("meshd", "cli"):
            to = next(r for r in ROWS if any(fnmatchcase(target, m) for m in r.modules))
            allowed = to.name in row.imports or target in row.modules_too
            if not allowed:
                instead = f"only {', '.join(row.imports + row.modules_too)}"
                yield finding(file, node, f"{row.name} imports {target}", instead)
        elif top not in sys.stdlib_module_names:
            if not any(fnmatchcase(file.module, m) for m in row.packages.get(top, ())):
                homes = [r.name for r in ROWS if top in r.packages]
                yield finding(file, node, f"{file.module} imports {top}", f"leave it to {homes or 'no one'}")
            elif row.name == "cli" and top in LAZY and at_load:
                yield finding(file, node, f"{top} at load", "import it in the function that needs it")


def core_inputs(file: Source) -> Iterator[str]:
    """The core has no clock, no randomness, no socket and no thread of its own."""
    if not file.is_core:
        return
    for statement, target, _ in _imports(file):
        for banned, instead in CORE_BANS.items():
            if target.partition(".")[0] == banned:
                yield finding(file, statement, f"{banned} in the core", instead)
        if isinstance(statement, ast.ImportFrom):
            for name in (f"{statement.module}.{alias.name}" for alias in statement.names):
                if name in CORE_CALL_BANS or (statement.module == "random" and name != "random.Random"):
                    yield finding(
                        file, statement, f"{name} in the core", CORE_CALL_BANS.get(name, "take `rng`")
                    )
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Attribute):
            name = name_of(node)
            for banned, instead in CORE_CALL_BANS.items():
                if name == banned or name.endswith(f".{banned}"):
                    yield finding(file, node, f"{name} in the core", instead)
            if name.startswith("random.") and name != "random.Random":
                yield finding(file, node, f"{name}, which all share", "take `rng` as an argument")
        elif isinstance(node, ast.Call) and name_of(node.func).endswith("Random") and not node.args:
            yield finding(file, node, "a random.Random seeded by the system", "take `rng` as an argument")


def broad_except(file: Source) -> Iterator[str]:
    """Nobody catches everything and goes on: our own bug crashes."""
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.ExceptHandler) or file.path in SUPERVISED:
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        broad = any(t is None or name_of(t) in ("Exception", "BaseException") for t in caught)
        last = node.body[-1]
        if broad and not (isinstance(last, ast.Raise) and last.exc is None):
            yield finding(
                file, node, "catches everything", "catch what can happen here, or end with a bare `raise`"
            )


def prints(file: Source) -> Iterator[str]:
    """Output is the command line's: a daemon that prints writes into nothing, or into somebody's JSON."""
    if any(fnmatchcase(file.path, pattern) for pattern in PRINTING):
        return
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and name_of(node.func) == "print":
            yield finding(file, node, "print", "return it, or yield lines that cli/ prints")


def sizes(file: Source) -> Iterator[str]:
    """A file has one owner of state, a function one thought; both fit in a head."""
    lines = len(file.text.splitlines())
    if lines > FILE_LINES_MAX:
        instead = f"split it by who owns which state ({FILE_LINES_MAX} at most)"
        yield f"{file.path}:1: {lines} lines; instead: {instead}"
    for node in ast.walk(file.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                wrong = f"{node.name} has {lines} lines"
                yield finding(file, node, wrong, f"name its steps ({FUNCTION_LINES_MAX} at most)")


def opening(file: Source) -> Iterator[str]:
    """Every module opens with its rule and the reason."""
    text = ast.get_docstring(file.tree)
    if not file.tree.body:
        return
    if text is None:
        yield f"{file.path}:1: no docstring; instead: open with the module's rule and the reason"
    elif len(text.splitlines()) > DOCSTRING_LINES_MAX:
        yield f"{file.path}:1: a long docstring; instead: {DOCSTRING_LINES_MAX} lines"


def commented_limits(file: Source) -> Iterator[str]:
    """A limit without a reason is a guess that nobody dares to change."""
    if file.path != "meshd/limits.py":
        return
    tokens = tokenize.generate_tokens(StringIO(file.text).readline)
    commented = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    for node in file.tree.body:
        lines = set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        if isinstance(node, ast.Assign | ast.AnnAssign) and not commented & lines:
            yield finding(file, node, "a limit without its reason", "say why this number, beside it")


def _marks(nodes: list[ast.expr]) -> set[str]:
    names = (name_of(n.func if isinstance(n, ast.Call) else n) for node in nodes for n in ast.walk(node))
    return {name.removeprefix("pytest.mark.") for name in names if name.startswith("pytest.mark.")}


def real_time(file: Source) -> Iterator[str]:
    """Tests neither sleep nor read the clock, unless marked as those that touch the real machine.

    `trio.sleep` is no sleep where trio's clock is one that jumps; a file that takes that clock counts as such.
    """
    if not file.path.startswith("tests/") or file.path.startswith("tests/lab/"):
        return
    assigned = [node for node in file.tree.body if isinstance(node, ast.Assign)]
    file_marks = [node.value for node in assigned if any(name_of(t) == "pytestmark" for t in node.targets)]
    if _marks(file_marks) & REAL_MARKS:
        return
    arguments = {node.arg for node in ast.walk(file.tree) if isinstance(node, ast.arg)}
    sleeps = REAL_TIME if arguments & {"autojump_clock", "mock_clock"} else REAL_TIME | {"trio.sleep"}
    yield from _real_time_in(file, file.tree, sleeps)


def _real_time_in(file: Source, tree: ast.AST, sleeps: set[str]) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        decorators = getattr(node, "decorator_list", [])
        if _marks(decorators) & REAL_MARKS:
            continue
        if isinstance(node, ast.Call) and name_of(node.func) in sleeps:
            is_checkpoint = node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
            if not is_checkpoint:
                instead = "the fixture autojump_clock, or mark it real, lab or sleeps"
                yield finding(file, node, name_of(node.func), instead)
        yield from _real_time_in(file, node, sleeps)
