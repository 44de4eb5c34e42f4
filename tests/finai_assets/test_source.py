"""A code version changes with what a computation reaches, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from finai_assets import source
from finai_assets.source import code_version, forget, reached

MODULES = {
    "kernel": "FACTOR = 2\nUNUSED = 3\n\n\ndef kernel(x):\n    return FACTOR * x\n\n\ndef other(x):\n    return UNUSED * x\n",
    "room": (
        "from typing import TYPE_CHECKING\n\nfrom finai_pack import whole\nfrom finai_pack.kernel import kernel, other\n\n"
        "if TYPE_CHECKING:\n    from finai_pack.kinds import Kind\n\n\n"
        "def compute(x, kind: 'Kind'):\n    kernel = 3\n    return [kernel for kernel in x]\n\n\n"
        "def twice(x: Kind):\n    from finai_pack.late import late\n    return late(kernel(x)) + whole.part(x)\n\n\n"
        "def named():\n    return 'finai_pack.late:late'\n"
    ),
    "whole": "def part(x):\n    return x\n\n\ndef apart(x):\n    return -x\n",
    "late": "def late(x):\n    return x\n",
    "kinds": "class Kind:\n    def method(self):\n        return 1\n",
    "registers": "KNOWN = {}\n\n\ndef register(f):\n    KNOWN[f.__name__] = f\n    return f\n\n\n"
    "@register\ndef nobody_names_me():\n    return 1\n\n\ndef look(name):\n    return KNOWN[name]()\n",
}
START = "finai_pack.room:twice"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "finai_pack"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(source, "ROOT", tmp_path)
    monkeypatch.setattr(source, "PACKAGES", ("finai_pack",))
    forget()
    yield folder
    forget()


@pytest.fixture
def changes(package: Path) -> Callable[..., bool]:
    """Return whether an edit changes the code version of a start."""

    def edited(module: str, old: str, new: str, start: str = START) -> bool:
        before = code_version(start)
        text = (package / f"{module}.py").read_text()
        assert old in text
        (package / f"{module}.py").write_text(text.replace(old, new))
        forget()
        return code_version(start) != before

    return edited


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("kernel", "FACTOR = 2", "FACTOR = 5"),  # a constant that a called function reads
        ("kernel", "return FACTOR * x", "return FACTOR + x"),
        ("late", "return x", "return x + 1"),  # imported within a function
        ("whole", "return x", "return 2 * x"),  # an attribute of an imported module
        ("kinds", "return 1", "return 2"),  # a method of a type in the signature
    ],
)
def test_an_edit_of_what_is_reached_changes_the_version(
    changes: Callable[..., bool], module: str, old: str, new: str
) -> None:
    assert changes(module, old, new)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("kernel", "UNUSED = 3", "UNUSED = 4"),  # of the same file, and reached by nothing
        ("whole", "return -x", "return x"),
        ("room", "return [kernel for", "return [kernel + 1 for"),  # another function of the same module
        ("kernel", "def kernel(x):\n", 'def kernel(x):\n    """Say what it does."""\n    # and why\n'),
    ],
)
def test_an_edit_of_anything_else_does_not(changes: Callable[..., bool], module: str, old: str, new: str) -> None:
    assert not changes(module, old, new)


def test_a_local_name_does_not_reach_what_is_imported_under_it(package: Path) -> None:
    assert ("finai_pack.kernel", "kernel") not in reached("finai_pack.room:compute")


def test_a_function_named_by_its_path_is_reached(package: Path) -> None:
    assert ("finai_pack.late", "late") in reached("finai_pack.room:named")


def test_what_registers_itself_is_reached_with_its_module(changes: Callable[..., bool]) -> None:
    assert changes("registers", "return 1", "return 2", start="finai_pack.registers:look")


def test_a_start_that_does_not_exist_is_an_error(package: Path) -> None:
    with pytest.raises(LookupError, match="defines no absent"):
        code_version("finai_pack.room:absent")
    with pytest.raises(LookupError, match=r"no module finai_pack\.nowhere"):
        code_version("finai_pack.nowhere:f")


def test_a_template_counts_by_its_name_and_its_bytes(package: Path) -> None:
    for name in ("a.j2", "b.j2"):
        (package / name).write_text("{{ word }}")
    without = code_version(START)
    first, second = (code_version(START, templates=(f"finai_pack/{name}",)) for name in ("a.j2", "b.j2"))
    assert len({without, first, second}) == 3
    (package / "a.j2").write_text("{{ word }}.")
    forget()
    assert code_version(START, templates=("finai_pack/a.j2",)) != first
    assert code_version(START) == without
    forget()
    with pytest.raises(FileNotFoundError, match="absent"):
        code_version(START, templates=("finai_pack/absent.j2",))


OP = """
from finai_pack.kernel import kernel

SHARE = 2


def describe():
    return "text"


def share(x):
    return SHARE * x


def build():
    text = describe()

    @asset(text)
    def computed(x):
        return share(kernel(x))

    return computed
"""


@pytest.mark.parametrize(
    ("module", "old", "new", "counts"),
    [
        ("ops", "share(kernel(x))", "kernel(share(x))", True),
        ("ops", "SHARE = 2", "SHARE = 3", True),  # what it names in its own module, through another
        ("ops", '"text"', '"another text"', False),  # of what stands around it, Dagster reads the values
        ("ops", "    def computed(x):\n", '    def computed(x):\n        """Say what it does."""\n', False),
        ("kernel", "return FACTOR * x", "return FACTOR + x", False),  # what it imports has starts of its own
    ],
)
def test_an_op_counts_with_what_it_names_in_its_module(
    package: Path, module: str, old: str, new: str, counts: bool
) -> None:
    (package / "ops.py").write_text(OP)
    before = code_version(op="finai_pack.ops:computed")
    text = (package / f"{module}.py").read_text()
    assert old in text
    (package / f"{module}.py").write_text(text.replace(old, new))
    forget()
    assert (code_version(op="finai_pack.ops:computed") != before) is counts


def test_an_op_that_is_not_there_or_not_alone_is_an_error(package: Path) -> None:
    (package / "ops.py").write_text(OP + OP.replace("def build", "def build_again"))
    with pytest.raises(LookupError, match="holds 0 decorated functions absent"):
        code_version(op="finai_pack.ops:absent")
    with pytest.raises(LookupError, match="holds 2 decorated functions computed"):
        code_version(op="finai_pack.ops:computed")


def test_a_function_of_a_plug_in_has_a_version_that_follows_its_source(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = package.parent / "plugged"
    elsewhere.mkdir()
    monkeypatch.syspath_prepend(str(elsewhere))
    (elsewhere / "a_plug_in.py").write_text("LIMIT = 1\n\n\ndef formula(x):\n    return x > LIMIT\n")
    before = code_version("a_plug_in:formula")
    (elsewhere / "a_plug_in.py").write_text("LIMIT = 2\n\n\ndef formula(x):\n    return x > LIMIT\n")
    forget()
    assert code_version("a_plug_in:formula") != before
