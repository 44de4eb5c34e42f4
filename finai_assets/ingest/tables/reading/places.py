"""Which files a source's path means: a file, a folder of part files, or a pattern, whatever the case of the names.

Folders are listed through a function, so that a disk and S3 share the rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote

from finai_resources.errors import ConfigError, ContractError
from finai_resources.printable import excerpt

PACKED = (".gz", ".bz2", ".zst", ".zstd", ".lz4")
KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".arrows": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".asc": "csv",
    ".dat": "csv",
    ".psv": "csv",
}
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
# Folders whose Parquet files are not all part of the table: which are is written in a log that is not read here.
_LOGS = {"_delta_log": "a Delta Lake table", ".hoodie": "a Hudi table"}

Listing = Callable[
    [str], Sequence[tuple[str, bool]]
]  # a folder -> names in it, ascending, and whether each is a folder


@dataclass(frozen=True, slots=True)
class Found:
    """One file of a source.

    Parameters
    ----------
    path
        Where it is.
    key
        Its path below the folder that all files of the source have in common, the same wherever that folder lies.
    partition
        Values that its folders state (``month=1993-01``), None for Hive's mark of a missing one.
    """

    path: str
    key: str
    partition: dict[str, str | None] = field(default_factory=dict)


def kind_of(name: str) -> str | None:
    """Return the kind that a file's name says: ``csv``, ``parquet`` or ``arrow``; None for another suffix."""
    return KINDS.get(_suffix(name))


def _suffix(name: str) -> str:
    lower = name.lower()
    for packed in PACKED:
        lower = lower.removesuffix(packed)
    return os.path.splitext(lower)[1]  # noqa: PTH122 - a name in S3 is no path of this machine


def _stem(name: str) -> str:
    lower = name.lower()
    for packed in PACKED:
        lower = lower.removesuffix(packed)
    return os.path.splitext(lower)[0] if _suffix(name) in KINDS else lower  # noqa: PTH122


def list_folder(folder: str) -> list[tuple[str, bool]]:
    """Return the names in a folder of this machine, ascending, and whether each is a folder."""
    with os.scandir(folder) as entries:
        return sorted((entry.name, entry.is_dir()) for entry in entries)


def local_root(path: str, folder: Path | None, *, where: str) -> tuple[str, str]:
    """Return the folder at which to look, and the rest of the path.

    Raises
    ------
    ConfigError
        A relative path has no folder that it could lie in.
    """
    whole = Path(path).expanduser()
    if whole.is_absolute():
        parts = whole.parts
        at = next((i for i, part in enumerate(parts) if _pattern(part)), len(parts) - 1)
        return str(Path(*parts[:at])), "/".join(parts[at:])
    if folder is None:
        raise ConfigError(
            f"the path {excerpt(path)!r} is relative, and no folder is named",
            where=where,
            fix="pass `--source FOLDER` or set FINAI_SOURCE, or write an absolute path",
        )
    return str(folder), whole.as_posix()


