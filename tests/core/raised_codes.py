"""Every error code that the sources can answer with, read off their syntax trees."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
SERVICE, CLIENT = ("app", "core", "worker"), ("safelora",)
"""Packages that have an error tree in common."""
NO_ERRORS = frozenset({"Finding", "HeaderError", "PairWarning", "Problem"})
"""What has a `code` that is no error's: findings, warnings of a pair, what a verifier finds."""
TREE = "core/errors.py"
BY_POSITION = {"refusal": 0, "problem": 1}
"""Functions that are given a code without its name, and where."""


@dataclass(frozen=True)
class Raised:
    """One place. `status` is the HTTP status that it gives, None where that is not told there."""

    code: str
    status: int | None
    place: str


@dataclass(frozen=True)
class _Kind:
    """A class of the error tree."""

    code: str
    status: int


def raised_codes() -> list[Raised]:
    """Every place of the service and the client that makes an error, of those whose code is written
    there or is the class's own."""
    return [*_raised_in(SERVICE), *_raised_in(CLIENT)]


def _raised_in(packages: Iterable[str]) -> list[Raised]:
    trees = {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text())
        for package in packages
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    kinds = _error_tree(trees.values())
    return [
        Raised(*found, place=f"{path}:{getattr(node, 'lineno', 0)}")
        for path, tree in trees.items()
        for node in ast.walk(tree)
        for found in _codes_at(node, kinds, is_tree=path == TREE)
    ]


def _codes_at(
    node: ast.AST, kinds: dict[str, _Kind], *, is_tree: bool
) -> Iterator[tuple[str, int | None]]:
    if isinstance(node, ast.Call):
        yield from _codes_of(node, kinds)
    elif isinstance(node, ast.Attribute) and node.attr == "code":  # as GateError.code
        if isinstance(node.value, ast.Name) and node.value.id in kinds:
            yield kinds[node.value.id].code, None
    elif isinstance(node, ast.ClassDef) and node.name in kinds and not is_tree:
        # The tree's own classes are raised with codes of their own; any other is there for its.
        yield kinds[node.name].code, kinds[node.name].status


def _codes_of(call: ast.Call, kinds: dict[str, _Kind]) -> Iterator[tuple[str, int | None]]:
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    kind = kinds.get(name)
    status = kind.status if kind else None
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in NO_ERRORS:
        return
    if name in BY_POSITION and len(call.args) > BY_POSITION[name]:
        yield from _text(call.args[BY_POSITION[name]], _number(call.args[0]))
    elif "code" in given:
        yield from _text(given["code"], status)
    elif kind is not None:
        yield kind.code, kind.status


def _text(node: ast.expr, status: int | None) -> Iterator[tuple[str, int | None]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value, status


def _number(node: ast.expr) -> int | None:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, int) else None


def _error_tree(trees: Iterable[ast.Module]) -> dict[str, _Kind]:
    """`GateError` and all that derive from it, by name."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    [root] = [node for node in classes if node.name == "GateError"]
    kinds = {root.name: _Kind(_own(root, "code"), _own(root, "status"))}
    waiting = [node for node in classes if node is not root]
    while grown := [node for node in waiting if _base_in(kinds, node)]:
        for node in grown:
            base = _base_in(kinds, node)
            assert base is not None
            kinds[node.name] = _Kind(
                _own(node, "code") or base.code, _own(node, "status") or base.status
            )
        waiting = [node for node in waiting if node.name not in kinds]
    return kinds


def _base_in(kinds: dict[str, _Kind], node: ast.ClassDef) -> _Kind | None:
    names = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return next((kinds[name] for name in names if name in kinds), None)


def _own(node: ast.ClassDef, name: str) -> Any:
    for line in node.body:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant):
            [target] = line.targets
            if isinstance(target, ast.Name) and target.id == name:
                return line.value.value
    return None
