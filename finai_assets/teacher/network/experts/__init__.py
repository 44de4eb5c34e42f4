"""The shared experts by their names in the configuration. An unknown name is refused."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.network.experts.causal import Causal
from finai_assets.teacher.network.experts.deepfm import DeepFM
from finai_assets.teacher.network.experts.hgcn import HGCN
from finai_assets.teacher.network.experts.lightgcn import LightGCN
from finai_assets.teacher.network.experts.optimal_transport import OptimalTransport
from finai_assets.teacher.network.experts.perslay import PersLay
from finai_assets.teacher.network.experts.temporal import Temporal
from finai_assets.teacher.network.router import Route
from finai_assets.teacher.structure import Structure
from finai_resources.errors import ConfigError

# Called with the route, the settings and the structure; maps Routed (a batch of n rows) to float [n, expert_dim].
EXPERTS: dict[str, Callable[[Route, TeacherSettings, Structure], nn.Module]] = {
    "deepfm": lambda route, settings, _: DeepFM(route, settings),
    "hgcn": HGCN,
    "lightgcn": LightGCN,
    "temporal": lambda route, settings, _: Temporal(route, settings),
    "perslay": lambda route, settings, _: PersLay(route, settings),
    "causal": lambda route, settings, _: Causal(route, settings),
    "optimal_transport": OptimalTransport,
}


def build_expert(name: str, route: Route, settings: TeacherSettings, structure: Structure) -> nn.Module:
    """Build a shared expert.

    Raises
    ------
    ConfigError
        No expert of this name is built.
    """
    known(name)
    return EXPERTS[name](route, settings, structure)


def known(name: str) -> None:
    """Refuse the name of an expert that does not exist."""
    if name not in EXPERTS:
        raise ConfigError(
            f"expert {name!r} is not built yet; built: {', '.join(sorted(EXPERTS))}",
            where="teacher.experts",
            fix="take it out of the list",
        )
