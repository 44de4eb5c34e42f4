"""The folders that configuration is read from: the shipped one, and one outside the package that ``FINAI_CONFIG`` names.

Every file of the outer folder is laid over the shipped file of the same name, mapping by mapping; a list is replaced whole.
``datasets/NAME.yaml`` of the outer folder is found beside the shipped data sets. The variable reaches every process that is
started, so that a worker reads what the command line reads.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from finai_assets.source import files_version
from finai_resources.errors import ConfigError

CONFIG_FOLDER = Path(__file__).resolve().parents[2] / "configs"
CONFIG_VARIABLE = "FINAI_CONFIG"
DATASETS = "datasets"
_SUFFIXES = {".yaml", ".yml"}
_LOADER = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # of libyaml where it is: the same values in a tenth of the time


@dataclass(frozen=True, slots=True)
class ConfigFolders:
    """The shipped folder and, where one is named, the outer folder whose files are laid over it."""

    shipped: Path = CONFIG_FOLDER
    outer: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """Return the folders, the one that prevails last."""
        return (self.shipped,) if self.outer is None else (self.shipped, self.outer)

    def files(self, name: str) -> list[Path]:
        """Return the files of one name that exist, the one that prevails last."""
        return [folder / name for folder in self.all if (folder / name).is_file()]

    def layers(self, name: str) -> list[tuple[Path, dict[str, Any]]]:
        """Read the files of one name, each with its path.

        Raises
        ------
        ConfigError
            No folder has the file, or one of the files holds no mapping.
        """
        if not (files := self.files(name)):
            raise ConfigError("there is no such file", where=str(self.shipped / name), fix="restore the shipped file")
        return [(file, read_yaml(file)) for file in files]

    def read(self, name: str) -> dict[str, Any]:
        """Return the content of a file, that of the outer folder laid over the shipped one.

        Raises
        ------
        ConfigError
            No folder has the file, or one of the files holds no mapping.
        """
        merged: dict[str, Any] = {}
        for _, layer in self.layers(name):
            merged = lay_over(merged, layer)
        return merged

    def datasets(self) -> list[str]:
        """Return the names of the data sets that have a file, ascending."""
        return sorted({path.stem for folder in self.all for path in (folder / DATASETS).glob("*.yaml")})

    def version(self, names: Iterable[str]) -> dict[str, str]:
        """Return the hash of some files, that of the outer folder's apart, so that an absent folder changes nothing."""
        found = {"files": files_version([self.shipped / name for name in names], self.shipped)}
        if self.outer is not None and (own := [self.outer / name for name in names if (self.outer / name).is_file()]):
            found["outer_files"] = files_version(own, self.outer)
        return found


def config_folders(shipped: Path = CONFIG_FOLDER) -> ConfigFolders:
    """Return the folders that hold now; ``FINAI_CONFIG`` names the outer one.

    Raises
    ------
    ConfigError
        The outer folder does not exist, or holds a YAML file that nothing would read.
    """
    named = os.environ.get(CONFIG_VARIABLE)
    if not named:
        return ConfigFolders(shipped)
    outer = Path(named).expanduser().resolve()
    if not outer.is_dir():
        raise ConfigError(
            f"there is no folder {named!r}",
            where=f"--config or {CONFIG_VARIABLE}",
            fix="name the folder that holds datasets/NAME.yaml, or make it with `finai init`",
        )
    _refuse_unread(outer, shipped)
    return ConfigFolders(shipped, outer)


def _refuse_unread(outer: Path, shipped: Path) -> None:
    """Refuse a file that no name of the shipped folder reads: a typo in its name would be silent."""
    known = sorted(path.name for path in shipped.iterdir() if path.suffix == ".yaml" or path.is_dir())
    for path in sorted(outer.iterdir()):
        files = path.suffix in _SUFFIXES and path.is_file()
        near = difflib.get_close_matches(path.name, known, n=2)
        if path.name in known or not (files or (path.is_dir() and near)):
            continue
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(
            f"{path.name} is no file or folder of the configuration, so nothing would read it",
            where=str(path),
            fix=f"{meant}known: {', '.join(known)}; a data set stands in {DATASETS}/NAME.yaml",
        )
    for path in sorted((outer / DATASETS).glob("*.yml")):
        raise ConfigError(
            "a data set's file ends in .yaml, so nothing would read this one", where=str(path), fix="rename it"
        )


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises
    ------
    ConfigError
        The file cannot be read, is not YAML, or holds no mapping.
    """
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - it is the safe one
    except yaml.YAMLError as error:
        raise ConfigError(f"this is not YAML: {error}", where=str(path), fix="fix the line that it names") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file cannot be read: {error}", where=str(path), fix="save it as UTF-8") from error
    if not isinstance(loaded, dict):
        raise ConfigError("the file holds no mapping", where=str(path), fix="write `key: value` pairs at its top level")
    return loaded


def lay_over(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid on it, mapping by mapping; lists are replaced whole."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = lay_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
