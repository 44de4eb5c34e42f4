"""What a planted fault is: an edit of a copy of the code, or of a copy of the home, and what must find it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finai_resources.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Edit:
    """A text of a file of the repository, which occurs there once, and what stands in its place.

    Parameters
    ----------
    file : str
        Path below the repository's root.
    """

    file: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Change the file below a root.

        Raises
        ------
        ConfigError
            The text occurs no longer, or more than once: the product has changed and the fault must be planted anew.
        """
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if (found := text.count(self.old)) != 1:
            raise ConfigError(
                f"the text occurs {found} times: {self.old.strip().splitlines()[0]!r}",
                where=self.file,
                fix="plant the fault where the code does this now",
            )
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Fault:
    """A planted fault.

    Parameters
    ----------
    name : str
        Unique; words joined by hyphens.
    kind : str
        Group, label, state, split, matrix, model, route, calibration, ranking, offering, bundle, gate or bytes.
    what : str
        The fault in one sentence without a full stop.
    caught_by : tuple of str
        Names of checks, or a part of the sentence by which a gate refuses; any one of them must stop the run.
    edits : tuple of Edit
        Changes of the code.
    spoil : callable, optional
        ``(home)``: changes what is stored, before the run.
    audit : bool
        Whether the run itself need not find it, and the audit (``finai recheck --audit``) must.
    short : bool
        Whether it belongs to the ten that every test run repeats.
    profile : str
        Of the home that it is planted in: the small home serves no copy and ranks by rules, so that a fault of copies, of the
        ranking by models or of who is offered what shows in the larger one alone.
    """

    name: str
    kind: str
    what: str
    caught_by: tuple[str, ...]
    edits: tuple[Edit, ...] = ()
    spoil: Callable[[Path], None] | None = None
    audit: bool = False
    short: bool = False
    profile: Literal["smoke", "demo"] = "smoke"


def by_name(faults: Sequence[Fault], names: Sequence[str]) -> list[Fault]:
    """Return the named faults in the order of the table.

    Raises
    ------
    ConfigError
        A name is not in the table.
    """
    known = {fault.name for fault in faults}
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            f"there is no fault {unknown[0]!r}", where="studies.attacks", fix="see --list for their names"
        )
    return [fault for fault in faults if fault.name in set(names)]
