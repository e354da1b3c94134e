"""The modules of the closed table in `protocol/networks.py`, and their first weights.

Every network that normalises does it with GroupNorm, so that a case never depends on its batch;
none changes anything in place or adds residuals so, so that per-sample gradients exist (Opacus);
each has at most one dropout, right before its last linear layer, and with or without it the same
names of weights: models that differ in it alone begin from the same ones.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from client.learning.halving import Halved
from client.learning.randomness import Dropout, followed
from protocol.networks import MLP, DenseNet, EfficientNet, Network, ResNet, TinyCNN
from protocol.seeds import Purpose, generator
from protocol.study import Study

Image: TypeAlias = tuple[int, int, int]


def build(network: Network, image: Image, classes: int) -> nn.Module:
    """The network as a module from float32 (n, channels, height, width) to (n, classes) logits.

    Its weights are drawn from torch's global generator; `initial_arrays` makes those of a study.

    Args:
        network: one row of the table, with its arguments.
        image: channels, height, width, at least 8 x 8.
        classes: width of the last layer, at least 1.
    """
    if isinstance(network, TinyCNN):
        return _tiny_cnn(network, image, classes)
    if isinstance(network, MLP):
        return _mlp(network, image, classes)
    # Imported late: MONAI takes seconds, and a study of tiny networks needs none of it.
    from client.learning import monai_networks

    if isinstance(network, ResNet):
        return monai_networks.resnet(network, image, classes)
    if isinstance(network, DenseNet):
        return monai_networks.densenet(network, image, classes)
    if isinstance(network, EfficientNet):
        return monai_networks.efficientnet(network, image, classes)
    raise TypeError(f"{type(network).__name__} is not a row of the table of networks")


def initial_arrays(study: Study) -> dict[str, NDArray[Any]]:
    """The study's first weights by parameter name, float32, from the study's seed alone.

    Torch's global generator is afterwards what it was.
    """
    seed = int(generator(study.seed, -1, 0, 0, Purpose.WEIGHTS).integers(2**63))
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would also reach the accelerators' generators.
        torch.default_generator.manual_seed(seed)
        module = build(study.network, study.task.image, len(study.task.classes))
    return {name: np.array(tensor.numpy()) for name, tensor in module.state_dict().items()}


def last_linear(module: nn.Module) -> nn.Linear:
    """The last linear layer: features are its input, logits its output.

    Raises:
        ValueError: the module has none.
    """
    layers = [m for m in module.modules() if isinstance(m, nn.Linear)]
    if not layers:
        raise ValueError(f"{type(module).__name__} has no linear layer; a network ends in one")
    return layers[-1]


def dropouts(module: nn.Module) -> list[Dropout]:
    """The module's dropout layers with a rate above 0: one right before the last layer, or none."""
    return [m for m in module.modules() if isinstance(m, Dropout) and m.p > 0]


def _tiny_cnn(network: TinyCNN, image: Image, classes: int) -> nn.Module:
    """conv8-16-32; the pool stands before the ReLU: the same values for a quarter of the work."""
    layers: list[nn.Module] = []
    channels = image[0]
    for width, pool in ((8, True), (16, True), (32, False)):
        layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=False))
        layers.append(nn.GroupNorm(4, width))
        layers += [Halved()] if pool else []
        layers.append(nn.ReLU())
        channels = width
    layers += [nn.AdaptiveAvgPool2d(1), followed(nn.Flatten(), network.dropout)]
    return nn.Sequential(*layers, nn.Linear(channels, classes))


def _mlp(network: MLP, image: Image, classes: int) -> nn.Module:
    """Linear layers with ReLU between them, over the pixels of all channels."""
    layers: list[nn.Module] = [nn.Flatten()]
    width = image[0] * image[1] * image[2]
    for hidden in network.hidden:
        layers += [nn.Linear(width, hidden), nn.ReLU()]
        width = hidden
    layers[-1] = followed(layers[-1], network.dropout)
    return nn.Sequential(*layers, nn.Linear(width, classes))
