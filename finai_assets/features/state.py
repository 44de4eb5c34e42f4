"""The state of a group fitted on train: its parameters, and the train distribution of each of its columns."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from finai_assets.asset_graph import state_asset
from finai_assets.features.statistics import Reference
from finai_resources.errors import LakeError
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest, Versions

if TYPE_CHECKING:
    from finai_assets.features.registry import Group

ROLE = "state.npz"
_PARAMETER, _REFERENCE, _META = "param/", "reference/", "meta.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class GroupState:
    """The fitted state of one group.

    Parameters
    ----------
    params
        Arguments of ``transform``; empty where the group does not fit.
    reference
        Train distribution of each column that the data set carries.
    meta
        ``rows``, ``row_digest``, ``months``, ``columns``, ``effective_rank``: what was fitted on what, and what it spans.
    """

    group: str
    params: Mapping[str, np.ndarray]
    reference: Reference
    meta: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the state as an uncompressed npz without pickles; equal states have equal bytes."""
        arrays = {_PARAMETER + name: array for name, array in self.params.items()}
        arrays |= {_REFERENCE + name: array for name, array in self.reference.arrays().items()}
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            text = json.dumps({"group": self.group, **self.meta}, sort_keys=True, ensure_ascii=False)
            archive.writestr(zipfile.ZipInfo(_META, _EPOCH), text)
            for name in sorted(arrays):
                content = io.BytesIO()
                np.lib.format.write_array(content, np.ascontiguousarray(arrays[name]), allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(name + ".npy", _EPOCH), content.getvalue())
        return stream.getvalue()

    def facts(self) -> dict[str, Any]:
        """Return the facts of the fit, for metadata."""
        return {
            "train_rows": self.meta["rows"],
            "train_months": ", ".join(self.meta["months"]),
            "row_digest": self.meta["row_digest"],
            "effective_rank": self.meta["effective_rank"],
            "parameters": {name: list(array.shape) for name, array in sorted(self.params.items())},
        }

    @classmethod
    def from_bytes(cls, content: bytes) -> GroupState:
        """Read what :meth:`to_bytes` wrote.

        Raises
        ------
        LakeError
            The bytes are not such a state.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                meta = json.loads(archive.read(_META))
                arrays = {
                    name.removesuffix(".npy"): np.lib.format.read_array(archive.open(name), allow_pickle=False)
                    for name in archive.namelist()
                    if name.endswith(".npy")
                }
            group = meta.pop("group")
            params = {k.removeprefix(_PARAMETER): v for k, v in arrays.items() if k.startswith(_PARAMETER)}
            stored = {k.removeprefix(_REFERENCE): v for k, v in arrays.items() if k.startswith(_REFERENCE)}
            return cls(group, params, Reference(**stored), meta)
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
            raise LakeError(
                f"these bytes are not a group state: {error}", where=ROLE, fix="materialise the feature state again"
            ) from error


def store_states(session: LakeSession, states: Mapping[str, GroupState], *, versions: Versions) -> dict[str, Manifest]:
    """Write each state as ``feature_state/<group>`` and return the manifests by group."""
    manifests = {}
    for name, state in states.items():
        with session.write(state_asset(name), **versions(state_asset(name))) as out:
            out.put(ROLE, state.to_bytes())
        assert out.manifest is not None  # noqa: S101 # commit has run
        manifests[name] = out.manifest
    return manifests


def load_states(session: LakeSession, groups: Iterable[Group | str]) -> dict[str, GroupState]:
    """Read the states of some groups."""
    names = [group if isinstance(group, str) else group.name for group in groups]
    return {name: GroupState.from_bytes(session.read_bytes(state_asset(name), None, ROLE)) for name in names}
