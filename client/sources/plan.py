"""How a case's stored numbers become a volume: found once at import, kept in its locator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from client.images import Geometry, Window


@dataclass(frozen=True, slots=True)
class Plan:
    """A volume before it is read.

    Attributes:
        shape: slices, height, width.
        dtype: of its slices, "int16", "uint16", or "uint8" in colour.
        exact: the volume holds the stored values; else shown values, spread over 16 bits.
        geometry: of the volume.
    """

    shape: tuple[int, int, int]
    dtype: str
    exact: bool
    geometry: Geometry

    @property
    def colour(self) -> bool:
        """Whether slices are red, green and blue."""
        return self.dtype == "uint8"

    @property
    def whole(self) -> tuple[int, ...]:
        """The shape of the array of slices."""
        return (*self.shape, 3) if self.colour else self.shape


def as_json(plan: Plan) -> dict[str, Any]:
    """Plain JSON that `from_json` reads."""
    return asdict(plan)


def from_json(content: Mapping[str, Any]) -> Plan:
    """The plan that `as_json` wrote."""
    told = dict(content["geometry"])
    told["windows"] = tuple(Window(**window) for window in told["windows"])
    told["spacing"] = tuple(told["spacing"])
    told["directions"] = tuple(told["directions"])
    slices, height, width = content["shape"]
    return Plan((slices, height, width), content["dtype"], bool(content["exact"]), Geometry(**told))
