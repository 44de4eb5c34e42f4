"""A learned, permutation-invariant vectorisation of persistence diagrams.

PersLay (Carriere, Chazal, Ike, Lacombe, Royer and Umeda, AISTATS 2020) is ``op({w(p) phi(p)})`` over the points p of a diagram,
with a learned weight w, a learned point transformation phi and a permutation-invariant op. Two pairs are used here: Gaussians
under the sum, a learned persistence image (Adams et al., JMLR 2017), and tents under the maximum, a learned first persistence
landscape (Bubenik, JMLR 2015).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.network.experts.columns import plain, plain_width
from finai_assets.teacher.network.experts.task_mlp import RowNorm, mlp
from finai_assets.teacher.network.router import Route, Routed
from finai_resources.errors import ConfigError

_SUFFIX = ".diagrams"

# Where bars lie at the start, on the scale log(1 + x): the normaliser brings the root mean square of deaths to 1.
_REACH = 1.5
_WIDTH = 0.3  # of a Gaussian at the start, so that eight of them cover most of the reach


class PersLay(nn.Module):
    """Gaussians under a weighted sum and tents under a weighted maximum, for each diagram and dimension; then a perceptron.

    A filtration is read on the scale log(1 + x), which leaves the pairing of births and deaths as it is and lets one set of
    centres serve clouds of very different size. A point's weight is ``persistence^a * sigmoid(c0 + c1 birth + c2
    persistence)``, with a > 0, c0, c1, c2 learned for each diagram and dimension. It vanishes on the diagonal, as a weight must
    for the sum to be stable; a place without a point (birth = death = 0) has weight 0. Both transformations are not negative,
    so a weight of 0 changes the maximum neither, and an empty diagram gives zeros.

    Parameters
    ----------
    route : Route
        Its side tensors ``<group>.diagrams``, float [2, points, 2], are its diagrams, its plain columns their statistics.
    settings : TeacherSettings
        ``expert.perslay``: ``gaussians`` and ``tents`` for each diagram and dimension, ``hidden`` layers of the perceptron.
        Also ``expert_dim``, ``dropout``.

    Shapes
    ------
    Routed batch of n rows -> float [n, expert_dim].

    Examples
    --------
    >>> from finai_assets.teacher.network.router import TensorSlots
    >>> route = Route(("tda_local",), (0,), (), (), (), (TensorSlots("tda_local.diagrams", 1, (2, 32, 2)),))
    >>> batch = Routed(torch.zeros(5, 1), torch.zeros(5, 0, dtype=torch.long), (),
    ...                {"tda_local.diagrams": torch.zeros(5, 2, 32, 2)})
    >>> PersLay(route, settings)(batch).shape
    torch.Size([5, 64])

    Raises
    ------
    ConfigError
        No group that is routed here has diagrams.
    """

    def __init__(self, route: Route, settings: TeacherSettings) -> None:
        super().__init__()
        self.names = tuple(slots.name for slots in route.tensors if slots.name.endswith(_SUFFIX))
        if not self.names:
            raise ConfigError(
                "no diagrams are routed to perslay",
                where="teacher.routing.perslay",
                fix="route tda_global or tda_local",
            )
        chosen = settings.expert.perslay
        diagrams = 2 * len(self.names)
        self.code_sizes = route.code_sizes
        centre = torch.rand(diagrams, chosen.gaussians, 2) * _REACH
        self.centre = nn.Parameter(centre)  # birth and persistence
        self.log_width = nn.Parameter(torch.full((diagrams, chosen.gaussians, 2), _WIDTH).log())
        # evenly spread, and not one of them at 0, where a tent is 0 for each bar
        places = torch.linspace(0.0, _REACH, chosen.tents + 2)[1:-1]
        self.place = nn.Parameter(places.repeat(diagrams, 1))
        self.power = nn.Parameter(torch.zeros(diagrams))  # softplus^-1 of the exponent, which starts at log 2
        self.leaning = nn.Parameter(torch.zeros(diagrams, 3))
        width = diagrams * (chosen.gaussians + chosen.tents) + plain_width(route)
        self.body = mlp(width, chosen.hidden, settings.expert_dim, settings.dropout)
        self.norm = RowNorm()

    def weights(self, birth: Tensor, persistence: Tensor) -> Tensor:
        """Return the weight of each point, float [diagrams, n, points], of coordinates of that shape on the log scale."""
        power = functional.softplus(self.power)[:, None, None]
        c0, c1, c2 = self.leaning.T[:, :, None, None]
        # the floor is far below any bar's persistence, and keeps the gradient of a vanishing one finite
        rise = persistence.clamp_min(1e-12).pow(power) * (persistence > 0)
        return rise * torch.sigmoid(c0 + c1 * birth + c2 * persistence)

    def vectorise(self, diagrams: Tensor) -> Tensor:
        """Return the vector of each diagram: float [diagrams, n, points, 2] -> float [diagrams, n, gaussians + tents]."""
        birth, death = torch.log1p(diagrams).unbind(-1)
        persistence = (death - birth).clamp_min(0.0)
        weight = self.weights(birth, persistence)
        return torch.cat([self._image(birth, persistence, weight), self._landscape(birth, death, weight)], -1)

    def forward(self, batch: Routed) -> Tensor:
        """Return the expert's view of a batch."""
        # [n, 2, points, 2] each -> [diagrams, n, points, 2]
        diagrams = torch.cat([batch.tensors[name].transpose(0, 1) for name in self.names])
        with torch.autocast(diagrams.device.type, enabled=False):  # the quadratic form loses digits to cancellation
            vectors = self.vectorise(diagrams).transpose(0, 1).flatten(1)
        result: Tensor = self.norm(self.body(torch.cat([vectors, plain(batch, self.code_sizes)], 1)))
        return result

    def _image(self, birth: Tensor, persistence: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted sum of each Gaussian over the points, float [diagrams, n, gaussians].

        The exponent is a quadratic form in birth and persistence, so that all Gaussians at all points are one matrix product.
        """
        precision = torch.exp(-2.0 * self.log_width)  # [diagrams, gaussians, 2]
        linear = precision * self.centre
        constant = -0.5 * (linear * self.centre).sum(-1)
        form = torch.cat([linear, -0.5 * precision], -1).transpose(1, 2)  # [diagrams, 4, gaussians]
        place = torch.stack([birth, persistence, birth.square(), persistence.square()], -1).flatten(1, 2)
        bump = torch.exp(torch.baddbmm(constant[:, None], place, form)).view(*birth.shape, -1)
        return (bump * weight[..., None]).sum(2)

    def _landscape(self, birth: Tensor, death: Tensor, weight: Tensor) -> Tensor:
        """Return the greatest weighted tent ``max(0, min(t - birth, death - t))`` over the points, float [diagrams, n, tents].

        The greatest is sought without a trace; the gradient needs the tent of that point alone.
        """
        place = self.place[:, None, :, None]  # [diagrams, 1, tents, 1]
        with torch.no_grad():
            rise = torch.minimum(place - birth[:, :, None], death[:, :, None] - place)
            best = rise.mul_(weight[:, :, None]).argmax(-1)  # [diagrams, n, tents]
        at = self.place[:, None]
        tent = functional.relu(torch.minimum(at - birth.gather(2, best), death.gather(2, best) - at))
        return tent * weight.gather(2, best)
