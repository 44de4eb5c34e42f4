"""Code versions: the hash of exactly the source that a computation reaches, so that a change of code shows as stale.

The unit is a top-level definition, not a file: starting at the functions that compute an asset, every definition that they name,
in their own module or imported from another one, takes part, and so on. A module that merely holds one of them adds nothing
else. Comments, docstrings and blank lines are not source. The packages of the settings take no part: their values are hashed by
the config version. Neither do the texts of errors and of progress.

An import counts wherever it stands, in a function too. A type in a signature counts, since its methods run on what is passed;
so does, of each module that is reached, what it does when it is imported.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from finai_assets.code_version_cache import KeptVersions

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("finai_assets", "finai_checks", "finai_resources", "serving_lambda", "studies")
# Modules that compute no value, or only declare, show or transport values that have versions of their own.
_LEFT_OUT = re.compile(
    r"finai_assets\.(settings|asset_graph|source|platform|kernel_cache|made_with)(\.|$)"
    r"|finai_resources\.(errors|progress|storage_errors|stored_bytes|quarantine|leases|objects|whole_file)$"
)
_PURE_DECORATORS = re.compile(
    r"^(staticmethod|classmethod|property|cached_property|dataclass|override|contextmanager|(functools\.)?(cache|lru_cache|wraps)"
    r"|(numba\.)?(njit|vectorize|guvectorize)|torch\.\S+)\b"
)

Symbol = tuple[str, str]  # module, name of a definition at its top level
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.AugAssign
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass
class _Module:
    """What the top level of a module holds."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Symbol] = field(
        default_factory=dict
    )  # alias -> module and name; an empty name is the module itself
    effects: list[ast.stmt] = field(default_factory=list)  # what runs at import and defines nothing


@cache
def code_version(*starts: str, op: str = "", templates: tuple[str, ...] = ()) -> str:
    """Return the hash of the source that some functions reach, and of the templates that they render.

    Parameters
    ----------
    starts
        ``package.module:function``; or ``package.module``, for all that the module defines.
    op
        ``package.module:function`` of the function that Dagster calls, which may stand within another. It counts with what it
        names in its own module and not with what that imports: it hands values from one of the ``starts`` to the next.
    templates : tuple of str
        Paths below the root of the source; they count byte by byte.

    Raises
    ------
    LookupError
        A module or a function does not exist.
    FileNotFoundError
        A template does not exist.
    """
    rendered = files_version([ROOT / name for name in templates], ROOT) if templates else ""
    key = "\n".join([*starts, f"op {op}", f"templates {rendered}"])
    kept = kept_versions().versions
    ours = all(name.partition(".")[0] in PACKAGES for name in (*starts, *filter(None, [op])))
    if ours and key in kept:
        return kept[key]
    digest = hashlib.sha256()
    for module, name in reached(*starts):
        digest.update(f"{module}:{name}\n{_text(module, name)}\n".encode())
    if op:
        digest.update(f"{op}\n{_op_text(op)}\n".encode())
    digest.update(rendered.encode())
    version = digest.hexdigest()[:12]
    if ours:  # the source of another package may change without a trace in ours
        kept[key] = version
    return version


@cache
def kept_versions() -> KeptVersions:
    """Return the code versions that are kept for the source as it is now; ``write`` keeps those that were computed since."""
    return KeptVersions.read(ROOT, PACKAGES)


@cache
def reached(*starts: str) -> tuple[Symbol, ...]:
    """Return every definition that some functions reach, ascending; the empty name stands for a module's effects at import.

    Raises
    ------
    LookupError
        A module or a function does not exist.
    """
    waiting: list[Symbol] = []
    for start in starts:
        module, _, name = start.partition(":")
        names = [name] if name else list(_module(module).definitions)
        if name and name not in _module(module).definitions and name not in _module(module).imports:
            raise LookupError(f"{module} defines no {name}")
        waiting += [(module, each) for each in names]
    found: set[Symbol] = set()
    asked = set(waiting)  # explicit starts take part even in modules that are left out
    while waiting:
        module, name = waiting.pop()
        if (module, name) in found or (is_left_out(module) and (module, name) not in asked):
            continue
        source = _module(module)
        if name and name not in source.definitions:
            waiting += _follow(source.imports[name]) if name in source.imports else []
            continue
        found.add((module, name))
        if name:
            waiting.append((module, ""))
        waiting += _references(module, name)
    return tuple(sorted(found))


def is_left_out(module: str) -> bool:
    """Return whether a module takes part in no code version."""
    return _LEFT_OUT.match(module) is not None


def forget() -> None:
    """Clear the caches of this module, so that changed files are read again."""
    for remembered in (code_version, kept_versions, reached, _module, _references, _file_of, _text, _op_text):
        remembered.cache_clear()


