from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from client.learning.networks import build, dropouts, initial_arrays, last_linear
from client.learning.randomness import Dropout, seeded_dropout
from protocol.networks import MLP, NETWORKS, DenseNet, EfficientNet, Network, ResNet, TinyCNN
from protocol.study import Study, parse

torch.set_num_threads(1)  # as every worker of the engine does; more change the bits

ROWS: dict[str, Network] = {
    "tiny-cnn": TinyCNN(),
    "tiny-cnn with dropout": TinyCNN(dropout=0.3),
    "resnet": ResNet(),
    "resnet with dropout": ResNet(dropout=0.3),
    "deeper resnet": ResNet(blocks=(2, 1, 2, 1), channels=(8, 8, 16, 24)),
    "densenet": DenseNet(),
    "small densenet with dropout": DenseNet(blocks=(1, 2, 1), growth=8, dropout=0.3),
    "efficientnet": EfficientNet(),
    "mlp": MLP(),
    "mlp with dropout": MLP(hidden=(9,), dropout=0.3),
}


def study(network: str = "tiny-cnn", seed: int = 0) -> Study:
    classes = [{"name": n, "definition": n} for n in ("clear", "opacity")]
    return parse(
        {
            "schema": 1,
            "name": "test",
            "seed": seed,
            "task": {"classes": classes},
            "network": {"name": network},
        }
    )


def test_every_network_of_the_table_is_tried_here() -> None:
    assert {network.name for network in ROWS.values()} == set(NETWORKS)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("image", [(1, 28, 28), (3, 8, 11), (1, 65, 64)])
def test_network_gives_logits_and_keeps_cases_apart(row: str, image: tuple[int, int, int]) -> None:
    module = build(ROWS[row], image, 3).eval()
    images = torch.randn(2, *image)
    with torch.inference_mode():
        together, alone = module(images), module(images[:1])
    assert together.shape == (2, 3)
    torch.testing.assert_close(together[:1], alone, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("row", ROWS)
def test_no_batch_norm_no_buffer_and_nothing_in_place(row: str) -> None:
    module = build(ROWS[row], (1, 28, 28), 2)
    kinds = {type(m).__name__ for m in module.modules()}
    assert ("GroupNorm" in kinds) != row.startswith("mlp")
    assert not [kind for kind in kinds if "BatchNorm" in kind or "InstanceNorm" in kind]
    assert not [m for m in module.modules() if getattr(m, "inplace", False)]
    assert not dict(module.named_buffers())


@pytest.mark.parametrize("row", ROWS)
def test_last_linear_is_the_end_and_dropout_stands_right_before_it(row: str) -> None:
    module = build(ROWS[row], (1, 16, 16), 2).eval()
    seen: dict[str, torch.Tensor] = {}
    linear = last_linear(module)
    linear.register_forward_hook(lambda _m, given, out: seen.update(given=given[0], out=out))
    for layer in dropouts(module):
        layer.register_forward_hook(lambda _m, _given, out: seen.update(dropped=out))
    logits = module(torch.randn(2, 1, 16, 16))
    assert logits is seen["out"]
    assert linear.out_features == 2
    wanted = 1 if "dropout" in row or row == "efficientnet" else 0
    assert len(dropouts(module)) == wanted == len([m for m in seen if m == "dropped"])
    if wanted:
        assert torch.equal(seen["dropped"].flatten(1), seen["given"])


@pytest.mark.parametrize("row", [row for row in ROWS if row.endswith("with dropout")])
def test_dropout_changes_neither_the_names_of_the_weights_nor_the_first_ones(row: str) -> None:
    first = {}
    for rate in (0.0, 0.3):
        torch.manual_seed(7)
        module = build(ROWS[row].model_copy(update={"dropout": rate}), (1, 28, 28), 2)
        first[rate] = module.state_dict()
    assert list(first[0.0]) == list(first[0.3])
    assert all(torch.equal(first[0.0][name], first[0.3][name]) for name in first[0.0])


def test_a_module_without_a_linear_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="no linear layer"):
        last_linear(nn.Sequential(nn.ReLU()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "parameters", "megaflop"),
    [(TinyCNN(), (5_900, 6_100), (0.9, 1.1)), (ResNet(), (305_000, 310_000), (6.5, 8.5))],
)
def test_sizes_are_those_promised(
    network: Network, parameters: tuple[int, int], megaflop: tuple[float, float]
) -> None:
    module = build(network, (1, 28, 28), 2)
    assert parameters[0] < sum(p.numel() for p in module.parameters()) < parameters[1]
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 1, 28, 28))
    assert megaflop[0] < counter.get_total_flops() / 1e6 < megaflop[1]


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")  # Opacus' own
@pytest.mark.parametrize("row", ["tiny-cnn", "resnet", "deeper resnet", "mlp"])
def test_opacus_finds_the_gradient_of_every_case(row: str) -> None:
    from opacus import GradSampleModule
    from opacus.validators import ModuleValidator

    module = build(ROWS[row], (1, 12, 12), 2)
    assert ModuleValidator.validate(module, strict=False) == []
    images, targets = torch.randn(3, 1, 12, 12), torch.tensor([0, 1, 1])
    wrapped = GradSampleModule(module, loss_reduction="sum")
    nn.functional.cross_entropy(wrapped(images), targets, reduction="sum").backward()
    sampled = [p.grad_sample for p in module.parameters()]
    wrapped.remove_hooks()
    for i in range(3):
        module.zero_grad()
        nn.functional.cross_entropy(module(images[i : i + 1]), targets[i : i + 1]).backward()
        for parameter, samples in zip(module.parameters(), sampled, strict=True):
            torch.testing.assert_close(parameter.grad, samples[i], atol=1e-4, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_initial_arrays_follow_the_seed_and_leave_torch_as_it_was(network: str) -> None:
    before = torch.random.get_rng_state()
    arrays, again = initial_arrays(study(network)), initial_arrays(study(network))
    assert torch.equal(torch.random.get_rng_state(), before)
    other = initial_arrays(study(network, seed=1))
    assert all(a.dtype == np.float32 and a.flags.owndata for a in arrays.values())
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)
    assert any(not np.array_equal(arrays[name], other[name]) for name in arrays)


def test_dropout_masks_come_from_their_generator_and_keep_the_mean() -> None:
    layer, ones = Dropout(0.25), torch.ones(200, 100)
    state = torch.random.get_rng_state()
    with seeded_dropout(layer, torch.Generator().manual_seed(5)):
        first = layer(ones)
    with seeded_dropout(layer, torch.Generator().manual_seed(5)):
        second = layer(ones)
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(first.mean()) == pytest.approx(1, abs=0.02)
    assert layer.eval()(ones) is ones
