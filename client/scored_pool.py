"""The pool as the report step scored it, kept on disk so that select need not score it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.codec import CodecError, pack, unpack
from protocol.files import replace_file
from protocol.records import Indices
from strategies.pool import PER_CASE, Pool

_FOLDER = "scored-pools"


@dataclass(frozen=True, slots=True)
class ScoredPool:
    """Signals of one cycle's pool.

    Attributes:
        study: identity.
        cycle: the cycle that scored it.
        ids: (n,) case ids; row i of every pool signal is case ids[i].
        signals: see `strategies/pool.py`.
    """

    study: str
    cycle: int
    ids: NDArray[np.int64]
    signals: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def pool(self, ids: Indices, *, multi_label: bool) -> tuple[Indices, Pool]:
        """The cases among `ids` that were scored, and their signals, read-only."""
        keep = np.flatnonzero(np.isin(self.ids, ids))
        signals = {
            name: array[keep] if name in PER_CASE and keep.size < self.ids.size else array
            for name, array in self.signals.items()
        }
        for array in signals.values():
            array.flags.writeable = False
        return self.ids[keep], Pool(keep.size, signals, multi_label)


def write(home: Path, scored: ScoredPool, *, sync: bool = True) -> None:
    """Keep a cycle's scored pool, and of the older ones only the cycle before.

    Whoever reads sees a file whole or not at all; writing the same cycle again replaces it.
    """
    folder = home / _FOLDER
    folder.mkdir(exist_ok=True)
    replace_file(folder / _file(scored.study, scored.cycle), pack(scored), sync=sync)
    (folder / _file(scored.study, scored.cycle - 2)).unlink(missing_ok=True)


def read(home: Path, study: str, cycle: int) -> ScoredPool | None:
    """The pool as that cycle scored it; None where it did not, or it is no longer kept."""
    try:
        return unpack(ScoredPool, (home / _FOLDER / _file(study, cycle)).read_bytes())
    except (FileNotFoundError, CodecError):
        return None


def forget(home: Path, ids: Indices, *, sync: bool = True) -> None:
    """Take cases out of every scored pool that is kept."""
    for file in sorted((home / _FOLDER).glob("*.safetensors")):
        try:
            scored = unpack(ScoredPool, file.read_bytes())
        except (FileNotFoundError, CodecError):
            continue  # a step has just let go of it
        keep = np.flatnonzero(~np.isin(scored.ids, ids))
        if keep.size < scored.ids.size:
            signals = {n: a[keep] if n in PER_CASE else a for n, a in scored.signals.items()}
            left = ScoredPool(scored.study, scored.cycle, scored.ids[keep], signals)
            replace_file(file, pack(left), sync=sync)


def _file(study: str, cycle: int) -> str:
    return f"{study[:16]}-{cycle}.safetensors"
