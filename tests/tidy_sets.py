"""The rule that the core never depends on the order of a set.

Strings and bytes hash differently in every process, so whatever follows the order of a set (frames, rows,
draws from `rng`) differs between two runs of one seed. This reads one file at a time: a name is taken for a
set where its own function, class or module assigns it a set or annotates it as one. Order-free uses (`len`,
`in`, `sorted`, another set) are fine. `tidy.py` says what a rule is.
"""

import ast
from collections.abc import Iterator

from tests.tidy import Source, finding, name_of

ORDER_FREE = {"sorted", "set", "frozenset", "len", "any", "all", "sum", "min", "max"}
ORDERING = {"list", "tuple", "enumerate", "iter", "next", "zip", "map", "filter", "reversed", "bytes"}
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
SET_OPERATORS = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Scope:
    """The names that hold sets, seen from inside one function; attributes count for the whole file."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def is_set(self, node: ast.AST | None) -> bool:
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in SET_METHODS:
                return self.is_set(node.func.value)
            return name_of(node.func) in ("set", "frozenset")
        if isinstance(node, ast.BinOp) and isinstance(node.op, SET_OPERATORS):
            return self.is_set(node.left) or self.is_set(node.right)
        return isinstance(node, ast.Name | ast.Attribute) and name_of(node) in self.names

    def learn(self, body: ast.AST) -> None:
        """Take up every name that this scope assigns or annotates as a set."""
        for node in _own_nodes(body):
            if isinstance(node, ast.Assign) and self.is_set(node.value):
                self.names |= {name_of(target) for target in node.targets}
            elif isinstance(node, ast.AnnAssign) and _is_set_type(node.annotation):
                self.names.add(name_of(node.target))
            elif isinstance(node, ast.arg) and _is_set_type(node.annotation):
                self.names.add(node.arg)


def _is_set_type(node: ast.AST | None) -> bool:
    base = node.value if isinstance(node, ast.Subscript) else node
    return base is not None and name_of(base) in ("set", "frozenset", "AbstractSet")


def _own_nodes(body: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope without those of the functions inside it."""
    for child in ast.iter_child_nodes(body):
        yield child
        if not isinstance(child, Function):
            yield from _own_nodes(child)


def unsorted_sets(file: Source) -> Iterator[str]:
    if not file.is_core:
        return
    attributes = _Scope(set())
    for node in ast.walk(file.tree):
        if isinstance(node, Function | ast.Module | ast.ClassDef):
            attributes.learn(node)
    kept = {name for name in attributes.names if name.startswith("self.")}
    # A class that declares `seen: set[bytes]` is read as `self.seen`.
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ClassDef):
            fields = _Scope(set())
            fields.learn(node)
            kept |= {f"self.{name}" for name in fields.names if "." not in name}
    module = _Scope(set(kept))
    module.learn(file.tree)
    yield from _in_scope(file, file.tree, module)


def _in_scope(file: Source, body: ast.AST, scope: _Scope) -> Iterator[str]:
    free: set[int] = set()  # generators whose consumer does not care for order
    for node in _own_nodes(body):
        if isinstance(node, ast.Call) and name_of(node.func) in ORDER_FREE:
            free |= {id(argument) for argument in node.args}
        if isinstance(node, ast.For | ast.AsyncFor):
            iterated = [node.iter]
        elif isinstance(node, ast.ListComp | ast.DictComp | ast.GeneratorExp) and id(node) not in free:
            iterated = [generator.iter for generator in node.generators]
        elif isinstance(node, ast.Starred):
            iterated = [node.value]
        elif isinstance(node, ast.Call) and _takes_order(node):
            iterated = list(node.args)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "pop":
            iterated = [] if node.args else [node.func.value]
        else:
            iterated = []
        for found in iterated:
            if scope.is_set(found):
                yield finding(file, found, "follows the order of a set", "sorted(…), or a dict used as a set")
        if isinstance(node, Function):
            inner = _Scope(set(scope.names))
            inner.learn(node)
            yield from _in_scope(file, node, inner)


def _takes_order(node: ast.Call) -> bool:
    return name_of(node.func) in ORDERING or (
        isinstance(node.func, ast.Attribute) and node.func.attr == "join"
    )
