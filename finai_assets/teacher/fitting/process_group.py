"""The processes that train one model together, and the device of each. A single process is a group of one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from finai_resources.errors import ConfigError


def device_of(choice: str, local_rank: int = 0) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    ConfigError
        There is no GPU (of this number), and one is asked for.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if choice == "cpu" or (choice == "auto" and not there):
        return torch.device("cpu")
    if local_rank >= there:
        raise ConfigError(
            f"process {local_rank} finds {there} GPUs",
            where="teacher.loop.device",
            fix="choose cpu, or fewer processes",
        )
    return torch.device("cuda", local_rank)


@dataclass(frozen=True)
class ProcessGroup:
    """One process of the group: its device, its rank, and the group's size.

    Parameters
    ----------
    device : torch.device
    rank, size : int
        This process, and how many there are.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, choice: str) -> ProcessGroup:
        """Join the process group of ``torchrun``; without it, return a group of this process alone.

        Parameters
        ----------
        choice : {"auto", "cpu", "cuda"}
        """
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls(device_of(choice))
        device = device_of(choice, int(os.environ["LOCAL_RANK"]))
        if device.type == "cuda":
            torch.cuda.set_device(device)
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(device, distributed.get_rank(), size)

    @property
    def leads(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def add(self, value: Tensor) -> Tensor:
        """Add up a tensor over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def gather(self, value: Tensor) -> list[Tensor]:
        """Return the tensor of each process, by rank; all have the same shape."""
        if self.size == 1:
            return [value]
        moved = value.to(self.device)
        found = [torch.empty_like(moved) for _ in range(self.size)]
        distributed.all_gather(found, moved)
        return [part.to(value.device) for part in found]

    @torch.no_grad()
    def average(self, values: Iterable[Tensor]) -> None:
        """Replace each floating tensor by its mean over all processes."""
        if self.size > 1:
            for value in values:
                if value.is_floating_point():
                    value.copy_(self.add(value.clone()) / self.size)

    @torch.no_grad()
    def follow(self, values: Iterable[Tensor]) -> None:
        """Replace each tensor by the leader's."""
        if self.size > 1:
            for value in values:
                distributed.broadcast(value, 0)

    def leave(self) -> None:
        """Leave the process group."""
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
