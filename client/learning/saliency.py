"""Where in an image the evidence for a class lies: Grad-CAM on the study's networks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from client.learning.images import normalised
from client.learning.resident import Resident
from protocol.networks import DenseNet, EfficientNet, Network, ResNet, TinyCNN

AT_ONCE = 32
PIXELS = 2**17
"""Cases and pixels in a pass: every activation is kept for the way back, in a DenseNet-121 some
100 MB for one case of 224 x 224.
"""

FINEST = 64
"""Rows and columns of a map at most."""


def maps(
    resident: Resident, network: Network, images: NDArray[np.uint8], chosen: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """(n, rows, columns) of 0 to 255: how much each place speaks for the chosen class of its case.

    Grad-CAM (Selvaraju et al., ICCV 2017), by MONAI, over the last features that still have
    places; 255 is the strongest place of the case itself, and all 0 that none speaks for the class.
    (n, 0, 0) where the network is none of the table's or its last features are a single place.

    Args:
        resident: the model, which stays as it is.
        network: its row of the table.
        images: (n, channels, height, width).
        chosen: (n,) classes.
    """
    layer = layer_of(network, resident.module)
    found = np.zeros((len(images), 0, 0), dtype=np.uint8)
    if not layer or not len(images):
        return found
    from monai.visualize.class_activation_maps import GradCAM  # takes seconds

    # MONAI's hooks stay on what it is given, and its gradients are not to reach the resident's.
    module = copy.deepcopy(resident.module).requires_grad_(False).eval()
    cam = GradCAM(module, layer, upsampler=lambda size: _coarse, postprocessing=_scaled)
    step = max(1, min(AT_ONCE, PIXELS // int(np.prod(images.shape[2:]))))
    for one in sorted(set(chosen.tolist())):  # a pass is for one class
        rows = np.flatnonzero(chosen == one)
        for some in (rows[i : i + step] for i in range(0, len(rows), step)):
            pixels = normalised(images[some], resident.device).requires_grad_()
            made = cam(pixels, class_idx=int(one))[:, 0].cpu().numpy()
            if not found.size:
                found = np.zeros((len(images), *made.shape[1:]), dtype=np.uint8)
            found[some] = made
    return found if max(found.shape[1:]) > 1 else found[:, :0, :0]


def layer_of(network: Network, module: nn.Module) -> str:
    """The name of the last layer whose output still has places; "" where there is none.

    Behind the normalisation, since GroupNorm takes out of the gradient before it what all places
    have in common.
    """
    if isinstance(network, TinyCNN):
        pools = [n for n, m in module.named_children() if isinstance(m, nn.AdaptiveAvgPool2d)]
        return str(int(pools[-1]) - 1)
    names: dict[type[Any], str] = {
        ResNet: "layer4",
        DenseNet: "class_layers.relu",
        EfficientNet: "_bn1",  # the activation after it is the stem's, too
    }
    return names.get(type(network), "")


def _coarse(found: Tensor) -> Tensor:
    """At most `FINEST` rows and columns."""
    rows, columns = found.shape[2:]
    size = (min(rows, FINEST), min(columns, FINEST))
    return torch.nn.functional.adaptive_avg_pool2d(found, size)


def _scaled(found: Tensor) -> Tensor:
    """Each map over its own largest value, as whole numbers up to 255."""
    largest = found.detach().amax(dim=(1, 2, 3), keepdim=True)
    share = torch.where(largest > 0, found.detach() / largest.clamp_min(1e-30), 0.0)
    return torch.nan_to_num(share * 255).round().to(torch.uint8)
