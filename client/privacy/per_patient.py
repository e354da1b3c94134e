"""Gradients of single patients, clipped and summed, from one backward pass of the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from client.learning.networks import build
from client.learning.resident import Resident
from client.privacy.layers import RULES, Part, unknown
from protocol.study import Study, StudyError


@dataclass(slots=True, eq=False)
class Watched:
    """Layers with parameters, what went into each and what came out, since the last `parts`."""

    _layers: list[nn.Module] = field(default_factory=list)
    _inputs: list[Tensor] = field(default_factory=list)
    _outputs: list[Tensor] = field(default_factory=list)

    def see(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        """A forward hook."""
        self._layers.append(layer)
        self._inputs.append(inputs[0].detach())
        self._outputs.append(output)

    def parts(self, loss: Tensor) -> list[Part]:
        """What every parameter has of each sample's gradient.

        Args:
            loss: the sum over the samples.

        Raises:
            RuntimeError: a layer was called more than once, so that its gradients would add up.
        """
        if len(set(self._layers)) < len(self._layers):
            raise RuntimeError("a layer is called twice")
        slopes = torch.autograd.grad(loss, self._outputs)
        seen = zip(self._layers, self._inputs, slopes, strict=True)
        with torch.no_grad():
            found = [part for layer, x, g in seen for part in RULES[type(layer)](layer, x, g)]
        self._layers, self._inputs, self._outputs = [], [], []
        return found


@contextmanager
def per_sample(module: nn.Module) -> Iterator[Watched]:
    """Within the block, what a backward pass needs to tell the samples apart is kept."""
    watched = Watched()
    hooks = [m.register_forward_hook(watched.see) for m in module.modules() if type(m) in RULES]
    try:
        yield watched
    finally:
        for hook in hooks:
            hook.remove()


def add_clipped(
    resident: Resident,
    watched: Watched,
    loss: Tensor,
    total: Tensor,
    clip: float,
    *,
    clipping: bool = True,
) -> Tensor:
    """Add every sample's gradient, shortened to `clip`, to `total`; their norms before, (n,).

    Args:
        resident: whose parameters they are.
        watched: of `per_sample`.
        loss: the sum over the samples, each a patient's.
        total: laid out as `resident.flat`; added to in place.
        clip: largest norm.
        clipping: False only where a test plants the fault.
    """
    parts = {id(part.parameter): part for part in watched.parts(loss)}
    norms = torch.stack([part.squares for part in parts.values()]).sum(dim=0).sqrt().float()
    factor = (clip / norms.clamp_min(1e-12)).clamp(max=1.0) if clipping else torch.ones_like(norms)
    with torch.no_grad():
        for slot in resident.slots:
            total[slot.rows] += parts[id(slot.parameter)].weighted(factor).flatten()
    return norms


def check_network(study: Study) -> None:
    """Refuse a private study whose network has no gradients of single cases.

    Raises:
        StudyError: by the network's name, with the reason.
    """
    with torch.random.fork_rng(devices=[]):
        module = build(study.network, study.task.image, len(study.task.classes))
    if reason := why_not(module, study.task.image):
        raise StudyError(
            f"network.name = {study.network.name!r}: it cannot be trained in a private study, "
            f"since {reason}; accepted are networks whose cases do not touch each other"
        )


def why_not(module: nn.Module, image: tuple[int, int, int]) -> str:
    """Why a module cannot be trained privately, in a few words; "" if it can."""
    module.train()
    for name, layer in module.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            return f"its layer {name} normalises over the cases of a batch"
        if getattr(layer, "inplace", False) is True:
            return f"its layer {name} changes values in place"
    from opacus.validators import ModuleValidator  # seconds, and only whoever checks a study waits

    if errors := ModuleValidator.validate(module, strict=False):
        return f"Opacus says: {' '.join(str(errors[0]).split())[:120]}"
    for name, layer in module.named_modules():
        if unknown(layer):
            return f"its layer {name} ({type(layer).__name__}) has no gradients by case"
    try:
        _try(module, image)
    except RuntimeError as error:
        return f"its gradients by case fail ({error})"[:160]
    return ""


def _try(module: nn.Module, image: tuple[int, int, int]) -> None:
    """One backward pass of two cases; every parameter has a part in it."""
    with per_sample(module) as watched:
        found = {id(p.parameter) for p in watched.parts(module(torch.zeros(2, *image)).sum())}
    for name, parameter in module.named_parameters():
        if id(parameter) not in found:
            raise RuntimeError(f"{name} has none")
