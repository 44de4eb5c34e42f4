"""The source that a run's figures follow from: the modules that it imports, directly or through others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from finai_assets.source import code_version

_ROOT = Path(__file__).resolve().parent.parent.parent
_START = "../studies/teacher/runs"
# Their values are part of a run's name already; another section or another error text changes no figure.
_DECLARE = ("section", "versions", "doors", "teacher/ablation/variants", "teacher/ablation/source")


@cache
def run_version() -> str:
    """Return the hash of the source behind a run; what compares runs and tells of them is not in it."""
    return code_version(*run_rooms())


@cache
def run_rooms() -> tuple[str, ...]:
    """Return the modules of this package that a run imports, as paths below it, ascending."""
    found: set[str] = set()
    waiting = [_START]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [other for other in _imports(_ROOT / f"{name}.py") if not _declares(other)]
    return tuple(sorted(found))


def _declares(name: str) -> bool:
    return name in _DECLARE or name.endswith("settings")


def _imports(file: Path) -> Iterator[str]:
    """Yield the modules of this package that a module imports when it runs, not for its types alone."""
    for node in _running(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == _ROOT.name:
            base = "/".join(node.module.split(".")[1:])
            for alias in node.names:  # `from package import module`, or a name of a module
                yield from _file_of(f"{base}/{alias.name}".lstrip("/")) or _file_of(base)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _running(node)


def _file_of(name: str) -> list[str]:
    """Return a module's path below the root: its own file, or its package's; empty where there is none."""
    if (_ROOT / f"{name}.py").is_file():
        return [name]
    return [f"{name}/__init__"] if (_ROOT / name / "__init__.py").is_file() else []
