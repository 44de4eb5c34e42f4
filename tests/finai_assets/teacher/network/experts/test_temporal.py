from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from finai_assets.settings import load_settings
from finai_assets.teacher.network.experts import build_expert
from finai_assets.teacher.network.experts.sequence.liquid import LiquidCell, advance
from finai_assets.teacher.network.experts.sequence.patch_transformer import AttentionBlock
from finai_assets.teacher.network.experts.sequence.patches import PatchEmbedding, tensor_embedding
from finai_assets.teacher.network.experts.sequence.selective_kernel import compiled_state
from finai_assets.teacher.network.experts.sequence.selective_ssm import SelectiveSSM, tensor_state
from finai_assets.teacher.network.experts.sequence.steps import Steps
from finai_assets.teacher.network.experts.temporal import BRANCHES, Temporal
from finai_assets.teacher.network.router import Days, Route, Routed, SequenceInput, SequenceSlots
from finai_assets.teacher.structure import Structure
from finai_resources.errors import ConfigError

CODES, STEPS = 9, 24
SMALL = {
    "channels": 8, "states": 4, "step_rank": 2, "reads": 2, "patch": 5, "code_width": 6, "width": 12, "heads": 2,
    "layers": 1, "units": 10, "view": 16, "hidden": [24],
}  # fmt: skip


def settings(**sizes):
    return load_settings(
        "synthetic",
        "demo",
        overrides={"teacher": {"expert_dim": 16, "dropout": 0.0, "expert": {"temporal": {**SMALL, **sizes}}}},
    ).teacher


def route(steps=STEPS, codes=CODES, scalars=4):
    at = tuple(range(steps))
    slots = SequenceSlots((at, at, at), (at,), (codes,), 0, steps, Days(1, 110.0, 85.0))
    return Route(("txn_lag_tensor", "hmm_states"), tuple(range(scalars)), (0,), (3,), (slots,))


def draw(n, *, steps=STEPS, codes=CODES, seed=0, length=None):
    """Amount, standardised age (older to the right) and hour; any length, the empty sequence and the full one included."""
    random = torch.Generator().manual_seed(seed)
    age = torch.rand(n, steps, generator=random).mul(0.1).cumsum(1) - 1.3
    rest = torch.randn(2, n, steps, generator=random)
    drawn = torch.randint(0, steps + 1, (n,), generator=random)
    drawn[:2] = torch.tensor([0, steps])[: len(drawn[:2])]
    sequence = SequenceInput(
        torch.stack([rest[0], age, rest[1]], 1),
        torch.randint(0, codes, (n, 1, steps), generator=random),
        drawn if length is None else torch.full((n,), length),
    )
    return Routed(torch.randn(n, 4, generator=random), torch.randint(0, 3, (n, 1), generator=random), (sequence,))


def changed(batch, **parts):
    return replace(batch, sequences=(replace(batch.sequences[0], **parts),))


@pytest.fixture
def expert():
    torch.manual_seed(0)
    return build_expert("temporal", route(), settings(), Structure.none()).eval()


def steps_of(expert, batch):
    return expert.reader(batch.sequences[0])


def test_a_batch_becomes_one_finite_vector_a_row_and_a_gate_that_adds_up_to_one(expert):
    batch = draw(32)
    out, view = expert(batch), expert.view(batch)
    assert out.shape == (32, 16)
    assert out.isfinite().all()
    assert view.branches.shape == (32, len(BRANCHES), 16)
    torch.testing.assert_close(view.gate.sum(1), torch.ones(32))
    assert (view.gate > 0).all()
    assert view.gate.std(0).min() > 1e-3  # by row, not by model


def test_the_output_is_made_of_the_branches_in_the_shares_of_the_gate(expert):
    batch = draw(8)
    view = expert.view(batch)
    mixed = sum(view.gate[:, k, None] * view.branches[:, k] for k in range(3))
    plain = torch.cat([mixed, batch.scalars, functional.one_hot(batch.codes[:, 0], 3).float()], 1)
    torch.testing.assert_close(expert(batch), functional.layer_norm(expert.last(plain), (16,)))


