"""The tree keeps its architecture, and each rule that says so can fail.

The rules run over every file. For each rule `BROKEN` has a small source that breaks it, with the line in
which the rule must say so; a rule that finds nothing there is no rule. `RATCHET` names what was already too
big when it was seen: an entry may only shrink, and goes when it is no longer needed.
"""

import subprocess
import sys

import pytest

from tests import tidy, tidy_sets

PRODUCT = (tidy.imports, tidy.core_inputs, tidy.broad_except, tidy.prints, tidy_sets.unsorted_sets)
EVERYWHERE = (tidy.sizes, tidy.opening, tidy.commented_limits, tidy.real_time)
RATCHET: dict[str, int] = {}  # path: lines it may have


@pytest.mark.parametrize("rule", PRODUCT, ids=lambda rule: rule.__name__)
def test_product(rule):
    files = tidy.tree_of("meshd", "cli")
    assert len(files) > 10
    findings = [finding for file in files for finding in rule(file)]
    assert not findings, "\n".join(findings)


@pytest.mark.parametrize("rule", EVERYWHERE, ids=lambda rule: rule.__name__)
def test_tree(rule):
    files = [f for f in tidy.tree_of("meshd", "cli", "scripts", "tests") if f.path not in RATCHET]
    findings = [finding for file in files for finding in rule(file)]
    assert not findings, "\n".join(findings)


def test_ratchet_only_tightens():
    for path, lines in RATCHET.items():
        found = len((tidy.ROOT / path).read_text().splitlines())
        assert tidy.FILE_LINES_MAX < found <= lines, (
            f"{path} has {found} lines: set its entry to that, or drop it"
        )


def test_every_module_has_a_row():
    assert [f.path for f in tidy.tree_of("meshd", "cli") if f.row is None] == []


def test_the_command_line_starts_without_the_daemon():
    heavy = {
        "trio",
        "nacl",
        "msgpack",
        "zeroconf",
        "sqlcipher3",
        "mnemonic",
        "segno",
        "asyncio",
        "platformdirs",
    }
    modules = ", ".join(f.module for f in tidy.tree_of("cli") if f.path != "cli/__main__.py")
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tidy.ROOT, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


CORE_FILE = "meshd/node.py"
BROKEN = [
    # rule, path, source, line of the finding
    (tidy.imports, "meshd/ids.py", "import meshd.crypto", 1),
    (tidy.imports, "meshd/ids.py", "from meshd import crypto", 1),
    (tidy.imports, "meshd/ids.py", "from . import limits", 1),
    (tidy.imports, "meshd/ids.py", "import msgpack", 1),
    (tidy.imports, "meshd/ids.py", "import numpy", 1),
    (tidy.imports, "meshd/post.py", "from nacl import bindings", 1),
    (tidy.imports, "meshd/crypto.py", "import msgpack", 1),
    (tidy.imports, "meshd/crypto.py", "from meshd.proto import frame", 1),
    (tidy.imports, "meshd/proto/peers.py", "from meshd.store.carry import Carry", 1),
    (tidy.imports, "meshd/proto/peers.py", "from meshd.node import Node", 1),
    (tidy.imports, "meshd/store/carry.py", "from meshd.proto import message", 1),
    (tidy.imports, "meshd/node.py", "import sqlcipher3", 1),
    (tidy.imports, "meshd/node.py", "def f():\n    from meshd.net import link", 2),
    (tidy.imports, "meshd/net/link.py", "from meshd.proto.frame import FrameReader", 1),
    (tidy.imports, "meshd/net/link.py", "import zeroconf", 1),
    (tidy.imports, "meshd/net/link.py", "from meshd.node import Node", 1),
    (tidy.imports, "meshd/daemon/rpc.py", "import click", 1),
    (tidy.imports, "meshd/daemon/rpc.py", "import cli.console", 1),
    (tidy.imports, "cli/post.py", "from meshd.daemon import rpc", 1),
    (tidy.imports, "cli/post.py", "from meshd import post", 1),
    (tidy.imports, "cli/post.py", "import segno", 1),
    (tidy.imports, "cli/post.py", "def f():\n    import trio", 2),
    *[(tidy.core_inputs, CORE_FILE, f"def f():\n    import {name}", 2) for name in tidy.CORE_BANS],
    *[(tidy.core_inputs, CORE_FILE, f"\nx = {name}()", 2) for name in tidy.CORE_CALL_BANS],
    (tidy.core_inputs, CORE_FILE, "from os import urandom", 1),
    (tidy.core_inputs, CORE_FILE, "from random import shuffle", 1),
    (tidy.core_inputs, CORE_FILE, "from time import monotonic", 1),
    (tidy.core_inputs, CORE_FILE, "import random\nrandom.choice([1])", 2),
    (tidy.core_inputs, CORE_FILE, "import random\nrng = random.Random()", 2),
    (tidy.core_inputs, CORE_FILE, "import datetime\ndatetime.datetime.now()", 2),
    (tidy.broad_except, "meshd/net/link.py", "try:\n    f()\nexcept Exception:\n    pass", 3),
    (tidy.broad_except, "meshd/net/link.py", "try:\n    f()\nexcept (OSError, BaseException):\n    pass", 3),
    (tidy.broad_except, "meshd/net/link.py", "try:\n    f()\nexcept:\n    pass", 3),
    (tidy.prints, "meshd/daemon/main.py", "print('ready')", 1),
    (tidy_sets.unsorted_sets, CORE_FILE, "for x in {1, 2}:\n    pass", 1),
    (tidy_sets.unsorted_sets, CORE_FILE, "for x in set(y):\n    pass", 1),
    (tidy_sets.unsorted_sets, CORE_FILE, "a = [x for x in frozenset(y)]", 1),
    (tidy_sets.unsorted_sets, CORE_FILE, "a = {x: 1 for x in {2, 3}}", 1),
    (tidy_sets.unsorted_sets, CORE_FILE, "a = list({2, 3})", 1),
    (tidy_sets.unsorted_sets, CORE_FILE, "a = [*{2, 3}]", 1),
    (tidy_sets.unsorted_sets, CORE_FILE, "a = b''.join(set(y))", 1),
    (tidy_sets.unsorted_sets, CORE_FILE, "s = set()\ns.pop()", 2),
    (tidy_sets.unsorted_sets, CORE_FILE, "def f(s: set[int]):\n    for x in s:\n        pass", 2),
    (tidy_sets.unsorted_sets, CORE_FILE, "def f(s: set[int], t):\n    return list(s - t)", 2),
    (
        tidy_sets.unsorted_sets,
        CORE_FILE,
        "class A:\n    s: set[int]\n    def f(self):\n        list(self.s)",
        4,
    ),
    (tidy.sizes, CORE_FILE, "\n" * tidy.FILE_LINES_MAX + "x = 1", 1),
    (tidy.sizes, CORE_FILE, "def f():\n" + "    x = 1\n" * tidy.FUNCTION_LINES_MAX, 1),
    (tidy.opening, CORE_FILE, "x = 1", 1),
    (tidy.opening, CORE_FILE, '"""' + "a\n" * (tidy.DOCSTRING_LINES_MAX + 1) + '"""', 1),
    (tidy.commented_limits, "meshd/limits.py", "# Links\nLINKS_MAX = 16", 2),
    (tidy.real_time, "tests/test_x.py", "def test():\n    time.sleep(0.1)", 2),
    (tidy.real_time, "tests/test_x.py", "async def test():\n    await trio.sleep(0.1)", 2),
    (tidy.real_time, "tests/test_x.py", "def test(autojump_clock):\n    time.sleep(0.1)", 2),
    (tidy.real_time, "tests/test_x.py", "@pytest.mark.skip\ndef test():\n    time.monotonic()", 3),
]


