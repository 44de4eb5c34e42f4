"""A structural model over a compressed vector of the plain columns: it predicts each variable from its causes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.network.experts import notears
from finai_assets.teacher.network.experts.columns import plain, plain_width
from finai_assets.teacher.network.experts.task_mlp import RowNorm, mlp
from finai_assets.teacher.network.router import Route, Routed

_FLOOR = 1e-6  # of a variance
_INITIAL_STD = (
    0.05  # of the weights: the structural path lives from the first step, and the first fit decides the graph
)


class Causal(nn.Module):
    """``z_hat = z W`` over standardised variables z, linear in the columns; then a perceptron of z and z_hat.

    W is fitted to the variables, not to the tasks alone. Within an epoch it takes gradient steps on the tasks' losses and on
    :meth:`auxiliary_loss`; :meth:`after_epoch` then runs NOTEARS on the running moments of the variables from where W stands,
    so that validation, checkpoints and the final model always have a W whose graph has no cycle. Two things keep the
    reconstruction from being won by a collapse of the variables: they are standardised, in training by the moments of the
    batch and its gradient, and the reconstruction sees their moments as constants, so that it moves W alone.

    A training loop calls two hooks: it adds ``auxiliary_loss()`` to the loss of each step, and it calls ``after_epoch()`` after
    the last step of an epoch, before validation.

    Parameters
    ----------
    route : Route
        Scalars and codes are read.
    settings : TeacherSettings
        ``expert.causal``: number of ``variables``, ``hidden`` layers of the perceptron, ``momentum`` of the running moments,
        ``lasso``, ``threshold``, ``pressure``. Also ``expert_dim``, ``dropout``.

    Attributes
    ----------
    weight : float [d, d]
        W, with row = cause, column = effect; its diagonal is not read.
    multiplier, penalty : float64 []
        Of the augmented Lagrangian; an epoch's fit goes on from those of the last.
    mean, covariance : float [d], float [d, d]
        Running moments of the variables before they are standardised.
    batches : float64 []
        How many batches have gone into them: the first few count alike, the later ones by ``momentum``.

    Shapes
    ------
    Routed batch of n rows -> float [n, expert_dim].

    Examples
    --------
    >>> route = Route(("a",), scalars=(0, 1), codes=(2,), code_sizes=(4,), sequences=())
    >>> batch = Routed(torch.zeros(5, 2), torch.zeros(5, 1, dtype=torch.long), ())
    >>> Causal(route, settings)(batch).shape
    torch.Size([5, 64])
    """

    mean: Tensor
    covariance: Tensor
    batches: Tensor
    multiplier: Tensor
    penalty: Tensor
    off: Tensor

    def __init__(self, route: Route, settings: TeacherSettings) -> None:
        super().__init__()
        chosen = settings.expert.causal
        d = chosen.variables
        self.chosen = chosen
        self.code_sizes = route.code_sizes
        self.compress = nn.Linear(plain_width(route), d, bias=False)  # a shift would be lost in the standardising
        self.weight = nn.Parameter(torch.randn(d, d) * _INITIAL_STD)
        self.body = mlp(2 * d, chosen.hidden, settings.expert_dim, settings.dropout)
        self.norm = RowNorm()
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("covariance", torch.eye(d))
        self.register_buffer("batches", torch.zeros((), dtype=torch.float64))
        self.register_buffer("multiplier", torch.zeros((), dtype=torch.float64))
        self.register_buffer("penalty", torch.ones((), dtype=torch.float64))
        self.register_buffer("off", 1.0 - torch.eye(d), persistent=False)

    def structure(self) -> Tensor:
        """Return W, float [d, d], with zeros on its diagonal."""
        return self.weight * self.off

    def variables(self, batch: Routed) -> Tensor:
        """Return z, float [n, d]: standardised by the batch in training, by the running moments else."""
        raw: Tensor = self.compress(plain(batch, self.code_sizes))
        mean, variance = self.mean, self.covariance.diagonal()
        if self.training and len(raw) > 1:
            mean, variance = raw.mean(0), raw.var(0, unbiased=False)
            self._remember(raw.detach())
        return (raw - mean) * torch.rsqrt(variance + _FLOOR)

    def forward(self, batch: Routed) -> Tensor:
        """Return the expert's view of a batch."""
        z = self.variables(batch)
        return self._read(z, z @ self.structure())

    def acyclicity(self) -> Tensor:
        """Return h(W) = ``tr exp(W∘W) - d``."""
        return notears.acyclicity(self.structure())

    def auxiliary_loss(self) -> Tensor:
        """Return the loss of W on the variables: reconstruction, lasso and acyclicity, each as a mean over the variables.

        Its gradient reaches W alone. Multiplier and penalty are held to ``pressure`` here: the network's gradient is clipped as a
        whole, and a fit's last penalty would leave nothing of the other parts'. What cycles this lets through, the fit
        after the epoch removes.
        """
        weight = self.structure()
        multiplier, penalty = (value.clamp(max=self.chosen.pressure) for value in (self.multiplier, self.penalty))
        with torch.autocast(weight.device.type, enabled=False):  # h lives in digits that half precision has not
            violation = notears.acyclicity(weight)
            owed = notears.reconstruction(weight, self._correlation()) + self.chosen.lasso * weight.abs().sum()
        return (owed + multiplier.to(weight) * violation + 0.5 * penalty.to(weight) * violation**2) / len(weight)

    @torch.no_grad()
    def after_epoch(self) -> None:
        """Solve the augmented Lagrangian for the present variables; W, multiplier and penalty change."""
        start = notears.Structural(self.structure().double().cpu().numpy(), float(self.multiplier), float(self.penalty))
        moments = self._correlation().double().cpu().numpy()
        found = notears.fit(moments, start, lasso=self.chosen.lasso, threshold=self.chosen.threshold)
        self.weight.copy_(torch.from_numpy(found.weight))
        self.multiplier.fill_(found.multiplier)
        self.penalty.fill_(found.penalty)

    @torch.no_grad()
    def intervention_share(self, batch: Routed) -> Tensor:
        """Return the share of the output's change under ``do(z_i := z_i + 1)`` passes through W, a number in [0, 1].

        Under the intervention the noise of all variables stays and the effects of z_i follow it, along every path of W. The
        output changes first by z_i itself with all it causes held, and then by what W carries on; the share is that of the
        second step's length in both, averaged over rows and variables. It is 0 where W is 0.
        """
        z, weight = self.variables(batch), self.structure()
        effect = _total_effects(weight)
        told = z @ weight
        before = self._read(z, told)
        carried = total = z.new_zeros(())
        for variable in range(len(weight)):
            alone = z.clone()
            alone[:, variable] += 1.0
            first = self._read(alone, told)
            caused = z + effect[variable]
            second = self._read(caused, caused @ weight)
            step = (second - first).norm(dim=1).sum()
            carried, total = carried + step, total + step + (first - before).norm(dim=1).sum()
        return torch.where(total > 0, carried / total.clamp_min(1e-12), 0.0)

    def _read(self, z: Tensor, told: Tensor) -> Tensor:
        result: Tensor = self.norm(self.body(torch.cat([z, told], 1)))
        return result

    def _correlation(self) -> Tensor:
        scale = torch.rsqrt(self.covariance.diagonal() + _FLOOR)
        return self.covariance * scale * scale[:, None]

    @torch.no_grad()
    def _remember(self, raw: Tensor) -> None:
        """Move the running moments towards those of a batch."""
        self.batches.add_(1.0)
        rate = (1.0 / self.batches).clamp(min=self.chosen.momentum).to(self.mean)
        with torch.autocast(raw.device.type, enabled=False):
            centred = (raw - raw.mean(0)).to(self.mean)
            covariance = centred.T @ centred / len(raw)
        self.mean.lerp_(raw.mean(0).to(self.mean), rate)
        self.covariance.lerp_(covariance, rate)


def _total_effects(weight: Tensor) -> Tensor:
    """Return ``sum_k W^k``, float [d, d]: what a unit of a row's variable adds to each variable along all paths, itself included.

    Of a graph without cycles no path is longer than d - 1 edges.
    """
    one = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
    effect = one
    for _ in range(len(weight) - 1):
        effect = one + effect @ weight
    return effect