def test_the_gradient_reaches_every_parameter(expert):
    out = expert(draw(256))
    (out * torch.randn_like(out)).sum().backward()
    assert [name for name, p in expert.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_output_depends_on_each_input(expert):
    batch, other = draw(32, length=20), draw(32, seed=1, length=20)
    out, sequence = expert(batch), other.sequences[0]
    variants = {
        "scalars": replace(batch, scalars=other.scalars),
        "codes": replace(batch, codes=(batch.codes + 1) % 3),
        "sequence codes": changed(batch, codes=sequence.codes),
        "length": changed(batch, length=torch.full((32,), 17)),
    }
    for channel in range(3):
        scalars = batch.sequences[0].scalars.clone()
        scalars[:, channel] = sequence.scalars[:, channel]
        variants[f"channel {channel}"] = changed(batch, scalars=scalars)
    for name, variant in variants.items():
        assert (expert(variant) - out).abs().amax(1).min() > 1e-5, name


def test_a_row_does_not_depend_on_the_others_of_its_batch(expert):
    batch = draw(300)
    for row in (0, 1, 7, 299):
        sequence = batch.sequences[0]
        alone = Routed(
            batch.scalars[[row]],
            batch.codes[[row]],
            (SequenceInput(sequence.scalars[[row]], sequence.codes[[row]], sequence.length[[row]]),),
        )
        torch.testing.assert_close(expert(alone)[0], expert(batch)[row], rtol=1e-5, atol=1e-5)


def test_output_and_gradient_are_the_same_bits_again_and_with_other_threads(expert):
    def run():
        expert.zero_grad()
        out = expert(draw(300))
        (out * torch.arange(16.0)).sum().backward()
        return [out.detach(), expert.selective_ssm.table.grad.clone(), expert.patches.places.grad.clone()]

    first = run()
    assert all(torch.equal(left, right) for left, right in zip(first, run(), strict=True))
    state = compiled_state(steps_of(expert, draw(300)), expert.selective_ssm.weights)
    torch.set_num_threads(3)
    again = compiled_state(steps_of(expert, draw(300)), expert.selective_ssm.weights)
    assert all(torch.equal(left, right) for left, right in zip(state, again, strict=True))


def test_it_is_exported_as_a_graph_of_plain_tensor_operations(expert):
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.expert = expert

        def forward(self, scalars, codes, values, sequence_codes, length):
            return self.expert(Routed(scalars, codes, (SequenceInput(values, sequence_codes, length),)))

    batch = draw(16)
    sequence = batch.sequences[0]
    example = (batch.scalars, batch.codes, sequence.scalars, sequence.codes, sequence.length)
    program = torch.export.export(Plain(), example)
    torch.testing.assert_close(program.module()(*example), expert(batch), rtol=1e-4, atol=1e-5)


def test_no_tensor_is_made_on_a_device_of_its_own_choice(expert):
    def moved(value):
        return value.to("meta")

    batch = draw(16)
    sequence = batch.sequences[0]
    away = SequenceInput(moved(sequence.scalars), moved(sequence.codes), moved(sequence.length))
    out = expert.to("meta")(Routed(moved(batch.scalars), moved(batch.codes), (away,)))
    assert out.device.type == "meta"


def test_the_demo_profile_stays_within_its_parameters():
    teacher = load_settings("synthetic", "demo").teacher
    expert = build_expert("temporal", route(steps=200, codes=100, scalars=75), teacher, Structure.none())
    assert sum(p.numel() for p in expert.parameters()) <= 250_000


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # the kernels, and the tensor path
def test_whatever_stands_beyond_the_length_changes_neither_output_nor_gradient(expert, dtype):
    batch = draw(64)
    sequence = batch.sequences[0]
    batch = changed(replace(batch, scalars=batch.scalars.to(dtype)), scalars=sequence.scalars.to(dtype))
    beyond = (torch.arange(STEPS) >= sequence.length[:, None])[:, None]
    out = expert.to(dtype)(batch)
    for garbage in (float("nan"), float("inf"), -1e30, 3.0):
        scalars = torch.where(beyond, garbage, batch.sequences[0].scalars).requires_grad_()
        filled = changed(batch, scalars=scalars, codes=torch.where(beyond, 10**12, sequence.codes))
        assert torch.equal(expert(filled), out)
        (gradient,) = torch.autograd.grad(expert(filled).square().cumsum(1).sum(), scalars)
        assert gradient.isfinite().all()
        assert not gradient[beyond.expand_as(gradient)].any()


def test_the_gradient_by_the_inputs_is_that_of_the_tensor_path(expert):
    batch = draw(64)
    direction = torch.randn(64, 16)

    def by_input(module, dtype):
        sequence = batch.sequences[0]
        scalars = sequence.scalars.to(dtype).requires_grad_()
        routed = Routed(batch.scalars.to(dtype), batch.codes, (replace(sequence, scalars=scalars),))
        return torch.autograd.grad((module.to(dtype)(routed) * direction).sum(), scalars)[0]

    compiled = by_input(expert, torch.float32)
    torch.testing.assert_close(compiled.double(), by_input(expert, torch.float64), rtol=1e-3, atol=1e-4)


def test_each_branch_and_the_whole_change_when_the_order_is_shuffled(expert):
    """The times stay: the transactions change places."""
    batch = draw(64, length=20)
    sequence = batch.sequences[0]
    order = torch.cat([torch.randperm(20, generator=torch.Generator().manual_seed(2)), torch.arange(20, STEPS)])
    scalars = sequence.scalars.clone()
    scalars[:, [0, 2]] = sequence.scalars[:, [0, 2]][:, :, order]
    shuffled = changed(batch, scalars=scalars, codes=sequence.codes[:, :, order])
    before, after = expert.view(batch).branches, expert.view(shuffled).branches
    assert (before - after).abs().amax(2).amin(0).min() > 1e-2
    assert (expert(batch) - expert(shuffled)).abs().amax(1).min() > 1e-2


class Bag(nn.Module):
    """The share of each code among the steps that exist, through a perceptron: all that is known without the order."""

    def __init__(self, codes):
        super().__init__()
        self.codes = codes
        self.body = nn.Sequential(nn.Linear(codes, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 16))

    def forward(self, batch):
        return self.body(functional.one_hot(batch.sequences[0].codes[:, 0], self.codes).float().mean(1))


class OnlyBranch(nn.Module):
    def __init__(self, expert, branch):
        super().__init__()
        self.expert, self.branch = expert, BRANCHES.index(branch)

    def forward(self, batch):
        return self.expert.view(batch).branches[:, self.branch]


def parity_accuracy(model, rounds):
    """Train on the parity of the newest three codes, of two classes of codes, and return the accuracy on other rows."""

    def rows(n, seed):
        batch = draw(n, steps=20, codes=5, seed=seed, length=20)
        codes = batch.sequences[0].codes
        return batch, ((codes[:, 0, :3] >= 3).sum(1) % 2).float()

    head = nn.Linear(16, 1)
    optimiser = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=0.02)
    for seed in range(rounds):
        batch, label = rows(256, seed)
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(head(model(batch))[:, 0], label).backward()
        optimiser.step()
    other, truth = rows(512, rounds)
    with torch.no_grad():
        return ((head(model(other))[:, 0] > 0).float() == truth).float().mean().item()


