"""Measures the cost of a training step of the teacher beside one of a shared-bottom network of the same size.

    python -m benchmarks.teacher --home .finai/synthetic-demo --repeats 9 --json benchmarks/out/teacher.json

Steps of both networks on the same batch alternate: forward, losses, backward, clipping and optimiser, as in training. Then each
part of the teacher is timed by itself on the same batch (forward and backward), and the floor is what the multiplications of a
step would take at the speed of a large matrix product. Reads the training matrix that a run has left in a home.
"""

from __future__ import annotations

import argparse
import json
import platform as machine
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from finai_assets.evaluation.shared_bottom import SharedBottom, widths_for
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.method import OWN_SLOT
from finai_assets.teacher.fitting.blocks import Batch, Feed
from finai_assets.teacher.fitting.loop import Run
from finai_assets.teacher.fitting.process_group import ProcessGroup, device_of
from finai_assets.teacher.network.ple import PLE, Views, parameter_table
from finai_assets.teacher.network.protocol import Network
from finai_assets.teacher.network.router import make_route
from finai_assets.teacher.result import deterministic
from finai_assets.teacher.train import prepare
from finai_assets.training.matrix import TrainingMatrix, load_matrix
from finai_resources.errors import FinaiError
from finai_resources.lake import Lake

TARGET = 4.0


class Bench:
    """Both networks, each with its optimiser, and one batch."""

    def __init__(self, settings: Settings, platform: Platform, matrix: TrainingMatrix) -> None:
        self.settings, self.processes = settings, ProcessGroup(device_of(settings.teacher.loop.device))
        data, self.normaliser, structure = prepare(matrix, platform.registry, platform.available_tasks, settings)
        groups = tuple(group.name for group in platform.registry.groups)
        teacher = PLE(self.normaliser, data.tasks, settings.teacher, structure=structure, known_groups=groups)
        route = make_route(groups, self.normaliser, known=groups)
        self.parameters = parameter_table(teacher)
        hidden = widths_for(self.parameters["total"], route, data.tasks, settings.teacher)
        baseline = SharedBottom(route, data.tasks, settings.teacher, hidden=hidden)
        models: dict[str, Network] = {"teacher": teacher, "shared bottom": baseline}
        self.runs = {
            name: Run(model, self.normaliser, data, settings, self.processes) for name, model in models.items()
        }
        self.teacher = teacher
        chosen = settings.teacher
        self.rows = chosen.batch_rows
        with_one = Feed(
            data, self.normaliser, chosen.loop, self.processes, batch_rows=chosen.batch_rows, seed=settings.seed
        )
        self.batch: Batch = next(iter(with_one.epoch(1, 0)))

    def step(self, name: str) -> float:
        """Take a step and return its seconds."""
        run = self.runs[name]
        run.model.train()
        return self.timed(lambda: run.stepper.step(self.batch, draw=(1, 1), where="benchmark"))

    def timed(self, work: Callable[[], Any]) -> float:
        """Return the seconds that a piece of work takes on the device."""
        begun = time.perf_counter()
        work()
        if self.processes.device.type == "cuda":
            torch.cuda.synchronize(self.processes.device)
        return time.perf_counter() - begun

    def parts(self) -> dict[str, Callable[[], Any]]:
        """Return functions that run each part of the teacher alone: its forward pass, and the backward pass of a sum."""
        model, x = self.teacher, self.batch.parts[0].x
        routed = model.router(x)
        with torch.no_grad():
            views = model.views(x)

        def both(forward: Callable[[], Tensor]) -> Callable[[], Any]:
            return lambda: forward().square().mean().backward()  # type: ignore[no-untyped-call]

        def rest() -> Tensor:
            fresh = Views(views.seen, tuple(v.requires_grad_() for v in views.shared), views.own.requires_grad_())
            return torch.cat(list(model.read(fresh).logits.values()), 1)

        found: dict[str, Callable[[], Any]] = {"router": lambda: model.router(x)}
        found |= {f"expert {name}": both(_call(expert, routed[name])) for name, expert in model.experts.items()}
        found["task experts"] = both(lambda: model.own(routed[OWN_SLOT]))
        found["gates, later layers, towers"] = both(rest)
        return found

    def floor(self) -> tuple[float, float]:
        """Return the floating-point operations of a teacher's step, and those per second of a large matrix product."""
        model, x = self.teacher, self.batch.parts[0].x
        with FlopCounterMode(display=False) as counter:
            torch.cat(list(model(x).logits.values()), 1).sum().backward()  # type: ignore[no-untyped-call]
        size = 2048
        left, right = (torch.randn(size, size, device=self.processes.device) for _ in range(2))
        fastest = min(self.timed(lambda: left @ right) for _ in range(5))
        return float(counter.get_total_flops()), 2 * size**3 / fastest


