"""The one model that a worker keeps and fills with each site's arrays in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from client.learning.networks import Image, build
from protocol.networks import Network
from protocol.records import Arrays

_ALIGNED = 16
"""Every parameter starts on a multiple of 16 floats, which is one cache line."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one parameter lies in the flat vector."""

    name: str
    parameter: nn.Parameter
    rows: slice

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the parameter."""
        return tuple(self.parameter.shape)


class Resident:
    """A module whose parameters are views of one flat float32 vector, and so are their gradients.

    One vector means one copy to load, one to save, and one tensor for the optimizer. Nothing of a
    site stays behind: `load` overwrites all of it. Every weight is 0 until the first `load`. A
    resident serves one thread at a time.

    Attributes:
        module: the network.
        device: where it computes.
        flat: every parameter, in the module's order, with a few zeros between them.
        gradient: of the same layout.
        slots: where each parameter lies in it.
    """

    def __init__(self, network: Network, image: Image, classes: int, device: str = "cpu") -> None:
        self.device = torch.device(device)
        # Not on torch's meta device: to draw there imports torch's compiler, which takes seconds.
        with torch.random.fork_rng(devices=[]):
            self.module: nn.Module = build(network, image, classes).to(self.device)
        slots, size = [], 0
        for name, parameter in self.module.named_parameters():
            slots.append(Slot(name, parameter, slice(size, size + parameter.numel())))
            size += -(-parameter.numel() // _ALIGNED) * _ALIGNED
        self.slots = tuple(slots)
        self.flat = torch.zeros(size, device=self.device)
        self.gradient = torch.zeros_like(self.flat)
        for slot in self.slots:
            slot.parameter.data = self.flat[slot.rows].view(slot.shape)
        names = {slot.name for slot in slots}
        self._buffers = {k: b for k, b in self.module.state_dict().items() if k not in names}
        on_cpu = self.device.type == "cpu"
        self._host: NDArray[np.float32] = (self.flat if on_cpu else self.flat.cpu()).numpy()

    def load(self, arrays: Arrays) -> None:
        """Take these arrays as the model's weights; they are copied.

        Raises:
            ValueError: a name is missing or too many, or a shape or dtype is not the network's; the
                weights are then as before.
        """
        self.check(arrays)
        for slot in self.slots:
            self._host[slot.rows] = arrays[slot.name].reshape(-1)
        if self.device.type != "cpu":
            self.flat.copy_(torch.from_numpy(self._host))
        for name, buffer in self._buffers.items():
            buffer.copy_(torch.from_numpy(np.array(arrays[name])))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies of the model's weights by name, float32; they share one block of memory."""
        vector = self.flat.cpu().numpy().copy()
        content: dict[str, NDArray[Any]] = {
            slot.name: vector[slot.rows].reshape(slot.shape) for slot in self.slots
        }
        return content | {k: b.cpu().numpy().copy() for k, b in self._buffers.items()}

    def bind_gradients(self) -> Tensor:
        """The flat gradient, zeroed: that of the flat vector, with every parameter's a view of it.

        An optimizer of someone else's may have taken the views away since the last training.
        """
        for slot in self.slots:
            slot.parameter.grad = self.gradient[slot.rows].view(slot.shape)
        self.flat.grad = self.gradient
        return self.gradient.zero_()

    def check(self, arrays: Arrays) -> None:
        """Refuse arrays that are not this network's, as `load` does."""
        wanted = {s.name: (s.shape, np.dtype(np.float32)) for s in self.slots} | {
            name: (tuple(b.shape), np.dtype(str(b.dtype).removeprefix("torch.")))
            for name, b in self._buffers.items()
        }
        if arrays.keys() != wanted.keys():
            odd = sorted(arrays.keys() ^ wanted.keys())
            what = "is missing" if odd[0] in wanted else "is not of this network"
            raise ValueError(
                f"array '{odd[0]}' {what}: {len(arrays)} arrays given, "
                f"accepted are this network's {len(wanted)}"
            )
        for name, (shape, dtype) in wanted.items():
            given = arrays[name]
            if given.shape != shape or given.dtype != dtype:
                raise ValueError(
                    f"array '{name}' is {given.dtype} of shape {given.shape}: "
                    f"accepted is {dtype} of shape {shape}"
                )
