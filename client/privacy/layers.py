"""What each layer adds to the gradients of single samples: how long they are, and a weighted sum.

From a layer's input and the gradient at its output, as one plain backward pass leaves them. What
would be larger by sample than the products that its length is made of is never laid out so (mixed
ghost clipping: Bu, Mao and Xu, NeurIPS 2022, section 4; Bu et al., ICML 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One parameter's part of the samples' gradients.

    Attributes:
        parameter: of the network.
        squares: (n,) squared lengths, in double precision: a server that chooses the weights could
            make single ones cancel to nothing, and a long gradient pass for a short one.
        weighted: the sum over the samples, each times its factor of (n,); in the parameter's shape.
    """

    parameter: Tensor
    squares: Tensor
    weighted: Callable[[Tensor], Tensor]


Rule = Callable[[nn.Module, Tensor, Tensor], Iterator[Part]]


def _linear(layer: nn.Module, x: Tensor, slope: Tensor) -> Iterator[Part]:
    assert isinstance(layer, nn.Linear)  # noqa: S101 - by the table
    lengths = _square(slope)
    yield Part(layer.weight, lengths * _square(x), lambda f: (slope * f[:, None]).t() @ x)
    if layer.bias is not None:
        yield Part(layer.bias, lengths, lambda f: f @ slope)


def _group_norm(layer: nn.Module, x: Tensor, slope: Tensor) -> Iterator[Part]:
    assert isinstance(layer, nn.GroupNorm)  # noqa: S101 - by the table
    flat = slope.flatten(2)
    even = F.group_norm(x, layer.num_groups, eps=layer.eps).flatten(2)
    yield _laid_out(layer.weight, (even * flat).sum(dim=2))
    yield _laid_out(layer.bias, flat.sum(dim=2))


def _convolution(layer: nn.Module, x: Tensor, slope: Tensor) -> Iterator[Part]:
    assert isinstance(layer, nn.Conv2d)  # noqa: S101 - by the table
    assert not isinstance(layer.padding, str)  # noqa: S101 - see `unknown`
    columns = F.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    flat = slope.flatten(2)
    if layer.groups == 1 and 2 * flat.shape[2] ** 2 < layer.weight.numel():
        products = _products(columns) * _products(flat)
        yield Part(layer.weight, products.sum(dim=(1, 2)), _convolved(layer, x, slope))
    else:
        n, groups = len(x), layer.groups
        each = flat.view(n, groups, -1, flat.shape[2])
        seen = columns.view(n, groups, -1, flat.shape[2])
        yield _laid_out(layer.weight, (each @ seen.transpose(2, 3)).reshape(n, -1))
    if layer.bias is not None:
        yield _laid_out(layer.bias, flat.sum(dim=2))


RULES: Mapping[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    nn.GroupNorm: _group_norm,
    nn.Conv2d: _convolution,
}


def unknown(layer: nn.Module) -> bool:
    """Whether the layer has parameters of its own and there is no rule for them."""
    if not any(True for _ in layer.parameters(recurse=False)):
        return False
    if type(layer) not in RULES:
        return True
    return isinstance(layer, nn.Conv2d) and (
        isinstance(layer.padding, str) or layer.padding_mode != "zeros"
    )


def _laid_out(parameter: Tensor, samples: Tensor) -> Part:
    """A part whose gradients by sample are there, (n, numbers)."""
    return Part(parameter, _square(samples), lambda f: (f @ samples).view(parameter.shape))


def _convolved(layer: nn.Conv2d, x: Tensor, slope: Tensor) -> Callable[[Tensor], Tensor]:
    """The gradient of a convolution's weights, as a plain backward pass computes it."""

    def weighted(factor: Tensor) -> Tensor:
        _, gradient, _ = torch.ops.aten.convolution_backward(
            slope * factor[:, None, None, None],
            x,
            layer.weight,
            None,
            layer.stride,
            layer.padding,
            layer.dilation,
            False,
            [0, 0],
            layer.groups,
            [False, True, False],
        )
        found: Tensor = gradient
        return found

    return weighted


def _products(rows: Tensor) -> Tensor:
    """(n, places, places) inner products between the places of (n, channels, places)."""
    exact = rows.double()
    return exact.transpose(1, 2) @ exact


def _square(rows: Tensor) -> Tensor:
    """(n,) squared lengths of (n, numbers)."""
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)
    return lengths.square()