def _call(expert: nn.Module, routed: Any) -> Callable[[], Tensor]:
    return lambda: expert(routed)


def benchmark(settings: Settings, matrix: TrainingMatrix, repeats: int) -> dict[str, Any]:
    """Time both networks' steps, and the parts of the teacher."""
    with deterministic(settings.teacher.threads, settings.seed):
        bench = Bench(settings, Platform.of(settings), matrix)
        for name in bench.runs:
            bench.step(name)  # allocates what stays
        pairs = [{name: bench.step(name) for name in bench.runs} for _ in range(repeats)]
        parts = bench.parts()
        alone: dict[str, list[float]] = {name: [] for name in parts}
        for _ in range(repeats):
            for name, work in parts.items():
                alone[name].append(bench.timed(work))
        operations, speed = bench.floor()
    ratios = sorted(pair["teacher"] / pair["shared bottom"] for pair in pairs)
    step = statistics.median(pair["teacher"] for pair in pairs)
    return {
        "rows": bench.rows,
        "repeats": repeats,
        "device": str(bench.processes.device),
        "threads": settings.teacher.threads,
        "seconds": {name: statistics.median(pair[name] for pair in pairs) for name in pairs[0]},
        "ratio": statistics.median(ratios),
        "ratio_range": [ratios[0], ratios[-1]],
        "target": TARGET,
        "rows_per_second": bench.rows / step,
        "operations": operations,
        "matmul_per_second": speed,
        "share_of_floor": operations / speed / step,
        "parts": {name: statistics.median(values) for name, values in alone.items()},
        "parameters": bench.parameters,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "machine": machine.machine(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def render(found: dict[str, Any]) -> list[Table]:
    """Return the tables of a result."""
    steps = Table(
        title=f"A step of {found['rows']:,} rows, {found['threads']} threads, {found['device']}", title_justify="left"
    )
    for name in ("network", "ms", "ratio (least, most)"):
        steps.add_column(name, justify="left" if name == "network" else "right")
    low, high = found["ratio_range"]
    for name, seconds in found["seconds"].items():
        ratio = f"{found['ratio']:.2f} ({low:.2f}, {high:.2f})" if name == "teacher" else "1"
        steps.add_row(name, f"{seconds * 1e3:.1f}", ratio)
    parts = Table(title="Forward and backward of each part by itself", title_justify="left")
    for name in ("part", "parameters", "ms"):
        parts.add_column(name, justify="left" if name == "part" else "right")
    for name, seconds in found["parts"].items():
        count = found["parameters"].get(name)
        parts.add_row(name, "" if count is None else f"{count:,}", f"{seconds * 1e3:.1f}")
    return [steps, parts]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="home whose lake holds a training matrix")
    parser.add_argument("--dataset", default="synthetic")
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, default=None)
    chosen = parser.parse_args()
    settings = load_settings(chosen.dataset, chosen.profile, overrides={"teacher": {"batch_rows": chosen.rows}})
    try:
        matrix = load_matrix(Lake.on_disk(chosen.home / "lake"))
    except FinaiError as error:
        parser.exit(1, f"{error}\n`make demo` or `finai run --home {chosen.home}` does\n")
    found = benchmark(settings, matrix, chosen.repeats)
    console = Console()
    for table in render(found):
        console.print(table)
    console.print(
        f"{found['rows_per_second']:,.0f} rows/s; {found['share_of_floor']:.0%} of the matmul floor; "
        f"peak memory {found['peak_gib']:.2f} GiB; {found['parameters']['total']:,} parameters"
    )
    if chosen.json is not None:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