@pytest.mark.parametrize(("rule", "path", "text", "line"), BROKEN)
def test_rule_finds(rule, path, text, line):
    (finding,) = rule(tidy.source(path, text))
    assert finding.startswith(f"{path}:{line}: ")


FINE = [
    (tidy.imports, "meshd/ids.py", "import hashlib\nfrom meshd.limits import NAME_SIZE_MAX"),
    (tidy.imports, "meshd/noise.py", "from nacl import bindings\nfrom meshd import crypto"),
    (tidy.imports, "meshd/store/db.py", "import sqlcipher3\nfrom meshd.envelope import Envelope"),
    (tidy.imports, "meshd/node.py", "from meshd.proto import session\nfrom meshd.store.log import Log"),
    (tidy.imports, "meshd/net/discovery.py", "import zeroconf\nfrom meshd.events import Event"),
    (tidy.imports, "meshd/daemon/driver.py", "import trio\nfrom meshd.net import link"),
    (tidy.imports, "cli/post.py", "import click\nfrom meshd.daemon import api\ndef f():\n    import segno"),
    (
        tidy.core_inputs,
        CORE_FILE,
        "import random\ndef f(rng: random.Random, now):\n    return rng.choice(now.time)",
    ),
    (tidy.core_inputs, "meshd/net/link.py", "import time, socket, trio\ntime.monotonic()"),
    (tidy.core_inputs, "scripts/sim.py", "import random\nrng = random.Random(7)"),
    (tidy.broad_except, CORE_FILE, "try:\n    f()\nexcept BaseException:\n    undo()\n    raise"),
    (tidy.prints, "cli/console.py", "print('a post')"),
    (tidy_sets.unsorted_sets, CORE_FILE, "for x in sorted({1, 2}):\n    pass"),
    (tidy_sets.unsorted_sets, CORE_FILE, "s = set(y)\na = any(x for x in s)\nb = {x for x in s}\nc = len(s)"),
    (tidy_sets.unsorted_sets, CORE_FILE, "def f():\n    s = set()\ndef g(s):\n    return list(s)"),
    (tidy_sets.unsorted_sets, CORE_FILE, "d = {}\nd.pop(1)\nfor x in d:\n    pass"),
    (tidy.sizes, CORE_FILE, "\n" * (tidy.FILE_LINES_MAX - 1) + "x = 1"),
    (tidy.sizes, CORE_FILE, "def f():\n" + "    x = 1\n" * (tidy.FUNCTION_LINES_MAX - 1)),
    (tidy.opening, CORE_FILE, '"""The rule."""\nx = 1'),
    (tidy.commented_limits, "meshd/limits.py", "LINKS_MAX = 16  # what a laptop bears"),
    (tidy.real_time, "tests/test_x.py", "@pytest.mark.real\ndef test():\n    time.sleep(0.1)"),
    (tidy.real_time, "tests/test_x.py", "pytestmark = [pytest.mark.lab]\ndef test():\n    time.sleep(0.1)"),
    (tidy.real_time, "tests/test_x.py", "async def test():\n    await trio.sleep(0)"),
    (tidy.real_time, "tests/test_x.py", "async def test(autojump_clock):\n    await trio.sleep(9)"),
]


@pytest.mark.parametrize(("rule", "path", "text"), FINE)
def test_rule_allows(rule, path, text):
    assert list(rule(tidy.source(path, text))) == []
