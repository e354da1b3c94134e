"""What the model says of cases: probabilities, features, and the signals of a query strategy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from client.learning.images import normalised
from client.learning.networks import dropouts, last_linear
from client.learning.randomness import Dropout, seeded_dropout, torch_generator
from client.learning.resident import Resident
from protocol.sections import Task
from strategies.pool import Needs, NotFinite

BATCH = 250
"""Cases in a forward pass: the fastest on a CPU, and a bound on memory."""

_HEAD = frozenset({"head_weights", "head_bias"})
OF_A_MODEL = frozenset({"probs", "logits", "features", "labeled_probs", "labeled_features"})
"""What one model says of the pool and of the labeled cases."""

GLOBAL = OF_A_MODEL | {"mc_probs", "labeled_targets"} | _HEAD
"""What `signals` knows to tell, of the model it is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """What one pass over n cases gave.

    Attributes:
        probs: (n, classes); rows sum to 1 unless classes are independent of each other.
        features: (n, d) at the input of the last linear layer, where they were asked for.
    """

    probs: NDArray[np.float64]
    features: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Outputs:
    """Of one pass: logits (n, classes), features (n, d), and mc (n, members, classes) logits."""

    logits: NDArray[np.float32]
    features: NDArray[np.float32] | None
    mc: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Head:
    """A network's last layer with the dropout before it, left on for some members."""

    linear: nn.Linear
    dropout: Dropout
    members: int
    masks: torch.Generator

    def logits(self, features: Tensor) -> Tensor:
        """(n, members, classes) from features (n, d), fresh masks for every member and case."""
        self.dropout.train()
        with seeded_dropout(self.dropout, self.masks):
            drawn = [self.linear(self.dropout(features)) for _ in range(self.members)]
        self.dropout.eval()
        return torch.stack(drawn, dim=1)


def predict(
    resident: Resident,
    images: NDArray[np.uint8],
    *,
    task: Task,
    batch: int = BATCH,
    features: bool = False,
) -> Predicted:
    """Probabilities of each case, and its features where asked, in one pass without dropout.

    Args:
        resident: the model.
        images: (n, channels, height, width), n may be 0.
        task: whether classes are independent of each other (sigmoid) or not (softmax).
        batch: cases in a forward pass.
        features: whether to keep the input of the last linear layer.

    Raises:
        NotFinite: an output is NaN or infinite.
    """
    out = _passed(resident, images, batch=batch, features=features)
    return Predicted(_probabilities(out.logits, task), out.features)


