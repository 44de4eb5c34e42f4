"""The type of a row of the table of tasks; the rows themselves are in :mod:`finai_assets.labels.tasks`.

Modules that work on any task import this one alone, so that an edit of a row changes the code of nothing that was computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from finai_assets.asset_graph import label_asset
from finai_assets.features.inputs import AMOUNT, HELD, MCC, SEGMENT, SNAPSHOTS, TRANSACTIONS, TS
from finai_resources.errors import ConfigError

TaskKind = Literal["binary", "multiclass", "regression"]
TaskGroup = Literal["engagement", "lifecycle", "value", "consumption"]

# Raw columns that a block of customers carries (finai_assets/labels/windows.py).
INPUTS = frozenset({HELD, SEGMENT, TS, MCC, AMOUNT})


@dataclass(frozen=True, slots=True)
class Window:
    """The raw months that a label is computed from, beside the snapshot of its own month, which names the customers.

    With ``m`` the snapshot month and ``h`` the horizon, the label window is ``[cutoff(m), cutoff(m + h))``.

    Parameters
    ----------
    history_months : int
        Snapshots whose content is read, the last of them that of ``m``: 1 is the snapshot at the cutoff, 0 none.
    end : bool
        Whether the snapshot at the end of the label window is read.
    events_before, events_after : bool
        Whether transactions of the equally long window before the cutoff, and of the label window, are read.
    """

    history_months: int = 0
    end: bool = False
    events_before: bool = False
    events_after: bool = False

    def months(self, table: str, horizon: int) -> tuple[int, ...]:
        """Return which months of a raw table are read, ascending, counted from the snapshot month."""
        if table == SNAPSHOTS:
            return (*range(1 - max(1, self.history_months), 1), *((horizon,) if self.end else ()))
        before = range(1 - horizon, 1) if self.events_before else ()
        after = range(1, horizon + 1) if self.events_after else ()
        return (*before, *after)


@dataclass(frozen=True, slots=True)
class Task:
    """One prediction task. Its label is computed from ``[cutoff, cutoff + horizon)``.

    Functions are named by text, ``package.module:name``, so that the table imports none of them.

    Parameters
    ----------
    weight : float
        Weight of the task in the teacher's loss.
    definition : str
        What the label is, in words; figures in it come from the settings.
    inputs : tuple of str
        Raw columns that the label is computed from, ``raw/snapshots.held``.
    window : Window
        Which months of their tables.
    formula : str
        ``formula(block, parameters) -> pa.Array``: the labels of a block of customers.
    parameters : object
        Argument of the formula and of the truth, beside the data: a section of the settings, or values derived from the
        catalogue. Its ``repr`` holds all of it.
    type : pa.DataType
        Of the stored label: a class index, a code, or a number.
    class_names : tuple of str
        Of a multiclass task whose classes are known beforehand, in the order of the label's indices.
    vocabulary : int or None
        Of a multiclass task whose label is a code: so many of the most frequent codes of the train labels are classes, and
        all others together are one more.
    focal : (float, float) or None
        Alpha and gamma of the focal loss of a binary task.
    persistence : str or None
        ``persistence(session, month, customer, settings) -> float [n]``: the label that "nothing changes" forecasts, NaN where
        it cannot; None where there is no such forecast.
    truth : str or None
        A :class:`~finai_assets.ingest.synthetic.truth.Truth`: the law of the label on generated customers.
    statement : str or None
        The label stated once more, in SQL, as a value ``package.module:NAME``, which the checks of labels compare with; of a row
        that the checks' own table of statements does not know.
    acquires : str or None
        Acquisition set whose products the task is about; recommendations rank the set's products by it.
    unavailable : str or None
        Why the data set cannot carry the task; None where it can.

    Raises
    ------
    ConfigError
        The parts of the row do not agree.
    """

    name: str
    kind: TaskKind
    group: TaskGroup
    weight: float
    title: str
    title_ko: str
    definition: str
    inputs: tuple[str, ...]
    window: Window
    formula: str
    parameters: Any = None
    type: pa.DataType = pa.float32()  # noqa: RUF009 - Arrow types are immutable values
    class_names: tuple[str, ...] = ()
    vocabulary: int | None = None
    focal: tuple[float, float] | None = None
    persistence: str | None = None
    truth: str | None = None
    statement: str | None = None
    acquires: str | None = None
    unavailable: str | None = None

    def __post_init__(self) -> None:
        if self.acquires and self.name != f"will_acquire_{self.acquires}":
            raise self._wrong("serving would not find the task of its set", f"call it will_acquire_{self.acquires}")
        if unknown := sorted(set(self.inputs) - INPUTS):
            raise self._wrong(f"labels are not computed from {unknown}", f"allowed inputs: {', '.join(sorted(INPUTS))}")
        window = self.window
        for table, read in (
            (SNAPSHOTS, window.history_months > 0 or window.end),
            (TRANSACTIONS, window.events_before or window.events_after),
        ):
            if read != any(name.startswith(f"{table}.") for name in self.inputs):
                raise self._wrong(f"inputs and window disagree about {table}", "name the table in both or in neither")
        described = bool(self.class_names) + (self.vocabulary is not None)
        if described > (self.kind == "multiclass"):
            raise self._wrong(
                f"a {self.kind} task has {described} descriptions of its classes",
                "give a multiclass task class_names or a vocabulary, and any other task neither",
            )

    def _wrong(self, message: str, fix: str) -> ConfigError:
        return ConfigError(message, where=f"task {self.name}", fix=fix)

    @property
    def asset(self) -> str:
        """Return the path of the label's asset."""
        return label_asset(self.name)

    @property
    def classes(self) -> int:
        """Return the number of classes of a multiclass task, 0 while its vocabulary is not fitted; 1 of any other task."""
        return len(self.class_names) if self.kind == "multiclass" else 1

    @property
    def decided_by_window(self) -> bool:
        """Whether the label follows from the label window alone; any other is relative to the customer's own past."""
        return not (self.window.history_months or self.window.events_before)

    def declared(self, *names: str) -> dict[str, str]:
        """Return some fields of the row as text, for the config versions of the assets computed from them."""
        return {name: repr(getattr(self, name)) for name in names}


def available(tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    """Return the tasks that the data set can carry."""
    return tuple(task for task in tasks if task.unavailable is None)
