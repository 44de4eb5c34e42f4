"""Of many single-bit flips in copies of a home's stored files: how many a reader refuses, and which change nothing that it reads.

``python -m benchmarks.bit_flips --home HOME`` copies partitions and a bundle to a temporary folder, flips one random bit at a
time there, and reads the file as the platform does. The home is only read. It also measures what verification costs.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from finai_resources.errors import LakeError
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_resource import lake_of_home
from finai_resources.manifest import MANIFEST, Manifest, to_file
from finai_resources.quarantine import DAMAGED
from finai_resources.secrets import SecretStore
from finai_resources.stored_bytes import every_fault
from serving_lambda.bundle import open_bundle, verified, verified_manifest
from serving_lambda.errors import ServingError

ARRAYS = (".npy", ".npz", ".arrow", ".safetensors")
KINDS = ("table", "array", "state or model", "manifest", "bundle")


@dataclass(frozen=True)
class Target:
    """A file, how it is read whole (an error is a refusal), and how the folder is set right again."""

    path: Path
    read: Callable[[], object]
    restore: Callable[[], object]


def kind_of(asset: str, name: str) -> str:
    """Return the kind of a stored file."""
    if name.endswith(".parquet"):
        return "table"
    return "array" if name.endswith(ARRAYS) else "state or model"


class Copies:
    """Copies of a lake's partitions in another lake, made when they are first asked for."""

    def __init__(self, lake: Lake, folder: Path) -> None:
        self.lake, self.copy = lake, Lake.on_disk(folder)
        self._made: set[str] = set()

    def target(self, manifest: Manifest, name: str) -> Target:
        """Return a file of a partition, or its manifest, as a target."""
        folder = Path(self.copy.folder(manifest.asset, manifest.partition))
        if str(folder) not in self._made:
            shutil.copytree(self.lake.folder(manifest.asset, manifest.partition), folder)
            (folder / MANIFEST).write_bytes(to_file(manifest))  # sealed, as one that is written today
            self._made.add(str(folder))

        def restore() -> None:
            (folder / MANIFEST).write_bytes(to_file(manifest))
            (folder / DAMAGED).unlink(missing_ok=True)

        if name == MANIFEST:
            return Target(folder / name, partial(self.copy.find, manifest.asset, manifest.partition), restore)
        return Target(folder / name, partial(self._read, manifest, name), restore)

    def _read(self, manifest: Manifest, name: str) -> object:
        stored = next(each for each in manifest.files if each.name == name)
        where = manifest.asset, manifest.partition
        kind = kind_of(manifest.asset, name)
        if kind == "table":
            return self.copy.read(*where, columns=None).num_rows
        return (
            self.copy.local_path(*where, stored.role) if kind == "array" else self.copy.read_bytes(*where, stored.role)
        )


def targets_of(lake: Lake, folder: Path, largest: int) -> Mapping[str, list[Callable[[], Target]]]:
    """Return the files of each kind, those of partitions of at most so many bytes, each as a function that makes its copy."""
    copies = Copies(lake, folder)
    found: dict[str, list[Callable[[], Target]]] = {kind: [] for kind in KINDS}
    for asset in lake.assets():
        for manifest in lake.manifests(asset):
            if manifest.bytes > largest:
                continue
            found["manifest"].append(partial(copies.target, manifest, MANIFEST))
            for stored in manifest.files:
                found[kind_of(asset, stored.name)].append(partial(copies.target, manifest, stored.name))
    return found


def bundle_targets(home: Home, folder: Path) -> list[Callable[[], Target]]:
    """Return the files of the newest bundle of a home that this code reads."""
    key = SecretStore(home.root).find("signing") or b""
    for source in sorted(home.bundles.glob("*"), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            open_bundle(lambda name, source=source: (source / name).read_bytes(), key)  # type: ignore[misc]
        except ServingError:
            continue
        shutil.copytree(source, folder)

        def read() -> object:
            def get(name: str) -> bytes:
                return (folder / name).read_bytes()

            manifest = verified_manifest(get, key)
            return [manifest, *(verified(get, name, stored) for name, stored in manifest["files"].items())]

        made = [Target(path, read, lambda: None) for path in sorted(folder.rglob("*")) if path.is_file()]
        return [lambda target=target: target for target in made]  # type: ignore[misc]
    raise LakeError("no bundle of this home can be read by this code", where=str(home.bundles), fix="finai run")


def flip(target: Target, rng: random.Random) -> tuple[str, str]:
    """Flip one bit, read, and set right; return the verdict and, where the bit was let through, what it was a bit of."""
    before = target.read()
    with target.path.open("r+b") as stream:
        at, bit = rng.randrange(target.path.stat().st_size), 1 << rng.randrange(8)
        stream.seek(at)
        (old,) = stream.read(1)
        stream.seek(at)
        stream.write(bytes([old ^ bit]))
    try:
        after = target.read()
        verdict = "harmless" if after == before else "MISSED"
    except (LakeError, ServingError):
        verdict = "refused"
    with target.path.open("r+b") as stream:
        around = target.path.read_bytes()[max(0, at - 12) : at + 12] if verdict != "refused" else b""
        stream.seek(at)
        stream.write(bytes([old]))
    target.restore()
    return verdict, f"{target.path.name} byte {at}: {around!r}" if around else ""


def cost(lake: Lake) -> dict[str, float]:
    """Return the seconds to hash the last month's raw tables and features, and the training matrix, and their MiB."""
    found = {}
    months = [m for asset in lake.assets() for m in lake.manifests(asset)]
    last = max(m.partition for m in months if m.asset.startswith("features/") and m.partition)
    groups = {
        "month": [m for m in months if m.partition == last and m.asset.split("/")[0] in {"raw", "features"}],
        "matrix": [m for m in months if m.asset == "teacher/training_matrix"],
        "lake": months,
    }
    for name, manifests in groups.items():
        best = []
        for _ in range(3):
            begun = time.perf_counter()
            for manifest in manifests:
                every_fault(lake, manifest)
            best.append(time.perf_counter() - begun)
        found |= {f"{name}_seconds": min(best), f"{name}_mib": sum(m.bytes for m in manifests) / 2**20}
    return found


def main() -> None:
    """Print the verdicts by kind, and the cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--largest-mib", type=int, default=64, help="of a partition whose files are flipped")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    home, rng = Home.at(given.home), random.Random(given.seed)
    lake = lake_of_home(home).open()
    verdicts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    let_through = []
    with tempfile.TemporaryDirectory() as folder:
        found = {
            **targets_of(lake, Path(folder) / "lake", given.largest_mib << 20),
            "bundle": bundle_targets(home, Path(folder) / "bundle"),
        }
        for turn in range(given.flips):
            kind = KINDS[turn % len(KINDS)]
            verdict, what = flip(rng.choice(found[kind])(), rng)
            verdicts[kind][verdict] += 1
            let_through += [f"{verdict}: {what}"] if what else []
    result = {"verdicts": verdicts, "let_through": let_through, "cost": cost(lake)}
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