def mc_predict(
    resident: Resident,
    images: NDArray[np.uint8],
    members: int,
    *,
    task: Task,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Probabilities (n, members, classes) with dropout left on, one mask per member and case.

    Monte Carlo dropout (Gal and Ghahramani, ICML 2016). Dropout stands right before the last layer,
    so one pass gives the features, and every member costs that layer alone.

    Raises:
        ValueError: members below 1, or a network without dropout.
        NotFinite: an output is NaN or infinite.
    """
    return _probabilities(_passed(resident, images, head=_head(resident, members, rng)).mc, task)


def signals(
    resident: Resident,
    needs: Needs,
    pool_images: NDArray[np.uint8],
    labeled_images: NDArray[np.uint8],
    labeled_targets: NDArray[Any],
    *,
    task: Task,
    rng: np.random.Generator,
) -> dict[str, NDArray[Any]]:
    """The signals a strategy needs and no others, read-only; one pass over the pool for all of it.

    Args:
        resident: the model.
        needs: which signals.
        pool_images: (n, channels, height, width) uint8.
        labeled_images: (m, channels, height, width) uint8, m may be 0.
        labeled_targets: (m, classes).
        task: see `predict`.
        rng: of the dropout masks of "mc_probs".

    Raises:
        ValueError: a signal nobody knows, members below 1, or "mc_probs" without dropout.
        NotFinite: an output is NaN or infinite.
    """
    wanted = needs.signals
    if odd := sorted(wanted - GLOBAL):
        raise ValueError(f"unknown signal '{odd[0]}'; known: {', '.join(sorted(GLOBAL))}")
    head = _head(resident, needs.members, rng) if "mc_probs" in wanted else None
    found = of_a_model(resident, wanted, pool_images, labeled_images, task=task, head=head)
    if wanted & _HEAD:
        found.update(_last_layer(resident))
    found["labeled_targets"] = np.array(labeled_targets, dtype=np.float64)
    return frozen({k: array for k, array in found.items() if k in wanted})


def of_a_model(
    resident: Resident,
    wanted: frozenset[str],
    pool_images: NDArray[np.uint8],
    labeled_images: NDArray[np.uint8],
    *,
    task: Task,
    head: _Head | None = None,
) -> dict[str, NDArray[Any]]:
    """What one model says, at least what is wanted of it, in one pass over each set of images.

    Args:
        resident: the model.
        wanted: names of `OF_A_MODEL`; others are left alone.
        pool_images: (n, channels, height, width) uint8.
        labeled_images: (m, channels, height, width) uint8, m may be 0.
        task: see `predict`.
        head: for "mc_probs", made in the same pass.

    Raises:
        NotFinite: an output is NaN or infinite.
    """
    found: dict[str, NDArray[Any] | None] = {}
    if wanted & {"probs", "logits", "features"} or head is not None:
        out = _passed(resident, pool_images, features="features" in wanted, head=head)
        found["logits"], found["features"] = out.logits, out.features
        found["probs"] = _probabilities(out.logits, task)
        found["mc_probs"] = _probabilities(out.mc, task)
    if wanted & {"labeled_probs", "labeled_features"}:
        out = _passed(resident, labeled_images, features="labeled_features" in wanted)
        found["labeled_features"] = out.features
        found["labeled_probs"] = _probabilities(out.logits, task)
    return {name: array for name, array in found.items() if array is not None}


def _last_layer(resident: Resident) -> dict[str, NDArray[np.float32]]:
    """Copies of the last layer's weights (classes, d) and bias (classes,)."""
    linear = last_linear(resident.module)
    found: dict[str, NDArray[np.float32]] = {
        "head_weights": linear.weight.detach().float().cpu().numpy().copy(),
        "head_bias": linear.bias.detach().float().cpu().numpy().copy(),
    }
    for name, array in found.items():
        _refuse_non_finite(name.replace("_", " "), array)
    return found


def frozen(found: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same arrays, read-only."""
    for array in found.values():
        array.flags.writeable = False
    return dict(found)


def _passed(
    resident: Resident,
    images: NDArray[np.uint8],
    *,
    batch: int = BATCH,
    features: bool = False,
    head: _Head | None = None,
) -> _Outputs:
    """One pass over the images without gradients; every output is finite."""
    n, linear = len(images), last_linear(resident.module)
    members = head.members if head is not None else 0
    logits = np.empty((n, linear.out_features), dtype=np.float32)
    kept = np.empty((n, linear.in_features), dtype=np.float32) if features else None
    mc = np.empty((n, members, linear.out_features), dtype=np.float32)
    resident.module.eval()
    with torch.inference_mode(), _inputs(linear) as seen:
        for rows in (slice(i, i + batch) for i in range(0, n, batch)):
            logits[rows] = resident.module(normalised(images[rows], resident.device)).cpu().numpy()
            if kept is not None:
                kept[rows] = seen[0].cpu().numpy()
            if head is not None:
                mc[rows] = head.logits(seen[0]).cpu().numpy()
            seen.clear()
    _refuse_non_finite("logits", logits)
    _refuse_non_finite("dropout logits", mc)
    if kept is not None:
        _refuse_non_finite("features", kept)
    return _Outputs(logits, kept, mc)


@contextmanager
def _inputs(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Within the block, what the layer is given, call by call."""
    seen: list[Tensor] = []

    def keep(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen.append(arguments[0])

    hook = layer.register_forward_pre_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def _head(resident: Resident, members: int, rng: np.random.Generator) -> _Head:
    layers = dropouts(resident.module)
    if members < 1:
        raise ValueError(f"mc_probs with {members} members: accepted is at least 1")
    if len(layers) != 1:
        raise ValueError(
            f"mc_probs of a network with {len(layers)} dropout layers: accepted is one, "
            "set network.dropout above 0"
        )
    masks = torch_generator(rng, resident.device)
    return _Head(last_linear(resident.module), layers[0], members, masks)


def _probabilities(logits: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
    """Softmax or sigmoid over the last axis, in float64."""
    wide = torch.from_numpy(logits).double()
    return (torch.sigmoid(wide) if task.multi_label else torch.softmax(wide, dim=-1)).numpy()


def _refuse_non_finite(name: str, array: NDArray[np.float32]) -> None:
    odd = array.size - np.count_nonzero(np.isfinite(array))
    if odd:
        raise NotFinite(f"{odd} of {array.size} {name} of the model are not finite: accepted is 0")
