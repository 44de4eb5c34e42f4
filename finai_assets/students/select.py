"""Selects a student's columns by the gain of a probe model, so that a request holds dozens, not a thousand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finai_assets.settings.method import StudentSettings
from finai_resources.errors import ConfigError


def select_columns(gain: np.ndarray, names: Sequence[str], settings: StudentSettings) -> np.ndarray:
    """Choose columns by a probe's gain.

    Columns are taken by falling gain (ties by position) until ``cumulative_gain`` of the whole is reached, at least
    ``min_columns`` and at most ``max_columns`` of them; the mandatory ones are kept and push the weakest out.

    Parameters
    ----------
    gain : float [columns]
        Total gain of each column in the probe.
    names
        Names of the columns, in the same order.

    Returns
    -------
    int64 [kept]
        Positions, ascending.

    Raises
    ------
    ConfigError
        A mandatory column does not exist, or there are more of them than ``max_columns``.
    """
    place = {name: index for index, name in enumerate(names)}
    if unknown := [name for name in settings.mandatory_columns if name not in place]:
        raise ConfigError(
            f"mandatory columns {unknown} are not in the training matrix",
            where="students.mandatory_columns",
            fix="`finai features list` shows the names",
        )
    mandatory = [place[name] for name in dict.fromkeys(settings.mandatory_columns)]
    if len(mandatory) > settings.max_columns:
        raise ConfigError(
            f"{len(mandatory)} mandatory columns exceed max_columns {settings.max_columns}",
            where="students.mandatory_columns",
            fix="raise students.max_columns or name fewer",
        )
    order = np.lexsort((np.arange(len(gain)), -gain))
    total = gain.sum()
    reached = np.cumsum(gain[order]) >= settings.cumulative_gain * total
    cut = int(reached.argmax()) + 1 if total > 0 else 0
    count = min(max(cut, settings.min_columns), settings.max_columns, len(gain))
    others = [int(i) for i in order[:count] if int(i) not in set(mandatory)]
    return np.array(sorted(mandatory + others[: settings.max_columns - len(mandatory)]), dtype=np.int64)
