"""One trial: a storage call of a unit fails, what the run says is judged, and a plain rerun is compared with an undisturbed one.

Each trial is two forked processes on one finished home, as two commands would be: the first has the fault, the second has none.
Both bring the unit up to date by the functions of ``finai run``, in a Dagster run with the unit's checks. Then the unit's
partitions and the records of its checks are removed for the next trial. What an asset computes without touching the lake may be
remembered from the undisturbed run (:func:`remember`), so that a trial of a trained model costs as much as its storage does.
"""

from __future__ import annotations

import hashlib
import importlib
import multiprocessing as mp
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import Declared
from finai_checks.framework.evidence_log import evidence_log
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.record import record_path
from finai_cli.display import display
from finai_cli.execute import Prepared, Runner, dagster_instance
from finai_cli.output import Terminal
from finai_cli.plan import Stage, Unit
from finai_cli.repair import damaged_partitions, repairing
from finai_cli.run import lake_of
from finai_cli.stages import run_stage
from finai_cli.workers import Workers
from finai_resources.errors import FinaiError
from finai_resources.home import Home
from finai_resources.leases import FOLDER as LEASES
from finai_resources.leases import owner_in
from finai_resources.secrets import SecretStore
from finai_resources.storage_errors import storage_error
from studies.faults.clock import skew
from studies.faults.injector import Injector, Kind, Point

LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of asset, the unit that stands for it, and what of it is computed once.

    Parameters
    ----------
    name : str
    unit : Unit
    pure : tuple of str
        Functions that touch no file, ``module:function``, as the asset's module names them; their results are remembered.
    """

    name: str
    unit: Unit
    pure: tuple[str, ...] = ()


@dataclass(slots=True)
class Ended:
    """How a process ended: what was let fail, what it said, what it left."""

    hit: bool = False
    counts: dict[str, int] = field(default_factory=dict)  # how often each call was made, by name
    said: str = ""  # empty where it succeeded
    told: bool = True  # whether the command would say it in a sentence, not by a traceback
    state: dict[str, Any] = field(default_factory=dict)
    begun: bool = False  # whether the home was open and the unit had its turn
    modules: list[str] = field(default_factory=list)  # that the process had imported at its end
    seconds: float = 0.0


class Bench:
    """A finished home on which trials are made.

    Parameters
    ----------
    platform, home
        As for ``finai run``.
    work : Path
        Folder for what is remembered.
    """

    def __init__(self, platform: Platform, home: Home, work: Path) -> None:
        self.platform, self.home, self.work = platform, home, work
        self.prepared = Prepared(platform, home)
        self.checks = declared_checks(platform)
        work.mkdir(parents=True, exist_ok=True)
        for check in self.checks:  # what each process would find out for itself
            _ = check.basis

    def undisturbed(self, case: Case) -> Ended:
        """Make the unit anew without a fault, remember what is pure of it, and remove it; return what it left.

        Raises
        ------
        RuntimeError
            The unit cannot be made without a fault: then no trial proves anything.
        """
        self.prepared.definitions.resolve_job_def(case.unit.job)
        self._apart(lambda: self._reset(case))
        ended = self._apart(lambda: self._again(case))
        if ended.said:
            raise RuntimeError(f"{case.name}: the undisturbed run ended with: {ended.said}")
        for module in ended.modules:  # so that no trial has to import them again
            with suppress(Exception):
                importlib.import_module(module)
        return ended

    def disturbed(self, case: Case, kind: Kind, at: Point | None = None, *, skewed: float = 0.0) -> Ended:
        """Bring the unit up to date with a fault; without a point, count the calls that the fault could meet."""
        return self._apart(lambda: self._with_fault(case, kind, at, skewed))

    def rerun(self, case: Case) -> Ended:
        """Bring the unit up to date as the next command would, note what it left, and remove it."""
        return self._apart(lambda: self._again(case))

    def restored(self, case: Case) -> None:
        """Make what the trials removed.

        Raises
        ------
        RuntimeError
            It cannot be made.
        """

        def make() -> Ended:
            remember(case.pure, self.work / case.name)
            ended = Ended()
            self._bring_up_to_date(case.unit, ended)
            return ended

        if said := self._apart(make).said:
            raise RuntimeError(said)

    # ---- in a process of its own

    def _with_fault(self, case: Case, kind: Kind, at: Point | None, skewed: float) -> Ended:
        remember(case.pure, self.work / case.name)
        injector = Injector(self.home.root, kind, at, case.unit.assets)
        ended = Ended()
        if skewed:
            skew(skewed)
        injector.install()
        try:
            self._bring_up_to_date(case.unit, ended)
        except Exception as error:
            _note(ended, error)
        ended.hit, ended.counts = injector.hit, dict(injector.counts)
        return ended

    def _again(self, case: Case) -> Ended:
        remember(case.pure, self.work / case.name)
        ended = Ended()
        try:
            self._bring_up_to_date(case.unit, ended)
        except Exception as error:
            _note(ended, error)
        ended.state, ended.modules = self._state(case), list(sys.modules)
        self._reset(case)
        return ended

    def _bring_up_to_date(self, unit: Unit, ended: Ended) -> None:
        lake, stage = lake_of(self.platform, self.home), Stage("trial", "Trial", (unit,))
        secrets = self.platform.secrets or SecretStore(self.home.root)
        quiet = Terminal(quiet=True)
        graph = self.platform.graph
        with dagster_instance(self.home) as instance, display(quiet) as show:
            runner = Runner(self.platform, self.home, lake, instance, self.prepared)
            ended.begun = True
            repairing(
                lake,
                secrets,
                [],
                lambda: run_stage(stage, runner, self.checks, show, Workers(())),
                lambda: damaged_partitions(lake, graph, [stage], quiet),
            )

    def _state(self, case: Case) -> dict[str, Any]:
        """Return what the lake holds of a unit: each file's hash, each check's verdict, and what should not be there."""
        lake, unit = lake_of(self.platform, self.home), case.unit
        files: dict[str, str] = {}
        for path in unit.assets:
            folder = Path(lake.folder(path, unit.partition))
            for file in sorted(each for each in folder.rglob("*") if each.is_file()):
                files[file.relative_to(lake.root).as_posix()] = hashlib.sha256(file.read_bytes()).hexdigest()
        ledger = Ledger(lake, self.platform.secrets)
        ledger.refresh()
        verdicts = {
            f"{check.name} {check.asset}": ledger.standing(check, unit.partition).state for check in self._of(unit)
        }
        faults = evidence_log(lake, self.platform.secrets or SecretStore(self.home.root)).verify()
        owners = {file.name: owner_in(file.read_bytes()) for file in Path(lake.root, LEASES).glob("*.json")}
        leases = [name for name, owner in owners.items() if owner is not None and not owner.is_dead]
        return {"files": files, "verdicts": verdicts, "evidence": [fault.what for fault in faults], "leases": leases}

    def _reset(self, case: Case) -> Ended:
        lake, unit = lake_of(self.platform, self.home), case.unit
        for path in unit.assets:
            lake.delete(path, unit.partition)
        for check in self._of(unit):
            Path(record_path(lake, check.name, check.asset, unit.partition)).unlink(missing_ok=True)
        return Ended()

    def _of(self, unit: Unit) -> list[Declared]:
        return [
            c for c in self.checks if c.asset in unit.assets and not c.kind.audit and unit.partition in c.month_keys
        ]

    def _apart(self, work: Callable[[], Ended]) -> Ended:
        """Do some work in a forked process, and return how it ended; one that was killed says so."""
        ours, theirs = mp.Pipe()
        process = mp.get_context("fork").Process(target=_serve, args=(theirs, work))
        began = time.perf_counter()
        process.start()
        theirs.close()
        ended = Ended(hit=True, said="killed")
        with suppress(EOFError):
            if ours.poll(LIMIT_S):
                ended = ours.recv()
            else:
                process.kill()
                ended = Ended(said=f"no end within {LIMIT_S:.0f} s", told=False)
        process.join()
        ours.close()
        if ended.said == "killed" and process.exitcode != -signal.SIGKILL:
            raise RuntimeError(f"the process ended with {process.exitcode}")
        ended.seconds = time.perf_counter() - began
        return ended


def _serve(line: Any, work: Callable[[], Ended]) -> None:
    try:
        line.send(work())
    except Exception:
        line.send(Ended(said=traceback.format_exc(), told=False))
    line.close()


def _note(ended: Ended, error: Exception) -> None:
    told = error if isinstance(error, FinaiError) else storage_error(error)
    ended.told = told is not None
    ended.said = str(told) if told is not None else "".join(traceback.format_exception(error))


def remember(functions: tuple[str, ...], folder: Path) -> None:
    """Replace functions by ones that compute once, and afterwards return what they returned then."""
    for number, name in enumerate(functions):
        module_name, _, attribute = name.partition(":")
        module = importlib.import_module(module_name)
        setattr(module, attribute, _remembered(getattr(module, attribute), folder.with_suffix(f".{number}")))


def _remembered(function: Callable[..., Any], stem: Path) -> Callable[..., Any]:
    calls = [0]

    def returned(*given: Any, **options: Any) -> Any:
        calls[0] += 1
        file = stem.with_name(f"{stem.name}.{calls[0]}.pickle")
        if not file.exists():
            file.write_bytes(pickle.dumps(function(*given, **options)))
        return pickle.loads(file.read_bytes())  # noqa: S301 - written by this study

    return returned


def unsaid(said: str, case: Case, *, begun: bool = True) -> list[str]:
    """Return what a refusal leaves unsaid: asset, month, cause, way out.

    Parameters
    ----------
    begun
        Whether the asset had its turn; a home that cannot be opened is of no asset.
    """
    unit, lacking = case.unit, []
    if begun and not any(path in said for path in unit.assets):
        lacking.append("asset")
    if begun and unit.partition and unit.partition not in said:
        lacking.append("month")
    if not any(words in said for words in ("disk is full", "does not answer")):
        lacking.append("cause")
    if "What to do" not in said:
        lacking.append("way out")
    if "Traceback" in said or 'File "' in said:
        lacking.append("a sentence in the place of a traceback")
    return lacking


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return in what a rerun's state is not that of an undisturbed run."""
    told = []
    for part in ("files", "verdicts"):
        keys = {*found[part], *wanted[part]}
        told += [f"{part}: {key}" for key in sorted(keys) if found[part].get(key) != wanted[part].get(key)]
    return (
        told + [f"evidence: {what}" for what in found["evidence"]] + [f"lease left: {name}" for name in found["leases"]]
    )
