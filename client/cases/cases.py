"""The cases of one source as arrays, checked once where they come in."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.records import Indices

Split: TypeAlias = Literal["pool", "val", "test"]

SPLITS: tuple[Split, ...] = ("pool", "val", "test")
_SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")


class CasesError(ValueError):
    """A source of cases that is refused, in one sentence without case or patient ids."""


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """The cases of one source; row i of every field is the same case. Stays at the site.

    Attributes:
        keys: (n,) each once.
        patients: (n,) equal to the key where the source names no patients.
        clustered: the source names patients, so intervals can be clustered on them.
        splits: (n,) "pool", "val" or "test".
        sites: (n,) the source's own site column, or None.
        targets: (n, classes) uint8 of 0 and 1, the hidden truth, or None where there is none.
        images: (n, channels, height, width) uint8, read-only.

    Raises:
        CasesError: the fields disagree in length, or one of them is malformed.
    """

    keys: tuple[str, ...]
    patients: tuple[str, ...]
    clustered: bool
    splits: tuple[Split, ...]
    sites: tuple[str, ...] | None
    targets: NDArray[np.uint8] | None
    images: NDArray[np.uint8]

    def __post_init__(self) -> None:
        """Check the fields and make the arrays read-only."""
        _check_names(self)
        _check_arrays(self)
        object.__setattr__(self, "images", _read_only(self.images))
        if self.targets is not None:
            object.__setattr__(self, "targets", _read_only(self.targets))

    def __len__(self) -> int:
        """The number of cases."""
        return len(self.keys)

    @property
    def digest(self) -> str:
        """SHA-256 (hex, 64) of names and arrays.

        The same cases in the same order have the same digest whatever file held them.
        Every pixel is read, so keep it rather than ask twice.
        """
        names = [self.keys, self.patients, self.clustered, self.splits, self.sites]
        sha = hashlib.sha256(json.dumps(names).encode())
        for array in (self.targets, self.images):
            shape = "none" if array is None else f"{array.dtype}{array.shape}"
            sha.update(shape.encode())
            if array is not None:
                sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()

    def rows(self, split: Split) -> Indices:
        """The rows of one split, in order."""
        return np.flatnonzero(np.asarray(self.splits) == split).astype(np.int64)

    def take(self, rows: Indices | Sequence[int]) -> Cases:
        """The cases of those rows, in that order."""
        index = np.asarray(rows, dtype=np.int64)
        return Cases(
            keys=tuple(self.keys[i] for i in index),
            patients=tuple(self.patients[i] for i in index),
            clustered=self.clustered,
            splits=tuple(self.splits[i] for i in index),
            sites=None if self.sites is None else tuple(self.sites[i] for i in index),
            targets=None if self.targets is None else self.targets[index],
            images=self.images[index],
        )

    def without_truth(self) -> Cases:
        """The same cases with the hidden truth taken away: what a simulated site may hold."""
        return replace(self, targets=None)


def admit(cases: Cases, source: str) -> Cases:
    """The cases of a source that a study can start from.

    Args:
        source: name for the message, such as the file's.
    Raises:
        CasesError: no case in the pool, or patients with cases in two splits.
    """
    if "pool" not in cases.splits:
        raise CasesError(f"{source}: the pool is empty; accepted is at least one case in it")
    pairs = set(zip(cases.patients, cases.splits, strict=True))
    if twice := len(pairs) - len(set(cases.patients)):
        raise CasesError(
            f"{source}: {twice} times a patient has cases in more than one split; "
            "accepted is one split for each patient"
        )
    return cases


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _check_names(cases: Cases) -> None:
    n = len(cases.keys)
    if len(set(cases.keys)) != n:
        raise CasesError(f"{n - len(set(cases.keys))} case keys occur twice; accepted is once each")
    lengths = {"patients": len(cases.patients), "splits": len(cases.splits)}
    if cases.sites is not None:
        lengths["sites"] = len(cases.sites)
    for name, length in lengths.items():
        if length != n:
            raise CasesError(f"{length} {name} for {n} cases; accepted is one for each case")
    if strange := set(cases.splits) - set(SPLITS):
        raise CasesError(f"{len(strange)} unknown splits; accepted is pool, val or test")
    if not all(cases.patients) or not all(cases.keys):
        raise CasesError("a case key or patient is empty; accepted is a name for each case")
    if not all(_SITE_NAME.fullmatch(site) for site in set(cases.sites or ())):
        raise CasesError(
            "a site's name is not plain; accepted are 1 to 64 letters, digits, spaces, . _ and -, "
            "a letter or digit first"
        )


def _check_arrays(cases: Cases) -> None:
    n, images, targets = len(cases.keys), cases.images, cases.targets
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != n:
        raise CasesError(
            f"images are {images.dtype} {images.shape}; "
            f"accepted is uint8 ({n}, channels, height, width)"
        )
    if targets is None:
        return
    if targets.dtype != np.uint8 or targets.ndim != 2 or len(targets) != n:
        raise CasesError(
            f"targets are {targets.dtype} {targets.shape}; accepted is uint8 ({n}, classes)"
        )
    if np.any(targets > 1):
        raise CasesError(f"targets hold {int(targets.max())}; accepted is 0 and 1")