def small_expert(steps=20):
    torch.manual_seed(0)
    return Temporal(route(steps=steps, codes=5), settings())


def test_it_learns_the_parity_of_the_last_three_codes_which_a_bag_of_codes_cannot():
    assert parity_accuracy(small_expert(), 250) > 0.95
    torch.manual_seed(0)
    assert parity_accuracy(Bag(5), 250) < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("branch", BRANCHES)
def test_each_branch_learns_the_parity_by_itself(branch):
    assert parity_accuracy(OnlyBranch(small_expert(), branch), 250) > 0.9


def random_steps(n, *, dtype=torch.float32):
    reader = small_expert(STEPS).reader
    steps = reader(draw(n, codes=5).sequences[0])
    return Steps(steps.numbers.to(dtype), steps.codes, steps.length, steps.age.to(dtype))


def literal_state(steps, weights):
    """Run the recurrence as it is written, a row and a step at a time, from the oldest transaction to the newest."""
    states, inputs = [], []
    for i, length in enumerate(steps.length.tolist()):
        h = torch.zeros(len(weights.select) - len(weights.step), weights.table.shape[1], dtype=torch.float64)
        past, x = [torch.zeros(weights.table.shape[1], dtype=torch.float64)] * 4, h[0]
        for t in range(length - 1, -1, -1):
            u = weights.table[steps.codes[i, :, t]].sum(0) + steps.numbers[i, :, t] @ weights.numbers
            past = [u, *past[:3]]
            mixed = sum(w * value for w, value in zip(weights.convolution, past, strict=True))
            x = functional.silu(weights.convolution_bias + mixed)
            chosen = weights.select @ x
            rank = len(weights.step)
            delta = functional.softplus(weights.step_bias + chosen[:rank] @ weights.step)
            h = torch.exp(delta * weights.a) * h + chosen[rank:, None] * (delta * x)
        states.append(h)
        inputs.append(x)
    return torch.stack(states), torch.stack(inputs)


