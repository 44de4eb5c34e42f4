"""Findings about a source: everything that is wrong or noteworthy, counted over all months, instead of the first error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from finai_assets.ingest.conform import EXAMPLES, BrokenContractError, Violations
from finai_resources.errors import FinaiError

_ROWS = re.compile(r"([\d,]+) rows?\b")
_WHERE = re.compile(r"^(?P<source>.*?), (?:column|columns|header|every column|table)\b ?(?P<column>.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that a source breaks, or one thing worth knowing.

    Parameters
    ----------
    verdict
        ``refused`` where the load would stop at it, else ``note``.
    rows, share
        How many rows, and of all rows of the file that were read; None where the finding counts no rows.
    """

    verdict: Literal["refused", "note"]
    rule: str
    source: str
    column: str
    rows: int | None
    share: float | None
    examples: tuple[str, ...]
    fix: str


class Findings:
    """Findings over several months, in the order in which they were first seen; the same one of two months is added up."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Finding] = {}
        self._read: dict[str, int] = {}
        self._whole: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def read(self, source: str, rows: int) -> None:
        """Count rows of a file that were read, of which shares are given."""
        if source not in self._whole:
            self._read[source] = self._read.get(source, 0) + rows

    def holds(self, source: str, rows: int) -> None:
        """Record how many rows a file holds, where it is known whole."""
        self._whole.add(source)
        self._read[source] = rows

    def add(self, finding: Finding) -> None:
        """Add a finding, or the rows of one that is there already."""
        key = finding.source, finding.column, finding.rule
        if (known := self._found.get(key)) is None:
            self._found[key] = finding
            return
        counts = [each.rows for each in (known, finding) if each.rows is not None]
        # Rows that are known from one month on are seen again in the next: the same rows, by their numbers, count once.
        again = bool(known.examples) and known.examples == finding.examples and known.examples[0].startswith("(row ")
        rows = (max(counts) if again else sum(counts)) if counts else None
        examples = tuple(dict.fromkeys((*known.examples, *finding.examples)))[:EXAMPLES]
        self._found[key] = Finding(
            known.verdict, known.rule, known.source, known.column, rows, None, examples, known.fix
        )

    def add_violations(self, violations: Violations) -> None:
        """Add every broken rule of a month."""
        for violation, rows in violations.counts.items():
            examples = tuple(violations.examples.get(violation, ()))
            self.add(
                Finding(
                    "refused", violation.rule, violation.source, violation.column, rows, None, examples, violation.fix
                )
            )

    def add_error(self, error: FinaiError) -> None:
        """Add what an error tells: all rules that it counts, or its own text."""
        if isinstance(error, BrokenContractError):
            self.add_violations(error.violations)
            return
        rule, _, shown = error.what.partition(", for example ")
        counted = _ROWS.search(rule)
        rows = int(counted[1].replace(",", "")) if counted else None
        place = _WHERE.match(error.where)
        source, column = (place["source"], place["column"]) if place else (error.where, "")
        self.add(Finding("refused", rule, source, column, rows, None, (shown,) if shown else (), error.fix))

    def note(self, rule: str, source: str, column: str, fix: str, examples: Iterable[str] = ()) -> None:
        """Add something worth knowing that refuses nothing."""
        self.add(Finding("note", rule, source, column, None, None, tuple(examples)[:EXAMPLES], fix))

    def all(self) -> list[Finding]:
        """Return every finding with its share, what refuses the load first."""
        whole = [self._with_share(finding) for finding in self._found.values()]
        return sorted(whole, key=lambda finding: finding.verdict == "note")

    def _with_share(self, finding: Finding) -> Finding:
        total = self._read.get(finding.source)
        if finding.rows is None or not total:
            return finding
        share = min(1.0, finding.rows / total)
        return Finding(
            finding.verdict,
            finding.rule,
            finding.source,
            finding.column,
            finding.rows,
            share,
            finding.examples,
            finding.fix,
        )
