"""The variants that the ablation trains: the teacher as configured, and copies that differ in the named settings alone."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from finai_assets.settings.method import TeacherSettings
from finai_resources.errors import ConfigError

if TYPE_CHECKING:
    from finai_assets.settings import Settings

REFERENCE, CONTROL = "reference", "reference_again"
# Far from every seed that a study may use, so that the control shares no run with the reference.
_CONTROL_SHIFT = 1000


@dataclass(frozen=True, slots=True)
class Variant:
    """A teacher that differs from the configured one.

    Parameters
    ----------
    name, theme : str
        ``--variants`` takes either.
    asks : str
        The question that the comparison with the reference answers.
    changes : mapping of str to value
        Paths below ``teacher``, such as ``mechanisms.gate``, with what stands there instead.
    seed_shift : int
        Added to the seed; 0 for all but the control.
    """

    name: str
    theme: str
    asks: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    seed_shift: int = 0

    def apply(self, settings: Settings, seed: int) -> Settings:
        """Return the settings of a run.

        Parameters
        ----------
        settings : Settings
            The reference's.
        seed : int
            0, 1, ...: chooses initial weights, order of rows and dropout.

        Raises
        ------
        ConfigError
            There is no such setting.
        """
        values = settings.teacher.model_dump()
        for path, value in self.changes.items():
            *sections, key = path.split(".")
            node = values
            for section in sections:
                node = node[section]
            if key not in node:
                raise ConfigError(
                    f"variant {self.name!r} changes {path!r}, which does not exist",
                    where="teacher.ablation",
                    fix=f"choose from {', '.join(sorted(node))}",
                )
            node[key] = value
        teacher = TeacherSettings.model_validate(values)
        if unread := settings.teacher.read_groups - teacher.read_groups:
            reasons = dict.fromkeys(sorted(unread), f"variant {self.name} leaves its experts out")
            teacher = teacher.model_copy(update={"unread_groups": {**teacher.unread_groups, **reasons}})
        return settings.model_copy(update={"teacher": teacher, "seed": settings.seed + self.seed_shift + seed})


def variants(settings: Settings, tasks: Collection[str]) -> tuple[Variant, ...]:
    """Return the reference, the control and every variant that makes a difference; no two train the same teacher.

    A switch is set to what the reference does not have, so that the list follows the configuration.

    Parameters
    ----------
    settings : Settings
    tasks
        Names of those that are learned: a transfer counts where both of its tasks are.
    """
    found: list[Variant] = []
    for variant in _declared(settings.teacher, tasks):
        same = (known for known in found if known.changes == variant.changes)
        if variant.name == CONTROL or not any(same):
            found.append(variant)
    return tuple(found)


def chosen_variants(
    settings: Settings, tasks: Collection[str], names: Sequence[str] | None = None
) -> tuple[Variant, ...]:
    """Return the reference and the variants of the given names or themes; all where None.

    Raises
    ------
    ConfigError
        One of them is neither.
    """
    every = variants(settings, tasks)
    if names is None:
        return every
    known = list(dict.fromkeys([*(variant.name for variant in every), *(variant.theme for variant in every)]))
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(
                f"there is no variant {name!r}", where="--variants", fix=f"{hint}choose from {', '.join(known)}"
            )
    return tuple(v for v in every if v.name == REFERENCE or v.name in names or v.theme in names)


def _declared(chosen: TeacherSettings, tasks: Collection[str]) -> Iterator[Variant]:
    yield Variant(REFERENCE, "reference", "The teacher as it is configured.")
    yield Variant(
        CONTROL,
        "control",
        "What does a difference look like that is none? The reference once more, with other seeds.",
        seed_shift=_CONTROL_SHIFT,
    )
    if len(chosen.experts) > 1:
        for expert in chosen.experts:
            rest = tuple(name for name in chosen.experts if name != expert)
            yield Variant(
                f"without_{expert}", "experts", f"What is lost without the {expert} expert?", {"experts": rest}
            )
        for expert in chosen.experts:
            yield Variant(
                f"only_{expert}",
                "alone",
                f"How far does the {expert} expert get as the only shared one?",
                {"experts": (expert,)},
            )
    yield from _mechanisms(chosen)
    if any(transfer.source in tasks and transfer.target in tasks for transfer in chosen.transfers):
        yield Variant("no_logit_transfers", "structure", "What do the transfers between towers add?", {"transfers": ()})
    if chosen.layers > 1:
        yield Variant("one_layer", "structure", "What do extraction layers above the first one add?", {"layers": 1})


def _mechanisms(chosen: TeacherSettings) -> Iterator[Variant]:
    now = chosen.mechanisms
    gate = "sigmoid" if now.gate == "softmax" else "softmax"
    yield Variant(
        f"{gate}_gates", "gates", f"Are {gate} gates better than {now.gate} gates?", {"mechanisms.gate": gate}
    )
    transfers = {
        "none": ("no_task_transfer", "What does transfer between tasks add?"),
        "adatt_loss": ("adatt_loss", "Does it help that tasks take part in the losses of those whose gradients agree?"),
        "adatt_sp": (
            "adatt_sp",
            "Are layers that fuse the experts of tasks directly (AdaTT-sp) better than CGC layers?",
        ),
    }
    for value, (name, asks) in transfers.items():
        # AdaTT-sp takes the place of the layers above the first
        if value != now.task_transfer and (value != "adatt_sp" or chosen.layers > 1):
            yield Variant(name, "transfer", asks, {"mechanisms.task_transfer": value})
    surgeries = {
        "none": ("no_gradient_surgery", "What does gradient surgery add?"),
        "pcgrad": ("pcgrad", "Does it help to project conflicting gradients of tasks onto each other's normal plane?"),
    }
    for value, (name, asks) in surgeries.items():
        if value != now.gradient_surgery:
            yield Variant(name, "gradients", asks, {"mechanisms.gradient_surgery": value})
    name, asks = (
        ("fixed_weights", "Are the configured weights of tasks as good as learned uncertainty weights?")
        if now.uncertainty_weighting
        else ("uncertainty_weights", "Are learned uncertainty weights better than the configured ones?")
    )
    yield Variant(name, "weighting", asks, {"mechanisms.uncertainty_weighting": not now.uncertainty_weighting})
