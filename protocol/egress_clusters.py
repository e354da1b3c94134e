"""What may leave of clusters: means and counts of large ones, and none of fewer cases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from protocol.clusters import MOST_FEATURES, limits
from protocol.egress_fields import Rule, Taken, Whole, wrong
from protocol.egress_parts import ARRAY_BYTES, Several, Table, key

if TYPE_CHECKING:
    from protocol.study import Study


@dataclass(frozen=True, slots=True)
class Means:
    """At most so many rows of float32 numbers from -1 to 1."""

    most: int

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        array = arrays.get(key(path))
        if value is not None or array is None or array.dtype != np.float32 or array.ndim != 2:
            raise wrong(path, self.words)
        if len(array) > self.most or array.shape[1] > MOST_FEATURES:
            raise wrong(path, self.words)
        if array.size and not np.abs(array).max() <= 1 + 1e-5:  # NaN is refused, too
            raise wrong(path, self.words)
        yield key(path)

    @property
    def words(self) -> str:
        """See `Rule`."""
        return f"of at most {self.most} clusters the mean of the model's features (float32)"

    @property
    def largest(self) -> int:
        """See `Rule`."""
        return 4 * self.most * MOST_FEATURES + ARRAY_BYTES + 64


@dataclass(frozen=True, slots=True)
class Together(Table):
    """The fields of one row each: as many counts as means, and no more labels than cases."""

    def check(self, value: Any, arrays: Taken, path: str) -> Iterable[str]:
        """See `Rule`."""
        found = list(Table.check(self, value, arrays, path))
        cases, labels = value["cases"], value["labels"]
        if not len(cases) == len(labels) == len(arrays[key(f"{path}.means")]):
            raise wrong(path, "as many counts as means")
        if any(few > many for few, many in zip(labels, cases, strict=True)):
            raise wrong(f"{path}.labels", "no more than cases")
        return found


def clusters_of(study: Study, own: Rule) -> Together:
    """What a site tells of its clusters, `own` being the rule of its name."""
    most, least = limits(study)
    return Together(
        {
            "site": own,
            "means": Means(most),
            "cases": Several(Whole(least), most),
            "labels": Several(Whole(), most),
        }
    )