def files_version(files: Iterable[Path], root: Path = ROOT) -> str:
    """Return the hash of files' names and bytes; for files that are read as a whole, such as YAML and templates."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(root).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _follow(target: Symbol) -> Iterator[Symbol]:
    """Yield the definitions behind an imported name: one, or all of a module that is passed around whole."""
    module, name = target
    if name and _file_of(module) is not None and name in (_module(module).definitions | _module(module).imports):
        yield module, name
    elif (whole := f"{module}.{name}" if name else module) and _file_of(whole) is not None:
        yield from ((whole, each) for each in _module(whole).definitions)


@cache
def _references(module: str, name: str) -> tuple[Symbol, ...]:
    """Return the project's definitions that a definition (or, for the empty name, the module's effects at import) names."""
    source = _module(module)
    statements = source.definitions[name] if name else source.effects
    finder = _Names(source)
    for statement in statements:
        finder.visit(statement)
    named: set[Symbol] = set()
    for alias, attribute in finder.found:
        if alias in source.definitions:
            named.add((module, alias))
            continue
        target = finder.imported.get(alias) or source.imports.get(alias)
        if target is None:
            continue
        whole = f"{target[0]}.{target[1]}" if target[1] else target[0]
        if (
            attribute
            and _file_of(whole) is not None
            and attribute in (_module(whole).definitions | _module(whole).imports)
        ):
            named.add((whole, attribute))
        else:
            named.update(_follow(target))
    return tuple(sorted(named))


class _Names(ast.NodeVisitor):
    """Collects the global names that a definition reads, each with the attribute that is taken of it, if any."""

    def __init__(self, source: _Module) -> None:
        self.found: set[tuple[str, str]] = set()
        self.imported: dict[str, Symbol] = {}
        self._source = source
        self._local: list[set[str]] = []

    def visit_Name(self, node: ast.Name) -> None:
        self._read(node.id, "")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name):
            self._read(node.value.id, node.attr)
        else:
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and re.fullmatch(r"(finai_\w+|serving_lambda)(\.\w+)+:\w+", node.value):
            module, _, name = node.value.partition(":")  # a function that is named by its path
            self.imported[node.value] = module, name
            self.found.add((node.value, ""))

    def visit_Import(self, node: ast.Import) -> None:
        self.imported |= dict(_imported(node))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.imported |= dict(_imported(node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)

    def _function(self, node: _Function) -> None:
        arguments = node.args
        for outside in (*getattr(node, "decorator_list", ()), *arguments.defaults, *arguments.kw_defaults):
            if outside is not None:
                self.visit(outside)
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        for argument in every:
            if argument is not None and argument.annotation is not None:
                self.visit(argument.annotation)
        if not isinstance(node, ast.Lambda) and node.returns is not None:
            self.visit(node.returns)
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        names = {argument.arg for argument in every if argument is not None}
        self._within(names | _stored(body), body)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self._within(_stored(node.generators), list(ast.iter_child_nodes(node)))

    def _within(self, names: set[str], body: Iterable[ast.AST]) -> None:
        self._local.append(names)
        for child in body:
            self.visit(child)
        self._local.pop()

    def _read(self, name: str, attribute: str) -> None:
        if not any(name in names for names in self._local):
            self.found.add((name, attribute))


def _stored(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that a scope assigns, without those of the scopes within it."""
    names: set[str] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        elif isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            continue
        waiting += ast.iter_child_nodes(node)
    return names


@cache
def _module(module: str) -> _Module:
    file = _file_of(module) or _elsewhere(module)
    if file is None:
        raise LookupError(f"there is no module {module}")
    return _parsed(file.read_text(encoding="utf-8"))


@cache
def _parsed(text: str) -> _Module:
    read = _Module()
    for statement in ast.parse(text).body:
        _sort(statement, read)
    return read


def _sort(statement: ast.stmt, read: _Module) -> None:
    """Record a top-level statement as an import, a definition, or an effect of the import."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        read.imports |= dict(_imported(statement))
    elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        read.definitions.setdefault(statement.name, []).append(statement)
        if not all(_PURE_DECORATORS.match(ast.unparse(decorator)) for decorator in statement.decorator_list):
            read.effects.append(statement)  # it may register the definition, which then runs without being named
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
        for name in names:
            read.definitions.setdefault(name, []).append(statement)
    elif isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
        for each in statement.body:
            _sort(each, read)
    elif isinstance(statement, ast.If) and ast.unparse(statement.test).startswith("__name__"):
        pass  # a program's start
    elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
        read.effects.append(statement)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Symbol]]:
    """Yield each alias that an import of a project module binds, with the module and name behind it."""
    for alias in node.names:
        module = alias.name if isinstance(node, ast.Import) else node.module or ""
        if module.partition(".")[0] in PACKAGES:
            yield alias.asname or alias.name, (module, "" if isinstance(node, ast.Import) else alias.name)


@cache
def _file_of(module: str) -> Path | None:
    if module.partition(".")[0] not in PACKAGES:
        return None
    base = ROOT.joinpath(*module.split("."))
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _elsewhere(module: str) -> Path | None:
    """Return the file of a module outside the project that a declaration names, such as a formula of a plug-in."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # of a package above it
        return None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


@cache
def _text(module: str, name: str) -> str:
    """Return a definition, or a module's effects at import, as text without comments and docstrings."""
    source = _module(module)
    statements = source.definitions[name] if name else source.effects
    return "\n".join(ast.unparse(_without_docstrings(statement)) for statement in statements)


@cache
def _op_text(op: str) -> str:
    """Return the text of a function that Dagster calls, and of the definitions of its module that it names, one by another."""
    module, _, function = op.partition(":")
    source = _module(module)
    statements = [statement for each in source.definitions.values() for statement in each]
    found = [
        node
        for statement in statements
        for node in ast.walk(statement)
        if isinstance(node, ast.FunctionDef) and node.name == function and node.decorator_list
    ]
    if len(found) != 1:
        raise LookupError(f"{module} holds {len(found)} decorated functions {function}, not one")
    body = _without_docstrings(ast.FunctionDef(**{**vars(found[0]), "decorator_list": []}))
    finder = _Names(source)
    finder.visit(body)
    named: set[str] = set()
    waiting = {alias for alias, _ in finder.found}
    while waiting:
        name = waiting.pop()
        if name in source.definitions and name not in named:
            named.add(name)
            waiting |= {other for its_module, other in _references(module, name) if its_module == module}
    return "\n".join([ast.unparse(body), *(_text(module, name) for name in sorted(named))])


def _without_docstrings(statement: ast.stmt) -> ast.stmt:
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return statement
