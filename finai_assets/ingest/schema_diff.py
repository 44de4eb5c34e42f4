"""What has changed between two shapes of a source, as data. Pure.

A column that went and one of the same type that came are one renamed column where they have nearly the same values, by the
likeness of their sketches; and where values do not tell, where one column of the table went and one came in its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from finai_assets.ingest.schema_shape import SKETCH, ColumnShape, SourceShape, column_of
from finai_assets.ingest.source_lineage import Place
from finai_assets.settings.schema_changes import SchemaChangeSettings

Kind = Literal["added", "dropped", "renamed", "retyped", "vocabulary", "null_share"]
BY_VALUES, BY_PLACE = "values", "place"
_SHOWN = 5  # words


@dataclass(frozen=True)
class SchemaChange:
    """One change of one column of the source.

    Parameters
    ----------
    kind : Kind
    table : str
    before, after : ColumnShape or None
        The column as it was accepted last, and as it is; None where there was or is none.
    rule : str
        Of a renamed column: ``values`` or ``place``, by which it was told.
    figures : mapping
        What was compared: the likeness of two columns, the new words, the shares of missing values.
    """

    kind: Kind
    table: str
    before: ColumnShape | None
    after: ColumnShape | None
    rule: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Return the id: the same wherever and whenever the same change is seen; shares and likenesses take no part in it."""
        columns = [[column.name, column.type] if column else None for column in (self.before, self.after)]
        more = (
            self.figures.get("new_words", []),
            self.before.nulls if self.before and self.kind == "null_share" else None,
        )
        text = json.dumps([self.kind, self.table, columns, more], ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @property
    def places(self) -> tuple[Place, ...]:
        """Return the columns of the source that it is about."""
        named = dict.fromkeys(column.name for column in (self.before, self.after) if column is not None)
        return tuple(Place(self.table, name) for name in named)

    @property
    def told(self) -> str:
        """Return the change in words."""
        was, has = self.before, self.after
        if was is None or has is None:
            column = has or was
            assert column is not None  # noqa: S101 - one of both is there
            return f"{self.table}: column {column.name} ({column.type}) {'has come' if was is None else 'is gone'}"
        if self.kind == "renamed":
            likeness = self.figures.get("likeness")
            why = f"{likeness:.0%} of their values are the same" if self.rule == BY_VALUES else "it stands in its place"
            return f"{self.table}: column {was.name} is called {has.name} now ({has.type}; {why})"
        if self.kind == "retyped":
            return f"{self.table}: column {has.name} was {was.type}, is {has.type}"
        if self.kind == "vocabulary":
            words = list(self.figures["new_words"])
            more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
            return f"{self.table}: column {has.name} has new words: {', '.join(map(repr, words[:_SHOWN]))}{more}"
        return f"{self.table}: column {has.name} lacks {has.nulls:.2%} of its values, before {was.nulls:.2%}"

    def as_dict(self) -> dict[str, Any]:
        """Return it for a log, without sketches."""
        plain = replace(self, before=_without_sketch(self.before), after=_without_sketch(self.after))
        return {**asdict(plain), "id": self.id, "told": self.told}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> SchemaChange:
        """Read what :meth:`as_dict` wrote."""
        before, after = content["before"], content["after"]
        return cls(
            content["kind"],
            content["table"],
            column_of(before) if before else None,
            column_of(after) if after else None,
            content["rule"],
            content["figures"],
        )


def _without_sketch(column: ColumnShape | None) -> ColumnShape | None:
    return replace(column, sketch=None) if column is not None else None


def schema_changes(before: SourceShape, after: SourceShape, rules: SchemaChangeSettings) -> tuple[SchemaChange, ...]:
    """Return the changes from one shape to another, by table.

    What is not known of one of both (the values of a source under another key, the order in a manifest) is not compared.
    """
    found: list[SchemaChange] = []
    for table in sorted(before.tables.keys() | after.tables.keys()):
        was, has = before.tables.get(table, ()), after.tables.get(table, ())
        found += _of_table(
            table,
            was,
            has,
            rules,
            valued=before.key == after.key,
            ordered=before.ordered and after.ordered,
        )
    return tuple(found)


def _of_table(
    table: str,
    was: Sequence[ColumnShape],
    has: Sequence[ColumnShape],
    rules: SchemaChangeSettings,
    *,
    valued: bool,
    ordered: bool,
) -> Iterator[SchemaChange]:
    now, then = {column.name: column for column in has}, {column.name: column for column in was}
    gone = [column for column in was if column.name not in now]
    come = [column for column in has if column.name not in then]
    pairs = list(_same_values(gone, come, rules.same_values)) if valued else []
    for old, new, likeness in pairs:
        gone.remove(old)
        come.remove(new)
        yield SchemaChange("renamed", table, old, new, BY_VALUES, {"likeness": round(likeness, 4)})
        yield from _changed(table, old, new, rules, renamed=True)
    if (
        ordered
        and len(gone) == len(come) == 1
        and gone[0].type == come[0].type
        and was.index(gone[0]) == has.index(come[0])
    ):
        old, new = gone.pop(), come.pop()
        yield SchemaChange("renamed", table, old, new, BY_PLACE, {"place": was.index(old) + 1})
    yield from (SchemaChange("dropped", table, column, None) for column in gone)
    yield from (SchemaChange("added", table, None, column) for column in come)
    for name, column in then.items():
        if name in now:
            yield from _changed(table, column, now[name], rules)


def _changed(
    table: str, was: ColumnShape, has: ColumnShape, rules: SchemaChangeSettings, *, renamed: bool = False
) -> Iterator[SchemaChange]:
    """Yield what has changed of one column beside its name."""
    if was.type != has.type and not renamed:
        yield SchemaChange("retyped", table, was, has)
    if was.words is not None and has.words is not None and (new := sorted(set(has.words) - set(was.words))):
        yield SchemaChange("vocabulary", table, was, has, figures={"new_words": new})
    if was.nulls is not None and has.nulls is not None and abs(has.nulls - was.nulls) > rules.null_jump:
        yield SchemaChange("null_share", table, was, has, figures={"before": was.nulls, "after": has.nulls})


def _same_values(
    gone: Sequence[ColumnShape], come: Sequence[ColumnShape], threshold: float
) -> Iterator[tuple[ColumnShape, ColumnShape, float]]:
    """Yield columns that went, each with the one of its type that came with the likest values; each column once."""
    alike = [
        (likeness, old, new)
        for old in gone
        for new in come
        if old.type == new.type and (likeness := same_values(old, new)) is not None and likeness >= threshold
    ]
    used: set[str] = set()
    for likeness, old, new in sorted(alike, key=lambda each: (-each[0], each[1].name, each[2].name)):
        if not {f"-{old.name}", f"+{new.name}"} & used:
            used |= {f"-{old.name}", f"+{new.name}"}
            yield old, new, likeness


def same_values(one: ColumnShape, other: ColumnShape) -> float | None:
    """Estimate which share of the different values of two columns both have; None where it cannot be told.

    It is the share of the least hashes of all values that both sketches hold (Bar-Yossef et al., Counting distinct elements in a
    data stream, 2002; Beyer et al., SIGMOD 2007).
    """
    if not one.sketch or not other.sketch:
        return None
    least = sorted({*one.sketch, *other.sketch})[:SKETCH]
    return len(set(least) & set(one.sketch) & set(other.sketch)) / len(least)


def accepted(shape: SourceShape, change: SchemaChange) -> SourceShape:
    """Return a shape with one change taken in, and nothing else of the column; the same where it had been taken in before."""
    columns = list(shape.tables.get(change.table, ()))
    names = [column.name for column in columns]
    known = [names.index(column.name) for column in (change.before, change.after) if column and column.name in names]
    new = change.after
    if change.kind == "added" and new is not None and not known:
        columns.append(new)
    elif change.kind == "dropped" and known:
        del columns[known[0]]
    elif known and new is not None and change.kind not in {"added", "dropped"}:
        part = {"renamed": "name", "retyped": "type", "vocabulary": "words", "null_share": "nulls"}[change.kind]
        columns[known[0]] = replace(columns[known[0]], **{part: getattr(new, part)})
    return shape.with_columns(change.table, columns)
