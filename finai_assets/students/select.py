"""Selects the columns of all students together: each model its own list, and the union small enough for one request.

A probe is a short model of all columns. Of a squared error its gain is the variance of the target that splits on a column
explain, so that a list that is cut by gain is cut where more columns would hardly make the copy more faithful.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from finai_assets.settings.method import StudentSettings
from finai_assets.students.distill import Aim
from finai_resources.errors import ConfigError

# A displayable column is preferred to another one that explains up to this much more: what is told is then what decides.
_PREFERENCE = 1.1


def select_columns(
    gains: Mapping[str, np.ndarray],
    names: Sequence[str],
    settings: StudentSettings,
    *,
    aims: Mapping[str, Aim],
    displayable: frozenset[str] = frozenset(),
    reserved: int = 0,
) -> dict[str, np.ndarray]:
    """Choose the columns of every model.

    The union takes the columns of the largest share of gain, added up over the copies, up to ``max_columns_in_all`` less the
    share that stays free. Within it, a model takes its columns by falling gain (ties by position) until its aim's
    ``cumulative_gain`` of the whole is reached, at least ``min_columns`` and at most its aim's ``max_columns`` of them; the
    mandatory ones are kept and push the weakest out.

    Parameters
    ----------
    gains : dict of model to float [columns]
        Total gain of each column in the model's probe.
    names
        Names of the columns, in the same order.
    aims
        What each model learns.
    displayable
        Those whose meaning may be told to a customer; preferred where they explain nearly as much.
    reserved
        Columns that others than the students bring into a request.

    Returns
    -------
    dict of model to int64 [kept]
        Positions, ascending.

    Raises
    ------
    ConfigError
        A mandatory column does not exist, or there are more of them than ``max_columns``.
    """
    mandatory = _mandatory(names, settings)
    preference = np.where([name in displayable for name in names], _PREFERENCE, 1.0)
    shares = {model: _shares(gain) * preference for model, gain in gains.items()}
    room = int(settings.max_columns_in_all * (1 - settings.spare_share)) - reserved
    inside = np.zeros(len(names), dtype=bool)
    together = sum((share for model, share in shares.items() if aims[model] == "copy"), np.zeros(len(names)))
    inside[_by_size(together)[: max(0, room - len(mandatory))]] = True
    inside[mandatory] = True
    found = {}
    for model, gain in gains.items():
        order = _by_size(shares[model])
        found[model] = _own(order[inside[order]], _shares(gain), mandatory, settings, aims[model])
    return found


def _own(order: np.ndarray, share: np.ndarray, mandatory: list[int], settings: StudentSettings, aim: Aim) -> np.ndarray:
    """Return the columns of one model, of those in ``order``, best first."""
    most = settings.max_columns[aim]
    wanted = settings.cumulative_gain[aim]
    reached = np.cumsum(share[order]) >= wanted
    if wanted >= 1:  # a short probe cannot say that a column is of no use
        cut = len(order)
    else:
        cut = int(reached.argmax()) + 1 if reached.any() else int((share[order] > 0).sum())
    count = min(max(cut, settings.min_columns), most, len(order))
    others = [int(place) for place in order[:count] if int(place) not in set(mandatory)]
    return np.array(sorted(mandatory + others[: most - len(mandatory)]), dtype=np.int64)


def _mandatory(names: Sequence[str], settings: StudentSettings) -> list[int]:
    place = {name: index for index, name in enumerate(names)}
    if unknown := [name for name in settings.mandatory_columns if name not in place]:
        raise ConfigError(
            f"mandatory columns {unknown} are not in the training matrix",
            where="students.mandatory_columns",
            fix="`finai features list` shows the names",
        )
    mandatory = [place[name] for name in dict.fromkeys(settings.mandatory_columns)]
    most = min(settings.max_columns.values())
    if len(mandatory) > most:
        raise ConfigError(
            f"{len(mandatory)} mandatory columns exceed max_columns {most}",
            where="students.mandatory_columns",
            fix="raise students.max_columns or name fewer",
        )
    return mandatory


def _by_size(values: np.ndarray) -> np.ndarray:
    return np.lexsort((np.arange(len(values)), -values))


def _shares(gain: np.ndarray) -> np.ndarray:
    total = gain.sum()
    return gain / total if total > 0 else np.zeros(len(gain))
