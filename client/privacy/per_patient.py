"""Gradients of single patients, clipped and summed: Opacus' hooks on the one resident model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from opacus.grad_sample import GradSampleModule
from opacus.validators import ModuleValidator
from torch import Tensor, nn

from client.learning.networks import build
from client.learning.resident import Resident
from protocol.study import Study, StudyError


@contextmanager
def per_sample(resident: Resident) -> Iterator[GradSampleModule]:
    """Within the block, backward passes leave each sample's gradient beside every parameter."""
    module = GradSampleModule(resident.module, loss_reduction="sum", strict=True)
    try:
        with quiet():
            yield module
    finally:
        forget(resident)
        module.remove_hooks()
        for parameter in resident.module.parameters():
            for name in ("grad_sample", "_forward_counter"):
                if hasattr(parameter, name):
                    delattr(parameter, name)


@contextmanager
def quiet() -> Iterator[None]:
    """Within the block torch does not warn that the first layer's input needs no gradient."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield


def add_clipped(
    resident: Resident, loss: Tensor, total: Tensor, clip: float, *, clipping: bool = True
) -> Tensor:
    """Add every sample's gradient, shortened to `clip`, to `total`; their norms before, (n,).

    Args:
        resident: whose module is within `per_sample`.
        loss: the sum over the samples, each a patient's.
        total: laid out as `resident.flat`; added to in place.
        clip: largest norm.
        clipping: False only where a test plants the fault.
    """
    torch.autograd.backward(loss)
    slots = [(slot, samples(slot.parameter)) for slot in resident.slots]
    norms: Tensor = torch.stack([g.flatten(1).norm(dim=1) for _, g in slots], dim=1).norm(dim=1)
    factor = (clip / norms.clamp_min(1e-12)).clamp(max=1.0) if clipping else torch.ones_like(norms)
    for slot, gradient in slots:
        total[slot.rows] += torch.einsum("n,n...->...", factor, gradient).flatten()
    forget(resident)
    return norms


def samples(parameter: nn.Parameter) -> Tensor:
    """The gradients of a parameter by sample, (n, *shape)."""
    found: Tensor | list[Tensor] = getattr(parameter, "grad_sample")  # noqa: B009  # Opacus sets it
    return torch.stack(found).sum(dim=0) if isinstance(found, list) else found


def forget(resident: Resident) -> None:
    """Let go of the gradients, of samples and of the batch."""
    resident.gradient.zero_()
    for parameter in resident.module.parameters():
        if hasattr(parameter, "grad_sample"):
            parameter.grad_sample = None


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
    if errors := ModuleValidator.validate(module, strict=False):
        return f"Opacus says: {' '.join(str(errors[0]).split())[:120]}"
    try:
        _try(module, image)
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        return f"its gradients by case fail ({type(error).__name__})"
    return ""


def _try(module: nn.Module, image: tuple[int, int, int]) -> None:
    """One backward pass of two cases; every parameter has a gradient of each."""
    wrapped = GradSampleModule(module, loss_reduction="sum", strict=True)
    with quiet():
        torch.autograd.backward(wrapped(torch.zeros(2, *image)).sum())
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and getattr(parameter, "grad_sample", None) is None:
            raise RuntimeError(name)
