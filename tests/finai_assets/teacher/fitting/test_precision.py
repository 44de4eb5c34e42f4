from __future__ import annotations

import pytest
import torch

from finai_assets.teacher.fitting.precision import Precision
from finai_assets.teacher.fitting.process_group import ProcessGroup, device_of
from finai_assets.teacher.network.ple import PLE
from finai_resources.errors import ConfigError

CPU = torch.device("cpu")


def test_a_cpu_computes_in_float32_whatever_is_configured():
    for name in ("float32", "bfloat16", "float16"):
        with Precision.of(CPU, name).cast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert Precision.of(torch.device("cuda"), "bfloat16").dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_half_precision_computes_matrices_in_half_and_gives_nearly_the_same_logits(
    name, normaliser, teacher_tasks, panel, small
):
    torch.manual_seed(0)
    model = PLE(normaliser, teacher_tasks, small.teacher).eval()
    x = torch.from_numpy(normaliser.transform(panel.X[:64], None if panel.side is None else panel.side[:64]))
    precision = Precision(CPU, name)
    with precision.cast(), torch.no_grad():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == getattr(torch, name)
        half = model(x).logits
    with torch.no_grad():
        full = model(x).logits
    for task in teacher_tasks:
        gap = (half[task.name].float() - full[task.name]) / task.scale
        assert gap.isfinite().all()
        assert gap.abs().mean() < 0.05, task.name


def test_a_step_whose_scaled_gradient_overflows_is_left_out_and_the_scale_halved():
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimiser = torch.optim.SGD([weight], lr=0.1)
    precision = Precision(CPU, "float16")
    before = precision.scaler.get_scale()
    assert precision.may_overflow()
    for factor, moved in ((float("inf"), False), (2.0, True)):
        optimiser.zero_grad()
        precision.scaled((weight * factor).sum()).backward()
        precision.scaler.unscale_(optimiser)
        old = weight.item()
        precision.step(optimiser)
        assert (weight.item() != old) is moved
    assert precision.scaler.get_scale() == before / 2
    assert weight.item() == pytest.approx(1 - 0.1 * 2)
    again = Precision(CPU, "float16")
    again.restore(precision.state())
    assert again.scaler.get_scale() == before / 2


def test_without_a_scale_an_infinite_gradient_is_nobodys_doing_but_its_own():
    assert not Precision(CPU, "bfloat16").may_overflow()


def test_a_gpu_that_is_not_there_is_refused_and_auto_falls_back():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert device_of("auto") == CPU
    with pytest.raises(ConfigError, match="0 GPUs"):
        device_of("cuda")
    alone = ProcessGroup.join("auto")
    assert (alone.rank, alone.size, alone.leads) == (0, 1, True)