def find_files(root: str, path: str, listing: Listing, *, where: str) -> list[Found]:
    """Return the files that a path means, ascending.

    A name is taken as it is written; else whatever its case; else, where it has no suffix of a kind of file, with one
    (``trans`` for ``TRANS.CSV.GZ``). ``*``, ``?`` and ``[...]`` match within a name, ``**`` any number of folders. A folder
    stands for the files below it, but those whose names begin with ``_`` or ``.``.

    Raises
    ------
    ContractError
        There is no such file, there are several where one is meant, or the folder is a table of another format.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    try:
        matched = list(_expand(root, parts, listing)) or _by_stem(root, parts, listing)
        found = [file for at, is_folder in matched for file in _files(at, listing, where, is_folder=is_folder)]
    except FileNotFoundError as error:
        raise ContractError(
            f"there is no folder {excerpt(str(error.filename or root), 200)}",
            where=where,
            fix="correct `path`, or pass the folder that holds the source by `--source FOLDER`",
        ) from error
    if not any(map(_pattern, parts)) and len(matched) > 1:
        names = ", ".join(excerpt(at.rsplit("/", 1)[-1]) for at, _ in matched)
        raise ContractError(
            f"{excerpt(path)!r} could be {len(matched)} files: {names}",
            where=where,
            fix="write the whole name of one, or a pattern such as `trans*.csv` where all are meant",
        )
    if not found:
        raise _absent(root, path, parts, listing, where)
    files = sorted(set(found))
    base = os.path.commonpath([os.path.dirname(file) for file in files])  # noqa: PTH120
    return [Found(file, os.path.relpath(file, base), _partition(root, file)) for file in files]


def _pattern(part: str) -> bool:
    return any(letter in part for letter in "*?[")


def _expand(at: str, parts: Sequence[str], listing: Listing) -> Iterator[tuple[str, bool]]:
    part, rest = parts[0], parts[1:]
    if part == "..":
        yield from _expand(os.path.dirname(at), rest, listing)  # noqa: PTH120
        return
    entries = listing(at)
    names = {name for name, _ in entries}
    if part == "**":
        if rest:
            yield from _expand(at, rest, listing)
        for name, is_folder in entries:
            if is_folder and not _hidden(name):
                yield from _expand(f"{at}/{name}", parts, listing)
            elif not rest and not is_folder and not _hidden(name):
                yield f"{at}/{name}", False
        return
    if part in names:
        chosen = [part]
    elif _pattern(part):
        chosen = [name for name in names if fnmatchcase(name.lower(), part.lower()) and not _hidden(name)]
    else:
        chosen = [name for name in names if name.casefold() == part.casefold()]
    folders = {name for name, is_folder in entries if is_folder}
    for name in sorted(chosen):
        if not rest:
            yield f"{at}/{name}", name in folders
        elif name in folders:
            yield from _expand(f"{at}/{name}", rest, listing)


def _by_stem(root: str, parts: Sequence[str], listing: Listing) -> list[tuple[str, bool]]:
    """Return what is called like the last part of a path and has a suffix besides."""
    last = parts[-1] if parts else ""
    if not last or _pattern(last) or _suffix(last) in KINDS:
        return []
    parents = [(root, True)] if len(parts) == 1 else list(_expand(root, parts[:-1], listing))
    return [
        (f"{at}/{name}", is_folder)
        for at, in_folder in parents
        if in_folder
        for name, is_folder in listing(at)
        if _stem(name) == last.lower() and not _hidden(name) and _suffix(name) in KINDS
    ]


def _hidden(name: str) -> bool:
    return name.startswith(("_", ".")) or name.endswith(".crc")


def _files(at: str, listing: Listing, where: str, *, is_folder: bool) -> Iterator[str]:
    if not is_folder:
        yield at
        return
    entries = listing(at)
    names = [name for name, _ in entries]
    for mark, what in _LOGS.items():
        if mark in names:
            raise ContractError(
                f"{excerpt(at, 200)} is {what}: not all of its files belong to the table",
                where=where,
                fix="export the table as plain Parquet, and read that",
            )
    if "_temporary" in names and "_SUCCESS" not in names:
        raise ContractError(
            f"{excerpt(at, 200)} was not written to its end: it holds _temporary and no _SUCCESS",
            where=where,
            fix="wait for the job that writes it, or write the table again",
        )
    if any(_is_iceberg(f"{at}/{name}", listing) for name, inner in entries if inner and name == "metadata"):
        raise ContractError(
            f"{excerpt(at, 200)} is an Iceberg table: not all of its files belong to the table",
            where=where,
            fix="export the table as plain Parquet, and read that",
        )
    for name, inner in entries:
        if not _hidden(name):
            yield from _files(f"{at}/{name}", listing, where, is_folder=inner)


def _is_iceberg(folder: str, listing: Listing) -> bool:
    return any(name.endswith(".metadata.json") for name, _ in listing(folder))


def _partition(root: str, file: str) -> dict[str, str | None]:
    inner = os.path.relpath(os.path.dirname(file), root).split("/")  # noqa: PTH120
    pairs = (part.partition("=") for part in inner if "=" in part)
    return {unquote(name): None if value == _HIVE_NULL else unquote(value) for name, _, value in pairs if name}


def _absent(root: str, path: str, parts: Sequence[str], listing: Listing, where: str) -> ContractError:
    names = [name for name, _ in listing(root)]
    near = get_close_matches(parts[0] if parts else "", names, n=3, cutoff=0.5)
    listed = ", ".join(map(excerpt, names[:10])) or "nothing"
    more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
    hint = f"; did you mean {', '.join(map(excerpt, near))}?" if near else ""
    return ContractError(
        f"there is no file {excerpt(path, 200)!r} in {excerpt(root, 200)}, which holds {listed}{more}{hint}",
        where=where,
        fix="correct `path`, or put the file there",
    )
