"""Code versions that were computed before, kept beside the package for one state of its whole source.

Following the source of every asset takes seconds, and each process that loads the definitions asks for it: every command, the
UI and every run that it starts. The file holds for exactly the bytes of all modules and for one version of Python; after any
edit it counts as absent and is written anew. Like numba's cache it lies in ``__pycache__``; where that cannot be written,
versions are computed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from finai_resources.whole_file import replace_file

FILE = "code_versions.json"


@dataclass
class KeptVersions:
    """The code versions of one state of the source.

    Parameters
    ----------
    root : Path
        The folder of the packages.
    packages : sequence of str
        The packages whose modules may take part in a code version.
    """

    root: Path
    packages: Sequence[str]
    versions: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    stored: int = 0  # versions that the file holds

    @classmethod
    def read(cls, root: Path, packages: Sequence[str]) -> KeptVersions:
        """Return what was kept for the source as it is now; empty where nothing was, or the file is damaged."""
        kept = cls(root, packages, digest=source_digest(root, packages))
        try:
            content = json.loads(kept.file.read_bytes())
            if content["source"] == kept.digest:
                kept.versions = {str(key): str(version) for key, version in content["versions"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return kept
        kept.stored = len(kept.versions)
        return kept

    @property
    def file(self) -> Path:
        """Return where the versions are kept."""
        return self.root / self.packages[0] / "__pycache__" / FILE

    def write(self) -> None:
        """Keep the versions, unless the file holds them already or the source was edited while they were computed."""
        if len(self.versions) == self.stored or source_digest(self.root, self.packages) != self.digest:
            return
        content = json.dumps({"source": self.digest, "versions": self.versions}, sort_keys=True, indent=0)
        try:
            replace_file(self.file, content.encode(), durable=False)
        except OSError:  # a read-only installation
            return
        self.stored = len(self.versions)


def source_digest(root: Path, packages: Sequence[str]) -> str:
    """Return the hash of all modules' names and bytes, and of the Python that reads them."""
    digest = hashlib.sha256(sys.version.encode())
    for package in packages:
        for file in sorted((root / package).rglob("*.py")):
            content = file.read_bytes()
            digest.update(f"{file.relative_to(root).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()
