"""How SecAgg+ hides the sites' updates in their sum: what both sides derive from the study.

Source: Bell et al., Secure Single-Server Aggregation with (Poly)Logarithmic Overhead, CCS 2020, as
Flower implements it. The site checks that the server asks for just this masking.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.codec import CodecError, decode, encode
from protocol.records import Arrays, SiteUpdate, StepKey
from protocol.steps import StepRequest
from protocol.study import Study

LEAST_SITES = 3
"""Of two sites each would know the other's update from the sum."""

MASKED = "SecAgg"
"""What the audit log calls each of the four messages of a masked round."""

MASKED_FIELDS = (
    ("public keys", "two for this round, the site's own"),
    ("sealed shares", "pieces of this round's keys, each sealed for one other site"),
    ("masked numbers", "the change of the model, its loss and steps, times its weight, under a "
     "mask that falls away in the sum alone"),
    ("revealed shares", "pieces of keys that take the masks off the sum: of who stayed the one "
     "half, of who left the other"),
)  # fmt: skip
"""What they hold, in words."""

MASKED_BYTES = 8
"""Of a masked number, as Flower sends it."""

KEYS_BYTES = 2**18
"""More than keys and shares of some hundred sites take."""

_GROUP = re.compile(r"([0-9a-f]{64}) (0|[1-9][0-9]{0,8}) (0|[1-9][0-9]{0,8})")
_CLIPPING = 8.0  # of a change times its share of the largest weight: no sane training comes near
_WORD = 32  # bits of a masked number
_FINEST = 28  # bits of an unmasked one: beyond this float32 itself is coarser


@dataclass(frozen=True, slots=True)
class Masking:
    """The numbers of one round's masking.

    Attributes:
        shares: pieces that each site's keys are cut into, one for each site.
        threshold: pieces that put a key together: so many sites must stay to the end.
        clipping: a weighted change is cut to this range around 0.
        levels: steps of that range; the sum over all sites fits into `modulus`.
        modulus: of the masked numbers.
        most: the largest weight that one site may have.
    """

    shares: int
    threshold: int
    clipping: float
    levels: int
    modulus: int
    most: float


def masking(study: Study, sites: int) -> Masking:
    """The masking of a round of so many sites.

    More than half of the sites must stay, so that no half of them can take the other's masks off.
    """
    room = _WORD - (sites - 1).bit_length()
    return Masking(
        shares=sites,
        threshold=sites // 2 + 1,
        clipping=_CLIPPING,
        levels=2 ** min(room, _FINEST),
        modulus=2**_WORD,
        most=heaviest(study),
    )


def group_of(key: StepKey) -> str:
    """The group that a round's messages carry: which step they are of."""
    return f"{key.study} {key.cycle} {key.round}"


def key_of(group: str) -> StepKey:
    """The train step that a group names.

    Raises:
        CodecError: it names none.
    """
    found = _GROUP.fullmatch(group)
    if found is None:
        raise CodecError("a masked round of no step")
    return StepKey(found[1], int(found[2]), "train", int(found[3]))


def heaviest(study: Study) -> float:
    """The largest weight of one site: all labels that the budget can pay for."""
    per_unit = 1 if study.budget.unit == "readings" else 60
    return float(min(study.budget.total * per_unit, 2**24))


def asked(request: StepRequest) -> tuple[list[NDArray[Any]], dict[str, bytes]]:
    """A train request as Flower's parameters and configuration: arrays in the order of names."""
    document, arrays = encode(request)
    names = sorted(arrays)
    said = json.dumps({"document": document, "names": names})
    return [np.asarray(arrays[n]) for n in names], {"request": said.encode()}


def understood(parameters: list[NDArray[Any]], config: Mapping[str, object]) -> StepRequest:
    """The train request of Flower's parameters and configuration.

    Raises:
        CodecError: they say none.
    """
    try:
        text = config["request"]
        said = json.loads(text if isinstance(text, bytes) else b"")
        names = [str(name) for name in said["names"]]
        arrays = dict(zip(names, parameters, strict=True))
        return decode(StepRequest, said["document"], arrays)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise CodecError("a masked train request that cannot be read") from None


def changes(update: SiteUpdate, start: Arrays) -> list[NDArray[np.float64]]:
    """What goes under the mask, in the order of names: each array's change, then the statistics."""
    moved = [
        np.asarray(update.arrays[name], dtype=np.float64) - np.asarray(start[name], np.float64)
        for name in sorted(start)
    ]
    return [*moved, np.array([update.loss, float(update.steps)])]


def mean_update(means: list[NDArray[Any]], start: Arrays, sites: int) -> SiteUpdate | None:
    """The mean of all sites' updates, as if one site had sent it; None where none had weight.

    Args:
        means: of what `changes` makes, weighted by the sites' weights.
        start: the global arrays of the request.
        sites: how many took part.
    Raises:
        CodecError: they do not fit the request.
    """
    names = sorted(start)
    if [np.shape(m) for m in means] != [*(np.shape(start[n]) for n in names), (2,)]:
        raise CodecError("a sum of other shapes than the request's")
    if not all(np.isfinite(m).all() for m in means):  # divided by no weight at all
        return None
    arrays = {
        name: np.asarray(start[name], dtype=np.float64) + mean
        for name, mean in zip(names, means, strict=False)
    }
    loss, steps = (float(value) for value in means[-1])
    return SiteUpdate("all", arrays, float(sites), max(loss, 0.0), round(max(steps, 0.0)))