def test_the_selective_state_is_that_of_the_recurrence_step_by_step():
    ssm = small_expert().selective_ssm.double()
    steps = random_steps(12, dtype=torch.float64)
    for found, expected in zip(tensor_state(steps, ssm.weights), literal_state(steps, ssm.weights), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("length", [200, None])
def test_the_kernel_of_the_selective_state_and_its_gradient_equal_the_tensor_path(length):
    torch.manual_seed(0)
    ssm = SelectiveSSM(7, 5, channels=16, states=8, rank=4, reads=4, width=8)
    reader = Temporal(route(steps=200, codes=7), settings()).reader
    steps = reader(draw(160, steps=200, codes=7, length=length).sequences[0])
    directions = torch.randn(160, 8, 16), torch.randn(160, 16)

    def run(make):
        numbers = steps.numbers.clone().requires_grad_()
        found = make(replace(steps, numbers=numbers), ssm.weights)
        ssm.zero_grad()
        sum((value * direction).sum() for value, direction in zip(found, directions, strict=True)).backward()
        grads = {name: p.grad.clone() for name, p in ssm.named_parameters() if p.grad is not None}
        return {"h": found[0], "x": found[1], "by numbers": numbers.grad, **grads}

    compiled, plain = run(compiled_state), run(tensor_state)
    assert compiled.keys() == plain.keys()
    assert len(plain) == 11
    for name, value in plain.items():
        scale = value.abs().max().clamp_min(1e-3)
        torch.testing.assert_close(compiled[name] / scale, value / scale, rtol=1e-4, atol=1e-4, msg=name)


def test_what_a_transaction_writes_and_how_long_it_stays_are_chosen_by_the_input():
    """With delta and B held to constants the state would be linear in its inputs; a selective one is not."""
    ssm = small_expert().selective_ssm.double()
    steps = random_steps(12, dtype=torch.float64)
    weights = ssm.weights
    fixed = weights._replace(step=torch.zeros_like(weights.step))
    assert (tensor_state(steps, fixed)[0] - tensor_state(steps, weights)[0]).abs().max() > 1e-5
    assert (weights.a < 0).all()


def patch_embedding():
    torch.manual_seed(0)
    return PatchEmbedding(5, 5, steps=25, patch=5, code_width=6, width=12)


def test_a_patch_is_a_linear_map_of_its_steps_side_by_side():
    embedding, steps = patch_embedding(), random_steps(12)
    exists = steps.mask[:, None]
    coded = embedding.table[steps.codes[:, 0]].transpose(1, 2) * exists
    sides = torch.cat([coded, steps.numbers], 1).unflatten(2, (5, 5))  # [n, 6 + 5, patches, 5]
    maps = torch.cat([embedding.places, embedding.numbers], 1)  # [5, 6 + 5, 12]
    expected = torch.einsum("nfkp,pfw->nkw", sides, maps) + embedding.position
    torch.testing.assert_close(embedding(steps), expected, rtol=1e-4, atol=1e-5)


def test_the_kernel_of_the_patches_and_its_gradient_equal_the_tensor_path():
    embedding, steps = patch_embedding(), random_steps(300)
    direction = torch.randn(300, 5, 12)

    def run(embed):
        numbers = steps.numbers.clone().requires_grad_()
        embedding.zero_grad()
        found = embed(replace(steps, numbers=numbers))
        (found * direction).sum().backward()
        return [found.detach(), numbers.grad, *(p.grad.clone() for p in embedding.parameters())]

    plain = run(lambda s: tensor_embedding(s, embedding.folded, embedding.numbers) + embedding.position)
    for left, right in zip(run(embedding), plain, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


def test_attention_is_the_softmax_of_scaled_products_over_the_patches_that_exist():
    torch.manual_seed(0)
    block = AttentionBlock(12, 2)
    x, exists = torch.randn(6, 5, 12), torch.arange(5) < torch.tensor([1, 2, 3, 4, 5, 5])[:, None]
    query, key, value = (
        part.view(6, 5, 2, 6).transpose(1, 2) for part in block.queries_keys_values(block.norm(x)).chunk(3, -1)
    )
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=exists[:, None, None])
    y = x + block.out(mixed.transpose(1, 2).reshape(6, 5, 12))
    expected = y + block.leave(functional.silu(block.enter(block.norm(y))))
    torch.testing.assert_close(block(x, exists), expected, rtol=1e-4, atol=1e-5)


def test_the_liquid_state_goes_from_g_to_h_as_time_passes_and_at_the_rate_f():
    x, drive = torch.zeros(1, 1), torch.tensor([[0.5, 0.3, -0.8]])  # f, g, h of a cell that forgets its state
    recurrent = torch.zeros(1, 3)
    g, h = torch.tanh(drive[:, 1:2]), torch.tanh(drive[:, 2:3])
    for gap in (0.0, 1.0, 4.0):
        weight = torch.sigmoid(torch.tensor(-0.5 * gap))
        found = advance(x, drive, torch.tensor([[gap]]), recurrent)
        torch.testing.assert_close(found, weight * g + (1 - weight) * h)
    torch.testing.assert_close(advance(x, drive, torch.tensor([[1e4]]), recurrent), h)


def test_the_liquid_cell_depends_on_the_gaps_and_skips_patches_that_do_not_exist():
    torch.manual_seed(0)
    cell = LiquidCell(12, units=10, out=16)
    patches, gap = torch.randn(4, 5, 12), torch.rand(4, 5)
    exists = torch.tensor([[True, True, True, False, False]]).expand(4, 5)
    out = cell(patches, exists, gap)
    for k in range(3):
        longer = gap.clone()
        longer[:, k] += 2
        assert (cell(patches, exists, longer) - out).abs().amax(1).min() > 1e-4
    torch.testing.assert_close(cell(patches[:, :3], exists[:, :3], gap[:, :3]), out)


def test_longer_gaps_between_the_same_transactions_change_the_liquid_branch(expert):
    batch = draw(32, length=20)
    scalars = batch.sequences[0].scalars.clone()
    stretched = scalars.clone()
    stretched[:, 1] = scalars[:, 1, :1] + 3 * (scalars[:, 1] - scalars[:, 1, :1])
    short, long = (steps_of(expert, changed(batch, scalars=s)) for s in (scalars, stretched))
    gaps = expert.patches.gaps
    days = torch.expm1(gaps(short))
    torch.testing.assert_close(torch.expm1(gaps(long)), 3 * days, rtol=1e-3, atol=1e-3)
    assert (days[:, 3:] == 0).all()  # 20 transactions are four patches, and the oldest has none before it
    patches, exists = expert.patches(short), expert.patches.exists(short.length)
    change = expert.liquid(patches, exists, gaps(short)) - expert.liquid(patches, exists, gaps(long))
    assert change.abs().amax(1).min() > 1e-4


def test_a_route_without_a_sequence_or_without_its_ages_is_refused():
    with pytest.raises(ConfigError, match="reads one sequence"):
        Temporal(Route(("hmm_states",), (0,), (), (), ()), settings())
    ageless = replace(route(), sequences=(replace(route().sequences[0], days=None),))
    with pytest.raises(ConfigError, match="none of the 3 scalar channels of the sequence is in days"):
        Temporal(ageless, settings())


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match="does not share out among 5 heads"):
        settings(heads=5)
