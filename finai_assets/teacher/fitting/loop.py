"""The training run: epochs and steps, validation, early stopping, and the state from which a killed run resumes.

The order of rows and the dropout of an epoch are seeded by its number; within it the state of the random numbers is part of the
checkpoint. So a run resumed anywhere is the run that was never interrupted, bit by bit (same machine, same number of threads).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from finai_assets.teacher.fitting.average import WeightAverage
from finai_assets.teacher.fitting.blocks import Feed
from finai_assets.teacher.fitting.losses import row_losses
from finai_assets.teacher.fitting.precision import Precision
from finai_assets.teacher.fitting.process_group import ProcessGroup
from finai_assets.teacher.fitting.schedule import make_optimiser, set_rate
from finai_assets.teacher.fitting.steps import Balance, Stepper
from finai_assets.teacher.network.protocol import Network
from finai_assets.teacher.result import EpochRecord, raw_logits
from finai_resources.progress import report_progress

if TYPE_CHECKING:
    from finai_assets.settings import Settings
    from finai_assets.teacher.data import TeacherData
    from finai_assets.teacher.fitting.losses import TeacherTask
    from finai_assets.teacher.normalise import Normaliser


class Run:
    """The state of a training run: what a checkpoint keeps.

    Parameters
    ----------
    model, normaliser, data, settings
        The model is trained in place; ``best`` holds the weights of the best epoch so far.
    processes : ProcessGroup
        The processes that train together; each has a run of its own, and their weights stay equal.
    """

    def __init__(
        self,
        model: Network,
        normaliser: Normaliser,
        data: TeacherData,
        settings: Settings,
        processes: ProcessGroup | None = None,
    ) -> None:
        self.processes = processes or ProcessGroup(torch.device("cpu"))
        self.model, self.normaliser, self.data = model.to(self.processes.device), normaliser, data
        self.chosen, self.seed = settings.teacher, settings.seed
        self.balance = Balance(data.tasks, self.chosen).to(self.processes.device)
        self.optimiser = make_optimiser(model, self.balance, self.chosen)
        self.precision = Precision.of(self.processes.device, self.chosen.loop.precision)
        self.feed = Feed(
            data, normaliser, self.chosen.loop, self.processes, batch_rows=self.chosen.batch_rows, seed=self.seed
        )
        self.stepper = Stepper(
            model, self.balance, self.optimiser, data.tasks, self.chosen, self.processes, self.precision
        )
        self.average = WeightAverage(self.model, self.chosen.average_epochs * self.feed.batches)
        self.history: list[EpochRecord] = []
        self.best: dict[str, Tensor] = {}
        self.best_epoch = 0
        self.done = 0  # batches of the epoch that is under way
        self.sums: dict[str, tuple[float, int]] = {}  # task -> sum and number of its losses in that epoch
        self.random: list[Tensor] = []  # of a checkpoint within an epoch, by rank
        self._trivial = self._constant_losses()

    @property
    def finished(self) -> bool:
        """Return whether the epochs or the patience are used up."""
        epochs = len(self.history)
        return epochs >= self.chosen.epochs or (epochs > 0 and epochs - self.best_epoch >= self.chosen.patience)

    def epoch(self, save: Callable[[], Any] | None = None) -> EpochRecord:
        """Train an epoch, or the rest of it, and score it on validation.

        It reports progress after each step, under a label with the losses so far.

        Parameters
        ----------
        save
            Called every ``checkpoint_steps`` steps.
        """
        begun, number = time.perf_counter(), len(self.history) + 1
        train = self._train(save)
        self.processes.average(buffer for buffer in self.model.buffers())
        with self.average.setting():
            self.model.after_epoch()
        self.processes.follow(self.model.state_dict().values())
        with self.average.in_place():
            validation = self._validate()
            score = float(np.mean([1.0 - loss / self._trivial[name] for name, loss in validation.items()]))
            if not self.best or score > self.history[self.best_epoch - 1].score:
                self.best_epoch = number
                self.best = {name: value.clone() for name, value in self.model.state_dict().items()}
        record = EpochRecord(number, score, train, validation, time.perf_counter() - begun)
        self.history.append(record)
        self.done, self.sums = 0, {}
        return record

    def _train(self, save: Callable[[], Any] | None) -> dict[str, float]:
        batches, every = self.feed.batches, self.chosen.loop.checkpoint_steps
        with closing(self.steps()) as steps:
            for done in steps:
                if save is not None and every and done % every == 0 and done < batches:
                    save()
                report_progress(self._label(len(self.history) + 1), done, batches)
        return self._means()

    def steps(self) -> Generator[int]:
        """Train to the end of the epoch; yield after each step the number of its steps that are done."""
        number, batches = len(self.history) + 1, self.feed.batches
        self._seed(number)
        self.model.train()
        with closing(self.feed.epoch(number, self.done)) as feed:
            for batch in feed:
                at = (number - 1) * batches + batch.number
                set_rate(self.optimiser, at, self.chosen.epochs * batches, self.chosen)
                where = f"epoch {number}, batch {batch.number + 1} of {batches}"
                for name, loss in self.stepper.step(batch, draw=(self.seed, at), where=where).items():
                    total, count = self.sums.get(name, (0.0, 0))
                    self.sums[name] = (total + loss, count + 1)
                self.average.take(at)
                self.done = batch.number + 1
                yield self.done

    def _means(self) -> dict[str, float]:
        return {
            task.name: self.sums[task.name][0] / self.sums[task.name][1]
            for task in self.data.tasks
            if task.name in self.sums
        }

    def _label(self, number: int) -> str:
        best = f", best score {self.history[self.best_epoch - 1].score:.3f}" if self.best_epoch else ""
        return f"epoch {number} of {self.chosen.epochs}{best}, batch"

    def random_state(self) -> list[Tensor]:
        """Return the state of the random numbers of every process, by rank; uint8 [bytes] each."""
        state = torch.get_rng_state()
        if self.processes.device.type == "cuda":
            state = torch.cat([state, torch.cuda.get_rng_state(self.processes.device)])
        return self.processes.gather(state)

    def _seed(self, number: int) -> None:
        """Seed an epoch, or restore the random state of a checkpoint."""
        torch.manual_seed(self.seed * 1_000_003 + number + 7_919 * self.processes.rank)
        if self.done and self.processes.rank < len(self.random):
            state, cpu = self.random[self.processes.rank], torch.get_rng_state().numel()
            torch.set_rng_state(state[:cpu])
            if self.processes.device.type == "cuda" and len(state) > cpu:
                torch.cuda.set_rng_state(state[cpu:], self.processes.device)
        self.random = []

    def _validate(self) -> dict[str, float]:
        """Return the mean validation loss of each task with validation labels; each process scores its share of the rows."""
        whole = self.data.validation
        rows = np.array_split(np.arange(whole.start, whole.stop), self.processes.size)[self.processes.rank]
        own = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(whole.start, whole.start)
        logits, _ = raw_logits(
            self.model, self.normaliser, self.data.X[own], self.chosen.batch_rows, self.data.side_of(own)
        )
        scored = [task for task in self.data.tasks if task.name in self._trivial]
        found = [self._loss_sum(task, torch.from_numpy(logits[task.name]), own) for task in scored]
        sums = self.processes.add(torch.tensor(found, dtype=torch.float64).to(self.processes.device)).tolist()
        return {task.name: max(total / count, 1e-12) for task, (total, count) in zip(scored, sums, strict=True)}

    def _constant_losses(self) -> dict[str, float]:
        """Return the validation loss of the best constant of train, for each task with validation labels."""
        rows, losses = self.data.validation, {}
        for task in self.data.tasks:
            logits = torch.tensor(task.start).expand(rows.stop - rows.start, task.outputs)
            total, count = self._loss_sum(task, logits, rows)
            if count:
                losses[task.name] = max(total / count, 1e-12)
        return losses

    def _loss_sum(self, task: TeacherTask, logits: Tensor, rows: slice) -> tuple[float, int]:
        label = torch.from_numpy(self.data.labels[task.name][rows].copy())  # a stored label may be read-only
        known = torch.isfinite(label)
        losses = row_losses(task, logits[known].double(), label[known].double(), self.chosen.huber_delta)
        return float(losses.sum()), int(known.sum())
