"""The study's network as a class that NVFLARE's server can name; for the peer's environment."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor, nn

from client.learning.networks import build
from protocol.study import parse


class Net(nn.Module):
    """The network of the study in a JSON file."""

    def __init__(self, study: str) -> None:
        super().__init__()
        self.study = study
        parsed = parse(json.loads(Path(study).read_text(encoding="utf-8")))
        self.net = build(parsed.network, parsed.task.image, len(parsed.task.classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        logits: Tensor = self.net(x)
        return logits
