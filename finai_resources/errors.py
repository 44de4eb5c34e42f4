"""The one hierarchy of errors that a user may see. Each says what happened, where, and how to fix it."""

from __future__ import annotations

from typing import Any


class FinaiError(Exception):
    """An error that the user can fix.

    Parameters
    ----------
    what : str
        What happened, in one sentence, with the figures that show it.
    where : str
        The file, asset, column or month concerned.
    fix : str
        What to do about it.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        parts = [f"{where}: {what}" if where else what]
        if fix:
            parts.append(f"What to do: {fix}")
        super().__init__("\n".join(parts))

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process makes the same error from."""
        return _restored, (type(self), self.args, vars(self))


def _restored(kind: type[FinaiError], arguments: tuple[Any, ...], state: dict[str, Any]) -> FinaiError:
    error = kind.__new__(kind)
    error.args = arguments
    vars(error).update(state)
    return error


class ConfigError(FinaiError):
    """A setting is unknown, missing, of the wrong type, or out of range."""


class HomeError(ConfigError):
    """Nothing is stored where a command reads."""


class ContractError(FinaiError):
    """Source data breaks the data contract; nothing of it was written."""


class LakeError(FinaiError):
    """A stored partition is absent, incomplete, damaged, or was written by something else."""


class LeaseError(LakeError):
    """Another process writes a partition at this time."""


class StorageError(LakeError):
    """The disk is full, read-only or closed to this user, or the system's limits are reached."""


class QueryError(FinaiError):
    """A question in SQL cannot be answered: it is not SQL, names an unknown table or column, or does more than read."""


class SecretError(FinaiError):
    """A key is missing or unusable. Its value never appears in the text."""


class GateError(FinaiError):
    """A blocking check failed or has no result, or a rule such as the gap does not hold, so the work stops."""


class PartError(FinaiError):
    """A part of what was to be computed failed, and the rest is stored; it names each part that failed with its reason."""


class BundleError(FinaiError):
    """A serving bundle cannot be built, read, or trusted."""


class PromotionError(FinaiError):
    """A step towards a new champion is refused.

    Parameters
    ----------
    code : str
        What was wrong, as programs and docs/promotion.md name it: ``OWN_APPROVAL``.
    what, where, fix : str
        As for every error.
    """

    def __init__(self, code: str, what: str, *, where: str = "", fix: str = "") -> None:
        self.code = code
        super().__init__(f"{code}: {what}", where=where, fix=fix)
