"""Measures how often C01 alarms on bundles without identifiers, and how many planted identifiers it finds.

    python -m benchmarks.identifiers --home .finai/synthetic-demo --bundles 10000 --planted 5000

A real bundle gives the shape: its texts stay, but every digest, id and decimal in them is drawn anew for each bundle, as training
again or on another machine draws them. Beside them stand the forms that digests, ids, encoded bytes and numbers have elsewhere
(:data:`FORMS`), and the trees of a model as text, which C01 does not read. An identifier is planted into a text of such a bundle:
alone, before or behind what stands there, or between its words.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from finai_assets.bundle.registry import resolve
from finai_checks.privacy.identifier_scan import Finding, scan_json
from finai_checks.privacy.known_digests import PLACES, without_known_digests
from finai_checks.privacy.luhn import luhn
from finai_resources.home import Home
from finai_resources.lake import Lake

ASSET = "serving/bundle"
ELSEWHERE = "elsewhere.json"  # holds FORMS
_DIGEST = re.compile(r"[0-9a-f]{12,}")
_DECIMAL = re.compile(r"\d*\.\d+(?:e-?\d+)?")
_TREE = re.compile(r"Tree=\d+\n.*?\n\n", re.DOTALL)
_LIST = re.compile(r"tree_sizes=[\d ]+\n")

Key = str | int
Place = tuple[Key, ...]
Draw = Callable[[random.Random], str]

# What a form is called -> how one of it is drawn.
FORMS: Mapping[str, Draw] = {
    "SHA-512": lambda chance: chance.randbytes(64).hex(),
    "SHA-256 with its name": lambda chance: f"sha256:{chance.randbytes(32).hex()}",
    "SHA-256 in capitals": lambda chance: chance.randbytes(32).hex().upper(),
    "git commit": lambda chance: chance.randbytes(20).hex(),
    "UUID of a run": lambda chance: str(uuid.UUID(bytes=chance.randbytes(16), version=4)),
    "UUID without hyphens": lambda chance: chance.randbytes(16).hex(),
    "24 hexadecimal digits": lambda chance: chance.randbytes(12).hex(),
    "file of a digest": lambda chance: f"models/{chance.randbytes(32).hex()}.txt",
    "HMAC in base64": lambda chance: base64.b64encode(chance.randbytes(32)).decode(),
    "signature in base64": lambda chance: base64.b64encode(chance.randbytes(256)).decode(),
    "signature in url-safe base64": lambda chance: base64.urlsafe_b64encode(chance.randbytes(64)).decode().rstrip("="),
    "share": lambda chance: repr(chance.random()),
    "number of any size": lambda chance: f"{chance.gauss(0, 1) * 10 ** chance.randint(-12, 12):.17g}",
    "list of decimals": lambda chance: " ".join(repr(chance.gauss(0, 9)) for _ in range(31)),
    "list of counts": lambda chance: " ".join(str(int(chance.lognormvariate(7, 1))) for _ in range(31)),
}


@dataclass(frozen=True)
class Shape:
    """The texts of a bundle by file and place, fixed and varying ones apart, and the trees of its models."""

    fixed: Mapping[tuple[str, Place], str]
    varying: Mapping[tuple[str, Place], str]
    trees: tuple[str, ...]

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Shape:
        """Read the JSON files and models of a bundle."""
        texts = {
            (name, place): text
            for name, content in sorted(files.items())
            if name.endswith(".json")
            for place, text in _texts(json.loads(content))
        }
        models = [content.decode() for name, content in sorted(files.items()) if name.endswith(".txt")]
        trees = [tree for model in models for form in (_LIST, _TREE) for tree in form.findall(model)]
        varying = {place: text for place, text in texts.items() if _varies(text)}
        return cls({place: text for place, text in texts.items() if place not in varying}, varying, tuple(trees))

    def draw(self, chance: random.Random) -> dict[tuple[str, Place], str]:
        """Return the varying texts of a bundle, drawn anew, and one text of each of the forms elsewhere."""
        drawn = {place: _drawn(text, chance) for place, text in self.varying.items()}
        return {**drawn, **{(ELSEWHERE, (name,)): form(chance) for name, form in FORMS.items()}}

    def draw_tree(self, chance: random.Random) -> str:
        """Return a tree of one of the models, each digit but the first of a number drawn anew."""
        return re.sub(r"(?<=[\d.])\d+", lambda digits: _number(chance, len(digits[0])), chance.choice(self.trees))


def _texts(content: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    if isinstance(content, str):
        yield place, content
    elif isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _texts(value, (*place, key))


def _varies(text: str) -> bool:
    return bool(_DIGEST.fullmatch(text) or _DECIMAL.search(text))


def _drawn(text: str, chance: random.Random) -> str:
    if _DIGEST.fullmatch(text):
        return chance.randbytes(len(text) // 2).hex()
    return _DECIMAL.sub(lambda found: re.sub(r"\d+", lambda digits: _number(chance, len(digits[0])), found[0]), text)


def scan(texts: Mapping[tuple[str, Place], str]) -> list[Finding]:
    """Return the findings of C01 in texts of a bundle."""
    files: dict[str, dict[Key, Any]] = {}
    for (file, place), text in texts.items():
        content: dict[Key, Any] = files.setdefault(file, {})
        for key in place[:-1]:
            content = content.setdefault(key, {})
        content[place[-1]] = text
    return scan_json("bundle", {file: without_known_digests(ASSET, file, content) for file, content in files.items()})


# ---- identifiers


def _number(chance: random.Random, digits: int) -> str:
    return f"{chance.randrange(10**digits):0{digits}d}"


def _national_id(chance: random.Random, separator: str) -> str:
    born = f"{chance.randrange(100):02d}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
    return f"{born}{separator}{chance.randint(1, 8)}{_number(chance, 6)}"


def _card(chance: random.Random, groups: tuple[int, ...], separator: str) -> str:
    free = f"{chance.choice('3456')}{_number(chance, sum(groups) - 2)}"
    digits = next(f"{free}{last}" for last in range(10) if luhn(f"{free}{last}"))
    ends = [sum(groups[: place + 1]) for place in range(len(groups))]
    return separator.join(digits[end - size : end] for end, size in zip(ends, groups, strict=True))


def _phone(chance: random.Random, form: str) -> str:
    return re.sub("N", lambda _: str(chance.randrange(10)), form)


def _mail(chance: random.Random) -> str:
    name = chance.choice(["kim", "lee.min-ho", "park_j", "choi+bank", "a1", chance.randbytes(16).hex()])
    return f"{name}@{chance.choice(['example.com', 'mail.example.co.kr', 'x-1.example.org'])}"


_CARDS = ((16,), (4, 4, 4, 4), (15,), (4, 6, 5), (14,), (4, 6, 4), (13,), (19,), (4, 4, 4, 4, 3))
_PHONES = (
    "010NNNNNNNN", "010-NNNN-NNNN", "010 NNNN NNNN", "011-NNN-NNNN", "016NNNNNNN", "02-NNN-NNNN", "02-NNNN-NNNN", "031-NNN-NNNN",
    "064 NNN NNNN", "+82 10-NNNN-NNNN", "+8210NNNNNNNN", "+82-2-NNN-NNNN", "+1 212 NNN NNNN", "+49 (30) NNNN NNNN",
)  # fmt: skip
# What is found -> ways in which it is written.
IDENTIFIERS: Mapping[str, tuple[Draw, ...]] = {
    "national id": tuple(partial(_national_id, separator=separator) for separator in ("-", "", " ")),
    "card number": tuple(
        partial(_card, groups=groups, separator=separator)
        for groups in _CARDS
        for separator in (" ", "-")[: len(groups)]
    ),
    "phone number": tuple(partial(_phone, form=form) for form in _PHONES),
    "e-mail address": (_mail,),
}
_BETWEEN = (" ", ", ", ": ", ":", "=", " | ", " (", "\n", "\t", "/", "_", "; ", "번호", "입니다 ", " no. ")


def plant(
    texts: Mapping[tuple[str, Place], str], chance: random.Random
) -> tuple[dict[tuple[str, Place], str], str, str]:
    """Put an identifier into one of the texts.

    Returns
    -------
    texts
        With the identifier.
    kind, where : str
        What must be found, and how it was planted.
    """
    kind = chance.choice(list(IDENTIFIERS))
    identifier = chance.choice(IDENTIFIERS[kind])(chance)
    place = chance.choice([place for place in texts if _may_hold(identifier, place)])
    where = chance.choice(["alone", "before", "behind", "within"])
    text, between = texts[place], chance.choice(_BETWEEN)
    if place == (ELSEWHERE, ("list of counts",)) and between == " ":
        between = "\n"  # behind a space it would be more numbers of the list
    ends = [match.end() for match in re.finditer(r"[ ,:/=]", text)] or [len(text)]
    cut = {"alone": 0, "before": 0, "behind": len(text), "within": chance.choice(ends)}[where]
    if where == "within" and place[0] == ELSEWHERE:  # a list or a file's path would be another one
        cut = len(text)
    head, tail = ("", "") if where == "alone" else (text[:cut], text[cut:])
    planted = f"{head}{between if head else ''}{identifier}{between if tail else ''}{tail}"
    return {**texts, place: planted}, kind, f"{where}: {planted}"


def _may_hold(identifier: str, place: tuple[str, Place]) -> bool:
    """Return whether an identifier differs in form from the digest of its place (a card number of 16 digits may not)."""
    file, keys = place
    forms = PLACES.get((ASSET, file), {})
    return not (identifier.isdigit() and forms.get(tuple(map(str, keys))) == len(identifier))


# ---- measurement


def alarms(shape: Shape, bundles: int, chance: random.Random) -> dict[str, Any]:
    """Count alarms in bundles without identifiers, those in their fixed texts (the same in all) apart."""
    kinds: Counter[str] = Counter()
    alarmed = 0
    for _ in range(bundles):
        found = scan(shape.draw(chance))
        alarmed += bool(found)
        kinds.update(finding.what for finding in found)
    return {
        "bundles": bundles,
        "alarmed": alarmed,
        "upper": upper_bound(alarmed, bundles),
        "kinds": dict(kinds),
        "fixed": [finding.what for finding in scan(shape.fixed)],
    }


def missed(shape: Shape, planted: int, chance: random.Random) -> list[str]:
    """Plant identifiers, each into a bundle of its own; return those that were not found, and their places."""
    fixed = list(shape.fixed.items())
    found = []
    for _ in range(planted):
        some = dict(chance.sample(fixed, min(20, len(fixed))))
        texts, kind, where = plant({**shape.draw(chance), **some}, chance)
        if kind not in {finding.what for finding in scan(texts)}:
            found.append(f"{kind} {where}")
    return found


def tree_alarms(shape: Shape, trees: int, chance: random.Random) -> int:
    """Return the number of trees that C01 would report."""
    return sum(bool(scan({(ELSEWHERE, ("tree",)): shape.draw_tree(chance)})) for _ in range(trees))


def upper_bound(events: int, trials: int) -> float:
    """Return the one-sided 95 % upper bound of a rate (Clopper and Pearson 1934); 3 / n where nothing happened."""
    from scipy.stats import beta  # noqa: PLC0415 - seconds to import, needed for one number

    return 1.0 if events == trials else float(beta.ppf(0.95, events + 1, trials - events))


def read_bundle(folder: Path) -> dict[str, bytes]:
    """Return the files of an exported bundle."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="of a run whose bundle gives the shape")
    parser.add_argument("--bundles", type=int, default=10_000)
    parser.add_argument("--planted", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    lake = Lake.on_disk(Home.at(given.home).lake_root)
    shape = Shape.of(read_bundle(resolve(lake, given.home, "challenger")))
    chance = random.Random(given.seed)
    started = time.perf_counter()
    result: dict[str, Any] = {
        **alarms(shape, given.bundles, chance),
        "seconds": time.perf_counter() - started,
        "trees_alarmed": tree_alarms(shape, given.bundles, chance),
        "planted": given.planted,
        "missed": missed(shape, given.planted, chance),
    }
    table = Table(title=f"C01 on {given.bundles:,} random bundles, {result['seconds']:.0f} s")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_row("bundles with a false alarm", f"{result['alarmed']:,}")
    table.add_row("upper bound of their share, 95 %", f"{result['upper']:.3%}")
    for name, count in sorted(result["kinds"].items()):
        table.add_row(f"  called a {name}", f"{count:,}")
    table.add_row("alarms in the texts that are the same in every bundle", f"{len(result['fixed'])}")
    table.add_row("trees of models with a false alarm (C01 reads no models)", f"{result['trees_alarmed']:,}")
    table.add_row(f"found of {given.planted:,} planted identifiers", f"{given.planted - len(result['missed']):,}")
    console = Console()
    console.print(table)
    for line in result["missed"][:10]:
        console.print(f"[yellow]missed[/] {line!r}")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
