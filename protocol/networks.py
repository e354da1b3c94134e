"""The closed table of networks a study may name, each with typed arguments.

Only arguments are here: `client/learning/networks.py` builds the modules, so that a server can
check a study without torch. None of them names a file, an address or a pretrained model to load.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from protocol.sentences import refuse

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

Count: TypeAlias = Annotated[int, Field(ge=1)]

Dropout: TypeAlias = Annotated[
    float, Field(ge=0, lt=1, description="dropout before the last layer; BALD needs more than 0")
]


class TinyCNN(BaseModel):
    """Three convolutions (8, 16, 32 channels) with GroupNorm: about 6,000 parameters."""

    model_config = _STRICT
    name: Literal["tiny-cnn"] = "tiny-cnn"
    dropout: Dropout = 0.0


class ResNet(BaseModel):
    """MONAI's ResNet with GroupNorm in every block; the defaults make about 310,000 parameters."""

    model_config = _STRICT
    name: Literal["resnet"] = "resnet"
    blocks: tuple[Count, ...] = Field(
        (1, 1, 1, 1), min_length=4, max_length=4, description="residual blocks in each of 4 stages"
    )
    channels: tuple[Count, ...] = Field(
        (16, 32, 64, 128), min_length=4, max_length=4, description="channels of each of 4 stages"
    )
    groups: int = Field(8, ge=1, description="groups of GroupNorm; must divide every channel count")
    dropout: Dropout = 0.0

    @model_validator(mode="after")
    def _groups_divide(self) -> ResNet:
        if any(c % self.groups for c in self.channels):
            raise refuse(
                "network.channels",
                self.channels,
                f"multiples of network.groups = {self.groups}",
            )
        return self


class DenseNet(BaseModel):
    """MONAI's DenseNet with GroupNorm; the defaults are DenseNet-121's."""

    model_config = _STRICT
    name: Literal["densenet"] = "densenet"
    blocks: tuple[Count, ...] = Field(
        (6, 12, 24, 16), min_length=2, max_length=4, description="layers in each dense block"
    )
    growth: int = Field(32, ge=8, multiple_of=8, description="channels each layer adds")
    dropout: Dropout = 0.0


class EfficientNet(BaseModel):
    """MONAI's EfficientNet with GroupNorm."""

    model_config = _STRICT
    name: Literal["efficientnet"] = "efficientnet"
    variant: Literal["b0", "b1", "b2", "b3"] = Field("b0", description="size, b0 smallest")


class MLP(BaseModel):
    """Fully connected layers on all pixels at once: for tables of numbers laid out as an image."""

    model_config = _STRICT
    name: Literal["mlp"] = "mlp"
    hidden: tuple[Count, ...] = Field(
        (32, 16), min_length=1, max_length=8, description="width of each hidden layer"
    )
    dropout: Dropout = 0.0


Network: TypeAlias = Annotated[
    TinyCNN | ResNet | DenseNet | EfficientNet | MLP, Field(discriminator="name")
]

NETWORKS: dict[str, type[BaseModel]] = {
    "tiny-cnn": TinyCNN,
    "resnet": ResNet,
    "densenet": DenseNet,
    "efficientnet": EfficientNet,
    "mlp": MLP,
}
