"""Why a strategy asked for a case, as one sentence that a physician understands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from strategies.pool import Needs

Words: TypeAlias = Callable[[NDArray[np.float64], Sequence[str], bool], str]
"""From the model's probabilities, the names of the classes and whether several may hold."""

AT_RANDOM = "It was drawn at random."
"""Of audit and exploration cases, too: a reader cannot tell one from the other."""

SURE = 0.9
"""From this probability on nobody would call the model unsure."""

_OF_GROUP = (
    "Of its group of unread cases that look alike (a group may be a single case) it was among "
    "those the model was least sure of"
)


def why(
    name: str,
    needs: Needs,
    probs: NDArray[np.float64],
    classes: Sequence[str],
    *,
    multi: bool,
    varied: bool = False,
) -> str:
    """Why the strategy of that name took a case.

    A strategy that is not in our table is judged by the signals that it asks for.

    Args:
        name: of the strategy, as in a study file.
        needs: of the strategy.
        probs: (classes,) what the model says of the case.
        classes: their names.
        multi: several classes may hold.
        varied: the study gives the strategy arguments of its own.
    """
    if name == "ward" and varied:
        return _other(probs, classes, multi)  # it may not go by looks or by the model's doubt
    return _KINDS.get(name, _by_needs(needs))(probs, classes, multi)


def _random(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> str:
    return AT_RANDOM


def _doubt(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> str:
    sure, of = _between(probs, classes, multi)
    if not sure:
        return f"The model was unsure {of}."
    joint = ", and least" if multi else ":"
    return f"The model was less sure of it than of other cases{joint} {of}."


def _between(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> tuple[bool, str]:
    """Whether nobody would call the model unsure of the case, and what it had to decide."""
    if multi:
        least = int(np.abs(probs - 0.5).argmin())
        sure = max(probs[least], 1 - probs[least]) >= SURE
        return bool(sure), f"whether it shows {classes[least]} ({probs[least]:.2f})"
    first, second = np.argsort(-probs, kind="stable")[:2]
    both = f"({probs[first]:.2f} to {probs[second]:.2f})"
    if probs[first] >= SURE:
        return True, f"{classes[first]} rather than {classes[second]} {both}"
    return False, f"between {classes[first]} and {classes[second]} {both}"


def _alike(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> str:
    """True of the surest case, too: a group may be a single case, or give several."""
    sure, of = _between(probs, classes, multi)
    if not sure:
        return f"The model was unsure {of}. {_OF_GROUP}."
    joint = ", above all" if multi else ":"
    return f"{_OF_GROUP}{joint} {of}."


def _torn(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> str:
    return "Asked several times with parts of it switched off, the model answered differently."


def _unlike(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> str:
    return "To the model it is unlike the cases read so far."


def _typical(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> str:
    return "To the model it stands for many cases that nobody has read."


def _both(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> str:
    return f"{_doubt(probs, classes, multi)} And it is unlike the others asked for."


def _near(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> str:
    return (
        "A little of a case read before, mixed in, would change the model's mind; or it was drawn "
        "at random, where too few such cases were left."
    )


def _scarce(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> str:
    likeliest = classes[int(probs.argmax())]
    return f"The model takes it most for {likeliest}, and asks for cases of every class."


def _apart(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> str:
    return "The shared model and one trained on this hospital's cases alone differ or are unsure."


def _other(probs: NDArray[np.float64], classes: Sequence[str], multi: bool) -> str:
    return "The study's own rule asked for it."


_KINDS: Mapping[str, Words] = {
    "random": _random,
    "entropy": _doubt,
    "margin": _doubt,
    "least-confidence": _doubt,
    "threshold-random": _doubt,
    "bald": _torn,
    "batchbald": _torn,
    "powerbald": _torn,
    "coreset": _unlike,
    "badge": _both,
    "typiclust": _typical,
    "federated-typiclust": _typical,
    "probcover": _typical,
    "maxherding": _typical,
    "alfa-mix": _near,
    "class-balanced": _scarce,
    "cost-aware": _other,
    "fairfal": _apart,
    "feal": _apart,
    "fedal": _apart,
    "kafal": _apart,
    "logo": _apart,
    "ward": _alike,
}


def _by_needs(needs: Needs) -> Words:
    if not needs.signals:
        return _other  # it may look at nothing, or at what is not ours to know
    if "mc_probs" in needs.signals:
        return _torn
    if not needs.models <= {"global"}:
        return _apart
    if "probs" in needs.signals:
        return _both if "features" in needs.signals else _doubt
    return _unlike if "features" in needs.signals else _other
