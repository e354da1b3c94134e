"""Lines of a results file, made up from a curve of AUROC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

LABELS = (24, 72, 120)


def _measured(auroc: float, loss: float) -> dict[str, Any]:
    numbers = {"auroc": [auroc, auroc, auroc], "log_loss": [loss, loss, loss]}
    scopes = dict.fromkeys(("pooled", "macro", "worst"), numbers)
    return {
        "audit": None,
        "locked": {
            "cases": 10,
            "patients": 10,
            "clustered": False,
            "unsettled": 0,
            **scopes,
            "sites": {"a": numbers, "b": numbers},
        },
    }


def _cycle(number: int, readings: int, auroc: float, granted: tuple[int, int]) -> dict[str, Any]:
    per_site = {"a": readings // 2, "b": readings // 2}
    return {
        "cycle": number,
        "readings": readings,
        "training_readings": readings,
        "audit_readings": 0,
        "minutes": float(readings),
        "days": 1,
        "granted": dict(zip("ab", granted, strict=True)),
        "reasons": {},
        "spent": {},
        "returned": {},
        "labels": {s: [n / 4, 3 * n / 4] for s, n in per_site.items()},
        "site_minutes": {},
        "loss": [],
        "advice": "",
        "metrics": _measured(auroc, 1 - auroc),
    }


def _line(arm: str, seed: int, curve: tuple[float, ...], **more: Any) -> dict[str, Any]:
    granted = more.pop("granted", (24, 24))
    cycles = [_cycle(-1, 0, 0.5, (0, 0))]
    cycles += [_cycle(i, n, v, granted) for i, (n, v) in enumerate(zip(LABELS, curve, strict=True))]
    return {
        "kind": "run",
        "key": f"{arm}-{seed}",
        "track": "A",
        "file": "",
        "cell": "selectors",
        "scored_on": "val",
        "arm": arm,
        "seed": seed,
        "when": "2026-01-01T00:00:00+00:00",
        "code": "c",
        "cases": f"cases of {seed}",
        "weights": f"weights of {seed}",
        "identity": "i",
        "versions": {},
        "git": None,
        "wall": 1.0,
        "study": "schema = 1\n",
        "step_seconds": {"select": 0.6, "report": 0.3},
        "bytes_down": {"train": 1_000_000},
        "bytes_up": {"train": 500_000},
        "cycles": cycles,
        **more,
    }


@pytest.fixture
def two_arms() -> list[dict[str, Any]]:
    """Random, coreset and the bound on two seeds."""
    found = []
    for seed in (0, 1):
        found.append(_line("random", seed, (0.6, 0.7, 0.8)))
        found.append(_line("coreset", seed, (0.6, 0.8, 0.9)))
        bound = _line("full", seed, (0.6, 0.8, 0.9))
        bound["cycles"] = [bound["cycles"][0], _cycle(0, 1000, 0.9, (500, 500))]
        found.append(bound)
    return found


@pytest.fixture
def cycle() -> Callable[..., dict[str, Any]]:
    """A line of `cycles.jsonl`: number, readings, AUROC, grants."""
    return _cycle


@pytest.fixture
def line() -> Callable[..., dict[str, Any]]:
    """A run: arm, seed, AUROC at 24, 72 and 120 labels, and what else is to stand in it."""
    return _line
